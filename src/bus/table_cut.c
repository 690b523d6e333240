/*
 * table_cut.c
 *	  The store is about to cut the end of a table: readers wait a moment.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/table_cut.h"

/* Between two looks of who waits. */
#define LOOK_US 100

static bool ours;

void
table_cut_begin(int64 most_us)
{
	ours = true;
	pg_atomic_write_u64(&tikv_shmem()->table_cut_until_us,
						(uint64) (board_now_us() + most_us));
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

void
table_cut_wait(void)
{
	TikvShmem *shmem = tikv_shmem();

	if (shmem == NULL || ours)
		return;
	while (is_wanted(shmem))
		pg_usleep(LOOK_US);
}
