/*
 * main.c
 *	  What happens when Postgres loads tikv_fdw: settings, shared memory, and
 *	  the registration of the workers.
 *
 * A backend that loads the library without preload (to show tikv_status, or
 * to restore a dump) gets the settings and nothing else.  The workers'
 * code is in tikv_worker, so that neither the postmaster nor a backend maps
 * gRPC.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/bgworker_internals.h"

#include "bus/shmem.h"
#include "fdw/fdw.h"
#include "guc.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

TikvShmem *tikv_fdw_shmem;

#define WORKER_LIBRARY "tikv_worker"
#define STATUS_LIBRARY "tikv_status"
#define RESTART_SECONDS 1

/* The workers without which nothing is served. */
#define ESSENTIAL_WORKERS 2

static void
register_worker(WorkerKind kind, const char *function, int argument)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	worker.bgw_main_arg = Int32GetDatum(argument);
	strlcpy(worker.bgw_library_name,
			kind == WORKER_STATUS ? STATUS_LIBRARY : WORKER_LIBRARY,
			sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function,
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, worker_name(kind), sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type,
			worker_is_server(kind)	   ? "tikv server" :
				worker_is_reader(kind) ? "tikv reader" :
										 worker_name(kind),
			sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
	shmem_note_registered(kind);
}

/* Workers that others have registered already: the pool is shared. */
static int
taken_worker_slots(void)
{
	int n = 0;

#if PG_VERSION_NUM >= 180000
	dlist_iter iter;

	dlist_foreach (iter, &BackgroundWorkerList)
		n++;
#else
	slist_iter iter;

	slist_foreach (iter, &BackgroundWorkerList)
		n++;
#endif
	return n;
}

static int
wanted_servers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (tikv_fdw_settings.server_workers >= 0)
		return tikv_fdw_settings.server_workers;
	return cores <= 2 ? 0 : (int) Min(cores - 1, TIKV_MAX_SERVERS);
}

/* As many servers as there is room for, after the essential workers. */
static int
affordable_servers(int wanted)
{
	int room = max_worker_processes - taken_worker_slots();
	int servers = Min(wanted, Max(room - ESSENTIAL_WORKERS, 0));

	if (room < ESSENTIAL_WORKERS)
		ereport(
			WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg(
				 "tikv_fdw cannot run: it needs %d background workers and max_worker_processes leaves room for %d",
				 ESSENTIAL_WORKERS, Max(room, 0)),
			 errhint("Set max_worker_processes to at least %d and restart.",
					 max_worker_processes - room + ESSENTIAL_WORKERS +
						 wanted)));
	else if (servers < wanted)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("tikv_fdw runs with %d instead of %d server workers",
						servers, wanted),
				 errdetail("max_worker_processes is %d.", max_worker_processes),
				 errhint("Set max_worker_processes to at least %d and restart.",
						 max_worker_processes - room + ESSENTIAL_WORKERS +
							 wanted)));
	return servers;
}

/* Nobody is served by it, so it is the first to go without. */
static void
register_status(int room)
{
	if (tikv_fdw_settings.status_addr[0] == '\0')
		return;
	if (room >= 1)
		register_worker(WORKER_STATUS, "tikv_status_main", 0);
	else
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("tikv_fdw runs without its status port"),
				 errdetail("max_worker_processes is %d.", max_worker_processes),
				 errhint("Set max_worker_processes to at least %d and restart.",
						 max_worker_processes - room + 1)));
}

/* Readers come after everything else: others can do their work. */
static void
register_readers(int room)
{
	int wanted = tikv_fdw_settings.readers;
	int n = Min(wanted, Max(room, 0));

	for (int i = 0; i < n; i++)
		register_worker((WorkerKind) (WORKER_READER + i), "tikv_reader_main",
						i);
	if (n < wanted)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("tikv_fdw runs with %d instead of %d readers", n,
						wanted),
				 errdetail("max_worker_processes is %d.", max_worker_processes),
				 errhint("Set max_worker_processes to at least %d and restart.",
						 max_worker_processes - room + wanted)));
}

/*
 * A number of servers that was chosen here leaves room for the status port
 * and a reader within Postgres's default of 8 workers.
 */
static int
modest_servers(int room)
{
	int wanted = wanted_servers();
	int others = ESSENTIAL_WORKERS + tikv_fdw_settings.readers +
		(tikv_fdw_settings.status_addr[0] != '\0');

	if (tikv_fdw_settings.server_workers < 0)
		wanted = Min(wanted, Max(room - others, 0));
	return wanted;
}

static void
register_workers(void)
{
	int room = max_worker_processes - taken_worker_slots();
	int servers = affordable_servers(modest_servers(room));
	int left = room - ESSENTIAL_WORKERS - servers;

	if (room >= 1)
		register_worker(WORKER_STORE, "tikv_store_main", 0);
	if (room >= ESSENTIAL_WORKERS)
		register_worker(WORKER_PD, "tikv_pd_main", 0);
	for (int i = 0; i < servers; i++)
		register_worker((WorkerKind) (WORKER_SERVER + i), "tikv_server_main",
						i);
	register_status(left);
	register_readers(left - (tikv_fdw_settings.status_addr[0] != '\0'));
}

void
_PG_init(void)
{
	guc_define();
	lookup_join_install();

	/* pg_upgrade runs the server without preload meaning anything to us. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	shmem_install();
	register_workers();
}
