/*
 * txn_check.c
 *	  Verifies the tables of transactions, for tikv_check().
 *
 * Beyond what is verified of every table of keys: records decode, a Put whose
 * value is long has it, every value belongs to a Put or to a live lock, and a
 * key has one lock at most.  The locks are all read first: they are as many
 * as fit the lock table, and those that were spilled.
 */
#include "postgres.h"

#include "access/itup.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/context_arena.h"
#include "storage/lock_pool.h"
#include "storage/table_check.h"
#include "storage/version_row.h"

/* A live lock: what it says of a value. */
typedef struct LiveLock
{
	Bytes key;
	uint64 start_ts;
	bool long_value;
} LiveLock;

typedef struct TxnCheck
{
	const OpenTables *tables;
	Snapshot snapshot;
	CheckReport report;
	MemoryContext context; /* of the whole check */
	Arena *arena;		   /* for decoding */
	VersionFinder *writes;
	VersionFinder *values;
	LiveLock *locks;
	Size n_locks;
	Size room;
} TxnCheck;

/* ------------------------------------------------------------------- locks */

static void
add_lock(TxnCheck *check, Bytes key, const Lock *lock)
{
	LiveLock *live;
	uint8 *copy = MemoryContextAlloc(check->context, Max(key.len, 1));

	if (check->n_locks == check->room)
	{
		check->room = Max(check->room * 2, 64);
		check->locks = check->locks == NULL ?
			MemoryContextAlloc(check->context, check->room * sizeof(LiveLock)) :
			repalloc_huge(check->locks, check->room * sizeof(LiveLock));
	}
	if (key.len > 0)
		memcpy(copy, key.data, key.len);
	live = &check->locks[check->n_locks++];
	live->key = bytes_make(copy, key.len);
	live->start_ts = lock->start_ts;
	live->long_value = lock->type == LOCK_TYPE_PUT && !lock->has_short_value;
}

static void
check_slot(TxnCheck *check, TupleTableSlot *slot, MemoryContext row)
{
	int64 place = check_row_number(&slot->tts_tid);
	Bytes rec;
	Bytes key;
	Bytes record;
	Lock lock;

	if (!slot_row_rec(slot, row, &rec))
		return;
	arena_reset(check->arena);
	if (!slot_rec_parse(rec, &key, &record) ||
		lock_decode(record, check->arena, &lock) != STATUS_OK)
		check_defect(&check->report, CHECK_ROW "it holds no lock",
					 CHECK_ROW_ARGS(place));
	else
		add_lock(check, key, &lock);
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

static void
check_slot_numbers(TxnCheck *check, uint64 *numbers, Size n)
{
	qsort(numbers, n, sizeof(uint64), compare_numbers);
	for (Size i = 0; i < n; i++)
		if (numbers[i] != i)
		{
			check_defect(&check->report,
						 "slot " UINT64_FORMAT " is missing or exists twice",
						 (uint64) i);
			return;
		}
}

static void
check_slots(TxnCheck *check)
{
	Relation heap = check->tables->lock_slot.heap;
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	TableScanDesc scan = table_beginscan(heap, check->snapshot, 0, NULL);
	MemoryContext row =
		AllocSetContextCreate(CurrentMemoryContext, "slot check row",
							  ALLOCSET_DEFAULT_SIZES);
	Size room = 256;
	uint64 *numbers = palloc(room * sizeof(uint64));
	Size n = 0;

	check->report.table = "lock_slot";
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (n == room)
		{
			room *= 2;
			numbers = repalloc_huge(numbers, room * sizeof(uint64));
		}
		numbers[n++] = slot_row_number(slot);
		check_slot(check, slot, row);
		MemoryContextReset(row);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row);
	check_slot_numbers(check, numbers, n);
	pfree(numbers);
}

static int
compare_locks(const void *a, const void *b)
{
	const LiveLock *x = a;
	const LiveLock *y = b;
	int c = bytes_cmp(x->key, y->key);

	return c != 0 ? c :
					(x->start_ts > y->start_ts) - (x->start_ts < y->start_ts);
}

/* After all locks are known: one per key, and their values are there. */
static void
check_locks(TxnCheck *check)
{
	check->report.table = "";
	qsort(check->locks, check->n_locks, sizeof(LiveLock), compare_locks);
	for (Size i = 0; i < check->n_locks; i++)
	{
		const LiveLock *lock = &check->locks[i];

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && bytes_eq(lock->key, check->locks[i - 1].key))
			check_defect(&check->report,
						 "a key of %zu bytes is locked twice, by " UINT64_FORMAT
						 " and " UINT64_FORMAT,
						 lock->key.len, check->locks[i - 1].start_ts,
						 lock->start_ts);
		if (lock->long_value &&
			!version_find_exact(check->values, lock->key, lock->start_ts))
			check_defect(&check->report,
						 "the value of the lock of " UINT64_FORMAT
						 " on a key of %zu bytes is missing",
						 lock->start_ts, lock->key.len);
	}
	version_finder_release(check->values);
}

static bool
is_value_of_lock(const TxnCheck *check, Bytes key, uint64 start_ts)
{
	LiveLock probe = {.key = key, .start_ts = start_ts};
	const LiveLock *found = check->n_locks == 0 ?
		NULL :
		bsearch(&probe, check->locks, check->n_locks, sizeof(LiveLock),
				compare_locks);

	return found != NULL && found->long_value;
}

/* ---------------------------------------------------------------- versions */

static RowOrder
version_row_order(TupleTableSlot *slot)
{
	RowOrder order = {0, version_prefix(slot), (int64) version_ts(slot)};

	return order;
}

static RowOrder
version_entry_order(IndexScanDesc scan)
{
	TupleDesc desc = RelationGetDescr(scan->indexRelation);
	bool isnull;
	Datum key = index_getattr(scan->xs_itup, VERSION_INDEX_KEY, desc, &isnull);
	Datum ts = index_getattr(scan->xs_itup, VERSION_INDEX_TS, desc, &isnull);
	RowOrder order = {0, inline_bytes(key), DatumGetInt64(ts)};

	return order;
}

/* The whole key of a row, in the current context if it is in two parts. */
static Bytes
whole_key(TupleTableSlot *slot, Bytes rest)
{
	Bytes prefix = version_prefix(slot);
	uint8 *key;

	if (rest.len == 0)
		return prefix;
	key = palloc(prefix.len + rest.len);
	memcpy(key, prefix.data, prefix.len);
	memcpy(key + prefix.len, rest.data, rest.len);
	return bytes_make(key, prefix.len + rest.len);
}

static void
check_ts(TableCheck *table, TupleTableSlot *slot)
{
	if ((int64) version_ts(slot) < 0)
		check_defect(table->report, CHECK_ROW "its timestamp is negative",
					 CHECK_ROW_ARGS(check_row_number(&slot->tts_tid)));
}

static void
check_write_row(TableCheck *table, TupleTableSlot *slot, Bytes rest)
{
	TxnCheck *check = table->arg;
	int64 row = check_row_number(&slot->tts_tid);
	Bytes rec = version_bytes(slot, CurrentMemoryContext);
	WriteRecord write;

	check_ts(table, slot);
	if (write_decode(rec, &write) != STATUS_OK)
		check_defect(table->report, CHECK_ROW "its record does not decode",
					 CHECK_ROW_ARGS(row));
	else if (write.type == WRITE_TYPE_PUT && !write.has_short_value &&
			 !version_find_exact(check->values, whole_key(slot, rest),
								 write.start_ts))
		check_defect(table->report,
					 CHECK_ROW "its value of " UINT64_FORMAT " is missing",
					 CHECK_ROW_ARGS(row), write.start_ts);
	version_finder_release(check->values);
}

/* A Put of the key that this transaction committed, with a long value? */
static bool
is_value_of_write(TxnCheck *check, Bytes key, uint64 start_ts)
{
	VersionFinder *writes = check->writes;
	uint64 ts = PG_UINT64_MAX;
	bool found = false;

	while (!found && version_find_newest(writes, key, ts) &&
		   version_ts(writes->slot) >= start_ts)
	{
		WriteRecord write;

		ts = version_ts(writes->slot);
		found = write_decode(version_bytes(writes->slot, writes->scratch),
							 &write) == STATUS_OK &&
			write.start_ts == start_ts && write.type == WRITE_TYPE_PUT &&
			!write.has_short_value;
		if (ts-- == 0)
			break;
	}
	version_finder_release(writes);
	return found;
}

static void
check_value_row(TableCheck *table, TupleTableSlot *slot, Bytes rest)
{
	TxnCheck *check = table->arg;
	Bytes key = whole_key(slot, rest);
	uint64 start_ts = version_ts(slot);

	check_ts(table, slot);
	if (!is_value_of_lock(check, key, start_ts) &&
		!is_value_of_write(check, key, start_ts))
		check_defect(table->report,
					 CHECK_ROW "the value of " UINT64_FORMAT
							   " belongs to no lock and no record",
					 CHECK_ROW_ARGS(check_row_number(&slot->tts_tid)),
					 start_ts);
}

static void
check_spill_row(TableCheck *table, TupleTableSlot *slot, Bytes rest)
{
	TxnCheck *check = table->arg;
	int64 row = check_row_number(&slot->tts_tid);
	Bytes rec = version_bytes(slot, CurrentMemoryContext);
	Lock lock;

	arena_reset(check->arena);
	if (version_ts(slot) != 0)
		check_defect(table->report, CHECK_ROW "ts is not 0",
					 CHECK_ROW_ARGS(row));
	if (lock_decode(rec, check->arena, &lock) != STATUS_OK)
		check_defect(table->report, CHECK_ROW "it holds no lock",
					 CHECK_ROW_ARGS(row));
	else
		add_lock(check, whole_key(slot, rest), &lock);
}

static void
check_versions(TxnCheck *check, const OpenTable *table, const char *name,
			   void (*check_row)(TableCheck *, TupleTableSlot *, Bytes))
{
	TableCheck versions = {
		.report = &check->report,
		.table = table,
		.snapshot = check->snapshot,
		.key_rest = VERSION_KEY_REST,
		.row_order = version_row_order,
		.entry_order = version_entry_order,
		.check_row = check_row,
		.arg = check,
	};

	check->report.table = name;
	table_check_run(&versions);
}

/* ------------------------------------------------------------- all of them */

static void
run(TxnCheck *check)
{
	const OpenTables *tables = check->tables;

	check->writes = version_finder_open(&tables->write, check->snapshot);
	check->values = version_finder_open(&tables->value, check->snapshot);
	check_slots(check);
	check_versions(check, &tables->lock_spill, "lock_spill", check_spill_row);
	check_locks(check);
	check_versions(check, &tables->write, "write", check_write_row);
	check_versions(check, &tables->value, "value", check_value_row);
	version_finder_close(check->writes);
	version_finder_close(check->values);
}

int64
txn_table_check(const OpenTables *tables, Snapshot snapshot,
				void (*report)(void *arg, const char *defect), void *arg)
{
	TxnCheck check = {
		.tables = tables,
		.snapshot = snapshot,
		.report = {report, arg, 0, ""},
	};
	MemoryContext caller;

	check.context = AllocSetContextCreate(CurrentMemoryContext, "txn check",
										  ALLOCSET_DEFAULT_SIZES);
	check.arena = context_arena(check.context);
	caller = MemoryContextSwitchTo(check.context);
	run(&check);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(check.context);
	return check.report.defects;
}
