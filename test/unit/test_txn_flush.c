/*
 * test_txn_flush.c
 *	  Pipelined DML: KvFlush and KvBufferBatchGet (txn-semantics 20).
 */
#include "core/txn/buffered_get.h"
#include "prewrite_case.h"

static char long_value[300];

static void
flush(void)
{
	Case c;
	const Lock *lock;

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "")->value = bytes_make(long_value, 300);
	mutate(&c, MUTATION_DELETE, "p", "");
	/* Fields that a flush does not have change nothing. */
	c.command.min_commit_ts = 99;
	c.command.txn_size = 3;
	c.command.for_update_ts = 20;
	c.command.use_async_commit = true;
	c.command.try_one_pc = true;
	c.command.skip_constraint_check = true;
	EQ_U64(run_flush(&c, 0), TXN_ABORT, "generation 0 is refused");
	EQ_U64(run_flush(&c, 2), TXN_OK, "txn-semantics 20 KvFlush: a flush");
	lock = put_lock(&c, "a");
	OK(lock->generation == 2 && lock->txn_size == UINT64_MAX &&
		   lock->min_commit_ts == 11 && lock->for_update_ts == 0 &&
		   !lock->use_async_commit && lock->n_secondaries == 0,
	   "locks plainly, with its generation");
	OK(c.answer.min_commit_ts == 0 && c.answer.one_pc_commit_ts == 0 &&
		   c.effects.n_guards == 0,
	   "as 2PC");
	OK(find_effect(&c, TXN_CF_VALUE, "a")->ts == 10, "the long value beside");
	case_apply(&c);

	c.mutations[0].value = bytes_make(long_value, 299);
	run_flush(&c, 3);
	EQ_U64(put_lock(&c, "a")->generation, 3, "a later flush overwrites");
	OK(find_effect(&c, TXN_CF_VALUE, "a")->bytes.len == 299, "the value too");
	case_apply(&c);
	c.mutations[0].value = bytes_cstr("short");
	run_flush(&c, 4);
	OK(find_effect(&c, TXN_CF_VALUE, "a")->is_delete &&
		   find_effect(&c, TXN_CF_VALUE, "a")->ts == 10,
	   "a long value that a short one replaces goes");
	c.mutations[0].op = MUTATION_DELETE;
	run_flush(&c, 4);
	OK(find_effect(&c, TXN_CF_VALUE, "a")->is_delete,
	   "and so does one that a Delete replaces");
	c.mutations[0].op = MUTATION_CHECK_NOT_EXISTS;
	c.mutations[0].key = bytes_cstr("x");
	EQ_U64(run_flush(&c, 3), TXN_OK, "a check");
	OK(find_effect(&c, TXN_CF_LOCK, "x") == NULL, "locks nothing");
	case_free(&c);
}

static void
flush_errors(void)
{
	Case c;
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 5);
	Lock member = a_lock(LOCK_TYPE_LOCK, "p", 10);
	Lock shared = {.type = LOCK_TYPE_SHARED};

	case_init(&c);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "1");
	mutate(&c, MUTATION_PUT, "b", "1");
	store_lock(&c, "a", &other);
	store_lock(&c, "b", &other);
	run_flush(&c, 1);
	OK(c.answer.n_errors == 2 && nothing_left(&c), "locked keys are collected");
	memory_delete(&c.memory, TXN_CF_LOCK, bytes_cstr("a"), 0);
	c.command.skip_constraint_check = true;
	store_simple_write(&c, "a", WRITE_TYPE_ROLLBACK, 12, 12);
	EQ_U64(run_flush(&c, 1), TXN_WRITE_CONFLICT, "constraints are checked");
	store_simple_write(&c, "a", WRITE_TYPE_PUT, 10, 12);
	EQ_U64(run_flush(&c, 1), TXN_OK, "unless the transaction is committed");
	OK(nothing_left(&c), "then nothing is written");

	memory_delete(&c.memory, TXN_CF_WRITE, bytes_cstr("a"), 12);
	shared.members = &member;
	shared.n_members = 1;
	store_lock(&c, "a", &shared);
	c.mutations[0].op = MUTATION_SHARED_LOCK;
	EQ_U64(run_flush(&c, 1), TXN_ABORT, "a shared lock is not flushed");
	OK(nothing_left(&c), "nor written");
	c.env.max_key_size = 8;
	EQ_U64(run_flush(&c, 1), TXN_KEY_TOO_LARGE, "keys have their limit");
	case_free(&c);
}

static void
buffered_get(void)
{
	Case c;
	Bytes keys[8] = {bytes_cstr("z"), bytes_cstr("d"), bytes_cstr("a"),
					 bytes_cstr("b"), bytes_cstr("a"), bytes_cstr("o"),
					 bytes_cstr("c"), bytes_cstr("h")};
	BufferedPair pairs[8];
	Lock other = a_lock(LOCK_TYPE_PUT, "q", 5);
	Lock shared = {.type = LOCK_TYPE_SHARED};
	Lock plain = a_lock(LOCK_TYPE_LOCK, "p", 10);
	size_t n;

	case_init(&c);
	store_lock(&c, "o", &other);
	store_lock(&c, "h", &shared);
	store_lock(&c, "c", &plain);
	store_simple_write(&c, "z", WRITE_TYPE_PUT, 3, 5);
	begin_prewrite(&c, "p", 10);
	mutate(&c, MUTATION_PUT, "a", "short");
	mutate(&c, MUTATION_PUT, "b", "")->value = bytes_make(long_value, 300);
	mutate(&c, MUTATION_DELETE, "d", "");
	run_flush(&c, 1);
	case_apply(&c);
	n = txn_buffer_batch_get(&c.memory.reader, keys, 8, 10, 0, &c.arena, pairs);
	EQ_U64(n, 3, "txn-semantics 20 KvBufferBatchGet: only own locks, once");
	OK(bytes_eq(pairs[0].key, bytes_cstr("a")) &&
		   bytes_eq(pairs[0].value, bytes_cstr("short")),
	   "a short value");
	OK(bytes_eq(pairs[1].key, bytes_cstr("b")) && pairs[1].value.len == 300,
	   "a long one");
	OK(bytes_eq(pairs[2].key, bytes_cstr("d")) && pairs[2].value.len == 0,
	   "a deleted key is there, with an empty value");
	EQ_U64(txn_buffer_batch_get(&c.memory.reader, keys, 8, 10, 5, &c.arena,
								pairs),
		   1, "it ends with the pair that exceeds what may be answered");
	memory_delete(&c.memory, TXN_CF_VALUE, bytes_cstr("b"), 10);
	n = txn_buffer_batch_get(&c.memory.reader, keys, 8, 10, 0, &c.arena, pairs);
	EQ_U64(n, 2, "a long value that is missing leaves the key out");
	EQ_U64(txn_buffer_batch_get(&c.memory.reader, keys, 8, 11, 0, &c.arena,
								pairs),
		   0, "another transaction sees none of it");
	EQ_U64(txn_buffer_batch_get(&c.memory.reader, NULL, 0, 10, 0, &c.arena,
								pairs),
		   0, "no keys, no pairs");
	case_free(&c);
}

int
main(void)
{
	flush();
	flush_errors();
	buffered_get();
	return unit_done();
}
