/*
 * grant_rows.c
 *	  The rows of a grant, from the store that decides them to the backend that
 *	  writes them.
 *
 * The backend is the second writer of these tables, but never of the same
 * rows at the same time: while the grant lasts the store decides nothing on
 * its keys.  Versions are found by the index, as hints are the store's own.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bus/lock_table.h"
#include "core/base/check.h"
#include "core/codec/number.h"
#include "storage/bad_block.h"
#include "storage/grant_rows.h"
#include "storage/lock_pool.h"
#include "storage/version_row.h"

/* ----------------------------------------------------------------- the wire */

/* Tag 0 does not exist in protobuf. */
#define ANSWER_MARK 0

#define ANSWER_FIXED (2 + 4 * 8)
#define ROW_FIXED (2 + 8)

static size_t
encoded_size(const GrantAnswer *answer, Bytes reason)
{
	size_t size = ANSWER_FIXED + compact_bytes_room(reason);

	for (size_t i = 0; i < answer->n_rows; i++)
		size += ROW_FIXED + compact_bytes_room(answer->rows[i].key) +
			compact_bytes_room(answer->rows[i].bytes);
	return size;
}

Bytes
grant_answer_encode(const GrantAnswer *answer, Arena *arena)
{
	Bytes reason =
		answer->reason == NULL ? bytes_empty() : bytes_cstr(answer->reason);
	uint8 *bytes = arena_alloc(arena, encoded_size(answer, reason));
	uint8 *p = put_u8(bytes, ANSWER_MARK);

	p = put_u8(p, (uint8) answer->verdict);
	p = put_u64(p, (uint64) answer->grant);
	p = put_u64(p, answer->generation);
	p = put_u64(p, answer->commit_ts);
	p = put_u64(p, answer->n_rows);
	p = put_compact_bytes(p, reason);
	for (size_t i = 0; i < answer->n_rows; i++)
	{
		const TxnModify *row = &answer->rows[i];

		p = put_u8(p, (uint8) row->cf);
		p = put_u8(p, row->is_delete);
		p = put_u64(p, row->ts);
		p = put_compact_bytes(p, row->key);
		p = put_compact_bytes(p, row->bytes);
	}
	return bytes_make(bytes, (size_t) (p - bytes));
}

static bool
decode_row(NumberReader *r, TxnModify *row)
{
	uint8 cf;
	uint8 is_delete;

	if (!get_u8(r, &cf) || !get_u8(r, &is_delete) || !get_u64(r, &row->ts) ||
		!get_compact_bytes(r, &row->key) || !get_compact_bytes(r, &row->bytes))
		return false;
	row->cf = (TxnCf) cf;
	row->is_delete = is_delete != 0;
	return true;
}

bool
grant_answer_decode(Bytes bytes, Arena *arena, GrantAnswer *answer)
{
	NumberReader r = number_reader(bytes);
	uint8 mark;
	uint8 verdict;
	uint64 grant;
	uint64 n;
	Bytes reason;

	memset(answer, 0, sizeof(*answer));
	if (!get_u8(&r, &mark) || mark != ANSWER_MARK || !get_u8(&r, &verdict) ||
		!get_u64(&r, &grant) || !get_u64(&r, &answer->generation) ||
		!get_u64(&r, &answer->commit_ts) || !get_u64(&r, &n) ||
		!get_compact_bytes(&r, &reason) || n > number_left(&r))
		return false;
	answer->verdict = (GrantVerdict) verdict;
	answer->grant = (int) grant;
	answer->reason = arena_printf(arena, "%.*s", (int) reason.len,
								  (const char *) reason.data);
	answer->rows = arena_zalloc(arena, n * sizeof(TxnModify));
	for (; answer->n_rows < n; answer->n_rows++)
		if (!decode_row(&r, &answer->rows[answer->n_rows]))
			return false;
	return true;
}

/* ----------------------------------------------------------------- the rows */

typedef struct Rows
{
	const OpenTables *tables;
	Snapshot snapshot;
	const GrantAnswer *answer;
	VersionWriter write;
	VersionWriter value;
	VersionWriter spill;
	TupleTableSlot *fetched; /* a row of lock_slot */
	Size at;				 /* behind the last key that was found */
} Rows;

/* Keys and rows are in the same order. */
static GrantKey *
find_key(Rows *rows, Bytes wanted)
{
	GrantKey *key;

	while ((key = grant_next_key(rows->answer->grant, &rows->at)) != NULL)
		if (bytes_eq(grant_key_bytes(key), wanted))
			return key;
	elog(ERROR, "a lock of the grant is on none of its keys");
	return NULL;
}

static void
free_slot(Rows *rows, GrantKey *key)
{
	const OpenTable *slots = &rows->tables->lock_slot;
	ItemPointerData row = key->row;

	slot_row_write(slots, rows->snapshot, rows->fetched, key->slot,
				   bytes_empty(), bytes_empty(), &row);
	key->row = row;
	key->file = slots->heap->rd_rel->relfilenode;
}

static void
delete_lock(Rows *rows, Bytes wanted)
{
	GrantKey *key = find_key(rows, wanted);

	switch ((GrantKeyLock) key->lock)
	{
		case GRANT_LOCK_NONE:
		case GRANT_LOCK_MEMORY:
			break;
		case GRANT_LOCK_SLOT:
			free_slot(rows, key);
			break;
		case GRANT_LOCK_SPILLED:
			(void) version_delete(&rows->spill, wanted, 0);
			break;
	}
}

static void
write_row(Rows *rows, const TxnModify *row)
{
	VersionWriter *writer =
		row->cf == TXN_CF_WRITE ? &rows->write : &rows->value;

	if (row->cf == TXN_CF_LOCK)
	{
		/* A commit in one phase leaves none. */
		if (!row->is_delete)
			elog(ERROR, "the grant would leave a lock");
		delete_lock(rows, row->key);
	}
	else if (row->is_delete)
		(void) version_delete(writer, row->key, row->ts);
	else
		(void) version_put(writer, row->key, row->ts, row->bytes);
}

static void
write_rows(const OpenTables *tables, Snapshot snapshot,
		   const GrantAnswer *answer)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "rows of a grant",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	MemoryContext scratch = AllocSetContextCreate(context, "row of a grant",
												  ALLOCSET_DEFAULT_SIZES);
	Rows rows = {.tables = tables, .snapshot = snapshot, .answer = answer};

	version_writer_open(&rows.write, &tables->write, snapshot);
	version_writer_open(&rows.value, &tables->value, snapshot);
	version_writer_open(&rows.spill, &tables->lock_spill, snapshot);
	rows.fetched = table_slot_create(tables->lock_slot.heap, NULL);
	MemoryContextSwitchTo(scratch);
	for (size_t i = 0; i < answer->n_rows; i++)
	{
		write_row(&rows, &answer->rows[i]);
		MemoryContextReset(scratch);
	}
	version_writer_close(&rows.write);
	version_writer_close(&rows.value);
	version_writer_close(&rows.spill);
	ExecDropSingleTupleTableSlot(rows.fetched);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ----------------------------------------------- blocks that cannot be read */

/* One was met, and rows may go there where this process has put rows last. */
static bool met_damage;

static void
forget_block(Relation heap)
{
	Oid toast = heap->rd_rel->reltoastrelid;

	RelationSetTargetBlock(heap, InvalidBlockNumber);
	if (!OidIsValid(toast))
		return;
	heap = table_open(toast, RowExclusiveLock);
	RelationSetTargetBlock(heap, InvalidBlockNumber);
	table_close(heap, NoLock);
}

/* The transaction ends by it; the store sees to it that the next one does not. */
static void
note_damage(const GrantAnswer *answer)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	ErrorData *error = CopyErrorData();

	if (bad_block_may_say(error->sqlerrcode))
	{
		met_damage = true;
		grant_note_error(answer->grant, error->sqlerrcode, error->message);
	}
	FreeErrorData(error);
	MemoryContextSwitchTo(caller);
}

void
grant_rows_write(const OpenTables *tables, Snapshot snapshot,
				 const GrantAnswer *answer)
{
	if (met_damage)
	{
		forget_block(tables->write.heap);
		forget_block(tables->value.heap);
		met_damage = false;
	}
	PG_TRY();
	{
		write_rows(tables, snapshot, answer);
	}
	PG_CATCH();
	{
		note_damage(answer);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* ---------------------------------------------------------------- the store */

ItemPointerData
grant_slot_row(const LockPool *pool, uint64 slot)
{
	CHECK(slot < pool->n_slots);
	return pool->places[slot];
}

/*
 * The lock may be gone from memory already: a store that began after the
 * commit has read so.  And its row may have moved on with the whole table,
 * where the pool will look for it, or has.
 */
void
grant_lock_ended(LockPool *pool, const GrantKey *key)
{
	Bytes user_key = grant_key_bytes(key);
	LockPlace place;

	if (key->lock == GRANT_LOCK_SPILLED)
	{
		lock_table_add_spilled(-1);
		return;
	}
	if (key->lock == GRANT_LOCK_NONE || !lock_table_find(user_key, &place))
		return;
	lock_table_delete(user_key);
	if (place.kind != LOCK_KIND_DURABLE)
		return;
	if (OidIsValid(key->file) && pool->relfilenode == key->file)
		pool->places[place.slot] = key->row;
	lock_pool_give(pool, place.slot);
}
