/*
 * rows_slice.h
 *	  A transaction that writes or removes some rows of a region, past its log.
 *
 * What the installation of a snapshot and the removal of what peers have left
 * behind have in common.  A slice is run between two turns; an error in it
 * aborts the transaction and leaves nothing behind.
 */
#ifndef TIKV_STORE_ROWS_SLICE_H
#define TIKV_STORE_ROWS_SLICE_H

#include "store/snapshots.h"

typedef struct RowsSlice
{
	Store *store;
	OpenTables tables;
	Snapshot snapshot;
	RawWriter *raw;
	TxnWriter *txn;
} RowsSlice;

/* Begin a transaction; false if somebody has the tables, which is reported. */
extern bool rows_slice_open(RowsSlice *slice, Store *store);

/* Write a record of a snapshot, or remove the row that it is of. */
extern void rows_slice_write(RowsSlice *slice, const SnapshotRecord *record,
							 bool remove);

/* Remove the next rows of a walk; returns how many. */
extern int rows_slice_remove(RowsSlice *slice, SnapshotWalk *walk);

/* Remove some raw rows of a range; true if there are no more. */
extern bool rows_slice_remove_raw(RowsSlice *slice,
								  const SnapshotRecord *range);

/* All is written; what is stored beside it may follow. */
extern void rows_slice_close(RowsSlice *slice);
extern void rows_slice_commit(RowsSlice *slice, bool flush);

/* The last step, after the commit: memory is told. */
extern void rows_slice_published(RowsSlice *slice);

#endif /* TIKV_STORE_ROWS_SLICE_H */
