/*
 * txn_functions.c
 *	  tikv_txn_*: keys as part of the SQL transaction.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "sqlapi/grants.h"
#include "sqlapi/txn_internal.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_txn_get);
PG_FUNCTION_INFO_V1(tikv_txn_put);
PG_FUNCTION_INFO_V1(tikv_txn_insert);
PG_FUNCTION_INFO_V1(tikv_txn_delete);
PG_FUNCTION_INFO_V1(tikv_txn_lock);
PG_FUNCTION_INFO_V1(tikv_txn_batch_get);
PG_FUNCTION_INFO_V1(tikv_txn_scan);

/* The stored key, which the user may read or write. */
static Bytes
key_argument(FunctionCallInfo fcinfo, GrantPrivilege privilege)
{
	Bytes key = txn_stored_key(not_null_argument(fcinfo, 0, "key"));

	grants_need_keys(GetUserId(), privilege, &key, 1);
	return key;
}

Datum
tikv_txn_get(PG_FUNCTION_ARGS)
{
	TxnSession *session;
	Bytes value;
	Bytes key;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	session = txn_session("tikv_txn_get()", false);
	key = key_argument(fcinfo, GRANT_READ);
	if (!txn_get(session, key, &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytea_datum(value));
}

Datum
tikv_txn_put(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_txn_put()", true);
	Bytes key = key_argument(fcinfo, GRANT_WRITE);

	txn_put(session, key, not_null_argument(fcinfo, 1, "value"));
	PG_RETURN_VOID();
}

Datum
tikv_txn_insert(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_txn_insert()", true);
	Bytes key = key_argument(fcinfo, GRANT_WRITE);

	txn_insert(session, key, not_null_argument(fcinfo, 1, "value"));
	PG_RETURN_VOID();
}

Datum
tikv_txn_delete(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_txn_delete()", true);

	txn_delete(session, key_argument(fcinfo, GRANT_WRITE));
	PG_RETURN_VOID();
}

Datum
tikv_txn_lock(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_txn_lock()", true);
	Bytes value;
	Bytes key;

	sql_need_read(fcinfo, "tikv_txn_get", "tikv_txn_lock");
	key = key_argument(fcinfo, GRANT_WRITE);
	grants_need_keys(GetUserId(), GRANT_READ, &key, 1);
	if (!txn_lock(session, key, &value))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytea_datum(value));
}

Datum
tikv_txn_batch_get(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TxnSession *session = txn_session("tikv_txn_batch_get()", false);
	TxnValue *found;
	Bytes *keys;
	int n;

	keys = bytea_array(PG_GETARG_DATUM(0), "keys", &n);
	for (int i = 0; i < n; i++)
		keys[i] = txn_stored_key(keys[i]);
	grants_need_keys(GetUserId(), GRANT_READ, keys, n);
	InitMaterializedSRF(fcinfo, 0);
	found = palloc(Max(n, 1) * sizeof(TxnValue));
	txn_batch_get(session, keys, n, found);
	for (int i = 0; i < n; i++)
	{
		Datum values[2];
		bool nulls[2] = {false, false};

		if (!found[i].found)
			continue;
		values[0] = bytea_datum(txn_user_key(keys[i]));
		values[1] = bytea_datum(found[i].value);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		pfree(DatumGetPointer(values[0]));
		pfree(DatumGetPointer(values[1]));
	}
	return (Datum) 0;
}

/* ------------------------------------------------------------------- scans */

typedef struct ScanCall
{
	TxnScan *scan;
	int64 left;
	bool key_only;
} ScanCall;

static Bytes
bound_argument(FunctionCallInfo fcinfo, int argument, bool is_end)
{
	Bytes bound = bytes_empty();

	if (!PG_ARGISNULL(argument))
		bound = bytea_bytes(PG_GETARG_DATUM(argument));
	bound = is_end ? txn_stored_end(bound) : txn_stored_key(bound);
	txn_check_key(bound);
	return bound;
}

static ScanCall *
scan_begin(FunctionCallInfo fcinfo)
{
	TxnSession *session = txn_session("tikv_txn_scan()", false);
	ScanCall *call = palloc0(sizeof(*call));
	bool reverse = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	Bytes lower;
	Bytes upper;

	call->key_only = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	call->left = limit_argument(fcinfo);
	lower = bound_argument(fcinfo, 0, false);
	upper = bound_argument(fcinfo, 1, true);
	grants_need_range(GetUserId(), GRANT_READ, lower, upper);
	call->scan = txn_scan_begin(session, lower, upper, reverse, call->key_only);
	return call;
}

Datum
tikv_txn_scan(PG_FUNCTION_ARGS)
{
	FuncCallContext *calls;
	ScanCall *call;
	Datum values[2];
	bool nulls[2] = {false, false};
	Bytes key;
	Bytes value;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc desc;

		calls = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(calls->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "tikv_txn_scan must return rows");
		calls->tuple_desc = BlessTupleDesc(desc);
		calls->user_fctx = scan_begin(fcinfo);
		MemoryContextSwitchTo(old);
	}
	calls = SRF_PERCALL_SETUP();
	call = calls->user_fctx;
	CHECK_FOR_INTERRUPTS();
	if (call->left == 0 || !txn_scan_next(call->scan, &key, &value))
	{
		txn_scan_end(call->scan);
		SRF_RETURN_DONE(calls);
	}
	call->left--;
	values[0] = bytea_datum(txn_user_key(key));
	nulls[1] = call->key_only;
	values[1] = call->key_only ? (Datum) 0 : bytea_datum(value);
	SRF_RETURN_NEXT(calls,
					HeapTupleGetDatum(heap_form_tuple(calls->tuple_desc, values,
													  nulls)));
}
