/*
 * pessimistic_lock.c
 *	  KvPessimisticLock, in its normal and in its force-lock mode
 *	  (txn-semantics 15).
 *
 * Waiting is the driver's: the answer says only that the request may.
 * Source: tikv/tikv src/storage/txn/actions/acquire_pessimistic_lock.rs,
 * src/storage/txn/commands/acquire_pessimistic_lock{,_resumed}.rs.
 */
#include "core/codec/memcomparable.h"
#include "core/txn/command.h"

/* One key of a request on its way through the tables. */
typedef struct Acquire
{
	TxnEnv *env;
	const PessimisticLockCommand *command;
	TxnAnswer *answer;
	Bytes key;
	bool should_not_exist;
	bool is_shared;
	bool allow_conflict;
	uint64_t for_update_ts; /* the lock's: may rise to a conflict's */
	bool has_conflict;
	WriteAt conflict; /* the record that the lock passes over */
	bool exists;
	Bytes value;
} Acquire;

/* --------------------------------------------------------------- errors */

static TxnError *
add_error(Acquire *a, TxnErrorKind kind)
{
	TxnError *error = txn_add_error(a->env, a->answer, kind);

	error->key = a->key;
	error->start_ts = a->command->start_ts;
	return error;
}

static bool
write_conflict(Acquire *a, const WriteAt *at)
{
	TxnError *error = add_error(a, TXN_WRITE_CONFLICT);

	error->primary = a->command->primary;
	error->conflict_ts = at->write.start_ts;
	error->conflict_commit_ts = at->commit_ts;
	error->reason = CONFLICT_PESSIMISTIC_RETRY;
	return false;
}

static bool
key_is_locked(Acquire *a, const Lock *lock)
{
	txn_lock_info(a->key, lock, &add_error(a, TXN_KEY_IS_LOCKED)->lock);
	return false;
}

static bool
already_exists(Acquire *a, const WriteAt *put)
{
	add_error(a, TXN_ALREADY_EXIST)->existing_start_ts = put->write.start_ts;
	return false;
}

/* --------------------------------------------------------------- reading */

/* What the client learns of the Put that is visible. */
static bool
take_put(Acquire *a, const WriteAt *put, bool load_value)
{
	TxnError *error;

	a->exists = true;
	if (!load_value)
		return true;
	if (mvcc_load_value(a->env->reader, a->key, &put->write, a->env->arena,
						&a->value))
		return true;
	error = add_error(a, TXN_DEFAULT_NOT_FOUND);
	error->start_ts = put->write.start_ts;
	return false;
}

/* ----------------------------------------------- the lock that it becomes */

static Lock
new_lock(const Acquire *a, LastChange last_change, bool with_conflict)
{
	Lock lock = {.type = LOCK_TYPE_PESSIMISTIC,
				 .primary = a->command->primary,
				 .start_ts = a->command->start_ts,
				 .ttl_ms = a->command->lock_ttl_ms,
				 .for_update_ts = a->for_update_ts,
				 .min_commit_ts = a->command->min_commit_ts,
				 .last_change = last_change,
				 .locked_with_conflict = with_conflict};

	return lock;
}

static void
put_exclusive(Acquire *a, const Lock *lock)
{
	if (a->env->memory_locks)
		effects_put_memory_lock(a->env->effects, a->key, lock);
	else
		effects_put_lock(a->env->effects, a->key, lock);
}

/* `container` is what lies on the key, or NULL.  Always durable, as in TiKV. */
static void
put_shared(Acquire *a, const Lock *container, const Lock *member)
{
	size_t n = container == NULL ? 0 : container->n_members;
	Lock *members = arena_alloc(a->env->effects->arena, (n + 1) * sizeof(Lock));
	Lock lock = {.type = LOCK_TYPE_SHARED, .members = members};

	for (size_t i = 0; i < n; i++)
		if (container->members[i].start_ts != member->start_ts)
			members[lock.n_members++] = container->members[i];
	members[lock.n_members++] = *member;
	lock.shrink_only = container != NULL && container->shrink_only;
	effects_put_lock(a->env->effects, a->key, &lock);
}

/* -------------------------------------------------- 15.1: a lock is there */

/* What the own lock protects, read at the lock's or the request's time. */
static bool
read_under_own_lock(Acquire *a)
{
	const PessimisticLockCommand *command = a->command;
	MvccReader *reader = a->env->reader;
	bool load_value = command->return_values || a->has_conflict;
	WriteAt put;
	WriteAt existing;

	if (!load_value && !command->check_existence && !a->should_not_exist)
		return true;
	if (!mvcc_get_put(reader, a->key, a->for_update_ts, command->start_ts,
					  a->env->arena, &put))
		return true;
	if (a->should_not_exist &&
		mvcc_existing_put(reader, a->key, &put, a->env->arena, &existing))
		return put.commit_ts > command->for_update_ts ?
			write_conflict(a, &put) :
			already_exists(a, &put);
	if (!load_value && !command->check_existence)
		return true;
	return take_put(a, &put, load_value);
}

static bool
lock_own_again(Acquire *a, const Lock *lock)
{
	Lock renewed;

	if (lock->type != LOCK_TYPE_PESSIMISTIC)
	{
		(void) add_error(a, TXN_LOCK_TYPE_NOT_MATCH);
		return false;
	}
	if (a->allow_conflict && a->for_update_ts < lock->for_update_ts)
	{
		a->has_conflict = true;
		a->for_update_ts = lock->for_update_ts;
		a->conflict.commit_ts = lock->for_update_ts;
	}
	if (!read_under_own_lock(a))
		return false;
	if (a->for_update_ts <= lock->for_update_ts)
		return true;
	renewed = new_lock(a, lock->last_change, lock->locked_with_conflict);
	put_exclusive(a, &renewed);
	return true;
}

static void
join_own_again(Acquire *a, const Lock *container, const Lock *own)
{
	Lock renewed;

	if (a->for_update_ts <= own->for_update_ts)
		return;
	renewed = new_lock(a, own->last_change, own->locked_with_conflict);
	put_shared(a, container, &renewed);
}

/*
 * An exclusive request met a shared lock.  The first one closes it to new
 * members, so that it ends some day; that lasts although the request fails.
 * One that was woken only waits again, as in TiKV.
 */
static bool
meet_shared(Acquire *a, const Lock *container)
{
	Lock closed = *container;

	if (!container->shrink_only && !a->command->resumed)
	{
		closed.shrink_only = true;
		effects_clear(a->env->effects);
		effects_put_lock(a->env->effects, a->key, &closed);
		a->answer->keep_effects = true;
	}
	return key_is_locked(a, &closed);
}

/* ------------------------------------------ 15.2: no lock is in the way */

static bool
is_rollback_of(const WriteAt *at, uint64_t start_ts)
{
	return at->commit_ts == start_ts &&
		(at->write.type == WRITE_TYPE_ROLLBACK ||
		 at->write.has_overlapped_rollback);
}

/* Steps 2 and 3. */
static bool
is_rolled_back(Acquire *a, const WriteAt *newest)
{
	MvccReader *reader = a->env->reader;
	uint64_t start_ts = a->command->start_ts;
	WriteAt at;

	if (newest->commit_ts <= start_ts)
		return is_rollback_of(newest, start_ts);
	return reader->seek_write(reader, a->key, start_ts, a->env->arena, &at) &&
		is_rollback_of(&at, start_ts);
}

/* Step 5. */
static bool
read_newest(Acquire *a, const WriteAt *newest)
{
	const PessimisticLockCommand *command = a->command;
	WriteAt put;

	if (!command->return_values && !command->check_existence &&
		!a->has_conflict)
		return true;
	if (!mvcc_get_put_from(a->env->reader, a->key, newest, command->start_ts,
						   a->env->arena, &put))
		return true;
	return take_put(a, &put, command->return_values || a->has_conflict);
}

/* Steps 1 to 5 over the newest record. */
static bool
pass_newest(Acquire *a, const WriteAt *newest)
{
	WriteAt existing;

	if (newest->commit_ts > a->for_update_ts)
	{
		if (!a->allow_conflict)
			return write_conflict(a, newest);
		a->has_conflict = true;
		a->conflict = *newest;
		a->for_update_ts = newest->commit_ts;
	}
	if (is_rolled_back(a, newest))
	{
		(void) add_error(a, TXN_PESSIMISTIC_LOCK_ROLLED_BACK);
		return false;
	}
	if (a->should_not_exist &&
		mvcc_existing_put(a->env->reader, a->key, newest, a->env->arena,
						  &existing))
		return a->has_conflict ? write_conflict(a, &a->conflict) :
								 already_exists(a, &existing);
	return read_newest(a, newest);
}

/* `container` is a shared lock that takes new members, or NULL. */
static bool
lock_free_key(Acquire *a, const Lock *container)
{
	MvccReader *reader = a->env->reader;
	LastChange last_change = last_change_none();
	WriteAt newest;
	Lock lock;

	if (reader->seek_write(reader, a->key, UINT64_MAX, a->env->arena, &newest))
	{
		if (!pass_newest(a, &newest))
			return false;
		last_change =
			mvcc_next_last_change(reader, a->key, &newest, a->env->arena);
	}
	lock = new_lock(a, last_change, a->has_conflict);
	if (a->is_shared)
		put_shared(a, container, &lock);
	else if (!a->command->lock_only_if_exists || a->exists)
		put_exclusive(a, &lock);
	else if (a->has_conflict)
		return write_conflict(a, &a->conflict);
	return true;
}

/* ------------------------------------------------------------ per key */

static bool
acquire_exclusive(Acquire *a, Lock *lock)
{
	if (lock == NULL)
		return lock_free_key(a, NULL);
	if (lock->type == LOCK_TYPE_SHARED)
		return meet_shared(a, lock);
	if (lock->start_ts != a->command->start_ts)
		return key_is_locked(a, lock);
	return lock_own_again(a, lock);
}

static bool
acquire_shared(Acquire *a, Lock *lock)
{
	const Lock *own;

	if (lock == NULL)
		return lock_free_key(a, NULL);
	if (lock->type != LOCK_TYPE_SHARED)
		return key_is_locked(a, lock);
	own = txn_own_lock(lock, a->command->start_ts);
	if (own == NULL)
		return lock->shrink_only ? key_is_locked(a, lock) :
								   lock_free_key(a, lock);
	join_own_again(a, lock, own);
	return true;
}

static bool
acquire(Acquire *a)
{
	TxnEnv *env = a->env;
	const PessimisticLockCommand *command = a->command;
	Lock lock;
	bool locked;

	if (command->lock_only_if_exists && !command->return_values)
	{
		(void) add_error(a, TXN_LOCK_IF_EXISTS_FAILED);
		return false;
	}
	/* These are reads: no later commit may slip below them. */
	if (a->should_not_exist || command->return_values ||
		command->check_existence)
		env->cm->raise_max_ts(env->cm, command->for_update_ts);
	locked = env->reader->get_lock(env->reader, a->key, env->arena, &lock);
	return a->is_shared ? acquire_shared(a, locked ? &lock : NULL) :
						  acquire_exclusive(a, locked ? &lock : NULL);
}

static void
add_result(const Acquire *a)
{
	PessimisticLockResult *result = &a->answer->results[a->answer->n_results++];

	memset(result, 0, sizeof(*result));
	if (a->has_conflict)
	{
		result->kind = LOCK_RESULT_LOCKED_WITH_CONFLICT;
		result->locked_with_conflict_ts = a->conflict.commit_ts;
	}
	result->exists = a->exists;
	result->value = a->value;
}

/* ---------------------------------------------------------- the request */

static bool
check_request(TxnEnv *env, const PessimisticLockCommand *command,
			  TxnAnswer *answer)
{
	for (size_t i = 0; i < command->n_mutations; i++)
	{
		Bytes key = command->mutations[i].key;
		size_t size = memcomparable_len(key.len);

		if (env->max_key_size != 0 && size > env->max_key_size)
		{
			TxnError *error = txn_add_error(env, answer, TXN_KEY_TOO_LARGE);

			error->key = key;
			error->existing_start_ts = size;
			error->commit_ts = env->max_key_size;
			return false;
		}
	}
	if (command->allow_lock_with_conflict && command->n_mutations > 1)
	{
		txn_add_error(env, answer, TXN_ABORT)->text =
			"a force lock request takes one key only";
		return false;
	}
	return true;
}

/* 15.3 and 15.4: how an error of a key is answered. */
static void
fail(TxnEnv *env, const PessimisticLockCommand *command, TxnAnswer *answer)
{
	bool locked = answer->errors[0].kind == TXN_KEY_IS_LOCKED;

	answer->n_results = 0;
	if (answer->keep_effects)
		return;
	effects_clear(env->effects);
	answer->may_wait =
		locked && (command->resumed || command->wait_timeout_ms >= 0);
	/* The driver answers a wait's end in the same form. */
	if (command->resumed || (command->allow_lock_with_conflict && locked))
	{
		memset(answer->results, 0, sizeof(*answer->results));
		answer->results[0].kind = LOCK_RESULT_FAILED;
		answer->n_results = 1;
	}
}

void
txn_pessimistic_lock(TxnEnv *env, const PessimisticLockCommand *command,
					 TxnAnswer *answer)
{
	if (!check_request(env, command, answer))
		return;
	answer->results =
		arena_alloc(env->arena,
					command->n_mutations * sizeof(PessimisticLockResult));
	for (size_t i = 0; i < command->n_mutations; i++)
	{
		const Mutation *mutation = &command->mutations[i];
		Acquire a = {.env = env,
					 .command = command,
					 .answer = answer,
					 .key = mutation->key,
					 .should_not_exist =
						 mutation->assertion == ASSERTION_NOT_EXIST,
					 .is_shared =
						 mutation->op == MUTATION_SHARED_PESSIMISTIC_LOCK,
					 .allow_conflict =
						 command->allow_lock_with_conflict || command->resumed,
					 .for_update_ts = command->for_update_ts};

		if (!txn_may_go_on(env, answer) || !acquire(&a))
		{
			fail(env, command, answer);
			return;
		}
		add_result(&a);
	}
}
