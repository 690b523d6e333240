/*
 * worker_common.c
 *	  The life of a worker outside of its work.
 *
 * Signals: each handler also writes to the worker's eventfd, for a worker
 * that serves gRPC sleeps in gRPC's poller and not on its latch.  SIGTERM
 * only sets a flag, so that the worker's loop can answer what is in hand
 * before it ends.
 *
 * The database: a worker that names one in vain dies with FATAL, every
 * second.  So it says in shared memory that it is connecting; its successor,
 * finding that mark, connects to no database, waits until the one it needs
 * exists, and ends to be started again.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "build_id.h"
#include "build_id_text.h"
#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "guc.h"
#include "server/helper.h"
#include "worker_common.h"

PG_MODULE_MAGIC;

#define MAX_AUTOMATIC_MEMORY ((size_t) 2 << 30)
#define MIN_AUTOMATIC_MEMORY ((size_t) 256 << 20)
#define LOOK_INTERVAL_MS 1000
#define LOOK_AT_PARENT_US INT64CONST(100000)

/* What a worker asks for, if the hard limit allows it. */
#define MAX_DESCRIPTORS 65536

/* How long a helper thread that failed waits for the main thread's end. */
#define HELPER_PATIENCE_MS 10000

/* For the signal handlers. */
static WorkerKind self_kind;

/* ---------------------------------------------------------------- signals */

static void
on_sigterm(SIGNAL_ARGS)
{
	SignalHandlerForShutdownRequest(postgres_signal_arg);
	worker_wake_self(self_kind);
}

static void
on_sighup(SIGNAL_ARGS)
{
	SignalHandlerForConfigReload(postgres_signal_arg);
	worker_wake_self(self_kind);
}

static void
on_sigusr1(SIGNAL_ARGS)
{
	procsignal_sigusr1_handler(postgres_signal_arg);
	worker_wake_self(self_kind);
}

bool
worker_should_stop(void)
{
	return ShutdownRequestPending;
}

/* ------------------------------------------------------- broken invariants */

static void
wake_main_thread(void)
{
	worker_wake_self(self_kind);
}

/*
 * A broken invariant ends this process alone: its successor starts from what
 * is durable.
 */
static void
check_failed_fatal(const char *expr, const char *file, int line)
{
	HelperFailure failure = {.expr = expr, .file = file, .line = line};

	if (!helper_is_main_thread())
		helper_failed(&failure, wake_main_thread, HELPER_PATIENCE_MS);
	ereport(FATAL,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("%s: broken invariant %s at %s:%d",
							 worker_name(self_kind), expr, file, line)));
}

static void
end_for_helpers(void)
{
	HelperFailure failure;

	if (helper_has_failed(&failure))
		check_failed_fatal(failure.expr, failure.file, failure.line);
}

/* --------------------------------------------------------------- settings */

/*
 * Why the server's settings do not allow to promise durability, or are not what
 * somebody has asked for; or NULL.
 */
static const char *
unsafe_settings(void)
{
	if (tikv_fdw_settings.refused[0] != '\0')
		return tikv_fdw_settings.refused;
	if (tikv_fdw_settings.allow_unsafe)
		return NULL;
	if (!enableFsync)
		return "fsync is off: an acknowledged write could be lost; turn it on, or set tikv.allow_unsafe";
	if (!fullPageWrites)
		return "full_page_writes is off: a crash could corrupt the data; turn it on, or set tikv.allow_unsafe";
	return NULL;
}

/*
 * The session's settings, whatever the user's defaults say.  PGC_S_OVERRIDE
 * outlasts a reload.
 */
static void
pin_settings(void)
{
	static const char *const pins[][2] =
	{ {"synchronous_commit", "local"},
	  {"default_transaction_isolation", "read committed"},
	  {"default_transaction_read_only", "off"},
	  {"default_transaction_deferrable", "off"},
	  {"statement_timeout", "0"},
	  {"lock_timeout", "0"},
	  {"idle_in_transaction_session_timeout", "0"},
	  {"idle_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
	  {"transaction_timeout", "0"},
#endif
	  {"search_path", "pg_catalog"},
	  {"row_security", "off"},
	  {"session_replication_role", "origin"},
	};

	for (int i = 0; i < (int) lengthof(pins); i++)
		SetConfigOption(pins[i][0], pins[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Postgres looks at the pipe when the signal of its parent's death says so.  A
 * backend that was just forked may still hold the pipe open at that moment, and
 * nobody says so again: so the pipe is looked at now and then without.
 */
static bool
postmaster_lives(void)
{
	static int64 looked_us;
	int64 now_us = board_now_us();

	if (now_us - looked_us < LOOK_AT_PARENT_US)
		return PostmasterIsAlive();
	looked_us = now_us;
	return PostmasterIsAliveInternal();
}

void
worker_handle_interrupts(void)
{
	FAILPOINTS_READ();
	/* Without the postmaster nobody may serve, lest a second one does. */
	if (!postmaster_lives())
		proc_exit(1);
	end_for_helpers();
	CHECK_FOR_INTERRUPTS();
	if (catchupInterruptPending)
		ProcessCatchupInterrupt();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		if (unsafe_settings() != NULL)
		{
			worker_report(self_kind, WORKER_STOPPING, unsafe_settings(), "");
			ereport(FATAL,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("%s stops serving", worker_name(self_kind)),
					 errdetail_internal("%s", unsafe_settings())));
		}
	}
}

/* ----------------------------------------------------------------- waiting */

/* Take the counter down to zero; it says nothing but "wake up". */
static void
drain_wake_fd(int fd)
{
	uint64 count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void) got;
}

void
worker_sleep(WorkerKind kind, long timeout_ms)
{
	int fd = worker_wake_fd(kind);
	int events;

	worker_sleep_begin(kind);
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_TIMEOUT | WL_SOCKET_READABLE |
								   WL_EXIT_ON_PM_DEATH,
							   fd, timeout_ms, PG_WAIT_EXTENSION);
	worker_sleep_end(kind);
	if (events & WL_SOCKET_READABLE)
		drain_wake_fd(fd);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	worker_handle_interrupts();
}

/* Sleep before the next look at what is missing; ends the process on SIGTERM. */
static void
wait_for_change(WorkerKind kind, const char *reason)
{
	worker_report(kind, WORKER_WAITING, reason, "");
	pgstat_report_activity(STATE_IDLE, reason);
	if (!worker_should_stop())
		worker_sleep(kind, LOOK_INTERVAL_MS);
	if (worker_should_stop())
		proc_exit(1);
}

/*
 * As worker_handle_interrupts and wait_for_change, but for a server that may
 * become safe by a reload.
 */
static void
wait_for_safe_settings(WorkerKind kind)
{
	while (unsafe_settings() != NULL)
	{
		char reason[256];

		strlcpy(reason, unsafe_settings(), sizeof(reason));
		worker_report(kind, WORKER_WAITING, reason, "");
		pgstat_report_activity(STATE_IDLE, reason);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (worker_should_stop())
			proc_exit(1);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

static bool
database_exists(void)
{
	Oid oid;

	StartTransactionCommand();
	oid = get_database_oid(tikv_fdw_settings.database, true);
	CommitTransactionCommand();
	return OidIsValid(oid);
}

/* The way of a successor whose predecessor could not connect. */
static void
wait_for_database(WorkerKind kind)
{
	char reason[256];

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	snprintf(
		reason, sizeof(reason),
		"database \"%s\" (tikv.database) does not exist or cannot be connected to",
		tikv_fdw_settings.database);

	/* At least once: it may exist and refuse connections. */
	do
		wait_for_change(kind, reason);
	while (!database_exists());
	proc_exit(1);
}

static void
connect_to_database(WorkerKind kind)
{
	WorkerSlot *slot = &tikv_shmem()->workers[kind];

	if (slot->connecting)
	{
		slot->connecting = false;
		wait_for_database(kind);
	}
	slot->connecting = true;
	BackgroundWorkerInitializeConnection(tikv_fdw_settings.database, NULL, 0);
	slot->connecting = false;
}

/* --------------------------------------------------------- start and stop */

static void
leave_slot(int code, Datum kind)
{
	(void) code;
	worker_leave((WorkerKind) DatumGetInt32(kind));
}

/*
 * A server of thousands of connections needs as many descriptors.  The usual
 * soft limit of 1,024 protects programs that use select(); this process uses
 * none.  Postgres's own use of files is bounded by its own count.
 */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ?
		MAX_DESCRIPTORS :
		Min(limit.rlim_max, MAX_DESCRIPTORS);
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		ereport(LOG,
				(errmsg("%s could not raise its limit of open files: %m",
						worker_name(self_kind))));
}

void
worker_startup(WorkerKind kind)
{
	/* Before anything of tikv_fdw's is looked at. */
	if (strcmp(tikv_fdw_build, TIKV_BUILD_ID) != 0)
		tikv_fdw_refuse_worker(TIKV_BUILD_ID);
	if (tikv_shmem() == NULL)
		ereport(
			FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("tikv_fdw must be loaded via shared_preload_libraries")));
	self_kind = kind;
	FAILPOINTS_READ();
	raise_descriptor_limit();
	pqsignal(SIGTERM, on_sigterm);
	pqsignal(SIGHUP, on_sighup);
	pqsignal(SIGUSR1, on_sigusr1);
	pqsignal(SIGINT, SIG_IGN); /* there is no statement to cancel */
	BackgroundWorkerUnblockSignals();
	check_set_hook(check_failed_fatal);
	worker_enter(kind);
	metrics_begin(kind);
	before_shmem_exit(leave_slot, Int32GetDatum(kind));
	connect_to_database(kind);
	pin_settings();
	wait_for_safe_settings(kind);
}

/* False with the reason to wait, if there is another than its absence. */
static bool
find_extension(TableOids *tables, char *reason, Size size)
{
	const char *wrong = NULL;
	TablesAnswer answer;

	StartTransactionCommand();
	answer = tables_resolve_nowait(tables);
	if (answer == TABLES_MISSING)
		wrong = tables_wrong_version(tables);
	if (wrong != NULL)
		strlcpy(reason, wrong, size);
	else
		snprintf(reason, size,
				 "waiting for CREATE EXTENSION tikv_fdw in database \"%s\"",
				 tikv_fdw_settings.database);
	CommitTransactionCommand();
	return answer == TABLES_OK;
}

void
worker_wait_for_extension(WorkerKind kind, TableOids *tables)
{
	char reason[256];

	while (!worker_should_stop())
	{
		if (find_extension(tables, reason, sizeof(reason)))
		{
			worker_report(kind, WORKER_STARTING, "", "");
			pgstat_report_activity(STATE_IDLE, "");
			return;
		}
		worker_report(kind, WORKER_WAITING, reason, "");
		pgstat_report_activity(STATE_IDLE, reason);
		worker_sleep(kind, LOOK_INTERVAL_MS);
	}
	memset(tables, 0, sizeof(*tables));
}

/* ---------------------------------------------------------------- counters */

/* What the server's own threads have done is told here. */
static void
tell_ended(const ServerCounters *counters)
{
	static uint64 told;

	if (counters->ended == told)
		return;
	ereport(
		LOG,
		(errmsg(
			 "%s: a connection that opened and gave up calls without end was closed",
			 worker_name(self_kind)),
		 errdetail("Peer %s; %llu connections since the worker began.",
				   counters->last_ended,
				   (unsigned long long) counters->ended)));
	told = counters->ended;
}

/* -1 is a quarter of the machine's, 2 GB at most. */
size_t
worker_memory_limit(void)
{
	size_t all =
		(size_t) sysconf(_SC_PHYS_PAGES) * (size_t) sysconf(_SC_PAGESIZE);

	if (tikv_fdw_settings.memory_limit_mb >= 0)
		return (size_t) tikv_fdw_settings.memory_limit_mb << 20;
	return Max(Min(all / 4, MAX_AUTOMATIC_MEMORY), MIN_AUTOMATIC_MEMORY);
}

void
worker_count_server(const ServerCounters *counters, size_t unsent_bytes)
{
	tell_ended(counters);
	metrics_set(VALUE_GRPC_ENDED, counters->ended);
	metrics_set(VALUE_GRPC_CALLS, counters->calls);
	metrics_set(VALUE_GRPC_MESSAGES, counters->messages);
	metrics_set(VALUE_GRPC_REFUSED, counters->refused);
	metrics_set(VALUE_GRPC_RECEIVED_BYTES, counters->received_bytes);
	metrics_set(VALUE_GRPC_SENT_BYTES, counters->sent_bytes);
	metrics_set(VALUE_GRPC_STREAMS, counters->open_streams);
	metrics_set(VALUE_GRPC_IN_FLIGHT, counters->inflight);
	metrics_set(VALUE_GRPC_UNSENT_BYTES, unsent_bytes);
}
