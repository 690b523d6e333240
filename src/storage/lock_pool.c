/*
 * lock_pool.c
 *	  The durable image of the lock table: a pool of rows in lock_slot.
 *
 * An indexed table of locks would collapse on hot keys as soon as any session
 * holds an old snapshot, since nothing removes its dead entries.  Slots are
 * rewritten in place, found by the address that the store remembers, and need
 * neither index nor vacuum.  Slots freed last are used first: the pages that a
 * turn touches stay few.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/lock_table.h"
#include "core/codec/number.h"
#include "storage/context_arena.h"
#include "storage/lock_pool.h"
#include "storage/uint_datum.h"
#include "storage/version_row.h"

#define FIRST_ROOM 256

LockPool *
lock_pool_new(void)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "lock pool",
							  ALLOCSET_DEFAULT_SIZES);
	LockPool *pool = MemoryContextAllocZero(context, sizeof(LockPool));

	pool->context = context;
	return pool;
}

void
lock_pool_free(LockPool *pool)
{
	MemoryContextDelete(pool->context);
}

void
lock_pool_stats(const LockPool *pool, LockPoolStats *out)
{
	out->slots = pool->n_slots;
	out->free = pool->n_free;
}

/* ------------------------------------------------------------ bookkeeping */

static void *
grow_array(LockPool *pool, void *array, Size size)
{
	return array == NULL ? MemoryContextAllocHuge(pool->context, size) :
						   repalloc_huge(array, size);
}

static void
make_room(LockPool *pool, uint64 n)
{
	uint64 room = Max(pool->room, FIRST_ROOM);

	while (room < n)
		room *= 2;
	if (room == pool->room)
		return;
	pool->places =
		grow_array(pool, pool->places, room * sizeof(ItemPointerData));
	pool->free = grow_array(pool, pool->free, room * sizeof(uint64));
	for (uint64 i = pool->room; i < room; i++)
		ItemPointerSetInvalid(&pool->places[i]);
	pool->room = room;
}

bool
lock_pool_take(LockPool *pool, uint64 *slot)
{
	if (pool->n_free == 0)
		return false;
	*slot = pool->free[--pool->n_free];
	return true;
}

void
lock_pool_give(LockPool *pool, uint64 slot)
{
	Assert(slot < pool->n_slots && pool->n_free < pool->n_slots);
	pool->free[pool->n_free++] = slot;
}

uint64
lock_pool_extend(LockPool *pool)
{
	make_room(pool, pool->n_slots + 1);
	ItemPointerSetInvalid(&pool->places[pool->n_slots]);
	return pool->n_slots++;
}

/* -------------------------------------------------------------------- rows */

uint64
slot_row_number(TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, SLOT_COLUMNS);
	return (uint64) DatumGetInt64(slot->tts_values[SLOT_NUMBER - 1]);
}

bool
slot_row_rec(TupleTableSlot *slot, MemoryContext context, Bytes *rec)
{
	slot_getsomeattrs(slot, SLOT_COLUMNS);
	if (slot->tts_isnull[SLOT_REC - 1])
		return false;
	*rec = fetch_bytes(slot->tts_values[SLOT_REC - 1], context);
	return true;
}

bool
slot_rec_parse(Bytes rec, Bytes *key, Bytes *record)
{
	NumberReader r = number_reader(rec);

	if (!get_compact_bytes(&r, key))
		return false;
	*record = bytes_make(r.next, number_left(&r));
	return record->len > 0;
}

static Datum
slot_rec_form(Bytes key, Bytes record)
{
	bytea *rec = palloc(VARHDRSZ + compact_bytes_room(key) + record.len);
	uint8_t *p = put_compact_bytes((uint8_t *) VARDATA(rec), key);

	memcpy(p, record.data, record.len);
	SET_VARSIZE(rec, (char *) p + record.len - (char *) rec);
	return PointerGetDatum(rec);
}

/* The row must be where it is remembered, for it is found in no other way. */
static void
verify_row(const OpenTable *slots, Snapshot snapshot, TupleTableSlot *fetched,
		   uint64 number, ItemPointer place)
{
	BlockNumber nblocks = 0;
	bool good = row_fetch(slots->heap, &nblocks, place, 0, snapshot, true,
						  fetched) == ROW_FOUND &&
		slot_row_number(fetched) == number;

	ExecClearTuple(fetched);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("slot " UINT64_FORMAT
						" of table \"%s\" is not where it was written",
						number, RelationGetRelationName(slots->heap))));
}

void
slot_row_write(const OpenTable *slots, Snapshot snapshot,
			   TupleTableSlot *fetched, uint64 number, Bytes key, Bytes record,
			   ItemPointer place)
{
	Datum values[SLOT_COLUMNS];
	bool isnull[SLOT_COLUMNS] = {false};
	HeapTuple tuple;

	values[SLOT_NUMBER - 1] = uint64_to_int8(number, "slot number");
	values[SLOT_REC - 1] = (Datum) 0;
	isnull[SLOT_REC - 1] = record.len == 0;
	if (record.len > 0)
		values[SLOT_REC - 1] = slot_rec_form(key, record);
	tuple = heap_form_tuple(RelationGetDescr(slots->heap), values, isnull);
	if (ItemPointerIsValid(place))
	{
		verify_row(slots, snapshot, fetched, number, place);
		row_update(slots->heap, &slots->indexes, place, tuple, values, isnull);
	}
	else
		row_insert(slots->heap, &slots->indexes, tuple, values, isnull);
	*place = tuple->t_self;
}

/* ----------------------------------------------------------------- reading */

/* Call for each row; the rows are held during the call. */
static void
each_row(const OpenTable *slots, Snapshot snapshot,
		 void (*call)(void *arg, TupleTableSlot *slot, MemoryContext row),
		 void *arg)
{
	TupleTableSlot *slot = table_slot_create(slots->heap, NULL);
	TableScanDesc scan = table_beginscan(slots->heap, snapshot, 0, NULL);
	MemoryContext row =
		AllocSetContextCreate(CurrentMemoryContext, "lock slot row",
							  ALLOCSET_DEFAULT_SIZES);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		call(arg, slot, row);
		MemoryContextReset(row);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row);
}

static void
note_place(LockPool *pool, TupleTableSlot *slot)
{
	uint64 number = slot_row_number(slot);

	/* Numbers are given in order, so a gap can only be damage. */
	if (number >= MaxAllocHugeSize / sizeof(uint64) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("slot number " UINT64_FORMAT " is too large", number)));
	make_room(pool, number + 1);
	pool->n_slots = Max(pool->n_slots, number + 1);
	pool->places[number] = slot->tts_tid;
}

static void
attach_row(void *arg, TupleTableSlot *slot, MemoryContext row)
{
	(void) row;
	note_place(arg, slot);
}

void
lock_pool_attach(LockPool *pool, const OpenTable *slots, Snapshot snapshot)
{
	Oid relation = RelationGetRelid(slots->heap);
	Oid relfilenode = slots->heap->rd_rel->relfilenode;

	if (pool->relation == relation && pool->relfilenode == relfilenode)
		return;
	each_row(slots, snapshot, attach_row, pool);
	pool->relation = relation;
	pool->relfilenode = relfilenode;
}

/* ------------------------------------------------------------------ at start */

/* A lock that finds no room in memory any more. */
typedef struct HomelessLock
{
	uint64 slot;
	Bytes key;
	Bytes record;
} HomelessLock;

typedef struct Load
{
	LockPool *pool;
	Arena *arena; /* for decoding, only to see that it can be */
	List *homeless;
} Load;

static void
refuse_slot(uint64 number, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("slot " UINT64_FORMAT " of table \"lock_slot\": %s", number,
					what)));
}

static Bytes
copy_bytes(Bytes bytes)
{
	uint8 *copy = palloc(Max(bytes.len, 1));

	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	return bytes_make(copy, bytes.len);
}

static void
load_lock(Load *load, uint64 number, Bytes rec)
{
	LockPlace place = {LOCK_KIND_DURABLE, number};
	LockPlace other;
	HomelessLock *homeless;
	LockRoom room;
	Bytes key;
	Bytes record;
	Lock lock;

	arena_reset(load->arena);
	if (!slot_rec_parse(rec, &key, &record) ||
		lock_decode(record, load->arena, &lock) != STATUS_OK)
		refuse_slot(number, "it holds no lock");
	if (lock_table_find(key, &other))
		refuse_slot(number, "its key is locked by another slot");
	if (lock_table_reserve(key, record, &room))
	{
		lock_table_put(&room, key, record, place);
		return;
	}
	homeless = palloc(sizeof(HomelessLock));
	homeless->slot = number;
	homeless->key = copy_bytes(key);
	homeless->record = copy_bytes(record);
	load->homeless = lappend(load->homeless, homeless);
}

static void
load_row(void *arg, TupleTableSlot *slot, MemoryContext row)
{
	Load *load = arg;
	uint64 number = slot_row_number(slot);
	Bytes rec;

	note_place(load->pool, slot);
	if (slot_row_rec(slot, row, &rec))
		load_lock(load, number, rec);
	else
		load->pool->free[load->pool->n_free++] = number;
}

/* What finds no room moves to lock_spill, and its slot is free. */
static void
move_out(Load *load, const OpenTables *tables, Snapshot snapshot)
{
	LockPool *pool = load->pool;
	TupleTableSlot *fetched = table_slot_create(tables->lock_slot.heap, NULL);
	VersionWriter spill;
	ListCell *cell;

	version_writer_open(&spill, &tables->lock_spill, snapshot);
	foreach (cell, load->homeless)
	{
		HomelessLock *lock = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!version_put(&spill, lock->key, 0, lock->record))
			refuse_slot(lock->slot, "its key is locked in lock_spill, too");
		slot_row_write(&tables->lock_slot, snapshot, fetched, lock->slot,
					   bytes_empty(), bytes_empty(), &pool->places[lock->slot]);
		lock_pool_give(pool, lock->slot);
		lock_table_add_spilled(1);
	}
	version_writer_close(&spill);
	ExecDropSingleTupleTableSlot(fetched);
}

static bool
count_spilled(void *arg, Bytes key, uint64 ts, Bytes bytes)
{
	(void) key;
	(void) ts;
	(void) bytes;
	(*(int64 *) arg)++;
	return true;
}

static int
descending(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return (x < y) - (x > y);
}

static bool
holds_lock(const Datum *values, const bool *isnull, void *arg)
{
	(void) values;
	(void) arg;
	return !isnull[SLOT_REC - 1];
}

bool
lock_pool_has_stored(void)
{
	return table_has_row("lock_slot", holds_lock, NULL);
}

void
lock_pool_load(LockPool *pool, const OpenTables *tables, Snapshot snapshot)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "lock pool load",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Load *load = palloc0(sizeof(Load));
	int64 n_spilled = 0;
	VersionScan all = {.emit = count_spilled, .arg = &n_spilled};

	load->pool = pool;
	load->arena = context_arena(context);
	pool->n_slots = 0;
	pool->n_free = 0;
	make_room(pool, FIRST_ROOM);
	each_row(&tables->lock_slot, snapshot, load_row, load);
	qsort(pool->free, pool->n_free, sizeof(uint64), descending);
	pool->relation = RelationGetRelid(tables->lock_slot.heap);
	pool->relfilenode = tables->lock_slot.heap->rd_rel->relfilenode;
	version_scan_run(&tables->lock_spill, snapshot, &all);
	lock_table_add_spilled(n_spilled);
	if (load->homeless != NIL)
		move_out(load, tables, snapshot);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
