/*
 * commit_key.c
 *	  Commit a transaction on one key (txn-semantics 9), for KvCommit and for
 *	  the forms of KvResolveLock.
 *
 * Source: tikv/tikv src/storage/txn/actions/commit.rs.
 */
#include "core/txn/command.h"

/* Committed before, which is as good, or there is nothing to commit. */
static bool
commit_missing(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t commit_ts,
			   TxnError *error)
{
	CommitRecord record;

	mvcc_commit_record(env->reader, key, start_ts, env->arena, &record);
	if (commit_record_is_commit(&record))
		return true;
	error->kind = TXN_LOCK_NOT_FOUND;
	error->key = key;
	error->start_ts = start_ts;
	error->commit_ts = commit_ts;
	return false;
}

static bool
commit_expired(Bytes key, const Lock *own, uint64_t commit_ts, TxnError *error)
{
	error->kind = TXN_COMMIT_TS_EXPIRED;
	error->key = key;
	error->start_ts = own->start_ts;
	error->commit_ts = commit_ts;
	error->min_commit_ts = own->min_commit_ts;
	return false;
}

static WriteRecord
write_of(const Lock *own, uint64_t commit_ts)
{
	WriteRecord write = {.type = write_type_of_lock(own->type),
						 .start_ts = own->start_ts,
						 .has_short_value = own->has_short_value,
						 .short_value = own->short_value,
						 .last_change = own->last_change,
						 .txn_source = own->txn_source};

	/* A transaction that was rolled back at this very timestamp. */
	for (size_t i = 0; i < own->n_rollback_ts; i++)
		if (own->rollback_ts[i] == commit_ts)
			write.has_overlapped_rollback = true;
	return write;
}

bool
txn_commit_key(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t commit_ts,
			   TxnError *error)
{
	Lock lock;
	const Lock *own = NULL;
	WriteRecord write;

	memset(error, 0, sizeof(*error));
	if (env->reader->get_lock(env->reader, key, env->arena, &lock))
		own = txn_own_lock(&lock, start_ts);
	if (own == NULL)
		return commit_missing(env, key, start_ts, commit_ts, error);
	if (commit_ts < own->min_commit_ts)
		return commit_expired(key, own, commit_ts, error);
	/* Left by a pessimistic rollback that got lost: not part of the commit. */
	if (own->type == LOCK_TYPE_PESSIMISTIC)
	{
		txn_unlock(env, key, &lock, start_ts, 0);
		return true;
	}
	write = write_of(own, commit_ts);
	effects_put_write(env->effects, key, commit_ts, &write);
	txn_unlock(env, key, &lock, start_ts, commit_ts);
	return true;
}
