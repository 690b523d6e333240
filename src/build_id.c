/*
 * build_id.c
 *	  What tikv_fdw does with a worker whose library is of another build.
 *
 * Linked into tikv_fdw only: it knows the shared memory that is there.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "build_id.h"
#include "build_id_text.h"
#include "bus/shmem.h"

/* The right library may be back by then: a restart of the worker finds it. */
#define PATIENCE_MS 60000

const char tikv_fdw_build[] = TIKV_BUILD_ID;

/* Kinds may have other numbers in the other build; names are for users. */
static WorkerKind
kind_of_this_worker(void)
{
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		if (strcmp(worker_name((WorkerKind) i), MyBgworkerEntry->bgw_name) == 0)
			return (WorkerKind) i;
	}
	ereport(FATAL,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("\"%s\" is no worker of tikv_fdw",
							 MyBgworkerEntry->bgw_name)));
}

static void
wait_to_be_stopped(void)
{
	TimestampTz end =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);
	long left_ms;

	while (!ShutdownRequestPending &&
		   (left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  end)) > 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left_ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
tikv_fdw_refuse_worker(const char *build)
{
	WorkerKind kind = kind_of_this_worker();
	WorkerView before;
	char reason[256];

	snprintf(
		reason, sizeof(reason),
		"its library is of build %s, the server was started with %s: restart the server",
		build, tikv_fdw_build);
	(void) worker_view(kind, &before);
	if (strcmp(before.reason, reason) != 0)
		ereport(
			LOG,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s does not start with a library of another build",
					worker_name(kind)),
			 errdetail(
				 "The server was started with build %s of tikv_fdw; the library that is installed now is of build %s.",
				 tikv_fdw_build, build),
			 errhint(
				 "Restart the server, and run ALTER EXTENSION tikv_fdw UPDATE if the version has changed.")));
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	worker_enter(kind);
	worker_report(kind, WORKER_WAITING, reason, "");
	wait_to_be_stopped();
	worker_leave(kind);
	proc_exit(1);
}
