/*
 * leftovers.c
 *	  What peers that are gone have left behind is removed, in slices.
 *
 * A region may be large, and a turn is not to wait for its rows: the turn that
 * destroys a peer writes down what there is to be removed, and that is all.
 * Nobody waits for the slices, so they leave most of the time to others.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/tasks.h"
#include "core/base/check.h"
#include "storage/leftover_table.h"
#include "storage/raft_log_table.h"
#include "store/damage.h"
#include "store/leftovers.h"
#include "store/rows_slice.h"
#include "store/stalled.h"
#include "utils/memutils.h"

/* After a slice: how many times as long as it took. */
#define LEFTOVER_REST 3

typedef struct Leftover
{
	struct Leftover *next;
	LeftoverRow row; /* bounds are in the arena */
	Arena arena;
	SnapshotWalk walk;
	bool walking;
	int64 stalled_us; /* it met a row that cannot be read, monotonic; 0: no */
} Leftover;

typedef struct Leftovers
{
	Leftover *items;
	int n;
	int n_stalled;
	uint64 last_number;
	int64 due_us; /* monotonic; PG_INT64_MAX: nothing is left */
	uint64 removed;
} Leftovers;

/* --------------------------------------------------------------- the list */

static void
tell(const Leftovers *left)
{
	tasks_set(TASK_LEFTOVERS_WAITING, (uint64) left->n);
	tasks_set(TASK_LEFTOVERS_REMOVED, left->removed);
	stalled_note(STALLED_LEFT, (uint64) left->n_stalled);
}

void
leftovers_init(Store *store)
{
	store->leftovers =
		MemoryContextAllocZero(store->context, sizeof(Leftovers));
	store->leftovers->due_us = PG_INT64_MAX;
}

/* Logs come first: new peers may wait for them to go. */
static void
insert(Store *store, const LeftoverRow *row)
{
	Leftovers *left = store->leftovers;
	Leftover *item = MemoryContextAllocZero(store->context, sizeof(Leftover));
	Leftover **at = &left->items;

	arena_init(&item->arena);
	item->row = *row;
	item->row.range.start = arena_copy(&item->arena, row->range.start);
	item->row.range.end = arena_copy(&item->arena, row->range.end);
	while (!row->is_log && *at != NULL)
		at = &(*at)->next;
	item->next = *at;
	*at = item;
	left->n++;
	left->last_number = Max(left->last_number, row->number);
	left->due_us = Min(left->due_us, dispatch_now_us());
	tell(left);
}

static void
end_walk(Leftover *item)
{
	if (item->walking)
		snapshot_walk_free(&item->walk);
	item->walking = false;
}

static void
forget(Leftovers *left, Leftover *item)
{
	Leftover **at = &left->items;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	left->n--;
	left->n_stalled -= item->stalled_us != 0 ? 1 : 0;
	if (left->n == 0)
		left->due_us = PG_INT64_MAX;
	end_walk(item);
	arena_free(&item->arena);
	pfree(item);
	tell(left);
}

void
leftovers_free(Store *store)
{
	Leftovers *left = store->leftovers;

	while (left->items != NULL)
		forget(left, left->items);
}

void
leftovers_load(Store *store)
{
	LeftoverRow *rows;
	int n;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	n = leftover_table_load(&rows);
	for (int i = 0; i < n; i++)
		insert(store, &rows[i]);
	CommitTransactionCommand();
	MemoryContextReset(store->turn_context);
}

/* ------------------------------------------------------- within a raft turn */

static void
add(Store *store, const LeftoverRow *what)
{
	LeftoverRow row = *what;

	row.number = store->leftovers->last_number + 1;
	leftover_table_add(&row);
	insert(store, &row);
}

static RegionRange
range_of(const Region *region)
{
	return (RegionRange){region->start_key, region->end_key};
}

void
leftovers_add_keys(Store *store, const Region *region)
{
	LeftoverRow row = {.region_id = region->id, .range = range_of(region)};

	add(store, &row);
	FAILPOINT("store_leftover_keys");
}

void
leftovers_add_peer(const Peer *peer)
{
	LeftoverRow row = {.region_id = peer->region.id, .is_log = true};

	/* without a region it never had rows but its state's */
	if (peer->region.n_peers == 0)
		return;
	if (peer->grouped)
		add(peer->store, &row);
	FAILPOINT("store_leftover_log");
	leftovers_add_keys(peer->store, &peer->region);
}

void
leftovers_add_rest(const Peer *peer, const Region *next)
{
	LeftoverRow row = {.region_id = peer->region.id};
	RegionRange rest[2];
	int n;

	if (peer->region.n_peers == 0)
		return;
	n = region_range_without(range_of(&peer->region), range_of(next), rest);
	for (int i = 0; i < n; i++)
	{
		row.range = rest[i];
		add(peer->store, &row);
	}
}

/* What lies outside of the range stays; the walk begins anew. */
static void
cut(Store *store, Leftover *item, RegionRange taken)
{
	LeftoverRow row = item->row;
	RegionRange rest[2];
	int n = region_range_without(item->row.range, taken, rest);

	leftover_table_remove(item->row.number);
	for (int i = 0; i < n; i++)
	{
		row.range = rest[i];
		add(store, &row);
	}
	forget(store->leftovers, item);
}

void
leftovers_take_over(Store *store, const Region *region)
{
	RegionRange taken = range_of(region);
	Leftover *next;

	for (Leftover *item = store->leftovers->items; item != NULL; item = next)
	{
		next = item->next;
		if (item->row.is_log || !region_ranges_overlap(item->row.range, taken))
			continue;
		cut(store, item, taken);
		FAILPOINT("store_leftover_taken");
	}
}

bool
leftovers_have_log(const Store *store, uint64 region_id)
{
	for (const Leftover *item = store->leftovers->items; item != NULL;
		 item = item->next)
		if (item->row.is_log && item->row.region_id == region_id)
			return true;
	return false;
}

/* ----------------------------------------------------------------- a slice */

/* What is removed is nobody's. */
static void
check_nobody_lives_in(const Store *store, RegionRange range)
{
	for (int i = 0; i < store->n_peers; i++)
	{
		const Region *region = &store->peers[i]->region;

		CHECK(region->n_peers == 0 ||
			  !region_ranges_overlap(range_of(region), range));
	}
}

static void
begin_walk(Store *store, Leftover *item)
{
	Region region = {.start_key = item->row.range.start,
					 .end_key = item->row.range.end};
	MemoryContext old;
	SnapshotRanges ranges;

	if (item->walking || item->row.is_log)
		return;
	check_nobody_lives_in(store, item->row.range);
	old = MemoryContextSwitchTo(store->context);
	ranges = snapshot_ranges(&region, store->meta.api, &item->arena);
	snapshot_walk_init(&item->walk, &ranges);
	item->walking = true;
	MemoryContextSwitchTo(old);
}

/* Remove some of it; true if that was all. */
static bool
remove_some(RowsSlice *slice, Leftover *item, int *n)
{
	if (item->row.is_log)
	{
		FAILPOINT("store_leftover_log_slice");
		*n = log_table_delete(&slice->tables, slice->snapshot,
							  item->row.region_id, 0, PG_INT64_MAX,
							  SNAPSHOT_SLICE_ROWS);
		return *n < SNAPSHOT_SLICE_ROWS;
	}
	FAILPOINT("store_leftover_keys_slice");
	*n = rows_slice_remove(slice, &item->walk);
	return item->walk.step == SNAPSHOT_STEP_DONE;
}

/* False: the tables cannot be had now. */
static bool
run_slice(Store *store, Leftover *item, bool *done)
{
	RowsSlice slice;
	int n;

	begin_walk(store, item);
	if (!rows_slice_open(&slice, store))
		return false;
	*done = remove_some(&slice, item, &n);
	rows_slice_close(&slice);
	if (*done)
		leftover_table_remove(item->row.number);
	FAILPOINT("store_leftover_before_commit");
	rows_slice_commit(&slice, false);
	FAILPOINT("store_leftover_after_commit");
	rows_slice_published(&slice);
	store->leftovers->removed += (uint64) n;
	return true;
}

/* When it cannot be read, others go on; it is tried again in a while. */
static void
stall(Leftovers *left, Leftover *item, bool on)
{
	left->n_stalled += (on ? 1 : 0) - (item->stalled_us != 0 ? 1 : 0);
	item->stalled_us = on ? dispatch_now_us() : 0;
}

/* An error leaves things as they were; the walk has gone too far then. */
static bool
try_slice(Store *store, Leftover *item, bool *done)
{
	volatile bool ran = false;
	volatile bool all = false;
	volatile bool damaged = false;

	PG_TRY();
	{
		bool is_last = false;

		ran = run_slice(store, item, &is_last);
		all = is_last;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(store->turn_context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		damaged = damage_stalls(store, error);
		end_walk(item);
		ran = false;
	}
	PG_END_TRY();
	stall(store->leftovers, item, damaged);
	*done = ran && all;
	return ran;
}

/* It cannot be done now: others go before it. */
static void
put_last(Leftovers *left, Leftover *item)
{
	Leftover **at = &left->items;

	while (*at != item)
		at = &(*at)->next;
	*at = item->next;
	while (*at != NULL)
		at = &(*at)->next;
	item->next = NULL;
	*at = item;
}

static void
slice(Store *store, Leftover *item)
{
	Leftovers *left = store->leftovers;
	int64 begun_us = dispatch_now_us();
	bool done;
	bool ran = try_slice(store, item, &done);

	turn_finish(store);
	if (ran)
		left->due_us =
			dispatch_now_us() + (dispatch_now_us() - begun_us) * LEFTOVER_REST;
	else
	{
		left->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
		put_last(left, item);
	}
	if (done)
		forget(left, item);
	else
		tell(left);
}

/* The first that may be tried now; NULL: none, and left->due_us says when. */
static Leftover *
next_item(Leftovers *left, int64 now_us)
{
	left->due_us = PG_INT64_MAX;
	for (Leftover *item = left->items; item != NULL; item = item->next)
	{
		int64 due_us =
			item->stalled_us == 0 ? 0 : item->stalled_us + DAMAGED_RETRY_US;

		if (due_us <= now_us)
			return item;
		left->due_us = Min(left->due_us, due_us);
	}
	return NULL;
}

int64
leftovers_due_us(const Store *store)
{
	return store->leftovers->due_us;
}

/* Not while space or transaction ids are short: it comes back too late. */
int
leftovers_run(Store *store)
{
	Leftovers *left = store->leftovers;
	int64 now_us = dispatch_now_us();
	Leftover *item;

	if (now_us < left->due_us || left->items == NULL)
		return 0;
	guard_refresh(&store->guard, now_us);
	if (store->guard.disk != GUARD_OK || store->guard.xids_low)
	{
		left->due_us = now_us + BACKGROUND_RETRY_US;
		return 0;
	}
	item = next_item(left, now_us);
	if (item == NULL)
		return 0;
	slice(store, item);
	return 1;
}
