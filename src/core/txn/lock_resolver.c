/*
 * lock_resolver.c
 *	  What to ask, and then to do, about a lock whose transaction may be dead.
 */
#include "core/txn/lock_resolver.h"

#include "core/base/check.h"

/* ------------------------------------------------------------- questions */

/*
 * While the lock may live, so may the request that is yet to write its
 * primary: only after that is a missing primary a sign of death.
 */
static bool
has_expired(const LockResolver *resolver)
{
	return resolver->current_ts == UINT64_MAX ||
		txn_lock_expiry(&resolver->lock.lock) <
		txn_physical(resolver->current_ts);
}

static void
ask_primary(LockResolver *resolver)
{
	CheckTxnStatusCommand *check = &resolver->command.check_txn_status;
	const Lock *lock = &resolver->lock.lock;

	resolver->state = LOCK_RESOLVER_ASKS_PRIMARY;
	memset(&resolver->command, 0, sizeof(resolver->command));
	resolver->command.kind = TXN_CMD_CHECK_TXN_STATUS;
	check->primary_key = lock->primary;
	check->lock_ts = lock->start_ts;
	check->caller_start_ts = resolver->caller_start_ts;
	check->current_ts = resolver->current_ts;
	check->rollback_if_not_exist = has_expired(resolver);
	check->force_sync_commit = resolver->force_sync_commit;
	check->resolving_pessimistic_lock = lock->type == LOCK_TYPE_PESSIMISTIC;
	check->verify_is_primary = true;
}

/* The next keys for a command: all, or one. */
static size_t
name_keys(LockResolver *resolver, const Bytes **keys)
{
	size_t n = resolver->n_keys - resolver->n_named;

	if (resolver->one_by_one && n > 1)
		n = 1;
	*keys = resolver->keys + resolver->n_named;
	resolver->n_named += n;
	return n;
}

static void
ask_next_secondaries(LockResolver *resolver)
{
	CheckSecondaryLocksCommand *check =
		&resolver->command.check_secondary_locks;

	memset(&resolver->command, 0, sizeof(resolver->command));
	resolver->command.kind = TXN_CMD_CHECK_SECONDARY_LOCKS;
	check->n_keys = name_keys(resolver, &check->keys);
	check->start_ts = resolver->lock.lock.start_ts;
}

/* It commits at the greatest min_commit_ts of all its locks. */
static void
ask_secondaries(LockResolver *resolver)
{
	const Lock *primary = &resolver->primary.lock;

	resolver->state = LOCK_RESOLVER_ASKS_SECONDARIES;
	resolver->fate.commit_ts = primary->min_commit_ts;
	resolver->keys = primary->secondaries;
	resolver->n_keys = primary->n_secondaries;
	resolver->n_named = 0;
	ask_next_secondaries(resolver);
}

/* ---------------------------------------------------------------- endings */

/* A pessimistic lock carries no data: it goes, whatever became of the rest. */
static void
end_pessimistic_lock(LockResolver *resolver)
{
	PessimisticRollbackCommand *rollback =
		&resolver->command.pessimistic_rollback;
	const Lock *lock = &resolver->lock.lock;

	resolver->command.kind = TXN_CMD_PESSIMISTIC_ROLLBACK;
	rollback->keys = &resolver->lock.key;
	rollback->n_keys = 1;
	rollback->start_ts = lock->start_ts;
	rollback->for_update_ts =
		lock->for_update_ts == 0 ? UINT64_MAX : lock->for_update_ts;
}

/* An async commit has no commit point: all its keys end together. */
static void
list_keys(LockResolver *resolver)
{
	const LockInfo *primary = &resolver->primary;
	size_t n = primary->lock.n_secondaries;
	Bytes *keys = arena_alloc(resolver->arena, (n + 2) * sizeof(Bytes));
	size_t n_keys = 0;

	keys[n_keys++] = resolver->lock.key;
	if (primary->lock.use_async_commit && !resolver->force_sync_commit)
	{
		if (!bytes_eq(resolver->lock.lock.primary, resolver->lock.key))
			keys[n_keys++] = resolver->lock.lock.primary;
		for (size_t i = 0; i < n; i++)
			if (!bytes_eq(primary->lock.secondaries[i], resolver->lock.key))
				keys[n_keys++] = primary->lock.secondaries[i];
	}
	resolver->keys = keys;
	resolver->n_keys = n_keys;
	resolver->n_named = 0;
}

static LockResolverStep
end_next_keys(LockResolver *resolver)
{
	ResolveLockCommand *resolve = &resolver->command.resolve_lock;

	memset(&resolver->command, 0, sizeof(resolver->command));
	resolver->command.kind = TXN_CMD_RESOLVE_LOCK;
	resolve->txns = &resolver->fate;
	resolve->n_txns = 1;
	resolve->n_keys = name_keys(resolver, &resolve->keys);
	return LOCK_RESOLVER_RUN;
}

static LockResolverStep
end_lock(LockResolver *resolver)
{
	resolver->state = LOCK_RESOLVER_ENDS_LOCK;
	if (resolver->lock.lock.type != LOCK_TYPE_PESSIMISTIC)
	{
		list_keys(resolver);
		return end_next_keys(resolver);
	}
	memset(&resolver->command, 0, sizeof(resolver->command));
	end_pessimistic_lock(resolver);
	resolver->n_named = resolver->n_keys;
	return LOCK_RESOLVER_RUN;
}

static LockResolverStep
fail(LockResolver *resolver, const TxnError *error)
{
	resolver->error = *error;
	return LOCK_RESOLVER_FAILED;
}

/* ---------------------------------------------------------------- answers */

/* Commits, if every key is still locked. */
static LockResolverStep
take_secondaries(LockResolver *resolver, const TxnAnswer *answer)
{
	if (answer->n_errors > 0)
		return fail(resolver, &answer->errors[0]);
	if (answer->n_locks < resolver->command.check_secondary_locks.n_keys)
	{
		resolver->fate.commit_ts = answer->commit_ts;
		return end_lock(resolver);
	}
	for (size_t i = 0; i < answer->n_locks; i++)
	{
		const Lock *lock = &answer->locks[i].lock;

		/* One of them fell back: the transaction is a two-phase one. */
		if (!lock->use_async_commit)
		{
			resolver->force_sync_commit = true;
			ask_primary(resolver);
			return LOCK_RESOLVER_RUN;
		}
		if (lock->min_commit_ts > resolver->fate.commit_ts)
			resolver->fate.commit_ts = lock->min_commit_ts;
	}
	if (resolver->n_named == resolver->n_keys)
		return end_lock(resolver);
	ask_next_secondaries(resolver);
	return LOCK_RESOLVER_RUN;
}

static LockResolverStep
take_primary(LockResolver *resolver, const TxnAnswer *answer)
{
	bool async = answer->has_lock && answer->lock.lock.use_async_commit &&
		!resolver->force_sync_commit;

	if (answer->n_errors > 0)
	{
		/* The key named another primary since: its lock means nothing. */
		if (answer->errors[0].kind == TXN_PRIMARY_MISMATCH &&
			resolver->lock.lock.type == LOCK_TYPE_PESSIMISTIC)
			return end_lock(resolver);
		if (answer->errors[0].kind == TXN_TXN_NOT_FOUND &&
			!has_expired(resolver))
		{
			resolver->lock_ttl_ms = resolver->lock.lock.ttl_ms;
			return LOCK_RESOLVER_ALIVE;
		}
		return fail(resolver, &answer->errors[0]);
	}
	if (async &&
		(answer->lock_ttl_ms == 0 ||
		 txn_lock_expiry(&answer->lock.lock) <
			 txn_physical(resolver->current_ts)))
	{
		lock_copy(&answer->lock.lock, resolver->arena, &resolver->primary.lock);
		ask_secondaries(resolver);
		return LOCK_RESOLVER_RUN;
	}
	if (answer->lock_ttl_ms > 0)
	{
		resolver->lock_ttl_ms = answer->lock_ttl_ms;
		resolver->pushed = answer->action == ACTION_MIN_COMMIT_TS_PUSHED;
		return LOCK_RESOLVER_ALIVE;
	}
	resolver->fate.commit_ts = answer->commit_ts;
	return end_lock(resolver);
}

void
lock_resolver_begin(LockResolver *resolver, const LockInfo *lock,
					uint64_t caller_start_ts, uint64_t current_ts, Arena *arena)
{
	memset(resolver, 0, sizeof(*resolver));
	resolver->lock = *lock;
	resolver->caller_start_ts = caller_start_ts;
	resolver->current_ts = current_ts;
	resolver->arena = arena;
	resolver->fate.start_ts = lock->lock.start_ts;
	ask_primary(resolver);
}

LockResolverStep
lock_resolver_next(LockResolver *resolver, const TxnAnswer *answer)
{
	switch (resolver->state)
	{
		case LOCK_RESOLVER_ASKS_PRIMARY:
			return take_primary(resolver, answer);
		case LOCK_RESOLVER_ASKS_SECONDARIES:
			return take_secondaries(resolver, answer);
		case LOCK_RESOLVER_ENDS_LOCK:
			if (answer->n_errors > 0)
				return fail(resolver, &answer->errors[0]);
			if (resolver->n_named < resolver->n_keys)
				return end_next_keys(resolver);
			return LOCK_RESOLVER_DONE;
	}
	CHECK(false);
	return LOCK_RESOLVER_FAILED;
}
