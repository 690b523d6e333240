/*
 * range_delete_table.h
 *	  Deletions of ranges that were accepted: how far each has come, and how
 *	  many there ever were.
 *
 * The newest row stays when its deletion is done, so that the count never
 * starts over: rows of the raw table carry it as their era.
 */
#ifndef TIKV_STORAGE_RANGE_DELETE_TABLE_H
#define TIKV_STORAGE_RANGE_DELETE_TABLE_H

#include "storage/tables.h"

#include "core/kv/range_delete.h"
#include "utils/snapshot.h"

/*
 * Load what is stored into an empty list, keys allocated by palloc; returns
 * the newest era, 0 if there never was a deletion.
 */
extern int64 range_delete_table_load(RangeDelete **out, int *n);

/*
 * Of an open table those that the snapshot shows on their way, palloc'd, in any
 * order; how many they are.
 */
extern int range_delete_table_pending(Relation rel, Snapshot snapshot,
									  RangeDelete **out);

/* Store one: a new row, or where an accepted one has come to. */
extern void range_delete_table_save(const RangeDelete *item);

/* Remove the row of a finished one that is not the newest. */
extern void range_delete_table_remove(int64 era);

#endif /* TIKV_STORAGE_RANGE_DELETE_TABLE_H */
