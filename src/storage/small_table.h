/*
 * small_table.h
 *	  Tables of a few rows, each with a number in its first column: read as
 *	  they are committed now, a row written over or taken away.
 *
 * Needs a transaction.  Tables are opened as table_open_small does it, and
 * what is written this transaction sees at once.
 */
#ifndef TIKV_STORAGE_SMALL_TABLE_H
#define TIKV_STORAGE_SMALL_TABLE_H

#include "storage/tables.h"

#include "access/genam.h"
#include "access/htup.h"
#include "utils/snapshot.h"

/* A walk over rows of an open table. */
typedef struct SmallScan
{
	Relation rel;
	Snapshot snapshot;
	SysScanDesc scan;
} SmallScan;

extern void small_scan_begin(SmallScan *small, Relation rel);

/* The rows with this number, by the index if there is one. */
extern void small_scan_begin_id(SmallScan *small, Relation rel, Datum id);

/*
 * The next row, valid until the one after it; NULL at the end.  values and
 * isnull are of all columns, or both NULL.
 */
extern HeapTuple small_scan_next(SmallScan *small, Datum *values, bool *isnull);
extern void small_scan_end(SmallScan *small);

/* Where the row with this number is; invalid if there is none. */
extern ItemPointerData small_row_find(Relation rel, Datum id);

/*
 * Write a row, none of its columns NULL, over the one at `old`, or as a new one
 * if that is not valid.
 */
extern void small_row_save(Relation rel, const TableIndexes *indexes,
						   ItemPointer old, const Datum *values);

/* Make an item of a row's columns. */
typedef void (*SmallRead)(const Datum *values, void *item);

/* All rows as items of this size, palloc'd, in no order; how many they are. */
extern int small_table_load(const char *name, Size size, SmallRead read,
							void **items);

/* A new row; a row in the place of the one with its number, or a new one. */
extern void small_table_add(const char *name, const Datum *values);
extern void small_table_save(const char *name, const Datum *values);

/* Nothing if there is no such row. */
extern void small_table_remove(const char *name, Datum id);

#endif /* TIKV_STORAGE_SMALL_TABLE_H */
