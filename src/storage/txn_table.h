/*
 * txn_table.h
 *	  Transactions in heap tables: the core's MvccReader over `write`, `value`
 *	  and the lock table, and the writer of TxnModify effects.
 *
 * Locks are looked up in shared memory (bus/lock_table.h); `lock_slot` is
 * their durable image, written in place, read once at start; `lock_spill`
 * has those that do not fit, and is read only while there are any.
 */
#ifndef TIKV_STORAGE_TXN_TABLE_H
#define TIKV_STORAGE_TXN_TABLE_H

#include "storage/tables.h"

#include "core/txn/effects.h"
#include "utils/snapshot.h"

/* ---- reading ---- */

/*
 * A reader over open tables (TABLES_TXN), which must outlive it, and one
 * registered snapshot, allocated in CurrentMemoryContext.  With `spilled` (lock_table_n_spilled()
 * was not 0 before the snapshot) the tables must be open with TABLES_SPILL,
 * and get_lock and scan_locks look into lock_spill, too.
 *
 * get_lock and scan_locks tell what the lock table holds at the time of the
 * call: they are for the store's commands, whose snapshot agrees with it.
 * Reads at a timestamp look at the lock table before the snapshot and ask
 * txn_reader_spilled_* afterwards.
 *
 * Raises an error for stored bytes that do not decode, and
 * ERRCODE_CANNOT_CONNECT_NOW while the lock table is being rebuilt.
 */
extern MvccReader *txn_reader_open(const OpenTables *tables, Snapshot snapshot,
								   bool spilled);
extern void txn_reader_close(MvccReader *reader);

/*
 * The spilled lock on a key, and those of a range in order or in descending
 * order, under the reader's snapshot.  The copy lives in the arena; what emit
 * gets is valid during the call.  Nothing is found without `spilled`.
 */
extern bool txn_reader_spilled_lock(MvccReader *reader, Bytes key, Arena *arena,
									Lock *lock);
extern void txn_reader_scan_spilled(MvccReader *reader, const KeyRange *range,
									bool reverse,
									bool (*emit)(void *arg, Bytes key,
												 const Lock *lock),
									void *arg);

/* ---- the store ---- */

/*
 * This process, the only one that writes, remembers where the newest versions
 * of keys are (version_hint.h), and its readers ask that first.
 */
extern void version_hints_enable(void);

/*
 * Somebody else may write versions of some keys (grants.h): hints are not made
 * for those of which `is_foreign` says so.  Forget what is known of a key,
 * before that begins and after it has ended.
 */
extern void version_hints_except(bool (*is_foreign)(void *arg, Bytes key),
								 void *arg);
extern void version_hints_forget(Bytes key);

/* Says is_foreign so of this key?  False without one. */
extern bool version_is_foreign(Bytes key);

/*
 * What the store remembers of lock_slot: where each slot's row is and which
 * are free.  Lives in CurrentMemoryContext of lock_pool_new until
 * lock_pool_free.
 */
typedef struct LockPool LockPool;

extern LockPool *lock_pool_new(void);
extern void lock_pool_free(LockPool *pool);

/* Is a lock stored in lock_slot?  Reads the whole table. */
extern bool lock_pool_has_stored(void);

/*
 * Fill the pool and the lock table from lock_slot and lock_spill, after
 * lock_table_reset.  Locks that find no room (tikv.lock_memory was lowered)
 * move to lock_spill, so the tables are open for writing (TABLES_TXN) and the
 * caller commits.  After the commit: lock_table_open.  If the transaction
 * fails, begin again with lock_table_reset.
 */
extern void lock_pool_load(LockPool *pool, const OpenTables *tables,
						   Snapshot snapshot);

typedef struct LockPoolStats
{
	uint64 slots;
	uint64 free;
} LockPoolStats;

extern void lock_pool_stats(const LockPool *pool, LockPoolStats *out);

/*
 * The writer of one turn.  Each (cf, key, ts) must be written at most once
 * per writer (the turn folds its effects): a put inserts, or replaces the row
 * if there is one; deleting what is absent does nothing.  TxnModify.lock is
 * not looked at.  A memory_only lock that finds no room in memory is spilled,
 * and so lasts like any other.
 *
 * The snapshot must be registered, the tables open for writing (TABLES_TXN).
 * The writer lives in CurrentMemoryContext, which must outlive the commit.
 * After the commit txn_writer_published makes the lock table agree with the
 * tables; it does not throw.  Guards are ended after that, by the store.  If
 * the transaction aborts, reset or delete that context before the next writer
 * is opened: everything that was taken from the pool and the lock table is
 * then given back.
 */
typedef struct TxnWriter TxnWriter;

extern TxnWriter *txn_writer_open(const OpenTables *tables, Snapshot snapshot,
								  LockPool *pool);
extern void txn_writer_apply(TxnWriter *writer, const TxnModify *modify);
extern void txn_writer_close(TxnWriter *writer);	 /* before the commit */
extern void txn_writer_published(TxnWriter *writer); /* after it; frees */

/*
 * Verify write, value, lock_slot and lock_spill (opened with TABLES_TXN,
 * TABLES_SPILL and TABLES_SLOTS), as raw_table_check does.
 */
extern int64 txn_table_check(const OpenTables *tables, Snapshot snapshot,
							 void (*report)(void *arg, const char *defect),
							 void *arg);

#endif /* TIKV_STORAGE_TXN_TABLE_H */
