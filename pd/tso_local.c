/*
 * tso_local.c
 *	  Timestamps for any process of this node, without asking anybody.
 */
#include "postgres.h"

#include <time.h>

#include "bus/board.h"
#include "bus/failpoints.h"
#include "pd/tso_local.h"

uint64
tso_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64) (now.tv_sec + FAILPOINT_CLOCK_S) * 1000 +
		(uint64) now.tv_nsec / 1000000;
}

/*
 * Leadership is looked at after the timestamp is taken: if it had ended
 * before, a successor may already hand out greater ones.
 */
TsoResult
tso_take(uint32 count, uint64 *last)
{
	TsoShared *tso = tikv_shmem()->tso;
	uint64 seen = pg_atomic_read_u64(&tso->last);
	uint64 next;

	do
	{
		uint64 bound_ms = pg_atomic_read_u64(&tso->bound_ms);
		TsoResult result = tso_next(seen, bound_ms, tso_now_ms(), count, &next);

		if (result != TSO_OK)
			return result;
	} while (!pg_atomic_compare_exchange_u64(&tso->last, &seen, next));

	if (pg_atomic_read_u64(&tso->lead_until_us) <= (uint64) board_now_us())
		return TSO_NO_WINDOW;
	*last = next;
	return TSO_OK;
}

bool
tso_allocate(uint32 count, uint64 *last)
{
	TsoShared *tso = tikv_shmem()->tso;
	TsoResult result = tso_take(count, last);
	uint64 bound_ms = pg_atomic_read_u64(&tso->bound_ms);

	if (bound_ms != 0 &&
		tso_wants_bound(pg_atomic_read_u64(&tso->last), bound_ms, tso_now_ms()))
		worker_wake(WORKER_PD);
	return result == TSO_OK;
}
