/*
 * row.h
 *	  Rows by address: fetch a remembered one, write a new version.
 *
 * What the executor does for any table, cut down to ours: plain btree
 * indexes, no triggers, no constraints, no concurrent writer.
 */
#ifndef TIKV_STORAGE_ROW_H
#define TIKV_STORAGE_ROW_H

#include "core/base/bytes.h"
#include "storage/tables.h"

#include "access/htup.h"
#include "executor/tuptable.h"
#include "storage/block.h"
#include "storage/buf.h"
#include "utils/snapshot.h"

typedef enum RowFetch
{
	ROW_FOUND,	   /* in the slot */
	ROW_INVISIBLE, /* there is a row: older, newer or undone */
	ROW_ABSENT	   /* there is none */
} RowFetch;

/*
 * Fetch the row version at tid into a buffer slot if it exists and is visible
 * to the snapshot; else go on to the version that replaced it, at most
 * `follow` times.  The answer is about the first one, if none was found.  The
 * TID may be anything: *nblocks is the caller's memory of the table's length
 * (0 at first), looked up again when it seems short.  `prune` lets the page
 * be tidied on the way, which heap_update needs to find room; it must not be
 * asked for while a tuple of that page is in use.
 */
extern RowFetch row_fetch(Relation heap, BlockNumber *nblocks,
						  const ItemPointerData *tid, int follow,
						  Snapshot snapshot, bool prune, TupleTableSlot *slot);

/*
 * The version in a pinned and locked page, if there is one at this offset; the
 * tuple is left alone if not.
 */
extern bool row_find_item(Relation heap, Buffer buffer,
						  const ItemPointerData *tid, HeapTuple tuple);

/*
 * Insert a row, or replace the version at otid, with its index entries.
 * values and isnull are those of the tuple, by column.  The new place is in
 * tuple->t_self.  A row that somebody else locked or changed is an error:
 * these tables have one writer.
 */
extern void row_insert(Relation heap, const TableIndexes *indexes,
					   HeapTuple tuple, const Datum *values,
					   const bool *isnull);

/*
 * The same for the rows in n slots of heap tuples, page by page: each slot gets
 * its row's place.  values and isnull are those of one row behind the other.
 */
extern void row_insert_many(Relation heap, const TableIndexes *indexes,
							TupleTableSlot **slots, int n, const Datum *values,
							const bool *isnull);
extern void row_update(Relation heap, const TableIndexes *indexes,
					   ItemPointer otid, HeapTuple tuple, const Datum *values,
					   const bool *isnull);
extern void row_delete(Relation heap, ItemPointer tid);

/*
 * Delete the version at otid and insert its contents, of which nothing is out
 * of line, once more; where, low_rooms_aim has said.  False if another
 * transaction holds it: nothing has happened then.
 */
extern bool row_move(Relation heap, const TableIndexes *indexes,
					 ItemPointer otid, HeapTuple tuple, const Datum *values,
					 const bool *isnull);

/* A copy of the bytes of a column, in CurrentMemoryContext. */
extern Bytes row_copy_bytea(Datum datum);

#endif /* TIKV_STORAGE_ROW_H */
