/*
 * size_walk.c
 *	  The rows of a region and their sizes, a bounded number at a time.
 */
#include "postgres.h"

#include "portability/instr_time.h"
#include "storage/raw_table.h"
#include "storage/size_walk.h"
#include "storage/version_row.h"
#include "utils/memutils.h"

/* Rows between two looks at the clock. */
#define CLOCK_ROWS 16

typedef struct Slice
{
	SizeWalk *walk;
	int max_rows;
	instr_time began;
	int64 most_us;
	int rows;
	bool full;
	void (*put)(void *arg, const SizeRow *row);
	void *arg;
} Slice;

void
size_walk_init(SizeWalk *walk, KeyRange raw, KeyRange txn, bool no_txn)
{
	memset(walk, 0, sizeof(*walk));
	walk->raw = raw;
	walk->txn = txn;
	walk->no_txn = no_txn;
	walk->context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv size walk",
							  ALLOCSET_SMALL_SIZES);
}

void
size_walk_free(SizeWalk *walk)
{
	MemoryContextDelete(walk->context);
}

static bool
is_at(const SizeWalk *walk, Bytes key)
{
	return walk->last.data != NULL && bytes_eq(walk->last, key);
}

static void
stand_at(SizeWalk *walk, Bytes key)
{
	uint8 *copy;

	MemoryContextReset(walk->context);
	copy = MemoryContextAlloc(walk->context, key.len + 1);
	memcpy(copy, key.data, key.len);
	walk->last = bytes_make(copy, key.len);
}

static int64
took_us(const Slice *slice)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, slice->began);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* False: enough. */
static bool
put(Slice *slice, Bytes key, uint64 ts, uint64 bytes)
{
	SizeWalk *walk = slice->walk;
	SizeRow row = {.step = walk->step,
				   .key = key,
				   .new_key = !is_at(walk, key),
				   .bytes = key.len + bytes};

	slice->put(slice->arg, &row);
	if (row.new_key)
		stand_at(walk, key);
	walk->ts = ts;
	slice->rows++;
	slice->full = slice->rows >= slice->max_rows ||
		(slice->rows % CLOCK_ROWS == 0 && took_us(slice) >= slice->most_us);
	return !slice->full;
}

/*
 * The key it stands at, and the least one behind it; copies, since it moves on
 * while the scan that is given them still runs.
 */
static KeyRange
key_range(const SizeWalk *walk)
{
	uint8 *copy = palloc(walk->last.len + 1);

	memcpy(copy, walk->last.data, walk->last.len);
	copy[walk->last.len] = 0;
	return (KeyRange){bytes_make(copy, walk->last.len),
					  bytes_make(copy, walk->last.len + 1)};
}

/* What lies behind the key it stands at. */
static KeyRange
range_left(const SizeWalk *walk, KeyRange range)
{
	if (walk->last.data != NULL)
		range.lower = key_range(walk).upper;
	return range;
}

static bool
emit_raw(void *arg, const RawPair *pair)
{
	return put(arg, pair->key, 0, pair->value.len);
}

/* With a clock that stands still: what has expired is a row, too. */
static void
walk_raw(Slice *slice, const OpenTables *tables, Snapshot snapshot, RawCf cf)
{
	KeyRange range = range_left(slice->walk, slice->walk->raw);
	RawReader *reader = raw_reader_open(tables, snapshot, 0);
	RawScan scan = {.cf = cf,
					.lower = range.lower,
					.upper = range.upper,
					.lengths = true,
					.limit = PG_UINT32_MAX};

	reader->scan(reader, &scan, emit_raw, slice);
	raw_reader_close(reader);
}

static bool
emit_version(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	Slice *slice = arg;
	SizeWalk *walk = slice->walk;

	/* a long key's group begins anew */
	if (is_at(walk, key) && ts <= walk->ts)
		return true;
	return put(slice, key, ts, SIZE_OF_TS + bytes.len);
}

/*
 * First what is left of the key it stands at, which may have many versions:
 * they are found by their timestamp, and not walked over again.
 */
static void
walk_versions(Slice *slice, const OpenTable *table, Snapshot snapshot)
{
	SizeWalk *walk = slice->walk;
	VersionScan scan = {.lengths = true, .emit = emit_version, .arg = slice};

	if (walk->last.data != NULL)
	{
		scan.range = key_range(walk);
		scan.one_key = walk->last.len < KEY_PREFIX_LEN;
		scan.ts = walk->ts + 1;
		version_scan_run(table, snapshot, &scan);
	}
	if (slice->full)
		return;
	scan.range = range_left(walk, walk->txn);
	scan.one_key = false;
	version_scan_run(table, snapshot, &scan);
}

static void
walk_step(Slice *slice, const OpenTables *tables, Snapshot snapshot)
{
	bool no_txn = slice->walk->no_txn;

	switch (slice->walk->step)
	{
		case SIZE_STEP_WRITES:
			if (!no_txn)
				walk_versions(slice, &tables->write, snapshot);
			return;
		case SIZE_STEP_VALUES:
			if (!no_txn)
				walk_versions(slice, &tables->value, snapshot);
			return;
		case SIZE_STEP_RAW_DEFAULT:
			walk_raw(slice, tables, snapshot, RAW_CF_DEFAULT);
			return;
		case SIZE_STEP_RAW_WRITE:
			walk_raw(slice, tables, snapshot, RAW_CF_WRITE);
			return;
		case SIZE_STEP_DONE:
			return;
	}
}

int
size_walk_slice(SizeWalk *walk, const OpenTables *tables, Snapshot snapshot,
				int max_rows, int64 most_us,
				void (*put_row)(void *arg, const SizeRow *row), void *arg)
{
	Slice slice = {.walk = walk,
				   .max_rows = max_rows,
				   .most_us = most_us,
				   .put = put_row,
				   .arg = arg};

	INSTR_TIME_SET_CURRENT(slice.began);
	if (walk->step == SIZE_STEP_DONE)
		return 0;
	walk_step(&slice, tables, snapshot);
	if (!slice.full)
	{
		walk->step++;
		walk->last = bytes_empty();
		MemoryContextReset(walk->context);
	}
	return slice.rows;
}

static bool
emit_any(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	(void) key;
	(void) ts;
	(void) bytes;
	*(bool *) arg = true;
	return false;
}

bool
size_walk_any_version(const OpenTables *tables, Snapshot snapshot)
{
	bool any = false;
	VersionScan scan = {.lengths = true, .emit = emit_any, .arg = &any};

	version_scan_run(&tables->write, snapshot, &scan);
	return any;
}
