/*
 * adopt.c
 *	  A node that made a cluster of its own and is told to join another one.
 *
 * An empty one gives its cluster up: who starts a node before setting
 * tikv.join has lost nothing.  One that holds anything does not serve until
 * somebody decides what is to become of it.
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "access/xact.h"
#include "executor/spi.h"
#include "pd/adopt.h"
#include "pd/core/holding.h"
#include "storage/table_names.h"
#include "utils/snapmgr.h"

/* Data: a row here and the node is not empty. */
static const char *const data_queries[] =
	{"SELECT FROM tikv_internal.raw LIMIT 1",
	 "SELECT FROM tikv_internal.write LIMIT 1",
	 "SELECT FROM tikv_internal.value LIMIT 1",
	 "SELECT FROM tikv_internal.lock_slot WHERE rec IS NOT NULL LIMIT 1",
	 "SELECT FROM tikv_internal.lock_spill LIMIT 1"};

static void
lock_all(const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
	{
		char query[128];

		snprintf(query, sizeof(query),
				 "LOCK TABLE tikv_internal.%s IN ACCESS EXCLUSIVE MODE NOWAIT",
				 names[i]);
		if (SPI_execute(query, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not lock tikv_internal.%s", names[i]);
	}
}

static bool
holds_data(void)
{
	for (int i = 0; i < (int) lengthof(data_queries); i++)
	{
		if (SPI_execute(data_queries[i], true, 1) != SPI_OK_SELECT)
			elog(ERROR, "could not look for data");
		if (SPI_processed > 0)
			return true;
	}
	return false;
}

static void
forget_all(const char *const *names)
{
	for (int i = 0; names[i] != NULL; i++)
	{
		char query[128];

		snprintf(query, sizeof(query), "DELETE FROM tikv_internal.%s",
				 names[i]);
		if (SPI_execute(query, false, 0) != SPI_OK_DELETE)
			elog(ERROR, "could not empty tikv_internal.%s", names[i]);
	}
}

static const char *
holding(const PdState *state)
{
	return holds_data() ? "data" : pd_state_holding(state, (int64) time(NULL));
}

/*
 * Locks keep the store from committing a write between the look and the end;
 * afterwards it finds no region to write to, and is told to start again.
 */
static AdoptAnswer
try_forget(const PdState *state, const char **holds)
{
	volatile AdoptAnswer answer = ADOPT_LATER;

	PG_TRY();
	{
		StartTransactionCommand();
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		lock_all(store_table_names);
		lock_all(pd_table_names);
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
		*holds = holding(state);
		answer = *holds != NULL ? ADOPT_REFUSED : ADOPT_DONE;
		if (answer == ADOPT_DONE)
		{
			forget_all(store_table_names);
			forget_all(pd_table_names);
		}
		SPI_finish();
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		FlushErrorState();
		AbortCurrentTransaction();
		answer = ADOPT_LATER;
	}
	PG_END_TRY();
	return answer;
}

AdoptAnswer
adopt_forget_own(const PdState *state, const char **holds)
{
	AdoptAnswer answer = try_forget(state, holds);
	WorkerView store;

	if (answer != ADOPT_DONE)
		return answer;
	if (worker_view(WORKER_STORE, &store) && store.pid > 0)
		(void) kill(store.pid, SIGTERM);
	return answer;
}
