/*
 * mvcc.c
 *	  tikv_mvcc: lock and versions of transactional keys, whoever may see them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "core/mvcc/inspect.h"
#include "service/service.h"
#include "service/txn_client.h"
#include "sqlapi/inspect.h"
#include "sqlapi/txn_internal.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_mvcc);

#define PAGE_KEYS 64
#define KEY_BYTES ((size_t) 64 << 20)

#define MVCC_COLUMNS 7

/* ------------------------------------------------------------------- rows */

Datum
sql_ts_time(uint64 ts)
{
	return TimestampTzGetDatum(
		time_t_to_timestamptz((pg_time_t) (txn_physical(ts) / 1000)) +
		(TimestampTz) (txn_physical(ts) % 1000) * 1000);
}

static const char *
write_name(WriteType type)
{
	switch (type)
	{
		case WRITE_TYPE_PUT:
			return "put";
		case WRITE_TYPE_DELETE:
			return "delete";
		case WRITE_TYPE_LOCK:
			return "lock";
		default:
			return "rollback";
	}
}

const char *
sql_lock_name(LockType type)
{
	switch (type)
	{
		case LOCK_TYPE_PUT:
			return "put";
		case LOCK_TYPE_DELETE:
			return "delete";
		case LOCK_TYPE_PESSIMISTIC:
			return "pessimistic";
		case LOCK_TYPE_SHARED:
			return "shared";
		default:
			return "lock";
	}
}

static void
put_lock_row(Inspection *in, Bytes key, const Lock *lock)
{
	Datum values[MVCC_COLUMNS] = {0};
	bool nulls[MVCC_COLUMNS] = {false};

	values[0] = bytea_datum(txn_user_key(key));
	values[1] = CStringGetTextDatum("lock");
	values[2] = CStringGetTextDatum(sql_lock_name(lock->type));
	values[3] = Int64GetDatum((int64) lock->start_ts);
	nulls[4] = nulls[5] = true;
	nulls[6] = !lock->has_short_value;
	if (lock->has_short_value)
		values[6] = bytea_datum(lock->short_value);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

/* A value that is NULL is missing, or the record has none. */
static void
put_version_row(Inspection *in, Bytes key, const WriteAt *at,
				const Bytes *value)
{
	Datum values[MVCC_COLUMNS] = {0};
	bool nulls[MVCC_COLUMNS] = {false};

	values[0] = bytea_datum(txn_user_key(key));
	values[1] = CStringGetTextDatum("version");
	values[2] = CStringGetTextDatum(write_name(at->write.type));
	values[3] = Int64GetDatum((int64) at->write.start_ts);
	values[4] = Int64GetDatum((int64) at->commit_ts);
	values[5] = sql_ts_time(at->commit_ts);
	nulls[6] = value == NULL;
	if (value != NULL)
		values[6] = bytea_datum(*value);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

/* ------------------------------------------------------------------- here */

static void
put_key(Inspection *in, MvccReader *reader, Bytes key)
{
	MvccInfo info = {0};

	mvcc_inspect_key(reader, key, KEY_BYTES, &in->arena, &info);
	if (info.too_large)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a key has too many versions to list"),
				 errdetail("Key %s.", txn_key_text(key))));
	if (info.has_lock)
		put_lock_row(in, key, &info.lock);
	for (size_t i = 0; i < info.n_writes; i++)
	{
		const WriteAt *at = &info.writes[i];
		Bytes value;
		bool found = at->write.type == WRITE_TYPE_PUT &&
			mvcc_load_value(reader, key, &at->write, &in->arena, &value);

		put_version_row(in, key, at, found ? &value : NULL);
	}
}

static bool
put_page(Inspection *in, MvccReader *reader, const KeyRange *range, Bytes *last)
{
	MvccKeys keys;

	mvcc_list_keys(reader, range, PAGE_KEYS, &in->arena, &keys);
	for (size_t i = 0; i < keys.n; i++)
		put_key(in, reader, keys.keys[i]);
	if (keys.more)
		*last = keys.keys[keys.n - 1];
	return keys.more;
}

/* -------------------------------------------------------------- elsewhere */

static ProtobufCMessage *
ask_page(Inspection *in, Kvrpcpb__Context *context, const KeyRange *range,
		 int limit)
{
	Kvrpcpb__ScanRequest *request = arena_alloc(&in->arena, sizeof(*request));

	kvrpcpb__scan_request__init(request);
	request->context = context;
	request->start_key = bytes_wire(range->lower);
	request->end_key = bytes_wire(range->upper);
	request->limit = (uint32) limit;
	return &request->base;
}

static Bytes
from_wire(ProtobufCBinaryData from)
{
	return bytes_make(from.data, from.len);
}

/*
 * In the message an empty short value looks like none; a transaction's value
 * is either in its lock or record, or in the list.
 */
static const Kvrpcpb__MvccValue *
long_value(const Kvrpcpb__MvccInfo *info, uint64 start_ts)
{
	for (size_t i = 0; i < info->n_values; i++)
		if (info->values[i]->start_ts == start_ts)
			return info->values[i];
	return NULL;
}

static void
take_lock(Inspection *in, Bytes key, const Kvrpcpb__MvccInfo *info)
{
	Lock lock = {.type = txn_client_lock_type(info->lock->type),
				 .start_ts = info->lock->start_ts,
				 .short_value = from_wire(info->lock->short_value)};

	lock.has_short_value = lock.short_value.len > 0 ||
		(lock.type == LOCK_TYPE_PUT && long_value(info, lock.start_ts) == NULL);
	put_lock_row(in, key, &lock);
}

static WriteType
write_type(Kvrpcpb__Op op)
{
	switch (op)
	{
		case KVRPCPB__OP__Put:
			return WRITE_TYPE_PUT;
		case KVRPCPB__OP__Del:
			return WRITE_TYPE_DELETE;
		case KVRPCPB__OP__Lock:
			return WRITE_TYPE_LOCK;
		default:
			return WRITE_TYPE_ROLLBACK;
	}
}

static void
take_version(Inspection *in, Bytes key, const Kvrpcpb__MvccInfo *info,
			 const Kvrpcpb__MvccWrite *write)
{
	const Kvrpcpb__MvccValue *listed = long_value(info, write->start_ts);
	WriteAt at = {.commit_ts = write->commit_ts,
				  .write.type = write_type(write->type),
				  .write.start_ts = write->start_ts};
	Bytes value = from_wire(write->short_value);

	if (value.len == 0 && listed != NULL)
		value = from_wire(listed->value);
	put_version_row(in, key, &at,
					at.write.type == WRITE_TYPE_PUT ? &value : NULL);
}

static void
take_key(Inspection *in, const Kvrpcpb__KvPair *pair)
{
	Bytes key = from_wire(pair->key);
	const Kvrpcpb__MvccInfo *info =
		(const void *) service_unpack(&kvrpcpb__mvcc_info__descriptor,
									  from_wire(pair->value), &in->arena);

	if (info == NULL)
		elog(ERROR, "what another store says of key %s is not readable",
			 txn_key_text(key));
	if (info->lock != NULL)
		take_lock(in, key, info);
	for (size_t i = 0; i < info->n_writes; i++)
		take_version(in, key, info, info->writes[i]);
}

static bool
take_page(Inspection *in, const ProtobufCMessage *message, Bytes *last)
{
	const Kvrpcpb__ScanResponse *reply = (const void *) message;

	if (reply->error != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("another store does not list the versions: %s",
						reply->error->abort)));
	for (size_t i = 0; i < reply->n_pairs; i++)
		take_key(in, reply->pairs[i]);
	if (reply->n_pairs > 0)
		*last = from_wire(reply->pairs[reply->n_pairs - 1]->key);
	return reply->n_pairs > 0;
}

static const InspectKind versions = {.page = PAGE_KEYS,
									 .here = put_page,
									 .method = METHOD_STORE_VERSIONS,
									 .ask = ask_page,
									 .take = take_page};

/* One key, or with an end_key a range; an empty end_key is the end. */
Datum
tikv_mvcc(PG_FUNCTION_ARGS)
{
	Inspection in = {.kind = &versions,
					 .result = (ReturnSetInfo *) fcinfo->resultinfo};
	Bytes start = bytes_empty();

	PreventCommandIfParallelMode("tikv_mvcc()");
	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(0))
		start = bytea_bytes(PG_GETARG_DATUM(0));
	in.left.lower = txn_stored_key(start);
	in.left.upper = PG_ARGISNULL(1) ?
		bound_copy(CurrentMemoryContext, in.left.lower, true) :
		txn_stored_end(bytea_bytes(PG_GETARG_DATUM(1)));
	if (in.left.upper.len == 0 || bytes_cmp(in.left.lower, in.left.upper) < 0)
		inspect(&in);
	return (Datum) 0;
}
