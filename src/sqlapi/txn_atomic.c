/*
 * txn_atomic.c
 *	  One commit of Postgres for keys and tables, as the backend makes it
 *	  (DESIGN 8).
 *
 * At pre-commit the store is asked for a grant: it checks the transaction as
 * it would a commit in one phase, shows guards to readers, lets nobody else
 * at the keys, and tells which rows to write.  They are written here, under
 * the transaction id of the tables' rows, so one commit record decides both.
 * From then on nothing is asked of the store; it learns of the end by
 * txn_atomic_end, or finds it out.
 *
 * Up to the answer a refusal leaves the ordinary way open.  Without an answer
 * it does not: a grant may be there, which only the end of this transaction
 * undoes.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "bus/failpoints.h"
#include "bus/table_cut.h"
#include "bus/versions.h"
#include "guc.h"
#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/txn_internal.h"

/* So long a region may take to be alone with its store again. */
#define SETTLE_MS 5000

/* A request for a grant, as often as it is repeated. */
typedef struct Asking
{
	TxnSession *session;
	TxnCommand command;
	TransactionId xid;
	Backoff backoff;
	Backoff settling; /* for regions that are about to be fit for it */
	GrantAnswer answer;
	const char *refused; /* why there is none, and the other way is open */
} Asking;

/* Keys alone are committed as one by the store. */
bool
txn_atomic_wanted(void)
{
	switch ((LocalAtomic) tikv_fdw_settings.local_atomic)
	{
		case LOCAL_ATOMIC_OFF:
			return false;
		case LOCAL_ATOMIC_REQUIRE:
			return true;
		case LOCAL_ATOMIC_AUTO:
			break;
	}
	return TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* --------------------------------------------------------------- the question */

static bool
pause_before_retry(Asking *asking, BackoffClass reason)
{
	Client *client = &asking->session->client;
	int64_t ms;

	asking->session->counts.retries++;
	return backoff_next(&asking->backoff, reason, &ms) &&
		client->io->sleep(client->io, ms);
}

pg_attribute_noreturn() static void report_no_answer(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_ROLLBACK),
			 errmsg("tikv store did not let the transaction commit in time"),
			 errdetail("Neither keys nor tables were changed."),
			 errhint("Try again; tikv.request_timeout is the bound.")));
}

static void
retry(Asking *asking, BackoffClass reason)
{
	if (!pause_before_retry(asking, reason))
		report_no_answer();
}

/* A smaller one would be taken. */
static void
refuse_size(Asking *asking, const char *reason)
{
	asking->answer.verdict = GRANT_TOO_LARGE;
	asking->refused = reason;
}

/* What does not end soon leaves the other way open. */
static bool
wait_to_settle(Asking *asking)
{
	Client *client = &asking->session->client;
	int64_t ms;

	asking->session->counts.retries++;
	return backoff_next(&asking->settling, BACKOFF_SCHEDULING, &ms) &&
		client->io->sleep(client->io, ms);
}

/* The region does not take it now; true: ask again. */
static bool
learn(Asking *asking, const ClientReply *reply)
{
	ClientResult result = {.outcome = CLIENT_REGION,
						   .region_error = reply->region_error,
						   .text = reply->text};

	switch (reply->region_error)
	{
		case REGION_SERVER_IS_BUSY:
			retry(asking, BACKOFF_SERVER_BUSY);
			return true;
		case REGION_STALE_COMMAND:
		case REGION_UNDETERMINED:
			retry(asking, BACKOFF_STALE_COMMAND);
			return true;
		case REGION_MAX_TS_NOT_SYNCED:
			retry(asking, BACKOFF_MAX_TS_NOT_SYNCED);
			return true;
		case REGION_EPOCH_NOT_MATCH:
		case REGION_NOT_FOUND:
			retry(asking, BACKOFF_REGION_MISS);
			return true;
		case REGION_NOT_LEADER:
			/* A piece that was just split off leads itself in a moment. */
			if (reply->leader.id == 0 && wait_to_settle(asking))
				return true;
			asking->refused = "a key is in a region that is not led here";
			return false;
		case REGION_DISK_FULL:
			txn_report(&result);
		case REGION_ENTRY_TOO_LARGE:
			refuse_size(asking, reply->text);
			return false;
		default:
			asking->refused = reply->text;
			return false;
	}
}

/* The rules of transactions say no, or a lock is in the way: it is ended. */
static void
meet_errors(Asking *asking, const ClientReply *reply)
{
	TxnSession *session = asking->session;
	ClientResult result = {.outcome = CLIENT_REFUSED,
						   .error = reply->answer.errors[0]};
	ClientResult met = result;

	result.answer.errors = reply->answer.errors;
	result.answer.n_errors = reply->answer.n_errors;
	if (result.error.kind != TXN_KEY_IS_LOCKED)
		txn_report(&result);
	if (committer_clear_locks(&session->client, &asking->backoff,
							  &session->arena, &result))
		return;
	txn_report(result.outcome == CLIENT_REFUSED ? &result : &met);
}

/* True: ask again. */
static bool
take_reply(Asking *asking, const BusReply *bus)
{
	TxnSession *session = asking->session;
	Bytes bytes = arena_copy(&session->arena, bus->bytes);
	ClientReply reply = {0};

	if (grant_answer_decode(bytes, &session->arena, &asking->answer))
	{
		if (asking->answer.verdict == GRANT_NOT_YET && wait_to_settle(asking))
			return true;
		if (asking->answer.verdict != GRANT_GIVEN)
			asking->refused = asking->answer.reason;
		return false;
	}
	if (!txn_client_reply(&asking->command, bytes, &session->arena, &reply))
		elog(ERROR, "the store's answer is not readable");
	if (reply.region_error != REGION_OK)
		return learn(asking, &reply);
	if (reply.answer.n_errors == 0)
		elog(ERROR, "the store answered a request for a grant with a prewrite");
	meet_errors(asking, &reply);
	return true;
}

static bool
take_bus(Asking *asking, const BusReply *bus)
{
	switch (bus->code)
	{
		case BUS_OK:
			return take_reply(asking, bus);
		case BUS_BUSY:
			retry(asking, BACKOFF_SERVER_BUSY);
			return true;
		case BUS_DOWN:
			retry(asking, BACKOFF_RPC);
			return true;
		case BUS_TIMEOUT:
		case BUS_LOST:
			report_no_answer();
		case BUS_ERROR:
			break;
	}
	report_bus(WORKER_STORE, bus);
	return false;
}

/* The store would say so (txn_decode.c), and need not be sent all that. */
static bool
entry_is_too_large(Asking *asking)
{
	const Committer *committer = &asking->session->committer;
	size_t bytes = committer->bytes + committer->n * committer->primary.len;

	if (bytes > SERVICE_MAX_ENTRY_BYTES)
		refuse_size(
			asking,
			psprintf(
				"raft entry is too large, entry size %zu, limit %zu (keys, values, and the primary key with each of them)",
				bytes, SERVICE_MAX_ENTRY_BYTES));
	return asking->refused != NULL;
}

static bool
request_is_too_large(Asking *asking, Bytes request)
{
	int bus_kb = tikv_fdw_settings.bus_memory_kb;

	if (request.len > (size_t) bus_kb * 1024)
		refuse_size(
			asking,
			psprintf("its request has %zu bytes, tikv.bus_memory is %d kB",
					 request.len, bus_kb));
	return asking->refused != NULL;
}

/* True: ask again. */
static bool
ask_once(Asking *asking)
{
	TxnSession *session = asking->session;
	CachedRegion region = {0};
	Bytes request;
	BusReply bus;
	bool again;

	if (!session->client.io->locate(session->client.io,
									asking->command.prewrite.primary,
									&session->arena, &region.region,
									&region.leader))
	{
		retry(asking, BACKOFF_REGION_MISS);
		return true;
	}
	request = txn_pack_request(&region, &asking->command, asking->xid,
							   &session->arena);
	if (request_is_too_large(asking, request))
	{
		pfree(unconstify(uint8 *, request.data));
		return false;
	}
	session->counts.requests++;
	bus = bus_call(WORKER_STORE, METHOD_SQL_GRANT, request,
				   Max(patience_left_ms(&session->patience), 1));
	pfree(unconstify(uint8 *, request.data));
	again = take_bus(asking, &bus);
	if (bus.bytes.data != NULL)
		pfree(unconstify(uint8 *, bus.bytes.data));
	return again;
}

/* --------------------------------------------------------------- the commit */

static bool
may_be_refused(const Asking *asking)
{
	bool too_large = asking->answer.verdict == GRANT_TOO_LARGE;

	if (tikv_fdw_settings.local_atomic != LOCAL_ATOMIC_REQUIRE)
		return false;
	ereport(
		ERROR,
		(errcode(too_large ? ERRCODE_PROGRAM_LIMIT_EXCEEDED :
							 ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("keys and tables cannot be committed as one"),
		 errdetail("The reason: %s.", asking->refused),
		 errhint(
			 "%stikv.local_atomic is \"require\"; with \"auto\" the keys commit just before the tables.",
			 too_large ? "Write less in one transaction. " : "")));
}

/* Before the store is asked: afterwards nothing here may have to wait. */
static bool
open_tables(Asking *asking, OpenTables *tables)
{
	const TableOids *oids = session_tables(&asking->session->patience);
	static char blocker[256];
	TablesAnswer answer;
	uint64 last_cut;

	do
	{
		last_cut = table_cut_wait();
		answer = tables_open(oids, TABLES_TXN, true, false, tables);
		if (answer == TABLES_OK)
			return true;
	} while (answer == TABLES_LOCKED && table_cut_since(last_cut));
	tables_describe_blockers(oids, blocker, sizeof(blocker));
	asking->refused = blocker;
	return may_be_refused(asking);
}

static void
write_rows(const Asking *asking, OpenTables *tables)
{
	Snapshot snapshot;

	FAILPOINT("sql_granted");
	/* Taken after the answer: it shows all that the store has decided over. */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	grant_rows_write(tables, snapshot, &asking->answer);
	UnregisterSnapshot(snapshot);
	FAILPOINT("sql_rows_written");
	tables_close(tables, true);
	ForceSyncCommit();
}

static void
note_grant(const Asking *asking)
{
	TxnSession *session = asking->session;

	session->grant = asking->answer.grant;
	session->grant_generation = asking->answer.generation;
	session->committer.kind = COMMIT_ONE_COMMIT;
	session->committer.commit_ts = asking->answer.commit_ts;
}

static bool
plan(Asking *asking)
{
	TxnSession *session = asking->session;
	uint64 floor_ts = txn_timestamp(session);

	asking->command.kind = TXN_CMD_PREWRITE;
	asking->xid = GetTopTransactionId();
	backoff_init(&asking->backoff, BACKOFF_PREWRITE_MS,
				 session->client.random++);
	backoff_init(&asking->settling, SETTLE_MS, session->client.random++);
	return committer_whole(&session->committer, floor_ts, &session->arena,
						   &asking->command.prewrite);
}

bool
txn_atomic_commit(TxnSession *session)
{
	Asking asking = {.session = session};
	OpenTables tables;

	FAILPOINTS_READ();
	if (session->committer.n == 0 || !plan(&asking))
		return false;
	if (entry_is_too_large(&asking))
		return may_be_refused(&asking);
	if (!open_tables(&asking, &tables))
		return false;
	FAILPOINT("sql_before_grant");
	while (ask_once(&asking))
		CHECK_FOR_INTERRUPTS();
	if (asking.refused != NULL)
	{
		tables_close(&tables, true);
		return may_be_refused(&asking);
	}
	note_grant(&asking);
	write_rows(&asking, &tables);
	return true;
}

/* After the transaction id has left the list of those in progress. */
void
txn_atomic_end(TxnSession *session)
{
	if (session->grant_generation == 0)
		return;
	FAILPOINT_PASS("sql_ended");
	grant_end(session->grant, session->grant_generation);
	session->grant_generation = 0;
}

void
txn_note_commit(TxnSession *session)
{
	const Committer *committer = &session->committer;
	SqlCommit commit = {.pid = MyProcPid,
						.xid = GetTopTransactionIdIfAny(),
						.kind = (int) committer->kind,
						.at = GetCurrentTimestamp(),
						.start_ts = committer->start_ts,
						.commit_ts = committer->commit_ts,
						.n_keys = committer->n};

	if (committer->kind != COMMIT_NONE)
		sql_commits_note(&commit);
}
