/*
 * common_clock.c
 *	  The time of day that more than half of the nodes have reached.
 */
#include "core/kv/common_clock.h"

static HeardClock *
place_of(CommonClock *clock, uint64_t node)
{
	HeardClock *oldest = &clock->heard[0];

	for (int i = 0; i < clock->n; i++)
	{
		if (clock->heard[i].node == node)
			return &clock->heard[i];
		if (clock->heard[i].heard_ms < oldest->heard_ms)
			oldest = &clock->heard[i];
	}
	return clock->n < COMMON_CLOCK_NODES ? &clock->heard[clock->n++] : oldest;
}

void
common_clock_hear(CommonClock *clock, uint64_t node, int64_t wall_ms,
				  int64_t monotonic_ms)
{
	*place_of(clock, node) = (HeardClock){.node = node,
										  .offset_ms = wall_ms - monotonic_ms,
										  .heard_ms = monotonic_ms};
}

/* Keep `sorted` in order with one more. */
static void
insert(int64_t *sorted, int n, int64_t ms)
{
	while (n > 0 && sorted[n - 1] > ms)
	{
		sorted[n] = sorted[n - 1];
		n--;
	}
	sorted[n] = ms;
}

int64_t
common_clock_now(const CommonClock *clock, int64_t own_ms, int64_t monotonic_ms)
{
	int64_t sorted[COMMON_CLOCK_NODES + 1];
	int n = 0;

	insert(sorted, n++, own_ms);
	for (int i = 0; i < clock->n; i++)
	{
		const HeardClock *heard = &clock->heard[i];

		if (monotonic_ms - heard->heard_ms <= COMMON_CLOCK_FORGET_MS)
			insert(sorted, n++, monotonic_ms + heard->offset_ms);
	}
	return n == 1 ? 0 : sorted[(n - 1) / 2];
}
