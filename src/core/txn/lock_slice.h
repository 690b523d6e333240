/*
 * lock_slice.h
 *	  The locks of a region a slice at a time, for commands that resolve them.
 */
#ifndef TIKV_TXN_LOCK_SLICE_H
#define TIKV_TXN_LOCK_SLICE_H

#include "core/txn/command.h"

typedef struct LockSlice
{
	Bytes keys[TXN_SLICE_KEYS]; /* in the arena of the effects */
	Lock locks[TXN_SLICE_KEYS];
	size_t n;
	bool more;	/* the region has locks behind these */
	Bytes next; /* then: where they begin */
} LockSlice;

/* Does the slice want this lock, which may be a shared container? */
typedef bool (*LockFilter)(const void *arg, const Lock *lock);

/*
 * The wanted locks of env->region from `cursor` (empty: its begin) on.  Ends
 * early, with more, after many locks that nobody wanted.
 */
extern void lock_slice_read(TxnEnv *env, Bytes cursor, bool memory,
							LockFilter filter, const void *arg,
							LockSlice *slice);

/* The cursor that begins right behind a key; lives as long as the command. */
extern Bytes lock_slice_after(TxnEnv *env, Bytes key);

#endif /* TIKV_TXN_LOCK_SLICE_H */
