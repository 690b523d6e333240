/*
 * small_table.c
 *	  Tables of a few rows, each with a number in its first column.
 *
 * No SQL is run: the tables refuse it, from whomever it comes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/xact.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/row.h"
#include "storage/small_table.h"

void
small_scan_begin(SmallScan *small, Relation rel)
{
	small->rel = rel;
	small->snapshot = RegisterSnapshot(GetLatestSnapshot());
	small->scan =
		systable_beginscan(rel, InvalidOid, false, small->snapshot, 0, NULL);
}

void
small_scan_begin_id(SmallScan *small, Relation rel, Datum id)
{
	Oid index = table_id_index(rel);
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, id);
	small->rel = rel;
	small->snapshot = RegisterSnapshot(GetLatestSnapshot());
	small->scan = systable_beginscan(rel, index, OidIsValid(index),
									 small->snapshot, 1, &key);
}

HeapTuple
small_scan_next(SmallScan *small, Datum *values, bool *isnull)
{
	HeapTuple tuple = systable_getnext(small->scan);

	if (HeapTupleIsValid(tuple) && values != NULL)
		heap_deform_tuple(tuple, RelationGetDescr(small->rel), values, isnull);
	return tuple;
}

void
small_scan_end(SmallScan *small)
{
	systable_endscan(small->scan);
	UnregisterSnapshot(small->snapshot);
}

ItemPointerData
small_row_find(Relation rel, Datum id)
{
	ItemPointerData place;
	SmallScan small;
	HeapTuple tuple;

	ItemPointerSetInvalid(&place);
	small_scan_begin_id(&small, rel, id);
	tuple = small_scan_next(&small, NULL, NULL);
	if (HeapTupleIsValid(tuple))
		place = tuple->t_self;
	small_scan_end(&small);
	return place;
}

void
small_row_save(Relation rel, const TableIndexes *indexes, ItemPointer old,
			   const Datum *values)
{
	TupleDesc desc = RelationGetDescr(rel);
	bool *isnull = palloc0(desc->natts * sizeof(bool));
	HeapTuple tuple = heap_form_tuple(desc, (Datum *) values, isnull);

	if (ItemPointerIsValid(old))
		row_update(rel, indexes, old, tuple, values, isnull);
	else
		row_insert(rel, indexes, tuple, values, isnull);
	heap_freetuple(tuple);
	pfree(isnull);
	CommandCounterIncrement();
}

int
small_table_load(const char *name, Size size, SmallRead read, void **items)
{
	Relation rel = table_open_small(name, NULL);
	int n_columns = RelationGetDescr(rel)->natts;
	Datum *values = palloc(n_columns * sizeof(Datum));
	bool *isnull = palloc(n_columns * sizeof(bool));
	int room = 8;
	int n = 0;
	SmallScan small;

	*items = palloc(room * size);
	small_scan_begin(&small, rel);
	while (HeapTupleIsValid(small_scan_next(&small, values, isnull)))
	{
		if (n == room)
			*items = repalloc(*items, (room *= 2) * size);
		read(values, (char *) *items + n++ * size);
	}
	small_scan_end(&small);
	table_close_small(rel, NULL);
	pfree(values);
	pfree(isnull);
	return n;
}

void
small_table_add(const char *name, const Datum *values)
{
	TableIndexes indexes;
	Relation rel = table_open_small(name, &indexes);
	ItemPointerData nowhere;

	ItemPointerSetInvalid(&nowhere);
	small_row_save(rel, &indexes, &nowhere, values);
	table_close_small(rel, &indexes);
}

void
small_table_save(const char *name, const Datum *values)
{
	TableIndexes indexes;
	Relation rel = table_open_small(name, &indexes);
	ItemPointerData place = small_row_find(rel, values[0]);

	small_row_save(rel, &indexes, &place, values);
	table_close_small(rel, &indexes);
}

void
small_table_remove(const char *name, Datum id)
{
	TableIndexes indexes;
	Relation rel = table_open_small(name, &indexes);
	ItemPointerData place = small_row_find(rel, id);

	if (ItemPointerIsValid(&place))
	{
		row_delete(rel, &place);
		CommandCounterIncrement();
	}
	table_close_small(rel, &indexes);
}
