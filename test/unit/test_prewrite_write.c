/*
 * test_prewrite_write.c
 *	  What prewrite writes, and what the keys of a request add up to:
 *	  txn-semantics 8.6 and 8.7.
 */
#include "prewrite_case.h"

static char long_value[300];

/* ------------------------------------------------------------------ 8.6 */

static void
lock_fields(void)
{
	Case c;
	const Lock *lock;

	case_init(&c);
	c.env.txn_source = 7;
	begin_pessimistic(&c, "p", 10, 11);
	c.command.txn_size = 5;
	c.command.min_commit_ts = 12;
	store_simple_write(&c, "l", WRITE_TYPE_PUT, 3, 5);
	mutate(&c, MUTATION_PUT, "u", "new");
	mutate(&c, MUTATION_DELETE, "d", "");
	mutate(&c, MUTATION_LOCK, "l", "");
	mutate(&c, MUTATION_INSERT, "i", "");
	c.env.is_retry_request = true;
	EQ_U64(run_prewrite(&c), TXN_OK, "four kinds of mutations");
	lock = put_lock(&c, "u");
	OK(lock->type == LOCK_TYPE_PUT && lock->start_ts == 10 &&
		   lock->ttl_ms == 1000 && lock->for_update_ts == 11 &&
		   lock->txn_size == 5 && lock->min_commit_ts == 12 &&
		   lock->txn_source == 7 && lock->generation == 0 &&
		   bytes_eq(lock->primary, bytes_cstr("p")),
	   "txn-semantics 8.6 row 1: the fields come from the request");
	OK(!lock->use_async_commit && lock->n_secondaries == 0 &&
		   !lock->use_one_pc && lock->n_rollback_ts == 0,
	   "none of async commit in 2PC");
	OK(last_change_is_unknown(lock->last_change), "no last_change in a Put");
	EQ_U64(put_lock(&c, "d")->type, LOCK_TYPE_DELETE, "Del makes a Delete");
	OK(!put_lock(&c, "d")->has_short_value, "without value");
	OK(last_change_is_unknown(put_lock(&c, "d")->last_change),
	   "and without last_change");
	EQ_U64(put_lock(&c, "l")->type, LOCK_TYPE_LOCK, "Lock makes a Lock");
	EQ_U64(put_lock(&c, "l")->last_change.ts, 5, "with last_change");
	EQ_U64(put_lock(&c, "i")->type, LOCK_TYPE_PUT, "Insert makes a Put");
	OK(put_lock(&c, "i")->has_short_value &&
		   put_lock(&c, "i")->short_value.len == 0,
	   "an empty value is a short one");
	EQ_U64(c.effects.n_modifies, 4, "one row each");
	c.command.min_commit_ts = 0;
	run_prewrite(&c);
	EQ_U64(put_lock(&c, "u")->min_commit_ts, 0, "min_commit_ts may be 0");
	EQ_U64(c.answer.min_commit_ts, 0, "2PC answers none");
	case_free(&c);
}

static void
values(void)
{
	Case c;
	const TxnModify *value;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "")->value = bytes_make(long_value, 255);
	mutate(&c, MUTATION_PUT, "b", "")->value = bytes_make(long_value, 256);
	run_prewrite(&c);
	OK(put_lock(&c, "a")->has_short_value &&
		   put_lock(&c, "a")->short_value.len == 255 &&
		   find_effect(&c, TXN_CF_VALUE, "a") == NULL,
	   "txn-semantics 8.6 row 2, txn-semantics 27 row 2: 255 bytes are short");
	value = find_effect(&c, TXN_CF_VALUE, "b");
	OK(!put_lock(&c, "b")->has_short_value && value != NULL &&
		   value->ts == 10 && value->bytes.len == 256,
	   "256 are a row at start_ts");
	case_free(&c);
}

static void
check_not_exists(void)
{
	Case c;

	case_init(&c);
	c.memory.max_ts = 50;
	begin_prewrite(&c, "p", 60);
	mutate(&c, MUTATION_CHECK_NOT_EXISTS, "a", "");
	EQ_U64(run_prewrite(&c), TXN_OK, "a key that does not exist");
	OK(nothing_left(&c), "txn-semantics 8.6 row 3: CheckNotExists writes none");
	EQ_U64(c.memory.max_ts, 60, "but raises max_ts, as a read");
	c.command.use_async_commit = true;
	c.memory.max_ts = 100;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 61, "its min_commit_ts follows start_ts");
	c.command.min_commit_ts = 70;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 70, "or the request's");
	case_free(&c);
}

static void
async_commit(void)
{
	Case c;
	Bytes secondaries[2] = {bytes_cstr("b"), bytes_cstr("z")};

	case_init(&c);
	c.memory.max_ts = 50;
	begin_pessimistic(&c, "a", 10, 20);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "2");
	c.command.use_async_commit = true;
	c.command.secondaries = secondaries;
	c.command.n_secondaries = 2;
	EQ_U64(run_prewrite(&c), TXN_OK, "async commit");
	OK(put_lock(&c, "a")->use_async_commit &&
		   put_lock(&c, "a")->n_secondaries == 2 &&
		   bytes_eq(put_lock(&c, "a")->secondaries[1], bytes_cstr("z")),
	   "txn-semantics 8.6 row 4: the primary lists the secondaries");
	OK(put_lock(&c, "b")->use_async_commit &&
		   put_lock(&c, "b")->n_secondaries == 0,
	   "a secondary lists none");
	EQ_U64(put_lock(&c, "a")->min_commit_ts, 51,
		   "txn-semantics 8.6 row 5: min_commit_ts is behind max_ts");
	EQ_U64(c.effects.n_guards, 2, "every key is guarded");
	EQ_U64(c.memory.n_guards, 2, "in memory");
	EQ_U64(c.answer.min_commit_ts, 51, "and is answered");
	EQ_U64(c.answer.one_pc_commit_ts, 0, "which is not 1PC");
	OK(!c.effects.one_pc, "nor flagged so");
	case_apply(&c);
	EQ_U64(c.memory.n_guards, 0, "guards end when it is durable");

	begin_pessimistic(&c, "c", 60, 80);
	mutate(&c, MUTATION_PUT, "c", "1");
	c.command.use_async_commit = true;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 81, "or behind for_update_ts");
	case_apply(&c);
	begin_prewrite(&c, "d", 90);
	mutate(&c, MUTATION_PUT, "d", "1");
	c.command.use_async_commit = true;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 91, "or behind start_ts");
	case_apply(&c);
	c.mutations[0].key = bytes_cstr("e");
	c.command.min_commit_ts = 95;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 95, "or the request's own");
	case_apply(&c);
	case_free(&c);
}

#define MANY_SECONDARIES 1000

static void
many_secondaries(void)
{
	Case c;
	Bytes secondaries[MANY_SECONDARIES];
	Lock back;

	case_init(&c);
	for (int i = 0; i < MANY_SECONDARIES; i++)
		secondaries[i] = bytes_make(long_value, 200);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	c.command.use_async_commit = true;
	c.command.secondaries = secondaries;
	c.command.n_secondaries = MANY_SECONDARIES;
	EQ_U64(
		run_prewrite(&c), TXN_OK,
		"txn-semantics 27 row 10: the store takes any number of secondaries");
	case_apply(&c);
	OK(c.memory.reader.get_lock(&c.memory.reader, bytes_cstr("a"), &c.arena,
								&back) &&
		   back.n_secondaries == MANY_SECONDARIES &&
		   back.secondaries[MANY_SECONDARIES - 1].len == 200,
	   "and stores them");
	case_free(&c);
}

static void
request_for_update_ts(void)
{
	Case c;
	Lock lock = a_pessimistic_lock("a", 10, 90);

	case_init(&c);
	store_lock(&c, "a", &lock);
	begin_pessimistic(&c, "a", 10, 20);
	mutate_locked(&c, MUTATION_PUT, "a", DO_PESSIMISTIC_CHECK);
	c.command.use_async_commit = true;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 21,
		   "the request's for_update_ts counts, not the lock's");
	EQ_U64(put_lock(&c, "a")->for_update_ts, 90, "which it keeps");
	case_free(&c);
}

static void
async_success(void)
{
	Case c;
	Lock lock = a_pessimistic_lock("a", 10, 15);

	case_init(&c);
	lock.min_commit_ts = 40;
	store_lock(&c, "b", &lock);
	begin_pessimistic(&c, "a", 10, 20);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate_locked(&c, MUTATION_PUT, "b", DO_PESSIMISTIC_CHECK);
	mutate(&c, MUTATION_PUT, "c", "1");
	c.command.use_async_commit = true;
	run_prewrite(&c);
	EQ_U64(c.answer.min_commit_ts, 40,
		   "txn-semantics 8.7 async success: the greatest of the keys'");
	EQ_U64(put_lock(&c, "c")->min_commit_ts, 21, "each lock has its own");
	case_apply(&c);
	EQ_U64(run_prewrite(&c), TXN_OK, "the same request again");
	EQ_U64(c.answer.min_commit_ts, 40, "gets the same answer");
	OK(nothing_written(&c), "and writes nothing");
	case_free(&c);
}

/* ------------------------------------------------------------------ 1PC */

static void
one_pc(void)
{
	Case c;
	Lock lock = a_pessimistic_lock("a", 10, 15);
	const WriteRecord *write;

	case_init(&c);
	c.env.txn_source = 3;
	c.memory.max_ts = 50;
	lock.last_change.ts = 4;
	lock.last_change.versions = 2;
	store_lock(&c, "a", &lock);
	begin_pessimistic(&c, "a", 10, 20);
	mutate_locked(&c, MUTATION_LOCK, "a", DO_PESSIMISTIC_CHECK);
	mutate(&c, MUTATION_PUT, "b", "2");
	mutate(&c, MUTATION_DELETE, "c", "");
	mutate(&c, MUTATION_PUT, "d", "")->value = bytes_make(long_value, 300);
	c.command.try_one_pc = true;
	EQ_U64(run_prewrite(&c), TXN_OK, "1PC");
	EQ_U64(c.answer.one_pc_commit_ts, 51,
		   "txn-semantics 8.7 1PC success: commits at the greatest "
		   "min_commit_ts");
	EQ_U64(c.answer.min_commit_ts, 0, "which is not async commit");
	write = put_write(&c, "b", 51);
	OK(write != NULL && write->type == WRITE_TYPE_PUT &&
		   write->start_ts == 10 && write->txn_source == 3 &&
		   bytes_eq(write->short_value, bytes_cstr("2")) &&
		   put_lock(&c, "b") == NULL,
	   "txn-semantics 8.6 row 7: a Write record instead of a lock");
	EQ_U64(put_write(&c, "c", 51)->type, WRITE_TYPE_DELETE, "a Delete");
	OK(!put_write(&c, "d", 51)->has_short_value &&
		   find_effect(&c, TXN_CF_VALUE, "d")->ts == 10,
	   "a long value stays at start_ts");
	write = put_write(&c, "a", 51);
	OK(write->type == WRITE_TYPE_LOCK && write->last_change.ts == 4 &&
		   write->last_change.versions == 2,
	   "a Lock with its last_change");
	OK(deletes_lock(&c, "a"), "a pessimistic lock that was there goes");
	OK(is_released(&c, "a", 10, 51) && c.effects.n_released == 1,
	   "and wakes its waiters");
	OK(c.effects.one_pc, "the raft command is flagged");
	OK(is_known(&c, 10, 51), "the status cache learns of it");
	EQ_U64(c.memory.n_guards, 4, "keys are guarded until it is durable");
	case_apply(&c);
	EQ_U64(run_prewrite(&c), TXN_OK, "the same request again");
	EQ_U64(c.answer.one_pc_commit_ts, 51, "gets the same answer");
	OK(nothing_left(&c), "and writes nothing");

	begin_prewrite(&c, "e", 100);
	mutate(&c, MUTATION_PUT, "e", "1");
	c.command.try_one_pc = true;
	c.command.use_async_commit = true;
	run_prewrite(&c);
	OK(c.answer.one_pc_commit_ts == 101 && c.answer.min_commit_ts == 101,
	   "with async commit asked for too both carry it");
	case_free(&c);
}

static void
one_pc_guard(void)
{
	Case c;
	Arena arena;
	Lock guard;
	KeyRange all = {bytes_empty(), bytes_empty()};
	Bytes key;

	case_init(&c);
	arena_init(&arena);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	c.command.try_one_pc = true;
	run_prewrite(&c);
	OK(c.memory.cm.find_guard(&c.memory.cm, &all, UINT64_MAX, &arena, &key,
							  &guard) &&
		   bytes_eq(key, bytes_cstr("a")) && guard.start_ts == 10 &&
		   guard.min_commit_ts == 11 && guard.type == LOCK_TYPE_PUT,
	   "txn-semantics 24: a reader meets the lock with its min_commit_ts");
	arena_free(&arena);
	case_free(&c);
}

/* -------------------------------------------------------- 8.7, fallbacks */

static void
too_large(bool one_pc)
{
	Case c;

	case_init(&c);
	c.memory.max_ts = 50;
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	c.command.min_commit_ts = 11;
	c.command.max_commit_ts = 50;
	c.command.secondaries = &c.command.primary;
	c.command.n_secondaries = 1;
	c.command.use_async_commit = !one_pc;
	c.command.try_one_pc = one_pc;
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.7 row 5, txn-semantics 28 row 18: beyond "
		   "max_commit_ts it succeeds");
	OK(c.answer.min_commit_ts == 0 && c.answer.one_pc_commit_ts == 0,
	   "txn-semantics 8.6 row 6: as 2PC");
	OK(put_lock(&c, "a") != NULL && !put_lock(&c, "a")->use_async_commit &&
		   put_lock(&c, "a")->n_secondaries == 0 &&
		   !put_lock(&c, "a")->use_one_pc && put_lock(&c, "b") != NULL &&
		   !put_lock(&c, "b")->use_async_commit,
	   "with plain locks");
	EQ_U64(put_lock(&c, "a")->min_commit_ts, 11, "of the request's times");
	OK(c.effects.n_guards == 0 && c.memory.n_guards == 0, "and no guard");
	c.command.max_commit_ts = 51;
	run_prewrite(&c);
	EQ_U64(one_pc ? c.answer.one_pc_commit_ts : c.answer.min_commit_ts, 51,
		   "up to max_commit_ts it does not fall back");
	case_free(&c);
}

/* Two keys fit, the third meets a lock with a greater min_commit_ts. */
static void
begin_fallback(Case *c, bool async, bool one_pc)
{
	Lock lock = a_pessimistic_lock("a", 10, 15);

	case_init(c);
	lock.min_commit_ts = 100;
	store_lock(c, "c", &lock);
	begin_pessimistic(c, "a", 10, 15);
	mutate(c, MUTATION_PUT, "a", "1");
	mutate(c, MUTATION_PUT, "b", "1");
	mutate_locked(c, MUTATION_PUT, "c", DO_PESSIMISTIC_CHECK);
	mutate(c, MUTATION_PUT, "d", "1");
	c->command.max_commit_ts = 60;
	c->command.use_async_commit = async;
	c->command.try_one_pc = one_pc;
}

static void
fallback_midway(void)
{
	Case c;

	begin_fallback(&c, true, false);
	EQ_U64(run_prewrite(&c), TXN_OK, "the third key falls back");
	OK(put_lock(&c, "a")->use_async_commit &&
		   put_lock(&c, "b")->use_async_commit,
	   "txn-semantics 8.7 fallback: async locks before it stay marked");
	OK(!put_lock(&c, "c")->use_async_commit &&
		   !put_lock(&c, "d")->use_async_commit,
	   "it and later ones are plain");
	OK(c.answer.min_commit_ts == 0 && c.memory.n_guards == 0 &&
		   c.effects.n_guards == 0,
	   "the request is 2PC");
	case_apply(&c);
	EQ_U64(run_prewrite(&c), TXN_OK, "the same request again");
	OK(c.answer.min_commit_ts == 0 && nothing_left(&c),
	   "txn-semantics 8.7 row 1: falls back at the key that has");
	case_free(&c);

	begin_fallback(&c, true, true);
	run_prewrite(&c);
	OK(put_lock(&c, "a")->use_async_commit && !put_lock(&c, "a")->use_one_pc &&
		   put_lock(&c, "a")->min_commit_ts == 16,
	   "1PC locks that are async as well stay so");
	OK(c.answer.one_pc_commit_ts == 0 && !c.effects.one_pc &&
		   c.effects.n_known == 0 && find_effect(&c, TXN_CF_WRITE, "a") == NULL,
	   "nothing is committed");
	case_free(&c);

	begin_fallback(&c, false, true);
	run_prewrite(&c);
	OK(!put_lock(&c, "a")->use_async_commit && !put_lock(&c, "a")->use_one_pc,
	   "without async commit they are plain");
	OK(put_lock(&c, "c") != NULL && put_lock(&c, "d") != NULL,
	   "and all keys are locked");
	OK(c.memory.n_guards == 0, "without guards");
	case_free(&c);
}

static void
no_room_for_guards(void)
{
	Case c;

	case_init(&c);
	c.memory.max_guards = 1;
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	c.command.use_async_commit = true;
	EQ_U64(run_prewrite(&c), TXN_OK, "no room in the memory table");
	OK(c.answer.min_commit_ts == 0 && put_lock(&c, "a") != NULL &&
		   put_lock(&c, "b") != NULL,
	   "falls back to 2PC");
	OK(!put_lock(&c, "b")->use_async_commit, "with a plain lock");
	EQ_U64(c.memory.n_guards, 0, "and no guard");
	c.command.try_one_pc = true;
	run_prewrite(&c);
	OK(c.answer.one_pc_commit_ts == 0 && put_lock(&c, "a") != NULL, "1PC too");
	case_free(&c);
}

/* ------------------------------------------------ 8.7, idempotence */

/* A key committed at 30 by the transaction that prewrites it again. */
static void
expect_committed(bool async, bool one_pc)
{
	Case c;

	case_init(&c);
	store_simple_write(&c, "b", WRITE_TYPE_PUT, 10, 30);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	/* Keys behind it are not looked at, nor their min_commit_ts. */
	mutate(&c, MUTATION_CHECK_NOT_EXISTS, "c", "");
	c.command.min_commit_ts = 40;
	c.command.use_async_commit = async;
	c.command.try_one_pc = one_pc;
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "txn-semantics 8.7 row 2, txn-semantics 28 row 2: prewrite of a "
		   "committed transaction succeeds");
	OK(nothing_left(&c), "and writes nothing");
	OK(one_pc ? is_known(&c, 10, 30) : c.effects.n_known == 0,
	   "1PC tells the status cache");
	EQ_U64(c.answer.min_commit_ts, async ? 30 : 0, "async is told when");
	EQ_U64(c.answer.one_pc_commit_ts, one_pc ? 30 : 0, "so is 1PC");
	case_free(&c);
}

static void
committed_before(void)
{
	Case c;
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 40);

	for (int i = 0; i < 4; i++)
		expect_committed((i & 1) != 0, (i & 2) != 0);

	case_init(&c);
	store_simple_write(&c, "b", WRITE_TYPE_PUT, 10, 30);
	store_lock(&c, "a", &other);
	store_lock(&c, "b", &other);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	mutate(&c, MUTATION_PUT, "c", "1");
	EQ_U64(run_prewrite(&c), TXN_OK,
		   "a locked key that we committed drops errors collected before");
	OK(c.answer.n_errors == 0 && nothing_left(&c), "all of them");

	c.command.for_update_ts = 12;
	c.command.n_actions = 3;
	c.actions[1] = DO_PESSIMISTIC_CHECK;
	EQ_U64(run_prewrite(&c), TXN_OK, "PessimisticLockNotFound does as well");
	c.command.for_update_ts = 0;
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("a"), 0);
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("b"), 0);
	c.command.skip_constraint_check = true;
	c.command.use_async_commit = true;
	c.command.max_commit_ts = 5;
	c.command.mutations = &c.mutations[1];
	c.command.n_mutations = 1;
	EQ_U64(run_prewrite(&c), TXN_OK, "and CommitTsTooLarge");
	OK(nothing_left(&c) && c.answer.min_commit_ts == 30,
	   "which does not fall back then");
	case_free(&c);
}

static void
after_fallback_committed(void)
{
	Case c;

	begin_fallback(&c, true, true);
	c.env.is_retry_request = true;
	store_simple_write(&c, "d", WRITE_TYPE_PUT, 10, 30);
	EQ_U64(run_prewrite(&c), TXN_OK, "committed, seen behind a fallback");
	OK(nothing_left(&c) && c.answer.min_commit_ts == 0 &&
		   c.answer.one_pc_commit_ts == 0,
	   "is answered as 2PC: 0 and 0");
	case_free(&c);
}

static void
errors(void)
{
	Case c;
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 5);

	case_init(&c);
	store_simple_write(&c, "b", WRITE_TYPE_PUT, 12, 30);
	store_lock(&c, "a", &other);
	begin_prewrite(&c, "a", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "c", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	c.command.use_async_commit = true;
	EQ_U64(run_prewrite(&c), TXN_WRITE_CONFLICT,
		   "txn-semantics 8.7 row 3: a conflict fails the command");
	OK(c.answer.n_errors == 1 && nothing_left(&c), "alone, writing nothing");

	store_simple_write(&c, "c", WRITE_TYPE_PUT, 12, 31);
	run_prewrite(&c);
	OK(c.answer.n_errors == 1 &&
		   bytes_eq(c.answer.errors[0].key, bytes_cstr("c")),
	   "at the first such key");
	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("c"), 31);
	store_lock(&c, "b", &other);
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED,
		   "txn-semantics 8.7 row 4: locked keys are collected");
	OK(c.answer.n_errors == 2 &&
		   bytes_eq(c.answer.errors[1].lock.key, bytes_cstr("b")) &&
		   nothing_left(&c),
	   "all of them, and nothing is written");
	store_simple_write(&c, "b", WRITE_TYPE_ROLLBACK, 10, 10);
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED, "a Rollback is no commit");

	c.command.use_async_commit = false;
	c.command.try_one_pc = true;
	EQ_U64(run_prewrite(&c), TXN_KEY_IS_LOCKED,
		   "txn-semantics 28 row 17: 1PC with a locked key reports it");
	OK(nothing_left(&c) && c.answer.one_pc_commit_ts == 0,
	   "and writes nothing");
	c.command.n_mutations = 0;
	EQ_U64(run_prewrite(&c), TXN_OK, "1PC of nothing");
	EQ_U64(c.answer.one_pc_commit_ts, 0, "commits nothing");
	case_free(&c);
}

/* The last row of that kind: rows of a command are written in its order. */
static const TxnModify *
last_value(const Case *c, const char *key)
{
	const TxnModify *found = NULL;

	for (size_t i = 0; i < c->effects.n_modifies; i++)
		if (c->effects.modifies[i].cf == TXN_CF_VALUE &&
			bytes_eq(c->effects.modifies[i].key, bytes_cstr(key)))
			found = &c->effects.modifies[i];
	return found;
}

/*
 * A key named twice in one request: the last mutation counts, and no value is
 * left that belongs to no lock (tikv_check() would say so).
 */
static void
key_named_twice(void)
{
	static char value[300];
	Bytes of_300 = bytes_make(value, 300);

	for (int one_pc = 0; one_pc < 2; one_pc++)
	{
		Case c;

		case_init(&c);
		begin_prewrite(&c, "a", 10);
		c.command.try_one_pc = one_pc == 1;
		mutate(&c, MUTATION_PUT, "z", "")->value = of_300;
		mutate(&c, MUTATION_PUT, "a", "")->value = of_300;
		mutate(&c, MUTATION_PUT, "b", "")->value = of_300;
		mutate(&c, MUTATION_PUT, "c", "short");
		mutate(&c, MUTATION_PUT, "a", "short");
		mutate(&c, MUTATION_DELETE, "b", "");
		mutate(&c, MUTATION_PUT, "c", "")->value = of_300;
		EQ_U64(run_prewrite(&c), TXN_OK, "keys named twice");
		OK(last_value(&c, "a")->is_delete, "short after long: no value");
		OK(last_value(&c, "b")->is_delete, "Delete after long: no value");
		OK(!last_value(&c, "c")->is_delete, "long after short: its value");
		OK(!last_value(&c, "z")->is_delete, "named once: its value");
		case_apply(&c);

		/* A repetition meets its own locks and must leave the values be. */
		if (one_pc == 0)
		{
			EQ_U64(run_prewrite(&c), TXN_OK, "the same again");
			EQ_U64(c.effects.n_modifies, 0, "changes nothing");
		}
		case_free(&c);
	}
}

int
main(void)
{
	lock_fields();
	values();
	check_not_exists();
	async_commit();
	many_secondaries();
	request_for_update_ts();
	async_success();
	one_pc();
	one_pc_guard();
	too_large(false);
	too_large(true);
	fallback_midway();
	no_room_for_guards();
	committed_before();
	after_fallback_committed();
	errors();
	key_named_twice();
	return unit_done();
}
