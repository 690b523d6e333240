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

const char *
tasks_gc_step(uint64 step)
{
	switch ((GcStep) step)
	{
		case GC_STEP_IDLE:
			return "idle";
		case GC_STEP_PD:
			return "asks the placement driver";
		case GC_STEP_LOCKS:
			return "ends locks";
		case GC_STEP_VERSIONS:
			return "deletes versions";
	}
	return "unknown";
}

const char *
tasks_gc_reason(uint64 reason)
{
	switch ((GcReason) reason)
	{
		case GC_REASON_NONE:
			return "";
		case GC_REASON_PD:
			return "the placement driver did not answer, or not as it should";
		case GC_REASON_REFUSED:
			return "a command was refused";
		case GC_REASON_FAILED:
			return "a command failed";
		case GC_REASON_MOVED:
			return "the region is led elsewhere now";
		case GC_REASON_COMMITTING:
			return "a transaction is committing below the safe point";
		case GC_REASON_ALIVE:
			return "a transaction below the safe point is alive";
		case GC_REASON_CONTRADICTS:
			return "a lock below the safe point cannot be ended: its primary key contradicts it";
		case GC_REASON_ELSEWHERE:
			return "a store did not answer for a region that it leads";
		case GC_REASON_DAMAGED:
			return "damaged data: a key is passed by, or its lock cannot be ended; the server's log says which";
	}
	return "unknown";
}

uint64
tasks_get(TaskCounter counter)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? 0 : pg_atomic_read_u64(&shmem->tasks[counter]);
}
