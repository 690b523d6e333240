/*
 * raw_row.c
 *	  The way to the current row of a raw key.
 *
 * A key has at most one visible row, whatever number of dead versions an old
 * snapshot keeps alive, so a row that is visible and carries the key is the
 * answer, wherever its address came from.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/tupmacs.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/places.h"
#include "bus/versions.h"
#include "storage/raw_row.h"

/*
 * A reader may look between the writer's commit and the moment it tells the
 * new places: they are then this many versions behind at most, if the reader
 * is quick.
 */
#define PLACE_FOLLOW 4

Bytes
raw_row_rest(TupleTableSlot *slot, MemoryContext context)
{
	Datum rest = raw_row_datum(slot, RAW_KEY_REST);

	if (slot->tts_isnull[RAW_KEY_REST - 1])
		return bytes_empty();
	return fetch_bytes(rest, context);
}

Bytes
raw_row_value(TupleTableSlot *slot, MemoryContext context)
{
	return fetch_bytes(raw_row_datum(slot, RAW_VALUE), context);
}

Size
raw_row_length(TupleTableSlot *slot)
{
	return datum_length(raw_row_datum(slot, RAW_VALUE));
}

void
raw_row_of_slot(TupleTableSlot *slot, RawRow *row)
{
	row->era = raw_row_era(slot);
	row->expires_at = raw_row_expires_at(slot);
	row->cf = raw_row_cf(slot);
	row->key = raw_row_datum(slot, RAW_KEY);
	row->rest = raw_row_datum(slot, RAW_KEY_REST);
	row->has_rest = !slot->tts_isnull[RAW_KEY_REST - 1];
	row->value = raw_row_datum(slot, RAW_VALUE);
}

/* The bytea at *offset of a row's data, or where it is padded to. */
static Datum
next_bytea(const char *data, Size *offset)
{
	const char *bytea;

	*offset = att_align_pointer(*offset, TYPALIGN_INT, -1, data + *offset);
	bytea = data + *offset;
	*offset = att_addlength_pointer(*offset, -1, bytea);
	return PointerGetDatum(bytea);
}

/*
 * What a slot does for any table, in one go.  The columns that are never NULL
 * and of one length come first, so they are at the same place in all rows.
 */
void
raw_row_of_tuple(const HeapTupleData *tuple, RawRow *row)
{
	const HeapTupleHeaderData *header = tuple->t_data;
	const char *data = (const char *) header + header->t_hoff;
	Size offset = 2 * sizeof(int64) + sizeof(char);

	memcpy(&row->era, data, sizeof(int64));
	memcpy(&row->expires_at, data + sizeof(int64), sizeof(int64));
	row->cf = (RawCf) data[2 * sizeof(int64)];
	row->key = next_bytea(data, &offset);
	row->has_rest = (header->t_infomask & HEAP_HASNULL) == 0 ||
		!att_isnull(RAW_KEY_REST - 1, header->t_bits);
	row->rest = row->has_rest ? next_bytea(data, &offset) : (Datum) 0;
	row->value = next_bytea(data, &offset);
}

bool
raw_row_holds(const RawRow *row, RawCf cf, Bytes key, MemoryContext scratch)
{
	StoredKey split = stored_key_split(key);

	return row->cf == cf && bytes_eq(inline_bytes(row->key), split.prefix) &&
		stored_rest_is(row->rest, !row->has_rest, split.rest, scratch);
}

RawFinder *
raw_finder_open(const OpenTables *tables, Snapshot snapshot, bool writer)
{
	RawFinder *finder = palloc0(sizeof(RawFinder));

	finder->heap = tables->raw.heap;
	finder->index = tables->raw.index;
	finder->snapshot = snapshot;
	finder->context = CurrentMemoryContext;
	finder->scratch = AllocSetContextCreate(CurrentMemoryContext, "raw row",
											ALLOCSET_DEFAULT_SIZES);
	finder->slot = table_slot_create(tables->raw.heap, NULL);
	finder->writer = writer;
	ScanKeyInit(&finder->keys[0], RAW_INDEX_CF, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(0));
	ScanKeyInit(&finder->keys[1], RAW_INDEX_KEY, BTEqualStrategyNumber,
				F_BYTEAEQ, PointerGetDatum(finder->probe.bytes));
	return finder;
}

/* Give back what the transaction would miss; the memory is the context's. */
void
raw_finder_close(RawFinder *finder)
{
	if (finder->scan != NULL)
		index_endscan(finder->scan);
	finder->scan = NULL;
	ExecDropSingleTupleTableSlot(finder->slot);
	finder->slot = NULL;
}

void
raw_finder_begin(RawFinder *finder, RawCf cf, Bytes prefix)
{
	MemoryContext caller = MemoryContextSwitchTo(finder->context);

	finder->keys[0].sk_argument = CharGetDatum((char) cf);
	(void) key_probe_set(&finder->probe, prefix);
	if (finder->scan == NULL)
		finder->scan = index_beginscan(finder->heap, finder->index,
									   finder->snapshot, RAW_INDEX_COLUMNS, 0);
	index_rescan(finder->scan, finder->keys, RAW_INDEX_COLUMNS, NULL, 0);
	MemoryContextSwitchTo(caller);
}

bool
raw_finder_next(RawFinder *finder)
{
	/* A btree scan allocates when it pleases, and keeps what it got. */
	MemoryContext caller = MemoryContextSwitchTo(finder->context);
	bool found =
		index_getnext_slot(finder->scan, ForwardScanDirection, finder->slot);

	MemoryContextSwitchTo(caller);
	return found;
}

/*
 * Hold no page: a pin that is left keeps the page from being tidied, by this
 * process, too.
 */
void
raw_finder_release(RawFinder *finder)
{
	ExecClearTuple(finder->slot);
	if (finder->scan != NULL)
		table_index_fetch_reset(finder->scan->xs_heapfetch);
	MemoryContextReset(finder->scratch);
}

RowFetch
raw_finder_fetch(RawFinder *finder, ItemPointer tid)
{
	return row_fetch(finder->heap, &finder->nblocks, tid, PLACE_FOLLOW,
					 finder->snapshot, finder->writer, finder->slot);
}

/* Whether the row in the slot has this rest of a key. */
static bool
row_has_rest(RawFinder *finder, Bytes rest)
{
	Datum stored = raw_row_datum(finder->slot, RAW_KEY_REST);

	return stored_rest_is(stored, finder->slot->tts_isnull[RAW_KEY_REST - 1],
						  rest, finder->scratch);
}

static bool
row_has_key(RawFinder *finder, RawCf cf, const StoredKey *key)
{
	return raw_row_cf(finder->slot) == cf &&
		bytes_eq(raw_row_prefix(finder->slot), key->prefix) &&
		row_has_rest(finder, key->rest);
}

/* As raw_finder_fetch; another key's row is as good as none. */
static RowFetch
fetch_place(RawFinder *finder, RawCf cf, const StoredKey *key,
			ItemPointer place)
{
	RowFetch result = raw_finder_fetch(finder, place);

	if (result == ROW_FOUND && !row_has_key(finder, cf, key))
		result = ROW_ABSENT;
	MemoryContextReset(finder->scratch);
	return result;
}

/* Try the places of a key; if none will do, say what the newest holds. */
static RowFetch
find_by_place(RawFinder *finder, RawCf cf, const StoredKey *key, uint64 hash)
{
	ItemPointerData places[PLACE_WAYS];
	int n = place_find(hash, places);
	RowFetch newest = ROW_ABSENT;

	for (int i = 0; i < n; i++)
	{
		RowFetch result = fetch_place(finder, cf, key, &places[i]);

		if (result == ROW_FOUND)
			return ROW_FOUND;
		if (i == 0)
			newest = result;
	}
	return newest;
}

static bool
find_by_index(RawFinder *finder, RawCf cf, const StoredKey *key)
{
	raw_finder_begin(finder, cf, key->prefix);
	while (raw_finder_next(finder))
	{
		if (key->prefix.len < KEY_PREFIX_LEN || row_has_rest(finder, key->rest))
			return true;
		MemoryContextReset(finder->scratch);
	}
	return false;
}

/*
 * A reader leaves the place of what it had to search for, unless the cache
 * leads to a row that it cannot see: that may be newer than its snapshot.
 */
bool
raw_finder_find(RawFinder *finder, RawCf cf, Bytes key, uint64 hash)
{
	StoredKey split = stored_key_split(key);
	RowFetch newest = find_by_place(finder, cf, &split, hash);

	if (newest == ROW_FOUND)
		return true;
	if (!find_by_index(finder, cf, &split))
		return false;
	if (newest == ROW_ABSENT && !finder->writer)
		place_set(hash, &finder->slot->tts_tid);
	return true;
}
