/*
 * test_txn_fuzz.c
 *	  Random transactions over a few keys, by clients that keep the protocol.
 *
 * Clients lock, prewrite, commit, roll back and die; others meet their locks
 * and resolve them; any request may arrive a second time, much later.  After
 * each command the rows keep their invariants, and at the end, when every lock
 * is resolved, transactions are atomic, isolated and what clients were told.
 *
 * Usage: test_txn_fuzz [first_seed [n_seeds]]
 */
#include "txn_world.h"

/* -------------------------------------------------------------- the client */

static void
begin(void)
{
	Txn *txn = &txns[n_txns++];
	size_t first = below(N_KEYS);

	memset(txn, 0, sizeof(*txn));
	txn->start_ts = txn->for_update_ts = tso();
	txn->pessimistic = chance(60);
	txn->async = chance(50);
	txn->one_pc = chance(30);
	txn->split = !txn->one_pc && chance(50);
	txn->n_keys = 1 + below(N_KEYS);
	txn->state = txn->pessimistic ? STATE_LOCKING : STATE_PREWRITING;
	for (size_t i = 0; i < txn->n_keys; i++)
	{
		static const uint8_t value[LONG_VALUE] = {'v'};
		static const MutationOp ops[] = {MUTATION_PUT, MUTATION_PUT,
										 MUTATION_DELETE, MUTATION_LOCK};
		Mutation *m = &txn->mutations[i];

		m->key = txn->keys[i] = all_keys[(first + i) % N_KEYS];
		m->op = ops[below(4)];
		if (m->op == MUTATION_PUT)
			m->value = bytes_make(value, chance(30) ? LONG_VALUE : 1);
		if (!txn->pessimistic)
			continue;
		txn->actions[i] = DO_PESSIMISTIC_CHECK;
		txn->shared[i] = i > 0 && chance(30);
		txn->forced[i] = !txn->shared[i] && chance(40);
		if (txn->shared[i])
		{
			m->op = MUTATION_SHARED_LOCK;
			m->value = bytes_empty();
			txn->async = txn->one_pc = false;
		}
	}
}

static void
abort_txn(Txn *txn)
{
	txn->fate = FATE_ABORTED;
	if (txn->state == STATE_LOCKING)
		give_back(txn, txn->keys, txn->n_keys, UINT64_MAX);
	else
	{
		TxnCommand c = {.kind = TXN_CMD_BATCH_ROLLBACK};

		c.batch_rollback.keys = txn->keys;
		c.batch_rollback.n_keys = txn->n_keys;
		c.batch_rollback.start_ts = txn->start_ts;
		send(c);
		expect(error_kind() == TXN_OK, "what has not committed rolls back");
	}
	txn->state = STATE_FINISHED;
}

/* Locked keys: some wait and try again, some resolve, some give up. */
static void
meet_lock(Txn *txn)
{
	const TxnError *error = &kit.answer.errors[0];

	if (chance(15))
		abort_txn(txn);
	else if (chance(70))
		resolve_lock(error->lock.key, &error->lock.lock);
}

static void
lock_next(Txn *txn)
{
	TxnCommand c = {.kind = TXN_CMD_PESSIMISTIC_LOCK};
	PessimisticLockCommand *lock = &c.pessimistic_lock;
	Mutation *m = arena_zalloc(&world, sizeof(*m));
	size_t i = txn->next;
	bool force = txn->forced[i];

	m->op = txn->shared[i] ? MUTATION_SHARED_PESSIMISTIC_LOCK :
							 MUTATION_PESSIMISTIC_LOCK;
	m->key = txn->keys[i];
	lock->mutations = m;
	lock->n_mutations = 1;
	lock->primary = txn->keys[0];
	lock->start_ts = txn->start_ts;
	lock->lock_ttl_ms = 20 + below(40);
	lock->for_update_ts = txn->for_update_ts;
	lock->return_values = chance(30);
	lock->check_existence = chance(30);
	lock->min_commit_ts = chance(50) ? txn->for_update_ts + 1 : 0;
	lock->allow_lock_with_conflict = force;
	kit.env.memory_locks = chance(50);
	send(c);
	switch (error_kind())
	{
		case TXN_OK:
			txn->locked_at[i] =
				kit.answer.results[0].kind == LOCK_RESULT_NORMAL ?
				txn->for_update_ts :
				kit.answer.results[0].locked_with_conflict_ts;
			/* The statement is tried again at the conflict's time. */
			if (txn->locked_at[i] > txn->for_update_ts)
				txn->for_update_ts = txn->locked_at[i];
			if (++txn->next == txn->n_keys)
				txn->state = STATE_PREWRITING;
			break;
		case TXN_KEY_IS_LOCKED:
			meet_lock(txn);
			break;
		case TXN_WRITE_CONFLICT:
			txn->for_update_ts = tso();
			break;
		default:
			expect(error_kind() == TXN_PESSIMISTIC_LOCK_ROLLED_BACK,
				   "no other error meets a lock request");
			abort_txn(txn);
	}
}

static void
fill_prewrite(const Txn *txn, size_t first, size_t n, PrewriteCommand *p)
{
	ForUpdateTsConstraint *constraints =
		arena_zalloc(&world, N_KEYS * sizeof(*constraints));

	p->mutations = txn->mutations + first;
	p->n_mutations = n;
	p->primary = txn->keys[0];
	p->start_ts = txn->start_ts;
	p->lock_ttl_ms = 20 + below(40);
	p->txn_size = txn->n_keys;
	/* As client-go: no commit at a timestamp that was locked over. */
	p->min_commit_ts = txn->for_update_ts + 1;
	p->use_async_commit = txn->async;
	p->secondaries = txn->keys + 1;
	p->n_secondaries = txn->n_keys - 1;
	p->try_one_pc = txn->one_pc;
	p->max_commit_ts = chance(20) ? tso() : 0;
	if (!txn->pessimistic)
		return;
	p->for_update_ts = txn->for_update_ts;
	p->actions = txn->actions + first;
	p->n_actions = n;
	p->constraints = constraints;
	for (size_t i = 0; i < n; i++)
		if (txn->forced[first + i])
		{
			constraints[p->n_constraints].index = (uint32_t) i;
			constraints[p->n_constraints++].expected_for_update_ts =
				txn->locked_at[first + i];
		}
}

static void
prewritten(Txn *txn, size_t n)
{
	if (txn->one_pc && kit.answer.one_pc_commit_ts != 0)
	{
		txn->commit_ts = kit.answer.one_pc_commit_ts;
		txn->fate = FATE_COMMITTED;
		txn->state = STATE_FINISHED;
		return;
	}
	txn->one_pc = false;
	if (kit.answer.min_commit_ts == 0)
		txn->async = false;
	else if (kit.answer.min_commit_ts > txn->commit_ts)
		txn->commit_ts = kit.answer.min_commit_ts;
	txn->next += n;
	if (txn->next < txn->n_keys)
		return;
	if (txn->async)
		txn->fate = FATE_COMMITTED;
	else
		txn->commit_ts = 0;
	txn->state = STATE_COMMITTING;
	txn->next = 0;
}

static void
prewrite(Txn *txn)
{
	TxnCommand c = {.kind = TXN_CMD_PREWRITE};
	size_t n;

	if (txn->next == txn->n_keys)
		txn->next = 0; /* locked them all */
	n = txn->split && txn->next == 0 ? 1 : txn->n_keys - txn->next;
	fill_prewrite(txn, txn->next, n, &c.prewrite);
	send(c);
	switch (error_kind())
	{
		case TXN_OK:
			prewritten(txn, n);
			break;
		case TXN_KEY_IS_LOCKED:
			meet_lock(txn);
			break;
		default:
			expect(error_kind() == TXN_WRITE_CONFLICT ||
					   error_kind() == TXN_PESSIMISTIC_LOCK_NOT_FOUND,
				   "no other error meets a prewrite");
			abort_txn(txn);
	}
}

static void
commit_next(Txn *txn)
{
	TxnCommand c = {.kind = TXN_CMD_COMMIT};

	if (txn->commit_ts == 0)
	{
		txn->commit_ts = tso();
		if (chance(50))
			return; /* others push min_commit_ts meanwhile */
	}
	c.commit.keys = txn->keys + txn->next;
	c.commit.n_keys = txn->next == 0 ? 1 : 1 + below(txn->n_keys - txn->next);
	c.commit.start_ts = txn->start_ts;
	c.commit.commit_ts = txn->commit_ts;
	send(c);
	switch (error_kind())
	{
		case TXN_OK:
			txn->fate = FATE_COMMITTED;
			txn->next += c.commit.n_keys;
			if (txn->next == txn->n_keys)
				txn->state = STATE_FINISHED;
			break;
		case TXN_COMMIT_TS_EXPIRED:
			expect(txn->fate == FATE_OPEN, "what is decided cannot expire");
			txn->commit_ts = 0;
			break;
		default:
			expect(error_kind() == TXN_LOCK_NOT_FOUND,
				   "no other error meets a commit");
			expect(txn->fate == FATE_OPEN, "what is decided commits");
			txn->fate = FATE_ABORTED;
			txn->state = STATE_FINISHED;
	}
}

static void
heart_beat(const Txn *txn)
{
	TxnCommand c = {.kind = TXN_CMD_TXN_HEART_BEAT};

	c.txn_heart_beat.primary_key = txn->keys[0];
	c.txn_heart_beat.start_ts = txn->start_ts;
	c.txn_heart_beat.advise_lock_ttl_ms = below(100);
	send(c);
}

static void
client_step(Txn *txn)
{
	if (chance(3))
		txn->state = STATE_FINISHED; /* dies */
	else if (chance(10))
		heart_beat(txn);
	else if (txn->state == STATE_LOCKING)
		lock_next(txn);
	else if (txn->state == STATE_PREWRITING)
		prewrite(txn);
	else
		commit_next(txn);
}

/* ------------------------------------------------------------------ others */

/* As old clients: on a primary, and never with async commit. */
static void
clean_up(const Txn *txn)
{
	TxnCommand c = {.kind = TXN_CMD_CLEANUP};

	if (txn->async)
		return;
	c.cleanup.key = txn->keys[0];
	c.cleanup.start_ts = txn->start_ts;
	c.cleanup.current_ts = tso();
	/* Where no lock is, this rolls back what may still begin. */
	if (txn->state == STATE_FINISHED)
		send(c);
}

static uint64_t
newest_change(Bytes key, uint64_t ts)
{
	uint64_t found = 0;
	Arena arena;
	WriteAt at;

	arena_init(&arena);
	while (found == 0 && memory_seek_write(&kit.m.reader, key, ts, &arena, &at))
	{
		if (write_is_change(&at.write))
			found = at.commit_ts;
		ts = at.commit_ts - 1;
	}
	arena_free(&arena);
	return found;
}

static bool
blocks(const Lock *lock, uint64_t ts)
{
	return (lock->type == LOCK_TYPE_PUT || lock->type == LOCK_TYPE_DELETE) &&
		lock->start_ts <= ts && lock->min_commit_ts <= ts;
}

static void
read_key(Bytes key)
{
	uint64_t ts = tso();
	Arena arena;
	Lock lock;

	arena_init(&arena);
	kit.m.cm.raise_max_ts(&kit.m.cm, ts);
	if (memory_get_lock(&kit.m.reader, key, &arena, &lock) && blocks(&lock, ts))
	{
		resolve_at = ts;
		resolve_lock(key, &lock);
		resolve_at = 0;
	}
	if (memory_get_lock(&kit.m.reader, key, &arena, &lock) && blocks(&lock, ts))
		;
	else if (n_reads < MAX_READS)
	{
		reads[n_reads].key = key;
		reads[n_reads].ts = ts;
		reads[n_reads++].seen = newest_change(key, ts);
	}
	arena_free(&arena);
}

/* A transaction whose client still works on it, or NULL. */
static Txn *
pick_active(void)
{
	Txn *picked = NULL;
	size_t n = 0;

	for (size_t i = 0; i < n_txns; i++)
		if (txns[i].state != STATE_FINISHED && below(++n) == 0)
			picked = &txns[i];
	if (n < N_ACTIVE && n_txns < MAX_TXNS && chance(30))
	{
		begin();
		picked = &txns[n_txns - 1];
	}
	return picked;
}

static void
step(void)
{
	size_t what = below(100);
	Txn *active = pick_active();

	if (active != NULL && what < 65)
		client_step(active);
	else if (what < 72)
		resolve_key(all_keys[below(N_KEYS)]);
	else if (what < 80)
		read_key(all_keys[below(N_KEYS)]);
	else if (what < 83 && n_txns > 0)
		clean_up(&txns[below(n_txns)]);
	else if (n_requests > 0)
		run(&requests[chance(50) ? below(n_requests) :
								   n_requests - 1 -
							  below(n_requests < 20 ? n_requests : 20)]);
}

/* ------------------------------------------------------------------ the end */

static bool
any_lock(void)
{
	for (size_t i = 0; i < kit.m.n_rows; i++)
		if (kit.m.rows[i].cf == TXN_CF_LOCK)
			return true;
	return false;
}

static void
resolve_all(void)
{
	for (int round = 0; round < 20 && any_lock() && broken == NULL; round++)
	{
		clock_ts += MS(1000);
		for (size_t i = 0; i < N_KEYS; i++)
			resolve_key(all_keys[i]);
	}
	expect(!any_lock(), "every lock resolves in the end");
}

/* What was committed on any key was committed on all, at one time. */
static void
check_atomic(const Txn *txn)
{
	uint64_t first = 0;

	check_txn(txn);
	for (size_t i = 0; i < txn->n_keys; i++)
	{
		bool rolled_back;
		uint64_t commit_ts =
			find_commit(txn->keys[i], txn->start_ts, &rolled_back);

		if (i == 0)
			first = commit_ts;
		expect(commit_ts == first, "all keys commit at one time, or none");
	}
	expect(txn->fate != FATE_COMMITTED || first != 0,
		   "what the client was told is committed is");
}

/* Nobody changed a key between what a transaction saw and its commit. */
static void
check_isolated(const Txn *txn)
{
	suspect = txn->start_ts;
	for (size_t i = 0; i < txn->n_keys; i++)
	{
		bool rolled_back;
		uint64_t saw = txn->pessimistic ? txn->locked_at[i] : txn->start_ts;
		uint64_t commit_ts =
			find_commit(txn->keys[i], txn->start_ts, &rolled_back);

		if (commit_ts != 0)
			expect(newest_change(txn->keys[i], commit_ts - 1) <= saw,
				   "no update is lost");
	}
}

static void
check_end(void)
{
	for (size_t i = 0; i < n_txns; i++)
	{
		check_atomic(&txns[i]);
		check_isolated(&txns[i]);
	}
	for (size_t i = 0; i < n_reads; i++)
		expect(newest_change(reads[i].key, reads[i].ts) == reads[i].seen,
			   "a read finds the same again");
	for (size_t i = 0; i < kit.m.n_rows; i++)
	{
		bool rolled_back;

		if (kit.m.rows[i].cf == TXN_CF_VALUE)
			expect(find_commit(kit.m.rows[i].key, kit.m.rows[i].ts,
							   &rolled_back) != 0,
				   "no value is left without its record");
	}
}

static void
run_seed(uint64_t seed)
{
	static const char *const names[N_KEYS] = {"a", "b", "c", "d"};

	rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	clock_ts = MS(1);
	n_txns = n_requests = n_reads = 0;
	n_commands = 0;
	for (size_t i = 0; i < N_KEYS; i++)
		all_keys[i] = K(names[i]);
	kit_reset(&kit);
	for (int i = 0; i < STEPS && broken == NULL; i++)
		step();
	if (broken == NULL)
		resolve_all();
	if (broken == NULL)
		check_end();
	arena_free(&world);
}

int
main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100;
	size_t committed = 0;
	size_t aborted = 0;

	verbose = argc > 3;
	kit_init(&kit);
	arena_init(&world);
	for (uint64_t seed = first; seed < first + n && broken == NULL; seed++)
	{
		run_seed(seed);
		if (broken != NULL)
			printf("# of seed %" PRIu64 "\n", seed);
		for (size_t i = 0; i < n_txns; i++)
		{
			committed += txns[i].fate == FATE_COMMITTED;
			aborted += txns[i].fate == FATE_ABORTED;
		}
	}
	printf("# %zu transactions committed, %zu aborted\n", committed, aborted);
	OK(broken == NULL, "invariants hold for every seed");
	OK(broken != NULL || (committed > n && aborted > n), "both ends are met");
	kit_free(&kit);
	return unit_done();
}
