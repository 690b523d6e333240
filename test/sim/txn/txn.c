/*
 * txn.c
 *	  What transactions do: transfers, appends, blind writes, reads.
 *
 * An account has an index key in the other region that carries its last
 * writer, and which a pessimistic transaction writes without locking it,
 * guarded by the lock on the account.
 */
#include "sim.h"

static void
add_write(SimTxn *txn, int key, MutationOp op)
{
	SimWrite *w = &txn->writes[txn->n_writes++];

	w->key = key;
	w->op = op;
	w->action = DO_PESSIMISTIC_CHECK;
	w->is_rmw = key < SIM_ACCOUNTS || key == SIM_LISTS || key == SIM_LISTS + 1;
}

/* ------------------------------------------------------ what is written */

static void
plan_transfer(SimTxn *txn)
{
	uint64_t n = (uint64_t) sim->n_accounts;
	int from = (int) sim_rand(n);
	int to = (from + 1 + (int) sim_rand(n - 1)) % (int) n;

	/* Few accounts: one in each region. */
	add_write(txn, n == 2 ? from * 3 : from, MUTATION_PUT);
	add_write(txn, n == 2 ? to * 3 : to, MUTATION_PUT);
}

static void
plan_blind(SimTxn *txn)
{
	static const MutationOp ops[] = {MUTATION_PUT,
									 MUTATION_PUT,
									 MUTATION_DELETE,
									 MUTATION_INSERT,
									 MUTATION_LOCK,
									 MUTATION_CHECK_NOT_EXISTS};
	int first = (int) sim_rand(4);
	int n = 1 + (int) sim_rand(3);

	for (int i = 0; i < n; i++)
		add_write(txn, SIM_BLIND + (first + i) % 4,
				  ops[sim_rand(txn->pessimistic ? 5 : 6)]);
}

static void
plan(SimTxn *txn)
{
	uint64_t kind = sim_rand(10);

	if (sim->one_list && kind < 8)
	{
		add_write(txn, SIM_LISTS, MUTATION_PUT);
		return;
	}
	if (kind < 5)
		plan_transfer(txn);
	if (kind >= 4 && kind < 7)
		add_write(txn, SIM_LISTS + (int) sim_rand(2), MUTATION_PUT);
	if (kind >= 7)
		plan_blind(txn);
}

/* After everything was read: the values. */
static void
fill_values(SimTxn *txn)
{
	int n = txn->n_writes;

	for (int i = 0; i < n; i++)
	{
		SimWrite *w = &txn->writes[i];
		Bytes list = bytes_empty();
		uint64_t number = w->number;

		if (w->op != MUTATION_PUT && w->op != MUTATION_INSERT)
			continue;
		if (w->key < SIM_ACCOUNTS)
		{
			uint64_t most = txn->writes[0].number;
			uint64_t amount = most / 4;

			number = i == 0 ? number - amount : number + amount;
			add_write(txn, SIM_INDEX + w->key, MUTATION_PUT);
			w = &txn->writes[i];
		}
		else if (w->is_rmw)
		{
			uint8_t *data = sim_alloc(w->list.len + 8);

			if (w->list.len > 0)
				memcpy(data, w->list.data, w->list.len);
			memcpy(data + w->list.len, &txn->start_ts, 8);
			list = bytes_make(data, w->list.len + 8);
		}
		w->value = value_make(txn->start_ts, number, list);
	}
	for (int i = n; i < txn->n_writes; i++)
	{
		txn->writes[i].value = value_make(txn->start_ts, 0, bytes_empty());
		txn->writes[i].action = SKIP_PESSIMISTIC_CHECK;
	}
}

static void
take_found(SimWrite *w, const Found *found)
{
	w->based_on = found->exists ? found->writer : 0;
	w->number = found->exists ? found->number : SIM_BALANCE;
	w->list = found->exists ? found->list : bytes_empty();
}

/* -------------------------------------------------------------- optimistic */

static bool
read_for_write(Client *c, SimTxn *txn)
{
	int keys[SIM_MAX_WRITES];
	Found found[SIM_MAX_WRITES];
	int n = 0;

	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].is_rmw)
			keys[n++] = txn->writes[i].key;
	if (n == 0)
		return true;
	if (!read_keys(c, txn->start_ts, keys, n, found))
		return false;
	n = 0;
	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].is_rmw)
			take_found(&txn->writes[i], &found[n++]);
	return true;
}

/* ------------------------------------------------------------- pessimistic */

static void
heart_beat(Client *c, const SimTxn *txn)
{
	TxnCommand command = {.kind = TXN_CMD_TXN_HEART_BEAT};

	command.txn_heart_beat.primary_key =
		sim->keys[txn->writes[txn->primary].key];
	command.txn_heart_beat.start_ts = txn->start_ts;
	command.txn_heart_beat.advise_lock_ttl_ms =
		sim->ttl_ms + (uint64_t) (sim->now / MS) - (txn->start_ts >> 18);
	client_must_call(c, &command,
					 region_of(command.txn_heart_beat.primary_key));
}

static TxnCommand
lock_command(const SimTxn *txn, const SimWrite *w, bool force)
{
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_LOCK};
	PessimisticLockCommand *lock = &command.pessimistic_lock;
	Mutation *mutation = sim_alloc(sizeof(*mutation));

	mutation->op = MUTATION_PESSIMISTIC_LOCK;
	mutation->key = sim->keys[w->key];
	if (w->op == MUTATION_INSERT)
		mutation->assertion = ASSERTION_NOT_EXIST;
	lock->mutations = mutation;
	lock->n_mutations = 1;
	lock->primary = sim->keys[txn->writes[txn->primary].key];
	lock->start_ts = txn->start_ts;
	lock->lock_ttl_ms =
		sim->ttl_ms + (uint64_t) (sim->now / MS) - (txn->start_ts >> 18);
	lock->for_update_ts = txn->for_update_ts;
	lock->is_first_lock = true;
	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].locked)
			lock->is_first_lock = false;
	lock->wait_timeout_ms = sim_chance(0.2) ? -1 : 30;
	lock->return_values = w->is_rmw || sim_chance(0.3);
	lock->check_existence = sim_chance(0.2);
	lock->min_commit_ts = txn->for_update_ts + 1;
	lock->allow_lock_with_conflict = force;
	return command;
}

/* The lock is held; what it was told beside it is what the write is made of. */
static void
take_lock(SimTxn *txn, SimWrite *w, const PessimisticLockCommand *lock,
		  const PessimisticLockResult *result)
{
	Found found = {0};
	uint64_t read_ts = lock->for_update_ts;

	w->locked = true;
	w->locked_fu = read_ts;
	w->has_expected = lock->allow_lock_with_conflict;
	if (result->kind == LOCK_RESULT_LOCKED_WITH_CONFLICT)
	{
		sim->n_conflict_locks++;
		read_ts = w->locked_fu = result->locked_with_conflict_ts;
		/*
		 * The conflict may be an async commit one above everything that was
		 * handed out: as TiDB does, have a timestamp that is not below it.
		 */
		txn->for_update_ts = sim_tso();
		CHECK(txn->for_update_ts >= read_ts);
	}
	if (!lock->return_values)
		return;
	if (result->exists)
		value_parse(result->value, &found);
	take_found(w, &found);
	model_read(w->key, read_ts, found.writer, 0);
}

/* One key; false if the transaction fails. */
static bool
lock_key(Client *c, SimTxn *txn, SimWrite *w)
{
	bool force = sim_chance(0.4);
	bool new_ts = true;
	TxnCommand command;

	for (int tries = 0; tries < 30; tries++)
	{
		const TxnError *error;
		LockInfo info;

		if (new_ts)
		{
			txn->for_update_ts = sim_tso();
			command = lock_command(txn, w, force);
		}
		new_ts = false;
		if (client_call(c, &command, region_of(sim->keys[w->key]), tries > 0) !=
			REPLY_ANSWER)
		{
			client_sleep(c, (int64_t) sim_rand(3 * MS));
			continue;
		}
		if (c->answer->n_errors == 0)
		{
			take_lock(txn, w, &command.pessimistic_lock, c->answer->results);
			return true;
		}
		error = &c->answer->errors[0];
		switch (error->kind)
		{
			case TXN_KEY_IS_LOCKED:
				info = error->lock;
				if (!resolve_lock(c, &info, 0, NULL))
					client_sleep(c, (int64_t) sim_rand(5 * MS));
				break;
			case TXN_WRITE_CONFLICT:
				new_ts = true;
				break;
			case TXN_DEADLOCK:
			case TXN_ALREADY_EXIST:
			case TXN_PESSIMISTIC_LOCK_ROLLED_BACK:
				w->locked = true; /* to be rolled back, if it is there */
				return false;
			default:
				sim_fail("pessimistic lock answers error %d",
						 (int) error->kind);
		}
	}
	w->locked = true;
	return false;
}

static bool
lock_all(Client *c, SimTxn *txn)
{
	for (int i = 0; i < txn->n_writes; i++)
	{
		if (!lock_key(c, txn, &txn->writes[i]))
			return false;
		client_may_die(c);
		client_sleep(c, (int64_t) sim_rand(5 * MS));
		if (sim_chance(0.2))
			heart_beat(c, txn);
	}
	return true;
}

/* ---------------------------------------------------------------- reading */

static void
read_only(Client *c, SimTxn *txn)
{
	static const int accounts[SIM_ACCOUNTS] = {0, 1, 2, 3, 4, 5};
	Found found[SIM_ACCOUNTS];
	int key = (int) sim_rand(SIM_KEYS);
	uint64_t sum = 0;

	if (sim_chance(0.3))
	{
		read_keys(c, UINT64_MAX, &key, 1, found);
		return;
	}
	if (sim_chance(0.3))
	{
		int keys[3];

		for (int i = 0; i < 3; i++)
			keys[i] = (key + i * 5) % SIM_KEYS;
		read_keys(c, txn->start_ts, keys, 3, found);
		client_sleep(c, (int64_t) sim_rand(20 * MS));
	}
	if (!read_keys(c, txn->start_ts, accounts, SIM_ACCOUNTS, found))
		return;
	for (int i = 0; i < SIM_ACCOUNTS; i++)
		sum += found[i].exists ? found[i].number : SIM_BALANCE;
	if (sum != SIM_ACCOUNTS * SIM_BALANCE)
		sim_fail("a reader at %" PRIu64 " counts %" PRIu64 " in the accounts",
				 txn->start_ts, sum);
}

/* ------------------------------------------------------------- all of it */

static void
choose_ways(SimTxn *txn)
{
	txn->pessimistic = sim_chance(0.5);
	txn->use_async = sim_chance(0.5);
	txn->try_one_pc = sim_chance(0.5);
	txn->causal = (txn->use_async || txn->try_one_pc) && sim_chance(0.3);
}

static void
write_something(Client *c, SimTxn *txn)
{
	plan(txn);
	/* CheckNotExists writes nothing, so it cannot be the primary. */
	while (txn->primary < txn->n_writes &&
		   txn->writes[txn->primary].op == MUTATION_CHECK_NOT_EXISTS)
		txn->primary++;
	if (txn->primary == txn->n_writes)
	{
		txn->n_writes = 0;
		return;
	}
	if (txn->pessimistic ? !lock_all(c, txn) : !read_for_write(c, txn))
	{
		roll_back(c, txn);
		return;
	}
	fill_values(txn);
	client_sleep(c,
				 (int64_t) sim_rand(sim_chance(0.05) ? 300 * MS :
										sim->stormy	 ? 60 * MS :
													   5 * MS));
	if (sim_chance(0.05))
	{
		roll_back(c, txn);
		return;
	}
	if (sim_chance(0.3))
		txn->max_commit_ts = sim_tso() + 1 + sim_rand(6);
	commit_transaction(c, txn);
}

void
run_transaction(Client *c)
{
	SimTxn *txn = model_txn(sim_tso());

	c->txn = txn;
	choose_ways(txn);
	sim_trace("begins %" PRIu64 "%s%s%s%s", txn->start_ts,
			  txn->pessimistic ? " pessimistic" : "",
			  txn->use_async ? " async" : "", txn->try_one_pc ? " 1PC" : "",
			  txn->causal ? " causal" : "");
	client_sleep(c, (int64_t) sim_rand(5 * MS));
	if (sim_chance(0.25))
		read_only(c, txn);
	else if (sim_chance(0.08))
		run_pipelined(c, txn);
	else
		write_something(c, txn);
	txn->active = false;
	txn->ended_us = sim->now;
	c->txn = NULL;
}
