/*
 * raw_check.c
 *	  Verifies the raw table, for tikv_check().
 */
#include "postgres.h"

#include "access/itup.h"
#include "access/relscan.h"
#include "utils/rel.h"

#include "storage/raw_row.h"
#include "storage/table_check.h"

static RowOrder
raw_row_order(TupleTableSlot *slot)
{
	RowOrder order = {(int) raw_row_cf(slot), raw_row_prefix(slot), 0};

	return order;
}

static RowOrder
raw_entry_order(IndexScanDesc scan)
{
	TupleDesc desc = RelationGetDescr(scan->indexRelation);
	bool isnull;
	Datum cf = index_getattr(scan->xs_itup, RAW_INDEX_CF, desc, &isnull);
	Datum key = index_getattr(scan->xs_itup, RAW_INDEX_KEY, desc, &isnull);
	RowOrder order = {(int) DatumGetChar(cf), inline_bytes(key), 0};

	return order;
}

static void
check_raw_row(TableCheck *check, TupleTableSlot *slot, Bytes rest)
{
	int64 row = check_row_number(&slot->tts_tid);
	RawCf cf = raw_row_cf(slot);

	(void) rest;
	if (cf != RAW_CF_DEFAULT && cf != RAW_CF_LOCK && cf != RAW_CF_WRITE)
		check_defect(check->report, CHECK_ROW "unknown column family %d",
					 CHECK_ROW_ARGS(row), (int) cf);
	if (raw_row_era(slot) < 0)
		check_defect(check->report, CHECK_ROW "era is negative",
					 CHECK_ROW_ARGS(row));
	if (raw_row_expires_at(slot) < 0)
		check_defect(check->report, CHECK_ROW "expires_at is negative",
					 CHECK_ROW_ARGS(row));
}

int64
raw_table_check(const OpenTables *tables, Snapshot snapshot,
				void (*report)(void *arg, const char *defect), void *arg)
{
	CheckReport defects = {report, arg, 0, ""};
	TableCheck check = {
		.report = &defects,
		.table = &tables->raw,
		.snapshot = snapshot,
		.key_rest = RAW_KEY_REST,
		.row_order = raw_row_order,
		.entry_order = raw_entry_order,
		.check_row = check_raw_row,
	};

	table_check_run(&check);
	return defects.defects;
}
