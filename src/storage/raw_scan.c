/*
 * raw_scan.c
 *	  Ranges of raw keys in order, forward and backward.
 *
 * The index orders rows by (cf, prefix), which is the order of keys except
 * among those that share a full prefix of RAW_KEY_PREFIX bytes: a group.  The
 * walk over the index stops at the first row of a group, the group is emitted
 * in the order of its rests, and the walk passes over the group's rows.
 *
 * A group may be of any size.  It is emitted in passes, each of which keeps
 * the next GROUP_ROWS rows in order and drops the others: bounded memory, and
 * a time that only grows badly for data that nobody has.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "storage/raw_row.h"

#define GROUP_ROWS 1024

/* cf and two bounds */
#define SCAN_MAX_KEYS 3

typedef struct RangeScan
{
	RawFinder *finder; /* for the rows of groups */
	const RawScan *scan;
	int64 now_s;
	bool (*emit)(void *arg, const RawPair *pair);
	void *arg;
	MemoryContext caller; /* in which emit runs */
	RawKey lower;
	RawKey upper;
	uint32 left;		 /* pairs that may still be emitted */
	MemoryContext row;	 /* reset for every row */
	MemoryContext group; /* reset for every pass over a group */
	uint8 *key;			 /* a long key put together; NULL at first */
	Size key_size;
	bool in_group; /* key begins with the last group's prefix */
} RangeScan;

/* A row of a group: where it is, and what orders it. */
typedef struct GroupRow
{
	Bytes rest;
	ItemPointerData tid;
	int64 expires_at;
	int64 era;
} GroupRow;

/* Emit a pair; false if the scan is over. */
static bool
emit_pair(RangeScan *range, const RawPair *pair)
{
	MemoryContext context = MemoryContextSwitchTo(range->caller);
	bool more = range->emit(range->arg, pair);

	MemoryContextSwitchTo(context);
	Assert(range->left > 0);
	range->left--;
	return more && range->left > 0;
}

/* Emit the row in the slot, whose whole key is given. */
static bool
emit_row(RangeScan *range, TupleTableSlot *slot, Bytes key)
{
	RawPair pair;

	pair.key = key;
	pair.value =
		range->scan->key_only ? bytes_empty() : raw_row_value(slot, range->row);
	pair.expires_at = raw_row_expires_at(slot);
	pair.era = raw_row_era(slot);
	return emit_pair(range, &pair);
}

/* ---- groups of keys that share a full prefix ---- */

static Bytes
group_prefix(const RangeScan *range)
{
	return bytes_make(range->key, RAW_KEY_PREFIX);
}

/* The key of the current group that ends with `rest`. */
static Bytes
group_key(RangeScan *range, Bytes rest)
{
	Size need = RAW_KEY_PREFIX + rest.len;

	if (range->key_size < need)
	{
		range->key = repalloc(range->key, need);
		range->key_size = need;
	}
	if (rest.len > 0)
		memcpy(range->key + RAW_KEY_PREFIX, rest.data, rest.len);
	return bytes_make(range->key, need);
}

/* Order in which rows of a group are emitted. */
static int
group_cmp(const RangeScan *range, Bytes a, Bytes b)
{
	return range->scan->reverse ? bytes_cmp(b, a) : bytes_cmp(a, b);
}

/* binaryheap keeps the largest on top: here the one that is emitted last. */
static int
compare_group_rows(Datum a, Datum b, void *arg)
{
	const GroupRow *x = (const GroupRow *) DatumGetPointer(a);
	const GroupRow *y = (const GroupRow *) DatumGetPointer(b);

	return group_cmp((const RangeScan *) arg, x->rest, y->rest);
}

/* Whether a bound that cuts through this group leaves the row in. */
static bool
group_in_bounds(const RangeScan *range, Bytes rest)
{
	Bytes prefix = group_prefix(range);

	if (range->lower.rest.len > 0 && bytes_eq(range->lower.prefix, prefix) &&
		bytes_cmp(rest, range->lower.rest) < 0)
		return false;
	if (range->upper.rest.len > 0 && bytes_eq(range->upper.prefix, prefix) &&
		bytes_cmp(rest, range->upper.rest) >= 0)
		return false;
	return true;
}

/* Remember a row, dropping the last in order if there is no more room. */
static void
group_keep(RangeScan *range, binaryheap *rows, int capacity, Bytes rest)
{
	TupleTableSlot *slot = range->finder->slot;
	GroupRow *row;
	bool full = rows->bh_size == capacity;

	if (full)
	{
		row = (GroupRow *) DatumGetPointer(binaryheap_first(rows));
		if (group_cmp(range, rest, row->rest) >= 0)
			return;
		if (row->rest.data != NULL)
			pfree(unconstify(uint8 *, row->rest.data));
	}
	else
		row = MemoryContextAlloc(range->group, sizeof(GroupRow));
	row->rest = bytes_empty();
	if (rest.len > 0)
		row->rest =
			bytes_make(memcpy(MemoryContextAlloc(range->group, rest.len),
							  rest.data, rest.len),
					   rest.len);
	row->tid = slot->tts_tid;
	row->expires_at = raw_row_expires_at(slot);
	row->era = raw_row_era(slot);
	if (full)
		binaryheap_replace_first(rows, PointerGetDatum(row));
	else
		binaryheap_add(rows, PointerGetDatum(row));
}

/*
 * Gather the next rows of the group after `after` (NULL: from its beginning),
 * in the order of emission; *more tells whether there are others behind them.
 */
static int
group_gather(RangeScan *range, const Bytes *after, GroupRow **out, bool *more)
{
	RawFinder *finder = range->finder;
	int capacity = (int) Min(range->left, GROUP_ROWS);
	binaryheap *rows = binaryheap_allocate(capacity, compare_group_rows, range);
	int64 seen = 0;
	int n;

	raw_finder_begin(finder, range->scan->cf, group_prefix(range));
	while (raw_finder_next(finder))
	{
		Bytes rest = raw_row_rest(finder->slot, finder->scratch);

		CHECK_FOR_INTERRUPTS();
		if (group_in_bounds(range, rest) &&
			(after == NULL || group_cmp(range, rest, *after) > 0) &&
			!expiry_passed(raw_row_expires_at(finder->slot), range->now_s))
		{
			seen++;
			group_keep(range, rows, capacity, rest);
		}
		MemoryContextReset(finder->scratch);
	}
	raw_finder_release(finder);
	n = rows->bh_size;
	for (int i = n; i > 0; i--)
		out[i - 1] =
			(GroupRow *) DatumGetPointer(binaryheap_remove_first(rows));
	binaryheap_free(rows);
	*more = seen > n;
	return n;
}

static bool
emit_group_row(RangeScan *range, GroupRow *row)
{
	RawFinder *finder = range->finder;
	Bytes key = group_key(range, row->rest);
	bool more;

	if (range->scan->key_only)
	{
		RawPair pair = {key, bytes_empty(), row->expires_at, row->era};

		return emit_pair(range, &pair);
	}
	if (raw_finder_fetch(finder, &row->tid) != ROW_FOUND)
		elog(ERROR,
			 "a row of table \"raw\" is gone under a snapshot that saw it");
	more = emit_row(range, finder->slot, key);
	raw_finder_release(finder);
	return more;
}

/* Emit the group whose prefix is in range->key; false if the scan is over. */
static bool
emit_group(RangeScan *range)
{
	GroupRow **rows = palloc(GROUP_ROWS * sizeof(GroupRow *));
	Bytes after = bytes_empty();
	bool first = true;
	bool more = true;
	bool go_on = true;

	while (more && go_on)
	{
		int n = group_gather(range, first ? NULL : &after, rows, &more);

		for (int i = 0; i < n && go_on; i++)
		{
			MemoryContextReset(range->row);
			go_on = emit_group_row(range, rows[i]);
		}

		/* The last row's rest is still in range->key, behind the prefix. */
		if (n > 0)
			after =
				bytes_make(range->key + RAW_KEY_PREFIX, rows[n - 1]->rest.len);
		first = false;
		MemoryContextReset(range->group);
	}
	pfree(rows);
	return go_on;
}

/* ---- the walk over the index ---- */

/* Turn the bounds into index conditions; returns their number. */
static int
scan_keys(RangeScan *range, ScanKey keys, RawProbe *probes)
{
	const RawScan *scan = range->scan;
	int n = 0;

	ScanKeyInit(&keys[n++], RAW_INDEX_CF, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum((char) scan->cf));
	if (scan->lower.len > 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTGreaterEqualStrategyNumber,
					F_BYTEAGE, raw_probe_set(&probes[0], range->lower.prefix));

	/* A bound with a rest lies within a group, whose beginning is inside. */
	if (scan->upper.len > 0 && range->upper.rest.len == 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTLessStrategyNumber, F_BYTEALT,
					raw_probe_set(&probes[1], range->upper.prefix));
	else if (scan->upper.len > 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTLessEqualStrategyNumber,
					F_BYTEALE, raw_probe_set(&probes[1], range->upper.prefix));
	return n;
}

/* Handle one row of the walk; false if the scan is over. */
static bool
scan_row(RangeScan *range, TupleTableSlot *slot)
{
	Bytes prefix = raw_row_prefix(slot);

	if (prefix.len < RAW_KEY_PREFIX)
	{
		if (expiry_passed(raw_row_expires_at(slot), range->now_s))
			return true;
		MemoryContextReset(range->row);
		return emit_row(range, slot, prefix);
	}
	if (range->in_group && bytes_eq(prefix, group_prefix(range)))
		return true;
	if (range->key == NULL)
	{
		range->key = palloc(RAW_KEY_PREFIX);
		range->key_size = RAW_KEY_PREFIX;
	}
	memcpy(range->key, prefix.data, RAW_KEY_PREFIX);
	range->in_group = true;
	return emit_group(range);
}

static void
scan_walk(RangeScan *range)
{
	RawFinder *finder = range->finder;
	ScanDirection direction =
		range->scan->reverse ? BackwardScanDirection : ForwardScanDirection;
	TupleTableSlot *slot = table_slot_create(finder->heap, NULL);
	RawProbe *probes = palloc(2 * sizeof(RawProbe));
	ScanKeyData keys[SCAN_MAX_KEYS];
	int n_keys = scan_keys(range, keys, probes);
	IndexScanDesc walk = index_beginscan(finder->heap, finder->index,
										 finder->snapshot, n_keys, 0);

	index_rescan(walk, keys, n_keys, NULL, 0);
	while (index_getnext_slot(walk, direction, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!scan_row(range, slot))
			break;
	}
	index_endscan(walk);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Everything the scan allocates, the index scan's memory included, is in a
 * context of its own.  emit must not use the same reader again.
 */
void
raw_scan_run(RawFinder *finder, int64 now_s, const RawScan *scan,
			 bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	RangeScan range = {
		.finder = finder,
		.scan = scan,
		.now_s = now_s,
		.emit = emit,
		.arg = arg,
		.lower = raw_key_split(scan->lower),
		.upper = raw_key_split(scan->upper),
		.left = scan->limit,
	};
	MemoryContext context;

	if (scan->limit == 0)
		return;
	context = AllocSetContextCreate(finder->context, "raw scan",
									ALLOCSET_DEFAULT_SIZES);
	range.caller = MemoryContextSwitchTo(context);
	range.row =
		AllocSetContextCreate(context, "raw scan row", ALLOCSET_DEFAULT_SIZES);
	range.group = AllocSetContextCreate(context, "raw scan group",
										ALLOCSET_DEFAULT_SIZES);
	scan_walk(&range);
	MemoryContextSwitchTo(range.caller);
	MemoryContextDelete(context);
}
