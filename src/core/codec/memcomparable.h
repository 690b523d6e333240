/*
 * memcomparable.h
 *	  Byte strings encoded so that their order survives concatenation.
 *
 * Groups of eight bytes, each behind it a marker 0xFF minus the number of
 * zero bytes that pad it; the last group is always padded.  TiKV's encoded
 * keys and the bounds of transactional regions have this form.
 * Source: tikv/tikv components/tikv_util/src/codec/bytes.rs.
 */
#ifndef TIKV_CODEC_MEMCOMPARABLE_H
#define TIKV_CODEC_MEMCOMPARABLE_H

#include "core/base/arena.h"
#include "core/base/status.h"

static inline size_t
memcomparable_len(size_t len)
{
	return (len / 8 + 1) * 9;
}

/* Writes memcomparable_len(key.len) bytes; returns behind them. */
extern uint8_t *memcomparable_put(uint8_t *p, Bytes key);
extern Bytes memcomparable_encode(Bytes key, Arena *arena);

/* enc(key) + desc(ts): the key of a version in the CFs default and write. */
extern Bytes memcomparable_encode_ts(Bytes key, uint64_t ts, Arena *arena);

/*
 * Decode the string that `encoded` begins with; *rest (may be NULL) is what
 * follows it.  STATUS_INVALID for a wrong marker, padding that is not zero or
 * a truncated group.
 */
extern Status memcomparable_decode(Bytes encoded, Arena *arena, Bytes *key,
								   Bytes *rest) MUST_CHECK;

/*
 * The least key whose encoding is not below `bound`, which need be no
 * encoding: of one, the key.
 */
extern Bytes memcomparable_ceil(Bytes bound, Arena *arena);

/*
 * How an encoded bound compares with an unencoded key, without encoding it:
 * the sign of enc(key) - bound.
 */
extern int memcomparable_cmp(Bytes key, Bytes bound);

#endif /* TIKV_CODEC_MEMCOMPARABLE_H */
