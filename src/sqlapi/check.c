/*
 * check.c
 *	  tikv_check(): what the tables say, verified against each other and
 *	  against the board.
 *
 * It reads all rows over one snapshot, holding the locks of a reader; the
 * store serves on meanwhile.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "sqlapi/sqlapi.h"
#include "storage/raw_table.h"
#include "storage/txn_table.h"

PG_FUNCTION_INFO_V1(tikv_check);

static void
put_defect(void *arg, const char *defect)
{
	ReturnSetInfo *result = arg;
	Datum values[1] = {CStringGetTextDatum(defect)};
	bool nulls[1] = {false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	pfree(DatumGetPointer(values[0]));
}

static void
check_rows(ReturnSetInfo *result, const TableOids *oids)
{
	OpenTables tables;
	Snapshot snapshot;

	if (tables_open(oids, TABLES_RAW | TABLES_TXN | TABLES_SLOTS | TABLES_SPILL,
					false, true, &tables) != TABLES_OK)
	{
		session_forget_tables();
		put_defect(result, "a table of keys or its index is missing");
		return;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	(void) raw_table_check(&tables, snapshot, put_defect, result);
	(void) txn_table_check(&tables, snapshot, put_defect, result);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
}

/* A row per defect; no row means that all is well. */
Datum
tikv_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Patience patience = patience_begin();
	TableOids tables = *session_tables(&patience);

	PreventCommandIfParallelMode("tikv_check()");
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	check_state(put_defect, result);
	check_rows(result, &tables);
	return (Datum) 0;
}
