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

/* Keys whose places are looked up together. */
#define SOME_KEYS 64

/* Line pointers to fetch ahead of a page, and bytes of a row. */
#define CACHE_LINE 64
#define ROW_LINES 3

/* Between the steps of a run; with this many, a backend counts pins fast. */
#define RUNS_AHEAD 2

typedef struct Wanted
{
	uint64 hash;
	ItemPointerData place; /* invalid: the cache knows none */
	HeapTupleData tuple;   /* t_data NULL: not found there */
} Wanted;

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
	int first; /* of keys, the number of wanted[0] */
	Wanted wanted[SOME_KEYS];
	Run runs[SOME_KEYS];
	int n_runs;
	bool (*emit)(void *arg, int i, const RawPair *pair);
	void *arg;
	bool enough; /* says emit */
} Batch;

/* ---------------------------------------------------------------- places */

static bool
same_page(const Wanted *a, const Wanted *b)
{
	return ItemPointerIsValid(&a->place) && ItemPointerIsValid(&b->place) &&
		ItemPointerGetBlockNumberNoCheck(&a->place) ==
		ItemPointerGetBlockNumberNoCheck(&b->place);
}

static void
look_up_places(Batch *batch, int n)
{
	const Bytes *keys = batch->keys + batch->first;

	for (int i = 0; i < n; i++)
	{
		batch->wanted[i].hash = place_hash((uint8) batch->cf, keys[i]);
		place_prefetch(batch->wanted[i].hash);
	}
	batch->n_runs = 0;
	for (int i = 0; i < n; i++)
	{
		Wanted *wanted = &batch->wanted[i];
		ItemPointerData places[PLACE_WAYS];

		wanted->tuple.t_data = NULL;
		ItemPointerSetInvalid(&wanted->place);
		if (place_find(wanted->hash, places) > 0)
			wanted->place = places[0];
		if (i > 0 && same_page(wanted - 1, wanted))
			batch->runs[batch->n_runs - 1].n++;
		else
			batch->runs[batch->n_runs++] = (Run){i, 1, InvalidBuffer};
	}
}

/* ----------------------------------------------------------------- a run */

/* First step: pin the page.  A place may be wrong, so there may be none. */
static void
pin_page(Batch *batch, Run *run)
{
	RawFinder *finder = batch->finder;
	const ItemPointerData *place = &batch->wanted[run->from].place;
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
	run->buffer = ReadBuffer(finder->heap, block);
	__builtin_prefetch(BufferGetPage(run->buffer));
	for (int i = run->from; i < run->from + run->n; i++)
	{
		OffsetNumber offset =
			ItemPointerGetOffsetNumberNoCheck(&batch->wanted[i].place);

		if (offset <= MaxHeapTuplesPerPage)
			__builtin_prefetch(PageGetItemId(BufferGetPage(run->buffer),
											 offset));
	}
}

/*
 * Second step: have the rows fetched from memory.  The page is not locked, and
 * what is read may be wrong; it is only where to look.
 */
static void
fetch_rows(const Batch *batch, const Run *run)
{
	const char *page;

	if (!BufferIsValid(run->buffer))
		return;
	page = BufferGetPage(run->buffer);
	for (int i = run->from; i < run->from + run->n; i++)
	{
		OffsetNumber offset =
			ItemPointerGetOffsetNumberNoCheck(&batch->wanted[i].place);
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
		Wanted *wanted = &batch->wanted[i];

		if (row_find_item(finder->heap, run->buffer, &wanted->place,
						  &wanted->tuple) &&
			!all_visible &&
			!HeapTupleSatisfiesVisibility(&wanted->tuple, finder->snapshot,
										  run->buffer))
			wanted->tuple.t_data = NULL;
	}
	LockBuffer(run->buffer, BUFFER_LOCK_UNLOCK);
}

/* The row of one key in the finder's slot, if there is one. */
static bool
find_row(Batch *batch, const Run *run, int i)
{
	RawFinder *finder = batch->finder;
	Wanted *wanted = &batch->wanted[i];
	Bytes key = batch->keys[batch->first + i];

	if (wanted->tuple.t_data != NULL)
	{
		ExecStoreBufferHeapTuple(&wanted->tuple, finder->slot, run->buffer);
		if (raw_finder_holds(finder, batch->cf, key))
			return true;
	}
	return raw_finder_find(finder, batch->cf, key, wanted->hash);
}

static void
emit_row(Batch *batch, int i)
{
	RawFinder *finder = batch->finder;
	RawPair pair;

	pair.expires_at = raw_row_expires_at(finder->slot);
	if (expiry_passed(pair.expires_at, batch->now_s))
		return;
	pair.key = batch->keys[batch->first + i];
	pair.value = raw_row_value(finder->slot, finder->scratch);
	pair.era = raw_row_era(finder->slot);
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
		if (find_row(batch, run, i))
			emit_row(batch, i);
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

	for (int i = 0; i < n + 2 * RUNS_AHEAD; i++)
	{
		if (batch->enough)
			n = Min(n, i);
		if (i < n)
			pin_page(batch, &batch->runs[i]);
		if (i >= RUNS_AHEAD && i - RUNS_AHEAD < n)
			fetch_rows(batch, &batch->runs[i - RUNS_AHEAD]);
		if (i >= 2 * RUNS_AHEAD)
			take_rows(batch, &batch->runs[i - 2 * RUNS_AHEAD]);
	}
}

void
raw_batch_get(RawFinder *finder, int64 now_s, RawCf cf, const Bytes *keys,
			  int n, bool (*emit)(void *arg, int i, const RawPair *pair),
			  void *arg)
{
	Batch *batch = palloc(sizeof(Batch));

	batch->finder = finder;
	batch->now_s = now_s;
	batch->cf = cf;
	batch->keys = keys;
	batch->emit = emit;
	batch->arg = arg;
	batch->enough = false;
	for (int from = 0; from < n && !batch->enough; from += SOME_KEYS)
	{
		batch->first = from;
		look_up_places(batch, Min(SOME_KEYS, n - from));
		take_runs(batch);
	}
	pfree(batch);
}
