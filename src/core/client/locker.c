/*
 * locker.c
 *	  Pessimistic locks: taken at once, or the answer is who holds one.
 *
 * Source: tikv/client-go txnkv/transaction/pessimistic.go.
 */
#include "core/client/client.h"

/*
 * The lock that was met: true if it may be tried for again.  Locks of the dead
 * are ended here; who lives is the caller's to wait for.
 */
static bool
met(Client *client, const LockInfo *lock, Backoff *backoff, Arena *arena,
	Locker *locker)
{
	ClientResolve resolve;

	client_resolve(client, lock, 0, backoff, arena, &resolve);
	switch (resolve.outcome)
	{
		case RESOLVE_GONE:
			return true;
		case RESOLVE_ALIVE:
		case RESOLVE_PUSHED:
			locker->outcome = LOCKER_BUSY;
			locker->lock = *lock;
			return false;
		case RESOLVE_FAILED:
			locker->outcome = LOCKER_FAILED;
			locker->result = resolve.result;
			return false;
	}
	return false;
}

void
client_lock(Client *client, const PessimisticLockCommand *command,
			Backoff *backoff, Arena *arena, Locker *locker)
{
	TxnCommand call = {.kind = TXN_CMD_PESSIMISTIC_LOCK,
					   .pessimistic_lock = *command};
	ClientResult *result = &locker->result;

	for (;;)
	{
		memset(locker, 0, sizeof(*locker));
		client_call(client, &call, backoff, arena, result);
		if (result->outcome == CLIENT_OK)
		{
			locker->outcome = LOCKER_OK;
			return;
		}
		if (result->outcome != CLIENT_REFUSED ||
			(result->error.kind != TXN_KEY_IS_LOCKED &&
			 result->error.kind != TXN_WRITE_CONFLICT))
		{
			locker->outcome = LOCKER_FAILED;
			return;
		}
		if (result->error.kind == TXN_WRITE_CONFLICT)
		{
			locker->outcome = LOCKER_CONFLICT;
			return;
		}
		if (!met(client, &result->error.lock, backoff, arena, locker))
			return;
	}
}
