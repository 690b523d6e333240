/*
 * locks.c
 *	  The view tikv.locks, and the lock of one key.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "bus/sql_txns.h"
#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/inspect.h"
#include "sqlapi/txn_internal.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_locks);

#define PAGE_LOCKS 256

#define LOCK_COLUMNS 11

static void
put_lock_values(Inspection *in, Bytes key, const Lock *lock)
{
	Datum values[LOCK_COLUMNS] = {0};
	bool nulls[LOCK_COLUMNS] = {false};
	VirtualTransactionId vxid;
	int pid = 0;

	values[0] = bytea_datum(key);
	values[1] = CStringGetTextDatum(sql_lock_name(lock->type));
	values[2] = Int64GetDatum((int64) lock->start_ts);
	values[3] = sql_ts_time(lock->start_ts);
	values[4] = bytea_datum(lock->primary);
	values[5] = Int64GetDatum((int64) lock->ttl_ms);
	values[6] = Int64GetDatum((int64) lock->for_update_ts);
	nulls[6] = lock->for_update_ts == 0;
	values[7] = Int64GetDatum((int64) lock->min_commit_ts);
	nulls[7] = lock->min_commit_ts == 0;
	values[8] = BoolGetDatum(lock->use_async_commit);
	values[9] = Int64GetDatum((int64) lock->n_secondaries);
	nulls[10] = !sql_txn_find(lock->start_ts, &vxid, &pid);
	values[10] = Int32GetDatum(pid);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

static void
put_lock(Inspection *in, Bytes key, const Lock *lock)
{
	if (lock->type != LOCK_TYPE_SHARED)
		put_lock_values(in, key, lock);
	for (size_t i = 0; i < lock->n_members; i++)
		put_lock_values(in, key, &lock->members[i]);
}

typedef struct LockRowPage
{
	Inspection *in;
	Bytes last;
	int n;
} LockRowPage;

static bool
put_one(void *arg, Bytes key, const Lock *lock)
{
	LockRowPage *rows = arg;

	put_lock(rows->in, key, lock);
	rows->last = arena_copy(&rows->in->arena, key);
	return ++rows->n < PAGE_LOCKS;
}

static bool
put_page(Inspection *in, MvccReader *reader, const KeyRange *range, Bytes *last)
{
	LockRowPage rows = {.in = in};

	reader->scan_locks(reader, range, PG_UINT64_MAX, true, put_one, &rows);
	*last = rows.last;
	return rows.n == PAGE_LOCKS;
}

static ProtobufCMessage *
ask_page(Inspection *in, Kvrpcpb__Context *context, const KeyRange *range,
		 int limit)
{
	Kvrpcpb__ScanLockRequest *request =
		arena_alloc(&in->arena, sizeof(*request));

	kvrpcpb__scan_lock_request__init(request);
	request->context = context;
	request->start_key = bytes_wire(range->lower);
	request->end_key = bytes_wire(range->upper);
	request->limit = (uint32) limit;
	return &request->base;
}

static bool
take_page(Inspection *in, const ProtobufCMessage *message, Bytes *last)
{
	const Kvrpcpb__ScanLockResponse *reply = (const void *) message;

	for (size_t i = 0; i < reply->n_locks; i++)
	{
		LockInfo info;

		txn_client_lock_info(reply->locks[i], &in->arena, &info);
		put_lock(in, info.key, &info.lock);
		*last = info.key;
	}
	return reply->n_locks > 0;
}

static const InspectKind locks = {.page = PAGE_LOCKS,
								  .here = put_page,
								  .method = METHOD_STORE_LOCKS,
								  .ask = ask_page,
								  .take = take_page};

/* All of them, whatever their keyspace: keys are as they are stored. */
Datum
tikv_locks(PG_FUNCTION_ARGS)
{
	Inspection in = {.kind = &locks,
					 .result = (ReturnSetInfo *) fcinfo->resultinfo};

	PreventCommandIfParallelMode("tikv.locks");
	InitMaterializedSRF(fcinfo, 0);
	inspect(&in);
	return (Datum) 0;
}

/* -------------------------------------------------------------- of one key */

typedef struct FoundLock
{
	Arena *arena; /* the caller's */
	Lock *lock;
	bool found;
} FoundLock;

static bool
find_here(Inspection *in, MvccReader *reader, const KeyRange *range,
		  Bytes *last)
{
	FoundLock *found = in->arg;

	(void) last;
	found->found =
		reader->get_lock(reader, range->lower, found->arena, found->lock);
	return false;
}

static bool
find_elsewhere(Inspection *in, const ProtobufCMessage *message, Bytes *last)
{
	const Kvrpcpb__ScanLockResponse *reply = (const void *) message;
	FoundLock *found = in->arg;
	LockInfo info;

	found->found = reply->n_locks > 0;
	if (!found->found)
		return false;
	txn_client_lock_info(reply->locks[0], &in->arena, &info);
	lock_copy(&info.lock, found->arena, found->lock);
	*last = info.key;
	return true;
}

static const InspectKind one_lock = {.page = 1,
									 .here = find_here,
									 .method = METHOD_STORE_LOCKS,
									 .ask = ask_page,
									 .take = find_elsewhere};

bool
txn_stored_lock(Bytes key, Arena *arena, Lock *lock)
{
	FoundLock found = {.arena = arena, .lock = lock};
	Inspection in = {.kind = &one_lock, .leader_only = true, .arg = &found};

	in.left.lower = key;
	in.left.upper = bound_copy(CurrentMemoryContext, key, true);
	inspect(&in);
	return found.found;
}
