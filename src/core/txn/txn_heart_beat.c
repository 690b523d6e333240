/*
 * txn_heart_beat.c
 *	  KvTxnHeartBeat: a transaction says that it lives (txn-semantics 14).
 *
 * Source: tikv/tikv src/storage/txn/commands/txn_heart_beat.rs.
 */
#include "core/txn/command.h"

/* The lock's end only moves on.  True if anything changed. */
static bool
prolong(const TxnHeartBeatCommand *command, Lock *lock)
{
	bool changed = false;

	if (lock->ttl_ms < command->advise_lock_ttl_ms)
	{
		lock->ttl_ms = command->advise_lock_ttl_ms;
		changed = true;
	}
	if (!lock->use_async_commit && lock->generation > 0 &&
		lock->min_commit_ts < command->min_commit_ts)
	{
		lock->min_commit_ts = command->min_commit_ts;
		changed = true;
	}
	return changed;
}

void
txn_heart_beat(TxnEnv *env, const TxnHeartBeatCommand *command,
			   TxnAnswer *answer)
{
	Bytes key = command->primary_key;
	Lock lock;
	TxnError *error;

	if (!env->reader->get_lock(env->reader, key, env->arena, &lock) ||
		txn_own_lock(&lock, command->start_ts) == NULL)
	{
		error = txn_add_error(env, answer, TXN_TXN_NOT_FOUND);
		error->key = key;
		error->start_ts = command->start_ts;
		return;
	}
	/* A primary is never shared. */
	if (lock.type == LOCK_TYPE_SHARED)
	{
		error = txn_add_error(env, answer, TXN_PRIMARY_MISMATCH);
		txn_lock_info(key, &lock, &error->lock);
		return;
	}
	if (prolong(command, &lock))
		effects_put_lock(env->effects, key, &lock);
	answer->lock_ttl_ms = lock.ttl_ms;
	answer->has_lock = true;
	txn_lock_info(key, &lock, &answer->lock);
}
