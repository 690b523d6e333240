/*
 * read.h
 *	  Reads at a timestamp: KvGet, KvBatchGet, KvScan (txn-semantics 23).
 *
 * The order of steps is the driver's (DESIGN 4): raise max_ts, look at the
 * locks in memory, take the snapshot, then these functions.  What the look
 * found is handed to them, so that no lock is missed that ended in between.
 */
#ifndef TIKV_MVCC_READ_H
#define TIKV_MVCC_READ_H

#include "core/mvcc/lookup.h"

/* kvrpcpb.IsolationLevel. */
typedef enum Isolation
{
	ISOLATION_SI = 0,
	ISOLATION_RC = 1,
	ISOLATION_RC_CHECK_TS = 2
} Isolation;

typedef struct ReadContext
{
	uint64_t ts;
	Isolation isolation;
	const uint64_t *resolved_locks; /* start_ts to pass over */
	size_t n_resolved_locks;
	const uint64_t *committed_locks; /* start_ts to read through */
	size_t n_committed_locks;
	bool replica_read;
	bool need_commit_ts;
} ReadContext;

typedef enum LockVerdict
{
	LOCK_IGNORED,
	LOCK_BLOCKS,	/* KeyIsLocked */
	LOCK_CONFLICTS, /* RcCheckTs: WriteConflict */
	LOCK_ACCESSED	/* read the value from the lock */
} LockVerdict;

/* 23.2; `guard`: a lock of the memory table that is not durable yet. */
extern LockVerdict mvcc_lock_verdict(const ReadContext *context, Bytes key,
									 const Lock *lock, bool guard);

/* A lock that matters to a read, as the look before the snapshot found it. */
typedef struct MetLock
{
	Bytes key;
	Lock lock;
	LockVerdict verdict;
	bool is_guard; /* of async commit or 1PC, in memory only */
} MetLock;

typedef enum ReadOutcome
{
	READ_FOUND,
	READ_NOT_FOUND,
	READ_LOCKED,		 /* met */
	READ_CONFLICT,		 /* RcCheckTs: conflict_ts, conflict_commit_ts */
	READ_DEFAULT_MISSING /* corruption: start_ts of the missing value */
} ReadOutcome;

typedef struct ReadResult
{
	ReadOutcome outcome;
	Bytes key;
	Bytes value;
	uint64_t commit_ts; /* FOUND, unless read from a lock: 0 */
	const MetLock *met; /* LOCKED, and CONFLICT by a lock */
	uint64_t conflict_ts;
	uint64_t conflict_commit_ts;
	uint64_t start_ts; /* DEFAULT_MISSING */
} ReadResult;

/* One key; `met` is the lock that the look found on it, or NULL. */
extern void mvcc_get(MvccReader *reader, const ReadContext *context, Bytes key,
					 const MetLock *met, Arena *arena, ReadResult *result);

typedef struct MvccScan
{
	KeyRange range;
	bool reverse;
	bool key_only;
	uint32_t limit;
	uint32_t sample_step; /* 0 and 1: all */
} MvccScan;

/*
 * Walk the visible pairs of a range.  `met` are the locks that matter, in
 * the scan's own order.  emit gets FOUND and LOCKED pairs, or one CONFLICT or
 * DEFAULT_MISSING as the last; it answers false to stop.  The arena is reset
 * between pairs, so emit copies what it keeps.  Returns the number of pairs
 * that counted against the limit.
 */
extern uint32_t mvcc_scan(MvccReader *reader, const ReadContext *context,
						  const MvccScan *scan, const MetLock *met,
						  size_t n_met, Arena *arena,
						  bool (*emit)(void *arg, const ReadResult *result),
						  void *arg);

#endif /* TIKV_MVCC_READ_H */
