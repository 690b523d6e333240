/*
 * txn_write.c
 *	  Writes and locks of the session's transaction, and reads through its
 *	  buffer.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "bus/sql_txns.h"
#include "guc.h"
#include "sqlapi/txn_internal.h"

/* ------------------------------------------------------------------- locks */

/* If the answer does not come, the lock may be there all the same. */
static void
note_strays(TxnSession *session, const Mutation *mutations, size_t n)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	int wanted = session->n_stray + (int) n;

	if (wanted > session->stray_room)
	{
		int room = Max(wanted, session->stray_room * 2);

		session->stray = session->stray == NULL ?
			MemoryContextAllocHuge(session->context, room * sizeof(Bytes)) :
			repalloc_huge(session->stray, room * sizeof(Bytes));
		session->stray_room = room;
	}
	for (size_t i = 0; i < n; i++)
	{
		Bytes key = mutations[i].key;
		uint8 *copy = palloc(key.len + 1);

		memcpy(copy, key.data, key.len);
		session->stray[session->n_stray++] = bytes_make(copy, key.len);
	}
	MemoryContextSwitchTo(old);
}

static void
forget_strays(TxnSession *session, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pfree(unconstify(uint8 *, session->stray[--session->n_stray].data));
}

/* The first one is the primary: its lock is the transaction's life. */
static void
keep_primary(TxnSession *session, Bytes primary)
{
	BufferEntry *entry;

	if (session->primary.len > 0)
		return;
	entry = membuffer_find(session->buffer, primary);
	session->primary = entry->key;
	sql_txn_set_primary(session->primary);
}

static uint64
lock_ttl(const TxnSession *session, uint64 for_update_ts)
{
	/* It counts from the start of the transaction. */
	return txn_physical(for_update_ts) - txn_physical(session->start_ts) +
		SQL_TXN_TTL_MS;
}

static void
take_locks(TxnSession *session, const PessimisticLockCommand *command)
{
	for (size_t i = 0; i < command->n_mutations; i++)
	{
		BufferEntry *entry =
			membuffer_find(session->buffer, command->mutations[i].key);

		if (entry == NULL || !entry->locked)
			session->n_locks++;
		(void) membuffer_locked(session->buffer, command->mutations[i].key,
								command->for_update_ts);
	}
	session->for_update_ts =
		Max(session->for_update_ts, command->for_update_ts);
	keep_primary(session, command->primary);
	txn_note_progress(session);
}

/*
 * Lock keys that are not locked yet; answers come in locker->result.  An
 * existing key is an error where a mutation says NOT_EXIST: false, with the
 * error in *locker, if the caller can do without the key.
 */
static void
lock_keys(TxnSession *session, Mutation *mutations, size_t n,
		  bool return_values, Locker *locker)
{
	PessimisticLockCommand command = {0};

	command.mutations = mutations;
	command.n_mutations = n;
	command.primary =
		session->primary.len > 0 ? session->primary : mutations[0].key;
	command.start_ts = session->start_ts;
	command.for_update_ts =
		Max(txn_statement_ts(session), session->for_update_ts);
	if (session->repeatable_read)
		command.for_update_ts = session->start_ts;
	command.lock_ttl_ms = lock_ttl(session, command.for_update_ts);
	command.is_first_lock = session->n_locks == 0;
	command.return_values = return_values;
	command.check_existence = return_values;
	command.min_commit_ts = command.for_update_ts + 1;
	note_strays(session, mutations, n);
	txn_lock_acquire(session, &command, !session->repeatable_read, locker);
	take_locks(session, &command);
	forget_strays(session, n);
}

static int
cmp_mutation(const void *a, const void *b)
{
	return bytes_cmp(((const Mutation *) a)->key, ((const Mutation *) b)->key);
}

static bool
is_locked(const TxnSession *session, Bytes key)
{
	const BufferEntry *entry = membuffer_find(session->buffer, key);

	return entry != NULL && entry->locked;
}

/* Those of the keys that are not locked, in order, each once. */
static Mutation *
unlocked(TxnSession *session, const Bytes *keys, int n, Assertion assertion,
		 size_t *n_out)
{
	Mutation *out = arena_zalloc(&session->arena, (size_t) n * sizeof(*out));
	size_t found = 0;
	size_t kept = 0;

	for (int i = 0; i < n; i++)
	{
		if (is_locked(session, keys[i]))
			continue;
		out[found].op = MUTATION_PESSIMISTIC_LOCK;
		out[found].key = keys[i];
		out[found++].assertion = assertion;
	}
	qsort(out, found, sizeof(*out), cmp_mutation);
	for (size_t i = 0; i < found; i++)
		if (kept == 0 || !bytes_eq(out[kept - 1].key, out[i].key))
			out[kept++] = out[i];
	*n_out = kept;
	return out;
}

/* Before a write: the key is ours, or the commit will see. */
static void
lock_for_write(TxnSession *session, const Bytes *keys, int n)
{
	Mutation *mutations;
	Locker locker;
	size_t n_mutations;

	if (!session->pessimistic)
		return;
	mutations = unlocked(session, keys, n, ASSERTION_NONE, &n_mutations);
	if (n_mutations > 0)
		lock_keys(session, mutations, n_mutations, false, &locker);
}

/* ------------------------------------------------------------------- reads */

/* True if the buffer knows the answer. */
static bool
get_buffered(const TxnSession *session, Bytes key, TxnValue *value)
{
	const BufferEntry *entry = membuffer_find(session->buffer, key);

	if (entry == NULL || entry->op == BUFFER_NONE)
		return false;
	value->found = entry->op == BUFFER_PUT;
	if (value->found)
		value->value = bytes_copy(entry->value);
	return true;
}

/* A locked key is seen as of its lock: nobody has changed it since. */
static uint64
ts_of_key(TxnSession *session, Bytes key, uint64 ts)
{
	const BufferEntry *entry = membuffer_find(session->buffer, key);

	if (entry != NULL && entry->locked && !session->repeatable_read)
		return Max(ts, entry->locked_at);
	return ts;
}

void
txn_batch_get(TxnSession *session, const Bytes *keys, int n, TxnValue *values)
{
	Bytes *missing;
	int *place;
	TxnValue *read;
	uint64 ts;
	int n_missing = 0;

	txn_begin_call(session);
	memset(values, 0, n * sizeof(*values));
	ts = txn_statement_ts(session);
	missing = arena_alloc(&session->arena, (size_t) n * sizeof(*missing));
	place = arena_alloc(&session->arena, (size_t) n * sizeof(*place));
	for (int i = 0; i < n; i++)
	{
		uint64 own;

		txn_check_key(keys[i]);
		if (get_buffered(session, keys[i], &values[i]))
			continue;
		own = ts_of_key(session, keys[i], ts);
		if (own != ts)
		{
			txn_read_keys(session, &keys[i], 1, own, &values[i]);
			continue;
		}
		missing[n_missing] = keys[i];
		place[n_missing++] = i;
	}
	if (n_missing == 0)
		return;
	read = arena_zalloc(&session->arena, (size_t) n_missing * sizeof(*read));
	txn_read_keys(session, missing, n_missing, ts, read);
	for (int i = 0; i < n_missing; i++)
		values[place[i]] = read[i];
}

bool
txn_get(TxnSession *session, Bytes key, Bytes *value)
{
	TxnValue got;

	txn_batch_get(session, &key, 1, &got);
	if (got.found)
		*value = got.value;
	return got.found;
}

/* ------------------------------------------------------------------ writes */

static void
check_room(const TxnSession *session)
{
	if (membuffer_bytes(session->buffer) / 1024 >
		(size_t) tikv_fdw_settings.txn_memory_kb)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the transaction writes too much"),
				 errdetail("tikv.txn_memory is %d kB.",
						   tikv_fdw_settings.txn_memory_kb),
				 errhint("Write less in one transaction, or raise it.")));
}

static void
check_keys(const Bytes *keys, int n)
{
	for (int i = 0; i < n; i++)
	{
		txn_check_key(keys[i]);
		if (keys[i].len == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the empty key cannot be written")));
	}
}

static void
begin_write(TxnSession *session, const Bytes *keys, int n)
{
	txn_begin_call(session);
	check_keys(keys, n);
	check_room(session);
}

void
txn_put_many(TxnSession *session, const Bytes *keys, const Bytes *values, int n)
{
	begin_write(session, keys, n);
	lock_for_write(session, keys, n);
	txn_open_stages(session);
	for (int i = 0; i < n; i++)
		(void) membuffer_put(session->buffer, keys[i], values[i], false);
	check_room(session);
	txn_note_progress(session);
}

void
txn_put(TxnSession *session, Bytes key, Bytes value)
{
	txn_put_many(session, &key, &value, 1);
}

void
txn_delete_many(TxnSession *session, const Bytes *keys, int n)
{
	begin_write(session, keys, n);
	lock_for_write(session, keys, n);
	txn_open_stages(session);
	for (int i = 0; i < n; i++)
		(void) membuffer_delete(session->buffer, keys[i]);
	txn_note_progress(session);
}

void
txn_delete(TxnSession *session, Bytes key)
{
	txn_delete_many(session, &key, 1);
}

/* ------------------------------------------------------------------ inserts */

/*
 * Pessimistic: lock and look in one step, so that the answer holds until the
 * end.  Optimistic: what the snapshot shows; the commit makes sure.
 */
static void
look_for(TxnSession *session, const Bytes *keys, int n, TxnValue *values)
{
	if (session->pessimistic)
		txn_lock_many(session, keys, n, values);
	else
		txn_batch_get(session, keys, n, values);
}

void
txn_insert_many(TxnSession *session, const Bytes *keys, const Bytes *values,
				int n, bool *inserted)
{
	TxnValue *old = palloc0(n * sizeof(TxnValue));

	begin_write(session, keys, n);
	look_for(session, keys, n, old);
	txn_open_stages(session);
	for (int i = 0; i < n; i++)
	{
		const BufferEntry *entry = membuffer_find(session->buffer, keys[i]);
		bool exists = old[i].found;

		/* An earlier one of the same list counts. */
		if (entry != NULL && entry->op != BUFFER_NONE)
			exists = entry->op == BUFFER_PUT;
		if (exists && inserted == NULL)
			txn_report_exists(keys[i]);
		if (inserted != NULL)
			inserted[i] = !exists;
		if (!exists)
			(void) membuffer_put(session->buffer, keys[i], values[i],
								 entry == NULL || entry->op == BUFFER_NONE);
	}
	check_room(session);
	txn_note_progress(session);
	pfree(old);
}

void
txn_insert(TxnSession *session, Bytes key, Bytes value)
{
	txn_insert_many(session, &key, &value, 1, NULL);
}

/* --------------------------------------------------------------------- lock */

/* What the locks' answers say, by key. */
static void
take_values(const Mutation *mutations, size_t n, const TxnAnswer *answer,
			const Bytes *keys, int n_keys, bool *known, TxnValue *values)
{
	for (int i = 0; i < n_keys; i++)
	{
		Mutation wanted = {.key = keys[i]};
		const Mutation *found =
			bsearch(&wanted, mutations, n, sizeof(*mutations), cmp_mutation);
		const PessimisticLockResult *result;

		if (found == NULL)
			continue;
		result = &answer->results[found - mutations];
		known[i] = true;
		values[i].found = result->exists;
		if (result->exists)
			values[i].value = bytes_copy(result->value);
	}
}

static void
lock_pessimistic(TxnSession *session, const Bytes *keys, int n,
				 TxnValue *values)
{
	bool *known = palloc0(n * sizeof(bool));
	size_t n_mutations;
	Mutation *mutations =
		unlocked(session, keys, n, ASSERTION_NONE, &n_mutations);
	Locker locker;

	if (n_mutations > 0)
		lock_keys(session, mutations, n_mutations, values != NULL, &locker);
	if (values != NULL && n_mutations > 0)
		take_values(mutations, n_mutations, &locker.result.answer, keys, n,
					known, values);
	for (int i = 0; values != NULL && i < n; i++)
	{
		TxnValue own = {0};

		if (get_buffered(session, keys[i], &own))
			values[i] = own;
		else if (!known[i])
			txn_read_keys(session, &keys[i], 1,
						  ts_of_key(session, keys[i],
									txn_statement_ts(session)),
						  &values[i]);
	}
	pfree(known);
}

void
txn_lock_many(TxnSession *session, const Bytes *keys, int n, TxnValue *values)
{
	begin_write(session, keys, n);
	if (values != NULL)
		memset(values, 0, n * sizeof(*values));
	if (session->pessimistic)
	{
		lock_pessimistic(session, keys, n, values);
		return;
	}
	txn_open_stages(session);
	for (int i = 0; i < n; i++)
		(void) membuffer_want_lock(session->buffer, keys[i]);
	txn_note_progress(session);
	if (values != NULL)
		txn_batch_get(session, keys, n, values);
}

void
txn_lock_now(TxnSession *session, const Bytes *keys, int n, TxnValue *values)
{
	session->no_wait = true;
	PG_TRY();
	{
		txn_lock_many(session, keys, n, values);
	}
	PG_FINALLY();
	{
		session->no_wait = false;
	}
	PG_END_TRY();
}

bool
txn_lock(TxnSession *session, Bytes key, Bytes *value)
{
	TxnValue got;

	txn_lock_many(session, &key, 1, &got);
	if (got.found)
		*value = got.value;
	return got.found;
}
