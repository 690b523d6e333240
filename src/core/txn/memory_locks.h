/*
 * memory_locks.h
 *	  How many pessimistic locks may live in memory alone.
 *
 * TiKV has a limit per region and one per instance
 * (pessimistic-txn.in-memory-peer-size-limit, 512 KiB, and
 * in-memory-instance-size-limit, 100 MiB).  A request whose locks would go
 * beyond one of them is no error: all of its locks become durable instead
 * (tikv/tikv, components/raftstore/src/store/txn_ext.rs).
 */
#ifndef TIKV_TXN_MEMORY_LOCKS_H
#define TIKV_TXN_MEMORY_LOCKS_H

#include "core/txn/effects.h"

/* Of a region or of the store. */
typedef struct MemoryLocks
{
	uint64_t bytes;	  /* of the locks that there are */
	uint64_t pending; /* of those that the turn of this number decided */
	uint64_t turn;
} MemoryLocks;

typedef struct MemoryLockLimits
{
	uint64_t region;
	uint64_t instance;
} MemoryLockLimits;

/* About what a lock costs beside its key and record, here as in TiKV. */
#define MEMORY_LOCK_OVERHEAD 64

static inline uint64_t
memory_lock_bytes(size_t key_len, size_t record_len)
{
	return key_len + record_len + MEMORY_LOCK_OVERHEAD;
}

/* A lock began (bytes > 0) or ended to live in memory alone. */
extern void memory_locks_change(MemoryLocks *locks, int64_t bytes);

/*
 * What a command of this turn wants to lock in memory counts as pending for
 * region and instance, and carries the region's id; false if it is too much:
 * then its locks are made durable.
 */
extern bool memory_locks_admit(TxnEffects *effects, uint64_t region_id,
							   uint64_t turn, MemoryLocks *region,
							   MemoryLocks *instance,
							   const MemoryLockLimits *limits);

#endif /* TIKV_TXN_MEMORY_LOCKS_H */
