/*
 * compactor_move.c
 *	  Is a table long and mostly empty?  Then its last rows become its first.
 */
#include "postgres.h"

#include "access/transam.h"
#include "bus/reindex.h"
#include "storage/bufmgr.h"
#include "storage/index_sample.h"
#include "storage/procarray.h"
#include "store/compactor_internal.h"

/* A slice ends with the block in which it reaches one of these. */
#define SLICE_ROWS 128
#define SLICE_BYTES ((Size) 256 << 10)

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

bool
compactor_snapshot_is_old(Compactor *compactor, Relation heap, bool unknown)
{
	TransactionId oldest = GetOldestNonRemovableTransactionId(heap);

	set_marks(compactor);
	if (!TransactionIdIsNormal(compactor->marks[1]))
		return unknown;
	return TransactionIdPrecedes(oldest, compactor->marks[1]);
}

/*
 * Of a table that is not long itself; what is moved has new entries.  A snapshot
 * would be waited for, and what it sees kept.
 */
static void
check_index(Slice *slice, bool is_old)
{
	CompactedTable *table = slice->table;
	bool is_loose = heap_is_loose(&table->index_sample);

	if (!is_loose && !index_has_leftover(slice->opened))
		table->reindex_rest_us = CHECK_US;
	else if (is_old || slice->begun_us < table->reindex_us)
		return;
	else if (table_is_being_changed(slice->oid) ||
			 !reindex_ask(slice->opened->index, is_loose))
		table->due_us = slice->begun_us + REINDEX_LOOK_US;
	else
	{
		table->reindex_us = slice->begun_us + table->reindex_rest_us;
		table->reindex_rest_us = Min(2 * table->reindex_rest_us, MAX_CHECK_US);
	}
}

void
compactor_check(Slice *slice)
{
	CompactedTable *table = slice->table;
	bool is_old =
		compactor_snapshot_is_old(&slice->store->compactor, slice->heap, false);
	BlockNumber blocks;
	bool is_loose;

	compactor_rest(slice);
	if (!heap_sample(slice->heap, &table->sample, compactor_is_long_enough,
					 slice) ||
		!index_sample(slice->opened->index, &table->index_sample,
					  compactor_is_long_enough, slice))
		return;
	is_loose = heap_is_loose(&table->sample);
	blocks = table->sample.blocks;
	memset(&table->sample, 0, sizeof(table->sample));
	table->due_us = slice->begun_us + table->check_us;
	if (!is_loose)
	{
		low_rooms_end(slice->oid);
		table->check_us = CHECK_US;
		check_index(slice, is_old);
	}
	else if (!is_old)
	{
		table->moved = 0;
		table->cut = 0;
		compactor_begin_move(slice, blocks);
	}
	memset(&table->index_sample, 0, sizeof(table->index_sample));
}

/* -------------------------------------------------------------------- move */

void
compactor_begin_move(Slice *slice, BlockNumber blocks)
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
	compactor_rest(slice);
}

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
		if (compactor_is_long_enough(slice))
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

void
compactor_move(Slice *slice)
{
	CompactedTable *table = slice->table;
	HeapMove *move = &slice->move;

	if (compactor_snapshot_is_old(&slice->store->compactor, slice->heap, true))
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
		compactor_begin_look(table, RelationGetNumberOfBlocks(slice->heap));
	table->moved += (uint64) move->rows;
	table->again = table->again || move->rows > 0;
	table->waiting = table->blocks - Min(table->blocks, slice->mark->next);
	compactor_rest(slice);
}
