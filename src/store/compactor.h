/*
 * compactor.h
 *	  Long tables of few rows become short: raw, write and value.
 */
#ifndef TIKV_STORE_COMPACTOR_H
#define TIKV_STORE_COMPACTOR_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "storage/heap_compact.h"
#include "storage/low_rooms.h"

typedef enum CompactStep
{
	COMPACT_REST, /* is it worth it? */
	COMPACT_MOVE, /* rows move down */
	COMPACT_LOOK, /* is the end empty? */
	COMPACT_CUT	  /* it is: the WAL is to be flushed, then the lock is wanted */
} CompactStep;

typedef struct CompactedTable
{
	CompactStep step;
	Oid table; /* and its file, when the compaction began */
	Oid file;
	int64 due_us; /* monotonic */

	/*
	 * MOVE: rows of this block and those behind it are moved.  Else: nothing
	 * is in them.
	 */
	BlockNumber from;
	BlockNumber blocks;	 /* its length */
	BlockNumber waiting; /* blocks that may go, as last seen */
	int64 give_up_us;	 /* waiting for VACUUM */
	int64 ask_us;		 /* when VACUUM is asked for again */
	int64 cut_retry_us;	 /* when the lock was not to be had, or the disk slow */
	int64 check_us;		 /* between two looks whether it is worth it */
	HeapSample sample;	 /* the look that is under way */
	HeapSample index_sample; /* and at its index */
	int64 reindex_us;		 /* its index is rebuilt no sooner */
	int64 reindex_rest_us;	 /* and after that, if it is no better then */
	uint64 moved;			 /* rows */
	uint64 cut;				 /* blocks */
	bool waits;				 /* MOVE: somebody holds a snapshot, or may do so */
	bool again;				 /* what is at the end may have come there since */

	/* CUT: is to be flushed before; invalid: nothing is. */
	XLogRecPtr flush_lsn;
	int64 asked_us;		/* for that */
	int64 unflushed_us; /* when it was last seen that it is not yet */
} CompactedTable;

typedef struct Compactor
{
	CompactedTable tables[LOW_ROOMS_TABLES];
	int64 due_us; /* of them, the earliest */

	/* Next transaction ids of a moment ago and of some time ago. */
	TransactionId marks[2];
	int64 marked_us;
	uint64 cut; /* blocks since the start */
} Compactor;

typedef struct Store Store;

extern void compactor_init(Store *store);

/* The store serves: look soon. */
extern void compactor_load(Store *store);

/* Run a slice, which is due. */
extern void compactor_run(Store *store);

#endif /* TIKV_STORE_COMPACTOR_H */
