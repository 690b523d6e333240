/*
 * sweeper.c
 *	  Removes rows that have expired.
 *
 * Readers pass over them from the second they expire, so this is about space
 * alone and takes its time: a slice looks at some blocks, and then the sweeper
 * sleeps for a multiple of what that took.  It hurries when nothing else is to
 * be done, and when rows expire faster than it removes them.  Which blocks are worth a look is
 * the expiry map's to say; it is made anew after every start, since nothing of
 * it is stored, and when the table was rewritten.
 *
 * A segment with a damaged row is looked at block by block, so that only the
 * rows beside that one stay, and then put off: it would fail again with every
 * row in it that expires.
 *
 * A clock that is ahead must not remove what has not expired: it is gone for
 * good, and here alone if the region has other replicas.
 */
#include "postgres.h"

#include <time.h>

#include "bus/failpoints.h"
#include "bus/tasks.h"
#include "bus/tso_shared.h"
#include "store/stalled.h"
#include "store/replicas.h"

/* Blocks of a segment: 256 kB. */
#define SWEEP_BLOCKS 32

/* Rows after which a slice ends, at the next block. */
#define SWEEP_ROWS 256

#define IDLE_US INT64CONST(1000000)
#define PAUSE_MIN_US INT64CONST(5000)

/* Pause between slices, in times the last one's duration. */
#define PAUSE_BUSY 9
#define PAUSE_BEHIND 2
#define PAUSE_IDLE 1

/* So many slices full of expired rows, one after the other, are a backlog. */
#define BEHIND_SLICES 64

/* A row that could not be removed is looked for again after so long. */
#define LATER_S 60

/* A segment with a block that could not be read: somebody may mend it. */
#define DAMAGED_LATER_S 600

typedef struct ExpiredRow
{
	RawCf cf;
	Bytes key;
} ExpiredRow;

typedef struct SweepTurn
{
	Store *store;
	uint32 segment;
	BlockNumber n_blocks; /* from `block` on */
	BlockNumber block;
	int64 now_s;
	ExpiredRow *rows; /* in the store's arena */
	int n;
	int room;
	int removed;
	bool restarted; /* the table is another one: only the map was made */
	bool whole;		/* all of the segment was looked at */
	int64 earliest;
} SweepTurn;

static void
keep_row(void *arg, RawCf cf, Bytes key)
{
	SweepTurn *turn = arg;
	Arena *arena = &turn->store->arena;

	if (turn->n == turn->room)
	{
		int room = turn->room == 0 ? SWEEP_ROWS : turn->room * 2;
		ExpiredRow *grown = arena_alloc(arena, (size_t) room * sizeof(*grown));

		if (turn->n > 0)
			memcpy(grown, turn->rows, (size_t) turn->n * sizeof(*grown));
		turn->rows = grown;
		turn->room = room;
	}
	turn->rows[turn->n].cf = cf;
	turn->rows[turn->n].key = arena_copy(arena, key);
	turn->n++;
}

/* The rows found, as one proposal for each run of one family. */
static void
remove_rows(SweepTurn *turn)
{
	Arena *arena = &turn->store->arena;
	Bytes *keys = arena_alloc(arena, (size_t) turn->n * sizeof(*keys));

	for (int i = 0; i < turn->n; i++)
		keys[i] = turn->rows[i].key;
	for (int from = 0; from < turn->n;)
	{
		int to = from + 1;

		while (to < turn->n && turn->rows[to].cf == turn->rows[from].cf)
			to++;
		background_delete(turn->store, turn->rows[from].cf, keys + from,
						  to - from);
		turn->removed += to - from;
		from = to;
	}
}

static void
decide_sweep(Store *store, const OpenTables *tables, Snapshot snapshot,
			 void *arg)
{
	SweepTurn *turn = arg;
	Sweeper *sweeper = &store->sweeper;
	BlockNumber blocks = raw_table_blocks(tables);
	BlockNumber first = turn->segment * SWEEP_BLOCKS + turn->block;
	BlockNumber end;

	if (!sweeper->map.started || sweeper->file != raw_table_file(tables))
	{
		expiry_map_start(&sweeper->map,
						 (blocks + SWEEP_BLOCKS - 1) / SWEEP_BLOCKS);
		sweeper->file = raw_table_file(tables);
		sweeper->careful = false;
		turn->restarted = true;
		return;
	}
	end = Min(first + turn->n_blocks, blocks);
	turn->whole = first >= end;
	turn->earliest = EXPIRY_NEVER;
	if (turn->whole)
		return;
	turn->whole = first +
			raw_table_expired(tables, snapshot, first, turn->n_blocks,
							  turn->now_s, SWEEP_ROWS, keep_row, turn,
							  &turn->earliest) >=
		end;
	remove_rows(turn);
}

/* One block of a segment was looked at, or passed by. */
static void
pass_block(Sweeper *sweeper, int64 now_s)
{
	if (++sweeper->block < SWEEP_BLOCKS)
		return;
	sweeper->careful = false;
	if (sweeper->unread)
		expiry_map_put_off(&sweeper->map, sweeper->segment,
						   now_s + DAMAGED_LATER_S);
	else
		expiry_map_seen(&sweeper->map, sweeper->segment, sweeper->earliest);
}

static void
sweep_committed(Store *store, void *arg)
{
	SweepTurn *turn = arg;
	Sweeper *sweeper = &store->sweeper;

	if (turn->restarted)
		return;
	if (turn->removed < turn->n)
		turn->earliest = Min(turn->earliest, turn->now_s + LATER_S);
	sweeper->full_slices = turn->n >= SWEEP_ROWS ? sweeper->full_slices + 1 : 0;
	sweeper->removed += (uint64) turn->removed;
	if (sweeper->careful)
	{
		sweeper->earliest = Min(sweeper->earliest, turn->earliest);
		pass_block(sweeper, turn->now_s);
	}
	else if (turn->whole)
		expiry_map_seen(&sweeper->map, turn->segment, turn->earliest);
}

/* Said of the first segment of several; the error is in the log, too. */
static void
log_damage(const Store *store, const SweepTurn *turn)
{
	ereport(
		LOG,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg(
			 "tikv store %llu: expired rows of table \"raw\" stay, since block %u has a damaged row",
			 (unsigned long long) store->meta.store_id,
			 turn->segment * SWEEP_BLOCKS + turn->block),
		 errdetail("Nobody reads them; those of other blocks are removed.  The "
				   "error before this says why."),
		 errhint(
			 "Mend the table, or restore it from another replica; the block is tried again every ten minutes.")));
}

static void
sweep_damaged(Store *store, void *arg)
{
	const SweepTurn *turn = arg;
	Sweeper *sweeper = &store->sweeper;

	if (!sweeper->careful)
	{
		sweeper->careful = true;
		sweeper->segment = turn->segment;
		sweeper->block = 0;
		sweeper->earliest = EXPIRY_NEVER;
		sweeper->unread = false;
		return;
	}
	if (!sweeper->unread && expiry_map_n_put_off(&sweeper->map) == 0)
		log_damage(store, turn);
	sweeper->unread = true;
	pass_block(sweeper, turn->now_s);
}

/* Counting what is due reads all of the map: not with every slice. */
static void
tell_progress(Sweeper *sweeper, int64 now_us, int64 now_s)
{
	tasks_set(TASK_SWEEP_REMOVED, sweeper->removed);
	if (now_us < sweeper->told_us + IDLE_US)
		return;
	sweeper->told_us = now_us;
	tasks_set(TASK_SWEEP_WAITING,
			  expiry_map_due(&sweeper->map, now_s) * (uint64) SWEEP_BLOCKS);
	stalled_note(STALLED_EXPIRED, expiry_map_n_put_off(&sweeper->map));
}

static int64
pause_us(const Store *store, int64 slice_us)
{
	int factor = PAUSE_BUSY;

	if (store->sweeper.full_slices >= BEHIND_SLICES)
		factor = PAUSE_BEHIND;
	if (store->queue.n == 0 && store->dispatch.reads.n == 0)
		factor = PAUSE_IDLE;
	return Max(PAUSE_MIN_US, factor * slice_us);
}

/*
 * What has expired by then is removed: by this node's clock, of which a step
 * forward counts after an hour or two, and where there are other replicas by
 * PD's time and most stores' clocks as well; 0 while these are not known.  PD's
 * time alone is no bound: if its leader is on this node it follows this clock.
 */
static int64
sweep_time_s(Store *store)
{
	Sweeper *sweeper = &store->sweeper;
	int64 wall_s = (int64) time(NULL) + FAILPOINT_CLOCK_S;
	int64 monotonic_ms = dispatch_now_us() / 1000;
	int64 now_s =
		steady_clock_now(&sweeper->clock, wall_s, monotonic_ms / 1000);
	int64 most_ms;

	if (store->replicas->n_grouped == 0)
		return now_s;
	most_ms = common_clock_now(&sweeper->others, wall_s * 1000, monotonic_ms);
	return Min(Min(now_s, (int64) (tso_heard_now_ms() / 1000)), most_ms / 1000);
}

/* What the turn looks at; false if nothing is due. */
static bool
choose(Sweeper *sweeper, SweepTurn *turn)
{
	turn->n_blocks = SWEEP_BLOCKS;
	if (sweeper->careful)
	{
		turn->segment = sweeper->segment;
		turn->block = sweeper->block;
		turn->n_blocks = 1;
		return true;
	}
	return !sweeper->map.started ||
		expiry_map_next(&sweeper->map, turn->now_s, &turn->segment);
}

void
sweeper_run(Store *store)
{
	Sweeper *sweeper = &store->sweeper;
	int64 began_us = dispatch_now_us();
	SweepTurn turn = {.store = store, .now_s = sweep_time_s(store)};
	TurnOwn own = {decide_sweep, sweep_committed, sweep_damaged, &turn};
	int64 ended_us;

	if (!choose(sweeper, &turn))
		sweeper->due_us = began_us + IDLE_US;
	else if (!turn_run_own(store, &own))
		sweeper->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	else
	{
		ended_us = dispatch_now_us();
		sweeper->due_us = ended_us + pause_us(store, ended_us - began_us);
	}
	tell_progress(sweeper, began_us, turn.now_s);
}

void
sweeper_note(void *arg, BlockNumber block, int64 expires_at)
{
	Store *store = arg;

	expiry_map_note(&store->sweeper.map, block / SWEEP_BLOCKS, expires_at);
}
