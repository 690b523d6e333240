/*
 * model.c
 *	  What must be true of all that happened.
 *
 * The log of commit records, as they became visible, is the truth: collectors
 * do not take from it.  Everything else is compared with it.
 */
#include "sim.h"

void
model_commit(Bytes key, uint64_t commit_ts, const WriteRecord *write)
{
	int index = key_index(key);
	Version *v;

	/* A record that was collected may be committed once more: no news. */
	for (size_t i = 0; i < sim->n_versions; i++)
		if (sim->versions[i].key == index &&
			sim->versions[i].start_ts == write->start_ts)
		{
			if (sim->versions[i].commit_ts != commit_ts)
				sim_fail("%" PRIu64 " committed %s at %" PRIu64
						 " and at %" PRIu64,
						 write->start_ts, (const char *) sim->keys[index].data,
						 sim->versions[i].commit_ts, commit_ts);
			return;
		}
	if (commit_ts <= sim->safe_point)
		sim_fail("%" PRIu64 " commits at %" PRIu64
				 ", not above the safe point %" PRIu64,
				 write->start_ts, commit_ts, sim->safe_point);
	SIM_GROW(sim->versions, sim->n_versions, sim->versions_room);
	v = &sim->versions[sim->n_versions++];
	v->key = index;
	v->start_ts = write->start_ts;
	v->commit_ts = commit_ts;
	v->type = write->type;
	sim_trace("%s: %c of %" PRIu64 " committed at %" PRIu64,
			  (const char *) key.data, write->type, write->start_ts, commit_ts);
}

SimTxn *
model_txn(uint64_t start_ts)
{
	SimTxn *txn = sim_alloc(sizeof(*txn));

	txn->start_ts = start_ts;
	txn->active = true;
	txn->begun_us = sim->now;
	SIM_GROW(sim->txns, sim->n_txns, sim->txns_room);
	sim->txns[sim->n_txns++] = txn;
	if (start_ts < sim->acked)
		sim_fail("%" PRIu64 " begins below %" PRIu64
				 ", which is committed already",
				 start_ts, sim->acked);
	return txn;
}

void
model_read(int key, uint64_t ts, uint64_t writer, uint64_t floor)
{
	SimRead *read;

	SIM_GROW(sim->reads, sim->n_reads, sim->reads_room);
	read = &sim->reads[sim->n_reads++];
	read->key = key;
	read->ts = ts;
	read->writer = writer;
	read->floor = floor;
}

/* ------------------------------------------------------------- the checks */

static bool
is_change(const Version *v)
{
	return v->type == WRITE_TYPE_PUT || v->type == WRITE_TYPE_DELETE;
}

/* The newest change of a key at or below ts; NULL if there is none. */
static const Version *
version_at(int key, uint64_t ts)
{
	const Version *best = NULL;

	for (size_t i = 0; i < sim->n_versions; i++)
	{
		const Version *v = &sim->versions[i];

		if (v->key == key && v->commit_ts <= ts && is_change(v) &&
			(best == NULL || v->commit_ts > best->commit_ts))
			best = v;
	}
	return best;
}

static uint64_t
writer_of(const Version *v)
{
	return v == NULL || v->type == WRITE_TYPE_DELETE ? 0 : v->start_ts;
}

static const Version *
version_of(int key, uint64_t start_ts)
{
	for (size_t i = 0; i < sim->n_versions; i++)
		if (sim->versions[i].key == key &&
			sim->versions[i].start_ts == start_ts)
			return &sim->versions[i];
	return NULL;
}

/* Snapshot isolation: a read at T sees exactly what committed at or below T */
static void
check_read(const SimRead *read)
{
	const Version *v;

	if (read->ts != UINT64_MAX)
	{
		v = version_at(read->key, read->ts);
		if (writer_of(v) != read->writer)
			sim_fail("a read of %s at %" PRIu64 " saw the value of %" PRIu64
					 " instead of that of %" PRIu64 " (committed at %" PRIu64
					 ")",
					 (const char *) sim->keys[read->key].data, read->ts,
					 read->writer, writer_of(v), v == NULL ? 0 : v->commit_ts);
		return;
	}
	/* At MAX: something that was acknowledged before, or newer. */
	if (read->writer == 0)
		return;
	v = version_of(read->key, read->writer);
	if (v == NULL)
		sim_fail("a read of %s saw the value of %" PRIu64
				 ", which never committed",
				 (const char *) sim->keys[read->key].data, read->writer);
	if (v->commit_ts < read->floor)
		sim_fail("a read of %s saw the version of %" PRIu64
				 " though that of %" PRIu64 " had been acknowledged",
				 (const char *) sim->keys[read->key].data, v->commit_ts,
				 read->floor);
}

/* All keys of a transaction commit at one timestamp, or none does. */
static uint64_t
check_atomic(const SimTxn *txn)
{
	uint64_t commit_ts = 0;
	int n_committed = 0;
	int n = 0;

	for (int i = 0; i < txn->n_writes; i++)
	{
		const Version *v = version_of(txn->writes[i].key, txn->start_ts);

		if (txn->writes[i].op == MUTATION_CHECK_NOT_EXISTS)
			continue;
		n++;
		if (v == NULL)
			continue;
		if (n_committed++ > 0 && v->commit_ts != commit_ts)
			sim_fail("%" PRIu64 " committed at %" PRIu64 " and at %" PRIu64,
					 txn->start_ts, commit_ts, v->commit_ts);
		commit_ts = v->commit_ts;
	}
	if (n_committed != 0 && n_committed != n)
		sim_fail("%" PRIu64 " committed %d of its %d keys", txn->start_ts,
				 n_committed, n);
	return commit_ts;
}

static void
check_outcome(const SimTxn *txn, uint64_t commit_ts)
{
	if (txn->outcome == OUTCOME_COMMITTED && commit_ts != txn->commit_ts)
		sim_fail("%" PRIu64 " was acknowledged as committed at %" PRIu64
				 " and is so at %" PRIu64 " (0: not at all)",
				 txn->start_ts, txn->commit_ts, commit_ts);
	if (txn->outcome == OUTCOME_FAILED && commit_ts != 0)
		sim_fail("%" PRIu64 " was told to have failed and is committed "
				 "at %" PRIu64,
				 txn->start_ts, commit_ts);
	/*
	 * External consistency: not before anything that ended before it began.
	 * At the same timestamp nobody can see the one without the other.
	 */
	if (commit_ts != 0 && !txn->causal && commit_ts < txn->commit_floor)
		sim_fail("%" PRIu64 " committed at %" PRIu64 " though %" PRIu64
				 " was acknowledged before its commit began",
				 txn->start_ts, commit_ts, txn->commit_floor);
}

/* No update is lost: what a write was made from is what lies below it. */
static void
check_writes(const SimTxn *txn, uint64_t commit_ts)
{
	for (int i = 0; i < txn->n_writes && commit_ts != 0; i++)
	{
		const SimWrite *w = &txn->writes[i];
		const Version *below = version_at(w->key, commit_ts - 1);
		const char *name = (const char *) sim->keys[w->key].data;

		if (w->is_rmw && writer_of(below) != w->based_on)
			sim_fail("%" PRIu64 " wrote %s on the value of %" PRIu64
					 ", but below it lies that of %" PRIu64,
					 txn->start_ts, name, w->based_on, writer_of(below));
		if (w->op == MUTATION_INSERT && writer_of(below) != 0)
			sim_fail("%" PRIu64 " inserted %s, which %" PRIu64 " had put",
					 txn->start_ts, name, writer_of(below));
		if (w->op == MUTATION_CHECK_NOT_EXISTS &&
			writer_of(version_at(w->key, txn->start_ts)) != 0)
			sim_fail("%" PRIu64 " was told that %s does not exist",
					 txn->start_ts, name);
		if (!txn->pessimistic && below != NULL &&
			w->op != MUTATION_CHECK_NOT_EXISTS &&
			below->commit_ts > txn->start_ts)
			sim_fail("%" PRIu64 " committed %s at %" PRIu64
					 " in spite of a conflict at %" PRIu64,
					 txn->start_ts, name, commit_ts, below->commit_ts);
	}
}

static Bytes
value_of(const MvccMemory *m, int key, uint64_t *writer)
{
	static Arena arena;
	MvccReader *reader = (MvccReader *) (uintptr_t) &m->reader;
	ReadContext context = {.ts = UINT64_MAX, .isolation = ISOLATION_RC};
	ReadResult result;
	Found found = {0};

	arena_reset(&arena);
	mvcc_get(reader, &context, sim->keys[key], NULL, &arena, &result);
	if (result.outcome == READ_FOUND)
		value_parse(result.value, &found);
	*writer = found.writer;
	return found.exists ? found.list : bytes_empty();
}

/* The list holds every append that committed, in order, and no other. */
static void
check_list(int key)
{
	uint64_t writer;
	Bytes list = value_of(&sim->visible, key, &writer);
	uint64_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < list.len / 8; i++)
	{
		uint64_t start_ts;
		const Version *v;

		memcpy(&start_ts, list.data + i * 8, 8);
		v = version_of(key, start_ts);
		if (v == NULL)
			sim_fail("%s holds %" PRIu64 ", which never committed",
					 (const char *) sim->keys[key].data, start_ts);
		if (v->commit_ts <= last)
			sim_fail("%s is out of order at %" PRIu64,
					 (const char *) sim->keys[key].data, start_ts);
		last = v->commit_ts;
	}
	for (size_t i = 0; i < sim->n_versions; i++)
		n += sim->versions[i].key == key &&
			sim->versions[i].type == WRITE_TYPE_PUT;
	if (n != list.len / 8)
		sim_fail("%s holds %zu of %zu appends",
				 (const char *) sim->keys[key].data, list.len / 8, n);
}

/* Every version of an account has its index entry, of the same writer. */
static void
check_bank(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < SIM_ACCOUNTS; i++)
	{
		MvccReader *reader = &sim->visible.reader;
		ReadContext context = {.ts = UINT64_MAX, .isolation = ISOLATION_RC};
		ReadResult result;
		Found account = {0};
		Found index = {0};

		mvcc_get(reader, &context, sim->keys[i], NULL, &sim->arena, &result);
		if (result.outcome == READ_FOUND)
			value_parse(result.value, &account);
		mvcc_get(reader, &context, sim->keys[SIM_INDEX + i], NULL, &sim->arena,
				 &result);
		if (result.outcome == READ_FOUND)
			value_parse(result.value, &index);
		if (account.writer != index.writer)
			sim_fail("account %d is of %" PRIu64 ", its index of %" PRIu64, i,
					 account.writer, index.writer);
		sum += account.exists ? account.number : SIM_BALANCE;
	}
	if (sum != SIM_ACCOUNTS * SIM_BALANCE)
		sim_fail("the accounts hold %" PRIu64 " instead of %d", sum,
				 SIM_ACCOUNTS * SIM_BALANCE);
}

void
model_check(void)
{
	if (sim->work.n_guards > 0)
		sim_fail("guards are left");
	for (size_t i = 0; i < sim->visible.n_rows; i++)
		if (sim->visible.rows[i].cf == TXN_CF_LOCK)
			sim_fail("a lock on %.*s is left",
					 (int) sim->visible.rows[i].key.len,
					 (const char *) sim->visible.rows[i].key.data);
	for (size_t i = 0; i < sim->n_txns; i++)
	{
		uint64_t commit_ts = check_atomic(sim->txns[i]);

		check_outcome(sim->txns[i], commit_ts);
		check_writes(sim->txns[i], commit_ts);
		sim->n_committed += commit_ts != 0;
		sim->n_failed += sim->txns[i]->outcome == OUTCOME_FAILED;
		sim->n_unknown += sim->txns[i]->outcome == OUTCOME_UNKNOWN;
	}
	for (size_t i = 0; i < sim->n_reads; i++)
		check_read(&sim->reads[i]);
	check_list(SIM_LISTS);
	check_list(SIM_LISTS + 1);
	check_bank();
}
