/*
 * lock_table.h
 *	  All live locks of transactions, and the guards of those that commit at
 *	  a timestamp they chose themselves, in shared memory.
 *
 * The store writes, everybody reads.  A *lock* is what CF lock holds for a
 * key: durable (its image is a row of lock_slot) or in memory only (a
 * pessimistic lock that may be lost).  A *guard* is the lock of an async
 * commit, 1PC or grant that is shown to readers before its turn commits
 * (txn-semantics 24).  A key has at most one lock and any number of guards.
 *
 * What does not fit (a long key, a large record, a full table) is *spilled*:
 * a row of lock_spill, of which only the number is known here.
 *
 * The order of steps for a reader at T (DESIGN 4): lock_table_raise_max_ts(T),
 * look, lock_table_n_spilled, take the snapshot.  A lock that was missed then
 * was released visibly before the snapshot, or belongs to a transaction that
 * commits above T.  lock_table.c has the proof.
 */
#ifndef TIKV_BUS_LOCK_TABLE_H
#define TIKV_BUS_LOCK_TABLE_H

#include "bus/shmem.h"
#include "core/mvcc/reader.h"

/* Longer keys are never in the table. */
#define LOCK_TABLE_KEY_MAX 1024

/* Nor are larger records (encoded). */
#define LOCK_TABLE_RECORD_MAX 24576

typedef enum LockKind
{
	LOCK_KIND_DURABLE,
	LOCK_KIND_MEMORY, /* in-memory pessimistic: no row */
	LOCK_KIND_GUARD	  /* its turn has not committed yet */
} LockKind;

/* ---- readers: any process ---- */

/* What a look at one key found; everything lives in the arena. */
typedef struct LockLook
{
	bool has_lock;
	LockKind kind; /* of the lock: durable or memory */
	Lock lock;
	size_t n_guards;
	Lock *guards; /* by min_commit_ts, the smallest first */
} LockLook;

/*
 * Look at a key.  Takes no lock as long as nothing is locked in the key's
 * bucket.  False: the table is being rebuilt (or was left half changed by a
 * store that died), and nothing can be said: ServerIsBusy.
 */
extern bool lock_table_look(Bytes key, Arena *arena, LockLook *out) MUST_CHECK;

/* A lock that a scan accepted; everything lives in the scan's arena. */
typedef struct LockMet
{
	Bytes key;
	Lock lock;
	LockKind kind;
	int verdict; /* what the filter said */
} LockMet;

typedef struct LockScan
{
	KeyRange range;
	bool reverse;
	size_t max_locks; /* stop after so many accepted; 0: no limit */
	size_t max_bytes; /* ... keys and records of so many bytes; 0: no limit */

	/*
	 * 0 passes over the lock.  Runs under the table's lock: it must be quick,
	 * must not throw and must not use the table.  Key and lock are borrowed.
	 * NULL accepts all with verdict 1.
	 */
	int (*filter)(void *arg, Bytes key, const Lock *lock, LockKind kind);
	void *arg;
} LockScan;

typedef struct LockScanResult
{
	LockMet *met; /* in the scan's order; lock, then guards of a key */
	size_t n;

	/*
	 * A limit was hit: `met` is complete for keys before covered_until (for a
	 * reverse scan: from covered_until on), and holds nothing of the others.
	 * At least one key is covered.
	 */
	bool truncated;
	Bytes covered_until;
} LockScanResult;

/* Look at a range.  Takes no lock while the table is empty; false as above. */
extern bool lock_table_scan(const LockScan *scan, Arena *arena,
							LockScanResult *out) MUST_CHECK;

/*
 * Rows of lock_spill that may exist.  Must be asked after the look and before
 * the snapshot; unless it is 0, lock_spill must be read under that snapshot.
 */
extern uint64 lock_table_n_spilled(void);

/* board_raise_max_ts: a full barrier, whether it raised or not. */
extern void lock_table_raise_max_ts(uint64 ts);

typedef struct LockTableStats
{
	uint64 locks; /* durable and in memory */
	uint64 memory_locks;
	uint64 guards;
	uint64 spilled;
	uint64 bytes_used;
	uint64 bytes_total;
} LockTableStats;

extern void lock_table_stats(LockTableStats *out);

/* ---- the store alone ---- */

/*
 * Begin anew: no locks, no guards, nothing spilled.  Readers get `false` from
 * now until lock_table_open.  The first act of a store, after board_reset.
 */
extern void lock_table_reset(void);
extern void lock_table_open(void);

/*
 * Have a function of this process told whenever a lock of a region begins or
 * ends (bytes < 0) to live in memory alone.  It runs within a change: it must
 * be quick, must not throw and must not use the table.
 */
extern void lock_table_watch_memory(void (*note)(void *arg, uint64 region_id,
												 int64 bytes),
									void *arg);

/* Changes with every reset: rooms that were reserved before it are void. */
extern uint64 lock_table_generation(void);

/*
 * Where the store's own rows of a lock are; false if the table has no lock on
 * the key.
 */
typedef struct LockPlace
{
	LockKind kind;
	uint64 slot; /* of lock_slot, if durable; in memory: the region's id */
} LockPlace;

extern bool lock_table_find(Bytes key, LockPlace *out);

/*
 * Putting a lock takes two steps, since whether there is room must be known
 * before the turn commits and readers may see it only after.  reserve: false
 * if the lock does not fit (spill it).  The room is used by lock_table_put or
 * given back by lock_table_unreserve; a turn must not reserve twice for a key.
 */
typedef struct LockRoom
{
	uint32 node;   /* 0: the key's present lock has room enough */
	uint32 length; /* of the record */
} LockRoom;

extern bool lock_table_reserve(Bytes key, Bytes record, LockRoom *room);
extern void lock_table_unreserve(LockRoom *room);

/* The key's lock is this one from now on; `record` as when it was reserved. */
extern void lock_table_put(LockRoom *room, Bytes key, Bytes record,
						   LockPlace place);
extern void lock_table_delete(Bytes key);

/* Rows were or will be added to lock_spill (before the commit), removed
 * from it (after the commit), or were not added after all. */
extern void lock_table_add_spilled(int64 n);

/*
 * The guard of this transaction ended: its turn is visible, and its lock, if
 * it left one, is in the table; or it was aborted.  No guard: does nothing.
 */
extern void lock_table_end_guard(Bytes key, uint64 start_ts);

/*
 * A guard of a grant that outlived its store, while the table is being
 * rebuilt: min_commit_ts is what readers were told before.  False: no room,
 * which cannot be where guards come before locks.
 */
extern bool lock_table_restore_guard(Bytes key, Bytes record, uint64 start_ts,
									 uint64 min_commit_ts, bool use_one_pc);

/* core/txn/env.h, which does not go together with Postgres's utils/rel.h. */
typedef struct ConcurrencyManager ConcurrencyManager;

/*
 * The concurrency manager over this table and the board's max_ts, for the
 * store's commands.  There is one; its functions must not run at once in two
 * threads.
 */
extern ConcurrencyManager *lock_table_cm(void);

extern Size lock_table_shmem_size(void);
extern void lock_table_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_LOCK_TABLE_H */
