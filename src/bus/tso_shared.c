/*
 * tso_shared.c
 *	  Places the timestamp oracle's state in shared memory.
 *
 * Everything starts at zero, which means: no timestamp was handed out and
 * nobody leads, so nobody may allocate until `tikv pd` publishes a bound.
 */
#include "postgres.h"

#include <time.h>

#include "storage/shmem.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/tso_shared.h"

#define PHYSICAL_SHIFT 18

/* For how long what PD said of its time is not asked again. */
#define DENIED_MS 3000

Size
tso_shmem_size(void)
{
	return sizeof(TsoShared);
}

void
tso_shmem_init(TikvShmem *shmem, bool found)
{
	bool attached;

	shmem->tso = ShmemInitStruct("tikv_fdw tso", tso_shmem_size(), &attached);
	if (found || attached)
		return;
	pg_atomic_init_u64(&shmem->tso->last, 0);
	pg_atomic_init_u64(&shmem->tso->bound_ms, 0);
	pg_atomic_init_u64(&shmem->tso->lead_until_us, 0);
	pg_atomic_init_u64(&shmem->tso->lead_epoch, 0);
	pg_atomic_init_u64(&shmem->tso->heard_offset_ms, 0);
	pg_atomic_init_u64(&shmem->tso->doubted, 0);
	pg_atomic_init_u64(&shmem->tso->denied, 0);
	pg_atomic_init_u64(&shmem->tso->denied_at_ms, 0);
}

static uint64
monotonic_ms(void)
{
	return (uint64) board_now_us() / 1000;
}

/* Timestamps do not go back, so neither does what is known of them. */
void
tso_heard(uint64 ts)
{
	pg_atomic_uint64 *offset = &tikv_shmem()->tso->heard_offset_ms;
	uint64 now_ms = monotonic_ms();
	uint64 physical_ms = ts >> PHYSICAL_SHIFT;
	uint64 known = pg_atomic_read_u64(offset);
	uint64 heard = physical_ms > now_ms ? physical_ms - now_ms : 0;

	while (heard > known &&
		   !pg_atomic_compare_exchange_u64(offset, &known, heard))
		continue;
}

uint64
tso_heard_now_ms(void)
{
	uint64 offset = pg_atomic_read_u64(&tikv_shmem()->tso->heard_offset_ms);

	return offset == 0 ? 0 : offset + monotonic_ms();
}

int64
tso_age_ms(uint64 ts)
{
	uint64 last = pg_atomic_read_u64(&tikv_shmem()->tso->last);
	uint64 pd_ms = Max(last >> PHYSICAL_SHIFT, tso_heard_now_ms());
	uint64 day_ms = (uint64) (time(NULL) + FAILPOINT_CLOCK_S) * 1000;
	uint64 now_ms = Max(pd_ms, day_ms);
	uint64 then_ms = ts >> PHYSICAL_SHIFT;

	return now_ms > then_ms ? (int64) (now_ms - then_ms) : 0;
}

/*
 * Does PD of this node lead, with a bound of its own?  Then all that was ever
 * given out lies below that; before, the leader before it may have gone further.
 */
static bool
leads_here(TsoShared *tso)
{
	return pg_atomic_read_u64(&tso->bound_ms) != 0 &&
		pg_atomic_read_u64(&tso->lead_until_us) > (uint64) board_now_us();
}

/* Among many the least counts: whoever gets that from PD gets the others. */
bool
tso_doubt(uint64 ts)
{
	TsoShared *tso = tikv_shmem()->tso;
	uint64 denied = pg_atomic_read_u64(&tso->denied);
	uint64 known = pg_atomic_read_u64(&tso->doubted);

	if (leads_here(tso))
		return false;
	if (denied != 0 && ts >= denied &&
		monotonic_ms() - pg_atomic_read_u64(&tso->denied_at_ms) < DENIED_MS)
		return false;
	while (known == 0 || ts < known)
		if (pg_atomic_compare_exchange_u64(&tso->doubted, &known, ts))
		{
			worker_wake(WORKER_STORE);
			break;
		}
	return true;
}

uint64
tso_take_doubt(void)
{
	TsoShared *tso = tikv_shmem()->tso;

	if (pg_atomic_read_u64(&tso->doubted) == 0)
		return 0;
	return pg_atomic_exchange_u64(&tso->doubted, 0);
}

/* Written by `tikv store` alone; who reads between the two asks once more. */
void
tso_deny(uint64 ts)
{
	TsoShared *tso = tikv_shmem()->tso;

	pg_atomic_write_u64(&tso->denied, ts);
	pg_atomic_write_u64(&tso->denied_at_ms, monotonic_ms());
}
