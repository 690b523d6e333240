/*
 * raw_row.h
 *	  Rows of tikv_internal.raw: their columns, how a key is split over two of
 *	  them, and the way to the current row of a key.
 *
 * Private to the raw_*.c files of this folder.
 */
#ifndef TIKV_STORAGE_RAW_ROW_H
#define TIKV_STORAGE_RAW_ROW_H

#include "core/kv/expiry.h"
#include "core/kv/range_delete.h"
#include "storage/raw_table.h"
#include "storage/row.h"
#include "storage/stored_key.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "storage/block.h"

/* Columns of the table, from 1 on. */
enum
{
	RAW_ERA = 1,
	RAW_EXPIRES_AT,
	RAW_CF,
	RAW_KEY,
	RAW_KEY_REST,
	RAW_VALUE,
	RAW_COLUMNS = RAW_VALUE
};

/* Columns of its index. */
enum
{
	RAW_INDEX_CF = 1,
	RAW_INDEX_KEY,
	RAW_INDEX_COLUMNS = RAW_INDEX_KEY
};

/* Columns of the row in a slot.  The bytes live as long as the row is held. */
static inline Datum
raw_row_datum(TupleTableSlot *slot, AttrNumber column)
{
	slot_getsomeattrs(slot, RAW_COLUMNS);
	return slot->tts_values[column - 1];
}

static inline int64
raw_row_expires_at(TupleTableSlot *slot)
{
	return DatumGetInt64(raw_row_datum(slot, RAW_EXPIRES_AT));
}

static inline int64
raw_row_era(TupleTableSlot *slot)
{
	return DatumGetInt64(raw_row_datum(slot, RAW_ERA));
}

static inline RawCf
raw_row_cf(TupleTableSlot *slot)
{
	return (RawCf) DatumGetChar(raw_row_datum(slot, RAW_CF));
}

/* The first part of the key is never moved out of its row. */
static inline Bytes
raw_row_prefix(TupleTableSlot *slot)
{
	return inline_bytes(raw_row_datum(slot, RAW_KEY));
}

/* A row's columns; key, rest and value point into the row. */
typedef struct RawRow
{
	int64 era;
	int64 expires_at;
	RawCf cf;
	bool has_rest;
	Datum key;
	Datum rest; /* undefined if there is none */
	Datum value;
} RawRow;

extern void raw_row_of_slot(TupleTableSlot *slot, RawRow *row);

/* The same without a slot, of a row in a page that is held. */
extern void raw_row_of_tuple(const HeapTupleData *tuple, RawRow *row);

/* Does the row have this key? */
extern bool raw_row_holds(const RawRow *row, RawCf cf, Bytes key,
						  MemoryContext scratch);

/*
 * The rest of the key (empty if there is none) and the value, fetched into
 * `context` if they are stored elsewhere, which needs a registered snapshot.
 */
extern Bytes raw_row_rest(TupleTableSlot *slot, MemoryContext context);
extern Bytes raw_row_value(TupleTableSlot *slot, MemoryContext context);

/* Of the value, which is not fetched. */
extern Size raw_row_length(TupleTableSlot *slot);

/*
 * The way to rows by key, under one snapshot: by the place cache, else by an
 * index scan that is kept open between keys.
 */
typedef struct RawFinder
{
	Relation heap;
	Relation index;
	Snapshot snapshot;
	MemoryContext context; /* of the index scan; outlives it */
	MemoryContext scratch; /* for a row's detoasted parts */
	TupleTableSlot *slot;  /* the row that was found */
	IndexScanDesc scan;	   /* NULL until the first use */
	ScanKeyData keys[RAW_INDEX_COLUMNS];
	KeyProbe probe;
	BlockNumber nblocks;		/* of the heap, as row_fetch remembers it */
	bool writer;				/* tidies pages on its way */
	const RangeDelete *deletes; /* what they have yet to remove is absent */
	int n_deletes;
} RawFinder;

/* Is there a row whose range was deleted after it was written? */
static inline bool
raw_row_is_buried(const RawFinder *finder, RawCf cf, Bytes key, int64 era)
{
	return finder->n_deletes > 0 &&
		range_delete_covers(finder->deletes, finder->n_deletes, cf, key, era);
}

extern RawFinder *raw_finder_open(const OpenTables *tables, Snapshot snapshot,
								  bool writer);
extern void raw_finder_close(RawFinder *finder);

/*
 * Find the visible row of a key.  True with the row in finder->slot, held
 * until raw_finder_release, which every find must be followed by.
 */
extern bool raw_finder_find(RawFinder *finder, RawCf cf, Bytes key,
							uint64 hash);
extern void raw_finder_release(RawFinder *finder);

/*
 * All visible rows whose key begins with the same prefix, one at a time in
 * finder->slot, in no useful order.  End with raw_finder_release.
 */
extern void raw_finder_begin(RawFinder *finder, RawCf cf, Bytes prefix);
extern bool raw_finder_next(RawFinder *finder);

/* The row version at a TID that came from such a scan. */
extern RowFetch raw_finder_fetch(RawFinder *finder, ItemPointer tid);

/* The reader's `get_many` (raw_batch.c) and `scan` (raw_scan.c). */
extern void raw_batch_get(RawFinder *finder, int64 now_s, RawCf cf,
						  const Bytes *keys, int n,
						  bool (*emit)(void *arg, int i, const RawPair *pair),
						  void *arg);
extern void raw_scan_run(RawFinder *finder, int64 now_s, const RawScan *scan,
						 bool (*emit)(void *arg, const RawPair *pair),
						 void *arg);

#endif /* TIKV_STORAGE_RAW_ROW_H */
