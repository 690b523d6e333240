/*
 * heap_move.c
 *	  Rows of a long table, moved from its end to its beginning.
 *
 * Nothing here is new to Postgres: a row is deleted and inserted.  Who reads
 * under an older snapshot finds it where it was, who reads under a newer one
 * where it is now.  The new index entry says the same as the old one, so
 * uniqueness is not looked at, and the btree is told to look for dead entries.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/places.h"
#include "storage/heap_compact.h"
#include "storage/low_rooms.h"
#include "storage/raw_row.h"
#include "storage/txn_table.h"
#include "storage/version_row.h"

struct MovedRow
{
	uint64 hash;
	ItemPointerData tid;
};

void
heap_move_init(HeapMove *move, const OpenTable *table, Snapshot snapshot,
			   int max_rows, Size max_bytes)
{
	memset(move, 0, sizeof(*move));
	move->table = table;
	move->snapshot = snapshot;
	move->max_rows = max_rows;
	move->max_bytes = max_bytes;
	move->places = palloc(max_rows * sizeof(MovedRow));
}

/* The rows of a page that the snapshot sees, as copies. */
static int
copy_rows(const HeapMove *move, BlockNumber block, HeapTuple *rows)
{
	Relation heap = move->table->heap;
	BufferAccessStrategy ring = GetAccessStrategy(BAS_BULKREAD);
	Buffer buffer =
		ReadBufferExtended(heap, MAIN_FORKNUM, block, RBM_NORMAL, ring);
	Page page = BufferGetPage(buffer);
	int n = 0;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page);
		 i++)
	{
		ItemPointerData tid;
		HeapTupleData tuple;

		ItemPointerSet(&tid, block, i);
		if (row_find_item(heap, buffer, &tid, &tuple) &&
			HeapTupleSatisfiesVisibility(&tuple, move->snapshot, buffer))
			rows[n++] = heap_copytuple(&tuple);
	}
	UnlockReleaseBuffer(buffer);
	FreeAccessStrategy(ring);
	return n;
}

/* The key of a row, in the current context. */
static Bytes
key_of(Datum prefix, Datum rest, bool rest_isnull)
{
	Bytes begin = inline_bytes(prefix);
	Bytes end;
	uint8 *key;

	if (rest_isnull)
		return begin;
	end = fetch_bytes(rest, CurrentMemoryContext);
	key = palloc(begin.len + end.len);
	memcpy(key, begin.data, begin.len);
	memcpy(key + begin.len, end.data, end.len);
	return bytes_make(key, begin.len + end.len);
}

static void
note_place(HeapMove *move, const ItemPointerData *tid, const Datum *values,
		   const bool *isnull)
{
	Bytes key = key_of(values[RAW_KEY - 1], values[RAW_KEY_REST - 1],
					   isnull[RAW_KEY_REST - 1]);
	uint8 cf = (uint8) DatumGetChar(values[RAW_CF - 1]);
	int64 expires_at = DatumGetInt64(values[RAW_EXPIRES_AT - 1]);
	MovedRow *moved = &move->places[move->n_places++];

	moved->hash = place_hash(cf, key);
	moved->tid = *tid;
	if (move->watch != NULL && expires_at != 0)
		move->watch(move->watch_arg, ItemPointerGetBlockNumber(tid),
					expires_at);
}

/*
 * A backend that has a grant on the key may be writing this row, and would be
 * told that somebody else has changed it.
 */
static bool
is_granted(const Datum *values, const bool *isnull)
{
	return version_is_foreign(key_of(values[VERSION_KEY - 1],
									 values[VERSION_KEY_REST - 1],
									 isnull[VERSION_KEY_REST - 1]));
}

/* low_rooms_aim gives up after some blocks, and goes on when asked again. */
#define AIMS 16

/* Where a row of this length may go: HEAP_MOVED_ALL if there is a place. */
static HeapMoved
aim_below(Relation heap, BlockNumber block, Size len)
{
	for (int i = 0; i < AIMS; i++)
	{
		BlockNumber target = low_rooms_aim(heap, len);
		const RoomMark *mark = low_rooms_mark(heap);

		if (target != InvalidBlockNumber)
			return target < block ? HEAP_MOVED_ALL : HEAP_MOVED_MET;
		if (mark == NULL || mark->met)
			return HEAP_MOVED_MET;
	}
	return HEAP_MOVED_SOME;
}

/* HEAP_MOVED_ALL: the row is done with. */
static HeapMoved
move_row(HeapMove *move, HeapTuple row)
{
	Relation heap = move->table->heap;
	TupleDesc desc = RelationGetDescr(heap);
	ItemPointerData old = row->t_self;
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *isnull = palloc(desc->natts * sizeof(bool));
	HeapMoved result;

	if (HeapTupleHasExternal(row))
		row = toast_flatten_tuple(row, desc);
	heap_deform_tuple(row, desc, values, isnull);
	if (move->versions && is_granted(values, isnull))
		return HEAP_MOVED_ALL;
	result = aim_below(heap, ItemPointerGetBlockNumber(&old), row->t_len);
	if (result != HEAP_MOVED_ALL ||
		!row_move(heap, &move->table->indexes, &old, row, values, isnull))
		return result;
	move->rows++;
	move->bytes += row->t_len;
	if (!move->versions)
		note_place(move, &row->t_self, values, isnull);
	return HEAP_MOVED_ALL;
}

HeapMoved
heap_move_block(HeapMove *move, BlockNumber block)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "rows that are moved",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	HeapTuple *rows = palloc(MaxHeapTuplesPerPage * sizeof(HeapTuple));
	int n = copy_rows(move, block, rows);
	HeapMoved result = HEAP_MOVED_ALL;

	for (int i = 0; i < n && result == HEAP_MOVED_ALL; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (move->rows >= move->max_rows || move->bytes >= move->max_bytes)
			result = HEAP_MOVED_SOME;
		else
			result = move_row(move, rows[i]);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}

/* Keys that nobody has asked for lately are not brought into the cache. */
void
heap_move_published(const HeapMove *move)
{
	for (int i = 0; i < move->n_places; i++)
	{
		const MovedRow *moved = &move->places[i];
		ItemPointerData places[PLACE_WAYS];

		if (place_find(moved->hash, places) > 0)
			place_set(moved->hash, &moved->tid);
	}
}
