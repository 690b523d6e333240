/*
 * prewrite_key.c
 *	  One key of a prewrite: the lock that is there and the lock that comes
 *	  (txn-semantics 8.2, 8.6).
 *
 * Source: tikv/tikv src/storage/txn/actions/prewrite.rs.
 */
#include "core/base/check.h"
#include "core/txn/prewrite.h"

static uint64_t
max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

bool
prewrite_fail(PrewriteKey *key, TxnErrorKind kind, const char *text)
{
	TxnError *error = key->error;

	memset(error, 0, sizeof(*error));
	error->kind = kind;
	error->key = key->mutation->key;
	error->start_ts = key->request->command->start_ts;
	error->text = text;
	return false;
}

static bool
fail_locked(PrewriteKey *key, const Lock *lock)
{
	prewrite_fail(key, TXN_KEY_IS_LOCKED, NULL);
	txn_lock_info(key->mutation->key, lock, &key->error->lock);
	return false;
}

/* ----------------------------------------------- the lock that is there */

static bool
meet_other_lock(PrewriteKey *key, const Lock *lock)
{
	if (key->action == DO_PESSIMISTIC_CHECK)
		return prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
							 "LockTsMismatch");
	fail_locked(key, lock);
	/*
	 * A pessimistic transaction guards such a key by the lock of another, so
	 * this one is a leftover: ttl 0 has the client resolve it at once.
	 */
	if (key->request->is_pessimistic)
		key->error->lock.ttl_ms = 0;
	return false;
}

static bool
meet_pessimistic_lock(PrewriteKey *key, const Lock *lock)
{
	if (!key->request->is_pessimistic)
		return prewrite_fail(key, TXN_LOCK_TYPE_NOT_MATCH, NULL);
	/*
	 * Not the lock that the client was told of: that one was lost, and a late
	 * request of the same transaction took this one over newer data.
	 */
	if (key->has_expected && key->expected_for_update_ts != lock->for_update_ts)
		return prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
							 "LockForUpdateTsMismatch");
	key->ttl_ms = max_u64(key->ttl_ms, lock->ttl_ms);
	key->min_commit_ts = max_u64(key->min_commit_ts, lock->min_commit_ts);
	key->own_for_update_ts = lock->for_update_ts;
	key->lock_state = PREWRITE_OWN_PESSIMISTIC;
	return true;
}

/* An exclusive lock, or our member of a shared one. */
static bool
meet_lock(PrewriteKey *key, const Lock *lock)
{
	uint64_t generation = key->request->generation;

	if (lock->start_ts != key->request->command->start_ts)
		return meet_other_lock(key, lock);
	key->last_change = lock->last_change;
	if (lock->type == LOCK_TYPE_PESSIMISTIC)
		return meet_pessimistic_lock(key, lock);
	if (generation > 0 && lock->generation >= generation)
		return prewrite_fail(key, TXN_GENERATION_OUT_OF_ORDER, NULL);
	if (lock->generation > 0 && lock->type == LOCK_TYPE_PUT &&
		prewrite_should_not_exist(key))
	{
		prewrite_fail(key, TXN_ALREADY_EXIST, NULL);
		key->error->existing_start_ts = lock->start_ts;
		return false;
	}
	key->lock_state = PREWRITE_OWN_LOCK;
	key->had_value = lock->type == LOCK_TYPE_PUT && !lock->has_short_value;
	key->own_min_commit_ts = lock->use_async_commit ? lock->min_commit_ts : 0;
	return true;
}

static bool
meet_shared_lock(PrewriteKey *key, const Lock *container)
{
	bool wants_shared = key->mutation->op == MUTATION_SHARED_LOCK;
	const Lock *own;

	key->container = *container;
	own = txn_own_lock(&key->container, key->request->command->start_ts);
	if (own == NULL)
		return wants_shared ? prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
											"LockMissingAmendFail") :
							  fail_locked(key, container);
	if (!wants_shared)
		return prewrite_fail(key, TXN_ABORT,
							 "only SharedLock prewrites a shared lock");
	key->is_shared = true;
	return meet_lock(key, own);
}

static bool
meet_what_is_there(PrewriteKey *key)
{
	TxnEnv *env = key->request->env;
	bool wants_shared = key->mutation->op == MUTATION_SHARED_LOCK;
	Lock lock;

	if (env->reader->get_lock(env->reader, key->mutation->key, env->arena,
							  &lock))
	{
		if (lock.type == LOCK_TYPE_SHARED)
			return meet_shared_lock(key, &lock);
		return wants_shared ? fail_locked(key, &lock) : meet_lock(key, &lock);
	}
	if (key->action != DO_PESSIMISTIC_CHECK)
		return true;
	if (wants_shared)
		return prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
							 "LockMissingAmendFail");
	return prewrite_amend(key);
}

/* ------------------------------------------------- the lock that comes */

static LockType
lock_type_of(MutationOp op)
{
	switch (op)
	{
		case MUTATION_PUT:
		case MUTATION_INSERT:
			return LOCK_TYPE_PUT;
		case MUTATION_DELETE:
			return LOCK_TYPE_DELETE;
		default:
			CHECK(op == MUTATION_LOCK || op == MUTATION_SHARED_LOCK);
			return LOCK_TYPE_LOCK;
	}
}

/*
 * A long value goes beside the lock.  That of an earlier flush which nothing
 * replaces goes away, where TiKV leaves it to nobody.
 */
static void
take_value(PrewriteKey *key, Lock *lock)
{
	const Mutation *mutation = key->mutation;
	TxnEffects *effects = key->request->env->effects;

	if (lock->type == LOCK_TYPE_PUT &&
		mutation->value.len > SHORT_VALUE_MAX_LEN)
	{
		effects_put_value(effects, mutation->key, lock->start_ts,
						  mutation->value);
		return;
	}
	if (key->had_value)
		effects_delete_value(effects, mutation->key, lock->start_ts);
	if (lock->type != LOCK_TYPE_PUT)
		return;
	lock->has_short_value = true;
	lock->short_value = mutation->value;
}

static void
make_lock(PrewriteKey *key, Lock *lock)
{
	Prewrite *request = key->request;
	const PrewriteCommand *command = request->command;

	memset(lock, 0, sizeof(*lock));
	lock->type = lock_type_of(key->mutation->op);
	lock->primary = command->primary;
	lock->start_ts = command->start_ts;
	lock->ttl_ms = key->ttl_ms;
	if (request->is_pessimistic)
		lock->for_update_ts =
			max_u64(command->for_update_ts, key->own_for_update_ts);
	lock->txn_size = request->txn_size;
	lock->min_commit_ts = key->min_commit_ts;
	lock->txn_source = request->env->txn_source;
	lock->generation = request->generation;
	if (lock->type == LOCK_TYPE_LOCK)
		lock->last_change = key->last_change;
	take_value(key, lock);
	if (request->use_async_commit)
	{
		lock->use_async_commit = true;
		if (bytes_eq(key->mutation->key, command->primary))
		{
			lock->secondaries = command->secondaries;
			lock->n_secondaries = command->n_secondaries;
		}
	}
	else
		lock->use_one_pc = request->try_one_pc;
}

/*
 * Show the lock to readers and learn its min_commit_ts.  False: not possible
 * (no room, or beyond max_commit_ts), so it becomes a lock of plain 2PC.
 */
static bool
publish(PrewriteKey *key, Lock *lock)
{
	TxnEnv *env = key->request->env;
	const PrewriteCommand *command = key->request->command;
	Lock guard = *lock;

	/* min_commit_ts follows the request's for_update_ts, not the lock's. */
	guard.for_update_ts = command->for_update_ts;
	if (env->cm->publish(env->cm, key->mutation->key, &guard,
						 command->max_commit_ts) == PUBLISH_OK)
	{
		effects_guard(env->effects, key->mutation->key, command->start_ts);
		lock->min_commit_ts = guard.min_commit_ts;
		return true;
	}
	prewrite_fail(key, TXN_COMMIT_TS_TOO_LARGE, NULL);
	lock->use_async_commit = false;
	lock->use_one_pc = false;
	lock->secondaries = NULL;
	lock->n_secondaries = 0;
	return false;
}

static bool
put_member(PrewriteKey *key, const Lock *lock, bool one_pc)
{
	TxnEffects *effects = key->request->env->effects;
	Lock container = key->container;
	size_t n = container.n_members;

	if (lock->generation > 0)
		return prewrite_fail(key, TXN_ABORT, "a shared lock has no generation");
	if (one_pc)
		return prewrite_fail(key, TXN_ABORT, "a shared lock excludes 1PC");
	if (lock->use_async_commit)
		return prewrite_fail(key, TXN_ABORT,
							 "a shared lock excludes async commit");
	container.members = arena_alloc(effects->arena, n * sizeof(Lock));
	for (size_t i = 0; i < n; i++)
		container.members[i] =
			key->container.members[i].start_ts == lock->start_ts ?
			*lock :
			key->container.members[i];
	effects_put_lock(effects, key->mutation->key, &container);
	return true;
}

static bool
write_lock(PrewriteKey *key, uint64_t *min_commit_ts)
{
	Prewrite *request = key->request;
	bool needs_guard = prewrite_needs_min_commit_ts(request);
	bool is_published = false;
	Lock lock;

	make_lock(key, &lock);
	if (needs_guard)
		is_published = publish(key, &lock);
	if (key->is_shared)
	{
		if (!put_member(key, &lock, request->try_one_pc && is_published))
			return false;
	}
	else if (request->try_one_pc && is_published)
	{
		OnePcLock *one_pc = &request->one_pc_locks[request->n_one_pc_locks++];

		one_pc->key = key->mutation->key;
		one_pc->lock = lock;
		one_pc->replaces_lock = key->lock_state == PREWRITE_OWN_PESSIMISTIC;
	}
	else
		effects_put_lock(request->env->effects, key->mutation->key, &lock);
	*min_commit_ts = is_published ? lock.min_commit_ts : 0;
	return is_published == needs_guard;
}

/* CheckNotExists is a read: it leaves nothing but the max_ts it raised. */
static uint64_t
finish_check(const PrewriteKey *key)
{
	const Prewrite *request = key->request;

	return prewrite_needs_min_commit_ts(request) ?
		max_u64(request->min_commit_ts, request->command->start_ts + 1) :
		0;
}

bool
prewrite_key(PrewriteKey *key, uint64_t *min_commit_ts)
{
	Prewrite *request = key->request;
	MutationOp op = key->mutation->op;
	TxnEnv *env = request->env;

	key->ttl_ms = request->command->lock_ttl_ms;
	key->min_commit_ts = request->min_commit_ts;
	if (op == MUTATION_CHECK_NOT_EXISTS && request->is_pessimistic)
		return prewrite_fail(key, TXN_ABORT,
							 "CheckNotExists in a pessimistic prewrite");
	if (prewrite_should_not_exist(key))
		env->cm->raise_max_ts(env->cm, request->command->start_ts);
	if (!meet_what_is_there(key))
		return false;
	/* A repetition; but a key may be flushed many times. */
	if (key->lock_state == PREWRITE_OWN_LOCK && request->generation == 0)
	{
		*min_commit_ts = key->own_min_commit_ts;
		return true;
	}
	if (!prewrite_check(key))
		return false;
	if (op == MUTATION_CHECK_NOT_EXISTS)
	{
		*min_commit_ts = finish_check(key);
		return true;
	}
	return write_lock(key, min_commit_ts);
}
