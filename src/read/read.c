/*
 * read.c
 *	  The read path, shared by the store, the server workers and SQL backends.
 */
#include "postgres.h"

#include <time.h>

#include "core/base/check.h"
#include "read/read.h"
#include "utils/snapmgr.h"

typedef struct SeenRegion
{
	BoardRegion board;
	bool valid; /* at the second look */
	struct SeenRegion *next;
} SeenRegion;

struct ReadRound
{
	MemoryContext context;
	BoardStore store;
	SeenRegion *seen; /* one per region that the round touches */
	OpenTables tables;
	Snapshot snapshot;
	RawReader *reader;
};

ReadRound *
read_round_new(void)
{
	ReadRound *round = palloc0(sizeof(ReadRound));

	round->context = CurrentMemoryContext;
	board_store(&round->store);
	return round;
}

/* The board's entry of the region, copied once per round. */
static SeenRegion *
find_region(ReadRound *round, uint64 region_id)
{
	SeenRegion *seen;

	for (seen = round->seen; seen != NULL; seen = seen->next)
		if (seen->board.region.id == region_id)
			return seen;
	seen = MemoryContextAlloc(round->context, sizeof(SeenRegion));
	if (!board_find(region_id, &seen->board))
	{
		pfree(seen);
		return NULL;
	}
	seen->valid = false;
	seen->next = round->seen;
	round->seen = seen;
	return seen;
}

static bool
refuse(RegionError *error, RegionErrorKind kind, uint64 region_id,
	   const char *reason)
{
	memset(error, 0, sizeof(*error));
	error->kind = kind;
	error->region_id = region_id;
	error->reason = reason;
	error->backoff_ms = 100;
	return false;
}

bool
read_round_look(ReadRound *round, const RequestContext *context,
				const BoardRegion **seen, RegionError *error)
{
	SeenRegion *found;
	RegionState state = {0};

	if (round->store.store_id == 0)
		return refuse(error, REGION_SERVER_IS_BUSY, context->region_id,
					  "the store is starting");
	found = find_region(round, context->region_id);
	if (found != NULL)
	{
		state.region = &found->board.region;
		state.self = found->board.self;
		state.leader = found->board.leader;
		state.term = found->board.term;
		state.is_leader = found->board.is_leader;
	}
	if (!region_check(round->store.store_id, found == NULL ? NULL : &state,
					  context, EPOCH_DATA, error))
		return false;
	if (found->board.lease_end_us <= board_now_us())
		return refuse(error, REGION_READ_INDEX_NOT_READY, context->region_id,
					  "the leader's lease has run out");
	*seen = &found->board;
	return true;
}

TablesAnswer
read_round_begin(ReadRound *round, const TableOids *oids, bool wait)
{
	TablesAnswer answer =
		tables_open(oids, TABLES_RAW, false, wait, &round->tables);

	if (answer != TABLES_OK)
		return answer;
	round->snapshot = RegisterSnapshot(GetLatestSnapshot());
	round->reader =
		raw_reader_open(&round->tables, round->snapshot, (int64) time(NULL));
	for (SeenRegion *seen = round->seen; seen != NULL; seen = seen->next)
		seen->valid = board_still_valid(&seen->board, board_now_us());
	return TABLES_OK;
}

bool
read_round_valid(const ReadRound *round, const BoardRegion *board)
{
	for (SeenRegion *seen = round->seen; seen != NULL; seen = seen->next)
		if (&seen->board == board)
			return seen->valid;
	CHECK(false);
	return false;
}

RawReader *
read_round_reader(ReadRound *round)
{
	return round->reader;
}

void
read_round_end(ReadRound *round)
{
	if (round->reader != NULL)
		raw_reader_close(round->reader);
	if (round->snapshot != NULL)
	{
		UnregisterSnapshot(round->snapshot);
		tables_close(&round->tables, false);
	}
	while (round->seen != NULL)
	{
		SeenRegion *next = round->seen->next;

		pfree(round->seen);
		round->seen = next;
	}
	pfree(round);
}
