/*
 * test_locks.c
 *	  The lock table by itself: against a model, full, emptied, rebuilt, and
 *	  after a store that died in the middle of a change.
 */
#include "postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include "bus/board.h"
#include "bus/lock_shared.h"
#include "core/base/check.h"
#include "core/txn/env.h"
#include "dice.h"
#include "shims.h"
#include "unit.h"

#define N_KEYS 40
#define ROUNDS 30000

typedef struct ModelLock
{
	bool used;
	LockKind kind;
	Lock lock;
	uint64 slot;
} ModelLock;

#define MAX_GUARDS 5

typedef struct ModelKey
{
	Bytes key;
	ModelLock lock;
	Lock guards[MAX_GUARDS];
	int n_guards;
} ModelKey;

static ModelKey model[N_KEYS];
static Arena arena;

/* In the order of the model: of one and of many bytes. */
static void
make_keys(void)
{
	for (int i = 0; i < N_KEYS; i++)
	{
		size_t len = i % 5 == 4 ? LOCK_TABLE_KEY_MAX : (size_t) (i % 5) * 3;
		uint8 *key = malloc(len + 1);

		memset(key, 'a' + i / 5, len + 1);
		/* The empty key is the first; others of that length get a byte. */
		model[i].key = bytes_make(key, i == 0 ? 0 : Max(len, 1));
	}
}

static Lock
make_lock(size_t value_len)
{
	static uint8 value[30000];
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .primary = bytes_make(value, value_len),
				 .start_ts = 1 + below(1000)};

	return lock;
}

static bool
put(Bytes key, const Lock *lock, LockKind kind, uint64 slot)
{
	Bytes record = lock_encode(lock, &arena);
	LockPlace place = {kind, slot};
	LockRoom room;

	if (!lock_table_reserve(key, record, &room))
		return false;
	if (below(10) == 0)
	{
		lock_table_unreserve(&room);
		if (!lock_table_reserve(key, record, &room))
			return false;
	}
	lock_table_put(&room, key, record, place);
	return true;
}

/* ------------------------------------------------------- against a model */

static void
change_lock(ModelKey *k)
{
	Lock lock = make_lock(below(4) == 0 ? below(5000) : below(50));
	LockKind kind = below(3) == 0 ? LOCK_KIND_MEMORY : LOCK_KIND_DURABLE;
	uint64 slot = below(1000);

	if (below(2) == 0)
	{
		lock_table_delete(k->key);
		k->lock.used = false;
	}
	else if (put(k->key, &lock, kind, slot))
	{
		k->lock.used = true;
		k->lock.kind = kind;
		k->lock.lock = lock;
		k->lock.slot = slot;
	}
}

static void
publish_guard(ModelKey *k, int *wrong)
{
	ConcurrencyManager *cm = lock_table_cm();
	Lock lock = make_lock(below(50));
	uint64 least = Max(board_max_ts(), lock.start_ts) + 1;
	uint64 limit = below(4) == 0 ? least - below(2) : 0;
	PublishAnswer answer;

	if (k->n_guards == MAX_GUARDS)
		return;
	lock.use_one_pc = below(2) == 0;
	answer = cm->publish(cm, k->key, &lock, limit);
	*wrong += lock.min_commit_ts != least;
	*wrong += answer !=
		(limit != 0 && least > limit ? PUBLISH_TOO_LARGE : PUBLISH_OK);
	if (answer == PUBLISH_OK)
		k->guards[k->n_guards++] = lock;
}

static void
end_guard(ModelKey *k)
{
	ConcurrencyManager *cm = lock_table_cm();
	uint64 start_ts =
		k->n_guards > 0 ? k->guards[below(k->n_guards)].start_ts : 77;

	if (below(2) == 0)
		lock_table_end_guard(k->key, start_ts);
	else
		cm->retract(cm, k->key, start_ts);
	for (int i = k->n_guards; i-- > 0;)
		if (k->guards[i].start_ts == start_ts)
			k->guards[i] = k->guards[--k->n_guards];
}

static bool
same_lock(const Lock *a, const Lock *b)
{
	return a->start_ts == b->start_ts && bytes_eq(a->primary, b->primary) &&
		a->min_commit_ts == b->min_commit_ts && a->use_one_pc == b->use_one_pc;
}

static int
look_wrong(const ModelKey *k)
{
	LockLook look;
	LockPlace place;
	int wrong = !lock_table_look(k->key, &arena, &look);

	wrong += look.has_lock != k->lock.used;
	wrong += lock_table_find(k->key, &place) != k->lock.used;
	if (k->lock.used && look.has_lock)
	{
		wrong += look.kind != k->lock.kind || place.kind != k->lock.kind;
		wrong += place.slot != k->lock.slot;
		wrong += !same_lock(&look.lock, &k->lock.lock);
	}
	wrong += look.n_guards != (size_t) k->n_guards;
	for (size_t i = 0; i < look.n_guards; i++)
	{
		bool found = false;

		wrong += i > 0 &&
			look.guards[i].min_commit_ts < look.guards[i - 1].min_commit_ts;
		for (int j = 0; j < k->n_guards; j++)
			found = found || same_lock(&look.guards[i], &k->guards[j]);
		wrong += !found;
	}
	return wrong;
}

/* ------------------------------------------------------------------ ranges */

static int
not_odd(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	(void) key;
	(void) kind;
	(*(uint64 *) arg)++;
	return lock->start_ts % 2 == 0 ? 7 : 0;
}

static int
in_model(const ModelKey *k)
{
	int n = k->lock.used && k->lock.lock.start_ts % 2 == 0;

	for (int i = 0; i < k->n_guards; i++)
		n += k->guards[i].start_ts % 2 == 0;
	return n;
}

static int
key_index(Bytes key)
{
	for (int i = 0; i < N_KEYS; i++)
		if (bytes_eq(model[i].key, key))
			return i;
	return -1;
}

/* Are these the locks of the keys from `from` up to before `to`? */
static int
range_wrong(const LockScanResult *result, int from, int to, bool reverse)
{
	int wrong = 0;
	size_t at = 0;

	for (int n = 0; n < to - from; n++)
	{
		int i = reverse ? to - 1 - n : from + n;

		for (int left = in_model(&model[i]); left > 0; left--, at++)
			wrong += at >= result->n || key_index(result->met[at].key) != i ||
				result->met[at].verdict != 7 ||
				result->met[at].lock.start_ts % 2 != 0;
	}
	return wrong + (at != result->n);
}

static int
scan_wrong(void)
{
	int from = (int) below(N_KEYS);
	int to = from + (int) below(N_KEYS - from + 1);
	uint64 judged = 0;
	LockScan scan = {
		.range = {model[from].key,
				  to == N_KEYS ? bytes_empty() : model[to].key},
		.reverse = below(2) == 0,
		.max_locks = below(2) == 0 ? 0 : 1 + below(10),
		.max_bytes = below(3) == 0 ? 1 + below(2000) : 0,
		.filter = not_odd,
		.arg = &judged,
	};
	LockScanResult result;
	int wrong = !lock_table_scan(&scan, &arena, &result);

	/* An empty upper bound is no bound. */
	if (to == 0)
		to = N_KEYS;
	if (!result.truncated)
		return wrong + range_wrong(&result, from, to, scan.reverse);
	wrong += result.n == 0;
	if (scan.reverse)
		from = key_index(result.covered_until);
	else
		to = key_index(result.covered_until);
	return wrong + range_wrong(&result, from, to, scan.reverse);
}

static int
find_guard_wrong(void)
{
	ConcurrencyManager *cm = lock_table_cm();
	KeyRange range = {model[below(N_KEYS)].key, model[below(N_KEYS)].key};
	uint64 max_ts = below(1000);
	bool expected = false;
	Bytes key;
	Lock lock;

	for (int i = 0; i < N_KEYS; i++)
		for (int j = 0; j < model[i].n_guards; j++)
			expected = expected ||
				(bytes_cmp(model[i].key, range.lower) >= 0 &&
				 lock_below(model[i].key, range.upper) &&
				 model[i].guards[j].start_ts <= max_ts);
	if (!cm->find_guard(cm, &range, max_ts, &arena, &key, &lock))
		return expected;
	return !expected || lock.start_ts > max_ts ||
		bytes_cmp(key, range.lower) < 0 || !lock_below(key, range.upper);
}

static void
check_counts(void)
{
	LockTableStats stats;
	uint64 locks = 0;
	uint64 memory = 0;
	uint64 guards = 0;

	for (int i = 0; i < N_KEYS; i++)
	{
		locks += model[i].lock.used;
		memory += model[i].lock.used && model[i].lock.kind == LOCK_KIND_MEMORY;
		guards += model[i].n_guards;
	}
	lock_table_stats(&stats);
	EQ_U64(stats.locks, locks, "locks are counted");
	EQ_U64(stats.memory_locks, memory, "those in memory alone");
	EQ_U64(stats.guards, guards, "guards");
}

static void
test_model(void)
{
	LockTableStats stats;
	int wrong = 0;

	for (int i = 0; i < ROUNDS && wrong == 0; i++)
	{
		ModelKey *k = &model[below(N_KEYS)];
		uint64 what = below(4);

		arena_reset(&arena);
		if (what < 2)
			change_lock(k);
		else if (what == 2)
			publish_guard(k, &wrong);
		else
			end_guard(k);
		if (below(50) == 0)
			board_raise_max_ts(board_max_ts() + below(5));
		wrong += look_wrong(k);
		wrong += look_wrong(&model[below(N_KEYS)]);
		wrong += scan_wrong();
		wrong += find_guard_wrong();
	}
	EQ_U64(wrong, 0, "random changes: looks and scans agree with the model");
	check_counts();
	for (int i = 0; i < N_KEYS; i++)
	{
		lock_table_delete(model[i].key);
		model[i].lock.used = false;
		while (model[i].n_guards > 0)
			end_guard(&model[i]);
	}
	check_counts();
	lock_table_stats(&stats);
	EQ_U64(stats.bytes_used, 0, "an empty table uses nothing");
}

/* ------------------------------------------------------------------- bounds */

static Bytes
numbered(int i)
{
	return arena_copy(&arena, bytes_cstr(arena_printf(&arena, "key %08d", i)));
}

/* How many locks of a size fit. */
static int
fill(size_t value_len)
{
	int n = 0;

	for (;; n++)
	{
		Lock lock = make_lock(value_len);

		arena_reset(&arena);
		if (!put(numbered(n), &lock, LOCK_KIND_DURABLE, 0))
			return n;
	}
}

static void
drain(int n)
{
	for (int i = 0; i < n; i++)
	{
		arena_reset(&arena);
		lock_table_delete(numbered(i));
	}
}

static void
test_full(void)
{
	ConcurrencyManager *cm = lock_table_cm();
	LockTableStats stats;
	LockLook look;
	Lock lock = make_lock(10);
	int small = fill(20);
	int again;
	int large;

	lock_table_stats(&stats);
	OK(small > 4000 && stats.bytes_used > stats.bytes_total * 9 / 10,
	   "a megabyte holds thousands of locks");
	OK(lock_table_look(numbered(small - 1), &arena, &look) && look.has_lock &&
		   lock_table_look(numbered(small), &arena, &look) && !look.has_lock,
	   "the last that fitted is there, the one that did not is not");
	EQ_U64(cm->publish(cm, numbered(small), &lock, 0), PUBLISH_FULL,
		   "no guard fits, either");
	EQ_U64(lock.min_commit_ts, 0, "and it was not touched");
	OK(put(numbered(3), &lock, LOCK_KIND_DURABLE, 0),
	   "a lock that fits where the old one was needs no more room");
	drain(small);
	large = fill(9000);
	OK(large > 80, "emptied, it holds large ones");
	drain(large);
	again = fill(20);
	EQ_U64(again, small, "and as many small ones as before");
	drain(again);
	lock_table_stats(&stats);
	EQ_U64(stats.bytes_used, 0, "nothing is lost");
}

static void
test_too_long(void)
{
	ConcurrencyManager *cm = lock_table_cm();
	static uint8 bytes[LOCK_TABLE_KEY_MAX + 1];
	Bytes longest = bytes_make(bytes, LOCK_TABLE_KEY_MAX);
	Bytes longer = bytes_make(bytes, LOCK_TABLE_KEY_MAX + 1);
	Lock lock = make_lock(10);
	Lock large = make_lock(LOCK_TABLE_RECORD_MAX);
	LockLook look;

	OK(put(longest, &lock, LOCK_KIND_DURABLE, 0), "a key of 1 KiB fits");
	OK(!put(longer, &lock, LOCK_KIND_DURABLE, 0), "a longer one does not");
	OK(!put(longest, &large, LOCK_KIND_DURABLE, 0), "nor a large record");
	EQ_U64(cm->publish(cm, longer, &lock, 0), PUBLISH_FULL, "nor a guard");
	EQ_U64(cm->publish(cm, bytes_cstr("k"), &large, 0), PUBLISH_FULL,
		   "of any kind");
	OK(lock_table_look(longer, &arena, &look) && !look.has_lock,
	   "a longer key has no lock here");
	lock_table_delete(longest);
	lock_table_add_spilled(2);
	lock_table_add_spilled(-1);
	EQ_U64(lock_table_n_spilled(), 1, "spilled ones are counted");
	lock_table_add_spilled(-1);
}

/* -------------------------------------------------------------- rebuilding */

static bool
can_look(void)
{
	LockScan all = {.max_locks = 0};
	LockScanResult result;
	LockLook look;
	bool one = lock_table_look(bytes_cstr("a"), &arena, &look);
	bool many = lock_table_scan(&all, &arena, &result);

	if (one != many)
		abort();
	return one;
}

static void
test_reset(void)
{
	Lock lock = make_lock(10);
	uint64 generation = lock_table_generation();
	LockTableStats stats;

	OK(put(bytes_cstr("a"), &lock, LOCK_KIND_DURABLE, 5) && can_look(),
	   "a lock before");
	lock_table_add_spilled(3);
	lock_table_reset();
	OK(!can_look(), "a table that is rebuilt says nothing");
	OK(lock_table_generation() != generation, "its generation is another");
	generation = lock_table_generation();
	OK(put(bytes_cstr("b"), &lock, LOCK_KIND_DURABLE, 6) && !can_look(),
	   "the store fills it");
	lock_table_reset();
	OK(!can_look() && lock_table_generation() != generation,
	   "a rebuilding that failed begins again");
	lock_table_stats(&stats);
	EQ_U64(stats.locks + stats.spilled + stats.bytes_used, 0, "with nothing");
	lock_table_open();
	lock_table_open();
	OK(can_look(), "open, it can be believed");
}

/* ---------------------------------------------- a store that dies at work */

#define DEATHS 100

static void
change_for_ever(void)
{
	for (;;)
	{
		Bytes key = numbered((int) below(2000));
		Lock lock = make_lock(below(300));

		if (below(3) == 0)
			lock_table_delete(key);
		else
			(void) put(key, &lock, LOCK_KIND_DURABLE, 1);
		arena_reset(&arena);
	}
}

/* What the death of a process does to the locks it held. */
static void
release_locks(void)
{
	pg_atomic_write_u32(&tikv_shmem()->locks->lock.state, 0);
}

static bool
scan_all(bool reverse)
{
	LockScan all = {.reverse = reverse};
	LockScanResult result;

	arena_reset(&arena);
	return lock_table_scan(&all, &arena, &result);
}

/* Every way through the table; how many looks were answered. */
static int
walk_all(void)
{
	int answered = 0;

	for (int i = 0; i < 2000; i += 7)
	{
		LockLook look;

		arena_reset(&arena);
		answered += lock_table_look(numbered(i), &arena, &look);
	}
	answered += scan_all(false);
	answered += scan_all(true);
	return answered;
}

static void
die_at_work(int *torn, int *answered)
{
	pid_t writer = fork();

	if (writer == 0)
	{
		rng += (uint64) getpid() * 977;
		change_for_ever();
	}
	usleep(500 + below(2000));
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	release_locks();
	*torn += !scan_all(false);

	/* Even if they believed it, readers would come to an end. */
	pg_atomic_write_u32(&tikv_shmem()->locks->changing, 0);
	*answered += walk_all();
	lock_table_reset();
	lock_table_open();
}

static void
test_deaths(void)
{
	int torn = 0;
	int answered = 0;
	LockTableStats stats;

	for (int i = 0; i < DEATHS; i++)
		die_at_work(&torn, &answered);
	OK(torn > 0, "some died in the middle of a change, and nothing was said");
	OK(answered > 0, "nor does what they left lead readers astray");
	printf("# %d of %d\n", torn, DEATHS);
	lock_table_stats(&stats);
	EQ_U64(stats.locks + stats.bytes_used, 0, "the next store begins anew");
	EQ_U64(fill(20) > 4000, true, "with all of the memory");
}

int
main(void)
{
	alarm(200);
	shim_start(16, 1024);
	shim_become(1);
	arena_init(&arena);
	make_keys();
	lock_table_reset();
	lock_table_open();
	test_model();
	test_full();
	test_too_long();
	test_reset();
	test_deaths();
	arena_free(&arena);
	return unit_done();
}
