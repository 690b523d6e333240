/*
 * tasks.c
 *	  The views tikv.tasks and tikv.gc: long work of the store, and how far it
 *	  has come.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/tasks.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(tikv_tasks);
PG_FUNCTION_INFO_V1(tikv_gc);

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
	return (Datum) 0;
}

/* A timestamp of the oracle; NULL for none. */
static void
put_ts(uint64 ts, Datum *value, bool *isnull)
{
	*value = Int64GetDatum((int64) ts);
	*isnull = ts == 0;
}

Datum
tikv_gc(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64 reason = tasks_get(TASK_GC_REASON);
	Datum values[8];
	bool nulls[8] = {false};

	InitMaterializedSRF(fcinfo, 0);
	values[0] = CStringGetTextDatum(tasks_gc_step(tasks_get(TASK_GC_STEP)));
	put_ts(tasks_get(TASK_GC_LOCK_FLOOR), &values[1], &nulls[1]);
	put_ts(board_gc_safe_point(), &values[2], &nulls[2]);
	put_ts(tasks_get(TASK_GC_SAFE_POINT), &values[3], &nulls[3]);
	values[4] = Int64GetDatum((int64) tasks_get(TASK_GC_RESOLVED));
	values[5] = Int64GetDatum((int64) tasks_get(TASK_GC_REMOVED));
	values[6] = CStringGetTextDatum(tasks_gc_reason(reason));
	nulls[6] = reason == GC_REASON_NONE;
	put_ts(tasks_get(TASK_GC_BLOCKER), &values[7], &nulls[7]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}
