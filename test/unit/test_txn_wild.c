/*
 * test_txn_wild.c
 *	  Random commands by clients that keep no protocol at all.
 *
 * Whatever arrives, nothing may crash, touch memory that is not its own, or
 * leave rows that cannot be.  What is promised to clients that keep the
 * protocol is the business of test_txn_fuzz.c.
 *
 * Usage: test_txn_wild [first_seed [n_seeds]]
 */
#include "dice.h"
#include "txn_kit.h"

#define N_KEYS 4
#define MAX_NAMED 4
#define STEPS 400

static Kit kit;
static size_t n_ok;
static size_t n_refused;

static bool
coin(void)
{
	return below(2) == 0;
}

/* Few enough to meet; now and then an end of the scale. */
static uint64_t
any_ts(void)
{
	switch (below(20))
	{
		case 0:
			return 0;
		case 1:
			return UINT64_MAX;
		case 2:
			return MS(1 + below(4));
		default:
			return 1 + below(24);
	}
}

static Bytes
any_key(void)
{
	static const char *const names[N_KEYS] = {"", "a", "b", "pk"};

	return K(names[below(N_KEYS)]);
}

static const Bytes *
any_keys(size_t *n)
{
	Bytes *keys = arena_alloc(&kit.arena, MAX_NAMED * sizeof(Bytes));

	*n = below(MAX_NAMED + 1);
	for (size_t i = 0; i < *n; i++)
		keys[i] = any_key();
	return keys;
}

static Bytes
any_value(void)
{
	static const uint8_t value[SHORT_VALUE_MAX_LEN + 1] = {1};
	static const size_t lens[] = {0, 1, SHORT_VALUE_MAX_LEN,
								  SHORT_VALUE_MAX_LEN + 1};

	return bytes_make(value, lens[below(4)]);
}

static const Mutation *
any_mutations(bool pessimistic, size_t *n)
{
	static const MutationOp writes[] = {MUTATION_PUT,
										MUTATION_DELETE,
										MUTATION_LOCK,
										MUTATION_INSERT,
										MUTATION_CHECK_NOT_EXISTS,
										MUTATION_SHARED_LOCK};
	static const MutationOp locks[] = {MUTATION_PESSIMISTIC_LOCK,
									   MUTATION_SHARED_PESSIMISTIC_LOCK};
	Mutation *mutations =
		arena_zalloc(&kit.arena, MAX_NAMED * sizeof(Mutation));

	*n = below(MAX_NAMED + 1);
	for (size_t i = 0; i < *n; i++)
	{
		mutations[i].op = pessimistic ? locks[below(2)] : writes[below(6)];
		mutations[i].key = any_key();
		if (mutations[i].op == MUTATION_PUT ||
			mutations[i].op == MUTATION_INSERT)
			mutations[i].value = any_value();
		mutations[i].assertion = (Assertion) below(3);
	}
	return mutations;
}

/* -------------------------------------------------------------- commands */

static void
wild_prewrite(void)
{
	PrewriteCommand c = {0};
	PessimisticAction *actions =
		arena_alloc(&kit.arena, MAX_NAMED * sizeof(*actions));
	ForUpdateTsConstraint *constraints =
		arena_alloc(&kit.arena, sizeof(*constraints));

	c.mutations = any_mutations(false, &c.n_mutations);
	c.primary = any_key();
	c.start_ts = any_ts();
	c.lock_ttl_ms = below(3);
	c.skip_constraint_check = coin();
	c.for_update_ts = coin() ? any_ts() : 0;
	for (size_t i = 0; i < MAX_NAMED; i++)
		actions[i] = (PessimisticAction) below(3);
	c.actions = actions;
	c.n_actions = below(MAX_NAMED + 1);
	c.min_commit_ts = any_ts();
	c.use_async_commit = coin();
	c.secondaries = any_keys(&c.n_secondaries);
	c.try_one_pc = coin();
	c.max_commit_ts = coin() ? any_ts() : 0;
	c.assertion_level = (AssertionLevel) below(3);
	constraints->index = (uint32_t) below(MAX_NAMED);
	constraints->expected_for_update_ts = any_ts();
	c.constraints = constraints;
	c.n_constraints = below(4) == 0;
	c.generation = below(4) == 0 ? 1 + below(3) : 0; /* a flush */
	txn_prewrite(&kit.env, &c, &kit.answer);
}

static void
wild_lock(void)
{
	PessimisticLockCommand c = {0};

	c.mutations = any_mutations(true, &c.n_mutations);
	c.primary = any_key();
	c.start_ts = any_ts();
	c.lock_ttl_ms = below(3);
	c.for_update_ts = any_ts();
	c.wait_timeout_ms = (int64_t) below(3) - 1;
	c.return_values = coin();
	c.check_existence = coin();
	c.min_commit_ts = any_ts();
	c.lock_only_if_exists = c.return_values && coin();
	c.allow_lock_with_conflict = coin();
	c.resumed = c.n_mutations == 1 && coin();
	txn_pessimistic_lock(&kit.env, &c, &kit.answer);
}

static void
wild_end(size_t what)
{
	CommitCommand commit = {.start_ts = any_ts(), .commit_ts = any_ts()};
	BatchRollbackCommand rollback = {.start_ts = any_ts()};
	CleanupCommand cleanup = {any_key(), any_ts(), any_ts()};
	PessimisticRollbackCommand give_back = {.start_ts = any_ts(),
											.for_update_ts = any_ts()};

	switch (what)
	{
		case 0:
			commit.keys = any_keys(&commit.n_keys);
			txn_commit(&kit.env, &commit, &kit.answer);
			break;
		case 1:
			rollback.keys = any_keys(&rollback.n_keys);
			txn_batch_rollback(&kit.env, &rollback, &kit.answer);
			break;
		case 2:
			txn_cleanup(&kit.env, &cleanup, &kit.answer);
			break;
		default:
			give_back.keys = any_keys(&give_back.n_keys);
			txn_pessimistic_rollback(&kit.env, &give_back, &kit.answer);
	}
}

static void
wild_status(void)
{
	CheckTxnStatusCommand c = {.primary_key = any_key(),
							   .lock_ts = any_ts(),
							   .caller_start_ts = any_ts(),
							   .current_ts = any_ts(),
							   .rollback_if_not_exist = coin(),
							   .force_sync_commit = coin(),
							   .resolving_pessimistic_lock = coin(),
							   .verify_is_primary = coin()};

	txn_check_txn_status(&kit.env, &c, &kit.answer);
}

static void
wild_resolve(void)
{
	TxnStatusOf txns[3];
	ResolveLockCommand c = {.txns = txns};
	uint64_t start_ts = 0;

	if (coin())
		c.keys = any_keys(&c.n_keys);
	c.n_txns = below(4);
	for (size_t i = 0; i < c.n_txns; i++)
	{
		start_ts += 1 + below(8);
		txns[i].start_ts = start_ts;
		txns[i].commit_ts = coin() ? 0 : any_ts();
	}
	txn_resolve_lock(&kit.env, &c, &kit.answer);
}

static void
wild_look(size_t what)
{
	CheckSecondaryLocksCommand secondary = {.start_ts = any_ts()};
	TxnHeartBeatCommand beat = {any_key(), any_ts(), below(9), any_ts()};
	ScanLockCommand scan = {.max_ts = any_ts(),
							.range = {any_key(), any_key()},
							.limit = (uint32_t) below(3)};

	if (what == 0)
	{
		secondary.keys = any_keys(&secondary.n_keys);
		txn_check_secondary_locks(&kit.env, &secondary, &kit.answer);
	}
	else if (what == 1)
		txn_heart_beat(&kit.env, &beat, &kit.answer);
	else
		txn_scan_lock(&kit.env, &scan, &kit.answer);
}

static void
wild_command(void)
{
	size_t what = below(100);

	if (what < 35)
		wild_prewrite();
	else if (what < 60)
		wild_lock();
	else if (what < 80)
		wild_end(below(4));
	else if (what < 87)
		wild_status();
	else if (what < 94)
		wild_resolve();
	else
		wild_look(below(3));
}

/* ----------------------------------------------------------------- what is */

/* Every row decodes, and shared locks are what they can be. */
static bool
rows_can_be(Arena *arena)
{
	for (size_t i = 0; i < kit.m.n_rows; i++)
	{
		const MemoryRow *row = &kit.m.rows[i];
		WriteRecord write;
		Lock lock;

		if (row->cf == TXN_CF_WRITE &&
			write_decode(row->bytes, &write) != STATUS_OK)
			return false;
		if (row->cf != TXN_CF_LOCK)
			continue;
		if (lock_decode(row->bytes, arena, &lock) != STATUS_OK)
			return false;
		if (lock.type == LOCK_TYPE_SHARED &&
			(lock.n_members == 0 || row->memory_only))
			return false;
		for (size_t j = 1; j < lock.n_members; j++)
			if (lock.members[j].start_ts == lock.members[j - 1].start_ts)
				return false;
	}
	return true;
}

/* What may be said of any answer. */
static bool
answer_can_be(void)
{
	const TxnAnswer *answer = &kit.answer;

	if (answer->n_errors > 0 && answer->n_locks > 0)
		return false;
	if (answer->may_wait)
		return answer->n_errors == 1 &&
			answer->errors[0].kind == TXN_KEY_IS_LOCKED &&
			kit.effects.n_modifies == 0;
	return !answer->keep_effects || answer->n_errors > 0;
}

static bool
run_seed(uint64_t seed)
{
	bool good = true;
	Arena arena;

	rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	arena_init(&arena);
	kit_reset(&kit);
	for (int i = 0; good && i < STEPS; i++)
	{
		kit_next(&kit);
		kit.env.memory_locks = coin();
		kit.env.max_ts_synced = below(10) > 0;
		kit.env.is_retry_request = coin();
		kit.m.max_guards = below(10) > 0 ? 1024 : below(2);
		wild_command();
		good = answer_can_be();
		kit_apply(&kit);
		for (size_t j = 0; j < kit.effects.n_guards; j++)
			kit.m.cm.retract(&kit.m.cm, kit.effects.guards[j].key,
							 kit.effects.guards[j].start_ts);
		good = good && kit.m.n_guards == 0 && rows_can_be(&arena);
		n_ok += kit.answer.n_errors == 0;
		n_refused += kit.answer.n_errors > 0;
		arena_reset(&arena);
	}
	arena_free(&arena);
	return good;
}

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;
	bool good = true;

	kit_init(&kit);
	for (uint64_t seed = first; good && seed < first + n; seed++)
	{
		good = run_seed(seed);
		if (!good)
			printf("# of seed %" PRIu64 "\n", seed);
	}
	printf("# %zu commands done, %zu refused\n", n_ok, n_refused);
	OK(good, "rows and answers can be, for every seed");
	OK(!good || (n_ok > n && n_refused > n), "both answers are met");
	kit_free(&kit);
	return unit_done();
}
