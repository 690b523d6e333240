/*
 * key_codec.h
 *	  Columns as parts of a key: encodings whose order is that of the values.
 *
 * The parts of a composite key stand one behind the other without separators:
 * each has a fixed length or, for byte strings, ends by itself, so the order of
 * keys is that of the tuples.  Integers are eight big-endian bytes with the
 * sign flipped and byte strings are memcomparable, as TiDB's own keys are.
 * Source: pingcap/tidb pkg/util/codec/number.go (EncodeInt), bytes.go.
 */
#ifndef TIKV_ROW_KEY_CODEC_H
#define TIKV_ROW_KEY_CODEC_H

#include "core/base/arena.h"
#include "core/base/status.h"

typedef enum KeyKind
{
	KEY_INT,   /* integers, dates, times: 8 bytes */
	KEY_BOOL,  /* 1 byte, 0 or 1 */
	KEY_UUID,  /* 16 bytes as they are */
	KEY_BYTES, /* memcomparable */
	KEY_REST   /* bytes as they are, up to the end: the last part only */
} KeyKind;

#define KEY_UUID_LEN 16

/* KEY_INT and KEY_BOOL have a number, the others bytes. */
typedef struct KeyPart
{
	int64_t number;
	Bytes bytes;
} KeyPart;

/* Room that a part takes, exactly. */
extern size_t key_part_len(KeyKind kind, const KeyPart *part);

/* Writes key_part_len bytes; returns behind them. */
extern uint8_t *key_part_put(uint8_t *p, KeyKind kind, const KeyPart *part);

/*
 * Take a part off the front of *key.  STATUS_INVALID if it is none.  Bytes are
 * in the arena, or borrowed from *key.
 */
extern Status key_part_get(Bytes *key, KeyKind kind, Arena *arena,
						   KeyPart *out) MUST_CHECK;

/*
 * The least key above all that begin with `prefix`, written to `out`, which
 * has room for prefix.len bytes.  Empty, which is no bound, if there is none:
 * the prefix is 0xFF bytes only.
 */
extern Bytes key_prefix_end(Bytes prefix, uint8_t *out);

#endif /* TIKV_ROW_KEY_CODEC_H */
