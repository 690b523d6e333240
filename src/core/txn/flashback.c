/*
 * flashback.c
 *	  Bring a range back to an older version (txn-semantics 22).
 *
 * Prepare rolls every lock back and then locks the first key that changed
 * since; that lock marks the flashback as begun.  The write half gives every
 * other changed key a new version with its old value, and commits the lock
 * last, which marks it as finished.  That the region refuses other requests
 * meanwhile is the driver's.
 * Source: tikv/tikv src/storage/txn/actions/flashback_to_version.rs,
 * src/storage/txn/commands/flashback_to_version{,_read_phase}.rs.
 */
#include "core/codec/memcomparable.h"
#include "core/txn/pending.h"
#include "core/txn/range_slice.h"

enum
{
	PREPARE_LOCKS, /* roll back */
	PREPARE_FIRST_KEY,
	WRITE_FIRST_KEY = 0, /* find it, and see where the flashback stands */
	WRITE_KEYS
};

/* ---------------------------------------------- keys that have changed */

typedef struct ChangedKeys
{
	TxnEnv *env;
	uint64_t version;
	size_t examined;
	bool cut;	/* looked at enough for one slice */
	Bytes next; /* then: where to go on */
	bool (*emit)(void *arg, Bytes key, uint64_t changed_ts);
	void *arg;
} ChangedKeys;

static bool
check_key(void *arg, Bytes key, const WriteAt *at)
{
	ChangedKeys *keys = arg;
	TxnEnv *env = keys->env;
	WriteAt change;

	if (keys->examined++ >= RANGE_SLICE_EXAMINED)
	{
		keys->cut = true;
		keys->next = arena_copy(env->arena, key);
		return false;
	}
	if (at->commit_ts <= keys->version ||
		!mvcc_last_change_record(env->reader, key, at, env->arena, &change) ||
		change.commit_ts <= keys->version)
		return true;
	return keys->emit(keys->arg, key, change.commit_ts);
}

/* Keys whose newest Put or Delete is above the version. */
static void
each_changed(ChangedKeys *keys, const KeyRange *range)
{
	keys->env->reader->scan_writes(keys->env->reader, range, UINT64_MAX, false,
								   check_key, keys);
}

typedef struct FirstKey
{
	TxnEnv *env;
	Bytes key;
	bool found;
} FirstKey;

static bool
take_first(void *arg, Bytes key, uint64_t changed_ts)
{
	FirstKey *first = arg;

	(void) changed_ts;
	first->key = arena_copy(first->env->effects->arena, key);
	first->found = true;
	return false;
}

/* False when the search needs another slice. */
static bool
find_first(TxnEnv *env, FlashbackCommand *command, TxnAnswer *answer,
		   FirstKey *first)
{
	ChangedKeys keys = {.env = env,
						.version = command->version,
						.emit = take_first,
						.arg = first};
	KeyRange range = range_slice(env, command->range, command->cursor);

	memset(first, 0, sizeof(*first));
	first->env = env;
	each_changed(&keys, &range);
	answer->more = keys.cut;
	command->cursor = keys.next;
	return !keys.cut;
}

/* --------------------------------------------------------------- prepare */

static bool
is_others(const void *arg, const Lock *lock)
{
	uint64_t start_ts = *(const uint64_t *) arg;

	if (lock->type != LOCK_TYPE_SHARED)
		return lock->start_ts != start_ts;
	for (size_t i = 0; i < lock->n_members; i++)
		if (lock->members[i].start_ts != start_ts)
			return true;
	return false;
}

/* The members see what was done for those before them. */
static void
rollback_members(TxnEnv *env, Bytes key, Lock *lock, uint64_t but)
{
	size_t n = lock->n_members;
	const Lock *members = lock->members;
	TxnEnv inner = *env;
	PendingReader pending;

	pending_init(&pending, env->reader, env->effects, key);
	inner.reader = &pending.reader;
	for (size_t i = 0; i < n; i++)
		if (members[i].start_ts != but)
			txn_rollback_lock(&inner, key, lock, members[i].start_ts, true);
}

static void
rollback_locks(TxnEnv *env, FlashbackCommand *command, TxnAnswer *answer)
{
	LockSlice *slice = arena_alloc(env->arena, sizeof(LockSlice));
	TxnEnv inner = *env;

	inner.region = range_slice(env, command->range, bytes_empty());
	lock_slice_read(&inner, command->cursor, true, is_others,
					&command->start_ts, slice);
	command->cursor = slice->next;
	answer->more = slice->more;
	for (size_t i = 0; i < slice->n; i++)
	{
		Lock *lock = &slice->locks[i];

		if (lock->type == LOCK_TYPE_SHARED)
			rollback_members(env, slice->keys[i], lock, command->start_ts);
		else
			txn_rollback_lock(env, slice->keys[i], lock, lock->start_ts, true);
		if (range_slice_is_full(env) && (i + 1 < slice->n || slice->more))
		{
			answer->more = true;
			command->cursor = lock_slice_after(env, slice->keys[i]);
			return;
		}
	}
}

static void
default_not_found(TxnEnv *env, TxnAnswer *answer, Bytes key,
				  const WriteRecord *write)
{
	TxnError *error = txn_add_error(env, answer, TXN_DEFAULT_NOT_FOUND);

	error->key = key;
	error->start_ts = write->start_ts;
}

/*
 * The value of the key at the version becomes one of the flashback's own; a
 * long one is copied to the effects.  False if it is missing.
 */
static bool
copy_value(TxnEnv *env, const FlashbackCommand *command, Bytes key,
		   const WriteRecord *put, TxnAnswer *answer)
{
	Bytes value;

	if (put->has_short_value)
		return true;
	if (!mvcc_load_value(env->reader, key, put, env->effects->arena, &value))
	{
		default_not_found(env, answer, key, put);
		return false;
	}
	effects_put_value(env->effects, key, command->start_ts, value);
	return true;
}

static void
lock_first_key(TxnEnv *env, const FlashbackCommand *command, Bytes key,
			   TxnAnswer *answer)
{
	Lock lock;
	WriteAt old;

	if (env->reader->get_lock(env->reader, key, env->arena, &lock))
		return;
	memset(&lock, 0, sizeof(lock));
	lock.type = LOCK_TYPE_DELETE;
	lock.primary = memcomparable_encode(key, env->effects->arena);
	lock.start_ts = command->start_ts;
	lock.txn_size = 1;
	if (mvcc_get_put(env->reader, key, command->version, command->version,
					 env->effects->arena, &old))
	{
		lock.type = LOCK_TYPE_PUT;
		lock.has_short_value = old.write.has_short_value;
		lock.short_value = old.write.short_value;
		if (!copy_value(env, command, key, &old.write, answer))
			return;
	}
	effects_put_lock(env->effects, key, &lock);
}

void
txn_flashback_rollback_locks(TxnEnv *env, FlashbackCommand *command,
							 TxnAnswer *answer)
{
	FirstKey first;

	if (command->phase == PREPARE_LOCKS)
	{
		rollback_locks(env, command, answer);
		if (answer->more)
			return;
		command->phase = PREPARE_FIRST_KEY;
		if (env->effects->n_modifies > 0)
		{
			/* What was rolled back is to be seen first. */
			answer->more = true;
			return;
		}
	}
	if (find_first(env, command, answer, &first) && first.found)
		lock_first_key(env, command, first.key, answer);
}

/* ----------------------------------------------------------------- write */

static bool
is_own_record(const WriteAt *at, const FlashbackCommand *command)
{
	return at->commit_ts == command->commit_ts &&
		at->write.start_ts == command->start_ts;
}

/* Where the flashback stands, by its first key. */
typedef enum Standing
{
	STANDING_PREPARED,
	STANDING_FINISHED,
	STANDING_NOT_PREPARED
} Standing;

static Standing
standing(TxnEnv *env, const FlashbackCommand *command, Bytes key)
{
	Lock lock;
	WriteAt at;

	if (env->reader->get_lock(env->reader, key, env->arena, &lock))
		return lock.type != LOCK_TYPE_SHARED &&
				lock.start_ts == command->start_ts ?
			STANDING_PREPARED :
			STANDING_NOT_PREPARED;
	if (env->reader->seek_write(env->reader, key, command->commit_ts,
								env->arena, &at) &&
		is_own_record(&at, command))
		return STANDING_FINISHED;
	return STANDING_NOT_PREPARED;
}

static bool
start_writing(TxnEnv *env, FlashbackCommand *command, TxnAnswer *answer)
{
	FirstKey first;

	if (!find_first(env, command, answer, &first) || !first.found)
		return false;
	switch (standing(env, command, first.key))
	{
		case STANDING_FINISHED:
			return false;
		case STANDING_NOT_PREPARED:
			txn_add_error(env, answer, TXN_FLASHBACK_NOT_PREPARED);
			return false;
		default:
			break;
	}
	command->phase = WRITE_KEYS;
	command->first_key = arena_copy(env->arena, first.key);
	command->cursor = lock_slice_after(env, first.key);
	return true;
}

typedef struct Writing
{
	TxnEnv *env;
	const FlashbackCommand *command;
	TxnAnswer *answer;
	size_t keys;
	bool cut;
	Bytes next;
} Writing;

static bool
write_key(void *arg, Bytes key, uint64_t changed_ts)
{
	Writing *writing = arg;
	TxnEnv *env = writing->env;
	const FlashbackCommand *command = writing->command;
	WriteRecord write = {.type = WRITE_TYPE_DELETE,
						 .start_ts = command->start_ts};
	WriteAt old;

	if (changed_ts >= command->commit_ts)
		return true; /* an earlier attempt of this flashback */
	if (writing->keys >= TXN_SLICE_KEYS || range_slice_is_full(env))
	{
		writing->cut = true;
		writing->next = arena_copy(env->arena, key);
		return false;
	}
	writing->keys++;
	key = arena_copy(env->effects->arena, key);
	if (mvcc_get_put(env->reader, key, command->version, command->version,
					 env->effects->arena, &old))
	{
		write.type = WRITE_TYPE_PUT;
		write.has_short_value = old.write.has_short_value;
		write.short_value = old.write.short_value;
		if (!copy_value(env, command, key, &old.write, writing->answer))
			return false;
	}
	effects_put_write(env->effects, key, command->commit_ts, &write);
	return true;
}

/* A slice of the keys behind the first one; false if there is more to do. */
static bool
write_keys(TxnEnv *env, FlashbackCommand *command, TxnAnswer *answer)
{
	Writing writing = {.env = env, .command = command, .answer = answer};
	ChangedKeys keys = {.env = env,
						.version = command->version,
						.emit = write_key,
						.arg = &writing};
	KeyRange range = range_slice(env, command->range, command->cursor);

	each_changed(&keys, &range);
	if (answer->n_errors > 0)
		return false;
	env->effects->one_pc = env->effects->n_modifies > 0;
	if (keys.cut || writing.cut)
	{
		answer->more = true;
		command->cursor = keys.cut ? keys.next : writing.next;
		return false;
	}
	return true;
}

static void
commit_first_key(TxnEnv *env, const FlashbackCommand *command,
				 TxnAnswer *answer)
{
	Bytes key = arena_copy(env->effects->arena, command->first_key);
	WriteRecord write;
	Lock lock;

	if (!env->reader->get_lock(env->reader, key, env->effects->arena, &lock) ||
		lock.type == LOCK_TYPE_SHARED || lock.start_ts != command->start_ts)
	{
		txn_add_error(env, answer, TXN_FLASHBACK_NOT_PREPARED);
		return;
	}
	memset(&write, 0, sizeof(write));
	write.type = write_type_of_lock(lock.type);
	write.start_ts = command->start_ts;
	write.has_short_value = lock.has_short_value;
	write.short_value = lock.short_value;
	write.last_change = lock.last_change;
	write.txn_source = lock.txn_source;
	effects_put_write(env->effects, key, command->commit_ts, &write);
	effects_release(env->effects, key, &lock, command->commit_ts);
}

void
txn_flashback_write(TxnEnv *env, FlashbackCommand *command, TxnAnswer *answer)
{
	if (command->commit_ts <= command->start_ts)
	{
		TxnError *error = txn_add_error(env, answer, TXN_INVALID_TXN_TSO);

		error->start_ts = command->start_ts;
		error->commit_ts = command->commit_ts;
		return;
	}
	if (command->phase == WRITE_FIRST_KEY &&
		!start_writing(env, command, answer))
		return;
	if (!write_keys(env, command, answer))
		return;
	/* Once the last of them is durable the flashback is finished. */
	if (env->effects->n_modifies > 0)
		answer->more = true;
	else
		commit_first_key(env, command, answer);
}
