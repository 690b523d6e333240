/*
 * common_clock.h
 *	  The time of day that more than half of the nodes have reached.
 *
 * A node whose clock was ahead when it started cannot find that out by itself,
 * nor by the Placement Driver's time if it leads that.  Other nodes tell what
 * their clocks show with what they send anyway.
 */
#ifndef TIKV_KV_COMMON_CLOCK_H
#define TIKV_KV_COMMON_CLOCK_H

#include <stdint.h>

#define COMMON_CLOCK_NODES 64

/* A node that was silent for so long has no say any more. */
#define COMMON_CLOCK_FORGET_MS INT64_C(3600000)

typedef struct HeardClock
{
	uint64_t node;
	int64_t offset_ms; /* its time of day less our monotonic time */
	int64_t heard_ms;  /* monotonic */
} HeardClock;

/* All zero: nothing was heard. */
typedef struct CommonClock
{
	HeardClock heard[COMMON_CLOCK_NODES];
	int n;
} CommonClock;

/* A node's clock showed wall_ms just now; of too many the oldest is forgotten. */
extern void common_clock_hear(CommonClock *clock, uint64_t node,
							  int64_t wall_ms, int64_t monotonic_ms);

/*
 * The latest time that more than half of the clocks have reached, own_ms being
 * one of them: of two the lesser, of three the middle one.  0 while no other
 * is known.
 */
extern int64_t common_clock_now(const CommonClock *clock, int64_t own_ms,
								int64_t monotonic_ms);

#endif /* TIKV_KV_COMMON_CLOCK_H */
