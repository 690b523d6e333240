/*
 * heap_compact.c
 *	  Making a long table of few rows short.
 *
 * Moving its rows is in heap_move.c.  It is cut as VACUUM does it, which has
 * found out what a table needs before its end may go.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/storage.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "bus/failpoints.h"
#include "storage/heap_compact.h"
#include "storage/low_rooms.h"
#include "storage/row.h"

/* Blocks that are looked at. */
#define SAMPLE 128

/* Between two tries for the lock. */
#define LOCK_LOOK_US 200

/*
 * What goes was in memory a moment ago; if it is not any more, it goes in
 * pieces: nobody can read while the lock is held.
 */
#define LOOK_MOST_US 50000

/* What a row of a locked page has out of line. */
static Size
out_of_line(TupleDesc desc, HeapTuple row)
{
	Size bytes = 0;

	if (!HeapTupleHasExternal(row))
		return 0;
	for (int i = 1; i <= desc->natts; i++)
	{
		bool isnull;
		Datum value = heap_getattr(row, i, desc, &isnull);

		if (!isnull && TupleDescAttr(desc, i - 1)->attlen == -1 &&
			VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
			bytes += toast_datum_size(value);
	}
	return bytes;
}

static void
sample_block(Relation heap, BlockNumber block, BufferAccessStrategy ring,
			 HeapSample *sample)
{
	Buffer buffer =
		ReadBufferExtended(heap, MAIN_FORKNUM, block, RBM_NORMAL, ring);
	Page page = BufferGetPage(buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(page))
		sample->free_bytes += PageGetHeapFreeSpace(page);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page);
		 i++)
	{
		ItemPointerData tid;
		HeapTupleData row;

		ItemPointerSet(&tid, block, i);
		if (row_find_item(heap, buffer, &tid, &row))
			sample->out_of_line += out_of_line(RelationGetDescr(heap), &row);
	}
	UnlockReleaseBuffer(buffer);
}

bool
heap_sample(Relation heap, HeapSample *sample, bool (*enough)(void *arg),
			void *arg)
{
	BlockNumber n = sample->blocks = RelationGetNumberOfBlocks(heap);
	BufferAccessStrategy ring;
	bool more = n >= COMPACTION_MIN_BLOCKS;

	if (!more)
		return true;
	ring = GetAccessStrategy(BAS_BULKREAD);
	for (; more && sample->looked_at < SAMPLE; sample->looked_at++)
	{
		uint64 at = (uint64) sample->looked_at * n / SAMPLE;

		sample_block(heap, (BlockNumber) at, ring, sample);
		more = !enough(arg);
	}
	FreeAccessStrategy(ring);
	return sample->looked_at == SAMPLE;
}

bool
heap_is_loose(const HeapSample *sample)
{
	return compaction_pays(sample->blocks, sample->looked_at,
						   sample->free_bytes, sample->out_of_line, BLCKSZ);
}

/* ----------------------------------------------------------------- the end */

/*
 * What is in a page, locked.  A pointer that is dead still has index entries:
 * only VACUUM makes it an unused one.
 */
static HeapTail
judge_page(Relation heap, Buffer buffer, Snapshot snapshot)
{
	Page page = BufferGetPage(buffer);
	HeapTail result = HEAP_TAIL_EMPTY;

	if (PageIsNew(page) || PageIsEmpty(page))
		return HEAP_TAIL_EMPTY;
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page);
		 i++)
	{
		ItemPointerData tid;
		HeapTupleData tuple;

		if (!ItemIdIsUsed(PageGetItemId(page, i)))
			continue;
		result = HEAP_TAIL_DEAD;
		ItemPointerSet(&tid, BufferGetBlockNumber(buffer), i);
		if (snapshot != NULL && row_find_item(heap, buffer, &tid, &tuple) &&
			HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
			return HEAP_TAIL_LIVE;
	}
	return result;
}

static HeapTail
judge_block(Relation heap, BlockNumber block, Snapshot snapshot)
{
	Buffer buffer = ReadBuffer(heap, block);
	HeapTail result;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	result = judge_page(heap, buffer, snapshot);
	UnlockReleaseBuffer(buffer);
	return result;
}

HeapTail
heap_look_at_tail(Relation heap, Snapshot snapshot, BlockNumber floor,
				  bool (*enough)(void *arg), void *arg, BlockNumber *from)
{
	while (*from > floor)
	{
		HeapTail tail = judge_block(heap, *from - 1, snapshot);

		CHECK_FOR_INTERRUPTS();
		if (tail != HEAP_TAIL_EMPTY)
			return tail;
		--*from;
		if (enough(arg))
			break;
	}
	return HEAP_TAIL_EMPTY;
}

/*
 * The number is an estimate that pruning corrects downwards; corrected upwards
 * by half of the rows it is above any sensible threshold.  VACUUM counts anew.
 */
void
heap_ask_for_vacuum(Relation heap)
{
	double rows = Max(heap->rd_rel->reltuples, 0) / 2;

	pgstat_update_heap_dead_tuples(heap, -(int) Min(rows, INT_MAX / 2) - 1000);
}

static bool
is_over(instr_time began, int64 most_us)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, began);
	return (int64) INSTR_TIME_GET_MICROSEC(now) >= most_us;
}

/* The lock goes with the transaction. */
static HeapCut
cut_locked(Relation heap, BlockNumber keep, BlockNumber *blocks)
{
	BlockNumber all = RelationGetNumberOfBlocks(heap);
	BlockNumber to = all;
	instr_time began;

	INSTR_TIME_SET_CURRENT(began);
	while (to > keep && judge_block(heap, to - 1, NULL) == HEAP_TAIL_EMPTY)
	{
		to--;
		if (is_over(began, LOOK_MOST_US))
			break;
	}
	*blocks = to;
	if (to == all)
		return HEAP_CUT_NOTHING;
	FAILPOINT("storage_cut_locked");
	RelationTruncate(heap, to);
	FAILPOINT("storage_cut_truncated");
	return HEAP_CUT_DONE;
}

/* In one transaction: each that asks for the lock has an id, given or not. */
static bool
lock_table(Oid table, int64 most_us)
{
	instr_time began;

	INSTR_TIME_SET_CURRENT(began);
	while (!ConditionalLockRelationOid(table, AccessExclusiveLock))
	{
		if (is_over(began, most_us))
			return false;
		pg_usleep(LOCK_LOOK_US);
	}
	return true;
}

HeapCut
heap_cut(Oid table, BlockNumber keep, int64 most_us, BlockNumber *blocks)
{
	Relation heap;
	HeapCut result;

	if (!lock_table(table, most_us))
		return HEAP_CUT_LOCKED;
	heap = try_relation_open(table, NoLock);
	if (heap == NULL)
		return HEAP_CUT_NOTHING;
	result = cut_locked(heap, keep, blocks);
	relation_close(heap, NoLock);
	return result;
}
