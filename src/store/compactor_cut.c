/*
 * compactor_cut.c
 *	  The end of a table: waited for until it is empty, and cut off.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/table_cut.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "store/compactor_internal.h"

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

/* -------------------------------------------------------------------- look */

void
compactor_begin_look(CompactedTable *table, BlockNumber blocks)
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

/* Once a minute, if it can do anything. */
static void
ask_for_vacuum(Slice *slice)
{
	CompactedTable *table = slice->table;

	if (compactor_snapshot_is_old(&slice->store->compactor, slice->heap,
								  false) ||
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
		compactor_begin_move(slice, table->blocks);
	else if (tail == HEAP_TAIL_LIVE || slice->begun_us >= table->give_up_us)
		finish(table, slice->kind->name);
	else
	{
		ask_for_vacuum(slice);
		table->due_us = slice->begun_us + VACUUM_LOOK_US;
	}
}

void
compactor_look(Slice *slice)
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
							 compactor_is_long_enough, slice, &table->from);
	table->waiting = blocks - Min(blocks, slice->mark->end);
	compactor_rest(slice);
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
	result = heap_cut(compactor_table_oid(slice), slice->table->from,
					  LOCK_PATIENCE_US, blocks);
	compactor_commit();
	return result;
}

/* Readers hold their locks for moments: some milliseconds may do. */
void
compactor_cut(Slice *slice)
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
	compactor_rest(slice);
	table->due_us = Max(table->due_us, slice->begun_us + CUT_REST_US);
	table->from = table->blocks;
	if (result != HEAP_CUT_DONE)
		return;
	table->cut += table->blocks - Min(table->blocks, blocks);
	compactor->cut += table->blocks - Min(table->blocks, blocks);
	table->blocks = table->from = blocks;
}
