/*
 * resolve.c
 *	  A lock is in the way: ask what became of its transaction, and end it if
 *	  that is dead.
 *
 * The rules are core/txn/lock_resolver's; here its commands go to where their
 * keys are.
 */
#include "core/client/client.h"

#include "core/txn/lock_resolver.h"

/* A lock that lives for 0 ms is to be resolved whatever its age (8.2). */
static bool
now_for(Client *client, const LockInfo *lock, uint64_t *current_ts)
{
	if (lock->ttl_ms == 0)
	{
		*current_ts = UINT64_MAX;
		return true;
	}
	return client->io->timestamp(client->io, current_ts);
}

static void
resolve_one(Client *client, const LockInfo *lock, uint64_t caller_start_ts,
			Backoff *backoff, Arena *arena, ClientResolve *resolve)
{
	LockResolverStep step = LOCK_RESOLVER_RUN;
	LockResolver resolver;
	uint64_t current_ts;

	resolve->outcome = RESOLVE_FAILED;
	resolve->start_ts = lock->lock.start_ts;
	if (!now_for(client, lock, &current_ts))
	{
		resolve->result.outcome = CLIENT_GAVE_UP;
		return;
	}
	lock_resolver_begin(&resolver, lock, caller_start_ts, current_ts, arena);
	while (step == LOCK_RESOLVER_RUN)
	{
		ClientResult *result = &resolve->result;

		client_run(client, &resolver.command, backoff, arena, result);
		if (result->outcome != CLIENT_OK && result->outcome != CLIENT_REFUSED)
			return;
		step = lock_resolver_next(&resolver, &result->answer);
	}
	if (step == LOCK_RESOLVER_DONE)
	{
		resolve->outcome = RESOLVE_GONE;
		resolve->decided = lock->lock.type != LOCK_TYPE_PESSIMISTIC;
		resolve->commit_ts = resolver.fate.commit_ts;
	}
	else if (step == LOCK_RESOLVER_ALIVE)
	{
		resolve->outcome = resolver.pushed ? RESOLVE_PUSHED : RESOLVE_ALIVE;
		resolve->ttl_ms = resolver.lock_ttl_ms;
	}
	else
	{
		resolve->result.outcome = CLIENT_REFUSED;
		resolve->result.error = resolver.error;
	}
}

void
client_resolve(Client *client, const LockInfo *lock, uint64_t caller_start_ts,
			   Backoff *backoff, Arena *arena, ClientResolve *resolve)
{
	memset(resolve, 0, sizeof(*resolve));
	if (lock->lock.type != LOCK_TYPE_SHARED)
	{
		resolve_one(client, lock, caller_start_ts, backoff, arena, resolve);
		return;
	}
	/* All that share it must be gone; the first one alive decides. */
	for (size_t i = 0; i < lock->lock.n_members; i++)
	{
		LockInfo member = {.key = lock->key,
						   .lock = lock->lock.members[i],
						   .ttl_ms = lock->lock.members[i].ttl_ms};

		resolve_one(client, &member, caller_start_ts, backoff, arena, resolve);
		if (resolve->outcome != RESOLVE_GONE)
			return;
	}
	resolve->decided = false;
	resolve->outcome = RESOLVE_GONE;
}
