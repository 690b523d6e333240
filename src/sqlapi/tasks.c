/*
 * tasks.c
 *	  The view tikv.tasks: long work of the store, and how far it has come.
 */
#include "postgres.h"

#include "bus/tasks.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(tikv_tasks);

static void
put_task(ReturnSetInfo *result, const char *name, TaskCounter waiting,
		 TaskCounter removed)
{
	Datum values[3];
	bool nulls[3] = {false};

	values[0] = CStringGetTextDatum(name);
	values[1] = Int64GetDatum((int64) tasks_get(waiting));
	values[2] = Int64GetDatum((int64) tasks_get(removed));
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_tasks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	put_task(result, "delete ranges", TASK_RANGES_WAITING, TASK_RANGES_REMOVED);
	put_task(result, "expire", TASK_SWEEP_WAITING, TASK_SWEEP_REMOVED);
	put_task(result, "collect garbage", TASK_GC_WAITING, TASK_GC_REMOVED);
	put_task(result, "resolve locks", TASK_GC_WAITING, TASK_GC_RESOLVED);
	put_task(result, "send snapshots", TASK_SNAPSHOTS_TO_MAKE,
			 TASK_SNAPSHOTS_SENT);
	put_task(result, "install snapshots", TASK_SNAPSHOTS_TO_INSTALL,
			 TASK_SNAPSHOTS_INSTALLED);
	put_task(result, "remove regions", TASK_LEFTOVERS_WAITING,
			 TASK_LEFTOVERS_REMOVED);
	put_task(result, "compact tables", TASK_COMPACT_WAITING,
			 TASK_COMPACT_REMOVED);
	return (Datum) 0;
}
