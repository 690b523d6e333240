/*
 * table_cut.c
 *	  The store is about to cut the end of a table: others wait a moment.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/table_cut.h"

/* Between two looks of who waits. */
#define LOOK_US 100

static bool ours;

/* Counted before the lock is asked for, and with a barrier. */
void
table_cut_begin(int64 most_us)
{
	TikvShmem *shmem = tikv_shmem();

	ours = true;
	pg_atomic_write_u64(&shmem->table_cut_until_us,
						(uint64) (board_now_us() + most_us));
	(void) pg_atomic_fetch_add_u64(&shmem->table_cuts, 1);
}

void
table_cut_end(void)
{
	ours = false;
	pg_atomic_write_u64(&tikv_shmem()->table_cut_until_us, 0);
}

static bool
is_wanted(TikvShmem *shmem)
{
	uint64 until_us = pg_atomic_read_u64(&shmem->table_cut_until_us);

	return until_us != 0 && (uint64) board_now_us() < until_us;
}

/* A cut that is not seen to be wanted yet is not counted either. */
uint64
table_cut_wait(void)
{
	TikvShmem *shmem = tikv_shmem();

	if (shmem == NULL)
		return 0;
	for (;;)
	{
		uint64 last = pg_atomic_read_u64(&shmem->table_cuts);

		pg_read_barrier();
		if (ours || !is_wanted(shmem))
			return last;
		pg_usleep(LOOK_US);
	}
}

bool
table_cut_since(uint64 last)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem != NULL && !ours &&
		pg_atomic_read_u64(&shmem->table_cuts) != last;
}
