/*
 * actions.c
 *	  What the commands share: errors, own locks, and how a transaction is
 *	  rolled back on a key (txn-semantics 7 and 10.1).
 *
 * Source: tikv/tikv src/storage/txn/actions/{cleanup,check_txn_status}.rs,
 * src/storage/mvcc/txn.rs.
 */
#include "core/base/check.h"
#include "core/txn/command.h"

/* --------------------------------------------------- errors and reports */

TxnError *
txn_add_error(TxnEnv *env, TxnAnswer *answer, TxnErrorKind kind)
{
	size_t n = answer->n_errors;
	TxnError *error;

	/* Full at every power of two: grow to the next. */
	if ((n & (n - 1)) == 0)
	{
		TxnError *more =
			arena_alloc(env->arena, (n == 0 ? 1 : 2 * n) * sizeof(TxnError));

		if (n > 0)
			memcpy(more, answer->errors, n * sizeof(TxnError));
		answer->errors = more;
	}
	error = &answer->errors[answer->n_errors++];
	memset(error, 0, sizeof(*error));
	error->kind = kind;
	return error;
}

bool
txn_may_go_on(TxnEnv *env, TxnAnswer *answer)
{
	if (env->max_memory == 0 || env->arena->allocated <= env->max_memory)
		return true;
	answer->n_errors = 0;
	txn_add_error(env, answer, TXN_ABORT)->text =
		"the command takes too much memory: name fewer keys at once";
	return false;
}

void
txn_lock_info(Bytes key, const Lock *lock, LockInfo *info)
{
	memset(info, 0, sizeof(*info));
	info->key = key;
	info->lock = *lock;
	info->ttl_ms = lock->ttl_ms;
}

uint64_t
txn_lock_expiry(const Lock *lock)
{
	uint64_t physical = txn_physical(lock->start_ts);

	return lock->ttl_ms > UINT64_MAX - physical ? UINT64_MAX :
												  physical + lock->ttl_ms;
}

/* ------------------------------------------------------------ own locks */

Lock *
txn_own_lock(Lock *lock, uint64_t start_ts)
{
	if (lock->type != LOCK_TYPE_SHARED)
		return lock->start_ts == start_ts ? lock : NULL;
	for (size_t i = 0; i < lock->n_members; i++)
		if (lock->members[i].start_ts == start_ts)
			return &lock->members[i];
	return NULL;
}

/* The old list stays as it is: effects listed before may refer to it. */
static void
remove_member(Arena *arena, Lock *container, uint64_t start_ts)
{
	Lock *rest = arena_alloc(arena, container->n_members * sizeof(Lock));
	size_t n = 0;

	for (size_t i = 0; i < container->n_members; i++)
		if (container->members[i].start_ts != start_ts)
			rest[n++] = container->members[i];
	container->members = rest;
	container->n_members = n;
}

void
txn_unlock(TxnEnv *env, Bytes key, Lock *lock, uint64_t start_ts,
		   uint64_t commit_ts)
{
	TxnEffects *effects = env->effects;

	if (lock->type != LOCK_TYPE_SHARED)
	{
		effects_release(effects, key, lock, commit_ts);
		return;
	}
	remove_member(effects->arena, lock, start_ts);
	if (lock->n_members > 0)
	{
		effects_put_lock(effects, key, lock);
		return;
	}
	effects_delete_lock(effects, key);
	effects_note_released(effects, key, start_ts, commit_ts, true);
}

/* -------------------------------------------------------------- rollback */

void
txn_make_rollback(TxnEnv *env, Bytes key, uint64_t start_ts, bool is_protected,
				  const CommitRecord *record)
{
	WriteRecord write;

	if (!record->has_overlapped)
	{
		write = write_rollback(start_ts, is_protected);
		effects_put_write(env->effects, key, start_ts, &write);
		return;
	}
	/* The other's commit lies where the Rollback would: it must stay. */
	if (!is_protected)
		return;
	write = record->at.write;
	write.has_overlapped_rollback = true;
	write.has_gc_fence = true;
	write.gc_fence = record->fence;
	effects_put_write(env->effects, key, start_ts, &write);
}

void
txn_collapse_prev(TxnEnv *env, Bytes key, uint64_t start_ts)
{
	WriteAt at;

	if (env->reader->seek_write(env->reader, key, start_ts, env->arena, &at) &&
		at.write.type == WRITE_TYPE_ROLLBACK && !write_is_protected(&at.write))
		effects_delete_write(env->effects, key, at.commit_ts);
}

void
txn_mark_on_mismatch(TxnEnv *env, Bytes key, const Lock *lock,
					 uint64_t start_ts, bool is_protected)
{
	Lock marked = *lock;
	uint64_t *list;

	/* Only a commit_ts that the store computes may hit our start_ts. */
	if (!is_protected || !lock->use_async_commit ||
		start_ts < lock->min_commit_ts)
		return;
	list = arena_alloc(env->effects->arena,
					   (lock->n_rollback_ts + 1) * sizeof(*list));
	if (lock->n_rollback_ts > 0)
		memcpy(list, lock->rollback_ts, lock->n_rollback_ts * sizeof(*list));
	list[lock->n_rollback_ts] = start_ts;
	marked.rollback_ts = list;
	marked.n_rollback_ts = lock->n_rollback_ts + 1;
	effects_put_lock(env->effects, key, &marked);
}

uint64_t
txn_rollback_lock(TxnEnv *env, Bytes key, Lock *lock, uint64_t start_ts,
				  bool collapse)
{
	const Lock *own = txn_own_lock(lock, start_ts);
	CommitRecord record;
	bool is_protected;

	CHECK(own != NULL);
	mvcc_commit_record(env->reader, key, start_ts, env->arena, &record);
	if (record.kind != COMMIT_RECORD_NONE)
	{
		/* TiKV ends its process when it finds a commit here. */
		txn_unlock(env, key, lock, start_ts, 0);
		return commit_record_is_commit(&record) ? record.at.commit_ts : 0;
	}
	if (own->type == LOCK_TYPE_PUT && !own->has_short_value)
		effects_delete_value(env->effects, key, start_ts);
	/* A member of a shared container is never the primary. */
	is_protected = lock->type != LOCK_TYPE_SHARED &&
		(bytes_eq(key, own->primary) || own->generation > 0);
	if (collapse)
		txn_collapse_prev(env, key, start_ts);
	txn_make_rollback(env, key, start_ts, is_protected, &record);
	txn_unlock(env, key, lock, start_ts, 0);
	return 0;
}

/* --------------------------------------------------------------- cleanup */

static bool
committed(TxnError *error, Bytes key, uint64_t start_ts, uint64_t commit_ts)
{
	error->kind = TXN_COMMITTED;
	error->key = key;
	error->start_ts = start_ts;
	error->commit_ts = commit_ts;
	return false;
}

/* `lock` is another transaction's, or NULL. */
static bool
cleanup_missing(TxnEnv *env, Bytes key, const Lock *lock, uint64_t start_ts,
				bool is_protected, TxnError *error)
{
	CommitRecord record;

	mvcc_commit_record(env->reader, key, start_ts, env->arena, &record);
	if (commit_record_is_commit(&record))
		return committed(error, key, start_ts, record.at.commit_ts);
	if (commit_record_is_rollback(&record))
		return true;
	if (!is_protected)
		txn_collapse_prev(env, key, start_ts);
	else if (lock != NULL && !record.has_overlapped)
		txn_mark_on_mismatch(env, key, lock, start_ts, true);
	txn_make_rollback(env, key, start_ts, is_protected, &record);
	return true;
}

bool
txn_cleanup_key(TxnEnv *env, Bytes key, uint64_t start_ts, uint64_t current_ts,
				bool is_protected, TxnError *error)
{
	Lock lock;
	bool locked = env->reader->get_lock(env->reader, key, env->arena, &lock);
	const Lock *own = locked ? txn_own_lock(&lock, start_ts) : NULL;
	uint64_t commit_ts;

	memset(error, 0, sizeof(*error));
	if (own == NULL)
		return cleanup_missing(env, key,
							   locked && lock.type != LOCK_TYPE_SHARED ? &lock :
																		 NULL,
							   start_ts, is_protected, error);
	if (current_ts != 0 && txn_lock_expiry(own) >= txn_physical(current_ts))
	{
		error->kind = TXN_KEY_IS_LOCKED;
		txn_lock_info(key, &lock, &error->lock);
		return false;
	}
	commit_ts = txn_rollback_lock(env, key, &lock, start_ts, !is_protected);
	return commit_ts == 0 || committed(error, key, start_ts, commit_ts);
}
