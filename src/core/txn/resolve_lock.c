/*
 * resolve_lock.c
 *	  KvResolveLock: end the locks of transactions whose fate is known
 *	  (txn-semantics 13).
 *
 * The full and the batch form walk the region's durable locks in slices; the
 * lite form takes the keys it is given.  In-memory pessimistic locks are left
 * alone by the walk, as in TiKV: a committed transaction needs none of them.
 * Source: tikv/tikv src/storage/txn/commands/resolve_lock{,_lite,_readphase}.rs.
 */
#include <stdlib.h>

#include "core/txn/lock_slice.h"
#include "core/txn/pending.h"

static int
txn_cmp(const void *a, const void *b)
{
	uint64_t x = ((const TxnStatusOf *) a)->start_ts;
	uint64_t y = ((const TxnStatusOf *) b)->start_ts;

	return (x > y) - (x < y);
}

static const TxnStatusOf *
find_txn(const ResolveLockCommand *command, uint64_t start_ts)
{
	TxnStatusOf wanted = {.start_ts = start_ts};

	if (command->n_txns == 0)
		return NULL;
	return bsearch(&wanted, command->txns, command->n_txns, sizeof(wanted),
				   txn_cmp);
}

static bool
is_wanted(const void *arg, const Lock *lock)
{
	const ResolveLockCommand *command = arg;

	if (lock->type != LOCK_TYPE_SHARED)
		return find_txn(command, lock->start_ts) != NULL;
	for (size_t i = 0; i < lock->n_members; i++)
		if (find_txn(command, lock->members[i].start_ts) != NULL)
			return true;
	return false;
}

static bool
fail(TxnEnv *env, TxnAnswer *answer, const TxnError *error)
{
	*txn_add_error(env, answer, error->kind) = *error;
	return false;
}

/* Note a commit once per slice, not once per lock. */
static void
know(TxnEnv *env, const TxnStatusOf *txn)
{
	const TxnEffects *effects = env->effects;

	for (size_t i = 0; i < effects->n_known; i++)
		if (effects->known[i].start_ts == txn->start_ts)
			return;
	effects_know(env->effects, txn->start_ts, txn->commit_ts);
}

/* One scanned lock, alone or a member of a container. */
static bool
resolve(TxnEnv *env, Bytes key, const Lock *lock, const TxnStatusOf *txn,
		TxnAnswer *answer)
{
	TxnError error = {0};

	if (txn->commit_ts == 0)
		return txn_cleanup_key(env, key, txn->start_ts, 0, false, &error) ||
			fail(env, answer, &error);
	if (txn->commit_ts <= txn->start_ts)
	{
		error.kind = TXN_INVALID_TXN_TSO;
		error.start_ts = txn->start_ts;
		error.commit_ts = txn->commit_ts;
		return fail(env, answer, &error);
	}
	if (txn_commit_key(env, key, txn->start_ts, txn->commit_ts, &error))
	{
		know(env, txn);
		return true;
	}
	/* A retried statement left it, and it has gone since the scan. */
	if (error.kind == TXN_LOCK_NOT_FOUND && lock->type == LOCK_TYPE_PESSIMISTIC)
		return true;
	return fail(env, answer, &error);
}

/* The members see what was done for those before them. */
static bool
resolve_shared(TxnEnv *env, const ResolveLockCommand *command, Bytes key,
			   const Lock *lock, TxnAnswer *answer)
{
	TxnEnv inner = *env;
	PendingReader pending;

	pending_init(&pending, env->reader, env->effects, key);
	inner.reader = &pending.reader;
	for (size_t i = 0; i < lock->n_members; i++)
	{
		const Lock *member = &lock->members[i];
		const TxnStatusOf *txn = find_txn(command, member->start_ts);

		if (txn != NULL && !resolve(&inner, key, member, txn, answer))
			return false;
	}
	return true;
}

static bool
resolve_key(TxnEnv *env, const ResolveLockCommand *command, Bytes key,
			const Lock *lock, TxnAnswer *answer)
{
	if (lock->type == LOCK_TYPE_SHARED)
		return resolve_shared(env, command, key, lock, answer);
	return resolve(env, key, lock, find_txn(command, lock->start_ts), answer);
}

static void
resolve_region(TxnEnv *env, ResolveLockCommand *command, TxnAnswer *answer)
{
	LockSlice *slice = arena_alloc(env->arena, sizeof(LockSlice));

	lock_slice_read(env, command->cursor, false, is_wanted, command, slice);
	for (size_t i = 0; i < slice->n; i++)
	{
		if (!resolve_key(env, command, slice->keys[i], &slice->locks[i],
						 answer))
			return;
		if (env->effects->bytes >= TXN_SLICE_BYTES &&
			(i + 1 < slice->n || slice->more))
		{
			answer->more = true;
			command->cursor = lock_slice_after(env, slice->keys[i]);
			return;
		}
	}
	answer->more = slice->more;
	command->cursor = slice->next;
}

/* Here nobody compares the timestamps, and no error is passed over. */
static void
resolve_keys(TxnEnv *env, const ResolveLockCommand *command, TxnAnswer *answer)
{
	const TxnStatusOf *txn = command->txns;
	TxnError error;

	if (command->n_txns != 1 || txn->start_ts == 0)
	{
		/* TiKV ends its process here. */
		txn_add_error(env, answer, TXN_ABORT)->text =
			"resolving given keys needs a start_version";
		return;
	}
	for (size_t i = 0; i < command->n_keys && txn_may_go_on(env, answer); i++)
	{
		bool done = txn->commit_ts == 0 ?
			txn_cleanup_key(env, command->keys[i], txn->start_ts, 0, false,
							&error) :
			txn_commit_key(env, command->keys[i], txn->start_ts, txn->commit_ts,
						   &error);

		if (!done)
		{
			(void) fail(env, answer, &error);
			return;
		}
	}
	if (txn->commit_ts != 0 && answer->n_errors == 0)
		know(env, txn);
}

void
txn_resolve_lock(TxnEnv *env, ResolveLockCommand *command, TxnAnswer *answer)
{
	if (command->n_keys > 0)
		resolve_keys(env, command, answer);
	else
		resolve_region(env, command, answer);
}
