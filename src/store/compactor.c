/*
 * compactor.c
 *	  Long tables of few rows become short.
 *
 * While somebody holds an old snapshot every update adds a row, and afterwards
 * VACUUM gives that space back to the table, not the table to the disk; and the
 * rows, which are updated in place, stay where they are, few to a page: gets
 * and scans meet many more pages than before.
 *
 * A table of 32 MiB and more, of which three quarters are free, is compacted:
 *
 *	MOVE	its last rows move to the first blocks that have room, some in a
 *			transaction, and what clients write meanwhile goes there, too;
 *	LOOK	the end is looked at until VACUUM has made it empty;
 *	CUT		and cut off, a piece at a time, under a lock that is held for
 *			milliseconds and not waited for (bus/table_cut.h), once others
 *			have flushed what came before.
 *
 * An index that is as loose is rebuilt by a process of its own (bus/reindex.h):
 * VACUUM never merges pages, so it would stay so.
 *
 * Nothing of it is stored: rows are moved by transactions of their own, so
 * after a crash each is where it was or where it is to be, and a store that
 * starts again looks again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "bus/table_cut.h"
#include "bus/tasks.h"
#include "storage/bufmgr.h"
#include "store/compactor_internal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define SLICE_US INT64CONST(2000)

/* It rests so many times as long as it took. */
#define REST 19

/* ----------------------------------------------------------------- tables */

static const TableKind kinds[] = {
	{"raw", TABLES_RAW, offsetof(OpenTables, raw), offsetof(TableOids, raw)},
	{"write", TABLES_TXN, offsetof(OpenTables, write),
	 offsetof(TableOids, write)},
	{"value", TABLES_TXN, offsetof(OpenTables, value),
	 offsetof(TableOids, value)},
};

StaticAssertDecl(lengthof(kinds) == LOW_ROOMS_TABLES,
				 "a mark for each table that is compacted");

Oid
compactor_table_oid(const Slice *slice)
{
	const TableOids *oids = &slice->store->tables;

	return *(const Oid *) ((const char *) oids + slice->kind->oid);
}

static bool
open_slice(Slice *slice)
{
	Store *store = slice->store;
	TablesAnswer answer;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	answer = tables_open(&store->tables, slice->kind->what, true, false,
						 &slice->tables);
	if (answer != TABLES_OK)
	{
		store_report_blocker(store, answer);
		CommitTransactionCommand();
		return false;
	}
	slice->snapshot = RegisterSnapshot(GetLatestSnapshot());
	slice->opened =
		(const OpenTable *) ((char *) &slice->tables + slice->kind->opened);
	slice->heap = slice->opened->heap;
	slice->oid = compactor_table_oid(slice);
	slice->mark = low_rooms_mark(slice->heap);
	return true;
}

/* Turns that follow flush what they answer. */
void
compactor_commit(void)
{
	int before = synchronous_commit;

	PG_TRY();
	{
		synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
		CommitTransactionCommand();
	}
	PG_FINALLY();
	{
		synchronous_commit = before;
	}
	PG_END_TRY();
}

static void
close_slice(Slice *slice)
{
	UnregisterSnapshot(slice->snapshot);
	tables_close(&slice->tables, true);
	compactor_commit();
}

void
compactor_rest(Slice *slice)
{
	int64 now_us = dispatch_now_us();

	slice->table->due_us = now_us + REST * (now_us - slice->begun_us);
}

bool
compactor_is_long_enough(void *arg)
{
	const Slice *slice = arg;

	return dispatch_now_us() - slice->begun_us >= SLICE_US;
}

/* The table was replaced (VACUUM FULL), or cut by somebody else. */
static bool
is_another(const Slice *slice, BlockNumber blocks)
{
	const CompactedTable *table = slice->table;

	return slice->mark == NULL || table->table != slice->oid ||
		table->file != heap_file(slice->heap) || blocks < table->blocks;
}

static void
forget(CompactedTable *table)
{
	low_rooms_end(table->table);
	table->step = COMPACT_REST;
	table->waiting = 0;
	table->due_us = dispatch_now_us() + CHECK_US;
}

/* ----------------------------------------------------------------- a slice */

static void
run_open_slice(Slice *slice)
{
	CompactedTable *table = slice->table;

	if (!open_slice(slice))
	{
		table->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
		return;
	}
	if (table->step == COMPACT_REST)
		compactor_check(slice);
	else if (is_another(slice, RelationGetNumberOfBlocks(slice->heap)))
		forget(table);
	else if (table->step == COMPACT_MOVE)
		compactor_move(slice);
	else
		compactor_look(slice);
	if (slice->move.rows > 0)
	{
		FAILPOINT("store_compact_before_commit");
	}
	close_slice(slice);
	if (slice->move.rows > 0)
	{
		FAILPOINT("store_compact_before_places");
	}
	heap_move_published(&slice->move);
}

/* An error leaves rows and tables as they were. */
static void
try_slice(Slice *slice)
{
	PG_TRY();
	{
		if (slice->table->step == COMPACT_CUT)
			compactor_cut(slice);
		else
			run_open_slice(slice);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(slice->store->turn_context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		table_cut_end();
		slice->table->step = COMPACT_REST;
		slice->table->waiting = 0;
		slice->table->due_us = dispatch_now_us() + CHECK_US;
	}
	PG_END_TRY();
}

static CompactedTable *
next_table(Compactor *compactor)
{
	CompactedTable *next = &compactor->tables[0];

	for (int i = 1; i < LOW_ROOMS_TABLES; i++)
		if (compactor->tables[i].due_us < next->due_us)
			next = &compactor->tables[i];
	return next;
}

static void
tell(Compactor *compactor)
{
	uint64 waiting = 0;

	for (int i = 0; i < LOW_ROOMS_TABLES; i++)
		waiting += compactor->tables[i].waiting;
	tasks_set(TASK_COMPACT_WAITING, waiting);
	tasks_set(TASK_COMPACT_REMOVED, compactor->cut);
	metrics_set(VALUE_UNREADABLE_BLOCKS, low_rooms_unreadable());
}

/* Cutting gives space back; moving needs some first. */
static bool
must_wait(const Store *store, const CompactedTable *table)
{
	return store->guard.xids_low ||
		(store->guard.disk != GUARD_OK && table->step <= COMPACT_MOVE);
}

void
compactor_run(Store *store)
{
	Compactor *compactor = &store->compactor;
	CompactedTable *table = next_table(compactor);
	int64 now_us = dispatch_now_us();
	Slice slice = {.store = store,
				   .kind = &kinds[table - compactor->tables],
				   .table = table,
				   .begun_us = now_us};

	if (must_wait(store, table))
		table->due_us = now_us + BACKGROUND_RETRY_US;
	else
	{
		try_slice(&slice);
		turn_finish(store);
		tell(compactor);
	}
	compactor->due_us = next_table(compactor)->due_us;
}

void
compactor_init(Store *store)
{
	low_rooms_reset();
	memset(&store->compactor, 0, sizeof(store->compactor));
	store->compactor.due_us = PG_INT64_MAX;
}

void
compactor_load(Store *store)
{
	Compactor *compactor = &store->compactor;

	for (int i = 0; i < LOW_ROOMS_TABLES; i++)
	{
		compactor->tables[i].due_us = dispatch_now_us() + FIRST_CHECK_US;
		compactor->tables[i].check_us = CHECK_US;
		compactor->tables[i].reindex_rest_us = CHECK_US;
	}
	compactor->due_us = compactor->tables[0].due_us;
}
