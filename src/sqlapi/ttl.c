/*
 * ttl.c
 *	  Times to live: the argument of the functions that write, and tikv_ttl.
 */
#include "postgres.h"

#include <time.h>

#include "access/parallel.h"
#include "core/kv/expiry.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"

PG_FUNCTION_INFO_V1(tikv_ttl);

static void
need_ttl(void)
{
	if (api_has_ttl(sql_api()))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("keys of this store do not expire"),
		 errhint(
			 "Set tikv.enable_ttl = on, or tikv.api_version = 2, before there are data.")));
}

uint64
ttl_seconds(int64 ttl)
{
	if (ttl < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a time to live must not be negative")));
	if (ttl > 0)
		need_ttl();
	return (uint64) ttl;
}

/*
 * NULL and 0 mean that the key never expires.  A function of the extension's
 * version 0.1 has no such argument; it is refused a little later.
 */
uint64
ttl_argument(FunctionCallInfo fcinfo, int argument)
{
	return ttl_seconds(argument >= PG_NARGS() || PG_ARGISNULL(argument) ?
						   0 :
						   PG_GETARG_INT64(argument));
}

Datum
tikv_ttl(PG_FUNCTION_ARGS)
{
	Bytes key = sql_stored_key(bytea_bytes(PG_GETARG_DATUM(0)));
	int64 now_s = (int64) time(NULL);
	SqlRound round;
	RawPair pair;
	Arena *arena;
	uint64 left;
	bool found;

	PreventCommandIfParallelMode("tikv_ttl()");
	check_key_length(key);
	need_ttl();
	grants_need_keys(GetUserId(), GRANT_READ, &key, 1);
	arena = call_arena();
	sql_round_begin(&round, &key, 1, false);
	sql_round_want_ttl(&round);
	found =
		round.reader->get(round.reader, RAW_CF_DEFAULT, key, arena, &pair) &&
		!expiry_passed(pair.expires_at, now_s);
	sql_round_end(&round);
	arena_reset(arena);
	if (!found)
		PG_RETURN_NULL();
	left = expiry_left_s(pair.expires_at, now_s);
	PG_RETURN_INT64((int64) Min(left, (uint64) PG_INT64_MAX));
}
