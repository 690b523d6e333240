/*
 * version_scan.c
 *	  Ranges of versions: of each key the newest below a timestamp, in either
 *	  direction, or all rows.
 *
 * The walk reads the index alone; a row is fetched only when its version is
 * wanted.  Versions of a key are ordered by ascending ts, so a forward walk
 * remembers the ones that may be it and fetches the last when the key is over.
 * A key with many versions is asked for by a search of its own, and the walk
 * goes on behind it.
 *
 * Keys that share a full prefix (a group, see group.h) are mixed in the index.
 * The walk stops at the first of a group, emits it in order, and goes on
 * behind it.
 */
#include "postgres.h"

#include "access/itup.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/versions.h"
#include "storage/group.h"
#include "storage/last_look.h"
#include "storage/version_row.h"

/* Entries of one key that are walked over before a search is cheaper. */
#define MAX_ENTRIES 16

/* So many rows are met between two questions. */
#define ASK_EVERY 256

/* Two bounds; both are always there, so that a rescan may change either. */
#define SCAN_KEYS 2

typedef struct Walk
{
	const OpenTable *table;
	Snapshot snapshot;
	const VersionScan *scan;
	StoredKey lower;
	StoredKey upper;
	MemoryContext caller;  /* in which emit runs */
	MemoryContext context; /* of the walk */
	MemoryContext row;	   /* reset for every emitted row */
	MemoryContext group;   /* reset for every pass over a group */
	IndexScanDesc index;
	TupleTableSlot *slot;
	VersionFinder *finder; /* for groups and long histories; NULL at first */
	ScanKeyData keys[SCAN_KEYS];
	KeyProbe probes[SCAN_KEYS];
	BlockNumber nblocks; /* of the heap, as row_fetch remembers it */
	uint32 met;			 /* rows, whether they were wanted or not */

	/* The key that the walk is in. */
	bool in_key;
	bool settled; /* emitted, or known to have nothing */
	int entries;  /* met so far */
	int n_wanted; /* forward: entries that may be the newest */
	ItemPointerData wanted[MAX_ENTRIES];
	Size key_len;
	uint8 *key; /* with room for a whole one */
	Size key_room;
} Walk;

static Bytes
walk_key(const Walk *walk)
{
	return bytes_make(walk->key, walk->key_len);
}

/* `prefix` may be the beginning of what is there already. */
static void
set_key(Walk *walk, Bytes prefix, Bytes rest)
{
	Size need = prefix.len + rest.len;
	bool present = prefix.data != NULL && prefix.data == walk->key;

	if (walk->key_room < need)
	{
		walk->key_room = Max(need, 256);
		walk->key = walk->key == NULL ?
			MemoryContextAlloc(walk->context, walk->key_room) :
			repalloc(walk->key, walk->key_room);
	}
	if (prefix.len > 0 && !present)
		memcpy(walk->key, prefix.data, prefix.len);
	if (rest.len > 0)
		memcpy(walk->key + prefix.len, rest.data, rest.len);
	walk->key_len = need;
}

static VersionFinder *
walk_finder(Walk *walk)
{
	if (walk->finder == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(walk->context);

		walk->finder = version_finder_open(walk->table, walk->snapshot);
		MemoryContextSwitchTo(caller);
	}
	return walk->finder;
}

/* A row was met; false if the scan is over. */
static bool
goes_on(Walk *walk)
{
	MemoryContext context;
	bool more;

	CHECK_FOR_INTERRUPTS();
	if (walk->scan->goes_on == NULL || ++walk->met % ASK_EVERY != 0)
		return true;
	context = MemoryContextSwitchTo(walk->caller);
	more = walk->scan->goes_on(walk->scan->goes_on_arg);
	MemoryContextSwitchTo(context);
	return more;
}

/* Emit the row in a slot under the walk's key; false if the scan is over. */
static bool
emit_row(Walk *walk, TupleTableSlot *slot)
{
	Bytes bytes = walk->scan->lengths ?
		bytes_make(NULL, datum_length(version_datum(slot, VERSION_BYTES))) :
		version_bytes(slot, walk->row);
	MemoryContext context = MemoryContextSwitchTo(walk->caller);
	bool more = walk->scan->emit(walk->scan->arg, walk_key(walk),
								 version_ts(slot), bytes);

	MemoryContextSwitchTo(context);
	MemoryContextReset(walk->row);
	return more;
}

/* The place is an index entry's: the row may be a later version there. */
static bool
emit_place(Walk *walk, ItemPointerData tid, bool *found)
{
	last_look_note(walk_key(walk));
	*found = version_fetch(walk->index->xs_heapfetch, tid, walk->snapshot,
						   walk->slot);
	return !*found || emit_row(walk, walk->slot);
}

/* ---- the index conditions ---- */

static void
set_bound(Walk *walk, int i, StrategyNumber strategy, RegProcedure compare,
		  Bytes prefix)
{
	ScanKeyInit(&walk->keys[i], VERSION_INDEX_KEY, strategy, compare,
				key_probe_set(&walk->probes[i], prefix));
}

/*
 * No upper bound is written as a second lower one, since a btree scan cannot
 * take or lose conditions later.
 */
static void
set_bounds(Walk *walk)
{
	bool endless = walk->scan->range.upper.len == 0;

	if (walk->scan->one_key)
	{
		set_bound(walk, 0, BTEqualStrategyNumber, F_BYTEAEQ,
				  walk->lower.prefix);
		ScanKeyInit(&walk->keys[1], VERSION_INDEX_TS,
					BTGreaterEqualStrategyNumber, F_INT8GE,
					Int64GetDatum(version_ts_bound(walk->scan->ts)));
		return;
	}
	set_bound(walk, 0, BTGreaterEqualStrategyNumber, F_BYTEAGE,
			  walk->lower.prefix);
	/* A bound with a rest lies within a group, whose beginning is inside. */
	if (endless)
		set_bound(walk, 1, BTGreaterEqualStrategyNumber, F_BYTEAGE,
				  bytes_empty());
	else if (walk->upper.rest.len == 0)
		set_bound(walk, 1, BTLessStrategyNumber, F_BYTEALT, walk->upper.prefix);
	else
		set_bound(walk, 1, BTLessEqualStrategyNumber, F_BYTEALE,
				  walk->upper.prefix);
}

/* Go on behind the prefix of the walk's key. */
static void
pass_key(Walk *walk)
{
	Bytes prefix = bytes_make(walk->key, Min(walk->key_len, KEY_PREFIX_LEN));

	if (walk->scan->reverse)
		set_bound(walk, 1, BTLessStrategyNumber, F_BYTEALT, prefix);
	else
		set_bound(walk, 0, BTGreaterStrategyNumber, F_BYTEAGT, prefix);
	index_rescan(walk->index, walk->keys, SCAN_KEYS, NULL, 0);
	walk->in_key = false;
}

/* ---- one key ---- */

static bool
is_wanted(const Walk *walk, uint64 ts)
{
	return !walk->scan->newest || ts <= walk->scan->ts;
}

/* Forward, newest: the key is over; the last wanted entry that is visible. */
static bool
finish_key(Walk *walk)
{
	bool found = walk->settled;
	bool more = true;

	for (int i = walk->n_wanted; i > 0 && !found; i--)
		more = emit_place(walk, walk->wanted[i - 1], &found);
	walk->settled = true;
	walk->n_wanted = 0;
	return more;
}

/* The key has a long history: search for what is wanted and pass the rest. */
static bool
search_key(Walk *walk)
{
	bool more = true;

	if (!walk->settled)
	{
		VersionFinder *finder = walk_finder(walk);

		if (version_find_newest(finder, walk_key(walk), walk->scan->ts))
			more = emit_row(walk, finder->slot);
		version_finder_release(finder);
	}
	walk->settled = true;
	walk->n_wanted = 0;
	if (more)
		pass_key(walk);
	return more;
}

static void
begin_key(Walk *walk, Bytes prefix)
{
	set_key(walk, prefix, bytes_empty());
	walk->in_key = true;
	walk->settled = false;
	walk->entries = 0;
	walk->n_wanted = 0;
}

/* An entry of the walk's key; false if the scan is over. */
static bool
walk_entry(Walk *walk, uint64 ts)
{
	ItemPointerData tid = walk->index->xs_heaptid;
	bool found;
	bool more;

	if (walk->scan->newest && walk->entries++ == MAX_ENTRIES)
		return search_key(walk);
	if (walk->settled || !is_wanted(walk, ts))
		return true;
	if (walk->scan->newest && !walk->scan->reverse)
	{
		walk->wanted[walk->n_wanted++] = tid;
		return true;
	}
	more = emit_place(walk, tid, &found);
	walk->settled = walk->scan->newest && found;
	return more;
}

/* ---- groups of keys that share a full prefix ---- */

static bool
group_gather(void *arg, GroupPass *pass)
{
	Walk *walk = arg;
	VersionFinder *finder = walk_finder(walk);
	bool more = true;

	version_finder_begin(finder, bytes_make(walk->key, KEY_PREFIX_LEN));
	while (more && version_finder_next(finder))
	{
		GroupRow row = {
			.rest = version_rest(finder->slot, finder->scratch),
			.ts = (int64) version_ts(finder->slot),
			.tid = finder->slot->tts_tid,
		};

		if (is_wanted(walk, (uint64) row.ts))
			group_offer(pass, &row);
		MemoryContextReset(finder->scratch);
		more = goes_on(walk);
	}
	version_finder_release(finder);
	return more;
}

static bool
emit_group_row(void *arg, const GroupRow *row)
{
	Walk *walk = arg;

	set_key(walk, bytes_make(walk->key, KEY_PREFIX_LEN), row->rest);
	last_look_note(walk_key(walk));
	if (row_fetch(walk->table->heap, &walk->nblocks, &row->tid, 0,
				  walk->snapshot, false, walk->slot) != ROW_FOUND)
		elog(ERROR,
			 "a row of table \"%s\" is gone under a snapshot that saw it",
			 RelationGetRelationName(walk->table->heap));
	return emit_row(walk, walk->slot);
}

/* Emit the group whose prefix is in walk->key; false if the scan is over. */
static bool
emit_group(Walk *walk)
{
	GroupScan scan = {
		.lower = walk->lower,
		.upper = walk->upper,
		.reverse = walk->scan->reverse,
		.newest = walk->scan->newest,
		.limit = PG_UINT32_MAX,
		.context = walk->group,
		.gather = group_gather,
		.emit = emit_group_row,
		.arg = walk,
	};
	bool go_on;

	last_look_note(walk_key(walk));
	go_on = group_scan_run(&scan, bytes_make(walk->key, KEY_PREFIX_LEN));
	if (go_on)
		pass_key(walk);
	return go_on;
}

/* ---- the walk ---- */

static bool
walk_tuple(Walk *walk)
{
	IndexTuple tuple = walk->index->xs_itup;
	TupleDesc desc = walk->index->xs_itupdesc;
	bool isnull;
	Bytes prefix =
		inline_bytes(index_getattr(tuple, VERSION_INDEX_KEY, desc, &isnull));
	uint64 ts = (uint64) DatumGetInt64(index_getattr(tuple, VERSION_INDEX_TS,
													 desc, &isnull));

	if (!walk->in_key || !bytes_eq(prefix, walk_key(walk)))
	{
		if (walk->in_key && !finish_key(walk))
			return false;
		begin_key(walk, prefix);
		if (prefix.len == KEY_PREFIX_LEN)
		{
			walk->in_key = false;
			return emit_group(walk);
		}
	}
	return walk_entry(walk, ts);
}

static void
run(Walk *walk)
{
	ScanDirection direction =
		walk->scan->reverse ? BackwardScanDirection : ForwardScanDirection;

	walk->slot = table_slot_create(walk->table->heap, NULL);
	walk->index = index_beginscan(walk->table->heap, walk->table->index,
								  walk->snapshot, SCAN_KEYS, 0);
	walk->index->xs_want_itup = true;
	set_bounds(walk);
	index_rescan(walk->index, walk->keys, SCAN_KEYS, NULL, 0);
	for (;;)
	{
		if (index_getnext_tid(walk->index, direction) == NULL)
		{
			if (walk->in_key)
				(void) finish_key(walk);
			break;
		}
		if (!walk_tuple(walk) || !goes_on(walk))
			break;
	}
	index_endscan(walk->index);
	ExecDropSingleTupleTableSlot(walk->slot);
	if (walk->finder != NULL)
		version_finder_close(walk->finder);
}

/*
 * Everything the scan allocates, the index scan's memory included, is in a
 * context of its own.
 */
void
version_scan_run(const OpenTable *table, Snapshot snapshot,
				 const VersionScan *scan)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "version scan",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Walk *walk = palloc0(sizeof(Walk));

	walk->table = table;
	walk->snapshot = snapshot;
	walk->scan = scan;
	walk->lower = stored_key_split(scan->range.lower);
	walk->upper = stored_key_split(scan->range.upper);
	walk->caller = caller;
	walk->context = context;
	walk->row = AllocSetContextCreate(context, "version scan row",
									  ALLOCSET_SMALL_SIZES);
	walk->group = AllocSetContextCreate(context, "version scan group",
										ALLOCSET_DEFAULT_SIZES);
	run(walk);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
