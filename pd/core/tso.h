/*
 * tso.h
 *	  The rules of the timestamp oracle, over plain values.
 *
 * A timestamp is physical_ms << 18 | logical.  The oracle's state is two
 * numbers: the newest timestamp handed out, and a saved bound that every
 * physical part stays below.  The bound is durable before it is used, so
 * whoever starts again begins at the bound and never hands out a timestamp
 * twice.  There is no tick: the physical part follows the clock when somebody
 * asks.  Clocks, compare-and-swap and saving are the driver's.
 */
#ifndef TIKV_PD_CORE_TSO_H
#define TIKV_PD_CORE_TSO_H

#include <stdbool.h>
#include <stdint.h>

#define TSO_LOGICAL_BITS 18
#define TSO_LOGICAL_MAX ((UINT32_C(1) << TSO_LOGICAL_BITS) - 1)

/* How far the bound is saved ahead, and what may be left of it in use. */
#define TSO_WINDOW_MS 5000
#define TSO_REFRESH_MS 2500

typedef enum TsoResult
{
	TSO_OK = 0,
	TSO_ZERO_COUNT, /* a request for nothing */
	TSO_TOO_MANY,	/* more than fits into one millisecond */
	TSO_NO_WINDOW	/* the bound is reached: extend it first */
} TsoResult;

static inline uint64_t
tso_make(uint64_t physical_ms, uint32_t logical)
{
	return physical_ms << TSO_LOGICAL_BITS | logical;
}

static inline uint64_t
tso_physical(uint64_t ts)
{
	return ts >> TSO_LOGICAL_BITS;
}

static inline uint32_t
tso_logical(uint64_t ts)
{
	return (uint32_t) (ts & TSO_LOGICAL_MAX);
}

/*
 * The newest of `count` timestamps after `last`: they share one physical part
 * and are *next - count + 1 .. *next.  `now_ms` may be anything, also behind
 * `last`.
 */
extern TsoResult tso_next(uint64_t last, uint64_t bound_ms, uint64_t now_ms,
						  uint32_t count, uint64_t *next);

/*
 * Start of service: the value from which to go on, when `last` is the newest
 * timestamp known of (0: none) and `saved_ms` the bound found saved (0: none).
 * Every timestamp after it is greater than all that any predecessor handed
 * out.
 */
extern uint64_t tso_start(uint64_t last, uint64_t saved_ms, uint64_t now_ms);

/* True if less than the refresh margin is left, so that a user may run out. */
extern bool tso_wants_bound(uint64_t last, uint64_t bound_ms, uint64_t now_ms);

/*
 * The bound to save next.  Usually the clock plus the window.  While the
 * physical part is ahead of the clock (it was set back, or a client asks for
 * absurd batches), the bound grows no faster than real time: `elapsed_ms` is
 * the time since the bound was last raised.  May be no greater than bound_ms:
 * then nothing can be gained now.
 */
extern uint64_t tso_extend(uint64_t last, uint64_t bound_ms, uint64_t now_ms,
						   uint64_t elapsed_ms);

#endif /* TIKV_PD_CORE_TSO_H */
