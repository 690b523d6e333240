/*
 * sweep_test.c
 *	  Expired rows by block, and deletions of ranges, called from SQL; see
 *	  storage_test.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "storage/range_delete_table.h"
#include "storage/raw_table.h"
#include "storage_test.h"

PG_FUNCTION_INFO_V1(storage_test_expired);
PG_FUNCTION_INFO_V1(storage_test_range_delete);
PG_FUNCTION_INFO_V1(storage_test_has_rows);

static void
append_key(void *arg, RawCf cf, Bytes key)
{
	appendStringInfo((StringInfo) arg, "%c:%zu:%.*s ", (char) cf, key.len,
					 (int) Min(key.len, 8), (const char *) key.data);
}

/*
 * storage_test_expired(first int4, n int4, now int8, max int4): the keys found
 * with the first bytes of each, the blocks looked at, the earliest to come
 */
Datum
storage_test_expired(PG_FUNCTION_ARGS)
{
	OpenTables tables;
	Snapshot snapshot;
	StringInfoData text;
	BlockNumber looked;
	int64 earliest;

	initStringInfo(&text);
	storage_test_tables(false, true, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	looked =
		raw_table_expired(&tables, snapshot, (BlockNumber) PG_GETARG_INT32(0),
						  (BlockNumber) PG_GETARG_INT32(1), PG_GETARG_INT64(2),
						  PG_GETARG_INT32(3), append_key, &text, &earliest);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	appendStringInfo(&text, "/ %u blocks, then ", looked);
	if (earliest == PG_INT64_MAX)
		appendStringInfoString(&text, "never");
	else
		appendStringInfo(&text, INT64_FORMAT, earliest);
	PG_RETURN_TEXT_P(cstring_to_text(text.data));
}

/*
 * storage_test_range_delete(era int8, next bytea, done bool): store one (or,
 * with era < 0, remove it); what is then stored, oldest first
 */
Datum
storage_test_range_delete(PG_FUNCTION_ARGS)
{
	RangeDelete item = {
		.era = PG_GETARG_INT64(0),
		.cf = RAW_CF_LOCK,
		.next = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
		.upper = bytes_cstr("end"),
		.done = PG_GETARG_BOOL(2),
	};
	StringInfoData text;
	RangeDelete *items;
	int64 newest;
	int n;

	if (item.era < 0)
		range_delete_table_remove(-item.era);
	else
		range_delete_table_save(&item);
	newest = range_delete_table_load(&items, &n);
	initStringInfo(&text);
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, INT64_FORMAT "%s %c [%.*s, %.*s) ",
						 items[i].era, items[i].done ? " done" : "",
						 (char) items[i].cf, (int) Min(items[i].next.len, 20),
						 (const char *) items[i].next.data,
						 (int) items[i].upper.len,
						 (const char *) items[i].upper.data);
	appendStringInfo(&text, "/ " INT64_FORMAT, newest);
	PG_RETURN_TEXT_P(cstring_to_text(text.data));
}

/* storage_test_has_rows(name text) */
Datum
storage_test_has_rows(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(table_has_row(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL,
								 NULL));
}
