/*
 * session.c
 *	  May this session use the store, and until when does a call wait for it.
 *
 * The objects of the extension are looked up once per session and again after
 * any invalidation of one of them.  The store says on the board which
 * extension's tables it serves; so after DROP and CREATE EXTENSION nobody
 * reads or writes through old names.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/wait_event.h"

#include "guc.h"
#include "sqlapi/sqlapi.h"

#define RETRY_MS 10

PG_FUNCTION_INFO_V1(tikv_extension_created);

static TableOids tables;
static bool tables_known;

/*
 * CREATE EXTENSION ran in this transaction, which has not ended, and in this
 * subtransaction of it, whose end may undo it.
 */
static bool created_here;
static SubTransactionId created_in;

static uint64 retries;

/* ---------------------------------------------------------------- patience */

Patience
patience_begin(void)
{
	Patience patience;

	patience.end_us =
		board_now_us() + (int64) tikv_fdw_settings.request_timeout_ms * 1000;
	return patience;
}

int
patience_left_ms(const Patience *patience)
{
	int64 left_us = patience->end_us - board_now_us();

	return left_us <= 0 ? 0 : (int) ((left_us + 999) / 1000);
}

void
patience_retry(const Patience *patience)
{
	int left_ms = patience_left_ms(patience);

	if (left_ms == 0)
		report_not_serving(WORKER_STORE);
	retries++;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(RETRY_MS, left_ms), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

uint64
session_retries(void)
{
	return retries;
}

/* ------------------------------------------------------------------ tables */

static void
on_relcache_change(Datum arg, Oid relation)
{
	(void) arg;
	if (!OidIsValid(relation) || tables_include(&tables, relation))
		tables_known = false;
}

void
session_forget_tables(void)
{
	tables_known = false;
}

static bool
find_tables(void)
{
	static bool watching;

	if (tables_known)
		return true;
	if (!watching)
	{
		CacheRegisterRelcacheCallback(on_relcache_change, (Datum) 0);
		watching = true;
	}
	tables_known = tables_resolve(&tables);
	return tables_known;
}

static bool
in_our_database(void)
{
	char *name = get_database_name(MyDatabaseId);

	return name != NULL && strcmp(name, tikv_fdw_settings.database) == 0;
}

const char *
session_refusal(const char **hint)
{
	if (tikv_shmem() == NULL)
	{
		*hint =
			"Add tikv_fdw to shared_preload_libraries and restart the server.";
		return "tikv_fdw is not in shared_preload_libraries";
	}
	if (RecoveryInProgress())
	{
		*hint =
			"Ask the primary; the workers start when this server is promoted.";
		return "this server is a standby";
	}
	if (created_here)
	{
		*hint = "Commit first.";
		return "CREATE EXTENSION tikv_fdw is not committed yet";
	}
	if (!in_our_database())
	{
		*hint = psprintf(
			"Connect to database \"%s\", or change tikv.database and restart the server.",
			tikv_fdw_settings.database);
		return psprintf(
			"the store serves database \"%s\" (tikv.database), not this one",
			tikv_fdw_settings.database);
	}
	if (!find_tables())
	{
		const char *wrong = tables_wrong_version(&tables);

		if (wrong != NULL)
		{
			*hint = "A superuser or the extension's owner can do it.";
			return wrong;
		}
		*hint = "Run CREATE EXTENSION tikv_fdw and commit.";
		return "the extension is not installed in this database";
	}
	return NULL;
}

/* What is needed in a session that was all right a moment ago. */
static bool
known_good(void)
{
	return tables_known && !created_here;
}

static void
refuse(void)
{
	const char *hint = NULL;
	const char *refusal = session_refusal(&hint);

	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", refusal), errhint("%s", hint)));
}

const TableOids *
session_tables(const Patience *patience)
{
	for (;;)
	{
		BoardStore store;

		if (!known_good())
			refuse();
		board_store(&store);
		if (store.store_id != 0 && store.extension_oid == tables.extension)
			return &tables;
		patience_retry(patience);
	}
}

/* -------------------------------------------------------- CREATE EXTENSION */

static void
on_xact_end(XactEvent event, void *arg)
{
	TikvShmem *shmem = tikv_shmem();

	(void) arg;
	if (!created_here)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			created_here = false;
			if (shmem != NULL)
			{
				pg_atomic_fetch_add_u64(&shmem->extension_generation, 1);
				worker_wake_all();
			}
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			created_here = false;
			break;
		default:
			break;
	}
}

static void
on_subxact_end(SubXactEvent event, SubTransactionId ended,
			   SubTransactionId parent, void *arg)
{
	(void) arg;
	if (!created_here || ended != created_in)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		created_here = false;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		created_in = parent;
}

/* Not an error: a dump may be restored into a server without preload. */
static void
warn_if_not_served(void)
{
	const char *hint = NULL;
	const char *refusal = session_refusal(&hint);

	if (refusal != NULL)
		ereport(WARNING,
				(errmsg("nothing will serve the extension: %s", refusal),
				 errhint("%s", hint)));
}

/*
 * The last statement of the extension's script: the workers are woken when
 * its transaction commits.
 */
Datum
tikv_extension_created(PG_FUNCTION_ARGS)
{
	static bool registered;

	(void) fcinfo;
	if (!creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this function is for CREATE EXTENSION only")));
	if (!registered)
	{
		RegisterXactCallback(on_xact_end, NULL);
		RegisterSubXactCallback(on_subxact_end, NULL);
		registered = true;
	}
	if (tikv_shmem() == NULL || !in_our_database())
		warn_if_not_served();
	created_here = true;
	created_in = GetCurrentSubTransactionId();
	PG_RETURN_VOID();
}
