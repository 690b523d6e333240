/*
 * reindex.c
 *	  `tikv reindex`: the process that rebuilds an index.
 *
 * Its commands are those that people would give.  Whatever becomes of them, the
 * index that is read stays; what an interrupted one leaves behind is dropped
 * before the next.  Somebody's long transaction is waited for a minute: until
 * then VACUUM has no way to the table.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "bus/board.h"
#include "bus/reindex.h"
#include "bus/shmem.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "guc.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define NAME "tikv reindex"
#define PATIENCE "60s"
#define BEGIN_US INT64CONST(3000000)

/* bgw_extra of the process that only drops what was left. */
#define DROP_ONLY 'd'

PGDLLEXPORT void tikv_reindex_main(Datum arg);

/* ---------------------------------------------------------------- the store */

bool
reindex_ask(Relation index, bool rebuild)
{
	static int64 asked_us;
	int64 now_us = board_now_us();
	BackgroundWorker worker = {0};

	/* The last one may be about to begin. */
	if (pg_atomic_read_u32(&tikv_shmem()->reindexing) != 0 ||
		(asked_us != 0 && now_us - asked_us < BEGIN_US))
		return false;
	asked_us = now_us;
	strlcpy(worker.bgw_name, NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_type, NAME, BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "tikv_fdw", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "tikv_reindex_main", BGW_MAXLEN);
	worker.bgw_flags =
		BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(RelationGetRelid(index));
	worker.bgw_extra[0] = rebuild ? '\0' : DROP_ONLY;
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(LOG,
				(errmsg("there is no room for the worker \"" NAME "\""),
				 errdetail("An index that is mostly free space stays so."),
				 errhint("Raise max_worker_processes.")));
	return true;
}

/* -------------------------------------------------------------- the commands */

/* What it is about; in TopMemoryContext. */
typedef struct Target
{
	Oid heap;
	Oid schema;
	char *name;
	char *qualified;
} Target;

/*
 * Nothing, if it is gone or somebody has a lock on its table that a rebuilding
 * needs, as another one and VACUUM do: they need not wait for us, either.
 */
static bool
find_target(Oid index, Target *target)
{
	bool free = false;

	StartTransactionCommand();
	target->heap = IndexGetRelation(index, true);
	target->name = get_rel_name(index);
	if (OidIsValid(target->heap) && target->name != NULL)
		free =
			ConditionalLockRelationOid(target->heap, ShareUpdateExclusiveLock);
	if (free)
	{
		target->schema = get_rel_namespace(index);
		target->name = MemoryContextStrdup(TopMemoryContext, target->name);
		target->qualified = MemoryContextStrdup(
			TopMemoryContext,
			quote_qualified_identifier(get_namespace_name(target->schema),
									   target->name));
	}
	CommitTransactionCommand();
	return free;
}

/* A command that has transactions of its own. */
static void
run(const char *sql)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, NAME, ALLOCSET_DEFAULT_SIZES);
	PlannedStmt *plan;

	debug_query_string = sql;
	pgstat_report_activity(STATE_RUNNING, sql);
	StartTransactionCommand();
	PortalContext = context;
	MemoryContextSwitchTo(context);
	plan = makeNode(PlannedStmt);
	plan->commandType = CMD_UTILITY;
	plan->utilityStmt = linitial_node(RawStmt, pg_parse_query(sql))->stmt;
	PushActiveSnapshot(GetTransactionSnapshot());
	ProcessUtility(plan, sql, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL,
				   None_Receiver, NULL);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	PortalContext = NULL;
	MemoryContextDelete(context);
	debug_query_string = NULL;
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* False, and the log says why. */
static bool
try_run(const char *sql)
{
	volatile bool done = false;

	PG_TRY();
	{
		run(sql);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(TopMemoryContext);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		PortalContext = NULL;
		debug_query_string = NULL;
	}
	PG_END_TRY();
	return done;
}

/*
 * The command that drops one of those that were left, in TopMemoryContext; NULL:
 * there is none.
 */
static char *
next_drop(const Target *target)
{
	Oid types[] = {OIDOID, TEXTOID};
	Datum values[2];
	char *sql = NULL;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	values[0] = ObjectIdGetDatum(target->heap);
	values[1] = CStringGetTextDatum(target->name);
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args(
			"SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %s', c.oid::regclass)"
			" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
			" WHERE i.indrelid = $1 AND NOT i.indisvalid AND starts_with(c.relname, $2)"
			" AND substr(c.relname, length($2) + 1) ~ '^_cc(new|old)[0-9]*$'",
			2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "pg_index cannot be read");
	if (SPI_processed > 0)
		sql = MemoryContextStrdup(TopMemoryContext,
								  SPI_getvalue(SPI_tuptable->vals[0],
											   SPI_tuptable->tupdesc, 1));
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return sql;
}

static bool
drop_leftovers(const Target *target)
{
	char *sql;

	while ((sql = next_drop(target)) != NULL)
	{
		if (!try_run(sql))
			return false;
		ereport(LOG,
				(errmsg("what a REINDEX CONCURRENTLY had left was dropped: %s",
						sql)));
		pfree(sql);
	}
	return true;
}

static BlockNumber
count_blocks(const Target *target)
{
	BlockNumber blocks = 0;
	Relation index;

	StartTransactionCommand();
	index = try_relation_open(get_relname_relid(target->name, target->schema),
							  AccessShareLock);
	if (index != NULL)
	{
		blocks = RelationGetNumberOfBlocks(index);
		relation_close(index, AccessShareLock);
	}
	CommitTransactionCommand();
	return blocks;
}

static void
rebuild(const Target *target)
{
	BlockNumber before = count_blocks(target);

	if (try_run(psprintf("REINDEX INDEX CONCURRENTLY %s", target->qualified)))
		ereport(LOG,
				(errmsg("index \"%s\" was rebuilt: %u blocks before, %u now",
						target->name, before, count_blocks(target))));
	else
		(void) drop_leftovers(target);
}

/* --------------------------------------------------------------- the process */

static void
leave(int code, Datum arg)
{
	(void) code;
	(void) arg;
	pg_atomic_write_u32(&tikv_shmem()->reindexing, 0);
}

void
tikv_reindex_main(Datum arg)
{
	Target target;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!pg_atomic_compare_exchange_u32(&tikv_shmem()->reindexing, &(uint32){0},
										1))
		proc_exit(0);
	before_shmem_exit(leave, 0);
	BackgroundWorkerInitializeConnection(tikv_fdw_settings.database, NULL, 0);
	SetConfigOption("lock_timeout", PATIENCE, PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog", PGC_USERSET, PGC_S_OVERRIDE);
	if (find_target(DatumGetObjectId(arg), &target) &&
		drop_leftovers(&target) && MyBgworkerEntry->bgw_extra[0] != DROP_ONLY)
		rebuild(&target);
	proc_exit(0);
}
