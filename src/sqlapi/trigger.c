/*
 * trigger.c
 *	  Keeps SQL from writing the extension's tables.
 *
 * What is in them is what the Raft groups have agreed on; a row changed
 * behind their back would make this store differ from its own log.  The
 * workers write most rows past the executor, where no trigger is, and may
 * use SQL for the rest.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/rel.h"

#include "sqlapi/sqlapi.h"

PG_FUNCTION_INFO_V1(tikv_refuse_dml);

static bool
is_our_worker(void)
{
	return MyBgworkerEntry != NULL &&
		strcmp(MyBgworkerEntry->bgw_library_name, "tikv_worker") == 0;
}

Datum
tikv_refuse_dml(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "tikv_refuse_dml is a trigger function");
	if (!is_our_worker())
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg(
				 "table \"%s\" belongs to tikv_fdw and is written by its workers only",
				 RelationGetRelationName(trigger->tg_relation)),
			 errhint("Use tikv_put() and tikv_delete(), or a TiKV client.")));
	PG_RETURN_POINTER(NULL);
}
