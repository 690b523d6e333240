/*
 * leftover_table.c
 *	  Rows of tikv_internal.leftover, one per log or range of keys that is to
 *	  be removed.
 */
#include "postgres.h"

#include "storage/leftover_table.h"
#include "storage/row.h"
#include "storage/small_table.h"
#include "storage/stored_key.h"

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
read_row(const Datum *values, void *item)
{
	LeftoverRow *out = item;

	out->number = (uint64) DatumGetInt64(values[LEFTOVER_NUMBER - 1]);
	out->region_id = (uint64) DatumGetInt64(values[LEFTOVER_REGION - 1]);
	out->is_log = DatumGetBool(values[LEFTOVER_IS_LOG - 1]);
	out->range.start = row_copy_bytea(values[LEFTOVER_START - 1]);
	out->range.end = row_copy_bytea(values[LEFTOVER_END - 1]);
}

int
leftover_table_load(LeftoverRow **out)
{
	void *rows;
	int n = small_table_load(TABLE_NAME, sizeof(LeftoverRow), read_row, &rows);

	*out = rows;
	return n;
}

void
leftover_table_add(const LeftoverRow *row)
{
	Datum values[LEFTOVER_COLUMNS];

	values[LEFTOVER_NUMBER - 1] = Int64GetDatum((int64) row->number);
	values[LEFTOVER_REGION - 1] = Int64GetDatum((int64) row->region_id);
	values[LEFTOVER_IS_LOG - 1] = BoolGetDatum(row->is_log);
	values[LEFTOVER_START - 1] = bytea_datum(row->range.start);
	values[LEFTOVER_END - 1] = bytea_datum(row->range.end);
	small_table_add(TABLE_NAME, values);
}

void
leftover_table_remove(uint64 number)
{
	small_table_remove(TABLE_NAME, Int64GetDatum((int64) number));
}
