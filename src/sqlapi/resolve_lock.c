/*
 * resolve_lock.c
 *	  tikv_resolve_lock(): do for a key what a client does that meets its lock.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "sqlapi/txn_internal.h"

PG_FUNCTION_INFO_V1(tikv_resolve_lock);

/* The lock of a key, if it has one. */
static bool
find_lock(TxnSession *session, Bytes key, LockInfo *info)
{
	memset(info, 0, sizeof(*info));
	if (!txn_stored_lock(key, &session->arena, &info->lock))
		return false;
	info->key = key;
	info->ttl_ms = info->lock.ttl_ms;
	return true;
}

/*
 * Forced, the lock counts as expired whatever its age: its transaction is
 * rolled back if it has not committed.
 */
static void
expire(LockInfo *info)
{
	info->ttl_ms = 0;
	for (size_t i = 0; i < info->lock.n_members; i++)
		info->lock.members[i].ttl_ms = 0;
}

static const char *
resolve(TxnSession *session, LockInfo *info)
{
	ClientResolve result;
	Backoff backoff;

	backoff_init(&backoff, BACKOFF_CLEANUP_MS, session->client.random++);
	client_resolve(&session->client, info, 0, &backoff, &session->arena,
				   &result);
	switch (result.outcome)
	{
		case RESOLVE_GONE:
			return "resolved";
		case RESOLVE_ALIVE:
		case RESOLVE_PUSHED:
			return "alive";
		case RESOLVE_FAILED:
			break;
	}
	txn_report(&result.result);
}

Datum
tikv_resolve_lock(PG_FUNCTION_ARGS)
{
	TxnSession *session = txn_session("tikv_resolve_lock()", true);
	Bytes key = txn_stored_key(bytea_bytes(PG_GETARG_DATUM(0)));
	bool force = PG_GETARG_BOOL(1);
	LockInfo info;

	txn_check_key(key);
	txn_begin_call(session);
	if (!find_lock(session, key, &info))
		PG_RETURN_TEXT_P(cstring_to_text("not locked"));
	if (force)
		expire(&info);
	PG_RETURN_TEXT_P(cstring_to_text(resolve(session, &info)));
}
