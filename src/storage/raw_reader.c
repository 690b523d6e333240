/*
 * raw_reader.c
 *	  The core's RawReader over the raw table: opening, closing, one key.
 *	  Many keys are in raw_batch.c, ranges in raw_scan.c.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "bus/places.h"
#include "storage/range_delete_table.h"
#include "storage/raw_row.h"

typedef struct TableReader
{
	RawReader base; /* first: the interface is this struct */
	RawFinder *finder;
	int64 now_s;
	MemoryContext deletes; /* NULL: there are none */
} TableReader;

static bool
reader_get(RawReader *base, RawCf cf, Bytes key, Arena *arena, RawPair *out)
{
	TableReader *reader = (TableReader *) base;
	RawFinder *finder = reader->finder;
	int64 expires_at;
	bool found;

	found = raw_finder_find(finder, cf, key, place_hash((uint8) cf, key));
	if (found)
	{
		expires_at = raw_row_expires_at(finder->slot);
		found = !expiry_passed(expires_at, reader->now_s) &&
			!raw_row_is_buried(finder, cf, key, raw_row_era(finder->slot));
	}
	if (found)
	{
		out->key = key;
		out->value =
			arena_copy(arena, raw_row_value(finder->slot, finder->scratch));
		out->expires_at = expires_at;
		out->era = raw_row_era(finder->slot);
	}
	raw_finder_release(finder);
	return found;
}

static void
reader_scan(RawReader *base, const RawScan *scan,
			bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	TableReader *reader = (TableReader *) base;

	raw_scan_run(reader->finder, reader->now_s, scan, emit, arg);
}

static void
reader_get_many(RawReader *base, RawCf cf, const Bytes *keys, int n,
				bool (*emit)(void *arg, int i, const RawPair *pair), void *arg)
{
	TableReader *reader = (TableReader *) base;

	raw_batch_get(reader->finder, reader->now_s, cf, keys, n, emit, arg);
}

/* The snapshot that shows the rows shows how far deletions have come. */
static void
load_deletes(TableReader *reader, const OpenTables *tables, Snapshot snapshot)
{
	RawFinder *finder = reader->finder;
	MemoryContext caller;
	RangeDelete *deletes;

	reader->deletes = AllocSetContextCreate(CurrentMemoryContext, "raw deletes",
											ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(reader->deletes);
	finder->n_deletes = range_delete_table_pending(tables->range_delete.heap,
												   snapshot, &deletes);
	finder->deletes = deletes;
	MemoryContextSwitchTo(caller);
}

RawReader *
raw_reader_open(const OpenTables *tables, Snapshot snapshot, int64 now_s)
{
	TableReader *reader = palloc0(sizeof(TableReader));

	reader->base.get = reader_get;
	reader->base.scan = reader_scan;
	reader->base.get_many = reader_get_many;
	reader->finder = raw_finder_open(tables, snapshot, false);
	reader->now_s = now_s;
	if (tables->range_delete.heap != NULL)
		load_deletes(reader, tables, snapshot);
	return &reader->base;
}

void
raw_reader_close(RawReader *base)
{
	TableReader *reader = (TableReader *) base;

	raw_finder_close(reader->finder);
	MemoryContextDelete(reader->finder->scratch);
	if (reader->deletes != NULL)
		MemoryContextDelete(reader->deletes);
	pfree(reader->finder);
	pfree(reader);
}
