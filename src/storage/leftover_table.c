/*
 * leftover_table.c
 *	  Rows of tikv_internal.leftover, one per log or range of keys that is to
 *	  be removed.
 *
 * There are a few at most, so they are found by reading the table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/leftover_table.h"
#include "storage/row.h"

enum
{
	LEFTOVER_NUMBER = 1,
	LEFTOVER_REGION,
	LEFTOVER_IS_LOG,
	LEFTOVER_START,
	LEFTOVER_END,
	LEFTOVER_COLUMNS = LEFTOVER_END
};

#define TABLE_NAME "leftover"

static void
read_row(const Datum *values, LeftoverRow *out)
{
	out->number = (uint64) DatumGetInt64(values[LEFTOVER_NUMBER - 1]);
	out->region_id = (uint64) DatumGetInt64(values[LEFTOVER_REGION - 1]);
	out->is_log = DatumGetBool(values[LEFTOVER_IS_LOG - 1]);
	out->range.start = row_copy_bytea(values[LEFTOVER_START - 1]);
	out->range.end = row_copy_bytea(values[LEFTOVER_END - 1]);
}

int
leftover_table_load(LeftoverRow **out)
{
	Relation rel = table_open_small(TABLE_NAME, NULL);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	Datum values[LEFTOVER_COLUMNS];
	bool isnull[LEFTOVER_COLUMNS];
	int room = 8;
	int n = 0;
	HeapTuple tuple;

	*out = palloc(room * sizeof(LeftoverRow));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (n == room)
			*out = repalloc(*out, (room *= 2) * sizeof(LeftoverRow));
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		read_row(values, &(*out)[n++]);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close_small(rel, NULL);
	return n;
}

void
leftover_table_add(const LeftoverRow *row)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	Datum values[LEFTOVER_COLUMNS];
	bool isnull[LEFTOVER_COLUMNS] = {false};
	HeapTuple tuple;

	values[LEFTOVER_NUMBER - 1] = Int64GetDatum((int64) row->number);
	values[LEFTOVER_REGION - 1] = Int64GetDatum((int64) row->region_id);
	values[LEFTOVER_IS_LOG - 1] = BoolGetDatum(row->is_log);
	values[LEFTOVER_START - 1] = row_make_bytea(row->range.start);
	values[LEFTOVER_END - 1] = row_make_bytea(row->range.end);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	row_insert(rel, &indexes, tuple, values, isnull);
	heap_freetuple(tuple);
	CommandCounterIncrement();
	table_close_small(rel, &indexes);
}

/* Where the row is; invalid if there is none. */
static ItemPointerData
find_row(Relation rel, uint64 number)
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
		if ((uint64) DatumGetInt64(heap_getattr(tuple, LEFTOVER_NUMBER,
												RelationGetDescr(rel),
												&isnull)) == number)
			place = tuple->t_self;
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	return place;
}

void
leftover_table_remove(uint64 number)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	ItemPointerData place = find_row(rel, number);

	if (ItemPointerIsValid(&place))
	{
		row_delete(rel, &place);
		CommandCounterIncrement();
	}
	table_close_small(rel, &indexes);
}
