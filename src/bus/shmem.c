/*
 * shmem.c
 *	  The main shared memory of the extension, and the workers' slots in it.
 *
 * The postmaster makes everything here at preload and again after a crash of
 * a child, which throws all shared memory away; only the eventfds outlive
 * that, since they are the postmaster's own.  What the pieces hold is their
 * files' business: bus.c, board.c, tso_shared.c, places.c,
 * lock_table.c, sql_txns.c, grants.c, sql_commits.c.
 */
#include "postgres.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/lock_table.h"
#include "bus/metrics.h"
#include "bus/places.h"
#include "bus/flush.h"
#include "bus/grants.h"
#include "bus/sql_commits.h"
#include "bus/shmem.h"
#include "bus/sql_txns.h"
#include "bus/tso_shared.h"

static shmem_request_hook_type prev_shmem_request_hook;
static shmem_startup_hook_type prev_shmem_startup_hook;

/* The postmaster's own memory: it survives crash restarts. */
static int wake_fds[WORKER_KINDS];
static bool registered[WORKER_KINDS];

/* --------------------------------------------------------------- creation */

static void
request_shmem(void)
{
	if (prev_shmem_request_hook != NULL)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(TikvShmem)));
	RequestAddinShmemSpace(MAXALIGN(bus_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(board_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(tso_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(places_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(lock_table_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(metrics_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(sql_txns_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(grants_shmem_size()));
	RequestAddinShmemSpace(MAXALIGN(sql_commits_shmem_size()));
}

static void
init_worker_slots(TikvShmem *shmem)
{
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		WorkerSlot *slot = &shmem->workers[i];

		memset(slot, 0, sizeof(*slot));
		SpinLockInit(&slot->mutex);
		pg_atomic_init_u32(&slot->sleeping, 0);
		slot->wake_fd = wake_fds[i];
		slot->registered = registered[i];
		slot->since = GetCurrentTimestamp();
	}
}

static void
startup_shmem(void)
{
	TikvShmem *shmem;
	bool found;

	if (prev_shmem_startup_hook != NULL)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shmem = ShmemInitStruct("tikv_fdw", sizeof(TikvShmem), &found);
	if (!found)
	{
		memset(shmem, 0, sizeof(*shmem));
		init_worker_slots(shmem);
		pg_atomic_init_u64(&shmem->extension_generation, 0);
		flush_shmem_init(shmem);
		pg_atomic_init_u64(&shmem->table_cut_until_us, 0);
		pg_atomic_init_u64(&shmem->table_cuts, 0);
		for (int i = 0; i < STUCK_REGIONS; i++)
			pg_atomic_init_u64(&shmem->stuck_regions[i], 0);
		pg_atomic_init_u32(&shmem->n_stuck, 0);
		pg_atomic_init_u32(&shmem->reindexing, 0);
		for (int i = 0; i < TASK_COUNTERS; i++)
			pg_atomic_init_u64(&shmem->tasks[i], 0);
	}
	bus_shmem_init(shmem, found);
	board_shmem_init(shmem, found);
	tso_shmem_init(shmem, found);
	places_shmem_init(shmem, found);
	lock_table_shmem_init(shmem, found);
	metrics_shmem_init(shmem, found);
	sql_txns_shmem_init(shmem, found);
	grants_shmem_init(shmem, found);
	sql_commits_shmem_init(shmem, found);
	LWLockRelease(AddinShmemInitLock);
	tikv_fdw_shmem = shmem;
}

/*
 * One eventfd per worker, made before any fork so that its number means the
 * same in every process.
 */
static void
make_wake_fds(void)
{
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		wake_fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (wake_fds[i] < 0)
			ereport(FATAL,
					(errcode_for_file_access(),
					 errmsg("could not create an eventfd: %m")));
		ReserveExternalFD();
	}
}

void
shmem_install(void)
{
	make_wake_fds();
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

void
shmem_note_registered(WorkerKind kind)
{
	registered[kind] = true;
}

TikvShmem *
tikv_shmem(void)
{
	return tikv_fdw_shmem;
}

int
tikv_server_workers(void)
{
	TikvShmem *shmem = tikv_shmem();
	int n = 0;

	for (int i = 0; shmem != NULL && i < TIKV_MAX_SERVERS; i++)
		n += shmem->workers[WORKER_SERVER + i].registered;
	return n;
}

/* ----------------------------------------------------------------- waking */

/* Async-signal safe; a full counter is as good as one more wake-up. */
static void
write_wake_fd(int fd)
{
	uint64 one = 1;
	int saved = errno;
	ssize_t written = write(fd, &one, sizeof(one));

	(void) written;
	errno = saved;
}

void
worker_wake(WorkerKind kind)
{
	TikvShmem *shmem = tikv_shmem();
	WorkerSlot *slot;

	if (shmem == NULL)
		return;
	slot = &shmem->workers[kind];
	pg_memory_barrier();

	/* Of many wakers one pays for the system call. */
	if (pg_atomic_read_u32(&slot->sleeping) != 0 &&
		pg_atomic_exchange_u32(&slot->sleeping, 0) != 0)
		write_wake_fd(slot->wake_fd);
}

void
worker_wake_all(void)
{
	for (int i = 0; i < WORKER_KINDS; i++)
		worker_wake((WorkerKind) i);
}

void
worker_wake_self(WorkerKind kind)
{
	if (tikv_fdw_shmem != NULL)
		write_wake_fd(tikv_fdw_shmem->workers[kind].wake_fd);
}

int
worker_wake_fd(WorkerKind kind)
{
	TikvShmem *shmem = tikv_shmem();

	return shmem == NULL ? -1 : shmem->workers[kind].wake_fd;
}

void
worker_sleep_begin(WorkerKind kind)
{
	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	pg_atomic_write_u32(&tikv_shmem()->workers[kind].sleeping, 1);
	pg_memory_barrier();
}

void
worker_sleep_end(WorkerKind kind)
{
	pg_atomic_write_u32(&tikv_shmem()->workers[kind].sleeping, 0);
	pgstat_report_wait_end();
}

/* ----------------------------------------------------------------- states */

/* Bytes of a text that fit, whole characters only; also of one cut before. */
static Size
fitting(const char *text, Size size)
{
	Size len = text == NULL ? 0 : strlen(text);

	if (len == 0)
		return 0;
	return (Size) pg_mbcliplen(text, (int) len, (int) Min(len, size - 1));
}

/* Returns the state it had. */
static WorkerState
set_state(WorkerSlot *slot, WorkerState state, const char *reason,
		  const char *address)
{
	TimestampTz now = GetCurrentTimestamp();
	Size reason_len = fitting(reason, sizeof(slot->reason));
	WorkerState before;

	SpinLockAcquire(&slot->mutex);
	before = slot->state;
	if (before != state)
		slot->since = now;
	slot->state = state;
	slot->fenced &= state != WORKER_SERVING;
	if (reason != NULL)
		strlcpy(slot->reason, reason, reason_len + 1);
	if (address != NULL)
		strlcpy(slot->address, address, sizeof(slot->address));
	SpinLockRelease(&slot->mutex);
	return before;
}

static void
set_pid(WorkerSlot *slot, int pid)
{
	SpinLockAcquire(&slot->mutex);
	slot->pid = pid;
	SpinLockRelease(&slot->mutex);
}

void
worker_enter(WorkerKind kind)
{
	WorkerSlot *slot = &tikv_shmem()->workers[kind];

	pg_atomic_write_u32(&slot->sleeping, 0);
	bus_worker_reset(kind);
	set_pid(slot, MyProcPid);
	for (int about = 0; about < WORKER_NOTE_DAMAGE; about++)
		worker_note(kind, about, "");
	(void) set_state(slot, WORKER_STARTING, NULL, "");
}

/*
 * A worker that said why it ends is waited for by those who read the reason:
 * the postmaster tries it again.  The reason outlasts the next start, until
 * the successor knows better.
 */
void
worker_leave(WorkerKind kind)
{
	WorkerSlot *slot = &tikv_shmem()->workers[kind];
	bool explained = slot->reason[0] != '\0';

	set_pid(slot, 0);
	(void) set_state(slot, explained ? WORKER_WAITING : WORKER_DOWN,
					 explained ? NULL : "it ended; the server log says why",
					 "");
	bus_worker_reset(kind);
}

void
worker_report(WorkerKind kind, WorkerState state, const char *reason,
			  const char *address)
{
	WorkerState before =
		set_state(&tikv_shmem()->workers[kind], state, reason, address);

	bus_worker_open(kind, state == WORKER_SERVING);

	/* Others may be waiting for just this, or lean on it. */
	if ((state == WORKER_SERVING) != (before == WORKER_SERVING))
		worker_wake_all();
}

void
worker_note(WorkerKind kind, WorkerNote about, const char *text)
{
	WorkerSlot *slot = &tikv_shmem()->workers[kind];
	char *note = slot->notes[about];
	Size len = fitting(text, sizeof(slot->notes[about]));

	SpinLockAcquire(&slot->mutex);
	strlcpy(note, text, len + 1);
	SpinLockRelease(&slot->mutex);
}

/* With the slot's lock held. */
static void
add_notes(const WorkerSlot *slot, WorkerView *out)
{
	for (int about = 0; about < WORKER_NOTES; about++)
	{
		if (slot->notes[about][0] == '\0')
			continue;
		if (out->note[0] != '\0')
			strlcat(out->note, "; ", sizeof(out->note));
		strlcat(out->note, slot->notes[about], sizeof(out->note));
	}
}

void
worker_fence(WorkerKind kind)
{
	WorkerSlot *slot = &tikv_shmem()->workers[kind];

	SpinLockAcquire(&slot->mutex);
	slot->fenced = true;
	SpinLockRelease(&slot->mutex);
}

bool
worker_view(WorkerKind kind, WorkerView *out)
{
	TikvShmem *shmem = tikv_shmem();
	WorkerSlot *slot;

	memset(out, 0, sizeof(*out));
	if (shmem == NULL)
		return false;
	slot = &shmem->workers[kind];
	SpinLockAcquire(&slot->mutex);
	out->pid = slot->pid;
	out->registered = slot->registered;
	out->fenced = slot->fenced;
	out->state = slot->state;
	out->since = slot->since;
	memcpy(out->reason, slot->reason, sizeof(out->reason));
	add_notes(slot, out);
	memcpy(out->address, slot->address, sizeof(out->address));
	SpinLockRelease(&slot->mutex);
	return true;
}

const char *
worker_view_reason(const WorkerView *view)
{
	if (view->state == WORKER_SERVING && view->reason[0] == '\0')
		return view->note;
	return view->reason;
}

const char *
worker_name(WorkerKind kind)
{
	static const char *const names[WORKER_KINDS] = {
		[WORKER_STORE] = "tikv store",
		[WORKER_PD] = "tikv pd",
		[WORKER_SERVER] = "tikv server 1",
		[WORKER_SERVER + 1] = "tikv server 2",
		[WORKER_SERVER + 2] = "tikv server 3",
		[WORKER_SERVER + 3] = "tikv server 4",
		[WORKER_STATUS] = "tikv status",
		[WORKER_READER] = "tikv reader 1",
		[WORKER_READER + 1] = "tikv reader 2",
		[WORKER_READER + 2] = "tikv reader 3",
		[WORKER_READER + 3] = "tikv reader 4",
	};

	return names[kind];
}

const char *
worker_state_name(WorkerState state)
{
	static const char *const names[] = {
		[WORKER_DOWN] = "down",			[WORKER_STARTING] = "starting",
		[WORKER_WAITING] = "waiting",	[WORKER_SERVING] = "serving",
		[WORKER_STOPPING] = "stopping",
	};

	return names[state];
}
