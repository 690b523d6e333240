/*
 * env.h
 *	  What surrounds a command: what it reads, whom it tells, what it wants.
 *
 * The concurrency manager (txn-semantics 24) is an interface: the store's is
 * in shared memory, a test's is a struct.
 */
#ifndef TIKV_TXN_ENV_H
#define TIKV_TXN_ENV_H

#include "core/mvcc/lookup.h"
#include "core/txn/effects.h"
#include "core/txn/types.h"

typedef enum PublishAnswer
{
	PUBLISH_OK,		   /* in the table, with lock->min_commit_ts set */
	PUBLISH_TOO_LARGE, /* beyond max_commit_ts: not in the table */
	PUBLISH_FULL	   /* no room, or the key is too long for the table */
} PublishAnswer;

typedef struct ConcurrencyManager ConcurrencyManager;

struct ConcurrencyManager
{
	/* max_ts = max(max_ts, ts); UINT64_MAX is ignored. */
	void (*raise_max_ts)(ConcurrencyManager *cm, uint64_t ts);

	/*
	 * Put a guard for an async-commit or 1PC lock into the memory table: in
	 * one critical section reads max_ts, sets lock->min_commit_ts =
	 * max(lock->min_commit_ts, max(max_ts, start_ts, for_update_ts) + 1) and
	 * shows the lock to readers.  With max_commit_ts not 0 and exceeded
	 * nothing is shown, but lock->min_commit_ts is set.
	 */
	PublishAnswer (*publish)(ConcurrencyManager *cm, Bytes key, Lock *lock,
							 uint64_t max_commit_ts);

	/* Take back a guard of this transaction: the command fell back. */
	void (*retract)(ConcurrencyManager *cm, Bytes key, uint64_t start_ts);

	/*
	 * A guard in the range with start_ts <= max_ts, for ScanLock; false if
	 * there is none.  The copy lives in the arena.
	 */
	bool (*find_guard)(ConcurrencyManager *cm, const KeyRange *range,
					   uint64_t max_ts, Arena *arena, Bytes *key, Lock *lock);
};

/* Transactions that this store saw commit lately (txn-semantics 6). */
typedef struct TxnStatusCache TxnStatusCache;

typedef struct TxnEnv
{
	MvccReader *reader;
	ConcurrencyManager *cm;
	TxnStatusCache *status_cache; /* NULL: nothing is known */
	Arena *arena;				  /* of the command */
	TxnEffects *effects;

	bool max_ts_synced;	   /* async commit and 1PC are allowed */
	bool memory_locks;	   /* pessimistic locks may live in memory only */
	bool pipelined;		   /* answer pessimistic locks before they last */
	size_t max_key_size;   /* of the memcomparable form; 0: no limit */
	size_t max_memory;	   /* arena->allocated beyond which to fail; 0: none */
	uint64_t txn_source;   /* Context.txn_source */
	bool is_retry_request; /* Context.is_retry_request */
	KeyRange region;	   /* user keys of the region, for range forms */
} TxnEnv;

#endif /* TIKV_TXN_ENV_H */
