/*
 * mvcc.c
 *	  tikv_mvcc and the view tikv.locks: what is stored of transactional keys,
 *	  whoever may see it.
 *
 * For people who look for mistakes: no visibility, no isolation.  A page of
 * keys at a time, each over a fresh snapshot, so that nothing is held for long.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "bus/sql_txns.h"
#include "core/mvcc/inspect.h"
#include "sqlapi/route.h"
#include "sqlapi/txn_internal.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_mvcc);
PG_FUNCTION_INFO_V1(tikv_locks);

#define PAGE_KEYS 64
#define PAGE_LOCKS 256
#define KEY_BYTES ((size_t) 64 << 20)

#define MVCC_COLUMNS 7
#define LOCK_COLUMNS 11

/* ----------------------------------------------------------------- pages */

typedef struct Inspection
{
	ReturnSetInfo *result;
	KeyRange left; /* of the range; in the context of the call */
	bool all_keys; /* not those of the session's keyspace alone */
	Patience patience;
	Arena arena; /* of a page */
	ReadRound *round;
	const BoardRegion *seen;
} Inspection;

/*
 * What another store leads is shown as this store's replica has it, a moment
 * behind; what has no replica here cannot be shown.
 */
static void
refuse_unknown(const Inspection *in)
{
	Route route;

	if (!route_find(txn_bound(in->left.lower, false), false, &in->patience,
					&route) ||
		route.local)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("region %llu has no replica on this store",
					(unsigned long long) route.region.id),
			 errhint("Ask on a node that has one: store %llu leads the region.",
					 (unsigned long long) route.leader.store_id)));
}

static bool
open_page(Inspection *in)
{
	const TableOids *tables = session_tables(&in->patience);
	BoardRegion *found = palloc(sizeof(*found));
	RequestContext context;
	RegionError error;
	TablesAnswer answer = TABLES_MISSING;
	bool replica = false;

	in->round = read_round_new(READ_TXN);
	if (txn_find_region(in->left.lower, false, found))
	{
		context = region_context(found);
		replica = context.indexed = !board_serves(found);
		if (read_round_look(in->round, &context, &in->seen, &error))
		{
			answer = read_round_begin(in->round, tables, true);
			if (answer == TABLES_MISSING)
				session_forget_tables();
		}
	}
	else
		refuse_unknown(in);
	pfree(found);
	if (answer == TABLES_OK && read_round_valid(in->round, in->seen, replica))
		return true;
	read_round_end(in->round);
	return false;
}

static void
begin_page(Inspection *in)
{
	in->patience = patience_begin();
	arena_reset(&in->arena);
	CHECK_FOR_INTERRUPTS();
	while (!open_page(in))
		patience_retry(&in->patience);
}

/* The part of what is left that the page's region has. */
static KeyRange
page_range(Inspection *in)
{
	return txn_clip_range(in->left,
						  txn_region_range(&in->seen->region, &in->arena));
}

/* Go on at a key, or behind it; false if nothing is left. */
static bool
go_on(Inspection *in, Bytes at, bool after)
{
	in->left.lower = bound_copy(CurrentMemoryContext, at, after);
	return in->left.upper.len == 0 ||
		bytes_cmp(in->left.lower, in->left.upper) < 0;
}

/* The region is done: on to the next one. */
static bool
next_region(Inspection *in, KeyRange range)
{
	KeyRange region = txn_region_range(&in->seen->region, &in->arena);

	(void) range;
	return region.upper.len > 0 && go_on(in, region.upper, false);
}

/* ------------------------------------------------------------- keys of a page */

typedef struct KeyList
{
	Arena *arena;
	Bytes *keys;
	size_t n;
	size_t most;
} KeyList;

static bool
add_key(KeyList *list, Bytes key)
{
	list->keys[list->n++] = arena_copy(list->arena, key);
	return list->n < list->most;
}

static bool
add_written(void *arg, Bytes key, const WriteAt *at)
{
	(void) at;
	return add_key(arg, key);
}

static bool
add_locked(void *arg, Bytes key, const Lock *lock)
{
	(void) lock;
	return add_key(arg, key);
}

static void
list_init(KeyList *list, Arena *arena, size_t most)
{
	list->arena = arena;
	list->most = most;
	list->n = 0;
	list->keys = arena_alloc(arena, most * sizeof(Bytes));
}

/*
 * Keys with versions and keys with locks, each once, up to where both lists
 * are complete.  True if there may be more; *last is the last one.
 */
static bool
list_keys(Inspection *in, MvccReader *reader, const KeyRange *range,
		  KeyList *out)
{
	KeyList written;
	KeyList locked;
	bool more;
	size_t a = 0;
	size_t b = 0;

	list_init(&written, &in->arena, PAGE_KEYS);
	list_init(&locked, &in->arena, PAGE_KEYS);
	list_init(out, &in->arena, 2 * PAGE_KEYS);
	reader->scan_writes(reader, range, PG_UINT64_MAX, false, add_written,
						&written);
	reader->scan_locks(reader, range, PG_UINT64_MAX, true, add_locked, &locked);
	more = written.n == PAGE_KEYS || locked.n == PAGE_KEYS;
	while (a < written.n || b < locked.n)
	{
		int c = a == written.n ? 1 :
			b == locked.n	   ? -1 :
								 bytes_cmp(written.keys[a], locked.keys[b]);

		/* Behind the end of a list that was cut nothing is known. */
		if ((a == written.n && written.n == PAGE_KEYS) ||
			(b == locked.n && locked.n == PAGE_KEYS))
			break;
		(void) add_key(out, c <= 0 ? written.keys[a] : locked.keys[b]);
		a += c <= 0;
		b += c >= 0;
	}
	return more;
}

/* ------------------------------------------------------------------- rows */

static Datum
ts_time(uint64 ts)
{
	return TimestampTzGetDatum(
		time_t_to_timestamptz((pg_time_t) (txn_physical(ts) / 1000)) +
		(TimestampTz) (txn_physical(ts) % 1000) * 1000);
}

static const char *
write_name(WriteType type)
{
	switch (type)
	{
		case WRITE_TYPE_PUT:
			return "put";
		case WRITE_TYPE_DELETE:
			return "delete";
		case WRITE_TYPE_LOCK:
			return "lock";
		default:
			return "rollback";
	}
}

static const char *
lock_name(LockType type)
{
	switch (type)
	{
		case LOCK_TYPE_PUT:
			return "put";
		case LOCK_TYPE_DELETE:
			return "delete";
		case LOCK_TYPE_PESSIMISTIC:
			return "pessimistic";
		case LOCK_TYPE_SHARED:
			return "shared";
		default:
			return "lock";
	}
}

static void
put_lock_row(Inspection *in, Bytes key, const Lock *lock)
{
	Datum values[MVCC_COLUMNS] = {0};
	bool nulls[MVCC_COLUMNS] = {false};

	values[0] = bytea_datum(txn_user_key(key));
	values[1] = CStringGetTextDatum("lock");
	values[2] = CStringGetTextDatum(lock_name(lock->type));
	values[3] = Int64GetDatum((int64) lock->start_ts);
	nulls[4] = nulls[5] = true;
	nulls[6] = !lock->has_short_value;
	if (lock->has_short_value)
		values[6] = bytea_datum(lock->short_value);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

static void
put_version_row(Inspection *in, MvccReader *reader, Bytes key,
				const WriteAt *at)
{
	Datum values[MVCC_COLUMNS] = {0};
	bool nulls[MVCC_COLUMNS] = {false};
	Bytes value;

	values[0] = bytea_datum(txn_user_key(key));
	values[1] = CStringGetTextDatum("version");
	values[2] = CStringGetTextDatum(write_name(at->write.type));
	values[3] = Int64GetDatum((int64) at->write.start_ts);
	values[4] = Int64GetDatum((int64) at->commit_ts);
	values[5] = ts_time(at->commit_ts);
	nulls[6] = at->write.type != WRITE_TYPE_PUT ||
		!mvcc_load_value(reader, key, &at->write, &in->arena, &value);
	if (!nulls[6])
		values[6] = bytea_datum(value);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

static void
put_key(Inspection *in, MvccReader *reader, Bytes key)
{
	MvccInfo info = {0};

	mvcc_inspect_key(reader, key, KEY_BYTES, &in->arena, &info);
	if (info.too_large)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a key has too many versions to list"),
				 errdetail("Key %s.", txn_key_text(key))));
	if (info.has_lock)
		put_lock_row(in, key, &info.lock);
	for (size_t i = 0; i < info.n_writes; i++)
		put_version_row(in, reader, key, &info.writes[i]);
}

/* One page; false when the range is done. */
static bool
put_page(Inspection *in)
{
	KeyRange range;
	KeyList list;
	MvccReader *reader;
	bool more;

	begin_page(in);
	range = page_range(in);
	reader = read_round_mvcc(in->round);
	more = list_keys(in, reader, &range, &list);
	for (size_t i = 0; i < list.n; i++)
		put_key(in, reader, list.keys[i]);
	more =
		more ? go_on(in, list.keys[list.n - 1], true) : next_region(in, range);
	read_round_end(in->round);
	return more;
}

static void
inspection_begin(FunctionCallInfo fcinfo, Inspection *in, const char *function)
{
	PreventCommandIfParallelMode(function);
	InitMaterializedSRF(fcinfo, 0);
	memset(in, 0, sizeof(*in));
	in->result = (ReturnSetInfo *) fcinfo->resultinfo;
	arena_init(&in->arena);
}

/* The arena's memory is malloc's: an error must not leak it. */
static void
run_pages(Inspection *in, bool (*page)(Inspection *in))
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv inspection page",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	PG_TRY();
	{
		while (page(in))
		{
			/* What is left lives in the context that is emptied. */
			MemoryContextSwitchTo(old);
			in->left.lower = bytes_copy(in->left.lower);
			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
		}
	}
	PG_FINALLY();
	{
		arena_free(&in->arena);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* One key, or with an end_key a range; an empty end_key is the end. */
Datum
tikv_mvcc(PG_FUNCTION_ARGS)
{
	Bytes start = bytes_empty();
	Inspection in;

	inspection_begin(fcinfo, &in, "tikv_mvcc()");
	if (!PG_ARGISNULL(0))
		start = bytea_bytes(PG_GETARG_DATUM(0));
	in.left.lower = txn_stored_key(start);
	in.left.upper = PG_ARGISNULL(1) ?
		bound_copy(CurrentMemoryContext, in.left.lower, true) :
		txn_stored_end(bytea_bytes(PG_GETARG_DATUM(1)));
	if (in.left.upper.len == 0 || bytes_cmp(in.left.lower, in.left.upper) < 0)
		run_pages(&in, put_page);
	return (Datum) 0;
}

/* ------------------------------------------------------------------- locks */

typedef struct LockRowPage
{
	Inspection *in;
	Bytes last;
	int n;
} LockRowPage;

static void
put_lock_values(Inspection *in, Bytes key, const Lock *lock)
{
	Datum values[LOCK_COLUMNS] = {0};
	bool nulls[LOCK_COLUMNS] = {false};
	VirtualTransactionId vxid;
	int pid = 0;

	values[0] = bytea_datum(key);
	values[1] = CStringGetTextDatum(lock_name(lock->type));
	values[2] = Int64GetDatum((int64) lock->start_ts);
	values[3] = ts_time(lock->start_ts);
	values[4] = bytea_datum(lock->primary);
	values[5] = Int64GetDatum((int64) lock->ttl_ms);
	values[6] = Int64GetDatum((int64) lock->for_update_ts);
	nulls[6] = lock->for_update_ts == 0;
	values[7] = Int64GetDatum((int64) lock->min_commit_ts);
	nulls[7] = lock->min_commit_ts == 0;
	values[8] = BoolGetDatum(lock->use_async_commit);
	values[9] = Int64GetDatum((int64) lock->n_secondaries);
	nulls[10] = !sql_txn_find(lock->start_ts, &vxid, &pid);
	values[10] = Int32GetDatum(pid);
	tuplestore_putvalues(in->result->setResult, in->result->setDesc, values,
						 nulls);
}

static bool
put_lock(void *arg, Bytes key, const Lock *lock)
{
	LockRowPage *rows = arg;

	if (lock->type != LOCK_TYPE_SHARED)
		put_lock_values(rows->in, key, lock);
	for (size_t i = 0; i < lock->n_members; i++)
		put_lock_values(rows->in, key, &lock->members[i]);
	rows->last = arena_copy(&rows->in->arena, key);
	return ++rows->n < PAGE_LOCKS;
}

static bool
put_locks_page(Inspection *in)
{
	LockRowPage rows = {.in = in};
	MvccReader *reader;
	KeyRange range;
	bool more;

	begin_page(in);
	range = page_range(in);
	reader = read_round_mvcc(in->round);
	reader->scan_locks(reader, &range, PG_UINT64_MAX, true, put_lock, &rows);
	more = rows.n == PAGE_LOCKS ? go_on(in, rows.last, true) :
								  next_region(in, range);
	read_round_end(in->round);
	return more;
}

bool
txn_stored_lock(Bytes key, Arena *arena, Lock *lock)
{
	Inspection in = {.left.lower = key};
	MvccReader *reader;
	bool found;

	begin_page(&in);
	reader = read_round_mvcc(in.round);
	found = reader->get_lock(reader, key, arena, lock);
	read_round_end(in.round);
	arena_free(&in.arena);
	return found;
}

/* All of them, whatever their keyspace: keys are as they are stored. */
Datum
tikv_locks(PG_FUNCTION_ARGS)
{
	Inspection in;

	inspection_begin(fcinfo, &in, "tikv.locks");
	run_pages(&in, put_locks_page);
	return (Datum) 0;
}
