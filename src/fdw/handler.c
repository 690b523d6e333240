/*
 * handler.c
 *	  The foreign data wrapper as Postgres sees it: the table of its functions.
 */
#include "postgres.h"

#include "fmgr.h"

#include "fdw/fdw.h"

PG_FUNCTION_INFO_V1(tikv_fdw_handler);

Datum
tikv_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	(void) fcinfo;
	routine->GetForeignRelSize = tikvGetForeignRelSize;
	routine->GetForeignPaths = tikvGetForeignPaths;
	routine->GetForeignPlan = tikvGetForeignPlan;
	routine->BeginForeignScan = tikvBeginForeignScan;
	routine->IterateForeignScan = tikvIterateForeignScan;
	routine->ReScanForeignScan = tikvReScanForeignScan;
	routine->EndForeignScan = tikvEndForeignScan;
	routine->AddForeignUpdateTargets = tikvAddForeignUpdateTargets;
	routine->PlanForeignModify = tikvPlanForeignModify;
	routine->BeginForeignModify = tikvBeginForeignModify;
	routine->ExecForeignInsert = tikvExecForeignInsert;
	routine->ExecForeignBatchInsert = tikvExecForeignBatchInsert;
	routine->GetForeignModifyBatchSize = tikvGetForeignModifyBatchSize;
	routine->ExecForeignUpdate = tikvExecForeignUpdate;
	routine->ExecForeignDelete = tikvExecForeignDelete;
	routine->EndForeignModify = tikvEndForeignModify;
	routine->BeginForeignInsert = tikvBeginForeignInsert;
	routine->EndForeignInsert = tikvEndForeignModify;
	routine->IsForeignRelUpdatable = tikvIsForeignRelUpdatable;
	routine->ExplainForeignScan = tikvExplainForeignScan;
	routine->ExplainForeignModify = tikvExplainForeignModify;
	routine->AnalyzeForeignTable = tikvAnalyzeForeignTable;
	routine->ImportForeignSchema = tikvImportForeignSchema;
	routine->ExecForeignTruncate = tikvExecForeignTruncate;
	PG_RETURN_POINTER(routine);
}
