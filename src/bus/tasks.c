/*
 * tasks.c
 *	  How far the store's long work has come.
 */
#include "postgres.h"

#include "bus/shmem.h"
#include "bus/tasks.h"

void
tasks_set(TaskCounter counter, uint64 value)
{
	pg_atomic_write_u64(&tikv_shmem()->tasks[counter], value);
}

void
tasks_reset(void)
{
	for (int i = 0; i < TASK_COUNTERS; i++)
		tasks_set((TaskCounter) i, 0);
}

uint64
tasks_get(TaskCounter counter)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? 0 : pg_atomic_read_u64(&shmem->tasks[counter]);
}
