/*
 * test_mvcc_read.c
 *	  Reads of one key: which locks block, which version is found.
 */
#include "mvcc_fixture.h"
#include "unit.h"

#define LONG_VALUE_LEN 300

static MvccMemory memory;
static Arena arena;
static char long_value[LONG_VALUE_LEN + 1];

static void
begin(void)
{
	memory_init(&memory);
	arena_init(&arena);
	memset(long_value, 'x', LONG_VALUE_LEN);
}

static void
end(void)
{
	memory_free(&memory);
	arena_free(&arena);
}

static ReadContext
at(uint64_t ts, Isolation isolation)
{
	ReadContext context = {.ts = ts, .isolation = isolation};

	return context;
}

static Lock
lock_of(LockType type, uint64_t start_ts)
{
	Lock lock = {.type = type,
				 .primary = K("primary"),
				 .start_ts = start_ts,
				 .ttl_ms = 3000};

	return lock;
}

static LockVerdict
verdict(uint64_t ts, Isolation isolation, const Lock *lock)
{
	ReadContext context = at(ts, isolation);

	return mvcc_lock_verdict(&context, K("k"), lock, false);
}

static ReadResult
get(const ReadContext *context, const char *key)
{
	ReadResult result;

	mvcc_get(&memory.reader, context, K(key), NULL, &arena, &result);
	return result;
}

static bool
found(const ReadResult *result, const char *value, uint64_t commit_ts)
{
	return result->outcome == READ_FOUND &&
		bytes_eq(result->value, bytes_cstr(value)) &&
		result->commit_ts == commit_ts;
}

static void
locks_that_never_block(void)
{
	Lock shared = {.type = LOCK_TYPE_SHARED};
	Lock lock = lock_of(LOCK_TYPE_LOCK, 5);
	Lock pessimistic = lock_of(LOCK_TYPE_PESSIMISTIC, 5);
	Lock put = lock_of(LOCK_TYPE_PUT, 5);

	EQ_U64(verdict(10, ISOLATION_SI, &shared), LOCK_IGNORED,
		   "txn-semantics 23.2 row 1: SI ignores a shared container");
	EQ_U64(verdict(10, ISOLATION_RC_CHECK_TS, &shared), LOCK_IGNORED,
		   "txn-semantics 23.2 row 1: RcCheckTs ignores a shared container");
	EQ_U64(verdict(10, ISOLATION_RC, &put), LOCK_IGNORED,
		   "txn-semantics 23.2 row 1: RC checks no lock at all");
	EQ_U64(verdict(10, ISOLATION_SI, &lock), LOCK_IGNORED,
		   "txn-semantics 23.2 row 3: SI ignores type Lock");
	EQ_U64(verdict(10, ISOLATION_SI, &pessimistic), LOCK_IGNORED,
		   "txn-semantics 23.2 row 3: SI ignores type Pessimistic");
	EQ_U64(verdict(10, ISOLATION_RC_CHECK_TS, &lock), LOCK_IGNORED,
		   "txn-semantics 23.2 row 3: RcCheckTs ignores type Lock");
	EQ_U64(verdict(10, ISOLATION_RC_CHECK_TS, &pessimistic), LOCK_IGNORED,
		   "txn-semantics 23.2 row 3: RcCheckTs ignores type Pessimistic");
}

static void
locks_by_timestamp(void)
{
	Lock later = lock_of(LOCK_TYPE_PUT, 11);
	Lock same = lock_of(LOCK_TYPE_PUT, 10);
	Lock commits_later = lock_of(LOCK_TYPE_DELETE, 5);
	Lock commits_now = lock_of(LOCK_TYPE_DELETE, 5);

	commits_later.min_commit_ts = 11;
	commits_now.min_commit_ts = 10;
	EQ_U64(verdict(10, ISOLATION_SI, &later), LOCK_IGNORED,
		   "txn-semantics 23.2 row 2: SI ignores a lock of a later start");
	EQ_U64(verdict(10, ISOLATION_SI, &same), LOCK_BLOCKS,
		   "txn-semantics 23.2 row 2: a lock of the same ts blocks");
	EQ_U64(verdict(10, ISOLATION_RC_CHECK_TS, &later), LOCK_CONFLICTS,
		   "txn-semantics 23.2 row 2: RcCheckTs does not ask for the ts");
	EQ_U64(verdict(10, ISOLATION_SI, &commits_later), LOCK_IGNORED,
		   "txn-semantics 23.2 row 4: SI passes what commits later; "
		   "txn-semantics 28 row 14");
	EQ_U64(verdict(10, ISOLATION_SI, &commits_now), LOCK_BLOCKS,
		   "txn-semantics 23.2 row 4: min_commit_ts = ts blocks");
	EQ_U64(verdict(10, ISOLATION_RC_CHECK_TS, &commits_later), LOCK_CONFLICTS,
		   "txn-semantics 23.2 row 4: RcCheckTs does not ask min_commit_ts");
}

static void
locks_that_the_client_resolved(void)
{
	static const uint64_t list[] = {4, 5};
	Lock put = lock_of(LOCK_TYPE_PUT, 5);
	ReadContext context = at(10, ISOLATION_SI);

	context.resolved_locks = list;
	context.n_resolved_locks = 1;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_BLOCKS,
		   "txn-semantics 23.2 row 5: a lock that is not in the list blocks");
	context.n_resolved_locks = 2;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_IGNORED,
		   "txn-semantics 23.2 row 5: SI passes a resolved lock");
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, true), LOCK_IGNORED,
		   "txn-semantics 23.2 row 5: and a resolved guard");
	context.isolation = ISOLATION_RC_CHECK_TS;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_IGNORED,
		   "txn-semantics 23.2 row 5: RcCheckTs passes a resolved lock");
}

static void
locks_at_the_newest(void)
{
	Lock primary = lock_of(LOCK_TYPE_PUT, 5);
	Lock async = primary;
	Lock one_pc = primary;
	ReadContext context = at(UINT64_MAX, ISOLATION_SI);

	async.use_async_commit = true;
	one_pc.use_one_pc = true;
	EQ_U64(mvcc_lock_verdict(&context, K("primary"), &primary, false),
		   LOCK_IGNORED,
		   "txn-semantics 23.2 row 7: MAX passes a primary; "
		   "txn-semantics 28 row 13");
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &primary, false), LOCK_BLOCKS,
		   "txn-semantics 23.2 row 7: but not a secondary");
	EQ_U64(mvcc_lock_verdict(&context, K("primary"), &async, false),
		   LOCK_BLOCKS, "txn-semantics 23.2 row 7: not an async primary");
	EQ_U64(mvcc_lock_verdict(&context, K("primary"), &one_pc, true),
		   LOCK_BLOCKS, "txn-semantics 23.2 row 7: not a 1PC primary");
	context.replica_read = true;
	EQ_U64(mvcc_lock_verdict(&context, K("primary"), &primary, false),
		   LOCK_BLOCKS,
		   "txn-semantics 23.2 row 6: on a replica MAX passes nothing");
	context = at(100, ISOLATION_SI);
	EQ_U64(mvcc_lock_verdict(&context, K("primary"), &primary, false),
		   LOCK_BLOCKS,
		   "txn-semantics 23.2 row 7: other timestamps do not pass a primary");
}

static void
locks_read_through(void)
{
	static const uint64_t list[] = {5};
	Lock put = lock_of(LOCK_TYPE_PUT, 5);
	ReadContext context = at(10, ISOLATION_SI);

	context.committed_locks = list;
	context.n_committed_locks = 1;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_ACCESSED,
		   "a lock known as committed is read through");
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, true), LOCK_BLOCKS,
		   "a guard is not");
	context.need_commit_ts = true;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_BLOCKS,
		   "nor any lock when the commit_ts is asked for");
	context.need_commit_ts = false;
	put.min_commit_ts = 11;
	EQ_U64(mvcc_lock_verdict(&context, K("k"), &put, false), LOCK_IGNORED,
		   "a lock that does not block is not read through either");
}

/* What a get makes of a lock that the look found. */
static ReadResult
get_met(const ReadContext *context, MetLock *met)
{
	ReadResult result;

	met->key = K("k");
	met->verdict = mvcc_lock_verdict(context, met->key, &met->lock, false);
	mvcc_get(&memory.reader, context, met->key, met, &arena, &result);
	return result;
}

static void
gets_that_meet_locks(void)
{
	static const uint64_t list[] = {8};
	MetLock met = {.lock = lock_of(LOCK_TYPE_PUT, 8)};
	ReadContext context = at(10, ISOLATION_SI);
	ReadResult result;

	begin();
	have_put(&memory, "k", 1, 2, "old");
	result = get_met(&context, &met);
	OK(result.outcome == READ_LOCKED && result.met == &met,
	   "txn-semantics 23.2 row 8: SI answers KeyIsLocked; "
	   "txn-semantics 23.1 row 4: before any version is looked for");
	context.isolation = ISOLATION_RC_CHECK_TS;
	result = get_met(&context, &met);
	OK(result.outcome == READ_CONFLICT && result.conflict_ts == 8 &&
		   result.conflict_commit_ts == 0 && result.met == &met,
	   "txn-semantics 23.2 row 8: RcCheckTs answers WriteConflict");
	context.isolation = ISOLATION_RC;
	result = get_met(&context, &met);
	OK(found(&result, "old", 2), "txn-semantics 23.3: RC reads below a lock");

	context = at(10, ISOLATION_SI);
	context.committed_locks = list;
	context.n_committed_locks = 1;
	met.lock.has_short_value = true;
	met.lock.short_value = K("from the lock");
	result = get_met(&context, &met);
	OK(found(&result, "from the lock", 0), "a short value is in the lock");
	met.lock.has_short_value = false;
	result = get_met(&context, &met);
	OK(result.outcome == READ_DEFAULT_MISSING && result.start_ts == 8,
	   "a lock whose long value is missing is a sign of corruption");
	memory_put(&memory, TXN_CF_VALUE, K("k"), 8, bytes_cstr(long_value), false);
	result = get_met(&context, &met);
	OK(found(&result, long_value, 0), "a long value is in CF default");
	met.lock.type = LOCK_TYPE_DELETE;
	result = get_met(&context, &met);
	EQ_U64(result.outcome, READ_NOT_FOUND, "a committed Delete hides the key");
	end();
}

static void
versions(void)
{
	ReadContext context = at(10, ISOLATION_SI);
	ReadResult result;

	begin();
	result = get(&context, "k");
	EQ_U64(result.outcome, READ_NOT_FOUND, "an unknown key is not found");
	have_put(&memory, "k", 3, 5, "five");
	have_put(&memory, "k", 6, 10, "");
	have_put(&memory, "k", 7, 12, long_value);
	have_write(&memory, "k", WRITE_TYPE_DELETE, 19, 20, NULL);
	result = get(&context, "k");
	OK(found(&result, "", 10),
	   "txn-semantics 23.3: the newest <= ts; 23.4 row 1: an empty value is "
	   "a value");
	context.ts = 9;
	result = get(&context, "k");
	OK(found(&result, "five", 5),
	   "txn-semantics 23.3: an older one; txn-semantics 23.4 row 1: with its "
	   "commit_ts");
	context.ts = 4;
	result = get(&context, "k");
	EQ_U64(result.outcome, READ_NOT_FOUND,
		   "txn-semantics 23.3: nothing before the first");
	context.ts = 15;
	result = get(&context, "k");
	OK(found(&result, long_value, 12),
	   "txn-semantics 23.3: a long value is found by the start_ts");
	context.ts = UINT64_MAX;
	result = get(&context, "k");
	EQ_U64(result.outcome, READ_NOT_FOUND, "txn-semantics 23.3: a Delete");
	context.ts = 15;
	memory_delete(&memory, TXN_CF_VALUE, K("k"), 7);
	result = get(&context, "k");
	OK(result.outcome == READ_DEFAULT_MISSING && result.start_ts == 7,
	   "txn-semantics 23.3: a missing long value is DefaultNotFound");
	end();
}

static void
records_without_data(void)
{
	WriteRecord jump = {.type = WRITE_TYPE_LOCK, .start_ts = 40};
	ReadContext context = at(UINT64_MAX, ISOLATION_SI);
	ReadResult result;

	begin();
	have_put(&memory, "k", 3, 5, "five");
	have_rollback(&memory, "k", 7, true);
	have_write(&memory, "k", WRITE_TYPE_LOCK, 8, 9, NULL);
	result = get(&context, "k");
	OK(found(&result, "five", 5),
	   "txn-semantics 23.3: Lock and Rollback records are walked over");

	/* A jump is visible by what it passes over: a Put that does not count. */
	have_put(&memory, "k", 20, 21, "never reached");
	jump.last_change = (LastChange){5, 8};
	have_record(&memory, "k", 41, &jump);
	result = get(&context, "k");
	OK(found(&result, "five", 5),
	   "txn-semantics 23.3: eight versions and more are jumped over");
	jump.last_change = (LastChange){5, 7};
	have_record(&memory, "k", 41, &jump);
	result = get(&context, "k");
	OK(found(&result, "never reached", 21),
	   "txn-semantics 23.3: fewer are walked");
	jump.last_change = (LastChange){0, 1};
	have_record(&memory, "k", 41, &jump);
	result = get(&context, "k");
	EQ_U64(result.outcome, READ_NOT_FOUND,
		   "txn-semantics 23.3: NotExist ends the search");
	end();
}

static void
fences(void)
{
	WriteRecord put = {.type = WRITE_TYPE_PUT,
					   .start_ts = 3,
					   .has_short_value = true,
					   .short_value = K("v"),
					   .has_overlapped_rollback = true,
					   .has_gc_fence = true,
					   .gc_fence = 20};
	ReadContext context = at(19, ISOLATION_SI);
	ReadResult result;

	begin();
	have_put(&memory, "k", 1, 2, "older");
	have_record(&memory, "k", 5, &put);
	result = get(&context, "k");
	OK(found(&result, "v", 5), "txn-semantics 23.3: below its fence a Put is");
	context.ts = 20;
	result = get(&context, "k");
	EQ_U64(result.outcome, READ_NOT_FOUND,
		   "txn-semantics 23.3: from its fence on there is nothing, nor below");
	put.gc_fence = 0;
	have_record(&memory, "k", 5, &put);
	result = get(&context, "k");
	OK(found(&result, "v", 5), "txn-semantics 23.3: a fence of 0 is none");
	end();
}

static void
rc_check_ts(void)
{
	ReadContext context = at(10, ISOLATION_RC_CHECK_TS);
	ReadResult result;

	begin();
	have_put(&memory, "k", 3, 10, "ten");
	result = get(&context, "k");
	OK(found(&result, "ten", 10),
	   "txn-semantics 23.3: RcCheckTs reads if nothing is newer");
	have_rollback(&memory, "k", 11, false);
	result = get(&context, "k");
	OK(result.outcome == READ_CONFLICT && result.conflict_ts == 11 &&
		   result.conflict_commit_ts == 11 && result.met == NULL,
	   "txn-semantics 23.3: a newer Rollback is a conflict to RcCheckTs");
	have_put(&memory, "k", 12, 14, "new");
	result = get(&context, "k");
	OK(result.outcome == READ_CONFLICT && result.conflict_ts == 12 &&
		   result.conflict_commit_ts == 14,
	   "txn-semantics 23.3: so is a newer Put");
	context.isolation = ISOLATION_RC;
	result = get(&context, "k");
	OK(found(&result, "ten", 10), "txn-semantics 23.3: RC reads <= ts");
	end();
}

int
main(void)
{
	locks_that_never_block();
	locks_by_timestamp();
	locks_that_the_client_resolved();
	locks_at_the_newest();
	locks_read_through();
	gets_that_meet_locks();
	versions();
	records_without_data();
	fences();
	rc_check_ts();
	return unit_done();
}
