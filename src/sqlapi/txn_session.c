/*
 * txn_session.c
 *	  The key-value transaction of the current SQL transaction: its beginning,
 *	  its timestamps, its savepoints and its end.
 *
 * Where this node alone has the keys, keys and tables are one commit of
 * Postgres (txn_atomic.c).  Elsewhere
 * the commit comes at pre-commit, while the SQL transaction can still fail:
 * prewrite and commit of the primary.  An error up to there rolls both back.
 * Afterwards only Postgres itself can fail (its disk, a serialization check):
 * then keys are committed and tables are not.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "bus/sql_txns.h"
#include "guc.h"
#include "sqlapi/txn_internal.h"

/*
 * How long an abort or a finished commit waits for the store; and where it did
 * not answer just before.
 */
#define CLEANUP_MS 2000
#define CLEANUP_SILENT_MS 200

static TxnSession *current;
static ClientIo client_io;

/* ------------------------------------------------------------------- keys */

static uint8 *
with_prefix(Bytes key, size_t *len)
{
	uint32 keyspace = (uint32) tikv_fdw_settings.keyspace_id;
	uint8 *stored = palloc(API_KEYSPACE_PREFIX + key.len);

	stored[0] = 'x';
	stored[1] = (uint8) (keyspace >> 16);
	stored[2] = (uint8) (keyspace >> 8);
	stored[3] = (uint8) keyspace;
	if (key.len > 0)
		memcpy(stored + API_KEYSPACE_PREFIX, key.data, key.len);
	*len = API_KEYSPACE_PREFIX + key.len;
	return stored;
}

Bytes
txn_stored_key(Bytes key)
{
	size_t len;
	uint8 *stored;

	if (sql_api() != API_V2)
		return key;
	stored = with_prefix(key, &len);
	return bytes_make(stored, len);
}

/* The first key behind the keyspace: its prefix plus one. */
Bytes
txn_stored_end(Bytes end)
{
	size_t len;
	uint8 *stored;

	if (sql_api() != API_V2 || end.len > 0)
		return txn_stored_key(end);
	stored = with_prefix(end, &len);
	for (int i = API_KEYSPACE_PREFIX - 1; i >= 0; i--)
		if (++stored[i] != 0)
			return bytes_make(stored, (size_t) i + 1);
	return bytes_empty();
}

Bytes
txn_user_key(Bytes stored)
{
	return sql_user_key(stored);
}

/* The store measures a key as it encodes it. */
void
txn_check_key(Bytes key)
{
	size_t len = (key.len / 8 + 1) * 9;

	if (len > (size_t) tikv_fdw_settings.max_key_size)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("key is too long"),
			 errdetail(
				 "It has %zu bytes, %zu in its encoded form; tikv.max_key_size is %d.",
				 txn_user_key(key).len, len, tikv_fdw_settings.max_key_size)));
}

/* -------------------------------------------------------------- timestamps */

uint64
txn_start_ts(const TxnSession *session)
{
	return session->start_ts;
}

/*
 * A statement is known by the command id of its snapshot, which grows from one
 * to the next once it counts as used.  The outer one of nested statements, and
 * an open cursor, keep theirs.
 */
static CommandId
statement_id(void)
{
	CommandId id = ActiveSnapshotSet() ? GetActiveSnapshot()->curcid :
										 GetCurrentCommandId(false);

	(void) GetCurrentCommandId(true);
	return id;
}

static StatementTs *
remember_statement(TxnSession *session, CommandId id, uint64 ts)
{
	StatementTs *statement;

	if (session->n_statements == STATEMENTS_KEPT)
	{
		memmove(session->statements, session->statements + 1,
				(STATEMENTS_KEPT - 1) * sizeof(StatementTs));
		session->n_statements--;
	}
	statement = &session->statements[session->n_statements++];
	statement->command = id;
	statement->ts = ts;
	return statement;
}

static StatementTs *
find_statement(TxnSession *session)
{
	CommandId id = statement_id();

	for (int i = session->n_statements - 1; i >= 0; i--)
		if (session->statements[i].command == id)
			return &session->statements[i];
	return remember_statement(session, id,
							  session->n_statements == 0 ?
								  session->start_ts :
								  txn_timestamp(session));
}

uint64
txn_statement_ts(TxnSession *session)
{
	if (session->repeatable_read)
		return session->start_ts;
	return find_statement(session)->ts;
}

uint64
txn_advance_statement(TxnSession *session)
{
	StatementTs *statement = find_statement(session);

	statement->ts = txn_timestamp(session);
	return statement->ts;
}

uint64
txn_read_ts(TxnSession *session)
{
	txn_begin_call(session);
	return txn_statement_ts(session);
}

/* --------------------------------------------------------------- savepoints */

void
txn_open_stages(TxnSession *session)
{
	int wanted = GetCurrentTransactionNestLevel() - 1;

	while (membuffer_depth(session->buffer) < wanted)
		(void) membuffer_stage(session->buffer);
}

static void
on_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel() - 1;

	(void) mine;
	(void) parent;
	(void) arg;
	if (current == NULL ||
		(event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	if (membuffer_depth(current->buffer) < level)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		membuffer_keep(current->buffer);
	else
		membuffer_undo(current->buffer);
}

/* --------------------------------------------------------------------- end */

static void
free_session(void)
{
	TxnSession *session = current;

	current = NULL;
	txn_io_use(NULL);
	sql_txn_end();
	membuffer_free(session->buffer);
	arena_free(&session->arena);
	client_free(&session->client);
	MemoryContextDelete(session->context);
}

/* The session waits no longer than this for what need not be. */
static void
short_patience(TxnSession *session)
{
	int ms = session->progressed ? CLEANUP_MS : CLEANUP_SILENT_MS;

	session->patience.end_us = board_now_us() + ms * INT64CONST(1000);
}

/* Undo the session's pessimistic locks of these keys. */
static void
roll_back(TxnSession *session, Bytes *keys, size_t n)
{
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_ROLLBACK};
	ClientResult result;
	Backoff backoff;

	if (n == 0)
		return;
	command.pessimistic_rollback.keys = keys;
	command.pessimistic_rollback.n_keys = n;
	command.pessimistic_rollback.start_ts = session->start_ts;
	command.pessimistic_rollback.for_update_ts = PG_UINT64_MAX;
	backoff_init(&backoff, CLEANUP_MS, session->client.random++);
	client_run(&session->client, &command, &backoff, &session->arena, &result);
}

static void
undo_locks(TxnSession *session)
{
	size_t room = membuffer_n(session->buffer) + (size_t) session->n_stray;
	Bytes *keys = arena_alloc(&session->arena, room * sizeof(Bytes));
	size_t n = 0;

	for (const BufferEntry *entry =
			 membuffer_from(session->buffer, bytes_empty());
		 entry != NULL; entry = membuffer_next(entry))
		if (entry->locked)
			keys[n++] = entry->key;
	for (int i = 0; i < session->n_stray; i++)
		keys[n++] = session->stray[i];
	roll_back(session, keys, n);
}

/* Of those that were asked for and never came, the commit knows nothing. */
static void
drop_strays(TxnSession *session)
{
	Bytes *keys =
		arena_alloc(&session->arena, (size_t) session->n_stray * sizeof(Bytes));
	size_t n = 0;

	for (int i = 0; i < session->n_stray; i++)
	{
		const BufferEntry *entry =
			membuffer_find(session->buffer, session->stray[i]);

		if (entry == NULL || !entry->locked)
			keys[n++] = session->stray[i];
	}
	roll_back(session, keys, n);
}

/*
 * Whatever the SQL transaction needs is done: an error here must not touch it,
 * and a cancel can wait.
 */
static void
quietly(TxnSession *session, void (*act)(TxnSession *session))
{
	MemoryContext context = CurrentMemoryContext;

	HOLD_INTERRUPTS();
	short_patience(session);
	session->finishing = true;
	session->progressed = false;
	PG_TRY();
	{
		act(session);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	RESUME_INTERRUPTS();
}

static void
finish_commit(TxnSession *session)
{
	committer_finish(&session->client, &session->committer, &session->arena);
	drop_strays(session);
}

/*
 * Locks that were written are rolled back for good; before that there are
 * pessimistic ones at most.
 */
static void
undo(TxnSession *session)
{
	if (session->prewriting)
		committer_undo(&session->client, &session->committer, &session->arena);
	undo_locks(session);
}

/* -------------------------------------------------------------------- commit */

static void
plan_commit(TxnSession *session)
{
	Committer *committer = &session->committer;
	uint64 age_ms =
		txn_physical(txn_timestamp(session)) - txn_physical(session->start_ts);

	memset(committer, 0, sizeof(*committer));
	committer->start_ts = session->start_ts;
	committer->age_ms = age_ms;
	committer->try_one_pc = committer->try_async = true;
	if (session->pessimistic)
	{
		committer->for_update_ts =
			Max(session->for_update_ts, session->start_ts);
		committer->primary = session->primary;
		committer->lock_ttl_ms = SQL_TXN_TTL_MS;
	}
	committer_plan(committer, session->buffer, &session->arena);
}

/* Once the rows of the commit are written it asks the store for nothing. */
static void
drop_strays_first(TxnSession *session)
{
	if (session->n_stray == 0)
		return;
	quietly(session, drop_strays);
	session->finishing = false;
	txn_begin_call(session);
}

static void
commit(TxnSession *session)
{
	Committer *committer = &session->committer;
	ClientResult result;

	bool atomic = txn_atomic_wanted();

	txn_begin_call(session);
	session->function = "COMMIT";
	if (membuffer_n(session->buffer) == 0 && session->n_stray == 0)
		return;
	if (atomic)
		drop_strays_first(session);
	plan_commit(session);

	/* What takes many requests may take longer than a lock lives. */
	if (committer->n > ASYNC_COMMIT_MAX_KEYS)
		sql_txn_set_primary(committer->primary);
	sql_txn_progress(SQL_TXN_COMMITTING, session->for_update_ts, committer->n,
					 session->n_locks);
	if (atomic && txn_atomic_commit(session))
		return;
	session->prewriting = committer->n > 0;
	committer_run(&session->client, committer, &session->arena, &result);
	session->outcome_unknown = result.outcome == CLIENT_UNKNOWN;
	if (result.outcome != CLIENT_OK)
		txn_report(&result);
	session->prewriting = false;
	session->committed = true;
	quietly(session, finish_commit);
}

static void
refuse_prepare(void)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg(
			 "cannot PREPARE a transaction that has used transactional keys"),
		 errdetail(
			 "Their locks are kept alive by the session, which ends before a prepared transaction does.")));
}

static void
on_xact_end(XactEvent event, void *arg)
{
	(void) arg;
	if (current == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			commit(current);
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			txn_atomic_end(current);
			txn_note_commit(current);
			free_session();
			break;
		case XACT_EVENT_ABORT:
			txn_atomic_end(current);
			if (!current->committed && !current->outcome_unknown)
				quietly(current, undo);
			free_session();
			break;
		default:
			break;
	}
}

/* ------------------------------------------------------------------- begin */

static void
check_isolation(void)
{
	if (IsolationIsSerializable())
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "transactional keys cannot be used in a serializable transaction"),
			 errhint(
				 "Use REPEATABLE READ, which is snapshot isolation for keys, too.")));
}

static void
check_api(void)
{
	if (sql_api() == API_V1TTL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("there are no transactional keys in this API version"),
				 errdetail("tikv.api_version is 1 and tikv.enable_ttl is on."),
				 errhint("API version 2 has both.")));
}

static TxnSession *
new_session(void)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "tikv SQL transaction",
							  ALLOCSET_DEFAULT_SIZES);
	TxnSession *session = MemoryContextAllocZero(context, sizeof(*session));

	session->context = context;
	session->pessimistic = tikv_fdw_settings.txn_mode == TXN_MODE_PESSIMISTIC;
	session->repeatable_read = IsolationUsesXactSnapshot();
	return session;
}

static void
begin_session(const char *function)
{
	static bool registered;
	TxnSession *session;
	Patience patience = patience_begin();

	check_isolation();
	(void) session_tables(&patience);
	check_api();
	if (!registered)
	{
		txn_io_init(&client_io);
		RegisterXactCallback(on_xact_end, NULL);
		RegisterSubXactCallback(on_subxact_end, NULL);
		registered = true;
	}
	session = new_session();
	session->function = function;
	session->patience = patience;
	arena_init(&session->arena);
	session->buffer = membuffer_new();
	client_init(&session->client, &client_io,
				(uint64) MyProcPid << 32 ^ (uint64) board_now_us());
	current = session;
	session->start_ts = txn_timestamp(session);
	sql_txn_begin(session->start_ts, session->pessimistic,
				  session->repeatable_read);
}

void
txn_begin_call(TxnSession *session)
{
	session->patience = patience_begin();
	arena_reset(&session->arena);
	txn_io_use(session);
}

TxnSession *
txn_session(const char *function, bool writes)
{
	/* The leader may scan foreign tables while workers run other parts. */
	if (writes || IsParallelWorker())
		PreventCommandIfParallelMode(function);
	if (writes)
	{
		PreventCommandDuringRecovery(function);
		PreventCommandIfReadOnly(function);
	}
	if (current == NULL)
		begin_session(function);
	current->function = function;
	return current;
}

void
txn_note_progress(TxnSession *session)
{
	sql_txn_progress(SQL_TXN_OPEN, session->for_update_ts,
					 membuffer_n(session->buffer), session->n_locks);
}

TxnCounts
txn_counts(const TxnSession *session)
{
	return session->counts;
}
