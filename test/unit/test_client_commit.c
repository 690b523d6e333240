/*
 * test_client_commit.c
 *	  Commits from the client's side: in one phase, asynchronous, in two; what
 *	  is met on the way, and what is lost on it.
 */
#include "client_kit.h"

static Arena arena;
static MemBuffer *buffer;
static Committer committer;
static ClientResult result;

static void
begin(void)
{
	world_init();
	arena_init(&arena);
	buffer = membuffer_new();
	memset(&committer, 0, sizeof(committer));
	committer.start_ts = world_ts();
	committer.try_one_pc = committer.try_async = true;
}

static void
end(void)
{
	membuffer_free(buffer);
	arena_free(&arena);
	world_free();
}

static void
put(const char *key, const char *value)
{
	membuffer_put(buffer, K(key), K(value), false);
}

static void
commit(void)
{
	committer_plan(&committer, buffer, &arena);
	committer_run(&client, &committer, &arena, &result);
	if (result.outcome == CLIENT_OK)
		committer_finish(&client, &committer, &arena);
	else if (result.outcome != CLIENT_UNKNOWN)
		committer_undo(&client, &committer, &arena);
}

/* The newest version of a key, or "-"; "locked" if there is a lock. */
static const char *
value_of(const char *key)
{
	static char text[64];
	Lock lock;
	WriteAt at;

	if (memory_get_lock(&kit.m.reader, K(key), &world, &lock))
		return "locked";
	if (!memory_seek_write(&kit.m.reader, K(key), UINT64_MAX, &world, &at))
		return "-";
	if (at.write.type != WRITE_TYPE_PUT)
		return at.write.type == WRITE_TYPE_DELETE ? "deleted" :
			at.write.type == WRITE_TYPE_LOCK	  ? "lock" :
													"rolled back";
	(void) snprintf(text, sizeof(text), "%.*s", (int) at.write.short_value.len,
					(const char *) at.write.short_value.data);
	return text;
}

#define OUTCOME(want, how, what) \
	OK(result.outcome == (want) && committer.kind == (how), what)

/* ----------------------------------------------------------- the three ways */

static void
test_one_pc(void)
{
	begin();
	put("a", "1");
	put("b", "2");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "one region: one phase");
	SENT_IS("prewrite(a,b)@1", "one request");
	EQ_STR(value_of("a"), "1", "committed");
	OK(committer.commit_ts > committer.start_ts, "and when");
	end();
}

static void
test_async(void)
{
	begin();
	world_split("b");
	put("a", "1");
	put("b", "2");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ASYNC, "two regions: asynchronous");
	SENT_IS("prewrite(a)@1 prewrite(b)@2 commit(a)@1 commit(b)@2",
			"the commits come after the fact");
	EQ_STR(value_of("b"), "2", "committed");
	end();
}

static void
test_two_phases(void)
{
	begin();
	world_split("b");
	committer.try_async = false;
	put("a", "1");
	put("b", "2");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "two phases");
	SENT_IS("prewrite(a)@1 prewrite(b)@2 commit(a)@1 commit(a)@1 commit(b)@2",
			"the primary first");
	EQ_STR(value_of("b"), "2", "committed");
	end();

	/* Too many keys for the primary's lock to name them. */
	begin();
	world_split("k");
	for (int i = 0; i < 300; i++)
	{
		char key[16];

		(void) snprintf(key, sizeof(key), "%c%03d", i < 150 ? 'a' : 'x', i);
		put(key, "v");
	}
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "many keys: two phases");
	EQ_STR(value_of("x299"), "v", "all of them");
	end();
}

static void
test_kinds_of_writes(void)
{
	begin();
	PUT("gone", 9, 5, "old");
	put("a", "1");
	membuffer_delete(buffer, K("gone"));
	membuffer_want_lock(buffer, K("just"));
	membuffer_put(buffer, K("new"), K("n"), true);
	membuffer_stage(buffer);
	put("undone", "x");
	membuffer_undo(buffer);
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "all kinds");
	SENT_IS("prewrite(a,gone,just,new)@1", "what was undone is not sent");
	EQ_STR(value_of("gone"), "deleted", "a delete");
	EQ_STR(value_of("just"), "lock", "a lock");
	EQ_STR(value_of("new"), "n", "an insert");
	end();

	begin();
	commit();
	OUTCOME(CLIENT_OK, COMMIT_NONE, "nothing to do");
	SENT_IS("", "nothing is sent");
	end();
}

/* ----------------------------------------------------------------- conflicts */

static void
test_conflict(void)
{
	begin();
	PUT("a", world_ts(), committer.start_ts + 1, "newer");
	put("a", "1");
	put("b", "2");
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_WRITE_CONFLICT,
	   "a newer version");
	SENT_IS("prewrite(a,b)@1 rollback(a,b)@1", "and back");
	EQ_STR(value_of("a"), "newer", "nothing was written");
	end();
}

static void
test_insert_exists(void)
{
	begin();
	PUT("a", 9, 5, "old");
	membuffer_put(buffer, K("a"), K("1"), true);
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_ALREADY_EXIST,
	   "an insert of what exists");
	end();

	/* Inserted and deleted again: only checked. */
	begin();
	membuffer_put(buffer, K("a"), K("1"), true);
	membuffer_delete(buffer, K("a"));
	commit();
	OUTCOME(CLIENT_OK, COMMIT_NONE, "it did not exist");
	EQ_STR(value_of("a"), "-", "and leaves nothing");
	end();

	begin();
	PUT("a", 9, 5, "old");
	membuffer_put(buffer, K("a"), K("1"), true);
	membuffer_delete(buffer, K("a"));
	put("b", "2");
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_ALREADY_EXIST,
	   "it did");
	EQ_STR(value_of("a"), "rolled back", "and stays as it was");
	end();
}

/* ---------------------------------------------------------- locks in the way */

/* Of another transaction, which would write "theirs". */
static Lock
their_lock(const char *primary, uint64_t start_ms, uint64_t ttl_ms)
{
	return (Lock){.type = LOCK_TYPE_PUT,
				  .primary = K(primary),
				  .start_ts = MS(start_ms),
				  .ttl_ms = ttl_ms,
				  .has_short_value = true,
				  .short_value = K("theirs")};
}

/* Of a transaction that began at 1 ms and died. */
static void
test_dead_lock_owner(void)
{
	begin();
	kit_put_lock(&kit, K("a"), their_lock("a", 1, 3));
	put("a", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "the dead do not stop us");
	SENT_IS("prewrite(a)@1 status(a)@1 resolve(a)@1 prewrite(a)@1",
			"their locks are rolled back");
	EQ_STR(value_of("a"), "1", "committed");
	end();
}

static void
test_committed_lock(void)
{
	begin();
	kit_put_lock(&kit, K("a"), their_lock("p", 1, 3));
	PUT("p", MS(2), MS(1), "v");
	put("a", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "their commit comes first");
	EQ_STR(value_of("a"), "1", "and then ours");
	{
		WriteAt at;

		OK(memory_seek_write(&kit.m.reader, K("a"), MS(3), &world, &at) &&
			   at.commit_ts == MS(2),
		   "where their primary says");
	}
	end();
}

static void
release_a(void)
{
	Bytes *key = arena_alloc(&world, sizeof(Bytes));
	TxnCommand command = {.kind = TXN_CMD_COMMIT};
	ClientReply reply;

	*key = K("a");
	command.commit.keys = key;
	command.commit.n_keys = 1;
	command.commit.start_ts = MS(900);
	command.commit.commit_ts = MS(950);
	memset(&reply, 0, sizeof(reply));
	carry_out(&command, false, &world, &reply);
}

static void
lock_a_alive(void)
{
	kit_put_lock(&kit, K("a"), their_lock("a", 900, 100000));
}

static void
test_live_lock(void)
{
	begin();
	lock_a_alive();
	put("a", "1");
	plan_fault(FAULT_NONE); /* prewrite */
	plan_fault(FAULT_NONE); /* status */
	plan_before(release_a);
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "who lives is waited for");
	OK(world_slept_ms >= 50, "with a wait");
	EQ_STR(value_of("a"), "1", "committed");
	end();

	begin();
	world_left_ms = 1000;
	lock_a_alive();
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_KEY_IS_LOCKED &&
		   result.error.lock.lock.start_ts == MS(900),
	   "not for ever, and one is told of whom");
	EQ_STR(value_of("a"), "locked", "their lock is still there");
	end();
}

/* ------------------------------------------------------------ lost answers */

static void
test_lost_one_pc(void)
{
	begin();
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "asked again, it is told when");
	EQ_STR(value_of("a"), "1", "committed once");
	end();

	begin();
	world_left_ms = 50;
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_UNKNOWN, "nobody to ask: not known");
	SENT_IS("prewrite(a)@1", "and nothing is undone");
	EQ_STR(value_of("a"), "1", "for it may be committed");
	end();
}

static void
test_lost_async(void)
{
	begin();
	world_split("b");
	world_left_ms = 50;
	plan_fault(FAULT_NONE);
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	put("b", "2");
	commit();
	OK(result.outcome == CLIENT_UNKNOWN, "an async prewrite may be the commit");
	SENT_IS("prewrite(a)@1 prewrite(b)@2", "and nothing is undone");
	end();
}

static void
test_lost_two_phases(void)
{
	begin();
	world_split("b");
	committer.try_async = false;
	committer.try_one_pc = false;
	world_left_ms = 50;
	plan_fault(FAULT_NONE);
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	put("b", "2");
	commit();
	OK(result.outcome == CLIENT_GAVE_UP, "a plain prewrite commits nothing");
	EQ_STR(value_of("b"), "rolled back", "it is undone");
	end();

	begin();
	world_split("b");
	committer.try_async = committer.try_one_pc = false;
	plan_fault(FAULT_NONE);
	plan_fault(FAULT_NONE);
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	put("b", "2");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "a commit may be asked for twice");
	EQ_STR(value_of("b"), "2", "committed");
	end();

	begin();
	committer.try_async = committer.try_one_pc = false;
	world_left_ms = 50;
	plan_fault(FAULT_NONE);
	plan_fault(FAULT_ANSWER_LOST);
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_UNKNOWN, "the primary's commit was lost");
	EQ_STR(value_of("a"), "1", "and nothing was undone");
	end();
}

/* ----------------------------------------------------------------- fallbacks */

static void
spend_guards(void)
{
	kit.m.max_guards = 0;
}

static void
test_fallback(void)
{
	begin();
	plan_before(spend_guards);
	put("a", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "one phase falls back to two");
	SENT_IS("prewrite(a)@1 commit(a)@1", "with a commit");
	EQ_STR(value_of("a"), "1", "committed");
	end();

	begin();
	world_split("b");
	plan_fault(FAULT_NONE);
	plan_before(spend_guards);
	put("a", "1");
	put("b", "2");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "async falls back half-way");
	EQ_STR(value_of("b"), "2", "committed");
	end();
}

/* A reader pushed the lock: the commit takes a later timestamp. */
static void
push_a(void)
{
	MemoryRow *row = memory_find(&kit.m, TXN_CF_LOCK, K("a"), 0);
	Arena scratch;
	Lock lock;

	arena_init(&scratch);
	CHECK(lock_decode(row->bytes, &scratch, &lock) == STATUS_OK);
	lock.min_commit_ts = MS(world_ms) + 1;
	kit_put_lock(&kit, K("a"), lock);
	arena_free(&scratch);
}

static void
test_expired_commit_ts(void)
{
	begin();
	committer.try_async = committer.try_one_pc = false;
	plan_fault(FAULT_NONE);
	plan_before(push_a);
	put("a", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_TWO_PHASE, "too early is tried again, later");
	SENT_IS("prewrite(a)@1 commit(a)@1 commit(a)@1", "with a new timestamp");
	EQ_STR(value_of("a"), "1", "committed");
	end();
}

static void
roll_back_a(void)
{
	Bytes *key = arena_alloc(&world, sizeof(Bytes));
	TxnCommand command = {.kind = TXN_CMD_BATCH_ROLLBACK};
	ClientReply reply;

	*key = K("a");
	command.batch_rollback.keys = key;
	command.batch_rollback.n_keys = 1;
	command.batch_rollback.start_ts = committer.start_ts;
	memset(&reply, 0, sizeof(reply));
	carry_out(&command, false, &world, &reply);
}

static void
test_rolled_back_by_others(void)
{
	begin();
	committer.try_async = committer.try_one_pc = false;
	plan_fault(FAULT_NONE);
	plan_before(roll_back_a);
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_LOCK_NOT_FOUND,
	   "somebody took us for dead");
	EQ_STR(value_of("a"), "rolled back", "so we are");
	end();
}

/* The time to live counts from the start, however long ago that was. */
static uint64_t
ttl_of_a(void)
{
	Lock lock;

	CHECK(memory_get_lock(&kit.m.reader, K("a"), &world, &lock));
	return lock.ttl_ms;
}

static void
test_ttl(void)
{
	static char big[64 * 1024];
	char key[16];

	begin();
	committer.try_async = committer.try_one_pc = false;
	committer.age_ms = 60000;
	plan_fault(FAULT_NONE);
	plan_error(REGION_ENTRY_TOO_LARGE);
	put("a", "1");
	committer_plan(&committer, buffer, &arena);
	committer_run(&client, &committer, &arena, &result);
	EQ_U64(ttl_of_a(), 63000, "a small transaction, a minute old");
	end();

	begin();
	committer.try_async = committer.try_one_pc = false;
	memset(big, 'x', sizeof(big) - 1);
	put("a", "1");
	for (int i = 0; i < 64; i++)
	{
		(void) snprintf(key, sizeof(key), "b%02d", i);
		put(key, big);
	}
	for (int i = 0; i < 9; i++)
		plan_fault(FAULT_NONE);
	plan_error(REGION_ENTRY_TOO_LARGE);
	committer_plan(&committer, buffer, &arena);
	committer_run(&client, &committer, &arena, &result);
	EQ_U64(ttl_of_a(), 12000, "four mebibytes, as long as client-go's");
	end();
}

static void
test_no_oracle(void)
{
	begin();
	tso_fails = true;
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_GAVE_UP, "no timestamp, no commit");
	end();
}

/* -------------------------------------------------------------- pessimistic */

static Locker locker;

static void
lock(const char *key, uint64_t for_update_ts, int64_t wait_ms)
{
	static Mutation mutation;
	PessimisticLockCommand command = {0};
	Backoff backoff;

	mutation = (Mutation){.op = MUTATION_PESSIMISTIC_LOCK, .key = K(key)};
	command.mutations = &mutation;
	command.n_mutations = 1;
	command.primary = K(key);
	command.start_ts = committer.start_ts;
	command.for_update_ts = for_update_ts;
	command.lock_ttl_ms = 20000;
	command.is_first_lock = true;
	command.wait_timeout_ms = wait_ms;
	command.return_values = true;
	backoff_init(&backoff, BACKOFF_LOCK_MS, 1);
	client_lock(&client, &command, &backoff, &arena, &locker);
	if (locker.outcome == LOCKER_OK)
	{
		membuffer_locked(buffer, K(key), for_update_ts);
		if (committer.primary.len == 0)
			committer.primary = K(key);
		committer.for_update_ts = for_update_ts;
	}
}

static void
test_pessimistic(void)
{
	begin();
	PUT("b", MS(1000), MS(999), "old");
	lock("b", world_ts(), -1);
	OK(locker.outcome == LOCKER_OK, "locked");
	OK(bytes_eq(locker.result.answer.results[0].value, K("old")),
	   "and told what is there");
	lock("a", world_ts(), -1);
	put("b", "1");
	sent[0] = '\0';
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "one phase for locks, too");
	SENT_IS("prewrite(a,b)@1", "in one request");
	EQ_STR(value_of("b"), "1", "the locked key is written");
	EQ_STR(value_of("a"), "lock", "the other one was locked");
	end();
}

static void
test_lock_busy(void)
{
	begin();
	lock_a_alive();
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_BUSY && locker.lock.lock.start_ts == MS(900),
	   "a live owner is named");
	SENT_IS("lock(a)@1 status(a)@1", "after a look at its primary");
	end();

	begin();
	kit_put_lock(&kit, K("a"),
				 (Lock){.type = LOCK_TYPE_PESSIMISTIC,
						.primary = K("a"),
						.start_ts = MS(1),
						.for_update_ts = MS(1),
						.ttl_ms = 3});
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_OK, "a dead one's lock is taken");
	end();
}

static void
test_lock_conflict(void)
{
	begin();
	PUT("a", world_ts(), committer.start_ts + 1, "newer");
	lock("a", committer.start_ts, -1);
	OK(locker.outcome == LOCKER_CONFLICT &&
		   locker.result.error.conflict_commit_ts > committer.start_ts,
	   "a newer commit");
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_OK, "is seen at a newer timestamp");
	end();
}

/* The lock's owner has not written its primary yet, and may be about to. */
static void
test_missing_primary(void)
{
	begin();
	kit_put_lock(&kit, K("a"), their_lock("p", 1000, 3000));
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_BUSY, "a young one is waited for");
	EQ_STR(value_of("p"), "-", "and its primary left alone");
	world_ms += 5000;
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_OK, "an old one is dead");
	EQ_STR(value_of("p"), "rolled back", "for good");
	end();
}

/* An optimistic one's lock in the way of a pessimistic prewrite. */
static void
test_lost_pessimistic_lock(void)
{
	begin();
	lock("a", world_ts(), -1);
	OK(locker.outcome == LOCKER_OK, "locked");
	memory_delete(&kit.m, TXN_CF_LOCK, K("a"), 0);
	PUT("a", world_ts(), MS(world_ms), "stolen");
	put("a", "1");
	commit();
	OK(result.outcome == CLIENT_REFUSED &&
		   result.error.kind == TXN_PESSIMISTIC_LOCK_NOT_FOUND,
	   "a lock that was lost and used");
	EQ_STR(value_of("a"), "stolen", "nothing was written");
	end();
}

/* ------------------------------------------------------------- async locks */

/* All of an async commit's keys are locked: it is committed. */
static void
test_resolve_async(void)
{
	Lock lock_a = their_lock("a", 1, 3);
	Lock lock_x = lock_a;
	Bytes secondary = K("x");

	begin();
	world_split("k");
	lock_a.use_async_commit = lock_x.use_async_commit = true;
	lock_a.secondaries = &secondary;
	lock_a.n_secondaries = 1;
	lock_a.min_commit_ts = MS(2);
	lock_x.min_commit_ts = MS(4);
	kit_put_lock(&kit, K("a"), lock_a);
	kit_put_lock(&kit, K("x"), lock_x);
	put("x", "1");
	commit();
	OUTCOME(CLIENT_OK, COMMIT_ONE_PC, "after it");
	SENT_IS("prewrite(x)@2 status(a)@1 secondaries(x)@2 resolve(x)@2 "
			"resolve(a)@1 prewrite(x)@2",
			"every key of it is asked and ended");
	KEY_IS("a", "| 4ms=P@1ms", "it committed at the latest of its promises");
	end();
}

int
main(void)
{
	test_one_pc();
	test_async();
	test_two_phases();
	test_kinds_of_writes();
	test_conflict();
	test_insert_exists();
	test_dead_lock_owner();
	test_committed_lock();
	test_live_lock();
	test_lost_one_pc();
	test_lost_async();
	test_lost_two_phases();
	test_fallback();
	test_expired_commit_ts();
	test_rolled_back_by_others();
	test_ttl();
	test_no_oracle();
	test_pessimistic();
	test_lock_busy();
	test_lock_conflict();
	test_missing_primary();
	test_lost_pessimistic_lock();
	test_resolve_async();
	return unit_done();
}
