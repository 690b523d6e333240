/*
 * get.c
 *	  tikv_get and tikv_batch_get: keys read by the session itself.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_get);
PG_FUNCTION_INFO_V1(tikv_batch_get);

Datum
tikv_get(PG_FUNCTION_ARGS)
{
	Bytes key = sql_stored_key(bytea_bytes(PG_GETARG_DATUM(0)));
	SqlRound round;
	RawPair pair;
	Arena *arena;
	Datum value = (Datum) 0;
	bool found;

	PreventCommandIfParallelMode("tikv_get()");
	check_key_length(key);
	grants_need_keys(GetUserId(), GRANT_READ, &key, 1);
	arena = call_arena();
	sql_round_begin(&round, &key, 1, false);
	found = round.reader->get(round.reader, RAW_CF_DEFAULT, key, arena, &pair);
	if (found)
		value = bytea_datum(pair.value);
	sql_round_end(&round);
	arena_reset(arena);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/* One row per key that exists, in the order of the keys. */
static void
put_pairs(ReturnSetInfo *result, RawReader *reader, const Bytes *keys, int n)
{
	for (int i = 0; i < n; i++)
	{
		Arena *arena = call_arena();
		RawPair pair;
		Datum values[2];
		bool nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		if (!reader->get(reader, RAW_CF_DEFAULT, keys[i], arena, &pair))
			continue;
		values[0] = bytea_datum(sql_user_key(keys[i]));
		values[1] = bytea_datum(pair.value);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		pfree(DatumGetPointer(values[0]));
		pfree(DatumGetPointer(values[1]));
	}
	(void) call_arena();
}

Datum
tikv_batch_get(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SqlRound round;
	Bytes *keys;
	int n;

	PreventCommandIfParallelMode("tikv_batch_get()");
	keys = bytea_array(PG_GETARG_DATUM(0), "keys", &n);
	sql_stored_keys(keys, n);
	for (int i = 0; i < n; i++)
		check_key_length(keys[i]);
	grants_need_keys(GetUserId(), GRANT_READ, keys, n);
	InitMaterializedSRF(fcinfo, 0);
	sql_round_begin(&round, keys, n, false);
	put_pairs(result, round.reader, keys, n);
	sql_round_end(&round);
	return (Datum) 0;
}
