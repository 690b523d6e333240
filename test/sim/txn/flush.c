/*
 * flush.c
 *	  Pipelined transactions: locks are flushed in generations while the
 *	  transaction goes on, the primary commits, and the rest is resolved over
 *	  whole regions (tikv/client-go txnkv/transaction/pipelined_flush.go).
 */
#include "core/txn/buffered_get.h"
#include "sim.h"

#define MAX_GENERATIONS 3

static void
plan_keys(SimTxn *txn)
{
	int first = (int) sim_rand(4);
	int n = 2 + (int) sim_rand(3);

	for (int i = 0; i < n; i++)
	{
		SimWrite *w = &txn->writes[txn->n_writes++];

		w->key = SIM_BLIND + (first + i) % 4;
		w->op = MUTATION_PUT;
	}
}

/* What the next generation changes of a region; 0: nothing. */
static size_t
fill_flush(SimTxn *txn, int region, uint64_t generation,
		   PrewriteCommand *prewrite)
{
	Mutation *mutations = sim_alloc(SIM_MAX_WRITES * sizeof(Mutation));
	size_t n = 0;

	for (int i = 0; i < txn->n_writes; i++)
	{
		SimWrite *w = &txn->writes[i];
		Bytes key = sim->keys[w->key];

		/* All in the first one, and then again what changed. */
		if (region_of(key) != region || (generation > 1 && sim_chance(0.5)))
			continue;
		w->op = sim_chance(0.2) ? MUTATION_DELETE : MUTATION_PUT;
		w->number = generation;
		w->value = w->op == MUTATION_DELETE ?
			bytes_empty() :
			value_make(txn->start_ts, generation, bytes_empty());
		mutations[n].op = w->op;
		mutations[n].key = key;
		mutations[n++].value = w->value;
	}
	prewrite->mutations = mutations;
	prewrite->n_mutations = n;
	prewrite->primary = sim->keys[txn->writes[0].key];
	prewrite->start_ts = txn->start_ts;
	prewrite->lock_ttl_ms =
		sim->ttl_ms + (uint64_t) (sim->now / MS) - (txn->start_ts >> 18);
	prewrite->generation = generation;
	return n;
}

/* False if the transaction fails. */
static bool
flush(Client *c, SimTxn *txn, const TxnCommand *command, int region)
{
	for (int tries = 0; tries < 30; tries++)
	{
		LockInfo *infos;
		size_t n;
		bool alive = false;

		if (client_call(c, command, region, tries > 0) != REPLY_ANSWER)
		{
			client_sleep(c, (int64_t) sim_rand(3 * MS));
			continue;
		}
		n = c->answer->n_errors;
		if (n == 0)
			return true;
		infos = sim_alloc(n * sizeof(*infos));
		for (size_t i = 0; i < n; i++)
		{
			if (c->answer->errors[i].kind == TXN_WRITE_CONFLICT)
				return false;
			if (c->answer->errors[i].kind != TXN_KEY_IS_LOCKED)
				sim_fail("flush answers error %d",
						 (int) c->answer->errors[i].kind);
			infos[i] = c->answer->errors[i].lock;
		}
		for (size_t i = 0; i < n; i++)
			alive = !resolve_lock(c, &infos[i], txn->start_ts, NULL) || alive;
		if (alive)
			client_sleep(c, (int64_t) sim_rand(8 * MS));
	}
	return false;
}

/*
 * The transaction reads what it has flushed.  Others may have rolled it back
 * meanwhile, but they cannot have brought back an earlier generation.
 */
static void
read_own(const SimTxn *txn)
{
	Bytes keys[SIM_MAX_WRITES];
	BufferedPair pairs[SIM_MAX_WRITES];
	size_t n;

	for (int i = 0; i < txn->n_writes; i++)
		keys[i] = sim->keys[txn->writes[i].key];
	n = txn_buffer_batch_get(&sim->visible.reader, keys, (size_t) txn->n_writes,
							 txn->start_ts, SIZE_MAX, &sim->arena, pairs);
	for (size_t p = 0; p < n; p++)
		for (int i = 0; i < txn->n_writes; i++)
		{
			const SimWrite *w = &txn->writes[i];
			Found found = {0};

			if (!bytes_eq(pairs[p].key, sim->keys[w->key]))
				continue;
			if (pairs[p].value.len > 0)
				value_parse(pairs[p].value, &found);
			if (found.exists != (w->op == MUTATION_PUT) ||
				(found.exists &&
				 (found.writer != txn->start_ts || found.number != w->number)))
				sim_fail("%" PRIu64 " flushed %s and reads something else",
						 txn->start_ts, (const char *) sim->keys[w->key].data);
		}
}

static bool
flush_all(Client *c, SimTxn *txn)
{
	uint64_t n = 1 + sim_rand(MAX_GENERATIONS);
	int first = region_of(sim->keys[txn->writes[0].key]);

	for (uint64_t generation = 1; generation <= n; generation++)
	{
		for (int r = 0; r < 2; r++)
		{
			int region = r == 0 ? first : 1 - first;
			TxnCommand command = {.kind = TXN_CMD_FLUSH};

			if (fill_flush(txn, region, generation, &command.prewrite) > 0 &&
				!flush(c, txn, &command, region))
				return false;
		}
		read_own(txn);
		client_sleep(c, (int64_t) sim_rand(10 * MS));
	}
	return true;
}

void
run_pipelined(Client *c, SimTxn *txn)
{
	txn->pessimistic = txn->use_async = txn->try_one_pc = txn->causal = false;
	plan_keys(txn);
	txn->commit_floor = sim->acked;
	txn->prewriting = true;
	if (!flush_all(c, txn))
	{
		roll_back(c, txn);
		return;
	}
	txn->commit_floor = sim->acked;
	commit_primary(c, txn);
	sim->n_pipelined += txn->outcome == OUTCOME_COMMITTED;
	if (txn->outcome == OUTCOME_COMMITTED && sim_chance(0.8))
		resolve_regions(c, txn);
}
