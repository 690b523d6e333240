/*
 * steady_clock.h
 *	  A time of day that follows no step forward for an hour or two.
 *
 * For what must not be done too early and may be done late: somebody may set
 * the clock an hour ahead and find it out.  A step back counts at once.
 */
#ifndef TIKV_KV_STEADY_CLOCK_H
#define TIKV_KV_STEADY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* A step forward is believed after one to two of them. */
#define STEADY_CLOCK_WINDOW_S INT64_C(3600)

typedef struct SteadyClock
{
	bool started;
	int64_t began_s; /* the window, monotonic */

	/* Time of day less monotonic time, at least: of this window, the last. */
	int64_t least;
	int64_t least_before;
} SteadyClock;

/*
 * The time of day by now, from what two clocks show; never later than wall_s.
 * To be asked at least once in each window, or it follows later.
 */
extern int64_t steady_clock_now(SteadyClock *clock, int64_t wall_s,
								int64_t monotonic_s);

#endif /* TIKV_KV_STEADY_CLOCK_H */
