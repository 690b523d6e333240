/*
 * txn_remote.c
 *	  Reads at a timestamp of regions that other stores lead.
 *
 * The same requests that a client of the network sends; locks that are in the
 * way come back, and the caller clears them.
 */
#include "postgres.h"

#include "core/codec/memcomparable.h"
#include "service/service.h"
#include "service/txn.h"
#include "service/txn_client.h"
#include "sqlapi/route.h"
#include "sqlapi/txn_internal.h"

/* Keys of one request. */
#define GET_KEYS 256

static Bytes
copy_wire(ProtobufCBinaryData from)
{
	return bytes_copy(bytes_make(from.data, from.len));
}

/* The context, with the locks that need not stop the reader. */
static void
read_context(TxnSession *session, const Route *route, uint64 ts,
			 RemoteContext *to)
{
	ReadContext known = {0};

	remote_context(to, &route->region, route->leader);
	txn_fill_known(session, ts, &known);
	to->context.n_resolved_locks = known.n_resolved_locks;
	to->context.resolved_locks = unconstify(uint64_t *, known.resolved_locks);
	to->context.n_committed_locks = known.n_committed_locks;
	to->context.committed_locks = unconstify(uint64_t *, known.committed_locks);
}

/* A lock in the way; anything else is thrown. */
static void
take_error(TxnSession *session, const Kvrpcpb__KeyError *from, RemoteRead *read)
{
	ClientResult result = {.outcome = CLIENT_REFUSED};

	txn_client_key_error(from, &session->arena, &result.error);
	if (result.error.kind != TXN_KEY_IS_LOCKED)
		txn_report(&result);
	read->blocked = true;
	read->lock = result.error.lock;
}

static ProtobufCMessage *
ask(TxnSession *session, const Route *route, int method,
	const ProtobufCMessage *message, bool *too_long)
{
	session->counts.requests++;
	return remote_read(route, method, message, &session->patience,
					   &session->arena, too_long);
}

/* -------------------------------------------------------------------- keys */

static bool
get_one(TxnSession *session, const Route *route, Bytes key, uint64 ts,
		TxnValue *value, RemoteRead *read)
{
	Kvrpcpb__GetRequest request = KVRPCPB__GET_REQUEST__INIT;
	const Kvrpcpb__GetResponse *reply;
	RemoteContext context;

	read_context(session, route, ts, &context);
	request.context = &context.context;
	request.key = bytes_wire(key);
	request.version = ts;
	reply =
		(const void *) ask(session, route, METHOD_KV_GET, &request.base, NULL);
	if (reply == NULL)
		return false;
	if (reply->error != NULL)
	{
		take_error(session, reply->error, read);
		return false;
	}
	value->found = !reply->not_found;
	if (value->found)
		value->value = copy_wire(reply->value);
	return true;
}

static Bytes
key_of(const Kvrpcpb__KvPair *pair)
{
	return bytes_make(pair->key.data, pair->key.len);
}

/* The answer has what exists, in the order of the request. */
static bool
take_values(TxnSession *session, const Kvrpcpb__BatchGetResponse *reply,
			const Bytes *keys, int n, TxnValue *values, RemoteRead *read)
{
	size_t next = 0;

	for (size_t i = 0; i < reply->n_pairs; i++)
		if (reply->pairs[i]->error != NULL)
		{
			take_error(session, reply->pairs[i]->error, read);
			return false;
		}
	for (int i = 0; i < n; i++)
	{
		values[i].found = next < reply->n_pairs &&
			bytes_eq(keys[i], key_of(reply->pairs[next]));
		if (values[i].found)
			values[i].value = copy_wire(reply->pairs[next++]->value);
	}
	return true;
}

static bool
get_some(TxnSession *session, const Route *route, const Bytes *keys, int n,
		 uint64 ts, TxnValue *values, RemoteRead *read, bool *too_long)
{
	Kvrpcpb__BatchGetRequest request = KVRPCPB__BATCH_GET_REQUEST__INIT;
	const Kvrpcpb__BatchGetResponse *reply;
	RemoteContext context;

	read_context(session, route, ts, &context);
	request.context = &context.context;
	request.n_keys = (size_t) n;
	request.keys = arena_alloc(&session->arena, n * sizeof(*request.keys));
	for (int i = 0; i < n; i++)
		request.keys[i] = bytes_wire(keys[i]);
	request.version = ts;
	reply = (const void *) ask(session, route, METHOD_KV_BATCH_GET,
							   &request.base, too_long);
	if (reply == NULL)
		return false;
	if (reply->error != NULL)
	{
		take_error(session, reply->error, read);
		return false;
	}
	return take_values(session, reply, keys, n, values, read);
}

bool
txn_remote_keys(TxnSession *session, const Route *route, const Bytes *keys,
				int n, uint64 ts, TxnValue *values, RemoteRead *read)
{
	int limit = GET_KEYS;
	int done = 0;

	while (done < n)
	{
		int part = Min(n - done, limit);
		bool too_long = false;
		bool ok = part == 1 ?
			get_one(session, route, keys[done], ts, &values[done], read) :
			get_some(session, route, keys + done, part, ts, values + done, read,
					 &too_long);

		if (too_long)
			limit = Max(limit / 4, 1);
		else if (!ok)
			return false;
		else
			done += part;
	}
	return true;
}

/* ------------------------------------------------------------------- pages */

static void
take_page(TxnSession *session, const Kvrpcpb__ScanResponse *reply,
		  bool key_only, TxnPage *page, RemoteRead *read)
{
	for (size_t i = 0; i < reply->n_pairs; i++)
	{
		const Kvrpcpb__KvPair *pair = reply->pairs[i];

		if (pair->error != NULL)
		{
			take_error(session, pair->error, read);
			return;
		}
		page->keys[page->n] = copy_wire(pair->key);
		page->values[page->n] =
			key_only ? bytes_empty() : copy_wire(pair->value);
		page->n++;
	}
}

static const Kvrpcpb__ScanResponse *
ask_for_page(TxnSession *session, const Route *route, const MvccScan *scan,
			 uint32 limit, uint64 ts, bool *too_long)
{
	Kvrpcpb__ScanRequest request = KVRPCPB__SCAN_REQUEST__INIT;
	KeyRange range =
		txn_clip_range(scan->range,
					   txn_region_range(&route->region, &session->arena));
	Bytes end = route->region.end_key;
	RemoteContext context;

	/* A region that ends with a raw key ends before its upper key: all of it. */
	if (scan->reverse && end.len > 0 && memcomparable_cmp(range.upper, end) > 0)
		range.upper = bytes_empty();
	read_context(session, route, ts, &context);
	request.context = &context.context;
	request.start_key = bytes_wire(scan->reverse ? range.upper : range.lower);
	request.end_key = bytes_wire(scan->reverse ? range.lower : range.upper);
	request.reverse = scan->reverse;
	request.key_only = scan->key_only;
	request.limit = limit;
	request.version = ts;
	return (const void *) ask(session, route, METHOD_KV_SCAN, &request.base,
							  too_long);
}

bool
txn_remote_page(TxnSession *session, const Route *route, const MvccScan *scan,
				uint64 ts, TxnPage *page, bool *more, RemoteRead *read)
{
	const Kvrpcpb__ScanResponse *reply;
	uint32 limit = Min(scan->limit, GET_KEYS);

	for (;;)
	{
		bool too_long = false;

		reply = ask_for_page(session, route, scan, limit, ts, &too_long);
		if (reply != NULL)
			break;
		if (!too_long)
			return false;
		if (limit == 1)
			ereport(
				ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the value is too large to be read from another store"),
				 errhint("tikv.bus_memory is the bound.")));
		limit = Max(limit / 4, 1);
	}
	if (reply->error != NULL)
		take_error(session, reply->error, read);
	else
		take_page(session, reply, scan->key_only, page, read);
	*more = (uint32) page->n == limit;
	return true;
}
