/*
 * raw_check.c
 *	  Verifies the raw table, for tikv_check().
 *
 * Two passes under one snapshot, one over the heap and one over the index,
 * each of which leaves its rows' addresses in a sort; the sorted lists must
 * be the same.  Keys that share a full prefix have no order in the index, so
 * they are sorted, too, to find duplicates.  Sorts spill to disk: memory is
 * bounded by maintenance_work_mem.
 *
 * Values are not read: whether their chunks are there is for amcheck's
 * verify_heapam to say.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "storage/raw_row.h"

/* After so many reports the rest is only counted. */
#define CHECK_MAX_REPORTS 1000

/* How a report names the row whose tid_number is in `row`. */
#define ROW "row (%u,%u): "
#define ROW_ARGS (uint32)(row >> 16), (uint32) (row & 0xffff)

typedef struct Check
{
	const OpenTables *tables;
	Snapshot snapshot;
	void (*report)(void *arg, const char *defect);
	void *arg;
	int64 defects;
	MemoryContext row; /* reset for every row */
	Tuplesortstate *heap_tids;
	Tuplesortstate *index_tids;
	Tuplesortstate *long_keys; /* cf and whole key */
} Check;

static void defect(Check *check, const char *fmt, ...)
	pg_attribute_printf(2, 3);

static void
defect(Check *check, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (check->defects++ >= CHECK_MAX_REPORTS)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	check->report(check->arg, text);
}

static int64
tid_number(const ItemPointerData *tid)
{
	return (int64) ItemPointerGetBlockNumber(tid) << 16 |
		ItemPointerGetOffsetNumber(tid);
}

static Tuplesortstate *
begin_sort(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_LT_OPR);

	return tuplesort_begin_datum(type, entry->lt_opr, InvalidOid, false,
								 maintenance_work_mem / 3, NULL,
								 TUPLESORT_NONE);
}

/* The next value of a finished sort; a bytea is the caller's to free. */
static bool
next_sorted(Tuplesortstate *sort, Datum *value)
{
	bool isnull;

#if PG_VERSION_NUM >= 160000
	return tuplesort_getdatum(sort, true, true, value, &isnull, NULL);
#else
	return tuplesort_getdatum(sort, true, value, &isnull, NULL);
#endif
}

/* ---- the heap ---- */

/* A long key goes to the sort with its column family before it. */
static void
put_long_key(Check *check, RawCf cf, Bytes prefix, Bytes rest)
{
	Size size = VARHDRSZ + 1 + prefix.len + rest.len;
	bytea *key = palloc(size);
	char *p = VARDATA(key);

	SET_VARSIZE(key, size);
	*p++ = (char) cf;
	memcpy(p, prefix.data, prefix.len);
	if (rest.len > 0)
		memcpy(p + prefix.len, rest.data, rest.len);
	tuplesort_putdatum(check->long_keys, PointerGetDatum(key), false);
}

static void
check_columns(Check *check, TupleTableSlot *slot)
{
	int64 row = tid_number(&slot->tts_tid);
	RawCf cf = raw_row_cf(slot);
	Bytes prefix = raw_row_prefix(slot);
	Bytes rest = raw_row_rest(slot, check->row);
	bool has_rest = !slot->tts_isnull[RAW_KEY_REST - 1];

	if (cf != RAW_CF_DEFAULT && cf != RAW_CF_LOCK && cf != RAW_CF_WRITE)
		defect(check, ROW "unknown column family %d", ROW_ARGS, (int) cf);
	if (raw_row_era(slot) < 0)
		defect(check, ROW "era is negative", ROW_ARGS);
	if (raw_row_expires_at(slot) < 0)
		defect(check, ROW "expires_at is negative", ROW_ARGS);
	if (prefix.len > KEY_PREFIX_LEN)
		defect(check, ROW "key has %zu bytes, at most %d belong there",
			   ROW_ARGS, prefix.len, KEY_PREFIX_LEN);
	if (has_rest && prefix.len < KEY_PREFIX_LEN)
		defect(check, ROW "key_rest follows a key of %zu bytes", ROW_ARGS,
			   prefix.len);
	if (has_rest && rest.len == 0)
		defect(check, ROW "key_rest is empty instead of NULL", ROW_ARGS);
	if (prefix.len >= KEY_PREFIX_LEN)
		put_long_key(check, cf, prefix, rest);
}

static void
check_heap(Check *check)
{
	TupleTableSlot *slot = table_slot_create(check->tables->raw.heap, NULL);
	TableScanDesc scan =
		table_beginscan(check->tables->raw.heap, check->snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(check->row);

		CHECK_FOR_INTERRUPTS();
		check_columns(check, slot);
		tuplesort_putdatum(check->heap_tids,
						   Int64GetDatum(tid_number(&slot->tts_tid)), false);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(check->row);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

/* ---- the index ---- */

/* The entry that was just walked, to compare the next one with. */
typedef struct LastEntry
{
	bool valid;
	RawCf cf;
	Size len;
	uint8 key[KEY_PREFIX_LEN];
} LastEntry;

static void
check_order(Check *check, LastEntry *last, RawCf cf, Bytes key, int64 row)
{
	int c = -1;

	if (last->valid)
	{
		c = (int) last->cf - (int) cf;
		if (c == 0)
			c = bytes_cmp(bytes_make(last->key, last->len), key);
	}
	if (c > 0)
		defect(check, ROW "its index entry is out of order", ROW_ARGS);
	if (c == 0 && key.len < KEY_PREFIX_LEN)
		defect(check, ROW "the key exists twice", ROW_ARGS);
	last->valid = true;
	last->cf = cf;
	last->len = Min(key.len, KEY_PREFIX_LEN);
	if (last->len > 0)
		memcpy(last->key, key.data, last->len);
}

static void
check_entry(Check *check, IndexScanDesc scan, TupleTableSlot *slot,
			LastEntry *last)
{
	int64 row = tid_number(&slot->tts_tid);
	TupleDesc desc = RelationGetDescr(scan->indexRelation);
	bool isnull;
	RawCf cf;
	struct varlena *entry;
	Bytes key;

	cf = (RawCf) DatumGetChar(index_getattr(scan->xs_itup, RAW_INDEX_CF, desc,
											&isnull));
	entry = (struct varlena *) DatumGetPointer(index_getattr(scan->xs_itup,
															 RAW_INDEX_KEY,
															 desc, &isnull));
	key = bytes_make(VARDATA_ANY(entry), VARSIZE_ANY_EXHDR(entry));
	if (cf != raw_row_cf(slot) || !bytes_eq(key, raw_row_prefix(slot)))
		defect(check, ROW "its index entry has another key", ROW_ARGS);
	check_order(check, last, cf, key, row);
	tuplesort_putdatum(check->index_tids, Int64GetDatum(row), false);
}

static void
check_index(Check *check)
{
	LastEntry *last = palloc0(sizeof(LastEntry));
	TupleTableSlot *slot = table_slot_create(check->tables->raw.heap, NULL);
	IndexScanDesc scan =
		index_beginscan(check->tables->raw.heap, check->tables->raw.index,
						check->snapshot, 0, 0);

	scan->xs_want_itup = true;
	index_rescan(scan, NULL, 0, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		check_entry(check, scan, slot, last);
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	pfree(last);
}

/* ---- both ---- */

/* Every visible row must be met once by each pass. */
static void
compare_passes(Check *check)
{
	Datum heap_value;
	Datum index_value;
	bool in_heap;
	bool in_index;

	tuplesort_performsort(check->heap_tids);
	tuplesort_performsort(check->index_tids);
	in_heap = next_sorted(check->heap_tids, &heap_value);
	in_index = next_sorted(check->index_tids, &index_value);
	while (in_heap || in_index)
	{
		int64 heap_tid = in_heap ? DatumGetInt64(heap_value) : PG_INT64_MAX;
		int64 index_tid = in_index ? DatumGetInt64(index_value) : PG_INT64_MAX;
		int64 row = Min(heap_tid, index_tid);

		if (heap_tid < index_tid)
			defect(check, ROW "no index entry leads to it", ROW_ARGS);
		else if (index_tid < heap_tid)
			defect(check, ROW "the index leads to it more than once", ROW_ARGS);
		if (heap_tid == row)
			in_heap = next_sorted(check->heap_tids, &heap_value);
		if (index_tid == row)
			in_index = next_sorted(check->index_tids, &index_value);
	}
}

static void
check_long_keys(Check *check)
{
	bytea *previous = NULL;
	Datum value;

	tuplesort_performsort(check->long_keys);
	while (next_sorted(check->long_keys, &value))
	{
		bytea *key = DatumGetByteaPP(value);

		if (previous != NULL && VARSIZE_ANY(key) == VARSIZE_ANY(previous) &&
			memcmp(key, previous, VARSIZE_ANY(key)) == 0)
			defect(check, "a key of %zu bytes exists twice",
				   (Size) VARSIZE_ANY_EXHDR(key) - 1);
		if (previous != NULL)
			pfree(previous);
		previous = key;
	}
}

int64
raw_table_check(const OpenTables *tables, Snapshot snapshot,
				void (*report)(void *arg, const char *defect), void *arg)
{
	Check check = {
		.tables = tables,
		.snapshot = snapshot,
		.report = report,
		.arg = arg,
	};

	check.row = AllocSetContextCreate(CurrentMemoryContext, "raw check row",
									  ALLOCSET_DEFAULT_SIZES);
	check.heap_tids = begin_sort(INT8OID);
	check.index_tids = begin_sort(INT8OID);
	check.long_keys = begin_sort(BYTEAOID);
	check_heap(&check);
	check_index(&check);
	compare_passes(&check);
	check_long_keys(&check);
	tuplesort_end(check.heap_tids);
	tuplesort_end(check.index_tids);
	tuplesort_end(check.long_keys);
	MemoryContextDelete(check.row);
	return check.defects;
}
