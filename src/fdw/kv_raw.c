/*
 * kv_raw.c
 *	  Raw keys behind the wrapper's interface: read by the session itself,
 *	  written by the store.
 *
 * A page of a scan lies within one region and is read over a snapshot of its
 * own; nothing is held between pages.  Writes go over the bus in requests that
 * the store carries out all or not; each is durable when it returns, whatever
 * becomes of the SQL transaction.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "fdw/kv.h"
#include "service/service.h"
#include "sqlapi/sqlapi.h"

/* What one read holds the tables for, and one write sends. */
#define GET_KEYS 1024
#define WRITE_KEYS KV_AHEAD_KEYS
#define WRITE_BYTES KV_AHEAD_BYTES

/* ---------------------------------------------------------------- scratch */

/* Memory for one request, thrown away behind it. */
static MemoryContext
scratch_begin(void)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw request",
							  ALLOCSET_DEFAULT_SIZES);

	return MemoryContextSwitchTo(scratch);
}

static void
scratch_end(MemoryContext caller)
{
	MemoryContext scratch = MemoryContextSwitchTo(caller);

	MemoryContextDelete(scratch);
}

/* --------------------------------------------------------------- the gets */

typedef struct Getting
{
	const Bytes *keys;
	int first; /* of all that were asked for, the number of the first of these */
	KvPage *page;
	Size end_used; /* of the page's buffer, when it is full */
	int done;	   /* keys that were looked for */
} Getting;

static bool
keep_found(void *arg, int i, const RawPair *pair)
{
	Getting *getting = arg;
	KvPage *page = getting->page;

	kv_page_add_asked(page, getting->first + i, getting->keys[i], pair->value,
					  pair->expires_at);
	if (page->used < getting->end_used)
		return true;
	getting->done = i + 1;
	return false;
}

static void
get_each(RawReader *reader, const Bytes *stored, Getting *getting)
{
	for (int i = 0; i < getting->done; i++)
	{
		Arena *arena = call_arena();
		RawPair pair;

		if (reader->get(reader, RAW_CF_DEFAULT, stored[i], arena, &pair))
			(void) keep_found(getting, i, &pair);
	}
	(void) call_arena();
}

static int
get_some(const Bytes *keys, int first, int n, KvPage *page)
{
	Getting getting = {keys, first, page, page->used + KV_PAGE_BYTES, n};
	MemoryContext caller = scratch_begin();
	Bytes *stored = palloc(n * sizeof(Bytes));
	SqlRound round;

	memcpy(stored, keys, n * sizeof(Bytes));
	sql_stored_keys(stored, n);
	sql_round_begin(&round, stored, n, false);
	if (page->wants_ttl)
		sql_round_want_ttl(&round);
	if (round.reader->get_many != NULL)
		round.reader->get_many(round.reader, RAW_CF_DEFAULT, stored, n,
							   keep_found, &getting);
	else
		get_each(round.reader, stored, &getting);
	sql_round_end(&round);
	scratch_end(caller);
	return getting.done;
}

static int
raw_batch_get(const Bytes *keys, int n, KvPage *page, KvCounters *counters)
{
	uint64 retries = session_retries();
	Size end_used = page->used + KV_PAGE_BYTES;
	int before = page->n;
	int done = 0;

	while (done < n && page->used < end_used)
	{
		CHECK_FOR_INTERRUPTS();
		done += get_some(keys + done, done, Min(GET_KEYS, n - done), page);
		counters->requests++;
	}
	counters->keys_read += page->n - before;
	counters->retries += session_retries() - retries;
	return done;
}

/* -------------------------------------------------------------- the cursor */

struct KvCursor
{
	MemoryContext context;
	Bytes lower; /* stored keys, what is left of the range */
	Bytes upper;
	bool reverse;
	bool key_only;
	bool at_end;
};

/* A page on its way. */
typedef struct Filling
{
	KvPage *page;
	int limit;	   /* pairs that may still come */
	Size end_used; /* of the page's buffer, when it is full */
} Filling;

static KvCursor *
raw_open(const KvRange *range, bool reverse, bool key_only)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw cursor",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	KvCursor *cursor = palloc0(sizeof(KvCursor));

	cursor->context = context;
	cursor->lower = bound_copy(context, sql_stored_key(range->lower), false);
	cursor->upper = bound_copy(context, sql_stored_end(range->upper), false);
	cursor->reverse = reverse;
	cursor->key_only = key_only;
	MemoryContextSwitchTo(caller);
	return cursor;
}

static void
raw_close(KvCursor *cursor)
{
	MemoryContextDelete(cursor->context);
}

static bool
keep_pair(void *arg, const RawPair *pair)
{
	Filling *filling = arg;
	KvPage *page = filling->page;

	kv_page_add(page, sql_user_key(pair->key), pair->value, pair->expires_at);
	return --filling->limit > 0 && page->used < filling->end_used;
}

/* The part of what is left that lies in the region. */
static RawScan
cut_to_region(const KvCursor *cursor, const Region *region, int limit)
{
	RawScan cut = {
		.cf = RAW_CF_DEFAULT,
		.lower = cursor->lower,
		.upper = cursor->upper,
		.reverse = cursor->reverse,
		.key_only = cursor->key_only,
		.limit = (uint32) limit,
	};

	sql_cut_to_region(&cut.lower, &cut.upper, region);
	return cut;
}

/* The page is full: go on behind its last key. */
static void
go_behind(KvCursor *cursor, const KvPage *page)
{
	Bytes last = sql_stored_key(kv_page_key(page, page->n - 1));

	if (!cursor->reverse)
		bound_move(cursor->context, &cursor->lower, last, true);
	else if (last.len > 0)
		bound_move(cursor->context, &cursor->upper, last, false);
	else
		cursor->at_end = true;
}

/* The region has no more: go on in the next one. */
static void
go_on(KvCursor *cursor, const Region *region)
{
	Bytes next =
		sql_plain_bound(cursor->reverse ? region->start_key : region->end_key);

	if (next.len == 0)
		cursor->at_end = true;
	else if (cursor->reverse)
		bound_move(cursor->context, &cursor->upper, next, false);
	else
		bound_move(cursor->context, &cursor->lower, next, false);
	cursor->at_end = cursor->at_end ||
		(cursor->upper.len > 0 && bytes_cmp(cursor->lower, cursor->upper) >= 0);
}

static void
fetch_some(KvCursor *cursor, int limit, KvPage *page)
{
	MemoryContext caller = scratch_begin();
	Filling filling = {page, limit, page->used + KV_PAGE_BYTES};
	SqlRound round;
	RawScan cut;

	sql_round_begin(&round, cursor->reverse ? &cursor->upper : &cursor->lower,
					1, cursor->reverse);
	if (page->wants_ttl)
		sql_round_want_ttl(&round);
	cut = cut_to_region(cursor, &round.seen[0]->region, limit);
	round.reader->scan(round.reader, &cut, keep_pair, &filling);
	if (filling.limit > 0 && page->used < filling.end_used)
		go_on(cursor, &round.seen[0]->region);
	else
		go_behind(cursor, page);
	sql_round_end(&round);
	scratch_end(caller);
}

static bool
raw_fetch(KvCursor *cursor, int limit, KvPage *page, KvCounters *counters)
{
	uint64 retries = session_retries();
	int before = page->n;

	if (cursor->upper.len > 0 && bytes_cmp(cursor->lower, cursor->upper) >= 0)
		cursor->at_end = true;
	while (!cursor->at_end && page->n == before)
	{
		CHECK_FOR_INTERRUPTS();
		fetch_some(cursor, limit, page);
		counters->requests++;
	}
	counters->keys_read += page->n - before;
	counters->retries += session_retries() - retries;
	return page->n > before;
}

/* --------------------------------------------------------------- the writes */

static ProtobufCMessage *
build_put(const SqlWrite *write, int from, int n, Kvrpcpb__Context *context,
		  Arena *arena)
{
	const KvWrite *writes = write->arg;
	Kvrpcpb__RawBatchPutRequest *put = arena_alloc(arena, sizeof(*put));
	Kvrpcpb__KvPair *pairs = arena_alloc(arena, n * sizeof(*pairs));

	kvrpcpb__raw_batch_put_request__init(put);
	put->context = context;
	put->n_pairs = n;
	put->n_ttls = n;
	put->ttls = arena_alloc(arena, n * sizeof(*put->ttls));
	put->pairs = arena_alloc(arena, n * sizeof(*put->pairs));
	put->for_cas = write->method == METHOD_SQL_BATCH_INSERT;
	for (int i = 0; i < n; i++)
	{
		kvrpcpb__kv_pair__init(&pairs[i]);
		pairs[i].key = bytes_wire(write->keys[from + i]);
		pairs[i].value = bytes_wire(writes[from + i].value);
		put->ttls[i] = writes[from + i].ttl_s;
		put->pairs[i] = &pairs[i];
	}
	return &put->base;
}

/* How many of the writes make one request. */
static int
cut_writes(const KvWrite *writes, int n)
{
	Size bytes = 0;
	int cut = 0;

	while (cut < n && cut < WRITE_KEYS && (cut == 0 || bytes < WRITE_BYTES))
	{
		bytes += writes[cut].key.len + writes[cut].value.len;
		cut++;
	}
	return cut;
}

/* Returns the part that met a key, of an insert. */
static SqlPart
write_some(const KvWrite *writes, int n, int method, KvCounters *counters)
{
	MemoryContext caller = scratch_begin();
	uint64 retries = session_retries();
	Bytes *keys = palloc(n * sizeof(Bytes));
	SqlPart met = {0, 0};
	SqlWrite write = {
		.function = method == METHOD_RAW_BATCH_PUT ? "UPDATE" : "INSERT",
		.method = method,
		.response = &kvrpcpb__raw_batch_put_response__descriptor,
		.keys = keys,
		.n = n,
		.build = build_put,
		.arg = unconstify(KvWrite *, writes),
		.allowed = true,
		.met = method == METHOD_RAW_BATCH_PUT ? NULL : &met,
	};

	for (int i = 0; i < n; i++)
		keys[i] = sql_stored_key(writes[i].key);
	sql_write(&write);
	counters->requests++;
	counters->keys_written += met.n > 0 ? met.from : n;
	counters->retries += session_retries() - retries;
	scratch_end(caller);
	return met;
}

static void
raw_put(const KvWrite *writes, int n, KvCounters *counters)
{
	while (n > 0)
	{
		int cut = cut_writes(writes, n);

		CHECK_FOR_INTERRUPTS();
		(void) write_some(writes, cut, METHOD_RAW_BATCH_PUT, counters);
		writes += cut;
		n -= cut;
	}
}

/*
 * Flag the keys of a part that exist.  Others may have removed them since, or
 * their range is being deleted; then none is found, and the part is sent again.
 */
static int
flag_existing(const KvWrite *writes, int n, bool *existed, KvCounters *counters)
{
	MemoryContext caller = scratch_begin();
	KvPage *page = kv_page_new(CurrentMemoryContext);
	Bytes *keys = palloc(n * sizeof(Bytes));
	int found = 0;

	for (int i = 0; i < n; i++)
		keys[i] = writes[i].key;
	for (int done = 0; done < n;)
		done += raw_batch_get(keys + done, n - done, page, counters);
	for (int i = 0; i < n && found < page->n; i++)
	{
		existed[i] = bytes_eq(keys[i], kv_page_key(page, found));
		found += existed[i];
	}
	scratch_end(caller);
	return found;
}

/* Insert what is not flagged; true if a key was met, whose part is *met. */
static bool
insert_unflagged(const KvWrite *writes, int n, const bool *existed,
				 KvCounters *counters, SqlPart *met)
{
	int from = 0;

	while (from < n)
	{
		int run = 0;
		SqlPart part;

		if (existed[from])
		{
			from++;
			continue;
		}
		while (from + run < n && !existed[from + run])
			run++;
		run = cut_writes(writes + from, run);
		CHECK_FOR_INTERRUPTS();
		part =
			write_some(writes + from, run, METHOD_SQL_BATCH_INSERT, counters);
		if (part.n > 0)
		{
			met->from = from + part.from;
			met->n = part.n;
			return true;
		}
		from += run;
	}
	return false;
}

/* Go on with what follows the keys inserted so far. */
static int
raw_insert(const KvWrite *writes, int n, bool stop_at_first, bool *existed,
		   KvCounters *counters)
{
	int done = 0;
	int inserted = 0;
	SqlPart met;

	memset(existed, 0, sizeof(bool) * (Size) n);
	while (insert_unflagged(writes + done, n - done, existed + done, counters,
							&met))
	{
		for (int i = done; i < done + met.from; i++)
			inserted += !existed[i];
		done += met.from;
		if (flag_existing(writes + done, met.n, existed + done, counters) > 0 &&
			stop_at_first)
			return inserted;
	}
	for (int i = done; i < n; i++)
		inserted += !existed[i];
	return inserted;
}

struct KvAhead
{
	SqlPart met;
	int n;
	SqlAhead *request;
};

static KvAhead *
raw_ahead_new(const KvWrite *writes, int n)
{
	KvAhead *ahead = palloc0(sizeof(KvAhead));
	Bytes *keys = palloc(n * sizeof(Bytes));
	SqlWrite write = {
		.function = "INSERT",
		.method = METHOD_SQL_BATCH_INSERT,
		.response = &kvrpcpb__raw_batch_put_response__descriptor,
		.keys = keys,
		.n = n,
		.build = build_put,
		.arg = unconstify(KvWrite *, writes),
		.allowed = true,
		.met = &ahead->met,
	};

	for (int i = 0; i < n; i++)
		keys[i] = sql_stored_key(writes[i].key);
	ahead->n = n;
	ahead->request = sql_ahead_new(&write);
	return ahead;
}

static void
raw_ahead_send(KvAhead *ahead)
{
	sql_ahead_send(ahead->request);
}

static bool
raw_ahead_end(KvAhead *ahead, KvCounters *counters)
{
	if (!sql_ahead_end(ahead->request))
		return false;
	counters->requests++;
	counters->keys_written += ahead->n;
	return true;
}

static void
delete_some(const Bytes *keys, int n)
{
	MemoryContext caller = scratch_begin();
	Bytes *stored = palloc(n * sizeof(Bytes));
	SqlWrite write = {
		.function = "DELETE",
		.method = METHOD_RAW_BATCH_DELETE,
		.response = &kvrpcpb__raw_batch_delete_response__descriptor,
		.keys = stored,
		.n = n,
		.build = sql_build_batch_delete,
		.allowed = true,
	};

	memcpy(stored, keys, n * sizeof(Bytes));
	sql_stored_keys(stored, n);
	sql_write(&write);
	scratch_end(caller);
}

static void
raw_delete(const Bytes *keys, int n, KvCounters *counters)
{
	uint64 retries = session_retries();

	for (int from = 0; from < n; from += WRITE_KEYS)
	{
		int cut = Min(WRITE_KEYS, n - from);

		CHECK_FOR_INTERRUPTS();
		delete_some(keys + from, cut);
		counters->requests++;
		counters->keys_written += cut;
	}
	counters->retries += session_retries() - retries;
}

static void
raw_delete_range(const KvRange *range, KvCounters *counters)
{
	sql_delete_range("TRUNCATE", sql_stored_key(range->lower),
					 sql_stored_end(range->upper), true);
	counters->requests++;
}

const KvAccess kv_raw = {
	.batch_get = raw_batch_get,
	.open = raw_open,
	.fetch = raw_fetch,
	.close = raw_close,
	.put = raw_put,
	.delete = raw_delete,
	.insert = raw_insert,
	.ahead_new = raw_ahead_new,
	.ahead_send = raw_ahead_send,
	.ahead_end = raw_ahead_end,
	.delete_range = raw_delete_range,
};

const KvAccess *
kv_access(KvMode mode)
{
	return mode == KV_RAW ? &kv_raw : &kv_txn;
}
