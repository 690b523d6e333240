/*
 * backoff.c
 *	  How long to leave a node alone that could not be reached.
 *
 * Doubling from 50 ms to 2 s, so that a node that restarts is found well
 * within an election timeout; half of it by chance, so that a node that was
 * lost by many is not found by all of them in the same moment.
 */
#include "transport/backoff.h"

#define FIRST_US 50000
#define MOST_US 2000000

void
backoff_init(Backoff *b, uint64_t seed)
{
	b->failures = 0;
	b->seed = seed | 1;
	b->until_us = 0;
}

/* xorshift64 (Marsaglia). */
static uint64_t
draw(Backoff *b)
{
	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 7;
	b->seed ^= b->seed << 17;
	return b->seed;
}

void
backoff_failed(Backoff *b, int64_t now_us)
{
	int64_t delay = FIRST_US;

	for (int i = 0; i < b->failures && delay < MOST_US; i++)
		delay *= 2;
	if (delay > MOST_US)
		delay = MOST_US;
	b->failures++;
	b->until_us =
		now_us + delay / 2 + (int64_t) (draw(b) % (uint64_t) delay) / 2;
}

void
backoff_worked(Backoff *b)
{
	b->failures = 0;
	b->until_us = 0;
}

bool
backoff_is_over(const Backoff *b, int64_t now_us)
{
	return now_us >= b->until_us;
}
