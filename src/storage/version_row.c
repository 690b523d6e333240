/*
 * version_row.c
 *	  Finding versions of a key: the newest below a timestamp, or a certain
 *	  one.
 *
 * A backward index scan from (key, ts) meets the newest visible version first,
 * however many there are.  Commands ask for the next older one, or the same
 * one again; both are answered from where the scan stands.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/tableam.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/versions.h"
#include "storage/last_look.h"
#include "storage/version_hint.h"
#include "storage/version_row.h"

/* Versions to step over before descending the index again is cheaper. */
#define MAX_STEPS 8

Bytes
version_rest(TupleTableSlot *slot, MemoryContext context)
{
	Datum rest = version_datum(slot, VERSION_KEY_REST);

	if (slot->tts_isnull[VERSION_KEY_REST - 1])
		return bytes_empty();
	return fetch_bytes(rest, context);
}

VersionFinder *
version_finder_open(const OpenTable *table, Snapshot snapshot)
{
	VersionFinder *finder = palloc0(sizeof(VersionFinder));

	finder->heap = table->heap;
	finder->index = table->index;
	finder->snapshot = snapshot;
	finder->context = CurrentMemoryContext;
	finder->scratch = AllocSetContextCreate(CurrentMemoryContext, "version row",
											ALLOCSET_SMALL_SIZES);
	finder->slot = table_slot_create(table->heap, NULL);
	return finder;
}

/* Give back what the transaction would miss, and the memory. */
void
version_finder_close(VersionFinder *finder)
{
	if (finder->scan != NULL)
		index_endscan(finder->scan);
	ExecDropSingleTupleTableSlot(finder->slot);
	MemoryContextDelete(finder->scratch);
	if (finder->key != NULL)
		pfree(finder->key);
	pfree(finder);
}

void
version_finder_release(VersionFinder *finder)
{
	ExecClearTuple(finder->slot);
	if (finder->scan != NULL)
		table_index_fetch_reset(finder->scan->xs_heapfetch);
	MemoryContextReset(finder->scratch);
	finder->standing = false;
}

/* Start the scan at a prefix and a condition on ts. */
static void
restart(VersionFinder *finder, Bytes prefix, StrategyNumber strategy,
		RegProcedure compare, int64 ts)
{
	MemoryContext caller = MemoryContextSwitchTo(finder->context);

	ScanKeyInit(&finder->keys[0], VERSION_INDEX_KEY, BTEqualStrategyNumber,
				F_BYTEAEQ, key_probe_set(&finder->probe, prefix));
	ScanKeyInit(&finder->keys[1], VERSION_INDEX_TS, strategy, compare,
				Int64GetDatum(ts));
	if (finder->scan == NULL)
		finder->scan =
			index_beginscan(finder->heap, finder->index, finder->snapshot,
							VERSION_INDEX_COLUMNS, 0);
	index_rescan(finder->scan, finder->keys, VERSION_INDEX_COLUMNS, NULL, 0);
	MemoryContextSwitchTo(caller);
}

/* The next older row of the prefix. */
static bool
step(VersionFinder *finder)
{
	/* A btree scan allocates when it pleases, and keeps what it got. */
	MemoryContext caller = MemoryContextSwitchTo(finder->context);
	bool found =
		index_getnext_slot(finder->scan, BackwardScanDirection, finder->slot);

	MemoryContextSwitchTo(caller);
	return found;
}

static bool
row_has_rest(VersionFinder *finder, Bytes rest)
{
	Datum stored = version_datum(finder->slot, VERSION_KEY_REST);
	bool isnull = finder->slot->tts_isnull[VERSION_KEY_REST - 1];
	bool same = stored_rest_is(stored, isnull, rest, finder->scratch);

	MemoryContextReset(finder->scratch);
	return same;
}

/* The next older row of the key itself. */
static bool
step_of_key(VersionFinder *finder, const StoredKey *key)
{
	while (step(finder))
		if (key->prefix.len < KEY_PREFIX_LEN || row_has_rest(finder, key->rest))
			return true;
	return false;
}

static bool
stands_on(const VersionFinder *finder, Bytes key)
{
	return finder->standing &&
		bytes_eq(bytes_make(finder->key, finder->key_len), key);
}

static void
stand_on(VersionFinder *finder, Bytes key)
{
	if (finder->key_room < key.len || finder->key == NULL)
	{
		if (finder->key != NULL)
			pfree(finder->key);
		finder->key_room = Max(key.len, 128);
		finder->key = MemoryContextAlloc(finder->context, finder->key_room);
	}
	if (key.len > 0)
		memcpy(finder->key, key.data, key.len);
	finder->key_len = key.len;
	finder->standing = true;
}

/*
 * Answer from where the finder stands; false if it stands elsewhere or too
 * far above.
 */
static bool
find_from_here(VersionFinder *finder, const StoredKey *key, uint64 ts)
{
	for (int i = 0; finder->found && i < MAX_STEPS; i++)
	{
		if (version_ts(finder->slot) <= ts)
			break;
		MemoryContextReset(finder->scratch);
		finder->found = step_of_key(finder, key);
	}
	finder->asked_ts = ts;
	return !finder->found || version_ts(finder->slot) <= ts;
}

/* Ask the index, and stay where the answer is. */
static bool
find_by_index(VersionFinder *finder, Bytes key, const StoredKey *split,
			  uint64 ts)
{
	version_finder_release(finder);
	restart(finder, split->prefix, BTLessEqualStrategyNumber, F_INT8LE,
			version_ts_bound(ts));
	finder->found = step_of_key(finder, split);
	finder->asked_ts = ts;
	stand_on(finder, key);
	return finder->found;
}

/* The row that a hint tells of, if it is there. */
static bool
fetch_hinted(VersionFinder *finder, Bytes key, const VersionHint *hint)
{
	return row_fetch(finder->heap, &finder->nblocks, &hint->tid, 0,
					 finder->snapshot, false, finder->slot) == ROW_FOUND &&
		version_ts(finder->slot) == hint->ts &&
		bytes_eq(version_prefix(finder->slot), key);
}

/* True if the hint is enough to answer: *found, with the row in the slot. */
static bool
find_by_hint(VersionFinder *finder, Bytes key, uint64 ts,
			 const VersionHint *hint, bool *found)
{
	if (hint->ts > ts)
		return false;
	*found = hint->ts != 0 && fetch_hinted(finder, key, hint);
	return *found || hint->ts == 0;
}

/* Look for the newest version of all, which is worth a hint. */
static void
find_for_hint(VersionFinder *finder, Bytes key, const StoredKey *split)
{
	if (find_by_index(finder, key, split, PG_UINT64_MAX))
		version_hint_note(key, version_ts(finder->slot), &finder->slot->tts_tid,
						  finder->epoch);
	else
		version_hint_note(key, 0, NULL, finder->epoch);
}

bool
version_find_newest(VersionFinder *finder, Bytes key, uint64 ts)
{
	StoredKey split = stored_key_split(key);
	const VersionHint *hint;
	bool found;

	last_look_note(key);
	if (stands_on(finder, key) && ts <= finder->asked_ts &&
		find_from_here(finder, &split, ts))
		return finder->found;
	/* A row of a long key may be that of another key with its prefix. */
	if (!finder->hinted || split.prefix.len == KEY_PREFIX_LEN)
		return find_by_index(finder, key, &split, ts);
	version_finder_release(finder);
	hint = version_hint_find(key);
	if (hint != NULL && find_by_hint(finder, key, ts, hint, &found))
		return found;
	if (hint == NULL || hint->ts <= ts)
	{
		find_for_hint(finder, key, &split);
		if (find_from_here(finder, &split, ts))
			return finder->found;
	}
	return find_by_index(finder, key, &split, ts);
}

bool
version_find_exact(VersionFinder *finder, Bytes key, uint64 ts)
{
	StoredKey split = stored_key_split(key);

	last_look_note(key);
	version_finder_release(finder);
	if (ts > (uint64) PG_INT64_MAX)
		return false;
	restart(finder, split.prefix, BTEqualStrategyNumber, F_INT8EQ, (int64) ts);
	return step_of_key(finder, &split);
}

void
version_finder_begin(VersionFinder *finder, Bytes prefix)
{
	version_finder_release(finder);
	restart(finder, prefix, BTLessEqualStrategyNumber, F_INT8LE, PG_INT64_MAX);
}

bool
version_finder_next(VersionFinder *finder)
{
	return step(finder);
}

bool
version_fetch(IndexFetchTableData *fetch, ItemPointerData tid,
			  Snapshot snapshot, TupleTableSlot *slot)
{
	bool call_again = false;

	return table_index_fetch_tuple(fetch, &tid, snapshot, slot, &call_again,
								   NULL);
}
