/*
 * raw_scan.c
 *	  Ranges of raw keys in order, forward and backward.
 *
 * The index orders rows by (cf, prefix), which is the order of keys except
 * among those that share a full prefix of KEY_PREFIX_LEN bytes: a group.  The
 * walk over the index stops at the first row of a group, the group is emitted
 * in the order of its rests, and the walk passes over the group's rows.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "bus/versions.h"
#include "storage/group.h"
#include "storage/raw_row.h"

/* cf and two bounds */
#define SCAN_MAX_KEYS 3

/* Rows that are passed over between two questions whether to go on. */
#define ASK_EVERY 256

typedef struct RangeScan
{
	RawFinder *finder; /* for the rows of groups */
	const RawScan *scan;
	int64 now_s;
	bool (*emit)(void *arg, const RawPair *pair);
	void *arg;
	MemoryContext caller; /* in which emit runs */
	StoredKey lower;
	StoredKey upper;
	uint32 left;		 /* pairs that may still be emitted */
	uint32 passed;		 /* rows that were read and not emitted */
	MemoryContext row;	 /* reset for every row */
	MemoryContext group; /* reset for every pass over a group */
	uint8 *key;			 /* a long key put together; NULL at first */
	Size key_size;
	bool in_group; /* key begins with the last group's prefix */
} RangeScan;

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

/* A row was read, and no pair emitted; false if the scan is over. */
static bool
pass_over(RangeScan *range)
{
	MemoryContext context;
	bool more;

	if (++range->passed % ASK_EVERY != 0 || range->scan->goes_on == NULL)
		return true;
	context = MemoryContextSwitchTo(range->caller);
	more = range->scan->goes_on(range->arg);
	MemoryContextSwitchTo(context);
	return more;
}

/* Emit the row in the slot, whose whole key is given. */
static bool
emit_row(RangeScan *range, TupleTableSlot *slot, Bytes key)
{
	RawPair pair;

	pair.key = key;
	if (range->scan->lengths)
		pair.value = bytes_make(NULL, raw_row_length(slot));
	else
		pair.value = range->scan->key_only ? bytes_empty() :
											 raw_row_value(slot, range->row);
	pair.expires_at = raw_row_expires_at(slot);
	pair.era = raw_row_era(slot);
	return emit_pair(range, &pair);
}

/* ---- groups of keys that share a full prefix ---- */

static Bytes
group_prefix(const RangeScan *range)
{
	return bytes_make(range->key, KEY_PREFIX_LEN);
}

/* The key of the current group that ends with `rest`. */
static Bytes
group_key(RangeScan *range, Bytes rest)
{
	Size need = KEY_PREFIX_LEN + rest.len;

	if (range->key_size < need)
	{
		range->key = repalloc(range->key, need);
		range->key_size = need;
	}
	if (rest.len > 0)
		memcpy(range->key + KEY_PREFIX_LEN, rest.data, rest.len);
	return bytes_make(range->key, need);
}

static bool
is_buried(RangeScan *range, Bytes rest, int64 era)
{
	return range->finder->n_deletes > 0 &&
		raw_row_is_buried(range->finder, range->scan->cf,
						  group_key(range, rest), era);
}

/* A pass reads all rows of the group, of which it keeps some; so it asks. */
static bool
group_gather(void *arg, GroupPass *pass)
{
	RangeScan *range = arg;
	RawFinder *finder = range->finder;
	bool more = true;

	raw_finder_begin(finder, range->scan->cf, group_prefix(range));
	while (more && raw_finder_next(finder))
	{
		GroupRow row = {
			.rest = raw_row_rest(finder->slot, finder->scratch),
			.tid = finder->slot->tts_tid,
			.extra = raw_row_expires_at(finder->slot),
			.era = raw_row_era(finder->slot),
		};

		CHECK_FOR_INTERRUPTS();
		if (!expiry_passed(row.extra, range->now_s) &&
			!is_buried(range, row.rest, row.era))
			group_offer(pass, &row);
		MemoryContextReset(finder->scratch);
		more = pass_over(range);
	}
	raw_finder_release(finder);
	return more;
}

static bool
emit_group_row(void *arg, const GroupRow *row)
{
	RangeScan *range = arg;
	RawFinder *finder = range->finder;
	Bytes key = group_key(range, row->rest);
	ItemPointerData tid = row->tid;
	bool more;

	MemoryContextReset(range->row);

	if (range->scan->key_only)
	{
		RawPair pair = {key, bytes_empty(), row->extra, row->era};

		return emit_pair(range, &pair);
	}
	if (raw_finder_fetch(finder, &tid) != ROW_FOUND)
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
	GroupScan scan = {
		.lower = range->lower,
		.upper = range->upper,
		.reverse = range->scan->reverse,
		.limit = range->left,
		.context = range->group,
		.gather = group_gather,
		.emit = emit_group_row,
		.arg = range,
	};

	return group_scan_run(&scan, group_prefix(range));
}

/* ---- the walk over the index ---- */

/* Turn the bounds into index conditions; returns their number. */
static int
scan_keys(RangeScan *range, ScanKey keys, KeyProbe *probes)
{
	const RawScan *scan = range->scan;
	int n = 0;

	ScanKeyInit(&keys[n++], RAW_INDEX_CF, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum((char) scan->cf));
	if (scan->lower.len > 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTGreaterEqualStrategyNumber,
					F_BYTEAGE, key_probe_set(&probes[0], range->lower.prefix));

	/* A bound with a rest lies within a group, whose beginning is inside. */
	if (scan->upper.len > 0 && range->upper.rest.len == 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTLessStrategyNumber, F_BYTEALT,
					key_probe_set(&probes[1], range->upper.prefix));
	else if (scan->upper.len > 0)
		ScanKeyInit(&keys[n++], RAW_INDEX_KEY, BTLessEqualStrategyNumber,
					F_BYTEALE, key_probe_set(&probes[1], range->upper.prefix));
	return n;
}

/* Handle one row of the walk; false if the scan is over. */
static bool
scan_row(RangeScan *range, TupleTableSlot *slot)
{
	Bytes prefix = raw_row_prefix(slot);

	if (prefix.len < KEY_PREFIX_LEN)
	{
		if (expiry_passed(raw_row_expires_at(slot), range->now_s) ||
			raw_row_is_buried(range->finder, range->scan->cf, prefix,
							  raw_row_era(slot)))
			return pass_over(range);
		MemoryContextReset(range->row);
		return emit_row(range, slot, prefix);
	}
	if (range->in_group && bytes_eq(prefix, group_prefix(range)))
		return pass_over(range);
	if (range->key == NULL)
	{
		range->key = palloc(KEY_PREFIX_LEN);
		range->key_size = KEY_PREFIX_LEN;
	}
	memcpy(range->key, prefix.data, KEY_PREFIX_LEN);
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
	KeyProbe *probes = palloc(2 * sizeof(KeyProbe));
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
		.lower = stored_key_split(scan->lower),
		.upper = stored_key_split(scan->upper),
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
