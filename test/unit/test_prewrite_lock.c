/*
 * test_prewrite_lock.c
 *	  Prewrite before the keys, and where a lock is found: txn-semantics 8.1
 *	  and 8.2, row by row.
 */
#include "core/txn/status_cache.h"
#include "prewrite_case.h"

/* --------------------------------------------------------- 8, 8.1 */

static void
dispatch(void)
{
	Case c;

	case_init(&c);
	begin_pessimistic(&c, "a", 10, 11);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "2");
	c.command.n_actions = 1;
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8 dispatch: a shorter list of actions is no error");
	OK(put_lock(&c, "a") != NULL && put_lock(&c, "b") == NULL,
	   "mutations without an action are not prewritten");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 11,
		   "a for_update_ts makes it pessimistic");

	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	EQ_U64(run_prewrite(&c), TXN_OK, "without one it is optimistic");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 0, "so the lock has none");
	c.command.use_async_commit = true;
	c.command.try_one_pc = true;
	run_prewrite(&c);
	OK(c.answer.one_pc_commit_ts != 0 && put_lock(&c, "a") == NULL,
	   "1PC wins over async commit");
	c.mutations[0].op = MUTATION_PESSIMISTIC_LOCK;
	EQ_U64(run_prewrite(&c), TXN_ABORT, "what is no prewrite is refused");
	case_free(&c);
}

static void
status_cache_makes_a_retry(void)
{
	Case c;
	TxnStatusCache *cache = status_cache_new(4, 4, 0);

	case_init(&c);
	c.env.status_cache = cache;
	store_simple_write(&c, "i", WRITE_TYPE_PUT, 10, 20);
	begin_pessimistic(&c, "a", 10, 10);
	mutate(&c, MUTATION_PUT, "i", "new");
	run_prewrite(&c);
	OK(put_lock(&c, "i") != NULL,
	   "a key guarded by another's lock is not looked up");
	status_cache_put(cache, 10, 20, 0);
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.1 row 1: known to be committed, it succeeds");
	OK(nothing_left(&c), "as a repetition, writing nothing");
	c.env.status_cache = NULL;
	c.env.is_retry_request = true;
	run_prewrite(&c);
	OK(nothing_left(&c), "as does one that says it is a retry");
	status_cache_free(cache);
	case_free(&c);
}

/* Thirteen Inserts of a..m over whatever is there. */
static TxnErrorKind
insert_many(Case *c)
{
	static const char *const keys[] = {"m", "b", "c", "d", "e", "f", "g",
									   "h", "i", "j", "k", "l", "a"};

	begin_prewrite(c, "a", 10);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		mutate(c, MUTATION_INSERT, keys[i], "v")->assertion = ASSERTION_EXIST;
	c->command.assertion_level = ASSERTION_LEVEL_FAST;
	return run_prewrite(c);
}

static void
empty_range(void)
{
	Case c;

	case_init(&c);
	store_simple_write(&c, "A", WRITE_TYPE_PUT, 5, 20);
	store_simple_write(&c, "m0", WRITE_TYPE_PUT, 5, 20);
	EQ_U64(insert_many(&c), TXN_OK,
		   "txn-semantics 8.1 row 2: a range without records is not "
		   "looked at key by key, nor asserted at level Fast");
	EQ_U64(c.effects.n_modifies, 13, "every key is locked");
	OK(bytes_eq(c.effects.modifies[0].key, bytes_cstr("a")) &&
		   bytes_eq(c.effects.modifies[12].key, bytes_cstr("m")),
	   "in the order of keys");
	store_simple_write(&c, "m", WRITE_TYPE_DELETE, 5, 6);
	EQ_U64(insert_many(&c), TXN_ASSERTION_FAILED,
		   "one record, be it of the last key, and each is looked at");
	store_simple_write(&c, "m", WRITE_TYPE_PUT, 5, 20);
	EQ_U64(insert_many(&c), TXN_WRITE_CONFLICT, "with its conflicts");
	c.command.n_mutations = 12;
	c.command.assertion_level = ASSERTION_LEVEL_FAST;
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("m"), 20);
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("m"), 6);
	EQ_U64(run_prewrite(&c), TXN_ASSERTION_FAILED,
		   "twelve mutations are looked at singly");
	case_free(&c);
}

/* Actions belong to mutations by their place: those are not moved. */
static void
many_pessimistic(void)
{
	Case c;

	case_init(&c);
	insert_many(&c);
	c.command.for_update_ts = 10;
	c.command.assertion_level = ASSERTION_LEVEL_OFF;
	EQ_U64(run_prewrite(&c), TXN_OK, "many keys of a pessimistic transaction");
	OK(bytes_eq(c.effects.modifies[0].key, bytes_cstr("m")),
	   "keep their order");
	case_free(&c);
}

static void
max_ts_not_synced(void)
{
	Case c;

	case_init(&c);
	c.env.max_ts_synced = false;
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	EQ_U64(run_prewrite(&c), TXN_OK, "2PC needs no max_ts");
	c.command.use_async_commit = true;
	EQ_U64(run_prewrite(&c), TXN_MAX_TS_NOT_SYNCED,
		   "txn-semantics 8.1 row 3: async commit needs a synced max_ts");
	OK(nothing_left(&c), "and writes nothing without");
	c.command.use_async_commit = false;
	c.command.try_one_pc = true;
	EQ_U64(run_prewrite(&c), TXN_MAX_TS_NOT_SYNCED,
		   "txn-semantics 5.2 row 1: 1PC as well");
	case_free(&c);
}

static void
bad_requests(void)
{
	Case c;
	ForUpdateTsConstraint constraint = {1, 11};

	case_init(&c);
	begin_pessimistic(&c, "a", 10, 11);
	mutate_locked(&c, MUTATION_PUT, "a", DO_PESSIMISTIC_CHECK);
	c.command.constraints = &constraint;
	c.command.n_constraints = 1;
	EQ_U64(run_prewrite(&c), TXN_ABORT,
		   "txn-semantics 8.1 row 4: a constraint on no mutation");
	OK(nothing_left(&c) && c.answer.errors[0].start_ts == 10 &&
		   c.answer.errors[0].text != NULL,
	   "is told, and nothing is written");
	mutate(&c, MUTATION_PUT, "b", "1");
	c.command.n_actions = 1;
	EQ_U64(run_prewrite(&c), TXN_ABORT, "mutations without action are none");
	c.command.for_update_ts = 0;
	c.command.n_mutations = 1;
	EQ_U64(run_prewrite(&c), TXN_OK, "optimistic ones have no constraints");

	begin_pessimistic(&c, "a", 10, 11);
	mutate(&c, MUTATION_CHECK_NOT_EXISTS, "a", "");
	EQ_U64(run_prewrite(&c), TXN_ABORT,
		   "txn-semantics 8.1 row 5: CheckNotExists is optimistic");

	c.env.max_key_size = 18;
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "123456789012345", "");
	EQ_U64(run_prewrite(&c), TXN_OK, "15 bytes are 18 encoded");
	mutate(&c, MUTATION_PUT, "1234567890123456", "");
	EQ_U64(run_prewrite(&c), TXN_KEY_TOO_LARGE,
		   "txn-semantics 27 row 1: the limit is that of the encoded key");
	OK(c.answer.errors[0].existing_start_ts == 27 &&
		   c.answer.errors[0].commit_ts == 18 &&
		   c.answer.errors[0].key.len == 16,
	   "whose size is told, with limit and key");
	OK(nothing_left(&c), "nothing is written");
	case_free(&c);
}

/* ------------------------------------------------------------------ 8.2 */

static void
other_lock(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "p", 5);

	case_init(&c);
	store_lock(&c, "a", &lock);
	begin_pessimistic(&c, "a", 10, 11);
	mutate_locked(&c, MUTATION_PUT, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
		   "txn-semantics 8.2 row 1: another's lock where ours should be");
	EQ_STR(c.answer.errors[0].text, "LockTsMismatch", "with the reason");

	for (int action = 0; action <= 2; action += 2)
	{
		c.actions[0] = (PessimisticAction) action;
		EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED,
			   "txn-semantics 8.2 row 2: another's lock on a key without ours");
		EQ_U64(c.answer.errors[0].lock.ttl_ms, 0,
			   "txn-semantics 28 row 4: reported with ttl 0");
		EQ_U64(c.answer.errors[0].lock.lock.ttl_ms, 3000,
			   "the lock itself keeps its own");
	}
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_DELETE, "a", "");
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED, "so to an optimistic one");
	EQ_U64(c.answer.errors[0].lock.ttl_ms, 3000, "which is told the ttl");
	OK(bytes_eq(c.answer.errors[0].lock.key, bytes_cstr("a")), "and the key");
	EQ_U64(c.answer.errors[0].lock.lock.start_ts, 5, "and the holder");
	OK(nothing_left(&c), "nothing is written");
	case_free(&c);
}

static void
own_pessimistic_lock(void)
{
	Case c;
	Lock lock = a_pessimistic_lock("a", 10, 15);
	ForUpdateTsConstraint constraint = {0, 14};

	case_init(&c);
	lock.min_commit_ts = 30;
	lock.last_change.ts = 4;
	lock.last_change.versions = 3;
	store_lock(&c, "a", &lock);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	EQ_U64(
		run_prewrite(&c), TXN_LOCK_TYPE_NOT_MATCH,
		"txn-semantics 8.2 row 3: a pessimistic lock, an optimistic request");

	begin_pessimistic(&c, "a", 10, 12);
	mutate_locked(&c, MUTATION_LOCK, "a", DO_PESSIMISTIC_CHECK);
	c.command.constraints = &constraint;
	c.command.n_constraints = 1;
	EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
		   "txn-semantics 8.2 row 4: another for_update_ts than expected");
	EQ_STR(c.answer.errors[0].text, "LockForUpdateTsMismatch", "says why");
	constraint.expected_for_update_ts = 16;
	EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
		   "txn-semantics 28 row 11: a smaller one does not do either");
	constraint.expected_for_update_ts = 15;
	c.command.min_commit_ts = 20;
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.2 row 5: the own lock is replaced");
	EQ_U64(put_lock(&c, "a")->type, LOCK_TYPE_LOCK, "by the prewrite lock");
	EQ_U64(put_lock(&c, "a")->ttl_ms, 3000, "the greater ttl stays");
	EQ_U64(put_lock(&c, "a")->min_commit_ts, 30, "so does min_commit_ts");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 15, "and for_update_ts");
	EQ_U64(put_lock(&c, "a")->last_change.ts, 4, "last_change is kept");
	EQ_U64(put_lock(&c, "a")->last_change.versions, 3, "with its versions");
	EQ_U64(c.effects.n_released, 0, "the lock is held on: nobody wakes");
	c.command.lock_ttl_ms = 5000;
	c.command.min_commit_ts = 40;
	c.command.for_update_ts = 50;
	run_prewrite(&c);
	EQ_U64(put_lock(&c, "a")->ttl_ms, 5000, "or the request's, if greater");
	EQ_U64(put_lock(&c, "a")->min_commit_ts, 40, "min_commit_ts too");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 50, "and for_update_ts");
	c.mutations[0].op = MUTATION_PUT;
	c.mutations[0].value = bytes_cstr("v");
	EQ_U64(run_prewrite(&c), TXN_OK, "the same with a Put");
	OK(last_change_is_unknown(put_lock(&c, "a")->last_change),
	   "txn-semantics 8.6 row 1: last_change is a Lock's alone");
	case_free(&c);
}

static void
own_prewrite_lock(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);
	static const LockType types[] = {LOCK_TYPE_PUT, LOCK_TYPE_DELETE,
									 LOCK_TYPE_LOCK};

	case_init(&c);
	lock.min_commit_ts = 33;
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_INSERT, "a", "other")->assertion = ASSERTION_EXIST;
	c.command.assertion_level = ASSERTION_LEVEL_STRICT;
	for (int i = 0; i < 3; i++)
	{
		lock.type = types[i];
		store_lock(&c, "a", &lock);
		EQ_U64(run_prewrite(&c), TXN_OK,
			   "txn-semantics 8.2 row 6: a repetition succeeds");
		OK(nothing_left(&c), "and writes nothing");
	}
	c.command.use_async_commit = true;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 0,
		   "txn-semantics 28 row 3: a lock of 2PC has an async repetition fall "
		   "back");
	lock.use_async_commit = true;
	store_lock(&c, "a", &lock);
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 33, "an async one tells its min_commit_ts");
	case_free(&c);
}

static void
flushed_locks(void)
{
	Case c;
	Lock lock = a_lock(LOCK_TYPE_PUT, "a", 10);

	case_init(&c);
	lock.generation = 3;
	store_lock(&c, "a", &lock);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "2");
	EQ_U64(run_flush(&c, 3), TXN_OK,
		   "txn-semantics 8.2 row 7: a generation that was there is ignored");
	OK(put_lock(&c, "a") == NULL, "that mutation writes nothing");
	OK(put_lock(&c, "b") != NULL, "others do");
	run_flush(&c, 2);
	OK(put_lock(&c, "a") == NULL, "an older one as well");
	run_flush(&c, 4);
	OK(put_lock(&c, "a") != NULL, "a newer one is written");

	c.mutations[0].op = MUTATION_INSERT;
	EQ_U64(run_flush(&c, 4), TXN_ALREADY_EXIST,
		   "txn-semantics 8.2 row 8: inserted again over a flushed Put");
	EQ_U64(c.answer.errors[0].existing_start_ts, 10, "which is our own");
	lock.type = LOCK_TYPE_DELETE;
	store_lock(&c, "a", &lock);
	EQ_U64(run_flush(&c, 4), TXN_OK, "over a flushed Delete it is none");
	case_free(&c);
}

/* A container with a pessimistic member of 10 and one of 20. */
static Lock
shared_lock(Lock members[2])
{
	Lock lock = {.type = LOCK_TYPE_SHARED, .members = members, .n_members = 2};

	members[0] = a_pessimistic_lock("p", 20, 20);
	members[1] = a_pessimistic_lock("p", 10, 12);
	members[1].min_commit_ts = 30;
	return lock;
}

static void
shared_member(void)
{
	Case c;
	Lock members[2];
	Lock lock = shared_lock(members);
	const Lock *put;

	case_init(&c);
	lock.shrink_only = true;
	store_lock(&c, "a", &lock);
	begin_pessimistic(&c, "p", 10, 11);
	mutate_locked(&c, MUTATION_SHARED_LOCK, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.2 row 9: SharedLock prewrites its own member");
	put = put_lock(&c, "a");
	OK(put != NULL && put->type == LOCK_TYPE_SHARED && put->n_members == 2,
	   "the container keeps its members");
	OK(put->shrink_only, "and its flag");
	EQ_U64(put->members[0].type, LOCK_TYPE_PESSIMISTIC, "the other one as is");
	EQ_U64(put->members[1].type, LOCK_TYPE_LOCK, "ours is prewritten");
	EQ_U64(put->members[1].min_commit_ts, 30, "as an own lock is");
	EQ_U64(put->members[1].for_update_ts, 12, "with the greater for_update_ts");
	OK(last_change_is_unknown(put->members[1].last_change), "as it was");
	c.actions[0] = DO_CONSTRAINT_CHECK;
	run_prewrite(&c);
	OK(last_change_not_exist(put_lock(&c, "a")->members[1].last_change),
	   "or with the last_change that was looked up");
	c.actions[0] = DO_PESSIMISTIC_CHECK;
	run_prewrite(&c);
	case_apply(&c);
	EQ_U64(run_prewrite(&c), TXN_OK, "again, it is a repetition");
	OK(nothing_left(&c), "that writes nothing");

	c.command.use_async_commit = true;
	EQ_U64(run_prewrite(&c), TXN_OK, "which has async commit fall back");
	store_lock(&c, "a", &lock);
	EQ_U64(run_prewrite(&c), TXN_ABORT, "as a member it cannot be async");
	OK(nothing_left(&c), "and leaves no guard");
	c.command.use_async_commit = false;
	c.command.try_one_pc = true;
	EQ_U64(run_prewrite(&c), TXN_ABORT, "nor 1PC");
	OK(nothing_left(&c), "and leaves no guard either");

	begin_pessimistic(&c, "p", 10, 11);
	mutate_locked(&c, MUTATION_PUT, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_ABORT,
		   "txn-semantics 8.2 row 10: other mutations of a member are refused");
	case_free(&c);
}

static void
not_a_member(void)
{
	Case c;
	Lock members[2];
	Lock lock = shared_lock(members);
	Lock exclusive = a_lock(LOCK_TYPE_PUT, "p", 5);

	case_init(&c);
	store_lock(&c, "a", &lock);
	begin_pessimistic(&c, "p", 11, 12);
	mutate_locked(&c, MUTATION_SHARED_LOCK, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_PESSIMISTIC_LOCK_NOT_FOUND,
		   "txn-semantics 8.2 row 11: SharedLock without being a member");
	mutate_locked(&c, MUTATION_PUT, "a", SKIP_PESSIMISTIC_CHECK);
	c.command.mutations = &c.mutations[1];
	c.command.n_mutations = 1;
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED, "others meet a lock");
	EQ_U64(c.answer.errors[0].lock.lock.n_members, 2, "with all its members");

	store_lock(&c, "a", &exclusive);
	begin_pessimistic(&c, "p", 11, 12);
	mutate_locked(&c, MUTATION_SHARED_LOCK, "a", DO_PESSIMISTIC_CHECK);
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED,
		   "txn-semantics 8.2 row 12: SharedLock meets an exclusive lock");
	EQ_U64(c.answer.errors[0].lock.ttl_ms, 3000, "told as it is");
	exclusive = a_pessimistic_lock("p", 11, 12);
	store_lock(&c, "a", &exclusive);
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED, "be it our own");
	case_free(&c);
}

int
main(void)
{
	dispatch();
	status_cache_makes_a_retry();
	empty_range();
	many_pessimistic();
	max_ts_not_synced();
	bad_requests();
	other_lock();
	own_pessimistic_lock();
	own_prewrite_lock();
	flushed_locks();
	shared_member();
	not_a_member();
	return unit_done();
}
