/*
 * pessimistic_rollback.c
 *	  KVPessimisticRollback: give pessimistic locks back, without a record
 *	  (txn-semantics 18).
 *
 * The transaction goes on; it only does not need these locks.
 * Source: tikv/tikv src/storage/txn/commands/
 * pessimistic_rollback{,_read_phase}.rs.
 */
#include "core/txn/lock_slice.h"

/* A newer request of the same transaction may have taken the lock again. */
static bool
may_roll_back(const PessimisticRollbackCommand *command, const Lock *lock)
{
	return lock->type == LOCK_TYPE_PESSIMISTIC &&
		lock->start_ts == command->start_ts &&
		lock->for_update_ts <= command->for_update_ts;
}

static bool
is_wanted(const void *arg, const Lock *lock)
{
	const PessimisticRollbackCommand *command = arg;

	if (lock->type != LOCK_TYPE_SHARED)
		return may_roll_back(command, lock);
	for (size_t i = 0; i < lock->n_members; i++)
		if (may_roll_back(command, &lock->members[i]))
			return true;
	return false;
}

static void
roll_back_key(TxnEnv *env, const PessimisticRollbackCommand *command, Bytes key)
{
	Lock lock;
	const Lock *own = NULL;

	if (env->reader->get_lock(env->reader, key, env->arena, &lock))
		own = txn_own_lock(&lock, command->start_ts);
	if (own != NULL && may_roll_back(command, own))
		txn_unlock(env, key, &lock, command->start_ts, 0);
}

static void
roll_back_region(TxnEnv *env, PessimisticRollbackCommand *command,
				 TxnAnswer *answer)
{
	LockSlice *slice = arena_alloc(env->arena, sizeof(LockSlice));

	lock_slice_read(env, command->cursor, true, is_wanted, command, slice);
	for (size_t i = 0; i < slice->n; i++)
		txn_unlock(env, slice->keys[i], &slice->locks[i], command->start_ts, 0);
	answer->more = slice->more;
	command->cursor = slice->next;
}

void
txn_pessimistic_rollback(TxnEnv *env, PessimisticRollbackCommand *command,
						 TxnAnswer *answer)
{
	if (command->n_keys == 0)
	{
		roll_back_region(env, command, answer);
		return;
	}
	for (size_t i = 0; i < command->n_keys && txn_may_go_on(env, answer); i++)
		roll_back_key(env, command, command->keys[i]);
}
