/*
 * check_txn_status.c
 *	  KvCheckTxnStatus: what became of a transaction, by its primary key
 *	  (txn-semantics 11).
 *
 * Source: tikv/tikv src/storage/txn/commands/check_txn_status.rs,
 * src/storage/txn/actions/check_txn_status.rs.
 */
#include "core/txn/command.h"

static void
raise_max_ts(TxnEnv *env, const CheckTxnStatusCommand *command)
{
	uint64_t ts = command->lock_ts;

	if (command->current_ts != UINT64_MAX && command->current_ts > ts)
		ts = command->current_ts;
	if (command->caller_start_ts != UINT64_MAX && command->caller_start_ts > ts)
		ts = command->caller_start_ts;
	env->cm->raise_max_ts(env->cm, ts);
}

static void
primary_mismatch(TxnEnv *env, Bytes key, const Lock *lock, TxnAnswer *answer)
{
	txn_lock_info(key, lock,
				  &txn_add_error(env, answer, TXN_PRIMARY_MISMATCH)->lock);
}

/* 11.2; `other` is the lock of another transaction, or NULL. */
static void
lock_missing(TxnEnv *env, const CheckTxnStatusCommand *command,
			 const Lock *other, TxnAnswer *answer)
{
	Bytes key = command->primary_key;
	CommitRecord record;

	mvcc_commit_record(env->reader, key, command->lock_ts, env->arena, &record);
	if (commit_record_is_commit(&record))
		answer->commit_ts = record.at.commit_ts;
	else if (commit_record_is_rollback(&record))
		answer->action = ACTION_NO_ACTION;
	else if (!command->rollback_if_not_exist)
	{
		TxnError *error = txn_add_error(env, answer, TXN_TXN_NOT_FOUND);

		error->key = key;
		error->start_ts = command->lock_ts;
	}
	else if (command->resolving_pessimistic_lock)
		answer->action = ACTION_LOCK_NOT_EXIST_DO_NOTHING;
	else
	{
		if (other != NULL && !record.has_overlapped)
			txn_mark_on_mismatch(env, key, other, command->lock_ts, true);
		txn_make_rollback(env, key, command->lock_ts, true, &record);
		answer->action = ACTION_LOCK_NOT_EXIST_ROLLBACK;
	}
}

/* The lock names another primary. */
static void
not_primary(TxnEnv *env, const CheckTxnStatusCommand *command, const Lock *lock,
			TxnAnswer *answer)
{
	/*
	 * Who asks met a prewritten lock, which names the true primary: this
	 * pessimistic lock is a leftover.
	 */
	if (lock->type == LOCK_TYPE_PESSIMISTIC &&
		!command->resolving_pessimistic_lock)
	{
		lock_missing(env, command, NULL, answer);
		if (answer->n_errors == 0)
			effects_release(env->effects, command->primary_key, lock, 0);
	}
	else
		primary_mismatch(env, command->primary_key, lock, answer);
}

/* A lock taken in spite of a conflict may be older than its own end. */
static bool
stale_force_lock(TxnEnv *env, const CheckTxnStatusCommand *command,
				 const Lock *lock, TxnAnswer *answer)
{
	CommitRecord record;

	if (lock->type != LOCK_TYPE_PESSIMISTIC || !lock->locked_with_conflict)
		return false;
	mvcc_commit_record(env->reader, command->primary_key, command->lock_ts,
					   env->arena, &record);
	if (record.kind == COMMIT_RECORD_NONE)
		return false;
	if (commit_record_is_commit(&record))
		answer->commit_ts = record.at.commit_ts;
	effects_release(env->effects, command->primary_key, lock, 0);
	return true;
}

static void
expire(TxnEnv *env, const CheckTxnStatusCommand *command, Lock *lock,
	   TxnAnswer *answer)
{
	/* The transaction may still choose another primary: no record. */
	if (lock->type == LOCK_TYPE_PESSIMISTIC &&
		command->resolving_pessimistic_lock)
	{
		effects_release(env->effects, command->primary_key, lock, 0);
		answer->action = ACTION_TTL_EXPIRE_PESSIMISTIC_ROLLBACK;
		return;
	}
	answer->commit_ts = txn_rollback_lock(env, command->primary_key, lock,
										  command->lock_ts, true);
	if (answer->commit_ts == 0)
		answer->action = ACTION_TTL_EXPIRE_ROLLBACK;
}

static void
report_alive(const Lock *lock, TxnStatusAction action, TxnAnswer *answer)
{
	answer->action = action;
	answer->lock_ttl_ms = lock->ttl_ms;
	answer->has_lock = true;
	/* As TiKV: the key of the report is the lock's primary. */
	txn_lock_info(lock->primary, lock, &answer->lock);
}

/* Let the caller read below the transaction's commit_ts, if that can be. */
static void
push_min_commit_ts(TxnEnv *env, const CheckTxnStatusCommand *command,
				   Lock *lock, TxnAnswer *answer)
{
	uint64_t caller = command->caller_start_ts;
	bool pushed;

	if (lock->min_commit_ts != 0 && caller != UINT64_MAX &&
		caller >= lock->min_commit_ts)
	{
		lock->min_commit_ts = caller + 1;
		if (command->current_ts != UINT64_MAX &&
			command->current_ts > lock->min_commit_ts)
			lock->min_commit_ts = command->current_ts;
		effects_put_lock(env->effects, command->primary_key, lock);
	}
	/* A read at MAX passes the lock over: nothing need be pushed. */
	pushed =
		caller == UINT64_MAX || (caller != 0 && lock->min_commit_ts > caller);
	report_alive(lock, pushed ? ACTION_MIN_COMMIT_TS_PUSHED : ACTION_NO_ACTION,
				 answer);
}

/* 11.1, its rows in their order. */
static void
lock_found(TxnEnv *env, const CheckTxnStatusCommand *command, Lock *lock,
		   TxnAnswer *answer)
{
	if (command->verify_is_primary &&
		!bytes_eq(command->primary_key, lock->primary))
		not_primary(env, command, lock, answer);
	else if (lock->use_async_commit && !command->force_sync_commit)
		report_alive(lock, ACTION_NO_ACTION, answer);
	else if (stale_force_lock(env, command, lock, answer))
		return;
	else if (txn_lock_expiry(lock) < txn_physical(command->current_ts))
		expire(env, command, lock, answer);
	else
		push_min_commit_ts(env, command, lock, answer);
}

void
txn_check_txn_status(TxnEnv *env, const CheckTxnStatusCommand *command,
					 TxnAnswer *answer)
{
	Lock lock;
	bool locked;

	raise_max_ts(env, command);
	locked = env->reader->get_lock(env->reader, command->primary_key,
								   env->arena, &lock);
	if (locked && lock.type == LOCK_TYPE_SHARED)
		primary_mismatch(env, command->primary_key, &lock, answer);
	else if (locked && lock.start_ts == command->lock_ts)
		lock_found(env, command, &lock, answer);
	else
		lock_missing(env, command, locked ? &lock : NULL, answer);
	if (answer->commit_ts != 0)
		effects_know(env->effects, command->lock_ts, answer->commit_ts);
}
