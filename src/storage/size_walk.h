/*
 * size_walk.h
 *	  The rows of a region and their sizes, a bounded number at a time.
 *
 * As snapshot_walk.c, but of values their lengths alone, which are in the rows
 * that point to them; and versions before raw rows.  Locks do not count, as in
 * TiKV (tikv/tikv components/raftstore/src/coprocessor/split_check: LARGE_CFS).
 */
#ifndef TIKV_STORAGE_SIZE_WALK_H
#define TIKV_STORAGE_SIZE_WALK_H

#include "storage/tables.h"

#include "core/mvcc/reader.h"
#include "utils/snapshot.h"

typedef enum SizeStep
{
	SIZE_STEP_WRITES,
	SIZE_STEP_VALUES,
	SIZE_STEP_RAW_DEFAULT,
	SIZE_STEP_RAW_WRITE,
	SIZE_STEP_DONE
} SizeStep;

/* Of a version's row beside key and bytes: its timestamp. */
#define SIZE_OF_TS 8

typedef struct SizeRow
{
	SizeStep step; /* which table it is of */
	Bytes key;
	bool new_key; /* not the one of the row before */
	uint64 bytes;
} SizeRow;

typedef struct SizeWalk
{
	KeyRange raw;
	KeyRange txn;
	bool no_txn;
	SizeStep step;
	MemoryContext context; /* of `last` */
	Bytes last;			   /* the key it stands at; data NULL: before all */
	uint64 ts;			   /* ... and this version of it, both done */
} SizeWalk;

/* The ranges' keys are the caller's, and stay. */
extern void size_walk_init(SizeWalk *walk, KeyRange raw, KeyRange txn,
						   bool no_txn);
extern void size_walk_free(SizeWalk *walk);

/*
 * The next rows: max_rows at most, no more after most_us microseconds, and all
 * of one step, since what follows the last row of a step is of other keys.
 * Tables are open for reading with TABLES_RAW and TABLES_TXN.  Returns the
 * number of rows; the walk is over when its step says so.
 */
extern int size_walk_slice(SizeWalk *walk, const OpenTables *tables,
						   Snapshot snapshot, int max_rows, int64 most_us,
						   void (*put)(void *arg, const SizeRow *row),
						   void *arg);

/* Is there any version at all? */
extern bool size_walk_any_version(const OpenTables *tables, Snapshot snapshot);

#endif /* TIKV_STORAGE_SIZE_WALK_H */
