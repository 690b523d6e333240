/*
 * test_client_call.c
 *	  A command over regions: how it is cut, and what each region error and
 *	  each lost answer does to it.
 */
#include "client_kit.h"

static Arena arena;
static Backoff backoff;
static ClientResult result;

static void
begin(void)
{
	world_init();
	arena_init(&arena);
	backoff_init(&backoff, BACKOFF_COMMIT_MS, 1);
}

static void
end(void)
{
	arena_free(&arena);
	world_free();
}

/* The rollback of three keys: any command would do. */
static void
call(void)
{
	static Bytes keys[3];
	TxnCommand command = {.kind = TXN_CMD_BATCH_ROLLBACK};

	keys[0] = K("a");
	keys[1] = K("b");
	keys[2] = K("c");
	command.batch_rollback.keys = keys;
	command.batch_rollback.n_keys = 3;
	command.batch_rollback.start_ts = 5;
	client_run(&client, &command, &backoff, &arena, &result);
}

static void
test_cut(void)
{
	begin();
	call();
	OK(result.outcome == CLIENT_OK && result.one_request, "one region");
	SENT_IS("rollback(a,b,c)@1", "one request");
	end();

	begin();
	world_split("b");
	world_split("c");
	call();
	OK(result.outcome == CLIENT_OK && !result.one_request, "three regions");
	SENT_IS("rollback(a)@1 rollback(b)@2 rollback(c)@3", "three requests");
	EQ_U64(n_locates, 3, "each was asked for");
	call();
	EQ_U64(n_locates, 3, "and is remembered");
	end();

	begin();
	client.batch_keys = 2;
	call();
	SENT_IS("rollback(a,b)@1 rollback(c)@1", "a bound of keys");
	client.batch_keys = 100;
	client.batch_bytes = 1;
	call();
	SENT_IS("rollback(a)@1 rollback(b)@1 rollback(c)@1", "a bound of bytes");
	end();
}

/* The primary key, which is long, counts with each of the others. */
static void
test_long_primary(void)
{
	static Mutation mutations[3];
	TxnCommand command = {.kind = TXN_CMD_PREWRITE};

	begin();
	for (int i = 0; i < 3; i++)
	{
		mutations[i].op = MUTATION_PUT;
		mutations[i].key = i == 0 ? K("aaaaaaaaaa") : i == 1 ? K("b") : K("c");
	}
	command.prewrite.mutations = mutations;
	command.prewrite.n_mutations = 3;
	command.prewrite.primary = mutations[0].key;
	command.prewrite.start_ts = 5;
	command.prewrite.lock_ttl_ms = 3000;
	client.batch_entry = 30;
	client_run(&client, &command, &backoff, &arena, &result);
	OK(result.outcome == CLIENT_OK, "it is carried out");
	SENT_IS("prewrite(aaaaaaaaaa)@1 prewrite(b,c)@1",
			"a bound of what it takes in the log");
	end();
}

static void
split_in_between(void)
{
	world_split("b");
}

static void
test_split(void)
{
	begin();
	plan_before(split_in_between);
	call();
	OK(result.outcome == CLIENT_OK, "a split on the way");
	SENT_IS("rollback(a,b,c)@1 rollback(a)@1 rollback(b,c)@2",
			"teaches the regions");
	EQ_U64(n_locates, 1, "without asking PD");
	KEY_IS("c", "| 5=R@5", "carried out");
	end();
}

/* Every error that is worth another try, and what it does to the cache. */
static void
test_region_errors(void)
{
	static const struct
	{
		RegionErrorKind kind;
		bool asks_again;
	} rows[] = {
		{REGION_NOT_LEADER, true}, /* without a hint */
		{REGION_NOT_FOUND, true},		   {REGION_KEY_NOT_IN_REGION, true},
		{REGION_EPOCH_NOT_MATCH, true}, /* without regions */
		{REGION_SERVER_IS_BUSY, false},	   {REGION_STALE_COMMAND, false},
		{REGION_STORE_NOT_MATCH, true},	   {REGION_DISK_FULL, false},
		{REGION_MISMATCH_PEER_ID, true},   {REGION_READ_INDEX_NOT_READY, false},
		{REGION_DATA_IS_NOT_READY, false}, {REGION_MAX_TS_NOT_SYNCED, false},
		{REGION_MESSAGE_ONLY, true},	   {REGION_UNDETERMINED, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		begin();
		plan_error(rows[i].kind);
		call();
		OK(result.outcome == CLIENT_OK, "tried again");
		SENT_IS("rollback(a,b,c)@1 rollback(a,b,c)@1", "sent twice");
		EQ_U64(n_locates, rows[i].asks_again ? 2 : 1, "asked for the region");
		OK(world_slept_ms > 0, "after a wait");
		end();
	}
}

static void
test_final_errors(void)
{
	static const RegionErrorKind kinds[] = {REGION_ENTRY_TOO_LARGE,
											REGION_FLASHBACK_IN_PROGRESS,
											REGION_FLASHBACK_NOT_PREPARED};

	for (size_t i = 0; i < 3; i++)
	{
		begin();
		plan_error(kinds[i]);
		call();
		OK(result.outcome == CLIENT_REGION && result.region_error == kinds[i],
		   "no use to try again");
		SENT_IS("rollback(a,b,c)@1", "sent once");
		end();
	}
}

static void
change_leader(void)
{
	leader_of[0] = 555;
}

static void
test_leader(void)
{
	begin();
	plan_before(change_leader);
	call();
	OK(result.outcome == CLIENT_OK, "the hint is followed");
	EQ_U64(n_locates, 1, "without asking PD");
	EQ_U64(region_cache_find(&client.cache, K("a"))->leader.id, 555,
		   "and remembered");
	end();
}

/* A store that does not answer may have lost its place meanwhile. */
static void
test_silent_leader(void)
{
	begin();
	plan_fault(FAULT_UNSENT);
	plan_fault(FAULT_LOST);
	call();
	OK(result.outcome == CLIENT_OK, "others are asked who leads");
	EQ_U64(n_locates, 3, "each time that nobody answers");
	end();
}

static void
test_busy_hint(void)
{
	begin();
	plans[n_plans++] = (Plan){.fault = FAULT_REGION_ERROR,
							  .error = REGION_SERVER_IS_BUSY,
							  .backoff_ms = 7};
	call();
	EQ_U64(world_slept_ms, 7, "the store says how long it is busy");
	end();
}

static void
test_lost(void)
{
	begin();
	plan_fault(FAULT_UNSENT);
	plan_fault(FAULT_LOST);
	plan_fault(FAULT_ANSWER_LOST);
	plan_fault(FAULT_STALE_DONE);
	call();
	OK(result.outcome == CLIENT_OK, "an answer in the end");
	KEY_IS("a", "| 5=R@5", "carried out once");
	end();

	begin();
	world_left_ms = 50;
	plan_fault(FAULT_UNSENT);
	call();
	OK(result.outcome == CLIENT_GAVE_UP, "no time: nothing happened");
	end();

	begin();
	world_left_ms = 1;
	plan_error(REGION_UNDETERMINED);
	call();
	OK(result.outcome == CLIENT_UNKNOWN, "no time: the store does not know");
	end();

	begin();
	world_left_ms = 50;
	plan_fault(FAULT_ANSWER_LOST);
	call();
	OK(result.outcome == CLIENT_UNKNOWN, "no time: nobody knows");
	end();

	begin();
	world_left_ms = 150;
	plan_fault(FAULT_ANSWER_LOST);
	plan_fault(FAULT_UNSENT);
	plan_fault(FAULT_UNSENT);
	call();
	OK(result.outcome == CLIENT_UNKNOWN, "a lost one is not forgotten");
	end();

	begin();
	world_left_ms = 20;
	locate_fails = true;
	call();
	OK(result.outcome == CLIENT_GAVE_UP, "no region");
	SENT_IS("", "nothing was sent");
	end();

	begin();
	backoff_init(&backoff, 10, 1);
	for (int i = 0; i < 20; i++)
		plan_error(REGION_NOT_FOUND);
	call();
	OK(result.outcome == CLIENT_GAVE_UP &&
		   result.region_error == REGION_NOT_FOUND,
	   "the budget of waits ends a call, too");
	end();
}

static void
test_refused(void)
{
	begin();
	world_split("b");
	PUT("b", 9, 5, "v");
	call();
	OK(result.outcome == CLIENT_REFUSED && result.error.kind == TXN_COMMITTED,
	   "the first refusal");
	SENT_IS("rollback(a)@1 rollback(b,c)@2", "ends the call");
	end();
}

int
main(void)
{
	test_cut();
	test_long_primary();
	test_split();
	test_region_errors();
	test_final_errors();
	test_leader();
	test_silent_leader();
	test_busy_hint();
	test_lost();
	test_refused();
	return unit_done();
}
