/*
 * tso.c
 *	  The rules of the timestamp oracle, over plain values.
 */
#include "pd/core/tso.h"

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

TsoResult
tso_next(uint64_t last, uint64_t bound_ms, uint64_t now_ms, uint32_t count,
		 uint64_t *next)
{
	uint64_t physical = tso_physical(last);
	uint64_t logical = tso_logical(last);

	if (count == 0)
		return TSO_ZERO_COUNT;

	/*
	 * Logical 0 is never handed out: clients compute the first of a batch as
	 * logical - count + 1, some of them in signed arithmetic of their own.
	 */
	if (count > TSO_LOGICAL_MAX)
		return TSO_TOO_MANY;

	if (now_ms > physical)
	{
		physical = now_ms;
		logical = 0;
	}
	logical += count;
	if (logical > TSO_LOGICAL_MAX)
	{
		physical++;
		logical = count;
	}
	if (physical >= bound_ms)
		return TSO_NO_WINDOW;
	*next = tso_make(physical, (uint32_t) logical);
	return TSO_OK;
}

uint64_t
tso_start(uint64_t last, uint64_t saved_ms, uint64_t now_ms)
{
	/* All timestamps handed out so far are below the saved bound. */
	uint64_t physical = max_u64(saved_ms, now_ms);

	if (last != 0)
		physical = max_u64(physical, tso_physical(last) + 1);
	return tso_make(physical, 0);
}

bool
tso_wants_bound(uint64_t last, uint64_t bound_ms, uint64_t now_ms)
{
	return max_u64(tso_physical(last), now_ms) + TSO_REFRESH_MS > bound_ms;
}

uint64_t
tso_extend(uint64_t last, uint64_t bound_ms, uint64_t now_ms,
		   uint64_t elapsed_ms)
{
	uint64_t by_clock = now_ms + TSO_WINDOW_MS;
	uint64_t ahead;

	if (tso_physical(last) <= now_ms)
		return max_u64(bound_ms, by_clock);

	ahead = min_u64(tso_physical(last) + TSO_WINDOW_MS, bound_ms + elapsed_ms);
	return max_u64(bound_ms, max_u64(by_clock, ahead));
}
