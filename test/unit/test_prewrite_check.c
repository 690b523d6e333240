/*
 * test_prewrite_check.c
 *	  Prewrite against the history of a key: txn-semantics 8.3, 8.4 and 8.5.
 */
#include "prewrite_case.h"

static const WriteType all_types[] = {WRITE_TYPE_PUT, WRITE_TYPE_DELETE,
									  WRITE_TYPE_LOCK, WRITE_TYPE_ROLLBACK};

static bool
conflict_is(const Case *c, ConflictReason reason, uint64_t conflict_ts,
			uint64_t commit_ts)
{
	const TxnError *e = c->answer.errors;

	return c->answer.n_errors == 1 && e->kind == TXN_WRITE_CONFLICT &&
		e->reason == reason && e->conflict_ts == conflict_ts &&
		e->conflict_commit_ts == commit_ts && e->start_ts == 10 &&
		bytes_eq(e->key, bytes_cstr("a")) &&
		bytes_eq(e->primary, bytes_cstr("p")) && nothing_left(c);
}

/* ------------------------------------------------------------------ 8.3 */

static void
self_rolled_back(void)
{
	Case c;
	WriteRecord write = write_rollback(10, true);

	case_init(&c);
	store_write(&c, "a", 10, &write);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	run_prewrite(&c);
	OK(conflict_is(&c, CONFLICT_SELF_ROLLED_BACK, 10, 10),
	   "txn-semantics 8.3 row 1: the own Rollback is in the way");
	write = a_write(WRITE_TYPE_PUT, 5);
	write.has_overlapped_rollback = true;
	store_write(&c, "a", 10, &write);
	run_prewrite(&c);
	OK(conflict_is(&c, CONFLICT_SELF_ROLLED_BACK, 5, 10),
	   "txn-semantics 28 row 8: so is its flag on another's commit");
	c.command.for_update_ts = 50;
	c.actions[0] = DO_CONSTRAINT_CHECK;
	run_prewrite(&c);
	OK(conflict_is(&c, CONFLICT_SELF_ROLLED_BACK, 5, 10),
	   "for pessimistic transactions too");
	write.has_overlapped_rollback = false;
	store_write(&c, "a", 10, &write);
	EQ_U64(run_prewrite(&c), TXN_OK, "which meet no conflict at start_ts");
	c.command.for_update_ts = 0;
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "another's commit at our start_ts alone is not");
	case_free(&c);
}

static void
optimistic_conflict(void)
{
	Case c;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	for (int i = 0; i < 4; i++)
	{
		store_simple_write(&c, "a", all_types[i], 20, 20);
		run_prewrite(&c);
		OK(conflict_is(&c, CONFLICT_OPTIMISTIC, 20, 20),
		   "txn-semantics 8.3 row 2, txn-semantics 28 row 1: any newer record "
		   "is a conflict, Rollback and Lock among them");
	}
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 8, 11);
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 20);
	run_prewrite(&c);
	OK(conflict_is(&c, CONFLICT_OPTIMISTIC, 8, 11),
	   "newer is by the commit_ts alone");
	c.command.skip_constraint_check = true;
	EQ_U64(run_prewrite(&c), TXN_OK, "unless the request skips the check");
	case_free(&c);
}

static void
lazy_check(void)
{
	Case c;

	case_init(&c);
	begin_pessimistic(&c, "p", 10, 30);
	mutate_locked(&c, MUTATION_PUT, "a", DO_CONSTRAINT_CHECK);
	for (int i = 0; i < 4; i++)
	{
		store_simple_write(&c, "a", all_types[i], 20, 20);
		run_prewrite(&c);
		OK(conflict_is(&c, CONFLICT_LAZY_UNIQUENESS_CHECK, 20, 20),
		   "txn-semantics 8.3 row 3: as optimistic, whatever for_update_ts");
	}
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 20);
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 5, 9);
	EQ_U64(run_prewrite(&c), TXN_OK, "older records are none");
	c.mutations[0].op = MUTATION_INSERT;
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST, "but for the constraint");
	case_free(&c);
}

/* A key without lock of a pessimistic transaction, in a retried request. */
static void
begin_retry(Case *c)
{
	begin_pessimistic(c, "p", 10, 15);
	mutate(c, MUTATION_INSERT, "a", "1");
	c->env.is_retry_request = true;
}

static void
pessimistic_retry(void)
{
	Case c;

	case_init(&c);
	begin_retry(&c);
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 20, 20);
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 18, 18);
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.3 row 4: newer Rollbacks are passed over");
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 3, 5);
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST, "the next older one decides");
	for (int i = 0; i < 3; i++)
	{
		store_simple_write(&c, "a", all_types[i], 12, 16);
		EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
			   "txn-semantics 8.3 row 5: a newer change means a lost lock");
		EQ_STR(c.answer.errors[0].text, "NonLockKeyConflict", "elsewhere");
	}
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 12, 17);
	EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
		   "be it right below a Rollback");
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 17);
	c.command.for_update_ts = 16;
	store_simple_write(&c, "a", WRITE_TYPE_DELETE, 12, 16);
	EQ_U64(run_prewrite(&c), TXN_OK, "up to for_update_ts it is none");
	c.env.is_retry_request = false;
	c.command.for_update_ts = 15;
	EQ_U64(run_prewrite(&c), TXN_OK, "nor is it looked for at first");
	case_free(&c);
}

static void
data_constraint(void)
{
	Case c;
	WriteRecord write = a_write(WRITE_TYPE_PUT, 3);

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_INSERT, "a", "1");
	store_write(&c, "a", 5, &write);
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST,
		   "txn-semantics 8.3 row 6: Insert over a Put");
	EQ_U64(c.answer.errors[0].existing_start_ts, 3, "names it");
	EQ_U64(c.memory.max_ts, 10, "after raising max_ts");
	store_simple_write(&c, "a", WRITE_TYPE_LOCK, 6, 6);
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 7, 7);
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST, "below Lock and Rollback");
	EQ_U64(c.answer.errors[0].existing_start_ts, 3, "too");
	c.mutations[0].op = MUTATION_CHECK_NOT_EXISTS;
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST, "CheckNotExists as well");
	c.mutations[0].op = MUTATION_PUT;
	EQ_U64(run_prewrite(&c), TXN_OK, "others do not care");
	c.mutations[0].op = MUTATION_INSERT;
	store_simple_write(&c, "a", WRITE_TYPE_DELETE, 8, 9);
	EQ_U64(run_prewrite(&c), TXN_OK, "a deleted key does not exist");
	write.has_gc_fence = true;
	write.gc_fence = 7;
	store_write(&c, "a", 9, &write);
	EQ_U64(run_prewrite(&c), TXN_OK, "nor does one that is fenced off");
	write.gc_fence = 0;
	store_write(&c, "a", 9, &write);
	EQ_U64(run_prewrite(&c), TXN_ALREADY_EXIST, "a fence of 0 is none");
	case_free(&c);
}

static LastChange
last_change_of(Case *c)
{
	LastChange none = {99, 99};

	return run_prewrite(c) == TXN_OK ? put_lock(c, "a")->last_change : none;
}

static void
last_change(void)
{
	Case c;
	WriteRecord rollback = a_write(WRITE_TYPE_ROLLBACK, 7);
	LastChange change;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_LOCK, "a", "");
	OK(last_change_not_exist(last_change_of(&c)),
	   "txn-semantics 8.3 row 7: without record, last_change is NotExist");
	store_simple_write(&c, "a", WRITE_TYPE_DELETE, 3, 5);
	change = last_change_of(&c);
	OK(change.ts == 5 && change.versions == 1, "over a change it points there");
	rollback.last_change.ts = 5;
	rollback.last_change.versions = 4;
	store_write(&c, "a", 7, &rollback);
	change = last_change_of(&c);
	OK(change.ts == 5 && change.versions == 5, "over a Rollback one further");
	c.mutations[0].op = MUTATION_PUT;
	OK(last_change_is_unknown(last_change_of(&c)), "a Put needs none");

	begin_retry(&c);
	c.mutations[0].op = MUTATION_LOCK;
	rollback.last_change.ts = 0;
	store_write(&c, "a", 20, &rollback);
	OK(last_change_not_exist(last_change_of(&c)),
	   "it comes from the newest record, though that is passed over");
	case_free(&c);
}

/* ------------------------------------------------------------------ 8.4 */

static TxnErrorKind
assert_on(Case *c, Assertion assertion, AssertionLevel level)
{
	c->mutations[0].assertion = assertion;
	c->command.assertion_level = level;
	return run_prewrite(c);
}

static void
assertion_levels(void)
{
	Case c;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_OFF), TXN_OK,
		   "txn-semantics 8.4: level Off asserts nothing");
	EQ_U64(assert_on(&c, ASSERTION_NONE, ASSERTION_LEVEL_STRICT), TXN_OK,
		   "nor does no assertion");
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ASSERTION_FAILED, "Fast asserts on what was loaded");
	OK(nothing_left(&c), "and writes nothing");
	c.command.skip_constraint_check = true;
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST), TXN_OK,
		   "but loads nothing itself");
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT),
		   TXN_ASSERTION_FAILED, "Strict does");
	EQ_U64(c.answer.errors[0].existing_start_ts, 0, "there is nothing");
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 3, 5);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT), TXN_OK,
		   "now there is");
	EQ_U64(assert_on(&c, ASSERTION_NOT_EXIST, ASSERTION_LEVEL_STRICT),
		   TXN_ASSERTION_FAILED, "against NotExist");
	EQ_U64(c.answer.errors[0].existing_start_ts, 3, "which is named");
	EQ_U64(c.answer.errors[0].existing_commit_ts, 5, "with its commit_ts");
	EQ_U64(c.answer.errors[0].assertion, ASSERTION_NOT_EXIST, "and assertion");
	case_free(&c);
}

static void
assertion_previous(void)
{
	Case c;
	WriteRecord fenced = a_write(WRITE_TYPE_PUT, 3);

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	store_simple_write(&c, "a", WRITE_TYPE_DELETE, 3, 5);
	EQ_U64(assert_on(&c, ASSERTION_NOT_EXIST, ASSERTION_LEVEL_FAST), TXN_OK,
		   "a Delete is nothing");
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ASSERTION_FAILED, "so nothing that exists");
	EQ_U64(c.answer.errors[0].existing_commit_ts, 5, "but is named");
	store_simple_write(&c, "a", WRITE_TYPE_LOCK, 6, 6);
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 7, 7);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ASSERTION_FAILED, "Lock and Rollback are looked through");
	EQ_U64(c.answer.errors[0].existing_commit_ts, 0, "to nothing");
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 3, 5);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST), TXN_OK,
		   "or to a Put");
	fenced.has_gc_fence = true;
	fenced.gc_fence = 6;
	store_write(&c, "a", 8, &fenced);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ASSERTION_FAILED, "what is fenced off does not exist");
	EQ_U64(assert_on(&c, ASSERTION_NOT_EXIST, ASSERTION_LEVEL_STRICT), TXN_OK,
		   "at any level");
	case_free(&c);
}

static void
assertion_precedence(void)
{
	Case c;
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 5);

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	c.command.skip_constraint_check = true;
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 10, 10);
	assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT);
	OK(conflict_is(&c, CONFLICT_SELF_ROLLED_BACK, 10, 10),
	   "a skipped check is made up, and its error wins");
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 10);
	store_lock(&c, "b", &other);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT),
		   TXN_ASSERTION_FAILED,
		   "txn-semantics 8.7 row 6: an assertion wins over locked keys");
	EQ_U64(c.answer.n_errors, 1, "alone");
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("b"), 0);
	c.mutations[1].assertion = ASSERTION_EXIST;
	assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT);
	OK(bytes_eq(c.answer.errors[0].key, bytes_cstr("a")), "the first is told");
	other = a_pessimistic_lock("p", 10, 10);
	store_lock(&c, "b", &other);
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_STRICT),
		   TXN_LOCK_TYPE_NOT_MATCH,
		   "txn-semantics 8.7 row 7: any other error ends the request at once");
	EQ_U64(c.answer.n_errors, 1, "and wins");
	case_free(&c);
}

static void
assertion_of_flushes(void)
{
	Case c;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1")->assertion = ASSERTION_NOT_EXIST;
	c.command.assertion_level = ASSERTION_LEVEL_FAST;
	EQ_U64(run_flush(&c, 1), TXN_OK, "a first flush asserts");
	case_apply(&c);
	c.mutations[0].assertion = ASSERTION_EXIST;
	EQ_U64(run_flush(&c, 2), TXN_OK, "the next ones do not");
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("a"), 0);
	EQ_U64(run_flush(&c, 2), TXN_ASSERTION_FAILED, "as this one would");
	case_free(&c);
}

/* ------------------------------------------------------------------ 8.5 */

static void
amend(void)
{
	Case c;

	case_init(&c);
	begin_pessimistic(&c, "p", 10, 15);
	mutate_locked(&c, MUTATION_LOCK, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.5: a lost lock on a key without history");
	OK(last_change_not_exist(put_lock(&c, "a")->last_change), "is made up");
	for (int i = 0; i < 4; i++)
	{
		store_simple_write(&c, "a", all_types[i], 9, 9);
		EQ_U64(run_prewrite(&c), TXN_OK, "older records do not matter");
	}
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 9, 9);
	run_prewrite(&c);
	EQ_U64(put_lock(&c, "a")->last_change.ts, 9, "but are pointed to");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 15, "the request's for_update_ts");
	EQ_U64(assert_on(&c, ASSERTION_NOT_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ASSERTION_FAILED, "assertions are checked");
	EQ_U64(assert_on(&c, ASSERTION_EXIST, ASSERTION_LEVEL_FAST), TXN_OK,
		   "on what was loaded");
	for (int i = 0; i < 4; i++)
	{
		store_simple_write(&c, "a", all_types[i], 5, 10);
		EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
			   "any record from start_ts on means that the lock is lost");
		EQ_STR(c.answer.errors[0].text, "LockMissingAmendFail", "for good");
	}
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 10);
	c.mutations[0].op = MUTATION_SHARED_LOCK;
	EQ_U64(assert_on(&c, ASSERTION_NONE, ASSERTION_LEVEL_OFF),
		   TXN_PESSIMISTIC_LOCK_NOT_FOUND, "SharedLock is never made up");
	case_free(&c);
}

static void
amended_constraint(void)
{
	Case c;

	case_init(&c);
	begin_pessimistic(&c, "p", 10, 15);
	mutate_locked(&c, MUTATION_INSERT, "a", DO_PESSIMISTIC_CHECK);
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 8, 9);
	EQ_U64(run_prewrite(&c), TXN_OK, "its constraint check is skipped");
	EQ_U64(assert_on(&c, ASSERTION_NOT_EXIST, ASSERTION_LEVEL_FAST),
		   TXN_ALREADY_EXIST, "until an assertion fails, and then it wins");
	case_free(&c);
}

int
main(void)
{
	self_rolled_back();
	optimistic_conflict();
	lazy_check();
	pessimistic_retry();
	data_constraint();
	last_change();
	assertion_levels();
	assertion_previous();
	assertion_precedence();
	assertion_of_flushes();
	amend();
	amended_constraint();
	return unit_done();
}
