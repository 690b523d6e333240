/*
 * read.c
 *	  The read path, shared by the store, the server workers and SQL backends.
 */
#include "postgres.h"

#include <time.h>

#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "bus/table_cut.h"
#include "core/base/check.h"
#include "read/read.h"
#include "storage/fresh_snapshot.h"
#include "utils/snapmgr.h"

/* That are named beside the region itself. */
#define MAX_SIBLINGS 9

typedef struct SeenRegion
{
	BoardRegion board;
	bool valid; /* at the second look */
	bool same;	/* ... at least for a read with an index */
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
	MvccReader *mvcc;
	int wanted;
	bool spilled;
};

ReadRound *
read_round_new(int wanted)
{
	ReadRound *round = palloc0(sizeof(ReadRound));

	FAILPOINTS_READ();
	round->context = CurrentMemoryContext;
	round->wanted = wanted;
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
		state.is_leader =
			found->board.is_leader || context->replica_read || context->indexed;
	}
	if (!region_check(round->store.store_id, found == NULL ? NULL : &state,
					  context, EPOCH_DATA, error))
		return false;
	if (!context->indexed &&
		(!found->board.is_leader ||
		 found->board.lease_end_us <= board_now_us()))
	{
		(void) refuse(error, REGION_READ_INDEX_NOT_READY, context->region_id,
					  "the leader's lease has run out");
		error->leader = found->board.leader;
		return false;
	}
	*seen = &found->board;
	return true;
}

void
read_add_siblings(const RequestContext *context, RegionError *error)
{
	const Region **siblings;
	uint64 missed;
	Bytes bound;

	if (error->kind != REGION_EPOCH_NOT_MATCH || error->current == NULL ||
		context->epoch.version >= error->current->epoch.version)
		return;
	missed = error->current->epoch.version - context->epoch.version;
	bound = error->current->start_key;
	siblings = palloc(MAX_SIBLINGS * sizeof(Region *));
	error->siblings = siblings;
	while (missed-- > 0 && error->n_siblings < MAX_SIBLINGS && bound.len > 0)
	{
		BoardRegion *entry = palloc(sizeof(BoardRegion));

		if (!board_find_below(bound, entry))
			break;
		siblings[error->n_siblings++] = &entry->region;
		bound = entry->region.start_key;
	}
}

void
read_round_want(ReadRound *round, int wanted)
{
	round->wanted |= wanted;
}

/* The tables to open; the number of spilled locks is read beforehand. */
static int
tables_wanted(ReadRound *round)
{
	int what = (round->wanted & READ_RAW) != 0 ? TABLES_RAW : 0;

	if ((round->wanted & READ_TXN) == 0)
		return what;
	round->spilled = lock_table_n_spilled() > 0;
	return what | TABLES_TXN | (round->spilled ? TABLES_SPILL : 0);
}

/*
 * Open the tables and take the snapshot: with the table of deletions of ranges,
 * if the snapshot may show one on its way (board.h).  Who learns that too late
 * begins again, and so does who meets the store cutting a table.
 */
static TablesAnswer
open_tables(ReadRound *round, const TableOids *oids, bool wait)
{
	for (;;)
	{
		uint64 last_cut = table_cut_wait();
		int wanted = tables_wanted(round);
		uint64 over = board_ranges_over();
		bool open =
			(round->wanted & READ_RAW) != 0 && board_ranges_begun() != over;
		TablesAnswer answer =
			tables_open(oids, wanted | (open ? TABLES_RANGES : 0), false, wait,
						&round->tables);

		if (answer == TABLES_LOCKED && table_cut_since(last_cut))
			continue;
		if (answer != TABLES_OK)
			return answer;
		round->snapshot = fresh_snapshot();
		if ((round->wanted & READ_RAW) == 0 || open ||
			board_ranges_begun() == over)
			return TABLES_OK;
		UnregisterSnapshot(round->snapshot);
		round->snapshot = NULL;
		tables_close(&round->tables, false);
	}
}

TablesAnswer
read_round_begin(ReadRound *round, const TableOids *oids, bool wait)
{
	TablesAnswer answer;

	FAILPOINT("read_before_tables");
	answer = open_tables(round, oids, wait);
	if (answer != TABLES_OK)
		return answer;
	FAILPOINT("read_after_snapshot");
	if ((round->wanted & READ_RAW) != 0)
		round->reader =
			raw_reader_open(&round->tables, round->snapshot,
							((int64) time(NULL) + FAILPOINT_CLOCK_S));
	if ((round->wanted & READ_TXN) != 0)
		round->mvcc =
			txn_reader_open(&round->tables, round->snapshot, round->spilled);
	for (SeenRegion *seen = round->seen; seen != NULL; seen = seen->next)
	{
		seen->valid = board_still_valid(&seen->board, board_now_us());
		seen->same = seen->valid || board_same_region(&seen->board);
	}
	return TABLES_OK;
}

bool
read_round_valid(const ReadRound *round, const BoardRegion *board, bool indexed)
{
	for (SeenRegion *seen = round->seen; seen != NULL; seen = seen->next)
		if (&seen->board == board)
			return indexed ? seen->same : seen->valid;
	CHECK(false);
	return false;
}

bool
read_round_begun(const ReadRound *round)
{
	return round->snapshot != NULL;
}

RawReader *
read_round_reader(ReadRound *round)
{
	CHECK(round->reader != NULL);
	return round->reader;
}

MvccReader *
read_round_mvcc(ReadRound *round)
{
	CHECK(round->mvcc != NULL);
	return round->mvcc;
}

bool
read_round_spilled(const ReadRound *round)
{
	return round->spilled;
}

void
read_round_end(ReadRound *round)
{
	if (round->mvcc != NULL)
		txn_reader_close(round->mvcc);
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
