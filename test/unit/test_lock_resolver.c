/*
 * test_lock_resolver.c
 *	  What is asked about a lock whose transaction may be dead, and what is
 *	  then done about it, answer by answer.
 */
#include "core/txn/lock_resolver.h"
#include "unit.h"

#define START ((uint64_t) 1000 << 18)

static Arena arena;
static LockResolver resolver;

/* A lock of the transaction START whose primary is p. */
static LockInfo
lock_on(const char *key, LockType type, uint64_t min_commit_ts)
{
	LockInfo info = {.key = bytes_cstr(key), .ttl_ms = 5};

	info.lock.type = type;
	info.lock.primary = bytes_cstr("p");
	info.lock.start_ts = START;
	info.lock.ttl_ms = 5;
	info.lock.min_commit_ts = min_commit_ts;
	info.lock.use_async_commit = min_commit_ts != 0;
	return info;
}

static void
begin(const LockInfo *lock)
{
	lock_resolver_begin(&resolver, lock, 7, UINT64_MAX, &arena);
}

/* The primary lives and commits asynchronously, with secondaries s1 and s2. */
static LockResolverStep
answer_async_primary(void)
{
	static Bytes secondaries[2];
	TxnAnswer answer = {.lock_ttl_ms = 5, .has_lock = true};

	secondaries[0] = bytes_cstr("s1");
	secondaries[1] = bytes_cstr("s2");
	answer.lock = lock_on("p", LOCK_TYPE_PUT, START + 10);
	answer.lock.lock.secondaries = secondaries;
	answer.lock.lock.n_secondaries = 2;
	return lock_resolver_next(&resolver, &answer);
}

static bool
asks_primary(bool force_sync_commit)
{
	const CheckTxnStatusCommand *c = &resolver.command.check_txn_status;

	return resolver.command.kind == TXN_CMD_CHECK_TXN_STATUS &&
		bytes_eq(c->primary_key, bytes_cstr("p")) && c->lock_ts == START &&
		c->caller_start_ts == 7 && c->verify_is_primary &&
		c->force_sync_commit == force_sync_commit;
}

/* Ends these keys, listed one letter or more each, at this timestamp. */
static bool
ends(const char *const *keys, size_t n, uint64_t commit_ts)
{
	const ResolveLockCommand *c = &resolver.command.resolve_lock;

	if (resolver.command.kind != TXN_CMD_RESOLVE_LOCK || c->n_txns != 1 ||
		c->txns[0].start_ts != START || c->txns[0].commit_ts != commit_ts ||
		c->n_keys != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!bytes_eq(c->keys[i], bytes_cstr(keys[i])))
			return false;
	return true;
}

/* All are locked: it commits at the greatest of what they promise. */
static void
test_async_commits(void)
{
	static const char *const keys[] = {"s1", "p", "s2"};
	LockInfo lock = lock_on("s1", LOCK_TYPE_PUT, START + 20);
	LockInfo locks[] = {lock, lock_on("s2", LOCK_TYPE_PUT, START + 30)};
	TxnAnswer answer = {.locks = locks, .n_locks = 2};
	TxnAnswer done = {0};

	begin(&lock);
	OK(asks_primary(false), "asks the primary");
	OK(answer_async_primary() == LOCK_RESOLVER_RUN &&
		   resolver.command.kind == TXN_CMD_CHECK_SECONDARY_LOCKS &&
		   resolver.command.check_secondary_locks.n_keys == 2,
	   "then the secondaries");
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_RUN &&
		   ends(keys, 3, START + 30),
	   "commits all its keys");
	OK(lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_DONE, "done");
}

/* Its keys are in several regions, and a command goes to one. */
static void
test_one_by_one(void)
{
	static const char *const ended[] = {"s1", "p", "s2"};
	const CheckSecondaryLocksCommand *check =
		&resolver.command.check_secondary_locks;
	LockInfo lock = lock_on("s1", LOCK_TYPE_PUT, START + 30);
	LockInfo second = lock_on("s2", LOCK_TYPE_PUT, START + 20);
	TxnAnswer one = {.locks = &lock, .n_locks = 1};
	TxnAnswer other = {.locks = &second, .n_locks = 1};
	TxnAnswer done = {0};

	begin(&lock);
	resolver.one_by_one = true;
	OK(answer_async_primary() == LOCK_RESOLVER_RUN && check->n_keys == 1 &&
		   bytes_eq(check->keys[0], bytes_cstr("s1")),
	   "asks one secondary");
	OK(lock_resolver_next(&resolver, &one) == LOCK_RESOLVER_RUN &&
		   resolver.command.kind == TXN_CMD_CHECK_SECONDARY_LOCKS &&
		   check->n_keys == 1 && check->start_ts == START &&
		   bytes_eq(check->keys[0], bytes_cstr("s2")),
	   "then the other");
	OK(lock_resolver_next(&resolver, &other) == LOCK_RESOLVER_RUN &&
		   ends(&ended[0], 1, START + 30),
	   "commits at the greatest of all, one key first");
	OK(lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_RUN &&
		   ends(&ended[1], 1, START + 30) &&
		   lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_RUN &&
		   ends(&ended[2], 1, START + 30),
	   "then the others");
	OK(lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_DONE, "done");

	/* The last one decides against it. */
	begin(&lock);
	resolver.one_by_one = true;
	(void) answer_async_primary();
	(void) lock_resolver_next(&resolver, &one);
	OK(lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_RUN &&
		   ends(&ended[0], 1, 0),
	   "one is missing: rolled back");

	/* An error of one key in the middle is one of the whole. */
	done.errors = &(TxnError){.kind = TXN_LOCK_NOT_FOUND};
	done.n_errors = 1;
	OK(lock_resolver_next(&resolver, &done) == LOCK_RESOLVER_FAILED,
	   "an error ends it");
}

/*
 * One lock is of plain two phases: its client fell back, and commits at a
 * timestamp that nobody can tell from the locks, or not at all.
 */
static void
test_fallback(void)
{
	static const char *const keys[] = {"s1"};
	LockInfo lock = lock_on("s1", LOCK_TYPE_PUT, START + 20);
	LockInfo locks[] = {lock, lock_on("s2", LOCK_TYPE_PUT, 0)};
	TxnAnswer answer = {.locks = locks, .n_locks = 2};
	TxnAnswer expired = {.action = ACTION_TTL_EXPIRE_ROLLBACK};

	begin(&lock);
	(void) answer_async_primary();
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_RUN &&
		   asks_primary(true),
	   "asks the primary once more, as one of two phases");
	OK(lock_resolver_next(&resolver, &expired) == LOCK_RESOLVER_RUN &&
		   ends(keys, 1, 0),
	   "its primary decides: rolled back, and only this key ended");

	/* It may be alive as well. */
	begin(&lock);
	(void) answer_async_primary();
	(void) lock_resolver_next(&resolver, &answer);
	OK(answer_async_primary() == LOCK_RESOLVER_ALIVE, "alive is alive");
}

/* A secondary is missing: what its key says counts for all. */
static void
test_missing_secondary(void)
{
	static const char *const keys[] = {"p", "s1", "s2"};
	LockInfo lock = lock_on("p", LOCK_TYPE_PUT, START + 10);
	TxnAnswer rolled_back = {0};
	TxnAnswer committed = {.commit_ts = START + 40};

	begin(&lock);
	(void) answer_async_primary();
	OK(lock_resolver_next(&resolver, &rolled_back) == LOCK_RESOLVER_RUN &&
		   ends(keys, 3, 0),
	   "rolled back everywhere");
	begin(&lock);
	(void) answer_async_primary();
	OK(lock_resolver_next(&resolver, &committed) == LOCK_RESOLVER_RUN &&
		   ends(keys, 3, START + 40),
	   "committed everywhere");
}

/* A pessimistic lock is given back, whatever became of its transaction. */
static void
test_pessimistic(void)
{
	LockInfo lock = lock_on("k", LOCK_TYPE_PESSIMISTIC, 0);
	TxnError mismatch = {.kind = TXN_PRIMARY_MISMATCH};
	TxnAnswer answer = {.errors = &mismatch, .n_errors = 1};

	lock.lock.for_update_ts = START + 3;
	begin(&lock);
	OK(resolver.command.check_txn_status.resolving_pessimistic_lock,
	   "asks without a rollback in mind");
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_RUN &&
		   resolver.command.kind == TXN_CMD_PESSIMISTIC_ROLLBACK &&
		   resolver.command.pessimistic_rollback.for_update_ts == START + 3 &&
		   bytes_eq(resolver.command.pessimistic_rollback.keys[0],
					bytes_cstr("k")),
	   "another primary: it goes");
	lock.lock.type = LOCK_TYPE_PUT;
	begin(&lock);
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_FAILED,
	   "of a prewritten lock that is a contradiction");
}

/* No primary, and the lock may live: the request may be on its way. */
static void
test_missing_primary(void)
{
	LockInfo lock = lock_on("k", LOCK_TYPE_PUT, 0);
	TxnError none = {.kind = TXN_TXN_NOT_FOUND};
	TxnAnswer answer = {.errors = &none, .n_errors = 1};

	lock_resolver_begin(&resolver, &lock, 7, START, &arena);
	OK(!resolver.command.check_txn_status.rollback_if_not_exist,
	   "a young lock: nothing is rolled back");
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_ALIVE &&
		   resolver.lock_ttl_ms == 5,
	   "and it counts as alive");
	lock_resolver_begin(&resolver, &lock, 7, START + ((uint64_t) 6 << 18),
						&arena);
	OK(resolver.command.check_txn_status.rollback_if_not_exist,
	   "an old one: it is");
	OK(lock_resolver_next(&resolver, &answer) == LOCK_RESOLVER_FAILED,
	   "which has to succeed");
}

int
main(void)
{
	arena_init(&arena);
	test_async_commits();
	test_one_by_one();
	test_fallback();
	test_missing_secondary();
	test_pessimistic();
	test_missing_primary();
	arena_free(&arena);
	return unit_done();
}
