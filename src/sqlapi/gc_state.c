/*
 * gc_state.c
 *	  Garbage collection as SQL sees it: the views tikv.gc and
 *	  tikv.gc_barriers, tikv_gc_barrier(), and reads of the past.
 *
 * The safe points are PD's.  What lies before the transactions' safe point may
 * be collected at any time, so a read there is refused and not tried.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "bus/sql_txns.h"
#include "bus/tasks.h"
#include "bus/versions.h"
#include "guc.h"
#include "service/service.h"
#include "sqlapi/txn_internal.h"
#include "storage/stored_key.h"
#include "storage/uint_datum.h"

PG_FUNCTION_INFO_V1(tikv_gc);
PG_FUNCTION_INFO_V1(tikv_gc_barriers);
PG_FUNCTION_INFO_V1(tikv_gc_barrier);
PG_FUNCTION_INFO_V1(tikv_gc_barrier_delete);
PG_FUNCTION_INFO_V1(tikv_txn_get_as_of);

/* The keyspace of those that have none, to PD. */
#define NULL_KEYSPACE PG_UINT32_MAX

#define TS_LOGICAL_BITS 18
#define TS_LOGICAL_MAX ((UINT64CONST(1) << TS_LOGICAL_BITS) - 1)
#define UNIX_EPOCH_US \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* -------------------------------------------------------------- timestamps */

/* The newest timestamp of that millisecond. */
static uint64
ts_of_time(TimestampTz at)
{
	int64 ms;

	if (TIMESTAMP_NOT_FINITE(at) || at < -UNIX_EPOCH_US)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	ms = (at + UNIX_EPOCH_US) / 1000;
	if (ms > (int64) (PG_INT64_MAX >> TS_LOGICAL_BITS))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return (uint64) ms << TS_LOGICAL_BITS | TS_LOGICAL_MAX;
}

static Datum
time_of_ts(uint64 ts, bool *isnull)
{
	*isnull = ts == 0;
	return TimestampTzGetDatum((int64) (ts >> TS_LOGICAL_BITS) * 1000 -
							   UNIX_EPOCH_US);
}

static Datum
int8_or_null(uint64 value, bool *isnull)
{
	*isnull = value == 0;
	return Int64GetDatum((int64) value);
}

/* What others choose, and may be any 64 bits. */
static Datum
numeric_or_null(uint64 value, bool *isnull)
{
	*isnull = value == 0;
	return uint64_to_numeric(value);
}

/* ------------------------------------------------------------------ PD's state */

static const Pdpb__GetGCStateResponse *
ask_state(Arena *arena)
{
	Pdpb__GetGCStateRequest request = PDPB__GET_GCSTATE_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetGCStateResponse *reply;

	pd_fill_header(&header);
	scope.keyspace_id = NULL_KEYSPACE;
	request.header = &header;
	request.keyspace_scope = &scope;
	reply = (Pdpb__GetGCStateResponse *)
		pd_ask(METHOD_PD_GET_GC_STATE, &request.base,
			   &pdpb__get_gcstate_response__descriptor, arena);
	pd_check_header(reply->header);
	if (reply->gc_state == NULL)
		elog(ERROR, "the answer of PD has no state of garbage collection");
	return reply;
}

Datum
tikv_gc(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Arena *arena = call_arena();
	const Pdpb__GCState *state;
	uint64 oldest = sql_txn_oldest();
	uint64 reason = tasks_get(TASK_GC_REASON);
	Datum values[11];
	bool nulls[11] = {false};

	InitMaterializedSRF(fcinfo, 0);
	state = ask_state(arena)->gc_state;
	values[0] = CStringGetTextDatum(tasks_gc_step(tasks_get(TASK_GC_STEP)));
	values[1] = numeric_or_null(state->txn_safe_point, &nulls[1]);
	values[2] = time_of_ts(state->txn_safe_point, &nulls[2]);
	values[3] = numeric_or_null(state->gc_safe_point, &nulls[3]);
	values[4] = time_of_ts(state->gc_safe_point, &nulls[4]);
	values[5] = numeric_or_null(tasks_get(TASK_GC_SAFE_POINT), &nulls[5]);
	values[6] = Int64GetDatum((int64) tasks_get(TASK_GC_REMOVED));
	values[7] = Int64GetDatum((int64) tasks_get(TASK_GC_RESOLVED));
	values[8] = int8_or_null(oldest == PG_UINT64_MAX ? 0 : oldest, &nulls[8]);
	values[9] = CStringGetTextDatum(tasks_gc_reason(reason));
	nulls[9] = reason == GC_REASON_NONE;
	values[10] = int8_or_null(tasks_get(TASK_GC_BLOCKER), &nulls[10]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	arena_reset(arena);
	return (Datum) 0;
}

static void
put_barrier(ReturnSetInfo *result, const Pdpb__GCBarrierInfo *barrier)
{
	Datum values[4];
	bool nulls[4] = {false};

	values[0] = CStringGetTextDatum(barrier->barrier_id);
	values[1] = uint64_to_numeric(barrier->barrier_ts);
	values[2] = time_of_ts(barrier->barrier_ts, &nulls[2]);
	nulls[3] = barrier->ttl_seconds == PG_INT64_MAX;
	values[3] = Int64GetDatum(barrier->ttl_seconds);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_gc_barriers(PG_FUNCTION_ARGS)
{
	Arena *arena = call_arena();
	const Pdpb__GCState *state;

	InitMaterializedSRF(fcinfo, 0);
	state = ask_state(arena)->gc_state;
	for (size_t i = 0; i < state->n_gc_barriers; i++)
		put_barrier((ReturnSetInfo *) fcinfo->resultinfo,
					state->gc_barriers[i]);
	arena_reset(arena);
	return (Datum) 0;
}

/* ---------------------------------------------------------------- barriers */

static void
check_barrier(const Pdpb__ResponseHeader *header, const char *name)
{
	if (header == NULL || header->error == NULL ||
		header->error->type == PDPB__ERROR_TYPE__OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the barrier \"%s\" was refused", name),
			 errdetail("tikv pd said: %s.", header->error->message)));
}

/* Seconds; never: the largest number there is. */
static int64
ttl_of(FunctionCallInfo fcinfo)
{
	Interval *ttl;
	int64 us;

	if (PG_ARGISNULL(2))
		return PG_INT64_MAX;
	ttl = PG_GETARG_INTERVAL_P(2);
	us = ttl->time +
		((int64) ttl->day + (int64) ttl->month * DAYS_PER_MONTH) *
			USECS_PER_DAY;
	if (us < USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a barrier lives for at least a second")));
	return us / USECS_PER_SEC;
}

Datum
tikv_gc_barrier(PG_FUNCTION_ARGS)
{
	Pdpb__SetGCBarrierRequest request = PDPB__SET_GCBARRIER_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__RequestHeader header;
	Pdpb__SetGCBarrierResponse *reply;
	Arena *arena = call_arena();
	int64 ts;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a barrier needs a name and a time")));
	pd_fill_header(&header);
	scope.keyspace_id = NULL_KEYSPACE;
	request.header = &header;
	request.keyspace_scope = &scope;
	request.barrier_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	request.barrier_ts = ts_of_time(PG_GETARG_TIMESTAMPTZ(1));
	request.ttl_seconds = ttl_of(fcinfo);
	reply = (Pdpb__SetGCBarrierResponse *)
		pd_ask(METHOD_PD_SET_GC_BARRIER, &request.base,
			   &pdpb__set_gcbarrier_response__descriptor, arena);
	check_barrier(reply->header, request.barrier_id);
	ts = (int64) request.barrier_ts;
	arena_reset(arena);
	PG_RETURN_INT64(ts);
}

Datum
tikv_gc_barrier_delete(PG_FUNCTION_ARGS)
{
	Pdpb__DeleteGCBarrierRequest request = PDPB__DELETE_GCBARRIER_REQUEST__INIT;
	Pdpb__KeyspaceScope scope = PDPB__KEYSPACE_SCOPE__INIT;
	Pdpb__RequestHeader header;
	Pdpb__DeleteGCBarrierResponse *reply;
	Arena *arena = call_arena();
	bool existed;

	pd_fill_header(&header);
	scope.keyspace_id = NULL_KEYSPACE;
	request.header = &header;
	request.keyspace_scope = &scope;
	request.barrier_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	reply = (Pdpb__DeleteGCBarrierResponse *)
		pd_ask(METHOD_PD_DELETE_GC_BARRIER, &request.base,
			   &pdpb__delete_gcbarrier_response__descriptor, arena);
	check_barrier(reply->header, request.barrier_id);
	existed = reply->deleted_barrier_info != NULL;
	arena_reset(arena);
	PG_RETURN_BOOL(existed);
}

/* ---------------------------------------------------------------- the past */

static void
check_past(uint64 ts, uint64 now_ts)
{
	Arena *arena = call_arena();
	uint64 safe_point = ask_state(arena)->gc_state->txn_safe_point;

	arena_reset(arena);
	if (ts > now_ts)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the future cannot be read")));
	if (ts < safe_point)
		ereport(
			ERROR,
			(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
			 errmsg("that time lies too far back"),
			 errdetail("Garbage collection has come to %s.",
					   timestamptz_to_str((int64) (safe_point >>
												   TS_LOGICAL_BITS) *
											  1000 -
										  UNIX_EPOCH_US)),
			 errhint(
				 "tikv.gc_life_time is how far back one may read; tikv_gc_barrier() keeps more.")));
}

/* What was committed then, whatever this transaction has written since. */
Datum
tikv_txn_get_as_of(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_txn_get()", false);
	Bytes key = txn_stored_key(bytea_bytes(PG_GETARG_DATUM(0)));
	uint64 ts = ts_of_time(PG_GETARG_TIMESTAMPTZ(1));
	TxnValue value = {0};

	txn_check_key(key);
	txn_begin_call(session);
	check_past(ts, txn_timestamp(session));
	txn_read_keys(session, &key, 1, ts, &value);
	if (!value.found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytea_datum(value.value));
}
