/*
 * range_delete_table.c
 *	  Rows of tikv_internal.range_delete, one per deletion of a range.
 *
 * There are a few dozens at most, so they are found by reading the table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/range_delete_table.h"
#include "storage/row.h"

enum
{
	RANGE_ERA = 1,
	RANGE_DONE,
	RANGE_CF,
	RANGE_NEXT,
	RANGE_UPPER,
	RANGE_COLUMNS = RANGE_UPPER
};

#define TABLE_NAME "range_delete"

static void
read_row(const Datum *values, RangeDelete *out)
{
	out->era = DatumGetInt64(values[RANGE_ERA - 1]);
	out->done = DatumGetBool(values[RANGE_DONE - 1]);
	out->cf = (RawCf) DatumGetChar(values[RANGE_CF - 1]);
	out->next = row_copy_bytea(values[RANGE_NEXT - 1]);
	out->upper = row_copy_bytea(values[RANGE_UPPER - 1]);
}

static int
compare_eras(const void *a, const void *b)
{
	int64 x = ((const RangeDelete *) a)->era;
	int64 y = ((const RangeDelete *) b)->era;

	return (x > y) - (x < y);
}

int64
range_delete_table_load(RangeDelete **out, int *n)
{
	Relation rel = table_open_small(TABLE_NAME, NULL);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	Datum values[RANGE_COLUMNS];
	bool isnull[RANGE_COLUMNS];
	int room = 8;
	HeapTuple tuple;

	*n = 0;
	*out = palloc(room * sizeof(RangeDelete));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (*n == room)
			*out = repalloc(*out, (room *= 2) * sizeof(RangeDelete));
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		read_row(values, &(*out)[(*n)++]);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close_small(rel, NULL);
	qsort(*out, *n, sizeof(RangeDelete), compare_eras);
	return *n == 0 ? 0 : (*out)[*n - 1].era;
}

/* Where the row of an era is; invalid if there is none. */
static ItemPointerData
find_era(Relation rel, int64 era)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	ItemPointerData place;
	HeapTuple tuple;
	bool isnull;

	ItemPointerSetInvalid(&place);
	while (!ItemPointerIsValid(&place) &&
		   HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (DatumGetInt64(heap_getattr(tuple, RANGE_ERA, RelationGetDescr(rel),
									   &isnull)) == era)
			place = tuple->t_self;
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	return place;
}

void
range_delete_table_save(const RangeDelete *item)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	ItemPointerData place = find_era(rel, item->era);
	Datum values[RANGE_COLUMNS];
	bool isnull[RANGE_COLUMNS] = {false};
	HeapTuple tuple;

	values[RANGE_ERA - 1] = Int64GetDatum(item->era);
	values[RANGE_DONE - 1] = BoolGetDatum(item->done);
	values[RANGE_CF - 1] = CharGetDatum((char) item->cf);
	values[RANGE_NEXT - 1] = row_make_bytea(item->next);
	values[RANGE_UPPER - 1] = row_make_bytea(item->upper);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	if (ItemPointerIsValid(&place))
		row_update(rel, &indexes, &place, tuple, values, isnull);
	else
		row_insert(rel, &indexes, tuple, values, isnull);
	heap_freetuple(tuple);
	CommandCounterIncrement();
	table_close_small(rel, &indexes);
}

void
range_delete_table_remove(int64 era)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	ItemPointerData place = find_era(rel, era);

	if (ItemPointerIsValid(&place))
	{
		row_delete(rel, &place);
		CommandCounterIncrement();
	}
	table_close_small(rel, &indexes);
}
