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
 */
#include "postgres.h"

#include "bus/failpoints.h"
#include "bus/tasks.h"
#include "service/raw.h"
#include "storage/range_delete_table.h"
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
		ranges->waiters =
			MemoryContextAlloc(store->context,
							   (Size) ranges->room * sizeof(Write *));
	}
	else if (ranges->n == ranges->room)
	{
		ranges->room *= 2;
		ranges->items =
			repalloc_huge(ranges->items,
						  (Size) ranges->room * sizeof(RangeDelete));
		ranges->waiters = repalloc_huge(ranges->waiters,
										(Size) ranges->room * sizeof(Write *));
	}
	ranges->waiters[ranges->n] = NULL;
	return &ranges->items[ranges->n++];
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

	if (store->ranges.n >= RANGE_DELETES_MAX)
		return false;
	write->era =
		range_delete_begin(store, command->cf, command->lower, command->upper);
	return true;
}

/* The row that kept the count is not needed any more: a newer one does. */
void
range_delete_save_new(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	for (int i = ranges->n - ranges->n_new; i < ranges->n; i++)
		range_delete_table_save(&ranges->items[i]);
	if (ranges->n_new > 0 && ranges->kept != 0)
		range_delete_table_remove(ranges->kept);
}

void
range_delete_committed(Store *store)
{
	RangeDeletes *ranges = &store->ranges;

	if (ranges->n_new == 0)
		return;
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
			ranges->waiters[i] = write;
}

/* ---------------------------------------------------------------- slices */

typedef struct SliceTurn
{
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
	RangeDelete *item = &ranges->items[0];
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

/* The oldest one is done: answer, and make room. */
static void
finish_first(Store *store)
{
	RangeDeletes *ranges = &store->ranges;
	Write *waiter = ranges->waiters[0];

	if (ranges->items[0].era == ranges->era)
		ranges->kept = ranges->era;
	board_ranges_end(1);
	free_item(&ranges->items[0]);
	ranges->n--;
	memmove(&ranges->items[0], &ranges->items[1],
			ranges->n * sizeof(ranges->items[0]));
	memmove(&ranges->waiters[0], &ranges->waiters[1],
			ranges->n * sizeof(ranges->waiters[0]));
	tasks_set(TASK_RANGES_WAITING, (uint64) ranges->n);
	if (waiter != NULL)
		raw_write_done(waiter->request);
}

static void
slice_committed(Store *store, void *arg)
{
	const SliceTurn *turn = arg;
	RangeDeletes *ranges = &store->ranges;
	RangeDelete *item = &ranges->items[0];
	Bytes next;

	FAILPOINT_PASS("store_range_slice_done");
	ranges->removed += (uint64) turn->deleted;
	tasks_set(TASK_RANGES_REMOVED, ranges->removed);
	if (turn->slice.done)
	{
		finish_first(store);
		return;
	}
	next = keep_bytes(store, turn->slice.next);
	pfree(unconstify(uint8 *, item->next.data));
	item->next = next;
}

void
range_delete_run(Store *store)
{
	RangeDeletes *ranges = &store->ranges;
	SliceTurn turn = {0};
	TurnOwn own = {decide_slice, slice_committed, &turn};

	if (!turn_run_own(store, &own))
		ranges->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	else
		ranges->due_us = ranges->n > 0 ? 0 : PG_INT64_MAX;
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
		Write *waiter = ranges->waiters[i];

		ranges->waiters[i] = NULL;
		if (waiter != NULL)
			service_unknown(waiter->request, reason);
	}
}
