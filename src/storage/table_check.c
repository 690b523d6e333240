/*
 * table_check.c
 *	  Verifies a table of keys, for tikv_check().
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
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "bus/versions.h"
#include "storage/stored_key.h"
#include "storage/table_check.h"

/* After so many reports the rest is only counted. */
#define CHECK_MAX_REPORTS 1000

/* Of the bytes in the sort of long keys, those before the key itself. */
#define LONG_KEY_HEADER (sizeof(int32) + sizeof(int64))

void
check_defect(CheckReport *report, const char *fmt, ...)
{
	char text[256];
	Size used;
	va_list args;

	if (report->defects++ >= CHECK_MAX_REPORTS)
		return;
	used = strlcpy(text, report->table, sizeof(text));
	if (used > 0)
		text[used++] = ' ';
	va_start(args, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, args);
	va_end(args);
	report->report(report->arg, text);
}

int64
check_row_number(const ItemPointerData *tid)
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

/* A long key goes to the sort behind what else identifies its row. */
static void
put_long_key(TableCheck *check, const RowOrder *order, Bytes rest)
{
	Size size = VARHDRSZ + LONG_KEY_HEADER + order->prefix.len + rest.len;
	bytea *key = palloc(size);
	char *p = VARDATA(key);
	int32 major = order->major;

	SET_VARSIZE(key, size);
	memcpy(p, &major, sizeof(major));
	p += sizeof(major);
	memcpy(p, &order->minor, sizeof(order->minor));
	p += sizeof(order->minor);
	memcpy(p, order->prefix.data, order->prefix.len);
	if (rest.len > 0)
		memcpy(p + order->prefix.len, rest.data, rest.len);
	tuplesort_putdatum(check->long_keys, PointerGetDatum(key), false);
}

static void
check_split(TableCheck *check, int64 row, Bytes prefix, bool has_rest,
			Bytes rest)
{
	CheckReport *report = check->report;

	if (prefix.len > KEY_PREFIX_LEN)
		check_defect(report,
					 CHECK_ROW "key has %zu bytes, at most %d belong there",
					 CHECK_ROW_ARGS(row), prefix.len, KEY_PREFIX_LEN);
	if (has_rest && prefix.len < KEY_PREFIX_LEN)
		check_defect(report, CHECK_ROW "key_rest follows a key of %zu bytes",
					 CHECK_ROW_ARGS(row), prefix.len);
	if (has_rest && rest.len == 0)
		check_defect(report, CHECK_ROW "key_rest is empty instead of NULL",
					 CHECK_ROW_ARGS(row));
}

static void
check_columns(TableCheck *check, TupleTableSlot *slot)
{
	int64 row = check_row_number(&slot->tts_tid);
	RowOrder order = check->row_order(slot);
	bool isnull;
	Datum stored = slot_getattr(slot, check->key_rest, &isnull);
	Bytes rest = isnull ? bytes_empty() : fetch_bytes(stored, check->row);

	check->check_row(check, slot, rest);
	check_split(check, row, order.prefix, !isnull, rest);
	if (order.prefix.len >= KEY_PREFIX_LEN)
		put_long_key(check, &order, rest);
}

static void
check_heap(TableCheck *check)
{
	Relation heap = check->table->heap;
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	TableScanDesc scan = table_beginscan(heap, check->snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(check->row);

		CHECK_FOR_INTERRUPTS();
		check_columns(check, slot);
		tuplesort_putdatum(check->heap_tids,
						   Int64GetDatum(check_row_number(&slot->tts_tid)),
						   false);
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
	RowOrder order; /* its prefix is `key` */
	uint8 key[KEY_PREFIX_LEN];
} LastEntry;

static int
compare_orders(const RowOrder *a, const RowOrder *b)
{
	int c = a->major - b->major;

	if (c == 0)
		c = bytes_cmp(a->prefix, b->prefix);
	if (c == 0)
		c = (a->minor > b->minor) - (a->minor < b->minor);
	return c;
}

static void
check_order(TableCheck *check, LastEntry *last, const RowOrder *order,
			int64 row)
{
	int c = last->valid ? compare_orders(&last->order, order) : -1;

	if (c > 0)
		check_defect(check->report, CHECK_ROW "its index entry is out of order",
					 CHECK_ROW_ARGS(row));
	if (c == 0 && order->prefix.len < KEY_PREFIX_LEN)
		check_defect(check->report, CHECK_ROW "the key exists twice",
					 CHECK_ROW_ARGS(row));
	last->valid = true;
	last->order = *order;
	last->order.prefix =
		bytes_make(last->key, Min(order->prefix.len, KEY_PREFIX_LEN));
	if (order->prefix.len > 0)
		memcpy(last->key, order->prefix.data, last->order.prefix.len);
}

static void
check_entry(TableCheck *check, IndexScanDesc scan, TupleTableSlot *slot,
			LastEntry *last)
{
	int64 row = check_row_number(&slot->tts_tid);
	RowOrder entry = check->entry_order(scan);
	RowOrder order = check->row_order(slot);

	if (compare_orders(&entry, &order) != 0)
		check_defect(check->report, CHECK_ROW "its index entry has another key",
					 CHECK_ROW_ARGS(row));
	check_order(check, last, &entry, row);
	tuplesort_putdatum(check->index_tids, Int64GetDatum(row), false);
}

static void
check_index(TableCheck *check)
{
	LastEntry *last = palloc0(sizeof(LastEntry));
	TupleTableSlot *slot = table_slot_create(check->table->heap, NULL);
	IndexScanDesc scan =
		index_beginscan(check->table->heap, check->table->index,
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
compare_passes(TableCheck *check)
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
			check_defect(check->report, CHECK_ROW "no index entry leads to it",
						 CHECK_ROW_ARGS(row));
		else if (index_tid < heap_tid)
			check_defect(check->report,
						 CHECK_ROW "the index leads to it more than once",
						 CHECK_ROW_ARGS(row));
		if (heap_tid == row)
			in_heap = next_sorted(check->heap_tids, &heap_value);
		if (index_tid == row)
			in_index = next_sorted(check->index_tids, &index_value);
	}
}

static void
check_long_keys(TableCheck *check)
{
	bytea *previous = NULL;
	Datum value;

	tuplesort_performsort(check->long_keys);
	while (next_sorted(check->long_keys, &value))
	{
		bytea *key = DatumGetByteaPP(value);

		if (previous != NULL && VARSIZE_ANY(key) == VARSIZE_ANY(previous) &&
			memcmp(key, previous, VARSIZE_ANY(key)) == 0)
			check_defect(check->report, "a key of %zu bytes exists twice",
						 (Size) VARSIZE_ANY_EXHDR(key) - LONG_KEY_HEADER);
		if (previous != NULL)
			pfree(previous);
		previous = key;
	}
}

void
table_check_run(TableCheck *check)
{
	check->row = AllocSetContextCreate(CurrentMemoryContext, "table check row",
									   ALLOCSET_DEFAULT_SIZES);
	check->heap_tids = begin_sort(INT8OID);
	check->index_tids = begin_sort(INT8OID);
	check->long_keys = begin_sort(BYTEAOID);
	check_heap(check);
	check_index(check);
	compare_passes(check);
	check_long_keys(check);
	tuplesort_end(check->heap_tids);
	tuplesort_end(check->index_tids);
	tuplesort_end(check->long_keys);
	MemoryContextDelete(check->row);
}
