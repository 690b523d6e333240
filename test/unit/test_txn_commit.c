/*
 * test_txn_commit.c
 *	  KvCommit, row by row (txn-semantics 9), and the cache of transactions
 *	  known to be committed.
 */
#include <stdlib.h>

#include "core/txn/status_cache.h"
#include "prewrite_case.h"

static void
ts_order(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);

	case_init(&c);
	store_lock(&c, "a", &lock);
	EQ_U64(run_commit(&c, "a", 10, 10), TXN_INVALID_TXN_TSO,
		   "txn-semantics 9 ts order: commit_ts is above start_ts");
	OK(nothing_written(&c) && c.effects.n_known == 0, "or nothing happens");
	EQ_U64(run_commit(&c, "a", 10, 11), TXN_OK, "by one is enough");
	EQ_U64(c.answer.commit_ts, 11, "and is answered");
	case_free(&c);
}

static void
expired(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);
	const TxnError *error;

	case_init(&c);
	lock.min_commit_ts = 21;
	store_lock(&c, "a", &lock);
	EQ_U64(run_commit(&c, "a", 10, 20), TXN_COMMIT_TS_EXPIRED,
		   "txn-semantics 9 row 1: below min_commit_ts");
	error = c.answer.errors;
	OK(error->start_ts == 10 && error->commit_ts == 20 &&
		   error->min_commit_ts == 21 && bytes_eq(error->key, bytes_cstr("a")),
	   "the error says which");
	OK(nothing_written(&c) && c.effects.n_known == 0, "nothing is written");
	lock.type = LOCK_TYPE_PESSIMISTIC;
	store_lock(&c, "a", &lock);
	EQ_U64(run_commit(&c, "a", 10, 20), TXN_COMMIT_TS_EXPIRED,
		   "it is compared before the type is looked at");
	EQ_U64(run_commit(&c, "a", 10, 21), TXN_OK, "equal will do");
	case_free(&c);
}

static void
pessimistic(void)
{
	Case c;
	Lock lock = a_pessimistic_lock("a", 10, 15);

	case_init(&c);
	store_lock(&c, "a", &lock);
	EQ_U64(run_commit(&c, "a", 10, 20), TXN_OK,
		   "txn-semantics 9 row 2, txn-semantics 28 row 6: a pessimistic lock "
		   "just goes");
	OK(deletes_lock(&c, "a") && c.effects.n_modifies == 1,
	   "without a Write record");
	OK(is_released(&c, "a", 10, 0), "its waiters wake as after a rollback");
	case_free(&c);
}

static void
commits(void)
{
	static const LockType locks[] = {LOCK_TYPE_PUT, LOCK_TYPE_DELETE,
									 LOCK_TYPE_LOCK};
	static const WriteType writes[] = {WRITE_TYPE_PUT, WRITE_TYPE_DELETE,
									   WRITE_TYPE_LOCK};
	uint64_t rollbacks[2] = {19, 20};
	const WriteRecord *write;
	Case c;
	Lock lock;

	case_init(&c);
	for (int i = 0; i < 3; i++)
	{
		lock = a_lock(locks[i], "p", 10);
		lock.txn_source = 5;
		lock.last_change.ts = 3;
		lock.last_change.versions = 2;
		store_lock(&c, "a", &lock);
		EQ_U64(run_commit(&c, "a", 10, 20), TXN_OK,
			   "txn-semantics 9 row 3: a lock becomes a Write record");
		write = put_write(&c, "a", 20);
		OK(write != NULL && write->type == writes[i] && write->start_ts == 10,
		   "of its kind");
		OK(write->txn_source == 5 && write->last_change.ts == 3 &&
			   write->last_change.versions == 2,
		   "with source and last_change");
		EQ_U64(write->has_short_value, i == 0, "and the short value of a Put");
		OK(!write->has_overlapped_rollback && !write->has_gc_fence, "no flags");
		OK(deletes_lock(&c, "a") && is_released(&c, "a", 10, 20),
		   "the lock goes, with its waiters");
		OK(is_known(&c, 10, 20), "the status cache learns of it");
	}
	lock.rollback_ts = rollbacks;
	lock.n_rollback_ts = 2;
	store_lock(&c, "a", &lock);
	run_commit(&c, "a", 10, 20);
	write = put_write(&c, "a", 20);
	OK(write->has_overlapped_rollback && !write->has_gc_fence,
	   "over a Rollback marked in the lock: flag R without a fence");
	run_commit(&c, "a", 10, 21);
	OK(!put_write(&c, "a", 21)->has_overlapped_rollback, "elsewhere none");

	lock = a_lock(LOCK_TYPE_PUT, "p", 10);
	lock.has_short_value = false;
	store_lock(&c, "a", &lock);
	run_commit(&c, "a", 10, 20);
	OK(!put_write(&c, "a", 20)->has_short_value &&
		   find_effect(&c, TXN_CF_VALUE, "a") == NULL,
	   "a long value stays where it is");
	case_free(&c);
}

static void
shared(void)
{
	Case c;
	Lock members[2] = {a_lock(LOCK_TYPE_LOCK, "p", 10),
					   a_pessimistic_lock("q", 12, 13)};
	Lock lock = {.type = LOCK_TYPE_SHARED, .members = members, .n_members = 2};

	case_init(&c);
	store_lock(&c, "a", &lock);
	EQ_U64(run_commit(&c, "a", 10, 20), TXN_OK,
		   "txn-semantics 9 row 4: the own member of a shared lock");
	EQ_U64(put_write(&c, "a", 20)->type, WRITE_TYPE_LOCK, "becomes a Lock");
	OK(put_lock(&c, "a") != NULL && put_lock(&c, "a")->n_members == 1 &&
		   put_lock(&c, "a")->members[0].start_ts == 12,
	   "and leaves the container");
	EQ_U64(c.effects.n_released, 0, "which still blocks");
	case_apply(&c);
	EQ_U64(run_commit(&c, "a", 10, 20), TXN_OK, "a repetition");
	OK(nothing_written(&c), "finds its record");
	EQ_U64(run_commit(&c, "a", 12, 22), TXN_OK, "the last, pessimistic, one");
	OK(deletes_lock(&c, "a") && c.effects.n_modifies == 1,
	   "takes the container along");
	OK(is_released(&c, "a", 12, 0), "waiters wake");
	case_free(&c);
}

static void
missing(void)
{
	static const WriteType writes[] = {WRITE_TYPE_PUT, WRITE_TYPE_DELETE,
									   WRITE_TYPE_LOCK};
	Case c;
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 30);
	Lock member = a_lock(LOCK_TYPE_LOCK, "q", 30);
	Lock shared = {.type = LOCK_TYPE_SHARED,
				   .members = &member,
				   .n_members = 1};
	WriteRecord write = a_write(WRITE_TYPE_PUT, 5);

	case_init(&c);
	store_lock(&c, "a", &other);
	for (int i = 0; i < 3; i++)
	{
		store_simple_write(&c, "a", writes[i], 10, 20);
		EQ_U64(run_commit(&c, "a", 10, 25), TXN_OK,
			   "txn-semantics 9 row 5: committed before, at whatever time");
		OK(nothing_written(&c), "it is not written again");
	}
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 20);
	EQ_U64(run_commit(&c, "a", 10, 25), TXN_LOCK_NOT_FOUND,
		   "txn-semantics 9 row 6: no record");
	OK(c.answer.errors[0].start_ts == 10 &&
		   c.answer.errors[0].commit_ts == 25 && c.effects.n_known == 0,
	   "the error says of what");
	store_lock(&c, "a", &shared);
	EQ_U64(run_commit(&c, "a", 10, 25), TXN_LOCK_NOT_FOUND,
		   "nor among the members of a shared lock");
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 10, 10);
	EQ_U64(run_commit(&c, "a", 10, 25), TXN_LOCK_NOT_FOUND, "a Rollback");
	write.has_overlapped_rollback = true;
	store_write(&c, "a", 10, &write);
	EQ_U64(run_commit(&c, "a", 10, 25), TXN_LOCK_NOT_FOUND,
		   "or one that overlaps another's record");
	case_free(&c);
}

static void
all_or_nothing(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);
	Bytes keys[3] = {bytes_cstr("b"), bytes_cstr("a"), bytes_cstr("b")};
	CommitCommand command = {.keys = keys,
							 .n_keys = 3,
							 .start_ts = 10,
							 .commit_ts = 20};

	case_init(&c);
	store_lock(&c, "a", &lock);
	store_lock(&c, "b", &lock);
	case_clear(&c);
	txn_commit(&c.env, &command, &c.answer);
	OK(case_error(&c) == TXN_OK && put_write(&c, "a", 20) != NULL &&
		   put_write(&c, "b", 20) != NULL,
	   "several keys, one of them twice");
	keys[1] = bytes_cstr("x");
	case_clear(&c);
	txn_commit(&c.env, &command, &c.answer);
	OK(c.answer.n_errors == 1 && !c.answer.keep_effects &&
		   c.effects.n_known == 0,
	   "txn-semantics 6 all or nothing: one failing key fails the command");
	case_free(&c);
}

/* ------------------------------------------------------- status cache */

static void
status_cache(void)
{
	TxnStatusCache *cache = status_cache_new(3, 3, 0);

	EQ_U64(status_cache_get(cache, 1), 0, "an empty cache knows nothing");
	status_cache_put(cache, 1, 11, 0);
	status_cache_put(cache, 2, 12, 0);
	status_cache_put(cache, 3, 13, 0);
	EQ_U64(status_cache_get(cache, 1), 11, "three fit");
	status_cache_put(cache, 4, 14, 0);
	EQ_U64(status_cache_get(cache, 1), 0, "the oldest makes room");
	EQ_U64(status_cache_get(cache, 4), 14, "for the newest");
	status_cache_put(cache, 2, 12, 0);
	status_cache_put(cache, 5, 15, 0);
	EQ_U64(status_cache_get(cache, 2), 12, "what arrives again is new again");
	EQ_U64(status_cache_get(cache, 3), 0, "so another leaves");
	for (int i = 0; i < 3; i++)
	{
		status_cache_put(cache, 6, 0, 0);
		status_cache_put(cache, 0, 5, 0);
	}
	OK(status_cache_get(cache, 6) == 0 && status_cache_get(cache, 0) == 0 &&
		   status_cache_get(cache, 5) == 15 && status_cache_get(cache, 2) == 12,
	   "no commit, no entry");
	status_cache_free(cache);
	status_cache_free(NULL);
}

/* The numbers of those of 1 to `last` that it knows, added up. */
static uint64_t
known_up_to(const TxnStatusCache *cache, uint64_t last)
{
	uint64_t sum = 0;

	for (uint64_t ts = 1; ts <= last; ts++)
		if (status_cache_get(cache, ts) == 100 + ts)
			sum += ts;
	return sum;
}

/*
 * txn-semantics 6 status cache: as long as a request may be under way an entry
 * stays, however many others come: 30 here.
 */
static void
status_cache_keeps(void)
{
	TxnStatusCache *cache = status_cache_new(2, 9, 30);

	for (uint64_t ts = 1; ts <= 4; ts++)
		status_cache_put(cache, ts, 100 + ts, 0);
	EQ_U64(known_up_to(cache, 4), 10, "more than its room, all of them young");
	status_cache_put(cache, 5, 105, 29);
	EQ_U64(known_up_to(cache, 5), 15, "in the last moment, too");
	for (uint64_t ts = 6; ts <= 9; ts++)
		status_cache_put(cache, ts, 100 + ts, 29);
	EQ_U64(known_up_to(cache, 9), 45, "up to its bound");
	status_cache_put(cache, 10, 110, 29);
	EQ_U64(known_up_to(cache, 10), 54, "where the oldest leaves all the same");
	status_cache_free(cache);

	cache = status_cache_new(2, 1000, 30);
	for (uint64_t ts = 1; ts <= 9; ts++)
		status_cache_put(cache, ts, 100 + ts, 0);
	/* Room for 16 by now. */
	for (uint64_t ts = 10; ts <= 19; ts++)
		status_cache_put(cache, ts, 100 + ts, 30);
	EQ_U64(known_up_to(cache, 19), 19 * 20 / 2 - 6,
		   "what is old makes room for others first");
	status_cache_free(cache);
}

#define ROOM 64
#define SPREAD 200

static void
status_cache_random(void)
{
	TxnStatusCache *cache = status_cache_new(ROOM, ROOM, 0);
	uint64_t arrived[SPREAD + 1] = {0}; /* when, counted from 1 */
	size_t wrong = 0;

	srand(7);
	for (uint64_t now = 1; now <= 20000; now++)
	{
		uint64_t ts = 1 + (uint64_t) rand() % SPREAD;

		status_cache_put(cache, ts, ts + 1000, 0);
		arrived[ts] = now;
		ts = 1 + (uint64_t) rand() % SPREAD;
		if (status_cache_get(cache, ts) !=
			(arrived[ts] != 0 && now - arrived[ts] < ROOM ? ts + 1000 : 0))
			wrong++;
	}
	EQ_U64(wrong, 0, "it knows exactly the last arrivals");
	status_cache_free(cache);
}

#define KEEP 300

/* Growing again and again, with what arrives twice between: none is missed. */
static void
status_cache_random_growth(void)
{
	TxnStatusCache *cache = status_cache_new(1, 100000, KEEP);
	static int64_t arrived[4001];
	size_t wrong = 0;
	int64_t now = 1000;

	srand(8);
	for (int i = 0; i < 20000; i++)
	{
		uint64_t ts = 1 + (uint64_t) rand() % 4000;

		/* Thrice as many in the middle. */
		now += i % 9 == 0 || (i < 6000 && i % 3 == 0);
		status_cache_put(cache, ts, ts + 1000, now);
		arrived[ts] = now;
		ts = 1 + (uint64_t) rand() % 4000;
		if (now - arrived[ts] < KEEP &&
			status_cache_get(cache, ts) != ts + 1000)
			wrong++;
	}
	EQ_U64(wrong, 0, "it knows all who arrived lately");
	status_cache_free(cache);
}

int
main(void)
{
	ts_order();
	expired();
	pessimistic();
	commits();
	shared();
	missing();
	all_or_nothing();
	status_cache();
	status_cache_keeps();
	status_cache_random();
	status_cache_random_growth();
	return unit_done();
}
