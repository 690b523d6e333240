/*
 * raw_writer.c
 *	  Writes raw keys: RawModify effects become heap and index changes.
 *
 * The store is the only writer of the table and folds its effects, so a key
 * is written at most once per writer: the row that the snapshot sees is the
 * current one, and no CommandCounterIncrement is needed.
 *
 * Where the new rows are is told to the place cache only after the commit;
 * told earlier, every reader would go there in vain.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/places.h"
#include "storage/raw_row.h"

/* The place of a key after this transaction; invalid: it is deleted. */
typedef struct NewPlace
{
	uint64 hash;
	ItemPointerData tid;
} NewPlace;

/* Buckets of the place cache are fetched from memory so many places ahead. */
#define PLACES_AHEAD 8

/*
 * Rows whose keys nobody has are gathered, so that a page is locked and logged
 * once for all that go into it.
 */
#define GATHERED_ROWS 64
#define GATHERED_BYTES ((Size) 64 << 10)

typedef struct Gathered
{
	MemoryContext context; /* of the tuples */
	TupleTableSlot *slots[GATHERED_ROWS];
	int n_slots; /* that were made */
	Datum values[GATHERED_ROWS * RAW_COLUMNS];
	bool isnull[GATHERED_ROWS * RAW_COLUMNS];
	uint64 hashes[GATHERED_ROWS];
	int64 expires_at[GATHERED_ROWS];
	int n;
	Size bytes;
} Gathered;

struct RawWriter
{
	Relation heap;
	TableIndexes indexes;
	RawFinder *finder;	   /* NULL once closed */
	MemoryContext context; /* of the writer */
	MemoryContext scratch; /* for one row */
	Gathered *gathered;	   /* NULL until the first row */
	NewPlace *places;
	Size n_places;
	Size max_places;
	RawExpiryWatch watch; /* NULL: nobody asks */
	void *watch_arg;
};

RawWriter *
raw_writer_open(const OpenTables *tables, Snapshot snapshot)
{
	MemoryContext context;
	MemoryContext caller;
	RawWriter *writer;

	/* These end with the commit, before raw_writer_published. */
	if (CurrentMemoryContext == TopTransactionContext ||
		CurrentMemoryContext == CurTransactionContext)
		elog(
			ERROR,
			"a raw writer needs a memory context that outlives its transaction");

	context = AllocSetContextCreate(CurrentMemoryContext, "raw writer",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	writer = palloc0(sizeof(RawWriter));
	writer->heap = tables->raw.heap;
	writer->indexes = tables->raw.indexes;
	writer->context = context;
	writer->scratch = AllocSetContextCreate(context, "raw writer row",
											ALLOCSET_DEFAULT_SIZES);
	writer->max_places = 128;
	writer->places = palloc(writer->max_places * sizeof(NewPlace));
	writer->finder = raw_finder_open(tables, snapshot, true);
	MemoryContextSwitchTo(caller);
	return writer;
}

void
raw_writer_watch(RawWriter *writer, RawExpiryWatch watch, void *arg)
{
	writer->watch = watch;
	writer->watch_arg = arg;
}

/* Remember what to tell the place cache. */
static void
remember(RawWriter *writer, uint64 hash, const ItemPointerData *tid)
{
	NewPlace *place;

	if (writer->n_places == writer->max_places)
	{
		writer->max_places *= 2;
		writer->places = repalloc_huge(writer->places,
									   writer->max_places * sizeof(NewPlace));
	}
	place = &writer->places[writer->n_places++];
	place->hash = hash;
	if (tid != NULL)
		place->tid = *tid;
	else
		ItemPointerSetInvalid(&place->tid);
}

/* The columns of a row, allocated in the current context. */
static void
fill_row(const RawModify *modify, Datum *values, bool *isnull)
{
	memset(isnull, 0, RAW_COLUMNS * sizeof(bool));
	values[RAW_ERA - 1] = Int64GetDatum(modify->era);
	values[RAW_EXPIRES_AT - 1] = Int64GetDatum(modify->expires_at);
	values[RAW_CF - 1] = CharGetDatum((char) modify->cf);
	stored_key_form(modify->key, &values[RAW_KEY - 1],
					&values[RAW_KEY_REST - 1], &isnull[RAW_KEY_REST - 1]);
	values[RAW_VALUE - 1] = bytea_datum(modify->value);
}

/* Where a row came to lie. */
static void
note_place(RawWriter *writer, uint64 hash, const ItemPointerData *tid,
		   int64 expires_at)
{
	remember(writer, hash, tid);
	if (writer->watch != NULL && expires_at != 0)
		writer->watch(writer->watch_arg, ItemPointerGetBlockNumber(tid),
					  expires_at);
}

/* Write the row; `old` is the current version's place or NULL. */
static void
put_row(RawWriter *writer, const RawModify *modify, uint64 hash,
		ItemPointer old)
{
	MemoryContext caller = MemoryContextSwitchTo(writer->scratch);
	Datum values[RAW_COLUMNS];
	bool isnull[RAW_COLUMNS];
	HeapTuple tuple;

	fill_row(modify, values, isnull);
	tuple = heap_form_tuple(RelationGetDescr(writer->heap), values, isnull);
	if (old != NULL)
		row_update(writer->heap, &writer->indexes, old, tuple, values, isnull);
	else
		row_insert(writer->heap, &writer->indexes, tuple, values, isnull);
	MemoryContextSwitchTo(writer->context);
	note_place(writer, hash, &tuple->t_self, modify->expires_at);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(writer->scratch);
}

static Gathered *
gathered_rows(RawWriter *writer)
{
	Gathered *gathered = writer->gathered;

	if (gathered != NULL)
		return gathered;
	gathered = MemoryContextAlloc(writer->context, sizeof(Gathered));
	gathered->context =
		AllocSetContextCreate(writer->context, "raw writer rows",
							  ALLOCSET_DEFAULT_SIZES);
	gathered->n_slots = 0;
	gathered->n = 0;
	gathered->bytes = 0;
	return writer->gathered = gathered;
}

/* Write what was gathered. */
static void
insert_gathered(RawWriter *writer)
{
	Gathered *gathered = writer->gathered;
	MemoryContext caller;

	if (gathered == NULL || gathered->n == 0)
		return;
	caller = MemoryContextSwitchTo(gathered->context);
	row_insert_many(writer->heap, &writer->indexes, gathered->slots,
					gathered->n, gathered->values, gathered->isnull);
	MemoryContextSwitchTo(writer->context);
	for (int i = 0; i < gathered->n; i++)
	{
		note_place(writer, gathered->hashes[i], &gathered->slots[i]->tts_tid,
				   gathered->expires_at[i]);
		ExecClearTuple(gathered->slots[i]);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(gathered->context);
	gathered->n = 0;
	gathered->bytes = 0;
}

/* A row whose key nobody has. */
static void
gather_row(RawWriter *writer, const RawModify *modify, uint64 hash)
{
	Gathered *gathered = gathered_rows(writer);
	MemoryContext caller = MemoryContextSwitchTo(writer->context);
	int row = gathered->n;
	Datum *values = gathered->values + row * RAW_COLUMNS;
	bool *isnull = gathered->isnull + row * RAW_COLUMNS;
	HeapTuple tuple;

	if (row == gathered->n_slots)
		gathered->slots[gathered->n_slots++] =
			MakeSingleTupleTableSlot(RelationGetDescr(writer->heap),
									 &TTSOpsHeapTuple);
	MemoryContextSwitchTo(gathered->context);
	fill_row(modify, values, isnull);
	tuple = heap_form_tuple(RelationGetDescr(writer->heap), values, isnull);
	ExecStoreHeapTuple(tuple, gathered->slots[row], false);
	MemoryContextSwitchTo(caller);
	gathered->hashes[row] = hash;
	gathered->expires_at[row] = modify->expires_at;
	gathered->bytes += tuple->t_len;
	gathered->n++;
	if (gathered->n == GATHERED_ROWS || gathered->bytes >= GATHERED_BYTES)
		insert_gathered(writer);
}

/* Deleting an absent key does nothing. */
void
raw_writer_apply(RawWriter *writer, const RawModify *modify)
{
	uint64 hash = place_hash((uint8) modify->cf, modify->key);
	ItemPointerData old;
	bool found;

	if (modify->kind == RAW_PUT && modify->absent)
	{
		gather_row(writer, modify, hash);
		return;
	}
	found = raw_finder_find(writer->finder, modify->cf, modify->key, hash);
	if (found)
		old = writer->finder->slot->tts_tid;
	raw_finder_release(writer->finder);
	if (modify->kind == RAW_PUT)
		put_row(writer, modify, hash, found ? &old : NULL);
	else if (found)
	{
		row_delete(writer->heap, &old);
		remember(writer, hash, NULL);
	}
}

void
raw_writer_close(RawWriter *writer)
{
	insert_gathered(writer);
	for (int i = 0; writer->gathered != NULL && i < writer->gathered->n_slots;
		 i++)
		ExecDropSingleTupleTableSlot(writer->gathered->slots[i]);
	raw_finder_close(writer->finder);
	writer->finder = NULL;
}

void
raw_writer_published(RawWriter *writer)
{
	Assert(writer->finder == NULL);
	for (Size i = 0; i < writer->n_places; i++)
	{
		NewPlace *place = &writer->places[i];

		if (i + PLACES_AHEAD < writer->n_places)
			place_prefetch(place[PLACES_AHEAD].hash);
		if (ItemPointerIsValid(&place->tid))
			place_set(place->hash, &place->tid);
		else
			place_forget(place->hash);
	}
	MemoryContextDelete(writer->context);
}
