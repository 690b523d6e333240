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
 * Has this node led from before the timestamp was taken until now?  Taken
 * behind the end of its lease, a timestamp may lie below those of another
 * leader, however long this process stood still since, and though this node
 * leads again: `epoch` is that of before.  Who begins to lead raises it first
 * and gives the lease last, so they are read the other way round.
 */
static bool
still_leads(TsoShared *tso, uint64 epoch)
{
	uint64 now_us = (uint64) board_now_us();
	uint64 until_us = pg_atomic_read_u64(&tso->lead_until_us);

	pg_read_barrier();
	return until_us > now_us && pg_atomic_read_u64(&tso->lead_epoch) == epoch;
}

TsoResult
tso_take(uint32 count, uint64 *last)
{
	TsoShared *tso = tikv_shmem()->tso;
	uint64 epoch = pg_atomic_read_u64(&tso->lead_epoch);
	uint64 seen;
	uint64 next;

	pg_read_barrier();
	seen = pg_atomic_read_u64(&tso->last);
	do
	{
		uint64 bound_ms = pg_atomic_read_u64(&tso->bound_ms);
		TsoResult result = tso_next(seen, bound_ms, tso_now_ms(), count, &next);

		if (result != TSO_OK)
			return result;
	} while (!pg_atomic_compare_exchange_u64(&tso->last, &seen, next));

	if (!still_leads(tso, epoch))
		return TSO_NO_WINDOW;
	*last = next;
	return TSO_OK;
}

uint64
tso_begin(uint64 saved_ms, uint64 ahead)
{
	TsoShared *tso = tikv_shmem()->tso;
	uint64 seen;
	uint64 start;

	pg_atomic_write_u64(&tso->lead_until_us, 0);
	pg_atomic_write_u64(&tso->bound_ms, 0);
	(void) pg_atomic_fetch_add_u64(&tso->lead_epoch, 1);
	seen = pg_atomic_read_u64(&tso->last);
	do
		start = tso_start(seen, saved_ms, tso_now_ms()) + ahead;
	while (!pg_atomic_compare_exchange_u64(&tso->last, &seen, start));
	return start;
}

uint64
tso_newest(void)
{
	return pg_atomic_read_u64(&tikv_shmem()->tso->last);
}

uint64
tso_beginning(uint64 saved_ms)
{
	return tso_start(tso_newest(), saved_ms, tso_now_ms());
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
