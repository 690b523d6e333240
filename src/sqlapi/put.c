/*
 * put.c
 *	  The SQL functions that write: tikv_put, tikv_insert, tikv_delete and the
 *	  batches.
 */
#include "postgres.h"

#include "fmgr.h"

#include "service/service.h"
#include "sqlapi/sqlapi.h"

PG_FUNCTION_INFO_V1(tikv_put);
PG_FUNCTION_INFO_V1(tikv_insert);
PG_FUNCTION_INFO_V1(tikv_delete);
PG_FUNCTION_INFO_V1(tikv_batch_put);
PG_FUNCTION_INFO_V1(tikv_batch_delete);

/* --------------------------------------------------------------- messages */

static ProtobufCMessage *
build_put(const SqlWrite *write, int from, int n, Kvrpcpb__Context *context,
		  Arena *arena)
{
	Kvrpcpb__RawPutRequest *put = arena_alloc(arena, sizeof(*put));

	(void) n;
	kvrpcpb__raw_put_request__init(put);
	put->context = context;
	put->key = bytes_wire(write->keys[from]);
	put->value = bytes_wire(write->values[from]);
	put->ttl = write->ttl;
	put->for_cas = write->method == METHOD_SQL_INSERT;
	return &put->base;
}

static ProtobufCMessage *
build_delete(const SqlWrite *write, int from, int n, Kvrpcpb__Context *context,
			 Arena *arena)
{
	Kvrpcpb__RawDeleteRequest *del = arena_alloc(arena, sizeof(*del));

	(void) n;
	kvrpcpb__raw_delete_request__init(del);
	del->context = context;
	del->key = bytes_wire(write->keys[from]);
	return &del->base;
}

static ProtobufCMessage *
build_batch_put(const SqlWrite *write, int from, int n,
				Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__RawBatchPutRequest *put = arena_alloc(arena, sizeof(*put));
	Kvrpcpb__KvPair *pairs = arena_alloc(arena, n * sizeof(*pairs));

	kvrpcpb__raw_batch_put_request__init(put);
	put->context = context;
	put->n_pairs = n;
	put->n_ttls = 1;
	put->ttls = arena_alloc(arena, sizeof(*put->ttls));
	put->ttls[0] = write->ttl;
	put->pairs = arena_alloc(arena, n * sizeof(*put->pairs));
	for (int i = 0; i < n; i++)
	{
		kvrpcpb__kv_pair__init(&pairs[i]);
		pairs[i].key = bytes_wire(write->keys[from + i]);
		pairs[i].value = bytes_wire(write->values[from + i]);
		put->pairs[i] = &pairs[i];
	}
	return &put->base;
}

ProtobufCMessage *
sql_build_batch_delete(const SqlWrite *write, int from, int n,
					   Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__RawBatchDeleteRequest *del = arena_alloc(arena, sizeof(*del));

	kvrpcpb__raw_batch_delete_request__init(del);
	del->context = context;
	del->n_keys = n;
	del->keys = arena_alloc(arena, n * sizeof(*del->keys));
	for (int i = 0; i < n; i++)
		del->keys[i] = bytes_wire(write->keys[from + i]);
	return &del->base;
}

/* -------------------------------------------------------------- functions */

static void
put_one(FunctionCallInfo fcinfo, const char *function, int method)
{
	Bytes key = sql_stored_key(not_null_argument(fcinfo, 0, "key"));
	Bytes value = not_null_argument(fcinfo, 1, "value");
	SqlWrite write = {
		.function = function,
		.method = method,
		.response = &kvrpcpb__raw_put_response__descriptor,
		.keys = &key,
		.values = &value,
		.n = 1,
		.ttl = ttl_argument(fcinfo, 2),
		.build = build_put,
	};

	sql_write(&write);
}

Datum
tikv_put(PG_FUNCTION_ARGS)
{
	put_one(fcinfo, "tikv_put()", METHOD_RAW_PUT);
	PG_RETURN_VOID();
}

/* Over the bus only: the raw API has no insert. */
Datum
tikv_insert(PG_FUNCTION_ARGS)
{
	put_one(fcinfo, "tikv_insert()", METHOD_SQL_INSERT);
	PG_RETURN_VOID();
}

Datum
tikv_delete(PG_FUNCTION_ARGS)
{
	Bytes key = sql_stored_key(not_null_argument(fcinfo, 0, "key"));
	SqlWrite write = {
		.function = "tikv_delete()",
		.method = METHOD_RAW_DELETE,
		.response = &kvrpcpb__raw_delete_response__descriptor,
		.keys = &key,
		.n = 1,
		.build = build_delete,
	};

	sql_write(&write);
	PG_RETURN_VOID();
}

/* Like not_null_argument, of many. */
static Bytes *
array_argument(FunctionCallInfo fcinfo, int argument, const char *what, int *n)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the %s are null", what)));
	return bytea_array(PG_GETARG_DATUM(argument), what, n);
}

Datum
tikv_batch_put(PG_FUNCTION_ARGS)
{
	int n_values;
	Bytes *keys;
	SqlWrite write = {
		.function = "tikv_batch_put()",
		.method = METHOD_RAW_BATCH_PUT,
		.response = &kvrpcpb__raw_batch_put_response__descriptor,
		.build = build_batch_put,
	};

	keys = array_argument(fcinfo, 0, "keys", &write.n);
	write.values = array_argument(fcinfo, 1, "values", &n_values);
	if (write.n != n_values)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are %d keys and %d values", write.n, n_values)));
	write.ttl = ttl_argument(fcinfo, 2);
	sql_stored_keys(keys, write.n);
	write.keys = keys;
	sql_write(&write);
	PG_RETURN_VOID();
}

Datum
tikv_batch_delete(PG_FUNCTION_ARGS)
{
	Bytes *keys;
	SqlWrite write = {
		.function = "tikv_batch_delete()",
		.method = METHOD_RAW_BATCH_DELETE,
		.response = &kvrpcpb__raw_batch_delete_response__descriptor,
		.build = sql_build_batch_delete,
	};

	keys = bytea_array(PG_GETARG_DATUM(0), "keys", &write.n);
	sql_stored_keys(keys, write.n);
	write.keys = keys;
	sql_write(&write);
	PG_RETURN_VOID();
}
