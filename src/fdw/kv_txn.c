/*
 * kv_txn.c
 *	  Keys of transactions behind the wrapper's interface: part of the SQL
 *	  transaction, by the session's own (sqlapi/txn_session.h).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "fdw/kv.h"
#include "sqlapi/txn_session.h"

/* Of one request, of small values and of large ones. */
#define SOME_KEYS 1024
#define FEWEST_KEYS 16

/* A pair is taken for so large until one was seen. */
#define GUESSED_PAIR_BYTES ((Size) 8192)

/* A call on its way: what it costs is known behind it. */
typedef struct TxnCall
{
	TxnSession *session;
	TxnCounts before;
	MemoryContext caller;
	MemoryContext scratch;
} TxnCall;

static TxnCall
call_begin(const char *what, bool writes)
{
	TxnCall call;

	call.session = txn_session(what, writes);
	call.before = txn_counts(call.session);
	call.scratch =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw request",
							  ALLOCSET_DEFAULT_SIZES);
	call.caller = MemoryContextSwitchTo(call.scratch);
	return call;
}

static void
call_end(TxnCall *call, KvCounters *counters)
{
	TxnCounts after = txn_counts(call->session);

	counters->requests += after.requests - call->before.requests +
		after.rounds - call->before.rounds;
	counters->retries += after.retries - call->before.retries;
	MemoryContextSwitchTo(call->caller);
	MemoryContextDelete(call->scratch);
}

static Bytes *
stored_keys(const Bytes *keys, int n)
{
	Bytes *stored = palloc(sizeof(Bytes) * Max(n, 1));

	for (int i = 0; i < n; i++)
		stored[i] = txn_stored_key(keys[i]);
	return stored;
}

/* ------------------------------------------------------------------- reads */

static void
keep_found(KvPage *page, const Bytes *keys, int first, const TxnValue *values,
		   int n)
{
	for (int i = 0; i < n; i++)
		if (values[i].found)
			kv_page_add_asked(page, first + i, keys[i], values[i].value, 0);
}

/* A request has its answer in memory: about a page's. */
static int
keys_at_once(const KvPage *page)
{
	Size bytes = kv_page_pair_bytes(page);

	if (bytes == 0)
		bytes = GUESSED_PAIR_BYTES;
	return (int) Max(Min(KV_PAGE_BYTES / bytes, SOME_KEYS), FEWEST_KEYS);
}

static int
kv_txn_batch_get(const Bytes *keys, int n, KvPage *page, KvCounters *counters)
{
	Size end_used = page->used + KV_PAGE_BYTES;
	int before = page->n;
	int done = 0;

	while (done < n && page->used < end_used)
	{
		int some = Min(keys_at_once(page), n - done);
		TxnCall call = call_begin("SELECT", false);
		TxnValue *values = palloc(sizeof(TxnValue) * some);

		CHECK_FOR_INTERRUPTS();
		txn_batch_get(call.session, stored_keys(keys + done, some), some,
					  values);
		keep_found(page, keys + done, done, values, some);
		call_end(&call, counters);
		done += some;
	}
	counters->keys_read += page->n - before;
	return done;
}

struct KvCursor
{
	MemoryContext context;
	TxnScan *scan;
};

static KvCursor *
kv_txn_open(const KvRange *range, bool reverse, bool key_only)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw cursor",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	KvCursor *cursor = palloc0(sizeof(KvCursor));

	cursor->context = context;
	cursor->scan =
		txn_scan_begin(txn_session("SELECT", false),
					   txn_stored_key(range->lower),
					   txn_stored_end(range->upper), reverse, key_only);
	MemoryContextSwitchTo(caller);
	return cursor;
}

static bool
kv_txn_fetch(KvCursor *cursor, int limit, KvPage *page, KvCounters *counters)
{
	TxnCall call = call_begin("SELECT", false);
	Size end_used = page->used + KV_PAGE_BYTES;
	int before = page->n;
	Bytes key;
	Bytes value = bytes_empty();

	CHECK_FOR_INTERRUPTS();
	while (page->n - before < limit && page->used < end_used &&
		   txn_scan_next(cursor->scan, &key, &value))
		kv_page_add(page, txn_user_key(key), value, 0);
	call_end(&call, counters);
	counters->keys_read += page->n - before;
	return page->n > before;
}

static void
kv_txn_close(KvCursor *cursor)
{
	txn_scan_end(cursor->scan);
	MemoryContextDelete(cursor->context);
}

static void
kv_txn_lock(const Bytes *keys, int n, bool no_wait, KvPage *page,
			KvCounters *counters)
{
	TxnCall call = call_begin("SELECT FOR UPDATE", true);
	TxnValue *values = palloc(sizeof(TxnValue) * Max(n, 1));

	if (no_wait)
		txn_lock_now(call.session, stored_keys(keys, n), n, values);
	else
		txn_lock_many(call.session, stored_keys(keys, n), n, values);
	keep_found(page, keys, 0, values, n);
	call_end(&call, counters);
}

/* ------------------------------------------------------------------ writes */

static void
split_writes(const KvWrite *writes, int n, Bytes **keys, Bytes **values)
{
	*keys = palloc(sizeof(Bytes) * Max(n, 1));
	*values = palloc(sizeof(Bytes) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*keys)[i] = txn_stored_key(writes[i].key);
		(*values)[i] = writes[i].value;
	}
}

static void
kv_txn_put(const KvWrite *writes, int n, KvCounters *counters)
{
	TxnCall call = call_begin("UPDATE", true);
	Bytes *keys;
	Bytes *values;

	split_writes(writes, n, &keys, &values);
	txn_put_many(call.session, keys, values, n);
	call_end(&call, counters);
	counters->keys_written += n;
}

static void
kv_txn_delete(const Bytes *keys, int n, KvCounters *counters)
{
	TxnCall call = call_begin("DELETE", true);

	txn_delete_many(call.session, stored_keys(keys, n), n);
	call_end(&call, counters);
	counters->keys_written += n;
}

/* The first key that exists ends the transaction, so none need be tried. */
static int
kv_txn_insert(const KvWrite *writes, int n, bool stop_at_first, bool *existed,
			  KvCounters *counters)
{
	TxnCall call = call_begin("INSERT", true);
	bool *inserted = palloc(sizeof(bool) * Max(n, 1));
	int n_inserted = 0;
	Bytes *keys;
	Bytes *values;

	(void) stop_at_first;
	split_writes(writes, n, &keys, &values);
	txn_insert_many(call.session, keys, values, n, inserted);
	for (int i = 0; i < n; i++)
	{
		existed[i] = !inserted[i];
		n_inserted += inserted[i];
	}
	call_end(&call, counters);
	counters->keys_written += n_inserted;
	return n_inserted;
}

static void
kv_txn_delete_range(const KvRange *range, KvCounters *counters)
{
	KvCursor *cursor = kv_txn_open(range, false, true);
	KvPage *page = kv_page_new(CurrentMemoryContext);

	while (kv_txn_fetch(cursor, SOME_KEYS, page, counters))
	{
		Bytes *keys = palloc(sizeof(Bytes) * page->n);

		for (int i = 0; i < page->n; i++)
			keys[i] = kv_page_key(page, i);
		kv_txn_delete(keys, page->n, counters);
		pfree(keys);
		kv_page_clear(page);
	}
	kv_txn_close(cursor);
}

const KvAccess kv_txn = {
	.batch_get = kv_txn_batch_get,
	.open = kv_txn_open,
	.fetch = kv_txn_fetch,
	.close = kv_txn_close,
	.lock = kv_txn_lock,
	.put = kv_txn_put,
	.delete = kv_txn_delete,
	.insert = kv_txn_insert,
	.delete_range = kv_txn_delete_range,
};
