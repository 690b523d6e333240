/*
 * rows_slice.c
 *	  Some rows of a region, written or removed in a transaction of their own.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/lock_table.h"
#include "store/rows_slice.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

bool
rows_slice_open(RowsSlice *slice, Store *store)
{
	TablesAnswer answer;

	slice->store = store;
	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	answer = tables_open(&store->tables,
						 TABLES_RAW | TABLES_TXN | TABLES_SPILL | TABLES_LOG,
						 true, false, &slice->tables);
	if (answer != TABLES_OK)
	{
		store_report_blocker(store, answer);
		CommitTransactionCommand();
		return false;
	}
	slice->snapshot = RegisterSnapshot(GetLatestSnapshot());
	slice->raw = raw_writer_open(&slice->tables, slice->snapshot);
	if (store->sweeper.enabled)
		raw_writer_watch(slice->raw, sweeper_note, store);
	slice->txn = txn_writer_open(&slice->tables, slice->snapshot, store->pool);
	return true;
}

void
rows_slice_write(RowsSlice *slice, const SnapshotRecord *r, bool remove)
{
	RawModify raw = {.cf = r->cf, .key = r->key};
	TxnModify txn = {.key = r->key, .ts = r->number};

	switch (r->op)
	{
		case SNAPSHOT_RAW_PUT:
		case SNAPSHOT_RAW_DELETE:
			raw.kind =
				r->op == SNAPSHOT_RAW_DELETE || remove ? RAW_DELETE : RAW_PUT;
			raw.value = r->bytes;
			raw.expires_at = (int64) r->number;
			raw.era = slice->store->ranges.era;
			raw_writer_apply(slice->raw, &raw);
			return;
		case SNAPSHOT_WRITE_PUT:
		case SNAPSHOT_WRITE_DELETE:
			txn.cf = TXN_CF_WRITE;
			break;
		case SNAPSHOT_VALUE_PUT:
		case SNAPSHOT_VALUE_DELETE:
			txn.cf = TXN_CF_VALUE;
			break;
		case SNAPSHOT_LOCK_PUT:
		case SNAPSHOT_LOCK_DELETE:
			txn.cf = TXN_CF_LOCK;
			txn.ts = 0;
			break;
		case SNAPSHOT_RAW_RANGE:
			return;
	}
	txn.is_delete = remove || r->op == SNAPSHOT_WRITE_DELETE ||
		r->op == SNAPSHOT_VALUE_DELETE || r->op == SNAPSHOT_LOCK_DELETE;
	txn.bytes = r->bytes;
	txn_writer_apply(slice->txn, &txn);
}

/* Rows are removed after the walk: a scan must not see what it does. */
typedef struct OldRows
{
	SnapshotRecord *records;
	int n;
	Arena *arena;
} OldRows;

static void
note_old(void *arg, const SnapshotRecord *record)
{
	OldRows *old = arg;
	SnapshotRecord *copy = &old->records[old->n++];

	*copy = *record;
	copy->key = arena_copy(old->arena, record->key);
	copy->bytes = bytes_empty();
}

int
rows_slice_remove(RowsSlice *slice, SnapshotWalk *walk)
{
	OldRows old = {.arena = &slice->store->arena};

	/* Locks come in pieces of their own, with all that are spilled. */
	old.records = MemoryContextAllocHuge(slice->store->turn_context,
										 (2 * SNAPSHOT_SLICE_ROWS +
										  (Size) lock_table_n_spilled()) *
											 sizeof(SnapshotRecord));
	(void) snapshot_walk_slice(walk, &slice->tables, slice->snapshot,
							   SNAPSHOT_SLICE_BYTES * 4, SNAPSHOT_SLICE_ROWS,
							   note_old, &old);
	for (int i = 0; i < old.n; i++)
		rows_slice_write(slice, &old.records[i], true);
	return old.n;
}

static bool
note_key(void *arg, const RawPair *pair)
{
	SnapshotRecord record = {.op = SNAPSHOT_RAW_PUT, .key = pair->key};

	note_old(arg, &record);
	return true;
}

bool
rows_slice_remove_raw(RowsSlice *slice, const SnapshotRecord *range)
{
	RawReader *reader = raw_reader_open(&slice->tables, slice->snapshot, 0);
	OldRows old = {.arena = &slice->store->arena};
	RawScan scan = {.cf = range->cf,
					.lower = range->key,
					.upper = range->bytes,
					.key_only = true,
					.limit = SNAPSHOT_SLICE_ROWS};

	old.records = palloc(SNAPSHOT_SLICE_ROWS * sizeof(SnapshotRecord));
	reader->scan(reader, &scan, note_key, &old);
	raw_reader_close(reader);
	for (int i = 0; i < old.n; i++)
	{
		old.records[i].cf = range->cf;
		rows_slice_write(slice, &old.records[i], true);
	}
	return old.n < SNAPSHOT_SLICE_ROWS;
}

void
rows_slice_close(RowsSlice *slice)
{
	raw_writer_close(slice->raw);
	txn_writer_close(slice->txn);
}

void
rows_slice_commit(RowsSlice *slice, bool flush)
{
	int before = synchronous_commit;

	UnregisterSnapshot(slice->snapshot);
	tables_close(&slice->tables, true);

	/* An error is survived: the turns that follow flush what they answer. */
	PG_TRY();
	{
		if (!flush)
			synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
		CommitTransactionCommand();
	}
	PG_FINALLY();
	{
		synchronous_commit = before;
	}
	PG_END_TRY();
}

void
rows_slice_published(RowsSlice *slice)
{
	raw_writer_published(slice->raw);
	txn_writer_published(slice->txn);
}
