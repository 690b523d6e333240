/*
 * compactor_cut.c
 *	  The end of a table: waited for until it is empty, and cut off.
 *
 * Postgres flushes the WAL when it cuts a table, in the process that cuts and
 * under the lock.  A store with peers does not wait for the disk, so it has
 * `tikv flush` do that before: what is left is a record of some fifty bytes,
 * and what was written in that moment.  And it sees how quick the disk is; one
 * that takes its time is not waited for, the table stays long for a while.
 * Another process would not do it better: none of the store's turns goes on
 * while somebody else has the lock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "bus/flush.h"
#include "bus/table_cut.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "store/compactor_internal.h"
#include "store/replicas.h"

/* How often VACUUM is asked for, and how long it is waited for. */
#define VACUUM_ASK_US INT64CONST(60000000)
#define VACUUM_PATIENCE_US INT64CONST(900000000)

/*
 * A piece is looked through before the lock is taken, so that it is in memory
 * then: 32 MiB, or an eighth of the buffers, but 2 MiB.  Less than that stay.
 */
#define CUT_BLOCKS 4096
#define CUT_LEAST 256
#define CUT_REST_US INT64CONST(250000)

/* A disk is slow at the moment if it takes longer to flush. */
#define QUICK_FLUSH_US INT64CONST(100000)
#define FLUSH_LOOK_US INT64CONST(1000)
#define MAX_FLUSH_LOOK_US INT64CONST(1000000)

/*
 * Readers that have begun may go on as long; others wait, also for the cut: a
 * store that others keep from running takes its time.
 */
#define LOCK_PATIENCE_US INT64CONST(20000)
#define READERS_WAIT_US INT64CONST(1000000)

/* After the lock was not to be had or the disk was slow; then twice as long. */
#define CUT_RETRY_US INT64CONST(1000000)
#define MAX_CUT_RETRY_US INT64CONST(60000000)

/* -------------------------------------------------------------------- look */

void
compactor_begin_look(CompactedTable *table, BlockNumber blocks)
{
	table->step = COMPACT_LOOK;
	table->from = blocks;
	table->blocks = blocks;
	table->give_up_us = dispatch_now_us() + VACUUM_PATIENCE_US;
	table->cut_retry_us = CUT_RETRY_US;
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

/*
 * A record that means nothing: its end is that of all that was written, and its
 * flush has something to do, so that the time that takes says something.
 */
static XLogRecPtr
mark_wal(void)
{
	uint32 nothing = 0;

	XLogBeginInsert();
	XLogRegisterData((char *) &nothing, sizeof(nothing));
	return XLogInsert(RM_XLOG_ID, XLOG_NOOP);
}

/*
 * Who has no peers waits for the disk at every commit.  So does who has nobody
 * to do it.
 */
static void
begin_cut(Slice *slice)
{
	CompactedTable *table = slice->table;

	table->step = COMPACT_CUT;
	table->give_up_us = slice->begun_us + VACUUM_PATIENCE_US;
	table->flush_lsn = InvalidXLogRecPtr;
	if (slice->store->replicas->n_grouped == 0)
		return;
	FAILPOINT("store_compact_before_flush");
	flush_worker_ensure();
	table->flush_lsn = mark_wal();
	table->asked_us = table->unflushed_us = dispatch_now_us();
	table->due_us = table->asked_us + FLUSH_LOOK_US;
	if (!flush_request(table->flush_lsn))
		table->flush_lsn = InvalidXLogRecPtr;
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
		begin_cut(slice);
	else
		end_is_reached(slice, tail);
}

/* --------------------------------------------------------------------- cut */

/* Not yet: the store is woken when it is, and looks now and then as well. */
static bool
is_flushed(Slice *slice)
{
	CompactedTable *table = slice->table;
	int64 waited_us = slice->begun_us - table->asked_us;

	if (table->flush_lsn <= GetFlushRecPtr(NULL) &&
		!FAILPOINT_ERROR("store_compact_unflushed"))
		return true;
	(void) flush_request(table->flush_lsn);
	table->unflushed_us = slice->begun_us;
	table->due_us = slice->begun_us +
		Min(Max(FLUSH_LOOK_US, waited_us / 4), MAX_FLUSH_LOOK_US);
	return false;
}

/* By when it was seen not to have flushed: the store may look late. */
static bool
is_disk_slow(const CompactedTable *table)
{
	return table->unflushed_us - table->asked_us > QUICK_FLUSH_US;
}

/* The end may not be what it was then. */
static void
put_off(CompactedTable *table)
{
	table->step = COMPACT_LOOK;
	table->due_us = dispatch_now_us() + table->cut_retry_us;
	table->cut_retry_us = Min(2 * table->cut_retry_us, MAX_CUT_RETRY_US);
}

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
static void
cut(Slice *slice)
{
	CompactedTable *table = slice->table;
	Compactor *compactor = &slice->store->compactor;
	BlockNumber blocks;
	HeapCut result;

	table_cut_begin(READERS_WAIT_US);
	result = try_cut(slice, &blocks);
	table_cut_end();
	if (result == HEAP_CUT_LOCKED)
	{
		put_off(table);
		return;
	}
	table->step = COMPACT_LOOK;
	table->cut_retry_us = CUT_RETRY_US;
	compactor_rest(slice);
	table->due_us = Max(table->due_us, slice->begun_us + CUT_REST_US);
	table->from = table->blocks;
	if (result != HEAP_CUT_DONE)
		return;
	table->cut += table->blocks - Min(table->blocks, blocks);
	compactor->cut += table->blocks - Min(table->blocks, blocks);
	table->blocks = table->from = blocks;
}

void
compactor_cut(Slice *slice)
{
	CompactedTable *table = slice->table;

	if (XLogRecPtrIsInvalid(table->flush_lsn))
		cut(slice);
	else if (!is_flushed(slice))
		return;
	else if (is_disk_slow(table))
		put_off(table);
	else
	{
		FAILPOINT("store_compact_flushed");
		cut(slice);
	}
}
