/*
 * txn_writer.c
 *	  Writes a turn's TxnModify effects: rows of write and value, locks into
 *	  their slots, and after the commit into the lock table.
 *
 * What the turn takes before its commit (free slots, room in the lock table,
 * the count of spilled locks) is given back by a callback of the writer's
 * memory context if the commit did not come.  What readers may see of locks
 * changes only after the commit.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "bus/failpoints.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/lock_table.h"
#include "storage/lock_pool.h"
#include "storage/version_hint.h"
#include "storage/version_row.h"

#define FIRST_ROOM 64

/* What becomes of a key's lock once the turn is committed. */
typedef struct LockChange
{
	Bytes key;
	Bytes record;
	bool put; /* the record, in `room`, at `place` */
	bool remove;
	LockRoom room;
	LockPlace place;
	/* The slot that was written, if any, and where its row is now. */
	bool wrote;
	bool took; /* from the free list */
	bool frees;
	uint64 slot;
	ItemPointerData row;
} LockChange;

struct TxnWriter
{
	MemoryContext context; /* of the writer */
	MemoryContext scratch; /* for one row */
	MemoryContextCallback callback;
	const OpenTables *tables;
	Snapshot snapshot;
	LockPool *pool;
	bool done;		   /* committed, or given back */
	uint64 generation; /* of the lock table */
	uint64 n_slots_before;

	/* Opened at their first use. */
	VersionWriter *write;
	VersionWriter *value;
	VersionWriter *spill;
	TupleTableSlot *fetched; /* for rows of lock_slot */

	LockChange *changes;
	Size n_changes;
	Size room;
	int64 spilled_added;
	int64 spilled_removed;
};

/* -------------------------------------------------------- begin and end */

/* The turn was aborted: the pool and the lock table are as before. */
static void
give_back(TxnWriter *writer)
{
	bool same_table = writer->generation == lock_table_generation();

	for (Size i = writer->n_changes; i > 0; i--)
	{
		LockChange *change = &writer->changes[i - 1];

		if (change->took)
			lock_pool_give(writer->pool, change->slot);
		if (same_table)
			lock_table_unreserve(&change->room);
	}
	writer->pool->n_slots = writer->n_slots_before;
	if (same_table && writer->spilled_added > 0)
		lock_table_add_spilled(-writer->spilled_added);
}

static void
on_reset(void *arg)
{
	TxnWriter *writer = arg;

	if (!writer->done)
		give_back(writer);
	writer->done = true;
}

TxnWriter *
txn_writer_open(const OpenTables *tables, Snapshot snapshot, LockPool *pool)
{
	MemoryContext context;
	MemoryContext caller;
	TxnWriter *writer;

	/* These end with the commit, before txn_writer_published. */
	if (CurrentMemoryContext == TopTransactionContext ||
		CurrentMemoryContext == CurTransactionContext)
		elog(
			ERROR,
			"a transaction writer needs a memory context that outlives its transaction");

	lock_pool_attach(pool, &tables->lock_slot, snapshot);
	context = AllocSetContextCreate(CurrentMemoryContext, "txn writer",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	writer = palloc0(sizeof(TxnWriter));
	writer->context = context;
	writer->scratch = AllocSetContextCreate(context, "txn writer row",
											ALLOCSET_DEFAULT_SIZES);
	writer->tables = tables;
	writer->snapshot = snapshot;
	writer->pool = pool;
	writer->generation = lock_table_generation();
	writer->n_slots_before = pool->n_slots;
	writer->callback.func = on_reset;
	writer->callback.arg = writer;
	MemoryContextRegisterResetCallback(context, &writer->callback);
	MemoryContextSwitchTo(caller);
	return writer;
}

static void
close_rows(VersionWriter **rows)
{
	if (*rows != NULL)
		version_writer_close(*rows);
	*rows = NULL;
}

void
txn_writer_close(TxnWriter *writer)
{
	close_rows(&writer->write);
	close_rows(&writer->value);
	close_rows(&writer->spill);
	if (writer->fetched != NULL)
		ExecDropSingleTupleTableSlot(writer->fetched);
	writer->fetched = NULL;
}

static void
publish_change(TxnWriter *writer, LockChange *change)
{
	if (change->wrote)
		writer->pool->places[change->slot] = change->row;
	if (change->put)
		lock_table_put(&change->room, change->key, change->record,
					   change->place);
	if (change->remove)
		lock_table_delete(change->key);
	if (change->frees)
		lock_pool_give(writer->pool, change->slot);
}

void
txn_writer_published(TxnWriter *writer)
{
	Assert(writer->write == NULL && writer->spill == NULL);
	writer->done = true;
	for (Size i = 0; i < writer->n_changes; i++)
		publish_change(writer, &writer->changes[i]);
	if (writer->spilled_removed > 0)
		lock_table_add_spilled(-writer->spilled_removed);
	MemoryContextDelete(writer->context);
}

/* ---------------------------------------------------------------- helpers */

static VersionWriter *
rows_of(TxnWriter *writer, VersionWriter **rows, const OpenTable *table)
{
	if (*rows == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(writer->context);
		VersionWriter *opened = palloc(sizeof(VersionWriter));

		version_writer_open(opened, table, writer->snapshot);
		*rows = opened;
		MemoryContextSwitchTo(caller);
	}
	return *rows;
}

static VersionWriter *
write_rows(TxnWriter *writer)
{
	const OpenTable *table = &writer->tables->write;
	VersionWriter *rows = rows_of(writer, &writer->write, table);

	rows->hinted = version_hints_cover(RelationGetRelid(table->heap));
	return rows;
}

static VersionWriter *
spill_rows(TxnWriter *writer)
{
	return rows_of(writer, &writer->spill, &writer->tables->lock_spill);
}

static Bytes
keep_bytes(TxnWriter *writer, Bytes bytes)
{
	uint8 *copy;

	if (bytes.len == 0)
		return bytes_empty();
	copy = MemoryContextAlloc(writer->context, bytes.len);
	memcpy(copy, bytes.data, bytes.len);
	return bytes_make(copy, bytes.len);
}

static LockChange *
add_change(TxnWriter *writer, const TxnModify *modify)
{
	LockChange *change;

	if (writer->n_changes == writer->room)
	{
		Size room = Max(writer->room * 2, FIRST_ROOM);
		Size size = room * sizeof(LockChange);

		writer->changes = writer->changes == NULL ?
			MemoryContextAlloc(writer->context, size) :
			repalloc_huge(writer->changes, size);
		writer->room = room;
	}
	change = &writer->changes[writer->n_changes];
	memset(change, 0, sizeof(*change));
	change->key = keep_bytes(writer, modify->key);
	change->record = keep_bytes(writer, modify->bytes);
	writer->n_changes++;
	return change;
}

/* ------------------------------------------------------------------- locks */

/* Write the row of a slot: with the change's lock, or without any. */
static void
write_slot(TxnWriter *writer, LockChange *change, bool lock)
{
	MemoryContext caller = MemoryContextSwitchTo(writer->scratch);

	if (writer->fetched == NULL)
	{
		MemoryContextSwitchTo(writer->context);
		writer->fetched =
			table_slot_create(writer->tables->lock_slot.heap, NULL);
		MemoryContextSwitchTo(writer->scratch);
	}
	FAILPOINT("storage_before_lock_slot");
	change->row = writer->pool->places[change->slot];
	slot_row_write(&writer->tables->lock_slot, writer->snapshot,
				   writer->fetched, change->slot, change->key,
				   lock ? change->record : bytes_empty(), &change->row);
	change->wrote = true;
	FAILPOINT("storage_after_lock_slot");
	MemoryContextSwitchTo(caller);
	MemoryContextReset(writer->scratch);
}

/* The key's lock was in a slot that is not needed any more. */
static void
free_slot(TxnWriter *writer, LockChange *change, const LockPlace *place)
{
	if (place->kind != LOCK_KIND_DURABLE)
		return;
	change->slot = place->slot;
	change->frees = true;
	write_slot(writer, change, false);
}

/* The lock goes to lock_spill; what is in memory ends with the commit. */
static void
spill_lock(TxnWriter *writer, LockChange *change, const LockPlace *present)
{
	if (version_put(spill_rows(writer), change->key, 0, change->record))
	{
		writer->spilled_added++;
		lock_table_add_spilled(1);
	}
	if (present == NULL)
		return;
	change->remove = true;
	free_slot(writer, change, present);
}

static void
choose_slot(TxnWriter *writer, LockChange *change, const LockPlace *present)
{
	if (present != NULL && present->kind == LOCK_KIND_DURABLE)
		change->slot = present->slot;
	else
	{
		change->took = lock_pool_take(writer->pool, &change->slot);
		if (!change->took)
			change->slot = lock_pool_extend(writer->pool);
	}
	change->place.slot = change->slot;
}

/*
 * A spilled lock stays spilled: moved into memory, it could be missed by a
 * reader that had looked there before.
 */
static bool
is_spilled(TxnWriter *writer, Bytes key)
{
	bool found;

	if (lock_table_n_spilled() == 0)
		return false;
	found = version_find_exact(spill_rows(writer)->finder, key, 0);
	version_finder_release(spill_rows(writer)->finder);
	return found;
}

static void
put_lock(TxnWriter *writer, const TxnModify *modify)
{
	LockChange *change = add_change(writer, modify);
	LockPlace found;
	LockPlace *present = lock_table_find(modify->key, &found) ? &found : NULL;

	if ((present == NULL && is_spilled(writer, modify->key)) ||
		!lock_table_reserve(change->key, change->record, &change->room))
	{
		spill_lock(writer, change, present);
		return;
	}
	change->put = true;
	if (modify->memory_only)
	{
		change->place.kind = LOCK_KIND_MEMORY;
		change->place.slot = modify->region_id;
		if (present != NULL)
			free_slot(writer, change, present);
		return;
	}
	change->place.kind = LOCK_KIND_DURABLE;
	choose_slot(writer, change, present);
	write_slot(writer, change, true);
}

static void
delete_lock(TxnWriter *writer, const TxnModify *modify)
{
	LockPlace present;

	if (lock_table_find(modify->key, &present))
	{
		LockChange *change = add_change(writer, modify);

		change->remove = true;
		free_slot(writer, change, &present);
	}
	else if (lock_table_n_spilled() != 0 &&
			 version_delete(spill_rows(writer), modify->key, 0))
		writer->spilled_removed++;
}

/* ----------------------------------------------------------------- applying */

static void
apply_version(VersionWriter *rows, const TxnModify *modify)
{
	if (modify->is_delete)
		(void) version_delete(rows, modify->key, modify->ts);
	else
		(void) version_put(rows, modify->key, modify->ts, modify->bytes);
}

void
txn_writer_apply(TxnWriter *writer, const TxnModify *modify)
{
	switch (modify->cf)
	{
		case TXN_CF_LOCK:
			if (modify->is_delete)
				delete_lock(writer, modify);
			else
				put_lock(writer, modify);
			break;
		case TXN_CF_WRITE:
			apply_version(write_rows(writer), modify);
			break;
		case TXN_CF_VALUE:
			apply_version(rows_of(writer, &writer->value,
								  &writer->tables->value),
						  modify);
			break;
	}
}
