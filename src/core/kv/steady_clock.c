/*
 * steady_clock.c
 *	  A time of day that follows no step forward for an hour or two.
 */
#include "core/kv/steady_clock.h"

static int64_t
lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t
steady_clock_now(SteadyClock *clock, int64_t wall_s, int64_t monotonic_s)
{
	int64_t offset = wall_s - monotonic_s;

	if (!clock->started)
		*clock = (SteadyClock){.started = true,
							   .began_s = monotonic_s,
							   .least = offset,
							   .least_before = offset};
	else if (monotonic_s - clock->began_s >= STEADY_CLOCK_WINDOW_S)
	{
		clock->began_s = monotonic_s;
		clock->least_before = clock->least;
		clock->least = offset;
	}
	clock->least = lesser(clock->least, offset);
	return monotonic_s + lesser(clock->least, clock->least_before);
}
