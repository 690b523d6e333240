/*
 * version_row.h
 *	  Tables of (ts, key, key_rest, bytes), indexed by (key, ts): write, value
 *	  and lock_spill.  Finding versions, walking ranges, writing rows.
 *
 * Private to the files of this folder.
 */
#ifndef TIKV_STORAGE_VERSION_ROW_H
#define TIKV_STORAGE_VERSION_ROW_H

#include "storage/row.h"
#include "storage/stored_key.h"
#include "storage/tables.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "core/mvcc/reader.h"
#include "executor/tuptable.h"

/* Columns of such a table, from 1 on. */
enum
{
	VERSION_TS = 1,
	VERSION_KEY,
	VERSION_KEY_REST,
	VERSION_BYTES,
	VERSION_COLUMNS = VERSION_BYTES
};

/* Columns of its index. */
enum
{
	VERSION_INDEX_KEY = 1,
	VERSION_INDEX_TS,
	VERSION_INDEX_COLUMNS = VERSION_INDEX_TS
};

/* A timestamp as a column holds it; greater ones are only ever asked for. */
static inline int64
version_ts_bound(uint64 ts)
{
	return (int64) Min(ts, (uint64) PG_INT64_MAX);
}

static inline Datum
version_datum(TupleTableSlot *slot, AttrNumber column)
{
	slot_getsomeattrs(slot, VERSION_COLUMNS);
	return slot->tts_values[column - 1];
}

static inline uint64
version_ts(TupleTableSlot *slot)
{
	return (uint64) DatumGetInt64(version_datum(slot, VERSION_TS));
}

static inline Bytes
version_prefix(TupleTableSlot *slot)
{
	return inline_bytes(version_datum(slot, VERSION_KEY));
}

/* These may be fetched into `context`. */
static inline Bytes
version_bytes(TupleTableSlot *slot, MemoryContext context)
{
	return fetch_bytes(version_datum(slot, VERSION_BYTES), context);
}

extern Bytes version_rest(TupleTableSlot *slot, MemoryContext context);

/* ---- finding (version_row.c) ---- */

/*
 * The way to versions of a key under one snapshot.  It stays where the last
 * answer was, so that walking down the versions of a key takes a step each.
 */
typedef struct VersionFinder
{
	Relation heap;
	Relation index;
	Snapshot snapshot;
	MemoryContext context; /* of the index scan; outlives it */
	MemoryContext scratch; /* for a row's detoasted parts */
	TupleTableSlot *slot;  /* the row that was found */
	IndexScanDesc scan;	   /* NULL until the first use */
	ScanKeyData keys[VERSION_INDEX_COLUMNS];
	KeyProbe probe;

	/* Where it stands: what was asked, and whether the slot has an answer. */
	bool standing;
	uint64 asked_ts;
	bool found;
	uint8 *key;
	Size key_len;
	Size key_room;

	/* With hints (version_hint.h): their epoch when the snapshot was new. */
	bool hinted;
	uint64 epoch;
	BlockNumber nblocks;
} VersionFinder;

extern VersionFinder *version_finder_open(const OpenTable *table,
										  Snapshot snapshot);
extern void version_finder_close(VersionFinder *finder);

/* Hold no row and no page; the next question starts afresh. */
extern void version_finder_release(VersionFinder *finder);

/*
 * The newest version with ts <= this one; the version of just this ts.  True
 * with the row in finder->slot, until the finder is used again.
 */
extern bool version_find_newest(VersionFinder *finder, Bytes key, uint64 ts);
extern bool version_find_exact(VersionFinder *finder, Bytes key, uint64 ts);

/*
 * All visible rows whose key begins with the same full prefix, one at a time
 * in finder->slot.  End with version_finder_release.
 */
extern void version_finder_begin(VersionFinder *finder, Bytes prefix);
extern bool version_finder_next(VersionFinder *finder);

/* The row at an address that came from an index, into a slot. */
extern bool version_fetch(IndexFetchTableData *fetch, ItemPointerData tid,
						  Snapshot snapshot, TupleTableSlot *slot);

/* ---- ranges (version_scan.c) ---- */

typedef struct VersionScan
{
	KeyRange range;
	bool newest;  /* of each key the newest with ts <= `ts`; else all rows */
	uint64 ts;	  /* with newest */
	bool reverse; /* with newest: by descending keys */
	bool lengths; /* of the bytes their length alone, without data */

	/* All versions of the key `range.lower` with ts >= `ts`, and no other. */
	bool one_key;

	/*
	 * Key and bytes are valid during the call, which runs in the caller's
	 * memory context and may use any finder of its own.  False stops.
	 */
	bool (*emit)(void *arg, Bytes key, uint64 ts, Bytes bytes);
	void *arg;

	/*
	 * Asked every 256 rows, in the caller's memory context, whether any is
	 * emitted or not.  False ends the scan; NULL: it goes on.
	 */
	bool (*goes_on)(void *arg);
	void *goes_on_arg;
} VersionScan;

extern void version_scan_run(const OpenTable *table, Snapshot snapshot,
							 const VersionScan *scan);

/* ---- writing (version_writer.c) ---- */

typedef struct VersionWriter
{
	const OpenTable *table;
	VersionFinder *finder;
	MemoryContext scratch;
	bool hinted; /* a table that hints tell about (version_hint.h) */
} VersionWriter;

extern void version_writer_open(VersionWriter *writer, const OpenTable *table,
								Snapshot snapshot);
extern void version_writer_close(VersionWriter *writer);

/* Insert or replace the row; true if there was none. */
extern bool version_put(VersionWriter *writer, Bytes key, uint64 ts,
						Bytes bytes);

/* True if there was a row. */
extern bool version_delete(VersionWriter *writer, Bytes key, uint64 ts);

#endif /* TIKV_STORAGE_VERSION_ROW_H */
