/*
 * snapshot_table.h
 *	  Regions as files: rows read piece by piece, and written or removed again.
 */
#ifndef TIKV_STORAGE_SNAPSHOT_TABLE_H
#define TIKV_STORAGE_SNAPSHOT_TABLE_H

#include "storage/tables.h"

#include "core/kv/range_delete.h"
#include "core/snapshot/snapshot_check.h"
#include "utils/snapshot.h"

/* ---- reading ---- */

typedef enum SnapshotStep
{
	SNAPSHOT_STEP_RAW_DEFAULT,
	SNAPSHOT_STEP_RAW_LOCK,
	SNAPSHOT_STEP_RAW_WRITE,
	SNAPSHOT_STEP_WRITES,
	SNAPSHOT_STEP_VALUES,
	SNAPSHOT_STEP_LOCKS,
	SNAPSHOT_STEP_DONE
} SnapshotStep;

/* Where a walk through a region is. */
typedef struct SnapshotWalk
{
	SnapshotRanges ranges; /* kept by the caller */
	SnapshotStep step;
	MemoryContext context; /* of `next` */
	Bytes next;			   /* the key to go on with; data NULL: the range's */
	bool within;		   /* versions of it up to `ts` were read */
	uint64 ts;

	/* Deletions that are accepted and not finished: what they cover is gone. */
	const RangeDelete *deletes;
	int n_deletes;
} SnapshotWalk;

extern void snapshot_walk_init(SnapshotWalk *walk,
							   const SnapshotRanges *ranges);
extern void snapshot_walk_free(SnapshotWalk *walk);

/*
 * The next rows, as records that put them: about max_bytes of them or
 * max_rows.  Tables are open for reading with TABLES_RAW, TABLES_TXN and
 * TABLES_SPILL.  For the store alone, between two turns: of locks it tells
 * what the lock table has.  A record is valid during the call.  Returns the
 * number of rows; the walk is over when its step says so.
 */
extern int snapshot_walk_slice(SnapshotWalk *walk, const OpenTables *tables,
							   Snapshot snapshot, size_t max_bytes,
							   int max_rows,
							   void (*put)(void *arg,
										   const SnapshotRecord *record),
							   void *arg);

/* ---- how far an installation has come: tikv_internal.snapshot_install ---- */

typedef struct SnapshotInstall
{
	uint64 region_id;
	uint64 index; /* of the snapshot, and with its term the file's name */
	uint64 term;
	bool loading;  /* old rows are gone */
	uint64 offset; /* of the next block in the file */
} SnapshotInstall;

/* Needs a transaction; palloc'd. */
extern int snapshot_install_load(SnapshotInstall **out);
extern void snapshot_install_save(const SnapshotInstall *install);
extern void snapshot_install_remove(uint64 region_id);

#endif /* TIKV_STORAGE_SNAPSHOT_TABLE_H */
