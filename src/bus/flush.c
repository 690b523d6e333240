/*
 * flush.c
 *	  `tikv flush`: the process that waits for the disk in the store's place.
 *
 * Started by the store when it is first needed.  It needs no database, and is
 * in the library that every process has, without gRPC.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/flush.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"

#define REGISTER_INTERVAL_US INT64CONST(10000000)

PGDLLEXPORT void tikv_flush_main(Datum arg);

/* ---------------------------------------------------------------- the store */

void
flush_worker_ensure(void)
{
	static int64 tried_us;
	FlushShared *flush = &tikv_shmem()->flush;
	int64 now_us = board_now_us();
	BackgroundWorker worker = {0};

	if (pg_atomic_read_u32(&flush->running) != 0 ||
		(tried_us != 0 && now_us - tried_us < REGISTER_INTERVAL_US))
		return;
	tried_us = now_us;
	strlcpy(worker.bgw_name, "tikv flush", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "tikv flush", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "tikv_fdw", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "tikv_flush_main", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(
			LOG,
			(errmsg("there is no room for the worker \"tikv flush\""),
			 errdetail("The store flushes the WAL itself, and waits for it."),
			 errhint("Raise max_worker_processes.")));
}

bool
flush_request(XLogRecPtr lsn)
{
	FlushShared *flush = &tikv_shmem()->flush;

	if (pg_atomic_read_u32(&flush->running) == 0)
		return false;
	if (pg_atomic_read_u64(&flush->wanted) < lsn)
		pg_atomic_write_u64(&flush->wanted, lsn);
	pg_memory_barrier();
	if (pg_atomic_read_u32(&flush->sleeping) != 0)
		SetLatch(flush->latch);
	return true;
}

/* --------------------------------------------------------------- the process */

static void
leave(int code, Datum arg)
{
	FlushShared *flush = &tikv_shmem()->flush;

	(void) code;
	(void) arg;
	pg_atomic_write_u32(&flush->running, 0);
	pg_memory_barrier();

	/* it may be waiting for us */
	worker_wake(WORKER_STORE);
}

static bool
work_waits(const FlushShared *flush)
{
	return pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &flush->wanted)) >
		GetFlushRecPtr(NULL);
}

static void
wait_for_work(FlushShared *flush)
{
	ResetLatch(MyLatch);
	pg_atomic_write_u32(&flush->sleeping, 1);
	pg_memory_barrier();
	if (!work_waits(flush))
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
						 PG_WAIT_EXTENSION);
	pg_atomic_write_u32(&flush->sleeping, 0);
}

void
tikv_flush_main(Datum arg)
{
	FlushShared *flush = &tikv_shmem()->flush;

	(void) arg;
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!pg_atomic_compare_exchange_u32(&flush->running, &(uint32){0}, 1))
		proc_exit(0);
	before_shmem_exit(leave, 0);
	flush->latch = MyLatch;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (!work_waits(flush))
		{
			wait_for_work(flush);
			continue;
		}
		FAILPOINTS_READ();
		FAILPOINT_PASS("flush_before_sync");
		XLogFlush((XLogRecPtr) pg_atomic_read_u64(&flush->wanted));
		FAILPOINT_PASS("flush_after_sync");
		worker_wake(WORKER_STORE);
	}
}

void
flush_shmem_init(TikvShmem *shmem)
{
	pg_atomic_init_u64(&shmem->flush.wanted, 0);
	pg_atomic_init_u32(&shmem->flush.running, 0);
	pg_atomic_init_u32(&shmem->flush.sleeping, 0);
	shmem->flush.latch = NULL;
}
