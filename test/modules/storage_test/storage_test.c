/*
 * storage_test.c
 *	  The storage layer called from SQL, inside the backend's transaction.
 *
 * A test library, never installed: sql/storage.sql loads it.  Its functions
 * do what the store's turn and a reader do, over the tables of the database
 * they are called in, which must not be the one that a store serves.
 *
 * The place cache is the backend's own here, in ordinary memory, and can be
 * switched off; places are published at the end of the transaction, as the
 * store does after its commit.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "bus/places.h"
#include "storage/raw_table.h"
#include "storage/stored_key.h"
#include "storage_test.h"

PG_MODULE_MAGIC;

extern void _PG_init(void);

PG_FUNCTION_INFO_V1(storage_test_cache);
PG_FUNCTION_INFO_V1(storage_test_misplace);
PG_FUNCTION_INFO_V1(storage_test_put);
PG_FUNCTION_INFO_V1(storage_test_insert);
PG_FUNCTION_INFO_V1(storage_test_delete);
PG_FUNCTION_INFO_V1(storage_test_get);
PG_FUNCTION_INFO_V1(storage_test_get_many);
PG_FUNCTION_INFO_V1(storage_test_scan);
PG_FUNCTION_INFO_V1(storage_test_scan_asks);
PG_FUNCTION_INFO_V1(storage_test_check);
PG_FUNCTION_INFO_V1(storage_test_blocker);
PG_FUNCTION_INFO_V1(storage_test_open);

/* Writers whose transaction is not over. */
static List *unpublished;
static TikvShmem *local_shmem;
static bool cache_on;

/* ---- the place cache of this backend ---- */

/* There are no workers. */
void
worker_wake(WorkerKind kind)
{
	(void) kind;
}

/* The storage layer asks for the server's shared memory; this is ours. */
TikvShmem *
tikv_shmem(void)
{
	return cache_on ? local_shmem : NULL;
}

/* storage_test_cache(mode text): 'empty' (and on), 'on', 'off' */
Datum
storage_test_cache(PG_FUNCTION_ARGS)
{
	char *mode = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (local_shmem == NULL)
	{
		local_shmem =
			MemoryContextAllocZero(TopMemoryContext, sizeof(TikvShmem));
		/* Zeros are an empty cache. */
		local_shmem->places =
			MemoryContextAllocExtended(TopMemoryContext, places_shmem_size(),
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	}
	cache_on = strcmp(mode, "off") != 0;
	if (strcmp(mode, "empty") == 0)
		place_clear();
	PG_RETURN_VOID();
}

/* storage_test_misplace(key bytea, place tid): tell the cache a place */
Datum
storage_test_misplace(PG_FUNCTION_ARGS)
{
	Bytes key = storage_test_arg(PG_GETARG_BYTEA_PP(0));

	place_set(place_hash(RAW_CF_DEFAULT, key),
			  (ItemPointer) PG_GETARG_POINTER(1));
	PG_RETURN_VOID();
}

static void
end_transaction(XactEvent event, void *arg)
{
	ListCell *cell;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	foreach (cell, unpublished)
	{
		/* An aborted one is left to its context; a test affords that. */
		if (event == XACT_EVENT_COMMIT)
			raw_writer_published(lfirst(cell));
	}
	list_free(unpublished);
	unpublished = NIL;
}

void
_PG_init(void)
{
	RegisterXactCallback(end_transaction, NULL);
}

/* ---- common ---- */

void
storage_test_tables(bool write, bool wait, OpenTables *tables)
{
	storage_test_open_tables(TABLES_RAW, write, wait, tables);
}

void
storage_test_open_tables(int what, bool write, bool wait, OpenTables *tables)
{
	TableOids oids;
	TablesAnswer answer = TABLES_MISSING;

	if (tables_resolve(&oids))
		answer = tables_open(&oids, what, write, wait, tables);
	if (answer == TABLES_LOCKED)
		elog(ERROR, "tables are locked");
	if (answer == TABLES_MISSING)
		elog(ERROR, "tables are missing");
	if (answer == TABLES_UNUSABLE)
		elog(ERROR, "tables are unusable");
}

static RawCf
arg_cf(text *name)
{
	RawCf cf;

	if (!raw_cf_parse(text_to_cstring(name), &cf))
		elog(ERROR, "no such column family");
	return cf;
}

/* ---- writes ---- */

static void
write_all(const RawModify *modifies, int n)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Snapshot snapshot;
	OpenTables tables;
	RawWriter *writer;

	storage_test_tables(true, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	writer = raw_writer_open(&tables, snapshot);
	for (int i = 0; i < n; i++)
		raw_writer_apply(writer, &modifies[i]);
	raw_writer_close(writer);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	unpublished = lappend(unpublished, writer);
	MemoryContextSwitchTo(caller);
}

/* storage_test_put(cf text, key bytea, value bytea, expires_at int8) */
Datum
storage_test_put(PG_FUNCTION_ARGS)
{
	RawModify modify = {
		.kind = RAW_PUT,
		.cf = arg_cf(PG_GETARG_TEXT_PP(0)),
		.key = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
		.value = storage_test_arg(PG_GETARG_BYTEA_PP(2)),
		.expires_at = PG_GETARG_INT64(3),
	};

	write_all(&modify, 1);
	PG_RETURN_VOID();
}

static Bytes *
arg_keys(ArrayType *array, int *n)
{
	Datum *elements;
	Bytes *keys;

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  n);
	keys = palloc(sizeof(Bytes) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		keys[i] = storage_test_arg(DatumGetByteaPP(elements[i]));
	return keys;
}

/* storage_test_insert(keys bytea[]): keys that nobody has, as one turn */
Datum
storage_test_insert(PG_FUNCTION_ARGS)
{
	int n;
	Bytes *keys = arg_keys(PG_GETARG_ARRAYTYPE_P(0), &n);
	RawModify *modifies;

	modifies = palloc0(sizeof(RawModify) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		modifies[i].kind = RAW_PUT;
		modifies[i].absent = true;
		modifies[i].cf = RAW_CF_DEFAULT;
		modifies[i].key = keys[i];
		modifies[i].value = modifies[i].key;
	}
	write_all(modifies, n);
	PG_RETURN_VOID();
}

/* storage_test_delete(cf text, key bytea) */
Datum
storage_test_delete(PG_FUNCTION_ARGS)
{
	RawModify modify = {
		.kind = RAW_DELETE,
		.cf = arg_cf(PG_GETARG_TEXT_PP(0)),
		.key = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
	};

	write_all(&modify, 1);
	PG_RETURN_VOID();
}

/* ---- reads ---- */

static Snapshot
read_snapshot(bool latest)
{
	return RegisterSnapshot(latest ? GetLatestSnapshot() : GetActiveSnapshot());
}

/* What a get of many keys is to find, of three times the same one. */
typedef struct Expected
{
	const RawPair *pair;
	int seen;
	int enough;
} Expected;

static bool
expect_pair(void *arg, int i, const RawPair *pair)
{
	Expected *expected = arg;

	if (i != expected->seen++ || expected->pair == NULL ||
		!bytes_eq(pair->key, expected->pair->key) ||
		!bytes_eq(pair->value, expected->pair->value) ||
		pair->expires_at != expected->pair->expires_at ||
		pair->era != expected->pair->era)
		elog(ERROR, "a get of many keys finds another row");
	return expected->seen < expected->enough;
}

/* A get of many keys finds what a get of one has found, until it is enough. */
static void
check_many(RawReader *reader, RawCf cf, Bytes key, const RawPair *found)
{
	Bytes keys[] = {key, key, key};

	for (int enough = 1; enough <= (int) lengthof(keys) + 1; enough++)
	{
		Expected expected = {found, 0, enough};

		reader->get_many(reader, cf, keys, lengthof(keys), expect_pair,
						 &expected);
		if (expected.seen !=
			(found == NULL ? 0 : Min(enough, (int) lengthof(keys))))
			elog(ERROR, "a get of many keys finds %d rows", expected.seen);
	}
}

/*
 * storage_test_get(cf text, key bytea, now_s int8, latest bool): under a
 * fresh snapshot, or under that of the calling statement.
 */
Datum
storage_test_get(PG_FUNCTION_ARGS)
{
	RawCf cf = arg_cf(PG_GETARG_TEXT_PP(0));
	Bytes key = storage_test_arg(PG_GETARG_BYTEA_PP(1));
	Snapshot snapshot;
	OpenTables tables;
	RawReader *reader;
	RawPair pair;
	Arena arena;
	Datum result = (Datum) 0;
	bool found;

	storage_test_tables(false, true, &tables);
	snapshot = read_snapshot(PG_GETARG_BOOL(3));
	reader = raw_reader_open(&tables, snapshot, PG_GETARG_INT64(2));
	arena_init(&arena);
	found = reader->get(reader, cf, key, &arena, &pair);
	check_many(reader, cf, key, found ? &pair : NULL);
	if (found)
		result = bytea_datum(pair.value);
	arena_free(&arena);
	raw_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

static bool
count_pair(void *arg, int i, const RawPair *pair)
{
	Expected *expected = arg;

	(void) i;
	(void) pair;
	return ++expected->seen < expected->enough;
}

/* storage_test_get_many(keys bytea[], enough int): how many it finds until it
 * is enough.  A page that is still pinned then is warned of. */
Datum
storage_test_get_many(PG_FUNCTION_ARGS)
{
	int n;
	Bytes *keys = arg_keys(PG_GETARG_ARRAYTYPE_P(0), &n);
	Expected expected = {NULL, 0, PG_GETARG_INT32(1)};
	Snapshot snapshot;
	OpenTables tables;
	RawReader *reader;

	storage_test_tables(false, true, &tables);
	snapshot = read_snapshot(true);
	reader = raw_reader_open(&tables, snapshot, 0);
	reader->get_many(reader, RAW_CF_DEFAULT, keys, n, count_pair, &expected);
	raw_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	PG_RETURN_INT32(expected.seen);
}

static bool
emit_row(void *arg, const RawPair *pair)
{
	ReturnSetInfo *rsinfo = arg;
	Datum values[3];
	bool isnull[3] = {false};

	values[0] = bytea_datum(pair->key);
	values[1] = bytea_datum(pair->value);
	values[2] = Int64GetDatum(pair->expires_at);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	return true;
}

/*
 * storage_test_scan(cf text, lower bytea, upper bytea, reverse bool,
 * key_only bool, max int4, now_s int8) returns (key, value, expires_at)
 */
Datum
storage_test_scan(PG_FUNCTION_ARGS)
{
	RawScan scan = {
		.cf = arg_cf(PG_GETARG_TEXT_PP(0)),
		.lower = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
		.upper = storage_test_arg(PG_GETARG_BYTEA_PP(2)),
		.reverse = PG_GETARG_BOOL(3),
		.key_only = PG_GETARG_BOOL(4),
		.limit = (uint32) PG_GETARG_INT32(5),
	};
	Snapshot snapshot;
	OpenTables tables;
	RawReader *reader;

	InitMaterializedSRF(fcinfo, 0);
	storage_test_tables(false, true, &tables);
	snapshot = read_snapshot(true);
	reader = raw_reader_open(&tables, snapshot, PG_GETARG_INT64(6));
	reader->scan(reader, &scan, emit_row, fcinfo->resultinfo);
	raw_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	return (Datum) 0;
}

/* How often a scan asked whether it goes on, and when the answer was no. */
typedef struct Asked
{
	int asked;
	int enough;
	int emitted;
} Asked;

static bool
count_emitted(void *arg, const RawPair *pair)
{
	(void) pair;
	((Asked *) arg)->emitted++;
	return true;
}

static bool
count_asked(void *arg)
{
	Asked *asked = arg;

	return ++asked->asked < asked->enough;
}

/*
 * storage_test_scan_asks(lower bytea, upper bytea, reverse bool, now_s int8,
 * enough int4) returns text: of a scan that is told to end when it has asked
 * that often
 */
Datum
storage_test_scan_asks(PG_FUNCTION_ARGS)
{
	RawScan scan = {
		.cf = RAW_CF_DEFAULT,
		.lower = storage_test_arg(PG_GETARG_BYTEA_PP(0)),
		.upper = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
		.reverse = PG_GETARG_BOOL(2),
		.limit = PG_UINT32_MAX,
		.goes_on = count_asked,
	};
	Asked asked = {.enough = PG_GETARG_INT32(4)};
	Snapshot snapshot;
	OpenTables tables;
	RawReader *reader;

	storage_test_tables(false, true, &tables);
	snapshot = read_snapshot(true);
	reader = raw_reader_open(&tables, snapshot, PG_GETARG_INT64(3));
	reader->scan(reader, &scan, count_emitted, &asked);
	raw_reader_close(reader);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("asked %d, emitted %d",
											  asked.asked, asked.emitted)));
}

/* ---- the rest ---- */

void
storage_test_report(void *arg, const char *defect)
{
	ReturnSetInfo *rsinfo = arg;
	Datum value = CStringGetTextDatum(defect);
	bool isnull = false;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}

/* storage_test_check() returns setof text: what raw_table_check reports */
Datum
storage_test_check(PG_FUNCTION_ARGS)
{
	Snapshot snapshot;
	OpenTables tables;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	storage_test_tables(false, true, &tables);
	snapshot = read_snapshot(true);
	(void) raw_table_check(&tables, snapshot, storage_test_report,
						   fcinfo->resultinfo);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	return (Datum) 0;
}

/* storage_test_open(write bool) returns text: can the tables be opened now? */
Datum
storage_test_open(PG_FUNCTION_ARGS)
{
	static const char *const answers[] = {
		[TABLES_OK] = "ok",
		[TABLES_MISSING] = "missing",
		[TABLES_LOCKED] = "locked",
		[TABLES_UNUSABLE] = "unusable",
	};
	bool write = PG_GETARG_BOOL(0);
	TablesAnswer answer = TABLES_MISSING;
	TableOids oids;
	OpenTables tables;

	if (tables_resolve(&oids))
		answer = tables_open(&oids, TABLES_RAW, write, false, &tables);
	if (answer == TABLES_OK)
		tables_close(&tables, write);
	PG_RETURN_TEXT_P(cstring_to_text(answers[answer]));
}

/* storage_test_blocker() returns text: who is in a writer's way */
Datum
storage_test_blocker(PG_FUNCTION_ARGS)
{
	TableOids oids;
	char out[200];

	(void) fcinfo;
	if (!tables_resolve(&oids))
		elog(ERROR, "tables are missing");
	tables_describe_blockers(&oids, out, sizeof(out));
	PG_RETURN_TEXT_P(cstring_to_text(out));
}
