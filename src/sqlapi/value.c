/*
 * value.c
 *	  Between SQL's arguments and bytea, and the core's Bytes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"

#include "guc.h"
#include "sqlapi/sqlapi.h"

#define KEY_SHOWN 64 /* bytes */

Bytes
bytea_bytes(Datum datum)
{
	bytea *value = DatumGetByteaPP(datum);

	return bytes_make(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

ProtobufCBinaryData
bytes_wire(Bytes bytes)
{
	ProtobufCBinaryData wire = {bytes.len, unconstify(uint8 *, bytes.data)};

	return wire;
}

/* A write that silently does nothing would be worse than an error. */
Bytes
not_null_argument(FunctionCallInfo fcinfo, int argument, const char *what)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the %s is null", what)));
	return bytea_bytes(PG_GETARG_DATUM(argument));
}

Bytes *
bytea_array(Datum array, const char *what, int *n)
{
	Datum *elements;
	bool *nulls;
	Bytes *out;

	deconstruct_array(DatumGetArrayTypeP(array), BYTEAOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, n);
	out = palloc(sizeof(Bytes) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("element %d of the %s is null", i + 1, what)));
		out[i] = bytea_bytes(elements[i]);
	}
	return out;
}

void
check_key_length(Bytes key)
{
	if (key.len > (size_t) tikv_fdw_settings.max_key_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key is too long"),
				 errdetail("It has %zu bytes; tikv.max_key_size is %d.",
						   key.len, tikv_fdw_settings.max_key_size)));
}

/*
 * One arena for the session: an error in between leaves to the next call
 * what it would have freed.
 */
Arena *
call_arena(void)
{
	static Arena arena;
	static bool ready;

	if (!ready)
	{
		arena_init(&arena);
		ready = true;
	}
	arena_reset(&arena);
	return &arena;
}

Bytes
bound_copy(MemoryContext context, Bytes key, bool after)
{
	uint8 *copy = MemoryContextAllocHuge(context, key.len + 1);

	if (key.len > 0)
		memcpy(copy, key.data, key.len);
	copy[key.len] = 0;
	return bytes_make(copy, key.len + (after ? 1 : 0));
}

void
bound_move(MemoryContext context, Bytes *bound, Bytes key, bool after)
{
	uint8 *old = unconstify(uint8 *, bound->data);

	*bound = bound_copy(context, key, after);
	pfree(old);
}

Bytes
bytes_copy(Bytes from)
{
	return bound_copy(CurrentMemoryContext, from, false);
}

char *
key_text(Bytes key)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "\\x");
	for (size_t i = 0; i < key.len && i < KEY_SHOWN; i++)
		appendStringInfo(&text, "%02x", key.data[i]);
	if (key.len > KEY_SHOWN)
		appendStringInfoString(&text, "...");
	return text.data;
}

int64
limit_argument(FunctionCallInfo fcinfo)
{
	int64 limit;

	if (PG_ARGISNULL(2))
		return PG_INT64_MAX;
	limit = PG_GETARG_INT64(2);
	if (limit < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the limit of a scan must not be negative")));
	return limit;
}
