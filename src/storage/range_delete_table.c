/*
 * range_delete_table.c
 *	  Rows of tikv_internal.range_delete, one per deletion of a range.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "utils/rel.h"

#include "storage/range_delete_table.h"
#include "storage/row.h"
#include "storage/small_table.h"
#include "storage/stored_key.h"

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
read_row(const Datum *values, void *item)
{
	RangeDelete *out = item;

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
	void *rows;

	*n = small_table_load(TABLE_NAME, sizeof(RangeDelete), read_row, &rows);
	*out = rows;
	qsort(*out, *n, sizeof(RangeDelete), compare_eras);
	return *n == 0 ? 0 : (*out)[*n - 1].era;
}

int
range_delete_table_pending(Relation rel, Snapshot snapshot, RangeDelete **out)
{
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	RangeDelete *items = palloc(sizeof(RangeDelete));
	Datum values[RANGE_COLUMNS];
	bool isnull[RANGE_COLUMNS];
	int room = 1;
	int n = 0;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		if (DatumGetBool(values[RANGE_DONE - 1]))
			continue;
		if (n == room)
			items = repalloc(items, (Size) (room *= 2) * sizeof(RangeDelete));
		read_row(values, &items[n++]);
	}
	systable_endscan(scan);
	*out = items;
	return n;
}

void
range_delete_table_save(const RangeDelete *item)
{
	Datum values[RANGE_COLUMNS];

	values[RANGE_ERA - 1] = Int64GetDatum(item->era);
	values[RANGE_DONE - 1] = BoolGetDatum(item->done);
	values[RANGE_CF - 1] = CharGetDatum((char) item->cf);
	values[RANGE_NEXT - 1] = bytea_datum(item->next);
	values[RANGE_UPPER - 1] = bytea_datum(item->upper);
	small_table_save(TABLE_NAME, values);
}

void
range_delete_table_remove(int64 era)
{
	small_table_remove(TABLE_NAME, Int64GetDatum(era));
}
