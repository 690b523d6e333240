/*
 * hash.h
 *	  A 64-bit hash of a key, for tables in memory only.
 *
 * Mixes eight bytes at a time (multiply and fold); never stored, so it may
 * change at any release.
 */
#ifndef TIKV_BASE_HASH_H
#define TIKV_BASE_HASH_H

#include "core/base/bytes.h"

static inline uint64_t
hash_mix64(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static inline uint64_t
hash_bytes64(Bytes b, uint64_t seed)
{
	const uint64_t k0 = 0x9E3779B97F4A7C15u;
	const uint64_t k1 = 0xD6E8FEB86659FD93u;
	uint64_t h = hash_mix64(seed ^ k0, b.len ^ k1);
	const uint8_t *p = b.data;
	size_t left = b.len;
	uint64_t word;

	while (left >= 8)
	{
		memcpy(&word, p, 8);
		h = hash_mix64(h ^ word, k0);
		p += 8;
		left -= 8;
	}
	word = 0;
	if (left > 0)
		memcpy(&word, p, left);
	return hash_mix64(h ^ word, k1);
}

#endif /* TIKV_BASE_HASH_H */
