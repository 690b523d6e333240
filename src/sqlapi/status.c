/*
 * status.c
 *	  tikv_status() and the view tikv.regions: what shared memory says.
 *
 * Neither touches a table of the extension, so both answer while somebody
 * holds locks on them; and tikv_status answers in a server that does not run
 * the workers at all, since that is when it is asked why.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "guc.h"
#include "sqlapi/sqlapi.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_status);
PG_FUNCTION_INFO_V1(tikv_regions);

/* ----------------------------------------------------------------- status */

typedef struct StatusRow
{
	const char *worker;
	int pid;
	const char *state;
	const char *reason;
	const char *address;
	TimestampTz since;
} StatusRow;

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL || text[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
put_status(ReturnSetInfo *result, const StatusRow *row)
{
	Datum values[6] = {0};
	bool nulls[6] = {false};

	values[0] = CStringGetTextDatum(row->worker);
	values[1] = Int32GetDatum(row->pid);
	nulls[1] = row->pid == 0;
	values[2] = CStringGetTextDatum(row->state);
	values[3] = text_or_null(row->reason, &nulls[3]);
	values[4] = text_or_null(row->address, &nulls[4]);
	values[5] = TimestampTzGetDatum(row->since);
	nulls[5] = row->since == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* "store" of "tikv store". */
static const char *
short_name(WorkerKind kind)
{
	return worker_name(kind) + strlen("tikv ");
}

static void
put_worker(ReturnSetInfo *result, WorkerKind kind)
{
	WorkerView view;
	StatusRow row = {.worker = short_name(kind)};

	worker_view(kind, &view);
	row.pid = view.pid;
	row.state = worker_state_name(view.state);
	row.reason = worker_view_reason(&view);
	row.address = view.address;
	row.since = view.since;
	if (!view.registered)
		row.reason =
			"not registered: max_worker_processes is too small, see the server log";
	else if (view.pid == 0 && RecoveryInProgress())
	{
		row.state = worker_state_name(WORKER_WAITING);
		row.reason =
			"this server is a standby: its workers start when it is promoted";
	}
	else if (view.pid == 0 && view.reason[0] == '\0')
		row.reason = "it has not come up; the server log may say why";
	put_status(result, &row);
}

/* Workers that nobody asked for have no row; store and pd always do. */
static bool
has_row(WorkerKind kind)
{
	WorkerView view;

	if (!worker_view(kind, &view))
		return false;
	if (kind == WORKER_STATUS)
		return tikv_fdw_settings.status_addr[0] != '\0';
	return view.registered || kind < WORKER_SERVER;
}

static void
put_not_loaded(ReturnSetInfo *result)
{
	for (int i = 0; i < WORKER_SERVER; i++)
	{
		StatusRow row = {
			.worker = short_name((WorkerKind) i),
			.state = worker_state_name(WORKER_DOWN),
			.reason = "tikv_fdw is not in shared_preload_libraries",
		};

		put_status(result, &row);
	}
}

/* One row per worker; one more if this session can't use them, and why. */
Datum
tikv_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StatusRow session = {.worker = "this session", .state = "refused"};
	const char *hint;

	InitMaterializedSRF(fcinfo, 0);
	if (tikv_shmem() == NULL)
	{
		put_not_loaded(result);
		return (Datum) 0;
	}
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		if (has_row((WorkerKind) i))
			put_worker(result, (WorkerKind) i);
	}
	session.reason = RecoveryInProgress() ? NULL : session_refusal(&hint);
	session.pid = MyProcPid;
	if (session.reason != NULL)
		put_status(result, &session);
	return (Datum) 0;
}

/* ---------------------------------------------------------------- regions */

static Datum
store_ids(const Region *region)
{
	Datum ids[REGION_MAX_PEERS];

	for (int i = 0; i < region->n_peers; i++)
		ids[i] = Int64GetDatum((int64) region->peers[i].store_id);
	return PointerGetDatum(construct_array(ids, region->n_peers, INT8OID,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

static void
put_region(ReturnSetInfo *result, const BoardRegion *entry)
{
	Datum values[14];
	bool nulls[14] = {false};
	const Region *region = &entry->region;
	BoardRaft raft = {0};

	values[0] = Int64GetDatum((int64) region->id);
	values[1] = bytea_datum(region->start_key);
	values[2] = bytea_datum(region->end_key);
	nulls[2] = region->end_key.len == 0;
	values[3] = Int64GetDatum((int64) region->epoch.conf_ver);
	values[4] = Int64GetDatum((int64) region->epoch.version);
	values[5] = store_ids(region);
	values[6] = Int64GetDatum((int64) entry->self.id);
	values[7] = Int64GetDatum((int64) entry->leader.id);
	nulls[7] = entry->leader.id == 0;
	values[8] = BoolGetDatum(entry->is_leader);
	values[9] = Int64GetDatum((int64) entry->term);
	values[10] = Int64GetDatum((int64) entry->applied_index);
	values[11] = Int64GetDatum((int64) region->flashback_start_ts);
	nulls[11] = region->flashback_start_ts == 0;
	nulls[12] = nulls[13] = !board_raft(region->id, &raft);
	values[12] = Int64GetDatum((int64) raft.approximate_size);
	values[13] = Int64GetDatum((int64) raft.approximate_keys);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_regions(PG_FUNCTION_ARGS)
{
	BoardRegion *region = palloc(sizeof(*region));
	BoardWalk *walk = palloc0(sizeof(*walk));

	InitMaterializedSRF(fcinfo, 0);
	while (board_walk_next(walk, region))
		put_region((ReturnSetInfo *) fcinfo->resultinfo, region);
	return (Datum) 0;
}
