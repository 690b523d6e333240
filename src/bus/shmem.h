/*
 * shmem.h
 *	  The one piece of main shared memory, and how sleeping workers are woken.
 *
 * A worker that serves gRPC sleeps inside gRPC's poller, where a Postgres
 * latch does not reach it.  So every worker has an eventfd, made by the
 * postmaster before any fork and inherited by all children: anyone may write
 * to it, and a helper thread of the worker (src/server/waker.c) turns that
 * into an event of the completion queue.  WorkerSlot.sleeping keeps the
 * system call away while the worker is awake.
 */
#ifndef TIKV_BUS_SHMEM_H
#define TIKV_BUS_SHMEM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "bus/tasks.h"
#include "storage/spin.h"

#define TIKV_MAX_SERVERS 4
#define TIKV_MAX_READERS 4

/* The long-lived workers; also the endpoints of the bus. */
typedef enum WorkerKind
{
	WORKER_STORE = 0,
	WORKER_PD,
	WORKER_SERVER, /* TIKV_MAX_SERVERS slots from here */
	WORKER_STATUS = WORKER_SERVER + TIKV_MAX_SERVERS,
	WORKER_READER, /* TIKV_MAX_READERS slots from here */
	WORKER_KINDS = WORKER_READER + TIKV_MAX_READERS
} WorkerKind;

typedef enum WorkerState
{
	WORKER_DOWN = 0, /* no process */
	WORKER_STARTING,
	WORKER_WAITING, /* something is missing: see reason */
	WORKER_SERVING,
	WORKER_STOPPING
} WorkerState;

/*
 * What notes are about, each beside the others.  The last two outlast the
 * worker's next start: damage does not go away, and may be what ended the last.
 */
typedef enum WorkerNote
{
	WORKER_NOTE_TLS,
	WORKER_NOTE_LEADER,
	WORKER_NOTE_DISK,
	WORKER_NOTE_STALLED,
	WORKER_NOTE_DAMAGE,
	WORKER_NOTE_STUCK,
	WORKER_NOTES
} WorkerNote;

typedef struct WorkerSlot
{
	slock_t mutex;	 /* guards the plain fields */
	int pid;		 /* 0: none */
	bool registered; /* the postmaster was asked to run it */
	bool connecting; /* died while connecting: see worker_common.c */
	bool fenced;	 /* its data are a copy, or were rolled back */
	int wake_fd;	 /* eventfd, the same number in every process */
	WorkerState state;
	TimestampTz since;			   /* when it entered that state */
	char reason[256];			   /* why it waits or is down; else empty */
	char address[128];			   /* where it listens; else empty */
	char notes[WORKER_NOTES][256]; /* what is amiss while it serves */
	pg_atomic_uint32 sleeping;	   /* 1: must be woken by its eventfd */
} WorkerSlot;

typedef struct BusShared BusShared;
typedef struct BoardShared BoardShared;
typedef struct TsoShared TsoShared;
typedef struct PlaceShared PlaceShared;
typedef struct LockShared LockShared;
typedef struct MetricsShared MetricsShared;
typedef struct SqlTxnShared SqlTxnShared;
typedef struct GrantsShared GrantsShared;
typedef struct CommitsShared CommitsShared;

/* Of `tikv flush` (flush.h). */
typedef struct FlushShared
{
	pg_atomic_uint64 wanted; /* the WAL is to be flushed up to here */
	pg_atomic_uint32 running;
	pg_atomic_uint32 sleeping; /* 1: must be woken by its latch */
	struct Latch *latch;
} FlushShared;

/*
 * More than these keep their store from staying up.  The rows of one block may
 * be of as many regions, three hundred.
 */
#define STUCK_REGIONS 1024

typedef struct TikvShmem
{
	WorkerSlot workers[WORKER_KINDS];
	/* Bumped at the commit of CREATE EXTENSION, so that workers look again. */
	pg_atomic_uint64 extension_generation;
	BusShared *bus;
	BoardShared *board;
	TsoShared *tso;
	PlaceShared *places;
	LockShared *locks;
	MetricsShared *metrics;
	SqlTxnShared *sql_txns;
	GrantsShared *grants;
	CommitsShared *commits;
	pg_atomic_uint64 tasks[TASK_COUNTERS];
	pg_atomic_uint64 stuck_regions[STUCK_REGIONS]; /* damage.h */
	pg_atomic_uint32 n_stuck;
	pg_atomic_uint32 reindexing;		 /* reindex.h: 1 while somebody does */
	pg_atomic_uint64 table_cut_until_us; /* table_cut.h; 0: nothing is cut */
	pg_atomic_uint64 table_cuts;		 /* that have begun */
	FlushShared flush;
} TikvShmem;

/*
 * The one pointer to it, owned and exported by tikv_fdw (main.c) and found by
 * tikv_worker at load time, as with the settings.
 */
extern PGDLLEXPORT TikvShmem *tikv_fdw_shmem;

/* Called by _PG_init in the postmaster: hooks, sizes, eventfds. */
extern void shmem_install(void);

/* Called by _PG_init before the memory exists: this worker will be run. */
extern void shmem_note_registered(WorkerKind kind);

/* Is this one of the `tikv server` processes? */
static inline bool
worker_is_server(WorkerKind kind)
{
	return kind >= WORKER_SERVER && kind < WORKER_SERVER + TIKV_MAX_SERVERS;
}

/* Is this one of the `tikv reader` processes? */
static inline bool
worker_is_reader(WorkerKind kind)
{
	return kind >= WORKER_READER && kind < WORKER_READER + TIKV_MAX_READERS;
}

/* How many `tikv server` processes the postmaster was asked to run. */
extern int tikv_server_workers(void);

/* The shared state; NULL when the library was not preloaded. */
extern TikvShmem *tikv_shmem(void);

/* Wake a worker if it sleeps; a full memory barrier precedes the look. */
extern void worker_wake(WorkerKind kind);
extern void worker_wake_all(void);

/*
 * Around a worker's sleep.  After worker_sleep_begin the worker looks once
 * more for work (bus_pending and its own queues) and sleeps only if there is
 * none; who brings work later finds it marked asleep.  Between the two,
 * pg_stat_activity has the wait event Extension, and no Postgres lock is held.
 */
extern void worker_sleep_begin(WorkerKind kind);
extern void worker_sleep_end(WorkerKind kind);

/* Wake this process's own worker from a signal handler. */
extern void worker_wake_self(WorkerKind kind);

/* A worker process enters (STARTING) and leaves (DOWN, WAITING) its slot. */
extern void worker_enter(WorkerKind kind);
extern void worker_leave(WorkerKind kind);

/* The eventfd of a worker, for its own wait; -1 without preload. */
extern int worker_wake_fd(WorkerKind kind);

/*
 * Publish this worker's state; reason and address may be NULL (unchanged).
 * Only a SERVING worker is sent requests over the bus.
 */
extern void worker_report(WorkerKind kind, WorkerState state,
						  const char *reason, const char *address);

/*
 * Say what is amiss while this worker serves, whatever else it reports; "":
 * nothing.
 */
extern void worker_note(WorkerKind kind, WorkerNote about, const char *text);

/*
 * It found that its data are a copy of others that are in use, or were rolled
 * back.  That stands until it serves.
 */
extern void worker_fence(WorkerKind kind);

/* A copy of a worker's plain fields, without the mutex. */
typedef struct WorkerView
{
	int pid;
	bool registered;
	bool fenced;
	WorkerState state;
	TimestampTz since;
	char reason[256];
	char note[WORKER_NOTES * 258]; /* all that is amiss while it serves */
	char address[128];
} WorkerView;

/* False without preload. */
extern bool worker_view(WorkerKind kind, WorkerView *out);

/* What is said of it: why it waits or is down, or what is amiss; or "". */
extern const char *worker_view_reason(const WorkerView *view);

/*
 * Without a leader for so long, two election timeouts, is no election: then it
 * is said what is amiss.
 */
#define LEADERLESS_US INT64CONST(6000000)

extern const char *worker_name(WorkerKind kind);
extern const char *worker_state_name(WorkerState state);

#endif /* TIKV_BUS_SHMEM_H */
