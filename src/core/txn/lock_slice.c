/*
 * lock_slice.c
 *	  The locks of a region a slice at a time, for commands that resolve them.
 */
#include "core/txn/lock_slice.h"

/* Looking at locks is cheap, but not free: so many per slice at most. */
#define MAX_EXAMINED 4096

typedef struct ReadSlice
{
	TxnEnv *env;
	LockFilter filter;
	const void *arg;
	LockSlice *slice;
	size_t examined;
} ReadSlice;

Bytes
lock_slice_after(TxnEnv *env, Bytes key)
{
	uint8_t *data = arena_alloc(env->arena, key.len + 1);

	if (key.len > 0)
		memcpy(data, key.data, key.len);
	data[key.len] = 0;
	return bytes_make(data, key.len + 1);
}

static bool
read_lock(void *arg, Bytes key, const Lock *lock)
{
	ReadSlice *read = arg;
	LockSlice *slice = read->slice;
	Arena *arena = read->env->effects->arena;

	if (read->filter(read->arg, lock))
	{
		slice->keys[slice->n] = arena_copy(arena, key);
		lock_copy(lock, arena, &slice->locks[slice->n++]);
	}
	if (slice->n < TXN_SLICE_KEYS && ++read->examined < MAX_EXAMINED)
		return true;
	slice->more = true;
	slice->next = lock_slice_after(read->env, key);
	return false;
}

void
lock_slice_read(TxnEnv *env, Bytes cursor, bool memory, LockFilter filter,
				const void *arg, LockSlice *slice)
{
	ReadSlice read = {.env = env, .filter = filter, .arg = arg, .slice = slice};
	KeyRange range = env->region;

	slice->n = 0;
	slice->more = false;
	slice->next = bytes_empty();
	if (bytes_cmp(cursor, range.lower) > 0)
		range.lower = cursor;
	env->reader->scan_locks(env->reader, &range, UINT64_MAX, memory, read_lock,
							&read);
}
