/*
 * move_test.c
 *	  Rows of the raw table moved to its beginning, and its end cut off, called
 *	  from SQL; see storage_test.c.
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/heap_compact.h"
#include "storage/low_rooms.h"
#include "storage_test.h"

PG_FUNCTION_INFO_V1(storage_test_move);
PG_FUNCTION_INFO_V1(storage_test_tail);
PG_FUNCTION_INFO_V1(storage_test_cut);
PG_FUNCTION_INFO_V1(storage_test_loose);

#define MAX_BYTES ((Size) 1 << 20)

/*
 * storage_test_move(block int4, max int4): the rows of a block, so many at most,
 * to those before it; what is said of it.  The place cache is told nothing.
 */
Datum
storage_test_move(PG_FUNCTION_ARGS)
{
	static const char *const says[] = {"all", "some", "met"};
	BlockNumber block = (BlockNumber) PG_GETARG_INT32(0);
	OpenTables tables;
	Snapshot snapshot;
	HeapMove move;
	HeapMoved moved;
	Oid table;

	storage_test_tables(true, false, &tables);
	table = RelationGetRelid(tables.raw.heap);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	(void) low_rooms_begin(tables.raw.heap, block);
	heap_move_init(&move, &tables.raw, snapshot, PG_GETARG_INT32(1), MAX_BYTES);
	moved = heap_move_block(&move, block);
	low_rooms_end(table);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s: %d rows", says[moved],
											  move.rows)));
}

static bool
never(void *arg)
{
	(void) arg;
	return false;
}

/* storage_test_tail(floor int4): what is at the end, and from where it is empty */
Datum
storage_test_tail(PG_FUNCTION_ARGS)
{
	static const char *const says[] = {"empty", "dead", "live"};
	OpenTables tables;
	Snapshot snapshot;
	BlockNumber from;
	HeapTail tail;

	storage_test_tables(false, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	from = RelationGetNumberOfBlocks(tables.raw.heap);
	tail =
		heap_look_at_tail(tables.raw.heap, snapshot,
						  (BlockNumber) PG_GETARG_INT32(0), never, NULL, &from);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s, %u", says[tail], from)));
}

/* storage_test_cut(keep int4, most int8): in how many microseconds, and how far */
Datum
storage_test_cut(PG_FUNCTION_ARGS)
{
	TableOids oids;
	BlockNumber blocks = 0;

	if (!tables_resolve(&oids))
		elog(ERROR, "tables are missing");
	switch (heap_cut(oids.raw, (BlockNumber) PG_GETARG_INT32(0),
					 PG_GETARG_INT64(1), &blocks))
	{
		case HEAP_CUT_DONE:
			PG_RETURN_TEXT_P(cstring_to_text(psprintf("%u left", blocks)));
		case HEAP_CUT_LOCKED:
			PG_RETURN_TEXT_P(cstring_to_text("locked"));
		case HEAP_CUT_NOTHING:
			break;
	}
	PG_RETURN_TEXT_P(cstring_to_text("nothing"));
}

/*
 * storage_test_loose(): would it be compacted, as far as its blocks say?  It is
 * too short for a sample.
 */
Datum
storage_test_loose(PG_FUNCTION_ARGS)
{
	OpenTables tables;
	HeapSample sample = {0};
	bool complete;

	storage_test_tables(false, false, &tables);
	complete = heap_sample(tables.raw.heap, &sample, never, NULL);
	tables_close(&tables, false);
	PG_RETURN_BOOL(complete && heap_is_loose(&sample));
}
