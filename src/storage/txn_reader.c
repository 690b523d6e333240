/*
 * txn_reader.c
 *	  The core's MvccReader over `write`, `value` and the lock table.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/lock_table.h"
#include "storage/context_arena.h"
#include "storage/stored_key.h"
#include "storage/txn_table.h"
#include "storage/version_hint.h"
#include "storage/version_row.h"

/* Locks that a scan copies out at a time. */
#define LOCK_BATCH 256

typedef struct TableReader
{
	MvccReader base; /* first: the interface is this struct */
	const OpenTables *tables;
	Snapshot snapshot;
	bool spilled;
	uint64 epoch; /* of the hints */
	MemoryContext context;
	/* Made when they are first needed. */
	VersionFinder *write;
	VersionFinder *value;
	VersionFinder *spill;
} TableReader;

/* ---------------------------------------------------------------- helpers */

static void
refuse_record(const OpenTable *table, Bytes key)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("table \"%s\" holds a record that does not decode",
					RelationGetRelationName(table->heap)),
			 errdetail("Its key has %zu bytes: \\x%s.", key.len,
					   stored_key_shown(key))));
}

static void
refuse_rebuilding(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("the lock table is being rebuilt")));
}

/* The finder over a table, opened at its first use. */
static VersionFinder *
finder_of(TableReader *reader, VersionFinder **finder, const OpenTable *table)
{
	if (*finder == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(reader->context);

		*finder = version_finder_open(table, reader->snapshot);
		MemoryContextSwitchTo(caller);
	}
	return *finder;
}

static VersionFinder *
write_finder(TableReader *reader)
{
	const OpenTable *table = &reader->tables->write;
	VersionFinder *finder = finder_of(reader, &reader->write, table);

	finder->hinted = version_hints_cover(RelationGetRelid(table->heap));
	finder->epoch = reader->epoch;
	return finder;
}

/* The bytes of the row that a finder stands on, in the arena. */
static Bytes
found_bytes(VersionFinder *finder, Arena *arena)
{
	Bytes bytes =
		arena_copy(arena, version_bytes(finder->slot, finder->scratch));

	MemoryContextReset(finder->scratch);
	return bytes;
}

/* --------------------------------------------------------- writes, values */

static bool
reader_seek_write(MvccReader *base, Bytes key, uint64_t ts, Arena *arena,
				  WriteAt *out)
{
	TableReader *reader = (TableReader *) base;
	VersionFinder *finder = write_finder(reader);

	if (!version_find_newest(finder, key, ts))
		return false;
	out->commit_ts = version_ts(finder->slot);
	if (write_decode(found_bytes(finder, arena), &out->write) != STATUS_OK)
		refuse_record(&reader->tables->write, key);
	return true;
}

static bool
reader_get_value(MvccReader *base, Bytes key, uint64_t start_ts, Arena *arena,
				 Bytes *value)
{
	TableReader *reader = (TableReader *) base;
	VersionFinder *finder =
		finder_of(reader, &reader->value, &reader->tables->value);
	bool found = version_find_exact(finder, key, start_ts);

	if (found)
		*value = found_bytes(finder, arena);
	version_finder_release(finder);
	return found;
}

typedef struct WriteEmit
{
	const OpenTable *table;
	bool (*emit)(void *arg, Bytes key, const WriteAt *at);
	void *arg;
} WriteEmit;

static bool
emit_write(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	WriteEmit *emit = arg;
	WriteAt at = {.commit_ts = ts};

	if (write_decode(bytes, &at.write) != STATUS_OK)
		refuse_record(emit->table, key);
	return emit->emit(emit->arg, key, &at);
}

static void
reader_scan_writes(MvccReader *base, const KeyRange *range, uint64_t ts,
				   bool reverse,
				   bool (*emit)(void *arg, Bytes key, const WriteAt *at),
				   void *arg)
{
	TableReader *reader = (TableReader *) base;
	WriteEmit write_emit = {&reader->tables->write, emit, arg};
	VersionScan scan = {
		.range = *range,
		.newest = true,
		.ts = ts,
		.reverse = reverse,
		.emit = emit_write,
		.arg = &write_emit,
		.goes_on = base->goes_on,
		.goes_on_arg = base->goes_on_arg,
	};

	version_scan_run(&reader->tables->write, reader->snapshot, &scan);
}

static void
reader_scan_values(MvccReader *base, const KeyRange *range,
				   bool (*emit)(void *arg, Bytes key, uint64_t start_ts,
								Bytes value),
				   void *arg)
{
	TableReader *reader = (TableReader *) base;
	VersionScan scan = {.range = *range, .emit = emit, .arg = arg};

	version_scan_run(&reader->tables->value, reader->snapshot, &scan);
}

/* ------------------------------------------------------------------- locks */

bool
txn_reader_spilled_lock(MvccReader *base, Bytes key, Arena *arena, Lock *lock)
{
	TableReader *reader = (TableReader *) base;
	const OpenTable *table = &reader->tables->lock_spill;
	VersionFinder *finder;
	bool found;

	if (!reader->spilled)
		return false;
	finder = finder_of(reader, &reader->spill, table);
	found = version_find_exact(finder, key, 0);
	if (found &&
		lock_decode(found_bytes(finder, arena), arena, lock) != STATUS_OK)
		refuse_record(table, key);
	version_finder_release(finder);
	return found;
}

static bool
reader_get_lock(MvccReader *base, Bytes key, Arena *arena, Lock *lock)
{
	LockLook look;

	if (!lock_table_look(key, arena, &look))
		refuse_rebuilding();
	if (!look.has_lock)
		return txn_reader_spilled_lock(base, key, arena, lock);
	*lock = look.lock;
	return true;
}

typedef struct SpillEmit
{
	const OpenTable *table;
	Arena *arena;
	bool (*emit)(void *arg, Bytes key, const Lock *lock);
	void *arg;
} SpillEmit;

static bool
emit_spilled(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	SpillEmit *emit = arg;
	Lock lock;

	(void) ts;
	arena_reset(emit->arena);
	if (lock_decode(bytes, emit->arena, &lock) != STATUS_OK)
		refuse_record(emit->table, key);
	return emit->emit(emit->arg, key, &lock);
}

void
txn_reader_scan_spilled(MvccReader *base, const KeyRange *range, bool reverse,
						bool (*emit)(void *arg, Bytes key, const Lock *lock),
						void *arg)
{
	TableReader *reader = (TableReader *) base;
	SpillEmit spill_emit = {&reader->tables->lock_spill, NULL, emit, arg};
	VersionScan scan = {
		.range = *range,
		.newest = true,
		.reverse = reverse,
		.emit = emit_spilled,
		.arg = &spill_emit,
	};
	MemoryContext context;

	if (!reader->spilled)
		return;
	context = AllocSetContextCreate(reader->context, "spilled locks",
									ALLOCSET_SMALL_SIZES);
	spill_emit.arena = context_arena(context);
	version_scan_run(&reader->tables->lock_spill, reader->snapshot, &scan);
	MemoryContextDelete(context);
}

/* Locks of the table and of lock_spill, merged in key order. */
typedef struct LockMerge
{
	LockScan scan; /* of what was not looked at yet */
	uint64 max_ts;
	bool memory;
	Arena *arena; /* of the batch */
	Bytes lower;  /* where the next batch begins, in a place of its own */
	MemoryContext context;
	LockScanResult batch;
	Size at;	  /* next of the batch */
	bool ended;	  /* there is no other batch */
	bool stopped; /* emit wants no more */
	bool (*emit)(void *arg, Bytes key, const Lock *lock);
	void *arg;
} LockMerge;

/* A container of shared locks has no start_ts of its own. */
static bool
is_asked_for(const LockMerge *merge, const Lock *lock)
{
	return lock->type == LOCK_TYPE_SHARED || lock->start_ts <= merge->max_ts;
}

static int
judge_lock(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	const LockMerge *merge = arg;

	(void) key;
	return kind != LOCK_KIND_GUARD &&
		(kind != LOCK_KIND_MEMORY || merge->memory) &&
		is_asked_for(merge, lock);
}

static void
next_batch(LockMerge *merge)
{
	arena_reset(merge->arena);
	if (!lock_table_scan(&merge->scan, merge->arena, &merge->batch))
		refuse_rebuilding();
	merge->at = 0;
	merge->ended = !merge->batch.truncated;
	if (!merge->ended)
	{
		Bytes next = merge->batch.covered_until;

		/* covered_until goes with the batch. */
		if (merge->lower.data != NULL)
			pfree(unconstify(uint8 *, merge->lower.data));
		merge->lower = bytes_make(memcpy(MemoryContextAlloc(merge->context,
															Max(next.len, 1)),
										 next.data, next.len),
								  next.len);
		merge->scan.range.lower = merge->lower;
	}
}

/* Emit locks of the table before a key (NULL: all of them). */
static void
emit_before(LockMerge *merge, const Bytes *key)
{
	while (!merge->stopped)
	{
		const LockMet *met;

		if (merge->at == merge->batch.n)
		{
			if (merge->ended)
				return;
			next_batch(merge);
			continue;
		}
		met = &merge->batch.met[merge->at];
		if (key != NULL && bytes_cmp(met->key, *key) >= 0)
			return;
		merge->at++;
		merge->stopped = !merge->emit(merge->arg, met->key, &met->lock);
	}
}

static bool
merge_spilled(void *arg, Bytes key, const Lock *lock)
{
	LockMerge *merge = arg;

	emit_before(merge, &key);
	if (!merge->stopped && is_asked_for(merge, lock))
		merge->stopped = !merge->emit(merge->arg, key, lock);
	return !merge->stopped;
}

static void
reader_scan_locks(MvccReader *base, const KeyRange *range, uint64_t max_ts,
				  bool memory,
				  bool (*emit)(void *arg, Bytes key, const Lock *lock),
				  void *arg)
{
	TableReader *reader = (TableReader *) base;
	LockMerge merge = {
		.scan = {.range = *range,
				 .max_locks = LOCK_BATCH,
				 .filter = judge_lock,
				 .arg = &merge},
		.max_ts = max_ts,
		.memory = memory,
		.emit = emit,
		.arg = arg,
	};

	merge.context = AllocSetContextCreate(reader->context, "lock scan",
										  ALLOCSET_SMALL_SIZES);
	merge.arena = context_arena(merge.context);
	txn_reader_scan_spilled(base, range, false, merge_spilled, &merge);
	emit_before(&merge, NULL);
	MemoryContextDelete(merge.context);
}

/* --------------------------------------------------------- begin and end */

MvccReader *
txn_reader_open(const OpenTables *tables, Snapshot snapshot, bool spilled)
{
	TableReader *reader = palloc0(sizeof(TableReader));

	reader->base.get_lock = reader_get_lock;
	reader->base.seek_write = reader_seek_write;
	reader->base.get_value = reader_get_value;
	reader->base.scan_locks = reader_scan_locks;
	reader->base.scan_writes = reader_scan_writes;
	reader->base.scan_values = reader_scan_values;
	reader->tables = tables;
	reader->snapshot = snapshot;
	reader->spilled = spilled;
	reader->epoch = version_hints_epoch();
	reader->context = CurrentMemoryContext;
	return &reader->base;
}

static void
close_finder(VersionFinder *finder)
{
	if (finder != NULL)
		version_finder_close(finder);
}

void
txn_reader_close(MvccReader *base)
{
	TableReader *reader = (TableReader *) base;

	close_finder(reader->write);
	close_finder(reader->value);
	close_finder(reader->spill);
	pfree(reader);
}
