/*
 * heap_compact.h
 *	  Making a long table of few rows short: is it one, its last rows moved to
 *	  its first blocks, its empty end cut off.
 *
 * Steps for the store, which is the only writer of these rows but for grants
 * (grant_rows.h), and decides when each is done (src/store/compactor.c).
 */
#ifndef TIKV_STORAGE_HEAP_COMPACT_H
#define TIKV_STORAGE_HEAP_COMPACT_H

#include "storage/raw_table.h"

#include "storage/block.h"
#include "utils/snapshot.h"

/* What a look at some blocks, all over a table, has shown so far. */
typedef struct HeapSample
{
	BlockNumber blocks; /* the table's length */
	uint32 looked_at;
	uint64 free_bytes;
	uint64 out_of_line; /* bytes of their rows' values */
} HeapSample;

/*
 * Go on with a sample, which is all 0 at first; `enough` is asked after each
 * block, which may come from a slow disk.  True if it is complete.  What the
 * free space map knows would be had for less, but does not outlive a crash.
 */
extern bool heap_sample(Relation heap, HeapSample *sample,
						bool (*enough)(void *arg), void *arg);

/* Is most of the table free space, and are its values mostly in its rows? */
extern bool heap_is_loose(const HeapSample *sample);

/* A row that was moved. */
typedef struct MovedRow MovedRow;

/* A number of rows to be moved in one transaction. */
typedef struct HeapMove
{
	const OpenTable *table;
	Snapshot snapshot;
	int max_rows;
	Size max_bytes;
	bool versions;		  /* of write or value, else of raw */
	RawExpiryWatch watch; /* of raw; NULL: nobody asks */
	void *watch_arg;

	/* So far. */
	int rows;
	Size bytes;
	MovedRow *places; /* of raw rows */
	int n_places;
} HeapMove;

/*
 * Of a table that is open for writing and a registered snapshot; `versions`
 * and `watch` may be set then.  What it allocates must outlive the commit.
 */
extern void heap_move_init(HeapMove *move, const OpenTable *table,
						   Snapshot snapshot, int max_rows, Size max_bytes);

/* After the commit: the place cache is told. */
extern void heap_move_published(const HeapMove *move);

typedef enum HeapMoved
{
	HEAP_MOVED_ALL,	 /* what could be moved is: the next block */
	HEAP_MOVED_SOME, /* max_rows or max_bytes is reached */
	HEAP_MOVED_MET	 /* there is no room below the block */
} HeapMoved;

/*
 * Move the rows of one block to the first ones that have room (low_rooms.h).
 * A row is deleted and inserted again as it was, in the running transaction;
 * one that another transaction holds, or may write by a grant, stays.
 */
extern HeapMoved heap_move_block(HeapMove *move, BlockNumber block);

typedef enum HeapTail
{
	HEAP_TAIL_EMPTY, /* from `from` on there is nothing */
	HEAP_TAIL_DEAD,	 /* the block before `from` has none but dead rows */
	HEAP_TAIL_LIVE	 /* ... or rows that the snapshot sees */
} HeapTail;

/*
 * Look at the blocks before *from, downwards as far as they are empty, and not
 * below `floor`; `enough` is asked after each.  *from is the first of the
 * empty ones then.
 */
extern HeapTail heap_look_at_tail(Relation heap, Snapshot snapshot,
								  BlockNumber floor, bool (*enough)(void *arg),
								  void *arg, BlockNumber *from);

/*
 * Have autovacuum come soon: it goes by the number of dead rows, and a few
 * that keep the end of the table from being cut are not enough for it.
 */
extern void heap_ask_for_vacuum(Relation heap);

typedef enum HeapCut
{
	HEAP_CUT_DONE,
	HEAP_CUT_LOCKED,  /* somebody uses the table at this moment */
	HEAP_CUT_NOTHING, /* the end is not empty, or not there any more */
} HeapCut;

/*
 * Cut the table behind `keep` blocks, or as far as the rest of it is empty, as
 * VACUUM does: under an AccessExclusiveLock, which is tried for so long and
 * not waited for, and with a look at every block that goes, 50 ms at most.  At
 * once and for good, so in a transaction of its own, which is to be ended then.
 * *blocks is the table's length after it.
 */
extern HeapCut heap_cut(Oid table, BlockNumber keep, int64 most_us,
						BlockNumber *blocks);

#endif /* TIKV_STORAGE_HEAP_COMPACT_H */
