/*
 * snapshot_walk.c
 *	  The rows of a region, a bounded number at a time, table by table.
 *
 * Each slice has a snapshot of its own, so that none is ever old; what was
 * written in between is the caller's to know (core/snapshot/
 * snapshot_changes.h).  A row is read at most once.  For locks that takes
 * some care: one that is deleted and put again may move between the lock table
 * and lock_spill, so both are read for the same piece of the range at once.
 */
#include "postgres.h"

#include "bus/lock_table.h"
#include "storage/context_arena.h"
#include "storage/raw_table.h"
#include "storage/snapshot_table.h"
#include "storage/version_row.h"
#include "utils/memutils.h"

static const RawCf raw_cfs[] = {RAW_CF_DEFAULT, RAW_CF_LOCK, RAW_CF_WRITE};

typedef struct Slice
{
	SnapshotWalk *walk;
	size_t max_bytes;
	int max_rows;
	size_t bytes;
	int rows;
	bool full; /* there may be more behind the last row */
	void (*put)(void *arg, const SnapshotRecord *record);
	void *arg;

	SnapshotOp op; /* of versions */
} Slice;

void
snapshot_walk_init(SnapshotWalk *walk, const SnapshotRanges *ranges)
{
	memset(walk, 0, sizeof(*walk));
	walk->ranges = *ranges;
	walk->context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv snapshot walk",
							  ALLOCSET_SMALL_SIZES);
}

void
snapshot_walk_free(SnapshotWalk *walk)
{
	MemoryContextDelete(walk->context);
}

/* ---- where it goes on ---- */

static void
next_step(SnapshotWalk *walk)
{
	walk->step++;
	walk->next = bytes_empty();
	walk->within = false;
	MemoryContextReset(walk->context);
}

/* Behind a key: with a zero appended. */
static void
go_behind(SnapshotWalk *walk, Bytes key)
{
	uint8 *copy;

	Assert(key.data != walk->next.data || key.data == NULL);
	MemoryContextReset(walk->context);
	copy = MemoryContextAlloc(walk->context, key.len + 1);
	memcpy(copy, key.data, key.len);
	copy[key.len] = 0;
	walk->next = bytes_make(copy, key.len + 1);
}

static void
go_behind_version(SnapshotWalk *walk, Bytes key, uint64 ts)
{
	go_behind(walk, key);
	walk->next.len--;
	walk->within = true;
	walk->ts = ts;
}

/* What is left of the step's range. */
static KeyRange
range_left(const SnapshotWalk *walk)
{
	KeyRange range =
		walk->step < SNAPSHOT_STEP_WRITES ? walk->ranges.raw : walk->ranges.txn;

	if (walk->next.data != NULL)
		range.lower = walk->next;
	return range;
}

/* False: enough. */
static bool
put(Slice *slice, const SnapshotRecord *record)
{
	slice->put(slice->arg, record);
	slice->bytes += record->key.len + record->bytes.len;
	slice->rows++;
	slice->full =
		slice->bytes >= slice->max_bytes || slice->rows >= slice->max_rows;
	return !slice->full;
}

/* ---- raw keys ---- */

static bool
emit_raw(void *arg, const RawPair *pair)
{
	Slice *slice = arg;
	SnapshotWalk *walk = slice->walk;
	SnapshotRecord record = {.op = SNAPSHOT_RAW_PUT,
							 .cf = raw_cfs[walk->step],
							 .key = pair->key,
							 .number = (uint64) pair->expires_at,
							 .bytes = pair->value};

	if (range_delete_covers(walk->deletes, walk->n_deletes, record.cf,
							pair->key, pair->era))
		return true;
	if (put(slice, &record))
		return true;
	go_behind(walk, pair->key);
	return false;
}

/* With a clock that stands still: what has expired is a row, too. */
static void
walk_raw(Slice *slice, const OpenTables *tables, Snapshot snapshot)
{
	KeyRange range = range_left(slice->walk);
	RawReader *reader = raw_reader_open(tables, snapshot, 0);
	RawScan scan = {.cf = raw_cfs[slice->walk->step],
					.lower = range.lower,
					.upper = range.upper,
					.limit = PG_UINT32_MAX};

	reader->scan(reader, &scan, emit_raw, slice);
	raw_reader_close(reader);
}

/* ---- versions ---- */

static bool
emit_version(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	Slice *slice = arg;
	SnapshotWalk *walk = slice->walk;
	SnapshotRecord record = {.op = slice->op,
							 .key = key,
							 .number = ts,
							 .bytes = bytes};

	if (walk->within && ts <= walk->ts && bytes_eq(key, walk->next))
		return true;
	if (put(slice, &record))
		return true;
	go_behind_version(walk, key, ts);
	return false;
}

static void
walk_versions(Slice *slice, const OpenTable *table, Snapshot snapshot,
			  SnapshotOp op)
{
	VersionScan scan = {.range = range_left(slice->walk),
						.emit = emit_version,
						.arg = slice};

	slice->op = op;
	version_scan_run(table, snapshot, &scan);
}

/* ---- locks ---- */

static int
is_durable(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	(void) arg;
	(void) key;
	(void) lock;
	return kind == LOCK_KIND_DURABLE;
}

static bool
emit_spilled(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	Slice *slice = arg;
	SnapshotRecord record = {.op = SNAPSHOT_LOCK_PUT,
							 .key = key,
							 .bytes = bytes};

	(void) ts;
	(void) put(slice, &record);
	return true;
}

/*
 * A piece of the range that holds a bounded number of locks in memory, with
 * those that are spilled in it; there are few, or the store is in trouble.
 */
static void
walk_locks(Slice *slice, const OpenTables *tables, Snapshot snapshot)
{
	SnapshotWalk *walk = slice->walk;
	LockScan scan = {.range = range_left(walk),
					 .max_locks = (size_t) slice->max_rows,
					 .max_bytes = slice->max_bytes,
					 .filter = is_durable};
	VersionScan spilled = {.emit = emit_spilled, .arg = slice};
	LockScanResult found;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv locks of a slice",
							  ALLOCSET_SMALL_SIZES);
	Arena *arena = context_arena(context);

	if (!lock_table_scan(&scan, arena, &found))
		ereport(ERROR,
				(errcode(ERRCODE_CANNOT_CONNECT_NOW),
				 errmsg("the locks of transactions are being loaded")));
	for (size_t i = 0; i < found.n; i++)
	{
		SnapshotRecord record = {.op = SNAPSHOT_LOCK_PUT,
								 .key = found.met[i].key};

		record.bytes = lock_encode(&found.met[i].lock, arena);
		(void) put(slice, &record);
	}
	spilled.range = scan.range;
	if (found.truncated)
		spilled.range.upper = found.covered_until;
	if (lock_table_n_spilled() > 0)
		version_scan_run(&tables->lock_spill, snapshot, &spilled);
	slice->full = found.truncated;
	if (found.truncated)
	{
		go_behind(walk, found.covered_until);
		walk->next.len--;
	}
	MemoryContextDelete(context);
}

/* ---- a slice ---- */

static void
walk_step(Slice *slice, const OpenTables *tables, Snapshot snapshot)
{
	SnapshotWalk *walk = slice->walk;

	switch (walk->step)
	{
		case SNAPSHOT_STEP_RAW_DEFAULT:
		case SNAPSHOT_STEP_RAW_LOCK:
		case SNAPSHOT_STEP_RAW_WRITE:
			walk_raw(slice, tables, snapshot);
			return;
		case SNAPSHOT_STEP_WRITES:
			if (!walk->ranges.no_txn)
				walk_versions(slice, &tables->write, snapshot,
							  SNAPSHOT_WRITE_PUT);
			return;
		case SNAPSHOT_STEP_VALUES:
			if (!walk->ranges.no_txn)
				walk_versions(slice, &tables->value, snapshot,
							  SNAPSHOT_VALUE_PUT);
			return;
		case SNAPSHOT_STEP_LOCKS:
			if (!walk->ranges.no_txn)
				walk_locks(slice, tables, snapshot);
			return;
		case SNAPSHOT_STEP_DONE:
			return;
	}
}

int
snapshot_walk_slice(SnapshotWalk *walk, const OpenTables *tables,
					Snapshot snapshot, size_t max_bytes, int max_rows,
					void (*put_record)(void *arg, const SnapshotRecord *record),
					void *arg)
{
	Slice slice = {.walk = walk,
				   .max_bytes = max_bytes,
				   .max_rows = max_rows,
				   .put = put_record,
				   .arg = arg};

	while (!slice.full && walk->step != SNAPSHOT_STEP_DONE)
	{
		walk_step(&slice, tables, snapshot);
		if (!slice.full)
			next_step(walk);
	}
	return slice.rows;
}
