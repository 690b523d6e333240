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
 *			milliseconds and not waited for (bus/table_cut.h).
 *
 * Nothing of it is stored: rows are moved by transactions of their own, so
 * after a crash each is where it was or where it is to be, and a store that
 * starts again looks again.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "bus/table_cut.h"
#include "bus/tasks.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "store/store.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A slice ends with the block in which it reaches one of these. */
#define SLICE_ROWS 128
#define SLICE_BYTES ((Size) 256 << 10)
#define SLICE_US INT64CONST(2000)

/* It rests so many times as long as it took. */
#define REST 19

#define FIRST_CHECK_US INT64CONST(10000000)
#define CHECK_US INT64CONST(60000000)
#define MAX_CHECK_US INT64CONST(3600000000)

/* A snapshot that is older keeps what is moved from being cleaned up. */
#define OLD_US INT64CONST(10000000)
#define OLD_REST_US INT64CONST(5000000)

/* How often, and how long, it is looked whether VACUUM was there. */
#define VACUUM_LOOK_US INT64CONST(5000000)
#define VACUUM_ASK_US INT64CONST(60000000)
#define VACUUM_PATIENCE_US INT64CONST(900000000)

/*
 * A piece is looked through before the lock is taken, so that it is in memory
 * then: 32 MiB, or an eighth of the buffers, but 2 MiB.  Less than that stay.
 */
#define CUT_BLOCKS 4096
#define CUT_LEAST 256
#define CUT_REST_US INT64CONST(250000)

/*
 * Readers that have begun may go on as long; others wait, also for the cut: a
 * store that others keep from running takes its time.
 */
#define LOCK_PATIENCE_US INT64CONST(20000)
#define READERS_WAIT_US INT64CONST(1000000)
#define LOCK_REST_US INT64CONST(1000000)
#define MAX_LOCK_REST_US INT64CONST(60000000)

/* ----------------------------------------------------------------- tables */

typedef struct TableKind
{
	const char *name;
	int what;	 /* TABLES_ flag */
	Size opened; /* in OpenTables */
	Size oid;	 /* in TableOids */
} TableKind;

static const TableKind kinds[] = {
	{"raw", TABLES_RAW, offsetof(OpenTables, raw), offsetof(TableOids, raw)},
	{"write", TABLES_TXN, offsetof(OpenTables, write),
	 offsetof(TableOids, write)},
	{"value", TABLES_TXN, offsetof(OpenTables, value),
	 offsetof(TableOids, value)},
};

StaticAssertDecl(lengthof(kinds) == LOW_ROOMS_TABLES,
				 "a mark for each table that is compacted");

typedef struct Slice
{
	Store *store;
	const TableKind *kind;
	CompactedTable *table;
	int64 begun_us;
	OpenTables tables;
	const OpenTable *opened;
	Relation heap;
	Oid oid;
	Snapshot snapshot;
	RoomMark *mark; /* NULL: none */
	HeapMove move;
} Slice;

static Oid
table_oid(const Slice *slice)
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
	slice->oid = table_oid(slice);
	slice->mark = low_rooms_mark(slice->heap);
	return true;
}

/* Turns that follow flush what they answer. */
static void
commit(void)
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
	commit();
}

/* ------------------------------------------------------------ begin and end */

static void
rest(Slice *slice)
{
	int64 now_us = dispatch_now_us();

	slice->table->due_us = now_us + REST * (now_us - slice->begun_us);
}

static void
begin_move(Slice *slice, BlockNumber blocks)
{
	CompactedTable *table = slice->table;

	slice->mark = low_rooms_begin(slice->heap, blocks);
	table->step = COMPACT_MOVE;
	table->table = slice->oid;
	table->file = heap_file(slice->heap);
	table->from = blocks;
	table->blocks = blocks;
	table->waits = false;
	table->again = false;
	rest(slice);
}

static void
begin_look(CompactedTable *table, BlockNumber blocks)
{
	table->step = COMPACT_LOOK;
	table->from = blocks;
	table->blocks = blocks;
	table->give_up_us = dispatch_now_us() + VACUUM_PATIENCE_US;
	table->lock_rest_us = LOCK_REST_US;
	table->ask_us = 0;
}

/*
 * It is as short as it will be, or others are in the way.  New rows are aimed
 * at its beginning until a check finds it short.  One that nothing can be done
 * about is looked at less and less often.
 */
static void
finish(CompactedTable *table, const char *name)
{
	if (table->moved > 0 || table->cut > 0)
	{
		ereport(LOG,
				(errmsg("table \"%s\" was compacted: " UINT64_FORMAT
						" rows moved, " UINT64_FORMAT
						" blocks cut off, %u left",
						name, table->moved, table->cut, table->blocks)));
		table->check_us = CHECK_US;
	}
	else
		table->check_us = Min(2 * table->check_us, MAX_CHECK_US);
	table->step = COMPACT_REST;
	table->waiting = 0;
	table->due_us = dispatch_now_us() + table->check_us;
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

/* ------------------------------------------------------------------- check */

/*
 * A mark is looked at when it is ten seconds old, and twenty at most: one of
 * long ago would say that a snapshot of five minutes is young.
 */
static void
set_marks(Compactor *compactor)
{
	int64 age_us = dispatch_now_us() - compactor->marked_us;

	if (age_us < OLD_US)
		return;
	compactor->marks[1] =
		age_us < 2 * OLD_US ? compactor->marks[0] : InvalidTransactionId;
	compactor->marks[0] = ReadNextTransactionId();
	compactor->marked_us += age_us;
}

/*
 * Does somebody hold a snapshot of ten seconds ago or more?  `unknown`, if that
 * was not asked for so long that it shows in ten seconds only.
 */
static bool
is_snapshot_old(Compactor *compactor, Relation heap, bool unknown)
{
	TransactionId oldest = GetOldestNonRemovableTransactionId(heap);

	set_marks(compactor);
	if (!TransactionIdIsNormal(compactor->marks[1]))
		return unknown;
	return TransactionIdPrecedes(oldest, compactor->marks[1]);
}

static bool
is_long_enough(void *arg)
{
	const Slice *slice = arg;

	return dispatch_now_us() - slice->begun_us >= SLICE_US;
}

static void
check_table(Slice *slice)
{
	CompactedTable *table = slice->table;
	bool is_old = is_snapshot_old(&slice->store->compactor, slice->heap, false);
	BlockNumber blocks;
	bool is_loose;

	rest(slice);
	if (!heap_sample(slice->heap, &table->sample, is_long_enough, slice))
		return;
	is_loose = heap_is_loose(&table->sample);
	blocks = table->sample.blocks;
	memset(&table->sample, 0, sizeof(table->sample));
	table->due_us = slice->begun_us + table->check_us;
	if (!is_loose)
	{
		low_rooms_end(slice->oid);
		table->check_us = CHECK_US;
	}
	else if (!is_old)
	{
		table->moved = 0;
		table->cut = 0;
		begin_move(slice, blocks);
	}
}

/* -------------------------------------------------------------------- move */

static bool
have_met(const Slice *slice)
{
	return slice->table->from == 0 || slice->mark->met;
}

/*
 * Until there is enough for a slice, which has one block at least, however long
 * it took to begin; true if the marks have met.
 */
static bool
move_rows(Slice *slice)
{
	CompactedTable *table = slice->table;
	HeapMoved moved = HEAP_MOVED_ALL;

	while (!have_met(slice) && moved == HEAP_MOVED_ALL)
	{
		moved = heap_move_block(&slice->move, table->from - 1);
		if (moved == HEAP_MOVED_ALL)
			room_mark_lower(slice->mark, --table->from);
		if (is_long_enough(slice))
			break;
	}
	return have_met(slice) || moved == HEAP_MOVED_MET;
}

/* What clients have written meanwhile has made it longer, and filled it. */
static void
resume_move(Slice *slice)
{
	CompactedTable *table = slice->table;

	table->waits = false;
	table->again = true;
	room_mark_start(slice->mark, table->from);
}

static void
run_move(Slice *slice)
{
	CompactedTable *table = slice->table;
	HeapMove *move = &slice->move;

	if (is_snapshot_old(&slice->store->compactor, slice->heap, true))
	{
		table->waits = true;
		table->due_us = dispatch_now_us() + OLD_REST_US;
		return;
	}
	if (table->waits)
		resume_move(slice);
	heap_move_init(move, slice->opened, slice->snapshot, SLICE_ROWS,
				   SLICE_BYTES);
	move->versions = slice->kind->what != TABLES_RAW;
	if (slice->store->sweeper.enabled)
		move->watch = sweeper_note;
	move->watch_arg = slice->store;
	if (move_rows(slice))
		begin_look(table, RelationGetNumberOfBlocks(slice->heap));
	table->moved += (uint64) move->rows;
	table->again = table->again || move->rows > 0;
	table->waiting = table->blocks - Min(table->blocks, slice->mark->next);
	rest(slice);
}

/* -------------------------------------------------------------------- look */

/* Once a minute, if it can do anything. */
static void
ask_for_vacuum(Slice *slice)
{
	CompactedTable *table = slice->table;

	if (is_snapshot_old(&slice->store->compactor, slice->heap, false) ||
		slice->begun_us < table->ask_us)
		return;
	table->ask_us = slice->begun_us + VACUUM_ASK_US;
	heap_ask_for_vacuum(slice->heap);
}

/* The end is not empty, or is as short as it will be. */
static void
end_is_reached(Slice *slice, HeapTail tail)
{
	CompactedTable *table = slice->table;

	if (table->from <= slice->mark->end + CUT_LEAST)
	{
		finish(table, slice->kind->name);
		low_rooms_end(table->table);
	}
	else if (tail == HEAP_TAIL_LIVE && table->again)
		begin_move(slice, table->blocks);
	else if (tail == HEAP_TAIL_LIVE || slice->begun_us >= table->give_up_us)
		finish(table, slice->kind->name);
	else
	{
		ask_for_vacuum(slice);
		table->due_us = slice->begun_us + VACUUM_LOOK_US;
	}
}

static void
run_look(Slice *slice)
{
	CompactedTable *table = slice->table;
	BlockNumber blocks = RelationGetNumberOfBlocks(slice->heap);
	BlockNumber most =
		Min(CUT_BLOCKS, Max(CUT_LEAST, (BlockNumber) NBuffers / 8));
	BlockNumber floor;
	HeapTail tail;

	if (blocks != table->blocks)
		table->from = table->blocks = blocks;
	floor = Max(slice->mark->end, blocks - Min(blocks, most));
	floor = Min(floor, blocks);
	tail = heap_look_at_tail(slice->heap, slice->snapshot, floor,
							 is_long_enough, slice, &table->from);
	table->waiting = blocks - Min(blocks, slice->mark->end);
	rest(slice);
	if (tail == HEAP_TAIL_EMPTY && table->from > floor)
		return;
	if (blocks - table->from >= CUT_LEAST)
	{
		table->step = COMPACT_CUT;
		table->give_up_us = slice->begun_us + VACUUM_PATIENCE_US;
	}
	else
		end_is_reached(slice, tail);
}

/* --------------------------------------------------------------------- cut */

static HeapCut
try_cut(Slice *slice, BlockNumber *blocks)
{
	HeapCut result;

	StartTransactionCommand();
	MemoryContextSwitchTo(slice->store->turn_context);
	result = heap_cut(table_oid(slice), slice->table->from, LOCK_PATIENCE_US,
					  blocks);
	commit();
	return result;
}

/* Readers hold their locks for moments: some milliseconds may do. */
static void
run_cut(Slice *slice)
{
	CompactedTable *table = slice->table;
	Compactor *compactor = &slice->store->compactor;
	BlockNumber blocks;
	HeapCut result;

	table_cut_begin(READERS_WAIT_US);
	result = try_cut(slice, &blocks);
	table_cut_end();
	table->step = COMPACT_LOOK;
	if (result == HEAP_CUT_LOCKED)
	{
		table->due_us = dispatch_now_us() + table->lock_rest_us;
		table->lock_rest_us = Min(2 * table->lock_rest_us, MAX_LOCK_REST_US);
		return;
	}
	table->lock_rest_us = LOCK_REST_US;
	rest(slice);
	table->due_us = Max(table->due_us, slice->begun_us + CUT_REST_US);
	table->from = table->blocks;
	if (result != HEAP_CUT_DONE)
		return;
	table->cut += table->blocks - Min(table->blocks, blocks);
	compactor->cut += table->blocks - Min(table->blocks, blocks);
	table->blocks = table->from = blocks;
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
		check_table(slice);
	else if (is_another(slice, RelationGetNumberOfBlocks(slice->heap)))
		forget(table);
	else if (table->step == COMPACT_MOVE)
		run_move(slice);
	else
		run_look(slice);
	close_slice(slice);
	heap_move_published(&slice->move);
}

/* An error leaves rows and tables as they were. */
static void
try_slice(Slice *slice)
{
	PG_TRY();
	{
		if (slice->table->step == COMPACT_CUT)
			run_cut(slice);
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
	}
	compactor->due_us = compactor->tables[0].due_us;
}
