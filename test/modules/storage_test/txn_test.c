/*
 * txn_test.c
 *	  The tables of transactions called from SQL; see storage_test.c.
 *
 * A turn of random effects is written by each call and ends with the SQL
 * transaction, as the store's does with its own; a model in memory follows it.
 * The lock table is the backend's own.
 */
#include "postgres.h"

#include <inttypes.h>

#include "access/xact.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "bus/board.h"
#include "bus/lock_shared.h"
#include "guc.h"
#include "storage/stored_key.h"
#include "storage/txn_table.h"
#include "storage_test.h"
#include "test/unit/mvcc_memory.h"

#define N_KEYS 90
#define MAX_TS 120

/* More than the lock table takes in one record, to be spilled. */
#define HUGE_PRIMARY 30000

PG_FUNCTION_INFO_V1(storage_test_txn_start);
PG_FUNCTION_INFO_V1(storage_test_txn_turn);
PG_FUNCTION_INFO_V1(storage_test_txn_lock);
PG_FUNCTION_INFO_V1(storage_test_txn_put);
PG_FUNCTION_INFO_V1(storage_test_txn_value);
PG_FUNCTION_INFO_V1(storage_test_txn_asks);
PG_FUNCTION_INFO_V1(storage_test_txn_compare);
PG_FUNCTION_INFO_V1(storage_test_txn_stats);
PG_FUNCTION_INFO_V1(storage_test_txn_check);

TikvSettings tikv_fdw_settings;

static MvccMemory model;
static LockPool *pool;
static Arena arena; /* of a turn */
static pg_prng_state prng;
static Bytes keys[N_KEYS];

/* The turn whose transaction is not over. */
static TxnWriter *writer;
static MemoryContext turn_context;
static TxnEffects effects;
static bool loading;

/* ---- what the lock table asks of others ---- */

static uint64 max_ts;

void
board_raise_max_ts(uint64 ts)
{
	max_ts = Max(max_ts, ts);
}

uint64
board_max_ts(void)
{
	return max_ts;
}

/* ---- random things ---- */

static uint64
below(uint64 n)
{
	return pg_prng_uint64_range(&prng, 0, n - 1);
}

static bool
one_in(uint64 n)
{
	return below(n) == 0;
}

static Bytes
filled(Arena *to, uint8 byte, size_t len)
{
	uint8 *data = arena_alloc(to, len);

	memset(data, byte, len);
	return bytes_make(data, len);
}

static Bytes
with_tail(Bytes head, const char *tail)
{
	uint8 *data = malloc(head.len + strlen(tail) + 1);

	memcpy(data, head.data, head.len);
	memcpy(data + head.len, tail, strlen(tail));
	return bytes_make(data, head.len + strlen(tail));
}

/* Short keys, lengths around the split, and groups with many rests. */
static void
make_keys(void)
{
	Arena scratch;
	char tail[64];

	arena_init(&scratch);
	for (int i = 0; i < N_KEYS; i++)
	{
		Bytes head = bytes_empty();

		snprintf(tail, sizeof(tail), "%02d", i);
		if (i == 0)
			tail[0] = '\0'; /* the empty key */
		else if (i < 40)
			snprintf(tail, sizeof(tail), "k%d", i % 20 + (i / 20) * 100);
		else if (i < 50)
		{
			head = filled(&scratch, 'm', 2040 + i - 40);
			snprintf(tail, sizeof(tail), "%.*s", i % 3, "xyz");
		}
		else if (i < 75)
			head = filled(&scratch, 'p', 2048);
		else if (i < 77)
			head = filled(&scratch, 'q', 8190);
		else
			head = filled(&scratch, (uint8) ('a' + i % 7), (size_t) i - 70);
		keys[i] = with_tail(head, tail);
		arena_reset(&scratch);
	}
	arena_free(&scratch);
}

static Lock
random_lock(void)
{
	static const LockType types[] = {LOCK_TYPE_PUT, LOCK_TYPE_DELETE,
									 LOCK_TYPE_LOCK, LOCK_TYPE_PESSIMISTIC};
	Lock lock = {.type = types[below(4)], .start_ts = 1 + below(MAX_TS)};

	lock.primary = keys[below(N_KEYS)];
	if (one_in(20))
		lock.primary = filled(&arena, 'h', HUGE_PRIMARY);
	lock.ttl_ms = 3000;
	lock.has_short_value = one_in(2);
	if (lock.has_short_value)
		lock.short_value = filled(&arena, 's', below(256));
	lock.min_commit_ts = one_in(2) ? lock.start_ts + 1 : 0;
	return lock;
}

static WriteRecord
random_write(void)
{
	static const WriteType types[] = {WRITE_TYPE_PUT, WRITE_TYPE_DELETE,
									  WRITE_TYPE_LOCK, WRITE_TYPE_ROLLBACK};
	WriteRecord write = {.type = types[below(4)], .start_ts = below(MAX_TS)};

	write.has_short_value = one_in(2);
	if (write.has_short_value)
		write.short_value = filled(&arena, 'w', below(256));
	write.has_overlapped_rollback = one_in(4);
	return write;
}

/* ---- turns ---- */

static bool
is_listed(TxnCf cf, Bytes key, uint64 ts)
{
	for (size_t i = 0; i < effects.n_modifies; i++)
		if (effects.modifies[i].cf == cf && effects.modifies[i].ts == ts &&
			bytes_eq(effects.modifies[i].key, key))
			return true;
	return false;
}

static void
list_lock(Bytes key)
{
	Lock lock = random_lock();

	if (is_listed(TXN_CF_LOCK, key, 0))
		return;
	if (one_in(2))
		effects_delete_lock(&effects, key);
	else if (one_in(4))
		effects_put_memory_lock(&effects, key, &lock);
	else
		effects_put_lock(&effects, key, &lock);
}

static void
list_random(void)
{
	Bytes key = keys[below(N_KEYS)];
	uint64 ts = one_in(2) ? MAX_TS / 2 : 1 + below(MAX_TS);
	uint64 what = below(10);
	WriteRecord write = random_write();

	if (what < 4)
		list_lock(key);
	else if (what < 8 && !is_listed(TXN_CF_WRITE, key, ts))
	{
		if (one_in(4))
			effects_delete_write(&effects, key, ts);
		else
			effects_put_write(&effects, key, ts, &write);
	}
	else if (what >= 8 && !is_listed(TXN_CF_VALUE, key, ts))
	{
		if (one_in(4))
			effects_delete_value(&effects, key, ts);
		else
			effects_put_value(&effects, key, ts,
							  filled(&arena, (uint8) ts, below(4000)));
	}
}

static void
begin_turn(void)
{
	if (writer != NULL || loading)
		elog(ERROR, "one turn per transaction");
	arena_reset(&arena);
	effects_init(&effects, &arena);
	if (turn_context == NULL)
		turn_context = AllocSetContextCreate(TopMemoryContext, "test turn",
											 ALLOCSET_DEFAULT_SIZES);
}

static void
open_tables(OpenTables *tables, bool write)
{
	TableOids oids;

	if (!tables_resolve(&oids) ||
		tables_open(&oids, TABLES_TXN | TABLES_SPILL | TABLES_SLOTS, write,
					!write, tables) != TABLES_OK)
		elog(ERROR, "tables cannot be opened");
}

static void
write_turn(void)
{
	MemoryContext caller = MemoryContextSwitchTo(turn_context);
	OpenTables *tables = palloc(sizeof(OpenTables));
	Snapshot snapshot;

	open_tables(tables, true);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	writer = txn_writer_open(tables, snapshot, pool);
	for (size_t i = 0; i < effects.n_modifies; i++)
		txn_writer_apply(writer, &effects.modifies[i]);
	txn_writer_close(writer);
	UnregisterSnapshot(snapshot);
	tables_close(tables, true);
	MemoryContextSwitchTo(caller);
}

/* A lock for memory that was spilled lasts; the model learns it here. */
static void
follow_spills(void)
{
	for (size_t i = 0; i < model.n_rows; i++)
	{
		MemoryRow *row = &model.rows[i];
		LockPlace place;

		if (row->cf == TXN_CF_LOCK && row->memory_only &&
			!lock_table_find(row->key, &place))
			row->memory_only = false;
	}
}

static void
end_turn(XactEvent event, void *arg)
{
	bool committed = event == XACT_EVENT_COMMIT;

	(void) arg;
	if (!committed && event != XACT_EVENT_ABORT)
		return;
	if (loading && committed)
		lock_table_open();
	loading = false;
	if (writer != NULL && committed)
	{
		txn_writer_published(writer);
		memory_apply(&model, &effects);
		follow_spills();
	}
	writer = NULL;
	if (turn_context != NULL)
		MemoryContextReset(turn_context);
}

/* storage_test_txn_turn(n int4): write a turn of random effects */
Datum
storage_test_txn_turn(PG_FUNCTION_ARGS)
{
	int n = PG_GETARG_INT32(0);

	begin_turn();
	for (int i = 0; i < n; i++)
		list_random();
	write_turn();
	PG_RETURN_INT32((int32) effects.n_modifies);
}

/* storage_test_txn_lock(key bytea, start_ts int8): 0 deletes */
Datum
storage_test_txn_lock(PG_FUNCTION_ARGS)
{
	Lock lock = {.type = LOCK_TYPE_PUT,
				 .start_ts = (uint64) PG_GETARG_INT64(1),
				 .has_short_value = true};
	Bytes key;

	begin_turn();
	key = arena_copy(&arena, storage_test_arg(PG_GETARG_BYTEA_PP(0)));
	lock.primary = key;
	if (lock.start_ts == 0)
		effects_delete_lock(&effects, key);
	else
		effects_put_lock(&effects, key, &lock);
	write_turn();
	PG_RETURN_VOID();
}

/*
 * storage_test_txn_put(key bytea, start_ts int8, commit_ts int8, value
 * bytea): a committed version, a long value in its own row
 */
Datum
storage_test_txn_put(PG_FUNCTION_ARGS)
{
	WriteRecord write = {.type = WRITE_TYPE_PUT,
						 .start_ts = (uint64) PG_GETARG_INT64(1)};
	Bytes key;
	Bytes value;

	begin_turn();
	key = arena_copy(&arena, storage_test_arg(PG_GETARG_BYTEA_PP(0)));
	value = arena_copy(&arena, storage_test_arg(PG_GETARG_BYTEA_PP(3)));
	write.has_short_value = value.len <= SHORT_VALUE_MAX_LEN;
	if (write.has_short_value)
		write.short_value = value;
	else
		effects_put_value(&effects, key, write.start_ts, value);
	effects_put_write(&effects, key, (uint64) PG_GETARG_INT64(2), &write);
	write_turn();
	PG_RETURN_VOID();
}

/* storage_test_txn_value(key bytea, start_ts int8) returns bytea */
Datum
storage_test_txn_value(PG_FUNCTION_ARGS)
{
	Bytes key = storage_test_arg(PG_GETARG_BYTEA_PP(0));
	MvccReader *reader;
	OpenTables tables;
	Snapshot snapshot;
	Bytes value;
	Datum result = (Datum) 0;
	bool found;

	open_tables(&tables, false);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	reader = txn_reader_open(&tables, snapshot, false);
	arena_reset(&arena);
	found = reader->get_value(reader, key, (uint64) PG_GETARG_INT64(1), &arena,
							  &value);
	if (found)
		result = bytea_datum(value);
	txn_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

typedef struct Asked
{
	int enough;
	int asked;
	int emitted;
} Asked;

static bool
count_asked(void *arg)
{
	Asked *asked = arg;

	return ++asked->asked < asked->enough;
}

static bool
count_emitted(void *arg, Bytes key, const WriteAt *at)
{
	(void) key;
	(void) at;
	((Asked *) arg)->emitted++;
	return true;
}

/*
 * storage_test_txn_asks(lower bytea, upper bytea, ts int8, reverse bool, enough
 * int4) returns text: of a scan that is told to end when it has asked that often
 */
Datum
storage_test_txn_asks(PG_FUNCTION_ARGS)
{
	KeyRange range = {storage_test_arg(PG_GETARG_BYTEA_PP(0)),
					  storage_test_arg(PG_GETARG_BYTEA_PP(1))};
	Asked asked = {.enough = PG_GETARG_INT32(4)};
	MvccReader *reader;
	OpenTables tables;
	Snapshot snapshot;

	open_tables(&tables, false);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	reader = txn_reader_open(&tables, snapshot, false);
	reader->goes_on = count_asked;
	reader->goes_on_arg = &asked;
	reader->scan_writes(reader, &range, (uint64) PG_GETARG_INT64(2),
						PG_GETARG_BOOL(3), count_emitted, &asked);
	txn_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("asked %d, emitted %d",
											  asked.asked, asked.emitted)));
}

/* ---- start ---- */

static void
start_once(void)
{
	static bool started;

	if (started)
		return;
	started = true;
	memory_init(&model);
	arena_init(&arena);
	make_keys();
	/* As in the store, so that every question is asked of hints as well. */
	version_hints_enable();
	RegisterXactCallback(end_turn, NULL);
}

/* Locks in memory alone end with the process; the model forgets them. */
static void
forget_memory_locks(void)
{
	for (size_t i = model.n_rows; i-- > 0;)
		if (model.rows[i].memory_only)
			memory_delete(&model, TXN_CF_LOCK, model.rows[i].key, 0);
}

/*
 * storage_test_txn_start(memory_kb int4, seed int8): as a store that starts,
 * with so much memory for locks; it serves once the transaction has committed
 */
Datum
storage_test_txn_start(PG_FUNCTION_ARGS)
{
	TikvShmem *shmem;
	OpenTables tables;
	Snapshot snapshot;
	int kb = PG_GETARG_INT32(0);

	start_once();
	pg_prng_seed(&prng, (uint64) PG_GETARG_INT64(1));
	(void) DirectFunctionCall1(storage_test_cache,
							   CStringGetTextDatum("empty"));
	shmem = tikv_shmem();
	if (shmem->locks != NULL)
		pfree(shmem->locks);
	shmem->locks =
		MemoryContextAllocExtended(TopMemoryContext, lock_shared_size(kb),
								   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	lock_shared_init(shmem->locks, kb);
	if (pool != NULL)
		lock_pool_free(pool);
	forget_memory_locks();
	MemoryContextSwitchTo(TopMemoryContext);
	pool = lock_pool_new();
	lock_table_reset();
	open_tables(&tables, true);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	lock_pool_load(pool, &tables, snapshot);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	loading = true;
	PG_RETURN_VOID();
}

/* ---- comparing ---- */

/* What both readers say, as one text each. */
typedef struct Answers
{
	MvccReader *table;
	StringInfoData text;
	uint64 left; /* emitted before a scan is stopped */
} Answers;

/* Length and hash say as much as the bytes. */
static void
add_bytes(StringInfo text, Bytes bytes)
{
	char out[64];
	int n = snprintf(out, sizeof(out), "%zu:%" PRIx64 " ", bytes.len,
					 hash_bytes64(bytes, 0));

	appendBinaryStringInfo(text, out, n);
}

static void
add_write(StringInfo text, const WriteAt *at)
{
	Bytes record;

	record = write_encode(&at->write, &arena);
	appendStringInfo(text, "@" UINT64_FORMAT " ", at->commit_ts);
	add_bytes(text, record);
}

static void
add_lock(StringInfo text, const Lock *lock)
{
	add_bytes(text, lock_encode(lock, &arena));
}

static bool
emit_write(void *arg, Bytes key, const WriteAt *at)
{
	Answers *answers = arg;

	add_bytes(&answers->text, key);
	add_write(&answers->text, at);
	return --answers->left > 0;
}

static bool
emit_lock(void *arg, Bytes key, const Lock *lock)
{
	Answers *answers = arg;

	add_bytes(&answers->text, key);
	add_lock(&answers->text, lock);
	return --answers->left > 0;
}

static bool
emit_value(void *arg, Bytes key, uint64_t start_ts, Bytes value)
{
	Answers *answers = arg;

	add_bytes(&answers->text, key);
	appendStringInfo(&answers->text, "@" UINT64_FORMAT " ", start_ts);
	add_bytes(&answers->text, value);
	return --answers->left > 0;
}

typedef struct Question
{
	Bytes key;
	uint64 ts;
	KeyRange range;
	bool reverse;
	bool memory;
	uint64 limit;
	int kind;
} Question;

static void
ask_key(const Question *q, MvccReader *reader, StringInfo text)
{
	uint64 ts = q->ts;
	WriteAt at;
	Lock lock;
	Bytes value;

	if (reader->get_lock(reader, q->key, &arena, &lock))
		add_lock(text, &lock);
	for (uint64 i = 0; i < q->limit; i++)
	{
		if (!reader->seek_write(reader, q->key, ts, &arena, &at))
			break;
		add_write(text, &at);
		/* Down by one, the same again, or far down. */
		ts = at.commit_ts;
		if (i % 3 != 1)
			ts = i % 5 == 4 ? ts / 2 : ts - 1;
		if (at.commit_ts == 0)
			break;
	}
	if (reader->get_value(reader, q->key, q->ts, &arena, &value))
		add_bytes(text, value);
}

static void
ask(const Question *q, MvccReader *reader, Answers *answers)
{
	resetStringInfo(&answers->text);
	answers->left = q->limit;
	switch (q->kind)
	{
		case 0:
			ask_key(q, reader, &answers->text);
			break;
		case 1:
			reader->scan_writes(reader, &q->range, q->ts, q->reverse,
								emit_write, answers);
			break;
		case 2:
			reader->scan_locks(reader, &q->range, q->ts, q->memory, emit_lock,
							   answers);
			break;
		default:
			reader->scan_values(reader, &q->range, emit_value, answers);
	}
}

static Bytes
random_bound(void)
{
	Bytes key = keys[below(N_KEYS)];

	if (one_in(4))
		return bytes_empty();
	return one_in(3) ? with_tail(key, one_in(2) ? "0" : "~") : key;
}

static Question
random_question(void)
{
	Question q = {
		.key = keys[below(N_KEYS)],
		.ts = one_in(5) ? PG_UINT64_MAX : below(MAX_TS + 2),
		.range = {random_bound(), random_bound()},
		.reverse = one_in(2),
		.memory = one_in(2),
		.limit = one_in(2) ? 1000000 : 1 + below(20),
		.kind = (int) below(4),
	};

	return q;
}

/*
 * storage_test_txn_compare(n int4) returns text: ask the tables and the model
 * n random questions; NULL if they agree, else the first difference
 */
Datum
storage_test_txn_compare(PG_FUNCTION_ARGS)
{
	bool spilled = lock_table_n_spilled() > 0;
	char *difference = NULL;
	Answers table;
	Answers memory;
	MvccReader *reader;
	OpenTables tables;
	Snapshot snapshot;

	open_tables(&tables, false);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	reader = txn_reader_open(&tables, snapshot, spilled);
	initStringInfo(&table.text);
	initStringInfo(&memory.text);
	for (int i = 0; i < PG_GETARG_INT32(0) && difference == NULL; i++)
	{
		Question q = random_question();

		arena_reset(&arena);
		ask(&q, reader, &table);
		ask(&q, &model.reader, &memory);
		if (strcmp(table.text.data, memory.text.data) != 0)
			difference = psprintf(
				"question %d, kind %d ts " UINT64_FORMAT
				" reverse %d: tables say \"%.2000s\", the model \"%.2000s\"",
				i, q.kind, q.ts, q.reverse, table.text.data, memory.text.data);
	}
	txn_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	if (difference == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(difference));
}

/* storage_test_txn_stats() returns text */
Datum
storage_test_txn_stats(PG_FUNCTION_ARGS)
{
	LockTableStats table;
	LockPoolStats slots;
	uint64 in_model = 0;

	(void) fcinfo;
	lock_table_stats(&table);
	lock_pool_stats(pool, &slots);
	for (size_t i = 0; i < model.n_rows; i++)
		in_model += model.rows[i].cf == TXN_CF_LOCK;
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(
		"locks %s, memory %s, spilled %s, slots in use %s",
		table.locks + table.spilled == in_model ? "as in the model" : "differ",
		table.memory_locks > 0 ? "some" : "none",
		table.spilled > 0 ? "some" : "none",
		slots.slots - slots.free == table.locks - table.memory_locks ?
			"as durable locks" :
			"differ")));
}

/* storage_test_txn_check() returns setof text: what txn_table_check reports */
Datum
storage_test_txn_check(PG_FUNCTION_ARGS)
{
	Snapshot snapshot;
	OpenTables tables;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	open_tables(&tables, false);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	(void) txn_table_check(&tables, snapshot, storage_test_report,
						   fcinfo->resultinfo);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	return (Datum) 0;
}
