/*
 * raw_batch.c
 *	  Many raw keys at once.
 *
 * A single get waits for memory most of its time: the key's bucket in the
 * place cache, the page, the row.  Here keys whose rows lie in one page, which
 * neighbours in order mostly do, share its pin and its lock, and what comes
 * next is on its way while a row is looked at.  A row is taken only if the
 * first place of its key leads to it, visible and with the key; all others are
 * found as single ones are, so nothing is decided here that is not there.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "bus/places.h"
#include "storage/raw_row.h"
#include "storage/recent_page.h"

/* Keys whose places are looked up together, at most. */
#define SOME_KEYS 256

/* Bytes of a row to fetch ahead. */
#define CACHE_LINE 64
#define ROW_LINES 3

/*
 * How many runs behind the first step of a run the others are.  From the pin to
 * the end there are so few that a backend counts pins fast.
 */
#define PIN_AFTER 2
#define FETCH_AFTER 4
#define TAKE_AFTER 6

/* Neighbours whose rows are in one page. */
typedef struct Run
{
	int from;
	int n;
	Buffer buffer;
} Run;

typedef struct Batch
{
	RawFinder *finder;
	int64 now_s;
	RawCf cf;
	const Bytes *keys;
	int first;				 /* of keys, the number of the first of these: */
	uint64 *hashes;			 /* of the keys */
	ItemPointerData *places; /* invalid: the cache knows none */
	HeapTupleData *tuples;	 /* t_data NULL: not found there */
	Run *runs;
	int n_runs;
	bool (*emit)(void *arg, int i, const RawPair *pair);
	void *arg;
	bool enough; /* says emit */
} Batch;

/* ---------------------------------------------------------------- places */

static bool
same_page(const ItemPointerData *a, const ItemPointerData *b)
{
	return ItemPointerIsValid(a) && ItemPointerIsValid(b) &&
		ItemPointerGetBlockNumberNoCheck(a) ==
		ItemPointerGetBlockNumberNoCheck(b);
}

static void
look_up_places(Batch *batch, int n)
{
	const ItemPointerData *places = batch->places;

	place_hash_many((uint8) batch->cf, batch->keys + batch->first, n,
					batch->hashes);
	place_find_many(batch->hashes, n, batch->places);
	batch->n_runs = 0;
	for (int i = 0; i < n; i++)
	{
		batch->tuples[i].t_data = NULL;
		if (i > 0 && same_page(&places[i - 1], &places[i]))
			batch->runs[batch->n_runs - 1].n++;
		else
			batch->runs[batch->n_runs++] = (Run){i, 1, InvalidBuffer};
	}
}

/* ----------------------------------------------------------------- a run */

/* Line pointers of the run, in what is the page or once was. */
static void
fetch_items(const Batch *batch, const Run *run, Page page)
{
	__builtin_prefetch(page);
	for (int i = run->from; i < run->from + run->n; i++)
	{
		OffsetNumber offset =
			ItemPointerGetOffsetNumberNoCheck(&batch->places[i]);

		if (offset <= MaxHeapTuplesPerPage)
			__builtin_prefetch(PageGetItemId(page, offset));
	}
}

/* First step: have fetched from memory what the page is found with. */
static void
expect_page(const Batch *batch, const Run *run)
{
	const ItemPointerData *place = &batch->places[run->from];
	Page page;

	if (!ItemPointerIsValid(place))
		return;
	page = recent_page_guess(ItemPointerGetBlockNumberNoCheck(place));
	if (page != NULL)
		fetch_items(batch, run, page);
}

/* Second step: pin the page.  A place may be wrong, so there may be none. */
static void
pin_page(Batch *batch, Run *run)
{
	RawFinder *finder = batch->finder;
	const ItemPointerData *place = &batch->places[run->from];
	BlockNumber block;

	if (!ItemPointerIsValid(place))
		return;
	block = ItemPointerGetBlockNumberNoCheck(place);
	if (block >= finder->nblocks)
	{
		finder->nblocks = RelationGetNumberOfBlocks(finder->heap);
		if (block >= finder->nblocks)
			return;
	}
	run->buffer = recent_page_pin(finder->heap, block);
	fetch_items(batch, run, BufferGetPage(run->buffer));
}

/*
 * Third step: have the rows fetched from memory.  The page is not locked, and
 * what is read may be wrong; it is only where to look.
 */
static void
fetch_rows(const Batch *batch, const Run *run)
{
	Page page;

	if (!BufferIsValid(run->buffer))
		return;
	page = BufferGetPage(run->buffer);
	for (int i = run->from; i < run->from + run->n; i++)
	{
		OffsetNumber offset =
			ItemPointerGetOffsetNumberNoCheck(&batch->places[i]);
		const volatile ItemIdData *item;
		unsigned at;

		if (offset > MaxHeapTuplesPerPage)
			continue;
		item = PageGetItemId(page, offset);
		at = item->lp_off;
		for (int line = 0; line < ROW_LINES; line++)
			if (at + line * CACHE_LINE < BLCKSZ)
				__builtin_prefetch(page + at + line * CACHE_LINE);
	}
}

/* The visible rows of the run; the pin keeps them when the lock is gone. */
static void
see_rows(Batch *batch, const Run *run)
{
	RawFinder *finder = batch->finder;
	Page page = BufferGetPage(run->buffer);
	bool all_visible;

	LockBuffer(run->buffer, BUFFER_LOCK_SHARE);
#if PG_VERSION_NUM < 170000
	TestForOldSnapshot(finder->snapshot, finder->heap, page);
#endif
	/* As a sequential scan has it; a standby's flag may be ahead of it. */
	all_visible =
		PageIsAllVisible(page) && !finder->snapshot->takenDuringRecovery;
	for (int i = run->from; i < run->from + run->n; i++)
	{
		HeapTuple tuple = &batch->tuples[i];

		if (row_find_item(finder->heap, run->buffer, &batch->places[i],
						  tuple) &&
			!all_visible &&
			!HeapTupleSatisfiesVisibility(tuple, finder->snapshot, run->buffer))
			tuple->t_data = NULL;
	}
	LockBuffer(run->buffer, BUFFER_LOCK_UNLOCK);
}

/* The row of one key, if there is one, held as long as the run and the slot. */
static bool
find_row(Batch *batch, int i, RawRow *row)
{
	RawFinder *finder = batch->finder;
	Bytes key = batch->keys[batch->first + i];

	if (batch->tuples[i].t_data != NULL)
	{
		raw_row_of_tuple(&batch->tuples[i], row);
		if (raw_row_holds(row, batch->cf, key, finder->scratch))
			return true;
	}
	if (!raw_finder_find(finder, batch->cf, key, batch->hashes[i]))
		return false;
	raw_row_of_slot(finder->slot, row);
	return true;
}

static void
emit_row(Batch *batch, int i, const RawRow *row)
{
	Bytes key = batch->keys[batch->first + i];
	RawPair pair;

	if (expiry_passed(row->expires_at, batch->now_s) ||
		raw_row_is_buried(batch->finder, batch->cf, key, row->era))
		return;
	pair.expires_at = row->expires_at;
	pair.key = key;
	pair.value = fetch_bytes(row->value, batch->finder->scratch);
	pair.era = row->era;
	batch->enough = !batch->emit(batch->arg, batch->first + i, &pair);
}

/* Last step: emit the rows, and leave the page. */
static void
take_rows(Batch *batch, Run *run)
{
	if (BufferIsValid(run->buffer) && !batch->enough)
		see_rows(batch, run);
	for (int i = run->from; i < run->from + run->n && !batch->enough; i++)
	{
		RawRow row;

		if (find_row(batch, i, &row))
			emit_row(batch, i, &row);
		MemoryContextReset(batch->finder->scratch);
	}
	raw_finder_release(batch->finder);
	if (BufferIsValid(run->buffer))
		ReleaseBuffer(run->buffer);
}

/*
 * A few runs are on their way at a time: memory needs longer than one takes.
 * When there is enough, no more begin.
 */
static void
take_runs(Batch *batch)
{
	int n = batch->n_runs;
	Run *runs = batch->runs;

	for (int i = 0; i < n + TAKE_AFTER; i++)
	{
		if (batch->enough)
			n = Min(n, i - PIN_AFTER);
		if (i < n)
			expect_page(batch, &runs[i]);
		if (i >= PIN_AFTER && i - PIN_AFTER < n)
			pin_page(batch, &runs[i - PIN_AFTER]);
		if (i >= FETCH_AFTER && i - FETCH_AFTER < n)
			fetch_rows(batch, &runs[i - FETCH_AFTER]);
		if (i >= TAKE_AFTER && i - TAKE_AFTER < n)
			take_rows(batch, &runs[i - TAKE_AFTER]);
	}
}

static Batch *
batch_new(RawFinder *finder, int n)
{
	Batch *batch = palloc(sizeof(Batch));

	batch->finder = finder;
	batch->hashes = palloc(sizeof(uint64) * n);
	batch->places = palloc(sizeof(ItemPointerData) * n);
	batch->tuples = palloc(sizeof(HeapTupleData) * n);
	batch->runs = palloc(sizeof(Run) * n);
	batch->enough = false;
	return batch;
}

static void
batch_free(Batch *batch)
{
	pfree(batch->hashes);
	pfree(batch->places);
	pfree(batch->tuples);
	pfree(batch->runs);
	pfree(batch);
}

void
raw_batch_get(RawFinder *finder, int64 now_s, RawCf cf, const Bytes *keys,
			  int n, bool (*emit)(void *arg, int i, const RawPair *pair),
			  void *arg)
{
	Batch *batch = batch_new(finder, Min(n, SOME_KEYS));

	batch->now_s = now_s;
	batch->cf = cf;
	batch->keys = keys;
	batch->emit = emit;
	batch->arg = arg;
	for (int from = 0; from < n && !batch->enough; from += SOME_KEYS)
	{
		batch->first = from;
		look_up_places(batch, Min(SOME_KEYS, n - from));
		take_runs(batch);
	}
	batch_free(batch);
}
