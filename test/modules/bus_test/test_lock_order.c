/*
 * test_lock_order.c
 *	  The order of steps of txn-semantics 24, between processes: no reader at
 *	  T may miss both a transaction's lock and what it committed at or below T.
 *
 * The store's process runs transactions of all kinds.  What a Postgres commit
 * makes visible is a log of events here, and a snapshot is its length.  A
 * reader takes T from the clock and reads as the server does (order_reader.c):
 * it raises max_ts, looks, asks for spilled locks and takes its snapshot.  If
 * nothing blocked it, it writes down (T, key, snapshot).  In the end every
 * commit of the key that its snapshot did not have must lie above T.
 *
 * Now and then the store cuts a table, which is locked meanwhile: no reader may
 * be refused for that.
 */
#include "postgres.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/board.h"
#include "bus/lock_table.h"
#include "bus/table_cut.h"
#include "core/base/check.h"
#include "core/txn/env.h"
#include "dice.h"
#include "order_reader.h"
#include "shims.h"
#include "unit.h"

#define N_KEYS 6
#define N_READERS 3
#define MAX_EVENTS 400000
#define MAX_READS 1000000

/* Transactions of the writer; under sanitizers some seconds' worth. */
#define TXNS 40000

/* Longer than the test may take: nobody waits in vain. */
#define CUT_US INT64CONST(600000000)

typedef enum EventKind
{
	EVENT_COMMIT,
	EVENT_SPILL,  /* a row of lock_spill appeared */
	EVENT_UNSPILL /* and went */
} EventKind;

typedef struct Event
{
	EventKind kind;
	int key;
	uint64 ts;		 /* commit_ts, or the lock's start_ts */
	uint32 previous; /* of the same key, plus one */
} Event;

typedef struct Read
{
	uint64 ts;
	uint32 snapshot;
	int key;
} Read;

typedef struct World
{
	pg_atomic_uint64 clock;
	pg_atomic_uint32 n_events;
	pg_atomic_uint32 done;
	pg_atomic_uint32 locked; /* the tables are */
	uint32 newest[N_KEYS];
	Event events[MAX_EVENTS];

	/* per reader */
	uint32 n_reads[N_READERS];
	uint64 ended[N_READERS][READ_ENDS];
	Read reads[N_READERS][MAX_READS];
} World;

static World *world;
static Arena arena;
static Bytes keys[N_KEYS];

static uint64
now_ts(void)
{
	return pg_atomic_add_fetch_u64(&world->clock, 1);
}

/* Let the others run in the middle of things. */
static void
pause_sometimes(void)
{
	uint64 n = below(100);

	if (n == 0)
		usleep(1);
	else if (n < 12)
		sched_yield();
}

/* --------------------------------------------------------------- the writer */

/* Events of one turn become visible together. */
static uint32 turn_events;

static void
turn_add(EventKind kind, int key, uint64 ts)
{
	uint32 at = pg_atomic_read_u32(&world->n_events) + turn_events++;
	Event *event = &world->events[at];

	CHECK(at < MAX_EVENTS);
	event->kind = kind;
	event->key = key;
	event->ts = ts;
	event->previous = world->newest[key];
	world->newest[key] = at + 1;
}

static void
turn_commit(void)
{
	pg_write_barrier();
	pg_atomic_fetch_add_u32(&world->n_events, turn_events);
	turn_events = 0;
	pause_sometimes();
}

static Lock
make_lock(uint64 start_ts)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_cstr("p"),
				 .start_ts = start_ts};

	return lock;
}

static void
put_lock(int key, const Lock *lock)
{
	Bytes record = lock_encode(lock, &arena);
	LockPlace place = {LOCK_KIND_DURABLE, 1};
	LockRoom room;

	CHECK(lock_table_reserve(keys[key], record, &room));
	lock_table_put(&room, keys[key], record, place);
	pause_sometimes();
}

/* Publish guards on some keys; commit_ts is the greatest of theirs. */
static uint64
publish(uint64 start_ts, int first, int n, Lock *locks)
{
	ConcurrencyManager *cm = lock_table_cm();
	uint64 commit_ts = 0;

	pause_sometimes();
	for (int i = 0; i < n; i++)
	{
		locks[i] = make_lock(start_ts);
		CHECK(cm->publish(cm, keys[first + i], &locks[i], 0) == PUBLISH_OK);
		commit_ts = Max(commit_ts, locks[i].min_commit_ts);
		pause_sometimes();
	}
	return commit_ts;
}

static void
end_guards(uint64 start_ts, int first, int n)
{
	for (int i = 0; i < n; i++)
		lock_table_end_guard(keys[first + i], start_ts);
}

/* One turn; a second one on the same keys may be in it. */
static void
run_1pc(int first, int n)
{
	Lock locks[N_KEYS];
	uint64 start_ts = now_ts();
	uint64 commit_ts = publish(start_ts, first, n, locks);
	uint64 other_start = now_ts();
	uint64 other_commit = 0;

	for (int i = 0; i < n; i++)
		turn_add(EVENT_COMMIT, first + i, commit_ts);
	if (below(3) == 0)
	{
		other_commit = publish(other_start, first, n, locks);
		for (int i = 0; i < n; i++)
			turn_add(EVENT_COMMIT, first + i, other_commit);
	}
	turn_commit();
	end_guards(start_ts, first, n);
	if (other_commit != 0)
		end_guards(other_start, first, n);
}

/* Guards until the prewrite's turn is over, then locks until the commit's. */
static void
run_async(int first, int n)
{
	Lock locks[N_KEYS];
	uint64 start_ts = now_ts();
	uint64 commit_ts = publish(start_ts, first, n, locks);

	for (int i = 0; i < n; i++)
		put_lock(first + i, &locks[i]);
	end_guards(start_ts, first, n);
	pause_sometimes();
	for (int i = 0; i < n; i++)
		turn_add(EVENT_COMMIT, first + i, commit_ts);
	turn_commit();
	for (int i = 0; i < n; i++)
		lock_table_delete(keys[first + i]);
}

static const uint8 long_primary[2000];

static void
run_2pc(int first, int n)
{
	Lock lock = make_lock(now_ts());
	uint64 commit_ts;

	for (int i = 0; i < n; i++)
		put_lock(first + i, &lock);
	commit_ts = now_ts();
	/* Rewritten, and larger each time: it moves, and is there all the while. */
	for (int size = 100; size <= (int) sizeof(long_primary); size += 100)
	{
		lock.primary = bytes_make(long_primary, (size_t) size);
		put_lock(first, &lock);
	}
	for (int i = 0; i < n; i++)
		turn_add(EVENT_COMMIT, first + i, commit_ts);
	turn_commit();
	for (int i = 0; i < n; i++)
		lock_table_delete(keys[first + i]);
}

/*
 * The lock is spilled at once, or grows out of the table, when the client may
 * know its commit_ts already.
 */
static void
run_spilled(int key, bool grows)
{
	Lock lock = make_lock(now_ts());
	uint64 commit_ts = 0;

	if (grows)
	{
		put_lock(key, &lock);
		commit_ts = now_ts();
		/* Reads begin that this commit concerns. */
		if (below(2) == 0)
			usleep(1);
	}
	lock_table_add_spilled(1);
	turn_add(EVENT_SPILL, key, lock.start_ts);
	turn_commit();
	if (grows)
		lock_table_delete(keys[key]);
	else
		commit_ts = now_ts();
	pause_sometimes();
	turn_add(EVENT_UNSPILL, key, lock.start_ts);
	turn_add(EVENT_COMMIT, key, commit_ts);
	turn_commit();
	lock_table_add_spilled(-1);
}

static void
cut_table(void)
{
	table_cut_begin(CUT_US);
	pause_sometimes();
	pg_atomic_exchange_u32(&world->locked, 1);
	usleep(1);
	pg_atomic_exchange_u32(&world->locked, 0);
	pause_sometimes();
	table_cut_end();
}

static void
run_writer(void)
{
	for (int i = 0; i < TXNS; i++)
	{
		int first = (int) below(N_KEYS);
		int n = 1 + (int) below(Min(3, N_KEYS - first));

		arena_reset(&arena);
		switch (below(5))
		{
			case 0:
			case 1:
				run_1pc(first, n);
				break;
			case 2:
				run_async(first, n);
				break;
			case 3:
				run_2pc(first, n);
				break;
			default:
				run_spilled(first, below(2) == 0);
		}
		/* An empty table, too, must be met. */
		if (below(8) == 0)
			sched_yield();
		if (below(16) == 0)
			cut_table();
	}
	pg_atomic_write_u32(&world->done, 1);
}

/* ------------------------------------------------------------------- readers */

static uint32
snapshot_now(void)
{
	uint32 snapshot = pg_atomic_read_u32(&world->n_events);

	pg_memory_barrier();
	return snapshot;
}

/* The spilled lock of the key in the snapshot. */
static bool
spilled_in(uint32 snapshot, Bytes key, Lock *lock)
{
	for (uint32 at = snapshot; at > 0; at--)
	{
		const Event *event = &world->events[at - 1];

		if (event->kind == EVENT_COMMIT || !bytes_eq(keys[event->key], key))
			continue;
		*lock = make_lock(event->ts);
		return event->kind == EVENT_SPILL;
	}
	return false;
}

static bool
is_locked(void)
{
	return pg_atomic_read_u32(&world->locked) != 0;
}

static const OrderTables tables = {pause_sometimes, is_locked, snapshot_now,
								   spilled_in};

static OrderRead
make_read(int key, bool scan)
{
	OrderRead read = {.ts = now_ts(),
					  .key = keys[key],
					  .next = bytes_empty(),
					  .scan = scan,
					  .reverse = scan && below(2) == 0};

	if (key + 1 < N_KEYS)
		read.next = keys[key + 1];
	return read;
}

static void
read_once(int reader)
{
	int key = (int) below(N_KEYS);
	OrderRead read = make_read(key, below(3) == 0);
	uint32 snapshot;
	ReadEnd end;

	arena_reset(&arena);
	pause_sometimes();
	end = order_read(&tables, &read, &arena, &snapshot);
	world->ended[reader][end]++;
	if (end == READ_MET_NOTHING && world->n_reads[reader] < MAX_READS)
	{
		Read *note = &world->reads[reader][world->n_reads[reader]++];

		note->ts = read.ts;
		note->key = key;
		note->snapshot = snapshot;
	}
}

static void
run_reader(int reader)
{
	rng = (uint64) reader * 7919 + 1;
	while (pg_atomic_read_u32(&world->done) == 0)
		read_once(reader);
	_exit(0);
}

/* -------------------------------------------------------------------- verdict */

/* The least commit_ts of the key among the events from each on. */
static uint64 *
least_later(int key, uint32 n)
{
	uint64 *least = malloc((n + 1) * sizeof(uint64));

	least[n] = PG_UINT64_MAX;
	for (uint32 i = n; i > 0; i--)
	{
		const Event *event = &world->events[i - 1];

		least[i - 1] = least[i];
		if (event->kind == EVENT_COMMIT && event->key == key)
			least[i - 1] = Min(least[i], event->ts);
	}
	return least;
}

static uint64
count_missed(void)
{
	uint32 n = pg_atomic_read_u32(&world->n_events);
	uint64 missed = 0;

	for (int key = 0; key < N_KEYS; key++)
	{
		uint64 *least = least_later(key, n);

		for (int reader = 0; reader < N_READERS; reader++)
			for (uint32 i = 0; i < world->n_reads[reader]; i++)
			{
				const Read *read = &world->reads[reader][i];

				missed += read->key == key && least[read->snapshot] <= read->ts;
			}
		free(least);
	}
	return missed;
}

static void
report(void)
{
	uint64 sum[READ_ENDS] = {0};

	for (int reader = 0; reader < N_READERS; reader++)
		for (int i = 0; i < READ_ENDS; i++)
			sum[i] += world->ended[reader][i];
	printf("# reads blocked by guards %llu, locks %llu, spilled locks %llu; "
		   "not blocked %llu\n",
		   (unsigned long long) sum[READ_MET_GUARD],
		   (unsigned long long) sum[READ_MET_LOCK],
		   (unsigned long long) sum[READ_MET_SPILLED],
		   (unsigned long long) sum[READ_MET_NOTHING]);
	OK(sum[READ_MET_GUARD] > 0 && sum[READ_MET_LOCK] > 0 &&
		   sum[READ_MET_SPILLED] > 0 && sum[READ_MET_NOTHING] > 100,
	   "reads of every outcome");
	EQ_U64(sum[READ_REFUSED], 0, "no read was refused while a table was cut");
	EQ_U64(count_missed(), 0,
		   "txn-semantics 23.1 row 1, txn-semantics 23.1 row 2: no read missed "
		   "a lock and what it committed at or below T");
}

static void
a_look_after_the_snapshot(void)
{
	OrderRead read = make_read(0, false);
	pid_t child = fork();
	int status;

	if (child == 0)
	{
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		order_read_late(&tables, &read, &arena);
		_exit(0);
	}
	waitpid(child, &status, 0);
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	   "txn-semantics 23.1 row 3: whoever looks after the snapshot is stopped");
}

int
main(void)
{
	pid_t readers[N_READERS];

	alarm(115);
	shim_start(16, 1024);
	shim_become(1);
	world = shim_map(sizeof(World));
	for (int i = 0; i < N_KEYS; i++)
		keys[i] = bytes_make("abcdef" + i, 1);
	lock_table_reset();
	lock_table_open();
	arena_init(&arena);
	a_look_after_the_snapshot();
	for (int i = 0; i < N_READERS; i++)
	{
		readers[i] = fork();
		if (readers[i] == 0)
			run_reader(i);
	}
	rng = 42;
	run_writer();
	for (int i = 0; i < N_READERS; i++)
	{
		int status;

		waitpid(readers[i], &status, 0);
		OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a reader ended");
	}
	report();
	arena_free(&arena);
	return unit_done();
}
