/*
 * scan_lock.c
 *	  KvScanLock: the locks of a range that are older than a timestamp
 *	  (txn-semantics 19).
 *
 * Source: tikv/tikv src/storage/mod.rs (scan_lock),
 * src/storage/mvcc/reader/reader.rs (scan_locks).
 */
#include "core/txn/command.h"

typedef struct ScanLocks
{
	TxnEnv *env;
	const ScanLockCommand *command;
	TxnAnswer *answer;
	size_t room;
	size_t n; /* members of shared containers count singly */
} ScanLocks;

static void
add_lock(ScanLocks *scan, Bytes key, const Lock *lock)
{
	Arena *arena = scan->env->arena;
	TxnAnswer *answer = scan->answer;
	Lock copy;

	if (answer->n_locks == scan->room)
	{
		LockInfo *more;

		scan->room = scan->room == 0 ? 16 : scan->room * 2;
		more = arena_alloc(arena, scan->room * sizeof(LockInfo));
		if (answer->n_locks > 0)
			memcpy(more, answer->locks, answer->n_locks * sizeof(LockInfo));
		answer->locks = more;
	}
	lock_copy(lock, arena, &copy);
	txn_lock_info(arena_copy(arena, key), &copy,
				  &answer->locks[answer->n_locks++]);
}

/* The members that are old enough, as far as the limit allows. */
static Lock
cut_container(ScanLocks *scan, const Lock *lock)
{
	size_t limit = scan->command->limit;
	Lock part = *lock;

	part.members =
		arena_alloc(scan->env->arena, lock->n_members * sizeof(Lock));
	part.n_members = 0;
	for (size_t i = 0; i < lock->n_members; i++)
	{
		if (lock->members[i].start_ts > scan->command->max_ts)
			continue;
		if (limit > 0 && scan->n + part.n_members == limit)
			break;
		part.members[part.n_members++] = lock->members[i];
	}
	return part;
}

static bool
scan_lock(void *arg, Bytes key, const Lock *lock)
{
	ScanLocks *scan = arg;

	if (!txn_may_go_on(scan->env, scan->answer))
		return false;
	if (lock->type == LOCK_TYPE_SHARED)
	{
		Lock part = cut_container(scan, lock);

		if (part.n_members > 0)
			add_lock(scan, key, &part);
		scan->n += part.n_members;
	}
	else
	{
		add_lock(scan, key, lock);
		scan->n++;
	}
	return scan->command->limit == 0 || scan->n < scan->command->limit;
}

/* What of the asked range lies in the region. */
static KeyRange
clip(const KeyRange *range, const KeyRange *region)
{
	KeyRange both = *range;

	if (bytes_cmp(both.lower, region->lower) < 0)
		both.lower = region->lower;
	if (both.upper.len == 0 ||
		(region->upper.len > 0 && bytes_cmp(region->upper, both.upper) < 0))
		both.upper = region->upper;
	return both;
}

void
txn_scan_lock(TxnEnv *env, const ScanLockCommand *command, TxnAnswer *answer)
{
	ScanLocks scan = {.env = env, .command = command, .answer = answer};
	KeyRange range = clip(&command->range, &env->region);
	Bytes key;
	Lock lock;

	env->cm->raise_max_ts(env->cm, command->max_ts);
	if (env->cm->find_guard(env->cm, &range, command->max_ts, env->arena, &key,
							&lock))
	{
		txn_lock_info(key, &lock,
					  &txn_add_error(env, answer, TXN_KEY_IS_LOCKED)->lock);
		return;
	}
	env->reader->scan_locks(env->reader, &range, command->max_ts, true,
							scan_lock, &scan);
}
