/*
 * backoff.c
 *	  How long a client waits before it tries again, and when it gives up.
 */
#include "core/client/backoff.h"

#include <string.h>

typedef struct Schedule
{
	int base_ms;
	int cap_ms;
	bool jitter; /* half of it is random; else none of it */
} Schedule;

static const Schedule schedules[BACKOFF_CLASSES] = {
	[BACKOFF_REGION_MISS] = {2, 500, false},
	[BACKOFF_SCHEDULING] = {2, 500, false},
	[BACKOFF_RPC] = {100, 2000, true},
	[BACKOFF_SERVER_BUSY] = {2000, 10000, true},
	[BACKOFF_DISK_FULL] = {500, 5000, false},
	[BACKOFF_STALE_COMMAND] = {2, 1000, false},
	[BACKOFF_MAX_TS_NOT_SYNCED] = {2, 500, false},
	[BACKOFF_TXN_LOCK] = {100, 3000, true},
	[BACKOFF_TXN_LOCK_FAST] = {10, 3000, true},
	[BACKOFF_TXN_NOT_FOUND] = {2, 500, false},
	[BACKOFF_PD] = {500, 3000, true},
};

void
backoff_init(Backoff *backoff, int64_t budget_ms, uint64_t seed)
{
	memset(backoff, 0, sizeof(*backoff));
	backoff->budget_ms = budget_ms;
	backoff->random = seed | 1;
}

static uint64_t
next_random(Backoff *backoff)
{
	backoff->random ^= backoff->random >> 12;
	backoff->random ^= backoff->random << 25;
	backoff->random ^= backoff->random >> 27;
	return (backoff->random * UINT64_C(2685821657736338717)) >> 33;
}

bool
backoff_next(Backoff *backoff, BackoffClass reason, int64_t *sleep_ms)
{
	const Schedule *schedule = &schedules[reason];
	int64_t wait_ms = schedule->base_ms;
	bool busy = reason == BACKOFF_SERVER_BUSY;

	backoff->last = reason;
	if (busy ? backoff->busy_ms >= BACKOFF_BUSY_MS :
			   backoff->slept_ms >= backoff->budget_ms)
		return false;
	for (int i = 0; i < backoff->attempts[reason] && wait_ms < schedule->cap_ms;
		 i++)
		wait_ms *= 2;
	if (wait_ms > schedule->cap_ms)
		wait_ms = schedule->cap_ms;
	if (schedule->jitter)
	{
		uint64_t half = (uint64_t) wait_ms / 2;

		wait_ms = (int64_t) (half + next_random(backoff) % (half + 1));
	}
	backoff->attempts[reason]++;
	if (busy)
		backoff->busy_ms += wait_ms;
	else
		backoff->slept_ms += wait_ms;
	*sleep_ms = wait_ms;
	return true;
}
