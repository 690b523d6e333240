/*
 * commit.c
 *	  KvCommit: prewritten locks become Write records (txn-semantics 9).
 *
 * Source: tikv/tikv src/storage/txn/actions/commit.rs,
 * src/storage/txn/commands/commit.rs.
 */
#include "core/txn/command.h"

/* What the command has made of the key's lock so far, or NULL. */
static const TxnModify *
pending_lock(const TxnEffects *effects, Bytes key)
{
	for (size_t i = effects->n_modifies; i-- > 0;)
	{
		const TxnModify *modify = &effects->modifies[i];

		if (modify->cf == TXN_CF_LOCK && bytes_eq(modify->key, key))
			return modify;
	}
	return NULL;
}

/*
 * LoadLock, below what the command itself has listed: two members of one
 * shared container may be committed by one ResolveLock.
 */
static bool
load_lock(TxnEnv *env, Bytes key, bool look_back, Lock *lock)
{
	const TxnModify *pending =
		look_back ? pending_lock(env->effects, key) : NULL;

	if (pending == NULL)
		return env->reader->get_lock(env->reader, key, env->arena, lock);
	if (pending->is_delete)
		return false;
	*lock = *pending->lock;
	return true;
}

/* No lock of the transaction is there: was the key committed before? */
static bool
commit_missing(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t commit_ts,
			   TxnError *error)
{
	CommitRecord record;

	mvcc_commit_record(env->reader, key, start_ts, env->arena, &record);
	if (commit_record_is_commit(&record))
		return true;
	error->kind = TXN_LOCK_NOT_FOUND;
	error->start_ts = start_ts;
	error->commit_ts = commit_ts;
	error->key = key;
	return false;
}

static bool
is_rolled_back_at(const Lock *lock, uint64_t ts)
{
	for (size_t i = 0; i < lock->n_rollback_ts; i++)
		if (lock->rollback_ts[i] == ts)
			return true;
	return false;
}

static void
put_commit_record(TxnEnv *env, Bytes key, const Lock *own, uint64_t commit_ts)
{
	WriteRecord write = {
		.type = write_type_of_lock(own->type),
		.start_ts = own->start_ts,
		.has_short_value = own->has_short_value,
		.short_value = own->short_value,
		/* Another's protected Rollback would have its place here. */
		.has_overlapped_rollback = is_rolled_back_at(own, commit_ts),
		.last_change = own->last_change,
		.txn_source = own->txn_source,
	};

	effects_put_write(env->effects, key, commit_ts, &write);
}

static bool
commit_key(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t commit_ts,
		   bool look_back, TxnError *error)
{
	Lock lock;
	const Lock *own = load_lock(env, key, look_back, &lock) ?
		txn_own_lock(&lock, start_ts) :
		NULL;

	memset(error, 0, sizeof(*error));
	if (own == NULL)
		return commit_missing(env, key, start_ts, commit_ts, error);
	if (commit_ts < own->min_commit_ts)
	{
		error->kind = TXN_COMMIT_TS_EXPIRED;
		error->start_ts = start_ts;
		error->commit_ts = commit_ts;
		error->key = key;
		error->min_commit_ts = own->min_commit_ts;
		return false;
	}
	if (own->type == LOCK_TYPE_PESSIMISTIC)
	{
		/* A stale lock of a committed transaction: it never prewrote. */
		txn_unlock(env, key, &lock, start_ts, 0);
		return true;
	}
	put_commit_record(env, key, own, commit_ts);
	txn_unlock(env, key, &lock, start_ts, commit_ts);
	return true;
}

bool
txn_commit_key(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t commit_ts,
			   TxnError *error)
{
	return commit_key(env, key, start_ts, commit_ts, true, error);
}

void
txn_commit(TxnEnv *env, const CommitCommand *command, TxnAnswer *answer)
{
	Bytes greatest = bytes_empty();

	if (command->commit_ts <= command->start_ts)
	{
		TxnError *error = txn_add_error(env, answer, TXN_INVALID_TXN_TSO);

		error->start_ts = command->start_ts;
		error->commit_ts = command->commit_ts;
		return;
	}
	for (size_t i = 0; i < command->n_keys; i++)
	{
		Bytes key = command->keys[i];
		/* Clients send keys in order: then none is there twice. */
		bool is_new = i == 0 || bytes_cmp(key, greatest) > 0;
		TxnError error;

		if (is_new)
			greatest = key;
		if (!commit_key(env, key, command->start_ts, command->commit_ts,
						!is_new, &error))
		{
			*txn_add_error(env, answer, error.kind) = error;
			return;
		}
	}
	effects_know(env->effects, command->start_ts, command->commit_ts);
	answer->commit_ts = command->commit_ts;
}
