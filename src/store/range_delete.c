/*
 * range_delete.c
 *	  Deletions of ranges: accepted in a client's turn, carried out in slices.
 *
 * The turn that accepts one stores it and begins a new era; rows that are
 * written from then on carry the era and are passed over (core/kv/
 * range_delete.h).  Readers find none of the others any more: they look into
 * the table as well (read/read.c), so the deletion happens at once for all of
 * its keys, and on every replica at its place in the log.  The client is
 * answered after the last slice; a store that starts again finds what is left
 * to do in its table.
 *
 * One that meets a damaged row is passed by: its client is told so, readers go
 * on to find nothing of the range, the others are carried out, and every minute
 * the one that was tried longest ago is tried again.
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/tasks.h"
#include "service/raw.h"
#include "storage/range_delete_table.h"
#include "storage/stored_key.h"
#include "store/stalled.h"
#include "store/store.h"
#include "utils/memutils.h"

/* Rows that a slice looks at: two or three milliseconds. */
#define SLICE_ROWS 256

/* ------------------------------------------------------------- accepting */

static Bytes
keep_bytes(Store *store, Bytes bytes)
{
	uint8 *copy = MemoryContextAlloc(store->context, bytes.len + 1);

	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	return bytes_make(copy, bytes.len);
}

static void
free_item(RangeDelete *item)
{
	pfree(unconstify(uint8 *, item->next.data));
	pfree(unconstify(uint8 *, item->upper.data));
}

/* One more, without a waiter.  Pointers to the others end here. */
static RangeDelete *
add_item(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	if (ranges->room == 0)
	{
		ranges->room = RANGE_DELETES_MAX;
		ranges->items =
			MemoryContextAlloc(store->context,
							   (Size) ranges->room * sizeof(RangeDelete));
		ranges->works =
			MemoryContextAlloc(store->context,
							   (Size) ranges->room * sizeof(RangeWork));
	}
	else if (ranges->n == ranges->room)
	{
		ranges->room *= 2;
		ranges->items =
			repalloc_huge(ranges->items,
						  (Size) ranges->room * sizeof(RangeDelete));
		ranges->works = repalloc_huge(ranges->works,
									  (Size) ranges->room * sizeof(RangeWork));
	}
	ranges->works[ranges->n] = (RangeWork){0};
	return &ranges->items[ranges->n++];
}

/* At any place.  Pointers to the others end here. */
static void
remove_item(Store *store, int at)
{
	RangeDeletes *ranges = &store->ranges;
	int behind = ranges->n - at - 1;

	board_ranges_end(1);
	free_item(&ranges->items[at]);
	if (ranges->works[at].stalled_us != 0)
		ranges->n_stalled--;
	memmove(&ranges->items[at], &ranges->items[at + 1],
			behind * sizeof(ranges->items[0]));
	memmove(&ranges->works[at], &ranges->works[at + 1],
			behind * sizeof(ranges->works[0]));
	ranges->n--;
	tasks_set(TASK_RANGES_WAITING, (uint64) ranges->n);
	stalled_note(STALLED_RANGES, (uint64) ranges->n_stalled);
}

int
range_delete_n_running(const Store *store)
{
	return store->ranges.n - store->ranges.n_stalled;
}

bool
range_delete_is_full(const Store *store)
{
	return range_delete_n_running(store) >= RANGE_DELETES_MAX ||
		store->ranges.n >= RANGE_DELETES_FULL;
}

/* Of a committed entry, too: it takes whatever comes. */
int64
range_delete_begin(Store *store, RawCf cf, Bytes lower, Bytes upper)
{
	RangeDeletes *ranges = &store->ranges;
	RangeDelete *item = add_item(store);

	/* Readers look for it from now on, whether it comes to be or not. */
	board_range_begins();
	ranges->n_new++;
	item->era = ++ranges->era;
	item->cf = cf;
	item->next = keep_bytes(store, lower);
	item->upper = keep_bytes(store, upper);
	item->done = false;
	return item->era;
}

bool
range_delete_accept(Store *store, Write *write)
{
	const RawCommand *command = &write->command;

	if (range_delete_is_full(store))
		return false;
	write->era =
		range_delete_begin(store, command->cf, command->lower, command->upper);
	return true;
}

/*
 * A client that is told of damage asks again: the new one takes the place of
 * the old, or there would be no end of them.
 */
static bool
is_replaced(const RangeDeletes *ranges, int at)
{
	if (ranges->works[at].stalled_us == 0)
		return false;
	for (int i = ranges->n - ranges->n_new; i < ranges->n; i++)
		if (range_delete_replaces(&ranges->items[i], &ranges->items[at]))
			return true;
	return false;
}

/* The row that kept the count is not needed any more: a newer one does. */
void
range_delete_save_new(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	for (int i = ranges->n - ranges->n_new; i < ranges->n; i++)
		range_delete_table_save(&ranges->items[i]);
	for (int i = 0; i < ranges->n - ranges->n_new; i++)
		if (is_replaced(ranges, i))
			range_delete_table_remove(ranges->items[i].era);
	if (ranges->n_new > 0 && ranges->kept != 0)
		range_delete_table_remove(ranges->kept);
}

void
range_delete_committed(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	if (ranges->n_new == 0)
		return;
	for (int i = ranges->n - ranges->n_new - 1; i >= 0; i--)
		if (is_replaced(ranges, i))
			remove_item(store, i);
	ranges->n_new = 0;
	ranges->kept = 0;
	ranges->due_us = 0;
	tasks_set(TASK_RANGES_WAITING, (uint64) ranges->n);
}

void
range_delete_aborted(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	board_ranges_end((uint64) ranges->n_new);
	for (; ranges->n_new > 0; ranges->n_new--)
	{
		free_item(&ranges->items[--ranges->n]);
		ranges->era--;
	}
}

void
range_delete_wait(Store *store, Write *write)
{
	RangeDeletes *ranges = &store->ranges;

	for (int i = 0; i < ranges->n; i++)
		if (ranges->items[i].era == write->era)
			ranges->works[i].waiter = write;
}

/* ---------------------------------------------------------------- slices */

typedef struct SliceTurn
{
	int at; /* of the list: no other one comes or goes meanwhile */
	RangeDeleteSlice slice;
	int deleted;
} SliceTurn;

/* Read with a clock that stands still: what has expired is deleted as well. */
static void
decide_slice(Store *store, const OpenTables *tables, Snapshot snapshot,
			 void *arg)
{
	SliceTurn *turn = arg;
	RangeDeletes *ranges = &store->ranges;
	RangeDelete *item = &ranges->items[turn->at];
	RangeDelete after = *item;
	RawReader *reader = raw_reader_open(tables, snapshot, 0);

	turn->slice = (RangeDeleteSlice){.item = item,
									 .arena = &store->arena,
									 .max = SLICE_ROWS};
	range_delete_look(&turn->slice, reader);
	raw_reader_close(reader);
	background_delete(store, item->cf, turn->slice.keys,
					  (int) turn->slice.n_keys);
	turn->deleted = (int) turn->slice.n_keys;
	after.next = turn->slice.next;
	after.done = turn->slice.done;
	FAILPOINT("store_range_slice");
	if (after.done && item->era != ranges->era)
		range_delete_table_remove(item->era);
	else
		range_delete_table_save(&after);
}

/* It is done: answer, and make room. */
static void
finish(Store *store, int at)
{
	RangeDeletes *ranges = &store->ranges;
	Write *waiter = ranges->works[at].waiter;

	if (ranges->items[at].era == ranges->era)
		ranges->kept = ranges->era;
	remove_item(store, at);
	if (waiter != NULL)
		raw_write_done(waiter->request);
}

/* What stalled one is mended: the others may go on, too. */
static void
stall_none(RangeDeletes *ranges)
{
	for (int i = 0; i < ranges->n; i++)
		ranges->works[i].stalled_us = 0;
	ranges->n_stalled = 0;
	ranges->stall_told = false;
	stalled_note(STALLED_RANGES, 0);
}

static void
slice_committed(Store *store, void *arg)
{
	const SliceTurn *turn = arg;
	RangeDeletes *ranges = &store->ranges;
	RangeDelete *item = &ranges->items[turn->at];
	Bytes next;

	FAILPOINT_PASS("store_range_slice_done");
	ranges->removed += (uint64) turn->deleted;
	tasks_set(TASK_RANGES_REMOVED, ranges->removed);
	if (ranges->works[turn->at].stalled_us != 0)
		stall_none(ranges);
	if (turn->slice.done)
	{
		finish(store, turn->at);
		return;
	}
	next = keep_bytes(store, turn->slice.next);
	pfree(unconstify(uint8 *, item->next.data));
	item->next = next;
}

static void
log_stall(const Store *store, const RangeDelete *item)
{
	ereport(
		LOG,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg(
			 "tikv store %llu: the deletion of a range meets a damaged row and is put off",
			 (unsigned long long) store->meta.store_id),
		 errdetail(
			 "It is in force, but its rows from key \\x%s on are not removed; the error before this says why.",
			 stored_key_shown(item->next)),
		 errhint(
			 "Mend the table, or restore it from another replica; the deletion is tried again every minute.")));
}

/* The first of several is logged; tikv_status() counts them. */
static void
slice_damaged(Store *store, void *arg)
{
	const SliceTurn *turn = arg;
	RangeDeletes *ranges = &store->ranges;
	RangeWork *work = &ranges->works[turn->at];
	Write *waiter = work->waiter;

	if (work->stalled_us == 0)
		ranges->n_stalled++;
	if (!ranges->stall_told)
		log_stall(store, &ranges->items[turn->at]);
	ranges->stall_told = true;
	work->stalled_us = dispatch_now_us();
	ranges->retry_us = work->stalled_us + DAMAGED_RETRY_US;
	stalled_note(STALLED_RANGES, (uint64) ranges->n_stalled);
	work->waiter = NULL;
	if (waiter != NULL)
		service_damaged(waiter->request);
}

/* The oldest that is not stalled, or when it is time the one stalled longest. */
static int
next_item(const RangeDeletes *ranges)
{
	int running = -1;
	int stalled = -1;

	for (int i = ranges->n - 1; i >= 0; i--)
	{
		int64 us = ranges->works[i].stalled_us;

		if (us == 0)
			running = i;
		else if (stalled < 0 || us < ranges->works[stalled].stalled_us)
			stalled = i;
	}
	if (stalled >= 0 && (running < 0 || dispatch_now_us() >= ranges->retry_us))
		return stalled;
	return running;
}

static int64
next_due_us(const RangeDeletes *ranges)
{
	if (ranges->n == 0)
		return PG_INT64_MAX;
	return ranges->n > ranges->n_stalled ? 0 : ranges->retry_us;
}

void
range_delete_run(Store *store)
{
	RangeDeletes *ranges = &store->ranges;
	SliceTurn turn = {.at = next_item(ranges)};
	TurnOwn own = {decide_slice, slice_committed, slice_damaged, &turn};

	if (!turn_run_own(store, &own))
		ranges->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	else
		ranges->due_us = next_due_us(ranges);
}

/* ----------------------------------------------------------- start, stop */

void
range_delete_load(Store *store)
{
	RangeDeletes *ranges = &store->ranges;
	RangeDelete *items;
	int n;

	ranges->era = range_delete_table_load(&items, &n);
	for (int i = 0; i < n; i++)
	{
		if (items[i].done)
		{
			ranges->kept = items[i].era;
			continue;
		}
		items[i].next = keep_bytes(store, items[i].next);
		items[i].upper = keep_bytes(store, items[i].upper);
		*add_item(store) = items[i];
	}
	ranges->due_us = ranges->n > 0 ? 0 : PG_INT64_MAX;
	board_ranges_found((uint64) ranges->n);
	tasks_set(TASK_RANGES_WAITING, (uint64) ranges->n);
}

/* They go on when the store is there again, but nobody will be told. */
void
range_delete_stop(Store *store, const char *reason)
{
	RangeDeletes *ranges = &store->ranges;

	for (int i = 0; i < ranges->n; i++)
	{
		Write *waiter = ranges->works[i].waiter;

		ranges->works[i].waiter = NULL;
		if (waiter != NULL)
			service_unknown(waiter->request, reason);
	}
}
