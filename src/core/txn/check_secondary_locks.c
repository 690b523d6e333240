/*
 * check_secondary_locks.c
 *	  KvCheckSecondaryLocks: can an async-commit transaction still commit
 *	  (txn-semantics 12)?
 *
 * A secondary without a prewritten lock is rolled back for good, so that no
 * late prewrite can turn the answer around.
 * Source: tikv/tikv src/storage/txn/commands/check_secondary_locks.rs.
 */
#include "core/txn/command.h"

typedef enum SecondaryStatus
{
	SECONDARY_LOCKED,
	SECONDARY_COMMITTED,
	SECONDARY_ROLLED_BACK
} SecondaryStatus;

/* `lock` is the key's, own or not, or NULL. */
static SecondaryStatus
settle(TxnEnv *env, Bytes key, uint64_t start_ts, const Lock *lock, bool own,
	   uint64_t *commit_ts)
{
	CommitRecord record;

	if (own)
		effects_release(env->effects, key, lock, 0);
	mvcc_commit_record(env->reader, key, start_ts, env->arena, &record);
	if (commit_record_is_commit(&record))
	{
		*commit_ts = record.at.commit_ts;
		return SECONDARY_COMMITTED;
	}
	if (commit_record_is_rollback(&record))
		return SECONDARY_ROLLED_BACK;
	if (!own && lock != NULL)
		txn_mark_on_mismatch(env, key, lock, start_ts, true);
	txn_collapse_prev(env, key, start_ts);
	txn_make_rollback(env, key, start_ts, true, &record);
	return SECONDARY_ROLLED_BACK;
}

static SecondaryStatus
check_key(TxnEnv *env, Bytes key, uint64_t start_ts, LockInfo *info,
		  uint64_t *commit_ts)
{
	Lock lock;
	bool locked = env->reader->get_lock(env->reader, key, env->arena, &lock);
	bool own;

	/* Shared locks have no part in async commit. */
	if (locked && lock.type == LOCK_TYPE_SHARED)
		locked = false;
	own = locked && lock.start_ts == start_ts;
	if (own && lock.type != LOCK_TYPE_PESSIMISTIC)
	{
		txn_lock_info(key, &lock, info);
		return SECONDARY_LOCKED;
	}
	return settle(env, key, start_ts, locked ? &lock : NULL, own, commit_ts);
}

void
txn_check_secondary_locks(TxnEnv *env,
						  const CheckSecondaryLocksCommand *command,
						  TxnAnswer *answer)
{
	env->cm->raise_max_ts(env->cm, command->start_ts);
	answer->locks = arena_alloc(env->arena, command->n_keys * sizeof(LockInfo));
	for (size_t i = 0; i < command->n_keys; i++)
	{
		if (!txn_may_go_on(env, answer))
			return;
		if (check_key(env, command->keys[i], command->start_ts,
					  &answer->locks[answer->n_locks],
					  &answer->commit_ts) != SECONDARY_LOCKED)
		{
			/* One key decides for all. */
			answer->n_locks = 0;
			break;
		}
		answer->n_locks++;
	}
	if (answer->commit_ts != 0)
		effects_know(env->effects, command->start_ts, answer->commit_ts);
}
