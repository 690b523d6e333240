/*
 * shims.c
 *	  What the bus and the board need of a server, for a program that is none.
 */
#include "postgres.h"

#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/s_lock.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/lock_table.h"
#include "bus/tso_shared.h"
#include "guc.h"
#include "shims.h"

#define CHUNKS 32
#define CHUNK_BYTES 65536

/* Of backends, for the grants. */
int MaxBackends = 16;

typedef struct Shared
{
	TikvShmem shmem;
	Latch latches[16];
	WorkerView views[WORKER_KINDS];
	pg_atomic_uint32 used[CHUNKS];
	uint8 chunks[CHUNKS][CHUNK_BYTES];
} Shared;

static Shared *shared;
static bool fail_next_chunk;

/* ------------------------------------------------------ the server's globals */

TikvSettings tikv_fdw_settings;
TikvShmem *tikv_fdw_shmem;
Latch *MyLatch;
int MyProcPid;
sigjmp_buf *PG_exception_stack;
ErrorContextCallback *error_context_stack;
MemoryContext CurrentMemoryContext;
MemoryContext TopMemoryContext;
volatile sig_atomic_t InterruptPending;

TikvShmem *
tikv_shmem(void)
{
	return tikv_fdw_shmem;
}

void
worker_wake(WorkerKind kind)
{
	(void) kind;
}

bool
worker_view(WorkerKind kind, WorkerView *out)
{
	*out = shared->views[kind];
	return true;
}

/* ------------------------------------------------------------ shared memory */

void *
shim_map(Size size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
						MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void *
ShmemInitStruct(const char *name, Size size, bool *found)
{
	(void) name;
	*found = false;
	return shim_map(size);
}

Size
add_size(Size a, Size b)
{
	return a + b;
}

Size
mul_size(Size a, Size b)
{
	return a * b;
}

int
s_lock(volatile slock_t *lock, const char *file, int line, const char *func)
{
	(void) file;
	(void) line;
	(void) func;
	while (TAS_SPIN(lock))
		usleep(1);
	return 0;
}

/* ------------------------------------------------------------------ the area */

struct dsa_area
{
	int unused;
};

static dsa_area the_area;

#if PG_VERSION_NUM >= 170000
dsa_area *
dsa_create_in_place_ext(void *place, size_t size, int tranche_id,
						dsm_segment *segment, size_t first_bytes,
						size_t most_bytes)
{
	(void) place;
	(void) size;
	(void) tranche_id;
	(void) segment;
	(void) first_bytes;
	(void) most_bytes;
	return &the_area;
}
#else
dsa_area *
dsa_create_in_place(void *place, size_t size, int tranche_id,
					dsm_segment *segment)
{
	(void) place;
	(void) size;
	(void) tranche_id;
	(void) segment;
	return &the_area;
}
#endif

dsa_area *
dsa_attach_in_place(void *place, dsm_segment *segment)
{
	(void) place;
	(void) segment;
	return &the_area;
}

size_t
dsa_minimum_size(void)
{
	return 4096;
}

void
dsa_pin(dsa_area *area)
{
	(void) area;
}

void
dsa_pin_mapping(dsa_area *area)
{
	(void) area;
}

void
dsa_detach(dsa_area *area)
{
	(void) area;
}

void
dsa_release_in_place(void *place)
{
	(void) place;
}

void
dsa_set_size_limit(dsa_area *area, size_t limit)
{
	(void) area;
	(void) limit;
}

/* A dsa_pointer is a chunk's number plus one. */
dsa_pointer
dsa_allocate_extended(dsa_area *area, size_t size, int flags)
{
	(void) area;
	(void) flags;
	if (fail_next_chunk)
	{
		fail_next_chunk = false;
		pg_re_throw();
	}
	for (int i = 0; size <= CHUNK_BYTES && i < CHUNKS; i++)
	{
		uint32 expected = 0;

		if (pg_atomic_compare_exchange_u32(&shared->used[i], &expected, 1))
			return (dsa_pointer) i + 1;
	}
	return InvalidDsaPointer;
}

void
dsa_free(dsa_area *area, dsa_pointer pointer)
{
	(void) area;
	if (pg_atomic_exchange_u32(&shared->used[pointer - 1], 0) != 1)
		abort();
}

void *
dsa_get_address(dsa_area *area, dsa_pointer pointer)
{
	(void) area;
	return shared->chunks[pointer - 1];
}

int
LWLockNewTrancheId(void)
{
	return 1;
}

void
LWLockRegisterTranche(int tranche_id, const char *name)
{
	(void) tranche_id;
	(void) name;
}

/*
 * Readers count up, a writer adds EXCLUSIVE.  Nobody queues: whoever comes
 * tries until it is let in.
 */
#define EXCLUSIVE ((uint32) 1 << 24)

void
LWLockInitialize(LWLock *lock, int tranche_id)
{
	lock->tranche = (uint16) tranche_id;
	pg_atomic_init_u32(&lock->state, 0);
}

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	for (;;)
	{
		uint32 seen = pg_atomic_read_u32(&lock->state);
		uint32 wanted = mode == LW_EXCLUSIVE ? EXCLUSIVE : seen + 1;

		if ((mode == LW_EXCLUSIVE ? seen == 0 : seen < EXCLUSIVE) &&
			pg_atomic_compare_exchange_u32(&lock->state, &seen, wanted))
			return true;
		sched_yield();
	}
}

void
LWLockRelease(LWLock *lock)
{
	if (pg_atomic_read_u32(&lock->state) >= EXCLUSIVE)
		pg_atomic_fetch_sub_u32(&lock->state, EXCLUSIVE);
	else
		pg_atomic_fetch_sub_u32(&lock->state, 1);
}

/* --------------------------------------------------------- memory and errors */

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	(void) context;
	return malloc(size);
}

#undef qsort

void
pg_qsort(void *base, size_t nel, size_t elsize,
		 int (*cmp)(const void *, const void *))
{
	qsort(base, nel, elsize, cmp);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	(void) context;
	return malloc(size);
}

void *
palloc(Size size)
{
	return malloc(size);
}

void *
palloc0(Size size)
{
	return calloc(1, size);
}

void
pfree(void *pointer)
{
	free(pointer);
}

/* Not in every libc. */
size_t
strlcpy(char *out, const char *text, size_t size)
{
	size_t len = strlen(text);

	if (size > 0)
	{
		memcpy(out, text, Min(len, size - 1));
		out[Min(len, size - 1)] = '\0';
	}
	return len;
}

void
pg_re_throw(void)
{
	if (PG_exception_stack == NULL)
		abort();
	siglongjmp(*PG_exception_stack, 1);
}

void
FlushErrorState(void)
{
}

void
before_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	(void) function;
	(void) arg;
}

void
cancel_before_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	(void) function;
	(void) arg;
}

void
on_shmem_exit(pg_on_exit_callback function, Datum arg)
{
	(void) function;
	(void) arg;
}

void
ProcessInterrupts(void)
{
	InterruptPending = false;
	pg_re_throw();
}

void
pg_usleep(long us)
{
	usleep((useconds_t) us);
}

/* ------------------------------------------------------------------- latches */

void
SetLatch(Latch *latch)
{
	__atomic_store_n(&latch->is_set, 1, __ATOMIC_SEQ_CST);
}

void
ResetLatch(Latch *latch)
{
	__atomic_store_n(&latch->is_set, 0, __ATOMIC_SEQ_CST);
}

int
WaitLatch(Latch *latch, int events, long timeout_ms, uint32 wait_event)
{
	(void) events;
	(void) wait_event;
	for (long i = 0; i < timeout_ms * 10; i++)
	{
		if (__atomic_load_n(&latch->is_set, __ATOMIC_SEQ_CST) ||
			InterruptPending)
			return WL_LATCH_SET;
		usleep(100);
	}
	return WL_TIMEOUT;
}

TimestampTz
GetCurrentTimestamp(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (TimestampTz) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

long
TimestampDifferenceMilliseconds(TimestampTz from, TimestampTz to)
{
	return to <= from ? 0 : (long) ((to - from + 999) / 1000);
}

/* ------------------------------------------------------------------- the test */

void
shim_start(int bus_slots, int bus_memory_kb)
{
	tikv_fdw_settings.bus_slots = bus_slots;
	tikv_fdw_settings.bus_memory_kb = bus_memory_kb;
	shared = shim_map(sizeof(Shared));
	for (int i = 0; i < CHUNKS; i++)
		pg_atomic_init_u32(&shared->used[i], 0);
	tikv_fdw_shmem = &shared->shmem;
	bus_shmem_init(tikv_fdw_shmem, false);
	board_shmem_init(tikv_fdw_shmem, false);
	tikv_fdw_settings.lock_memory_kb = 1024;
	lock_table_shmem_init(tikv_fdw_shmem, false);
	tso_shmem_init(tikv_fdw_shmem, false);
}

void
shim_become(int pid)
{
	MyProcPid = pid;
	MyLatch = &shared->latches[pid % 16];
}

void
shim_set_worker(WorkerKind kind, int pid, WorkerState state)
{
	shared->views[kind].pid = pid;
	shared->views[kind].state = state;
	bus_worker_open(kind, state == WORKER_SERVING);
}

int
shim_chunks_used(void)
{
	int n = 0;

	for (int i = 0; i < CHUNKS; i++)
		n += pg_atomic_read_u32(&shared->used[i]) != 0;
	return n;
}

void
shim_fail_next_chunk(void)
{
	fail_next_chunk = true;
}

void
shim_cancel(void)
{
	InterruptPending = true;
}

bool
shim_throws(void (*run)(void *arg), void *arg)
{
	volatile bool threw = false;

	PG_TRY();
	{
		run(arg);
	}
	PG_CATCH();
	{
		threw = true;
	}
	PG_END_TRY();
	return threw;
}
