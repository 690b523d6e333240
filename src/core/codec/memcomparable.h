/*
 * memcomparable.h
 *	  The order-preserving form of keys: what region bounds and PD hold for
 *	  transactional keys, and for all keys in API V2.
 *
 * Eight bytes at a time, padded with zeros, each group followed by a marker of
 * 255 minus the padding; the last group always has some.  Encoded keys compare
 * as the keys do, and a suffix (a timestamp) does not disturb that.
 * Source: tikv/tikv components/codec/src/byte.rs.
 */
#ifndef TIKV_CODEC_MEMCOMPARABLE_H
#define TIKV_CODEC_MEMCOMPARABLE_H

#include "core/base/arena.h"

#define MEMCOMPARABLE_GROUP 8

/* Bytes that the encoded form of a key of this length takes. */
static inline size_t
memcomparable_size(size_t len)
{
	return (len / MEMCOMPARABLE_GROUP + 1) * (MEMCOMPARABLE_GROUP + 1);
}

/* Encode into room for memcomparable_size(key.len) bytes. */
extern void memcomparable_write(Bytes key, uint8_t *out);

/* The encoded form, in the arena. */
extern Bytes memcomparable_encode(Bytes key, Arena *arena);

/*
 * The key, in the arena; false if the bytes are no encoded key.  What follows
 * the last group is in *rest; with rest NULL nothing may follow.
 */
extern bool memcomparable_decode(Bytes encoded, Arena *arena, Bytes *key,
								 Bytes *rest);

#endif /* TIKV_CODEC_MEMCOMPARABLE_H */
