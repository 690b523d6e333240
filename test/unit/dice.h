/*
 * dice.h
 *	  Numbers by chance, the same ones from the same seed everywhere.
 */
#ifndef TIKV_TEST_DICE_H
#define TIKV_TEST_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The seed, then what it has become; never 0. */
static uint64_t rng = 88172645463325252;

/* xorshift64*: its higher bits are the better ones. */
static inline uint64_t
next_random(void)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return rng * UINT64_C(2685821657736338717);
}

static inline size_t
below(size_t n)
{
	return (size_t) (next_random() >> 33) % n;
}

static inline bool
chance(size_t percent)
{
	return below(100) < percent;
}

#endif /* TIKV_TEST_DICE_H */
