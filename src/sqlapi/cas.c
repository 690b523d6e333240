/*
 * cas.c
 *	  tikv_cas: compare and swap.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "service/service.h"
#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_cas);

/* What the function was called with, and what the store answered. */
typedef struct Swap
{
	bool expects_absent;
	Bytes expected;
	bool deletes;
	bool swapped;
	bool existed;
	bytea *previous;
} Swap;

static ProtobufCMessage *
build_cas(const SqlWrite *write, int from, int n, Kvrpcpb__Context *context,
		  Arena *arena)
{
	const Swap *swap = write->arg;
	Kvrpcpb__RawCASRequest *cas = arena_alloc(arena, sizeof(*cas));

	(void) n;
	kvrpcpb__raw_casrequest__init(cas);
	cas->context = context;
	cas->key = bytes_wire(write->keys[from]);
	cas->value = bytes_wire(write->values[from]);
	cas->previous_not_exist = swap->expects_absent;
	cas->previous_value = bytes_wire(swap->expected);
	cas->ttl = write->ttl;
	cas->delete_ = swap->deletes;
	return &cas->base;
}

static void
take_answer(const SqlWrite *write, const ProtobufCMessage *message)
{
	const Kvrpcpb__RawCASResponse *reply = (const void *) message;
	Swap *swap = write->arg;

	swap->swapped = reply->succeed;
	swap->existed = !reply->previous_not_exist;
	if (swap->existed)
		swap->previous =
			DatumGetByteaPP(bytea_datum(bytes_make(reply->previous_value.data,
												   reply->previous_value.len)));
}

static Datum
answer_row(FunctionCallInfo fcinfo, const Swap *swap)
{
	TupleDesc desc;
	Datum values[2];
	bool nulls[2] = {false, !swap->existed};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "tikv_cas must return a row");
	values[0] = BoolGetDatum(swap->swapped);
	values[1] = PointerGetDatum(swap->previous);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}

/* NULL as the expected value is no key; as the new one, delete it. */
Datum
tikv_cas(PG_FUNCTION_ARGS)
{
	Bytes key = sql_stored_key(not_null_argument(fcinfo, 0, "key"));
	Bytes value = bytes_empty();
	Swap swap = {
		.expects_absent = PG_ARGISNULL(1),
		.deletes = PG_ARGISNULL(2),
	};
	SqlWrite write = {
		.function = "tikv_cas()",
		.method = METHOD_RAW_CAS,
		.response = &kvrpcpb__raw_casresponse__descriptor,
		.keys = &key,
		.values = &value,
		.n = 1,
		.build = build_cas,
		.take = take_answer,
		.arg = &swap,
	};

	sql_need_read(fcinfo, "tikv_get", "tikv_cas");
	grants_need_keys(GetUserId(), GRANT_READ, &key, 1);
	if (!swap.expects_absent)
		swap.expected = bytea_bytes(PG_GETARG_DATUM(1));
	if (!swap.deletes)
		value = bytea_bytes(PG_GETARG_DATUM(2));
	write.ttl = ttl_argument(fcinfo, 3);
	sql_write(&write);
	PG_RETURN_DATUM(answer_row(fcinfo, &swap));
}
