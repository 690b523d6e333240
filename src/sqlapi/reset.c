/*
 * reset.c
 *	  tikv_reset_store(): a node that is a copy, or was rolled back, begins anew.
 *
 * Its workers have found that others have a newer start of it, or that it is
 * not where it was, and serve no more.  What it holds is of no use to the
 * cluster then: the tables are emptied in the transaction of the call, and at
 * its commit the workers start again, as after CREATE EXTENSION.  Foreign
 * tables, views and grants stay, which DROP EXTENSION would take away.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "guc.h"
#include "sqlapi/sqlapi.h"
#include "storage/table_names.h"

PG_FUNCTION_INFO_V1(tikv_reset_store);

/* What this transaction has emptied: who starts again at its commit. */
static bool reset_store;
static bool reset_pd;

static void
start_again(WorkerKind kind)
{
	WorkerView worker;

	if (worker_view(kind, &worker) && worker.pid > 0)
		(void) kill(worker.pid, SIGTERM);
}

/* One that a subtransaction took back costs a start that changes nothing. */
static void
on_reset_end(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_PRE_PREPARE && reset_store)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has reset the store"),
			 errdetail(
				 "Its workers start again at the commit, of which only its session knows.")));
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (event == XACT_EVENT_COMMIT && reset_store)
		start_again(WORKER_STORE);
	if (event == XACT_EVENT_COMMIT && reset_pd)
		start_again(WORKER_PD);
	reset_store = reset_pd = false;
}

/* Throws unless the node serves no more for what its data are. */
static void
check_fenced(bool *pd_too)
{
	WorkerView store;
	WorkerView pd;

	(void) worker_view(WORKER_STORE, &store);
	(void) worker_view(WORKER_PD, &pd);
	*pd_too = pd.fenced;
	if (store.state == WORKER_SERVING)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the store of this node serves: it is not reset"),
			 errhint(
				 "A node that is to go leaves its cluster with tikv_leave().")));
	if (!store.fenced && !pd.fenced)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "nothing has shown the data of this node to be a copy, or rolled back"),
			 errhint("tikv_status() says what its workers wait for.")));
	if (pd.fenced && tikv_fdw_settings.join[0] == '\0')
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(
				 "tikv.join is not set: the node would make a cluster of its own"),
			 errhint(
				 "Set it to the placement driver's addresses of the other nodes, and restart the server.")));
}

/* 0: it has none yet. */
static int64
own_store_id(void)
{
	bool isnull;

	if (SPI_execute("SELECT store_id::int8 FROM tikv_internal.store_meta", true,
					1) != SPI_OK_SELECT)
		elog(ERROR, "could not read tikv_internal.store_meta");
	if (SPI_processed == 0)
		return 0;
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

static void
check_confirmed(FunctionCallInfo fcinfo)
{
	int64 id = own_store_id();

	if (PG_ARGISNULL(0) || PG_GETARG_INT64(0) != id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is store %lld", (long long) id),
				 errdetail("All keys on this node would be gone."),
				 errhint("To confirm, SELECT tikv_reset_store(%lld).",
						 (long long) id)));
}

/* The trigger that keeps SQL away from the tables is not for this. */
static void
empty(const char *const *names)
{
	StringInfoData query;
	int level = NewGUCNestLevel();

	initStringInfo(&query);
	for (int i = 0; names[i] != NULL; i++)
		appendStringInfo(&query, "%s tikv_internal.%s",
						 i == 0 ? "TRUNCATE" : ",", names[i]);
	(void) set_config_option("session_replication_role", "replica", PGC_SUSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute(query.data, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not empty the tables: %s", query.data);
	AtEOXact_GUC(true, level);
}

static void
watch_transaction(void)
{
	static bool watching;

	if (!watching)
		RegisterXactCallback(on_reset_end, NULL);
	watching = true;
}

Datum
tikv_reset_store(PG_FUNCTION_ARGS)
{
	const char *hint = NULL;
	const char *refusal = session_refusal(&hint);
	bool pd_too;
	bool still;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only superusers reset a store")));
	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", refusal), errhint("%s", hint)));
	check_fenced(&pd_too);
	SPI_connect();
	check_confirmed(fcinfo);
	empty(store_table_names);
	if (pd_too)
		empty(pd_table_names);
	SPI_finish();

	/* The tables are locked now, and nobody can begin to serve. */
	check_fenced(&still);
	watch_transaction();
	reset_store = true;
	reset_pd |= pd_too;
	PG_RETURN_VOID();
}
