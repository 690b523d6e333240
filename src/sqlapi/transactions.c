/*
 * transactions.c
 *	  The views tikv.transactions and tikv.lock_waits: who is at work here, and
 *	  who waits for whom.
 *
 * Sessions of this server are in shared memory; the store knows the clients of
 * the network that wait for locks.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "bus/sql_txns.h"
#include "deadlock.pb-c.h"
#include "service/service.h"
#include "sqlapi/sqlapi.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_transactions);
PG_FUNCTION_INFO_V1(tikv_lock_waits);

#define TRANSACTION_COLUMNS 11
#define WAIT_COLUMNS 6

static Datum
int8_or_null(uint64 value, bool *isnull)
{
	*isnull = value == 0;
	return Int64GetDatum((int64) value);
}

static void
put_transaction(ReturnSetInfo *result, const SqlTxnView *view)
{
	Datum values[TRANSACTION_COLUMNS];
	bool nulls[TRANSACTION_COLUMNS] = {false};
	Bytes primary = bytes_make(view->primary, view->primary_len);

	values[0] = Int32GetDatum(view->pid);
	values[1] = Int64GetDatum((int64) view->start_ts);
	values[2] = int8_or_null(view->for_update_ts, &nulls[2]);
	values[3] = TimestampTzGetDatum(view->since);
	values[4] = CStringGetTextDatum(view->phase == SQL_TXN_OPEN ? "open" :
																  "committing");
	values[5] =
		CStringGetTextDatum(view->pessimistic ? "pessimistic" : "optimistic");
	values[6] = CStringGetTextDatum(view->repeatable_read ? "repeatable read" :
															"read committed");
	nulls[7] = primary.len == 0;
	values[7] = bytea_datum(primary);
	values[8] = Int64GetDatum((int64) view->n_writes);
	values[9] = Int64GetDatum((int64) view->n_locks);
	values[10] = Int64GetDatum((int64) view->beats);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_transactions(PG_FUNCTION_ARGS)
{
	SqlTxnView *view = palloc(sizeof(*view));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < sql_txn_slots(); i++)
		if (sql_txn_view(i, view))
			put_transaction((ReturnSetInfo *) fcinfo->resultinfo, view);
	return (Datum) 0;
}

/* -------------------------------------------------------------------- waits */

/* The session behind a transaction, NULL if it is none of this server. */
static Datum
pid_of(uint64 start_ts, bool *isnull)
{
	VirtualTransactionId vxid;
	int pid = 0;

	*isnull = !sql_txn_find(start_ts, &vxid, &pid);
	return Int32GetDatum(pid);
}

static void
put_wait(ReturnSetInfo *result, uint64 txn, uint64 holder, Bytes key,
		 TimestampTz since)
{
	Datum values[WAIT_COLUMNS];
	bool nulls[WAIT_COLUMNS] = {false};

	values[0] = Int64GetDatum((int64) txn);
	values[1] = pid_of(txn, &nulls[1]);
	values[2] = Int64GetDatum((int64) holder);
	values[3] = pid_of(holder, &nulls[3]);
	values[4] = bytea_datum(key);
	values[5] = TimestampTzGetDatum(since);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_sessions(ReturnSetInfo *result)
{
	SqlTxnView *view = palloc(sizeof(*view));

	for (int i = 0; i < sql_txn_slots(); i++)
		if (sql_txn_view(i, view) && view->waits_for != 0)
			put_wait(result, view->start_ts, view->waits_for,
					 bytes_make(view->wait_key, view->wait_len),
					 view->waits_since);
	pfree(view);
}

/* What the store knows beyond the sessions, which are listed already. */
static void
put_clients(ReturnSetInfo *result, Arena *arena)
{
	Kvrpcpb__GetLockWaitInfoRequest request =
		KVRPCPB__GET_LOCK_WAIT_INFO_REQUEST__INIT;
	Kvrpcpb__GetLockWaitInfoResponse *info;
	Patience patience = patience_begin();
	uint8 packed[16];
	BusReply reply;
	size_t len;

	(void) session_tables(&patience);
	len = protobuf_c_message_pack(&request.base, packed);
	reply =
		bus_call(WORKER_STORE, METHOD_GET_LOCK_WAIT_INFO,
				 bytes_make(packed, len), Max(patience_left_ms(&patience), 1));
	if (reply.code != BUS_OK)
		report_bus(WORKER_STORE, &reply);
	info = (Kvrpcpb__GetLockWaitInfoResponse *)
		service_unpack(&kvrpcpb__get_lock_wait_info_response__descriptor,
					   reply.bytes, arena);
	if (info == NULL)
		elog(ERROR, "the store's answer is not readable");
	for (size_t i = 0; i < info->n_entries; i++)
	{
		const Deadlock__WaitForEntry *entry = info->entries[i];
		TimestampTz since =
			GetCurrentTimestamp() - (TimestampTz) entry->wait_time * 1000;
		bool is_client;

		(void) pid_of(entry->txn, &is_client);
		if (is_client)
			put_wait(result, entry->txn, entry->wait_for_txn,
					 bytes_make(entry->key.data, entry->key.len), since);
	}
}

Datum
tikv_lock_waits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Arena *arena = call_arena();

	InitMaterializedSRF(fcinfo, 0);
	put_sessions(result);
	put_clients(result, arena);
	arena_reset(arena);
	return (Datum) 0;
}
