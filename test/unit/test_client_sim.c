/*
 * test_client_sim.c
 *	  Money moves between accounts, by clients that are interrupted by each
 *	  other, lose answers, meet splits and new leaders, and die: the sum stays,
 *	  at every timestamp.
 *
 * A client's call is synchronous, so another client runs in the middle of it:
 * before a request is carried out, a whole transaction may be.  From a seed;
 * `test_client_sim SEED` runs that one alone.
 */
#include <stdlib.h>

#include "client_kit.h"
#include "core/mvcc/read.h"
#include "dice.h"

#define ACCOUNTS 6
#define START 100
#define TXNS 60
#define SEEDS 250
#define MAX_DEPTH 3

static const char *const names[ACCOUNTS] = {"a", "b", "m", "n", "y", "z"};
static int depth;
static int n_left; /* transactions to begin */
static size_t committed;
static size_t unknown;
static size_t refused;
static const char *broken;

static void
expect(bool holds, const char *what)
{
	if (!holds && broken == NULL)
		broken = what;
}

/* ------------------------------------------------------------------- reads */

/* What is at a key at ts, past the locks of the dead; false: no time. */
static bool
read_at(Bytes key, uint64_t ts, Arena *arena, int *value)
{
	uint64_t passed[64];
	ReadContext context = {.ts = ts, .resolved_locks = passed};
	Backoff backoff;

	if (kit.m.max_ts < ts)
		kit.m.max_ts = ts;
	backoff_init(&backoff, BACKOFF_READ_MS, 1);
	for (;;)
	{
		ClientResolve resolve;
		LockInfo info = {.key = key};
		ReadResult result;
		int64_t ms;
		Lock lock;

		if (!memory_get_lock(&kit.m.reader, key, arena, &lock) ||
			mvcc_lock_verdict(&context, key, &lock, false) != LOCK_BLOCKS)
		{
			mvcc_get(&kit.m.reader, &context, key, NULL, arena, &result);
			CHECK(result.outcome == READ_FOUND);
			*value = atoi((const char *) arena_copy(arena, result.value).data);
			return true;
		}
		info.lock = lock;
		info.ttl_ms = lock.ttl_ms;
		client_resolve(&client, &info, ts, &backoff, arena, &resolve);
		if (resolve.outcome == RESOLVE_PUSHED && context.n_resolved_locks < 64)
			passed[context.n_resolved_locks++] = resolve.start_ts;
		else if (resolve.outcome != RESOLVE_GONE &&
				 (resolve.outcome == RESOLVE_FAILED ||
				  !backoff_next(&backoff, BACKOFF_TXN_LOCK_FAST, &ms) ||
				  !world_sleep(NULL, ms)))
			return false;
	}
}

/* The sum at a timestamp; it takes what time it takes. */
static int
sum_at(uint64_t ts)
{
	uint64_t left = world_left_ms;
	int sum = 0;
	Arena arena;

	arena_init(&arena);
	world_left_ms = UINT64_MAX / 2;
	for (int i = 0; i < ACCOUNTS; i++)
	{
		int value = 0;

		while (!read_at(K(names[i]), ts, &arena, &value))
			world_ms += 1000;
		sum += value;
	}
	world_left_ms = left;
	arena_free(&arena);
	return sum;
}

/* ------------------------------------------------------------ transactions */

typedef struct Transfer
{
	Committer committer;
	MemBuffer *buffer;
	Arena arena;
	Bytes from;
	Bytes to;
	bool pessimistic;
} Transfer;

/* Lock a key and read it: false if that is not to be. */
static bool
lock_and_read(Transfer *t, Bytes key, int *value)
{
	Mutation mutation = {.op = MUTATION_PESSIMISTIC_LOCK, .key = key};
	PessimisticLockCommand command = {0};
	Backoff backoff;
	Locker locker;

	command.mutations = &mutation;
	command.n_mutations = 1;
	command.start_ts = t->committer.start_ts;
	command.lock_ttl_ms = 3000 + world_ms - t->committer.start_ts / MS(1);
	command.wait_timeout_ms = -1;
	command.return_values = true;
	backoff_init(&backoff, BACKOFF_LOCK_MS, 1);
	for (int i = 0; i < 20; i++)
	{
		command.for_update_ts = world_ts();
		command.primary =
			t->committer.primary.len > 0 ? t->committer.primary : key;
		command.is_first_lock = t->committer.primary.len == 0;
		client_lock(&client, &command, &backoff, &t->arena, &locker);
		if (locker.outcome == LOCKER_OK)
		{
			membuffer_locked(t->buffer, key, command.for_update_ts);
			if (t->committer.primary.len == 0)
				t->committer.primary = key;
			t->committer.for_update_ts = command.for_update_ts;
			*value = atoi((const char *)
							  arena_copy(&t->arena,
										 locker.result.answer.results[0].value)
								  .data);
			return true;
		}
		if (locker.outcome == LOCKER_FAILED)
			return false;
		if (locker.outcome == LOCKER_BUSY && !world_sleep(NULL, 50))
			return false;
	}
	return false;
}

static bool
get(Transfer *t, Bytes key, int *value)
{
	if (t->pessimistic)
		return lock_and_read(t, key, value);
	return read_at(key, t->committer.start_ts, &t->arena, value);
}

static void
put(Transfer *t, Bytes key, int value)
{
	char text[16];

	/* With its end, for atoi. */
	(void) snprintf(text, sizeof(text), "%d", value);
	membuffer_put(t->buffer, key, bytes_make(text, strlen(text) + 1), false);
}

static void
commit(Transfer *t)
{
	ClientResult result;

	committer_plan(&t->committer, t->buffer, &t->arena);
	committer_run(&client, &t->committer, &t->arena, &result);
	if (result.outcome == CLIENT_OK)
	{
		committed++;
		expect(t->committer.commit_ts > t->committer.start_ts,
			   "a commit is after its start");
		expect(t->committer.commit_ts < world_ts(),
			   "what begins later sees it");
		if (chance(80))
			committer_finish(&client, &t->committer, &t->arena);
	}
	else if (result.outcome == CLIENT_UNKNOWN)
		unknown++;
	else
	{
		refused++;
		if (chance(80))
			committer_undo(&client, &t->committer, &t->arena);
	}
}

static void
transfer(void)
{
	uint64_t left = world_left_ms;
	Transfer t = {0};
	int from = 0;
	int to = 0;
	size_t i = below(ACCOUNTS);

	n_left--;
	depth++;
	/* Some have little time: their locks stay behind. */
	world_left_ms = chance(20) ? 1 + below(200) : 20000;
	arena_init(&t.arena);
	t.buffer = membuffer_new();
	t.pessimistic = chance(50);
	t.committer.try_one_pc = chance(50);
	t.committer.try_async = chance(60);
	t.from = K(names[i]);
	t.to = K(names[(i + 1 + below(ACCOUNTS - 1)) % ACCOUNTS]);
	t.committer.start_ts = world_ts();
	if (t.pessimistic)
		t.committer.lock_ttl_ms = 3000;
	if (get(&t, t.from, &from) && get(&t, t.to, &to))
	{
		int amount = (int) below(10);

		put(&t, t.from, from - amount);
		put(&t, t.to, to + amount);
		if (!chance(5))
			commit(&t);
	}
	membuffer_free(t.buffer);
	arena_free(&t.arena);
	world_left_ms = left;
	depth--;
}

/* ------------------------------------------------------------------- faults */

static void
interfere(void)
{
	if (chance(3) && n_regions < MAX_REGIONS)
	{
		static const char *const at[] = {"b", "c", "m", "n", "p", "y", "z"};
		const char *bound = at[below(7)];
		const Region *region = world_region(K(bound));

		if (region_cache_holds(region, K(bound)) &&
			!bytes_eq(region->start_key,
					  memcomparable_encode(K(bound), &world)))
			world_split(bound);
	}
	if (chance(3))
		leader_of[below(n_regions)] = 900 + below(3);
	while (depth < MAX_DEPTH && n_left > 0 && chance(25))
		transfer();
}

static Fault
choose_fault(void)
{
	uint64_t at = below(100);

	return at < 2 ? FAULT_UNSENT :
		at < 5	  ? FAULT_LOST :
		at < 10	  ? FAULT_ANSWER_LOST :
		at < 12	  ? FAULT_STALE_DONE :
					FAULT_NONE;
}

/* The plan of the next request, made when it comes. */
static SubmitOutcome
sim_submit(ClientIo *io, const CachedRegion *region, const TxnCommand *command,
		   bool is_retry, Arena *arena, ClientReply *reply)
{
	SubmitOutcome outcome;

	interfere();
	n_plans = 1;
	next_plan = 0;
	plans[0] = (Plan){.fault = choose_fault()};
	sent[0] = '\0';
	outcome = world_submit(io, region, command, is_retry, arena, reply);
	if (chance(10))
		kit.m.max_guards = chance(50) ? 0 : 1024;
	return outcome;
}

static void
open_accounts(void)
{
	for (int i = 0; i < ACCOUNTS; i++)
		kit_put_write(&kit, K(names[i]), MS(2),
					  (WriteRecord){.type = WRITE_TYPE_PUT,
									.start_ts = MS(1),
									.has_short_value = true,
									.short_value = bytes_make("100", 4)});
}

static void
run_seed(uint64_t seed)
{
	rng = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	world_init();
	world_io.submit = sim_submit;
	depth = 0;
	n_left = TXNS;
	open_accounts();
	if (chance(70))
		world_split("k");
	if (chance(70))
		world_split("x");
	while (n_left > 0)
	{
		transfer();
		if (chance(10))
			expect(sum_at(world_ts()) == ACCOUNTS * START, "the sum stays");
	}
	n_left = 0;
	world_ms += 1000000;
	expect(sum_at(world_ts()) == ACCOUNTS * START, "the sum stayed");
	for (int i = 0; i < 10; i++)
		expect(sum_at(MS(1000 + below(world_ms - 1000))) == ACCOUNTS * START,
			   "and was the same before");
	world_free();
}

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t last = argc > 1 ? first : SEEDS;

	for (uint64_t seed = first; seed <= last && broken == NULL; seed++)
	{
		run_seed(seed);
		if (broken != NULL)
			printf("# not so: %s (seed %" PRIu64 ")\n", broken, seed);
	}
	OK(broken == NULL, "money is neither made nor lost");
	printf("# %zu committed, %zu refused, %zu not known\n", committed, refused,
		   unknown);
	OK(argc > 1 || (committed > 5000 && refused > 500 && unknown > 50),
	   "all ends have been met");
	return unit_done();
}
