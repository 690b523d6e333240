/*
 * commit.c
 *	  Prewrite and commit, after client-go's twoPhaseCommitter
 *	  (tikv/client-go txnkv/transaction/{2pc,prewrite,commit}.go).
 */
#include "sim.h"

static Bytes
key_of(const SimTxn *txn, int i)
{
	return sim->keys[txn->writes[i].key];
}

void
commit_is_known(SimTxn *txn, uint64_t commit_ts)
{
	txn->outcome = OUTCOME_COMMITTED;
	txn->commit_ts = commit_ts;
	sim_trace("%" PRIu64 " is committed at %" PRIu64, txn->start_ts, commit_ts);
	if (commit_ts > sim->acked)
		sim->acked = commit_ts;
	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].op != MUTATION_CHECK_NOT_EXISTS &&
			txn->writes[i].op != MUTATION_LOCK &&
			commit_ts > sim->acked_key[txn->writes[i].key])
			sim->acked_key[txn->writes[i].key] = commit_ts;
}

/* ------------------------------------------------------------- roll back */

static void
roll_back_pessimistic(Client *c, SimTxn *txn, int region)
{
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_ROLLBACK};
	Bytes *keys = sim_alloc(SIM_MAX_WRITES * sizeof(Bytes));
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].locked && region_of(key_of(txn, i)) == region)
			keys[n++] = key_of(txn, i);
	if (n == 0)
		return;
	command.pessimistic_rollback.keys = keys;
	command.pessimistic_rollback.n_keys = n;
	command.pessimistic_rollback.start_ts = txn->start_ts;
	command.pessimistic_rollback.for_update_ts = txn->for_update_ts;
	client_must_call(c, &command, region);
}

static void
roll_back_prewritten(Client *c, SimTxn *txn, int region)
{
	TxnCommand command = {.kind = TXN_CMD_BATCH_ROLLBACK};
	Bytes *keys = sim_alloc(SIM_MAX_WRITES * sizeof(Bytes));
	const TxnAnswer *answer;
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].op != MUTATION_CHECK_NOT_EXISTS &&
			region_of(key_of(txn, i)) == region)
			keys[n++] = key_of(txn, i);
	if (n == 0)
		return;
	command.batch_rollback.keys = keys;
	command.batch_rollback.n_keys = n;
	command.batch_rollback.start_ts = txn->start_ts;
	answer = client_must_call(c, &command, region);
	if (answer != NULL && answer->n_errors > 0)
		sim_fail("rolling back %" PRIu64 " answers error %d", txn->start_ts,
				 (int) answer->errors[0].kind);
}

/* The transaction has failed, and its locks are to go. */
void
roll_back(Client *c, SimTxn *txn)
{
	txn->outcome = OUTCOME_FAILED;
	sim_trace("%" PRIu64 " fails", txn->start_ts);
	for (int region = 0; region < 2; region++)
	{
		if (txn->pessimistic)
			roll_back_pessimistic(c, txn, region);
		if (txn->prewriting)
			roll_back_prewritten(c, txn, region);
	}
}

/* ----------------------------------------------------------------- commit */

static TxnCommand
commit_command(const SimTxn *txn, int region, bool but_primary,
			   uint64_t commit_ts)
{
	TxnCommand command = {.kind = TXN_CMD_COMMIT};
	Bytes *keys = sim_alloc(SIM_MAX_WRITES * sizeof(Bytes));
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
		if (region_of(key_of(txn, i)) == region &&
			txn->writes[i].op != MUTATION_CHECK_NOT_EXISTS &&
			(i != txn->primary || !but_primary))
			keys[n++] = key_of(txn, i);
	command.commit.keys = keys;
	command.commit.n_keys = n;
	command.commit.start_ts = txn->start_ts;
	command.commit.commit_ts = commit_ts;
	return command;
}

/* Nobody waits for it, and others can do it as well. */
static void
commit_rest(Client *c, const SimTxn *txn, bool but_primary, uint64_t commit_ts)
{
	for (int region = 0; region < 2; region++)
	{
		TxnCommand command =
			commit_command(txn, region, but_primary, commit_ts);

		if (command.commit.n_keys > 0 && !sim_chance(0.1))
			client_must_call(c, &command, region);
	}
}

void
commit_primary(Client *c, SimTxn *txn)
{
	TxnCommand command = {.kind = TXN_CMD_COMMIT};
	Bytes *key = sim_alloc(sizeof(*key));

	*key = key_of(txn, txn->primary);
	command.commit.keys = key;
	command.commit.n_keys = 1;
	command.commit.start_ts = txn->start_ts;
	for (int tries = 0; tries < 20; tries++)
	{
		const TxnAnswer *answer;

		command.commit.commit_ts = sim_tso();
		answer = client_must_call(c, &command, region_of(*key));
		if (answer == NULL)
			return; /* nobody knows */
		if (answer->n_errors == 0 ||
			(answer->errors[0].kind == TXN_LOCK_NOT_FOUND &&
			 sim_mutation("lock_not_found_is_success")))
		{
			/* A repetition of an earlier attempt may have been the one. */
			commit_is_known(txn, command.commit.commit_ts);
			return;
		}
		if (answer->errors[0].kind == TXN_COMMIT_TS_EXPIRED)
			continue;
		if (answer->errors[0].kind != TXN_LOCK_NOT_FOUND)
			sim_fail("commit of %" PRIu64 " answers error %d", txn->start_ts,
					 (int) answer->errors[0].kind);
		roll_back(c, txn);
		return;
	}
}

/* --------------------------------------------------------------- prewrite */

typedef struct Batch
{
	TxnCommand command;
	int region;
} Batch;

static void
fill_secondaries(const SimTxn *txn, PrewriteCommand *prewrite)
{
	Bytes *keys = sim_alloc(SIM_MAX_WRITES * sizeof(Bytes));
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
		if (i != txn->primary && txn->writes[i].op != MUTATION_CHECK_NOT_EXISTS)
			keys[n++] = key_of(txn, i);
	prewrite->secondaries = keys;
	prewrite->n_secondaries = n;
}

/* The mutations of one region. */
static size_t
fill_mutations(const SimTxn *txn, int region, PrewriteCommand *prewrite)
{
	Mutation *mutations = sim_alloc(SIM_MAX_WRITES * sizeof(Mutation));
	PessimisticAction *actions =
		sim_alloc(SIM_MAX_WRITES * sizeof(PessimisticAction));
	ForUpdateTsConstraint *constraints =
		sim_alloc(SIM_MAX_WRITES * sizeof(ForUpdateTsConstraint));
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
	{
		const SimWrite *w = &txn->writes[i];

		if (region_of(key_of(txn, i)) != region)
			continue;
		if (w->has_expected)
		{
			constraints[prewrite->n_constraints].index = (uint32_t) n;
			constraints[prewrite->n_constraints++].expected_for_update_ts =
				w->locked_fu;
		}
		actions[n] = w->action;
		mutations[n].op = w->op;
		mutations[n].key = key_of(txn, i);
		mutations[n++].value = w->value;
	}
	prewrite->mutations = mutations;
	prewrite->n_mutations = n;
	if (!txn->pessimistic)
		return n;
	prewrite->actions = actions;
	prewrite->n_actions = n;
	prewrite->constraints = constraints;
	return n;
}

static size_t
make_batches(const SimTxn *txn, uint64_t min_commit_ts, Batch batches[2])
{
	size_t n = 0;

	for (int region = 0; region < 2; region++)
	{
		TxnCommand command = {.kind = TXN_CMD_PREWRITE};
		PrewriteCommand *prewrite = &command.prewrite;

		if (fill_mutations(txn, region, prewrite) == 0)
			continue;
		prewrite->primary = key_of(txn, txn->primary);
		prewrite->start_ts = txn->start_ts;
		prewrite->lock_ttl_ms =
			sim->ttl_ms + (uint64_t) (sim->now / MS) - (txn->start_ts >> 18);
		prewrite->txn_size = (uint64_t) txn->n_writes;
		prewrite->for_update_ts = txn->for_update_ts;
		prewrite->min_commit_ts = min_commit_ts;
		prewrite->use_async_commit = txn->use_async;
		prewrite->max_commit_ts = txn->max_commit_ts;
		if (txn->use_async)
			fill_secondaries(txn, prewrite);
		batches[n].command = command;
		batches[n++].region = region;
	}
	for (size_t i = 0; i < n; i++)
		batches[i].command.prewrite.try_one_pc = txn->try_one_pc && n == 1;
	/* The primary's may be the later one. */
	if (n == 2 && sim_chance(0.5))
	{
		Batch other = batches[0];

		batches[0] = batches[1];
		batches[1] = other;
	}
	return n;
}

typedef enum PrewriteEnd
{
	PREWRITE_DONE,
	PREWRITE_FAILED,
	PREWRITE_UNKNOWN /* given up waiting */
} PrewriteEnd;

static bool
is_last_word(const TxnError *error)
{
	switch (error->kind)
	{
		case TXN_WRITE_CONFLICT:
		case TXN_ALREADY_EXIST:
		case TXN_PESSIMISTIC_LOCK_NOT_FOUND:
			return true;
		case TXN_KEY_IS_LOCKED:
		case TXN_MAX_TS_NOT_SYNCED:
			return false;
		default:
			sim_fail("prewrite answers error %d", (int) error->kind);
	}
}

static bool
has_checks(const SimTxn *txn)
{
	for (int i = 0; i < txn->n_writes; i++)
		if (txn->writes[i].op == MUTATION_CHECK_NOT_EXISTS)
			return true;
	return false;
}

/*
 * An earlier attempt, whose answer was lost, may still be carried out, and
 * decide: an error of a later one says nothing then.
 */
static bool
commits_by_itself(const TxnCommand *command)
{
	return command->prewrite.use_async_commit || command->prewrite.try_one_pc;
}

static PrewriteEnd
send_batch(Client *c, SimTxn *txn, Batch *batch, uint64_t *min_commit_ts,
		   uint64_t *one_pc_commit_ts)
{
	bool answer_lost = false;

	for (int tries = 0; tries < 40; tries++)
	{
		const TxnAnswer *answer;
		LockInfo *infos;
		size_t n;
		bool alive = false;
		ReplyKind reply =
			client_call(c, &batch->command, batch->region, tries > 0);

		if (reply != REPLY_ANSWER)
		{
			answer_lost = answer_lost || reply == REPLY_TIMEOUT;
			client_sleep(c, (int64_t) sim_rand(3 * MS));
			continue;
		}
		answer = c->answer;
		if (answer->n_errors == 0)
		{
			*min_commit_ts = answer->min_commit_ts;
			*one_pc_commit_ts = answer->one_pc_commit_ts;
			return PREWRITE_DONE;
		}
		n = answer->n_errors;
		infos = sim_alloc(n * sizeof(*infos));
		for (size_t i = 0; i < n; i++)
		{
			if (is_last_word(&answer->errors[i]))
			{
				sim_trace("prewrite of %" PRIu64 " meets error %d on %.*s",
						  txn->start_ts, (int) answer->errors[i].kind,
						  (int) answer->errors[i].key.len,
						  (const char *) answer->errors[i].key.data);
				return answer_lost && commits_by_itself(&batch->command) ?
					PREWRITE_UNKNOWN :
					PREWRITE_FAILED;
			}
			infos[i] = answer->errors[i].lock;
		}
		if (answer->errors[0].kind == TXN_KEY_IS_LOCKED)
			for (size_t i = 0; i < n; i++)
				alive =
					!resolve_lock(c, &infos[i], txn->start_ts, NULL) || alive;
		if (alive || answer->errors[0].kind != TXN_KEY_IS_LOCKED)
			client_sleep(c, (int64_t) sim_rand(8 * MS));
	}
	return PREWRITE_UNKNOWN;
}

/*
 * Later than everything that is acknowledged now, wherever the store takes
 * the commit_ts from; a transaction that does without is only causal.
 */
static uint64_t
least_commit_ts(const SimTxn *txn)
{
	uint64_t least = (txn->for_update_ts > txn->start_ts ? txn->for_update_ts :
														   txn->start_ts) +
		1;

	if ((!txn->use_async && !txn->try_one_pc) || txn->causal ||
		sim_mutation("no_linearizability_ts"))
		return least;
	return sim_tso() + 1;
}

void
commit_transaction(Client *c, SimTxn *txn)
{
	Batch batches[2];
	uint64_t least;
	uint64_t commit_ts = 0;
	bool is_async;
	size_t n;

	/* Who recovers it does not know of checks: as in client-go. */
	if (has_checks(txn))
		txn->use_async = false;
	is_async = txn->use_async;
	least = least_commit_ts(txn);
	txn->commit_floor = sim->acked;
	txn->prewriting = true;
	for (int i = 0; i < txn->n_writes; i++)
		sim_trace("%" PRIu64 " prewrites %s, op %d", txn->start_ts,
				  (const char *) key_of(txn, i).data, (int) txn->writes[i].op);
	n = make_batches(txn, least, batches);
	for (size_t i = 0; i < n; i++)
	{
		uint64_t min_commit_ts;
		uint64_t one_pc_commit_ts;

		switch (send_batch(c, txn, &batches[i], &min_commit_ts,
						   &one_pc_commit_ts))
		{
			case PREWRITE_FAILED:
				roll_back(c, txn);
				return;
			case PREWRITE_UNKNOWN:
				return;
			default:
				break;
		}
		if (one_pc_commit_ts != 0)
		{
			sim->n_one_pc++;
			commit_is_known(txn, one_pc_commit_ts);
			return;
		}
		if (min_commit_ts == 0)
			is_async = false;
		else if (min_commit_ts > commit_ts)
			commit_ts = min_commit_ts;
	}
	client_may_die(c);
	if (!is_async)
	{
		commit_primary(c, txn);
		if (txn->outcome == OUTCOME_COMMITTED)
			commit_rest(c, txn, true, txn->commit_ts);
		return;
	}
	sim->n_async++;
	commit_is_known(txn, commit_ts);
	commit_rest(c, txn, false, commit_ts);
}
