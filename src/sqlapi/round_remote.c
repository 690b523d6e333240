/*
 * round_remote.c
 *	  Raw keys of regions that other stores lead, behind the interface of a
 *	  reader.
 *
 * Keys are fetched some at a time, in the order in which they will be asked
 * for; a scan walks from region to region.  What this store leads is read here,
 * in rounds of its own.  There is no common snapshot, as a client of several
 * regions has none.
 */
#include "postgres.h"

#include <time.h>

#include "core/kv/expiry.h"
#include "guc.h"
#include "miscadmin.h"
#include "service/service.h"
#include "sqlapi/route.h"
#include "storage/context_arena.h"
#include "utils/memutils.h"

/* Of one request; less when the values are large. */
#define FETCH_KEYS 256

typedef struct Fetched
{
	Bytes key;
	bool found;
	Bytes value;
	int64 expires_at;
} Fetched;

typedef struct RemoteReader
{
	RawReader base;
	MemoryContext context; /* of what was fetched */
	const Bytes *keys;
	int n_keys;
	bool wants_ttl;

	/* keys [first, first + n) */
	Fetched *fetched;
	int first;
	int n;

	int limit; /* pairs in one answer */
	Patience patience;
} RemoteReader;

/* -------------------------------------------------------------- refusals */

static void
report_refusal(const Route *route, const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("store %llu, which leads region %llu, refuses the read: %s",
					(unsigned long long) route->leader.store_id,
					(unsigned long long) route->region.id, text)));
}

/*
 * What a response without an `error` says in place of pairs, palloc'd; NULL: it
 * has pairs.
 */
static const char *
refusal_of(Kvrpcpb__KvPair *const *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pairs[i]->error != NULL)
			return pstrdup(pairs[i]->error->abort);
	return NULL;
}

static void
ask_for_less(RemoteReader *reader)
{
	if (reader->limit == 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the value is too large to be read from another store"),
				 errhint("tikv.bus_memory is the bound.")));
	reader->limit = Max(reader->limit / 4, 1);
}

/* Of older leaders the answer may only be too large. */
static void
take_refusal(RemoteReader *reader, const Route *route, const char *text)
{
	if (reader->limit == 1)
		report_refusal(route, text);
	ask_for_less(reader);
}

/* ------------------------------------------------------------ time to live */

/* When the key expires, of one that is there; false: ask again. */
static bool
fetch_ttl(RemoteReader *reader, const Route *route, Fetched *fetched)
{
	Kvrpcpb__RawGetKeyTTLRequest request =
		KVRPCPB__RAW_GET_KEY_TTLREQUEST__INIT;
	const Kvrpcpb__RawGetKeyTTLResponse *reply;
	const char *refusal = NULL;
	RemoteContext context;
	Arena arena;
	bool answered;

	remote_context(&context, &route->region, route->leader);
	request.context = &context.context;
	request.key = bytes_wire(fetched->key);
	arena_init(&arena);
	reply =
		(const void *) remote_read(route, METHOD_RAW_GET_KEY_TTL, &request.base,
								   &reader->patience, &arena, NULL);
	answered = reply != NULL;
	if (answered && reply->error[0] != '\0')
		refusal = pstrdup(reply->error);
	else if (answered && reply->not_found)
		fetched->found = false;
	else if (answered && reply->ttl > 0)
		fetched->expires_at = expiry_of_ttl(reply->ttl, (int64) time(NULL));
	arena_free(&arena);
	if (refusal != NULL)
		report_refusal(route, refusal);
	return answered;
}

static bool
fetch_ttls(RemoteReader *reader, const Route *route, Fetched *fetched, int n)
{
	if (!reader->wants_ttl)
		return true;
	for (int i = 0; i < n; i++)
		if (fetched[i].found && !fetch_ttl(reader, route, &fetched[i]))
			return false;
	return true;
}

/* ------------------------------------------------------------------- keys */

/* The answer has the keys that exist, in the order of the request. */
static void
take_pairs(Fetched *fetched, int n, const Kvrpcpb__RawBatchGetResponse *reply)
{
	size_t next = 0;

	for (int i = 0; i < n; i++)
	{
		const Kvrpcpb__KvPair *pair =
			next < reply->n_pairs ? reply->pairs[next] : NULL;

		fetched[i].found = pair != NULL &&
			bytes_eq(fetched[i].key, bytes_make(pair->key.data, pair->key.len));
		if (!fetched[i].found)
			continue;
		fetched[i].value =
			bytes_copy(bytes_make(pair->value.data, pair->value.len));
		fetched[i].expires_at = 0;
		next++;
	}
}

static bool
get_elsewhere(RemoteReader *reader, const Route *route, Fetched *fetched, int n)
{
	Kvrpcpb__RawBatchGetRequest request = KVRPCPB__RAW_BATCH_GET_REQUEST__INIT;
	const Kvrpcpb__RawBatchGetResponse *reply;
	const char *refusal = NULL;
	RemoteContext context;
	bool too_long = false;
	Arena arena;

	remote_context(&context, &route->region, route->leader);
	request.context = &context.context;
	request.n_keys = (size_t) n;
	request.keys = palloc(n * sizeof(*request.keys));
	for (int i = 0; i < n; i++)
		request.keys[i] = bytes_wire(fetched[i].key);
	arena_init(&arena);
	reply =
		(const void *) remote_read(route, METHOD_RAW_BATCH_GET, &request.base,
								   &reader->patience, &arena, &too_long);
	if (reply != NULL)
		refusal = refusal_of(reply->pairs, reply->n_pairs);
	if (reply != NULL && refusal == NULL)
		take_pairs(fetched, n, reply);
	arena_free(&arena);
	if (refusal != NULL)
		take_refusal(reader, route, refusal);
	if (too_long)
		ask_for_less(reader);
	return reply != NULL && refusal == NULL &&
		fetch_ttls(reader, route, fetched, n);
}

static bool
get_here(RemoteReader *reader, Fetched *fetched, int n)
{
	const TableOids *tables = session_tables(&reader->patience);
	Bytes *keys = palloc(n * sizeof(Bytes));
	SqlRound round;
	Arena arena;

	for (int i = 0; i < n; i++)
		keys[i] = fetched[i].key;
	if (!sql_round_try(&round, tables, keys, n, false))
		return false;
	arena_init(&arena);
	for (int i = 0; i < n; i++)
	{
		RawPair pair;

		fetched[i].found = round.reader->get(round.reader, RAW_CF_DEFAULT,
											 keys[i], &arena, &pair);
		if (!fetched[i].found)
			continue;
		fetched[i].value = bytes_copy(pair.value);
		fetched[i].expires_at = pair.expires_at;
		arena_reset(&arena);
	}
	arena_free(&arena);
	sql_round_end(&round);
	return true;
}

/* Fetch the first keys from `from` on, those of one region. */
static bool
fetch_part(RemoteReader *reader, int from)
{
	int most = Min(reader->n_keys - from, reader->limit);
	Route route;
	int n = 1;

	if (!route_find(sql_bound(reader->keys[from]), false, &reader->patience,
					&route))
		return false;
	while (n < most && sql_in_region(&route.region, reader->keys[from + n]))
		n++;
	reader->fetched = palloc0(n * sizeof(Fetched));
	for (int i = 0; i < n; i++)
		reader->fetched[i].key = reader->keys[from + i];
	if (!(route.local ? get_here(reader, reader->fetched, n) :
						get_elsewhere(reader, &route, reader->fetched, n)))
		return false;
	reader->first = from;
	reader->n = n;
	return true;
}

static void
fetch(RemoteReader *reader, int from)
{
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	reader->n = 0;
	reader->patience = patience_begin();
	for (;;)
	{
		MemoryContextReset(reader->context);
		CHECK_FOR_INTERRUPTS();
		if (fetch_part(reader, from))
			break;
		patience_retry(&reader->patience);
	}
	MemoryContextSwitchTo(old);
}

/* Mostly the one behind the last that was asked for. */
static int
index_of(const RemoteReader *reader, Bytes key)
{
	int start = reader->n == 0 ? 0 : reader->first;

	for (int i = 0; i < reader->n_keys; i++)
	{
		int at = (start + i) % reader->n_keys;

		if (bytes_eq(reader->keys[at], key))
			return at;
	}
	elog(ERROR, "a key was asked for that the round does not have");
}

static bool
remote_get(RawReader *base, RawCf cf, Bytes key, Arena *arena, RawPair *out)
{
	RemoteReader *reader = (RemoteReader *) base;
	int at = index_of(reader, key);
	const Fetched *fetched;

	(void) cf;
	if (reader->n == 0 || at < reader->first || at >= reader->first + reader->n)
		fetch(reader, at);
	fetched = &reader->fetched[at - reader->first];
	if (!fetched->found)
		return false;
	memset(out, 0, sizeof(*out));
	out->key = key;
	out->value = arena_copy(arena, fetched->value);
	out->expires_at = fetched->expires_at;
	return true;
}

/* ------------------------------------------------------------------- scans */

typedef struct RemoteScan
{
	RemoteReader *reader;
	RawScan left;
	bool (*emit)(void *arg, const RawPair *pair);
	void *arg;
	bool ended; /* by who is told */
} RemoteScan;

static bool
emit_pair(void *arg, const RawPair *pair)
{
	RemoteScan *scan = arg;

	scan->left.limit--;
	scan->ended = !scan->emit(scan->arg, pair);
	return !scan->ended;
}

/* What is left of the range, in the region. */
static RawScan
cut_to_region(const RawScan *scan, const Region *region)
{
	RawScan cut = *scan;

	sql_cut_to_region(&cut.lower, &cut.upper, region);
	return cut;
}

/* Behind a part that was read whole. */
static void
go_on(RemoteScan *scan, const RawScan *part)
{
	RawScan *left = &scan->left;
	Bytes next = left->reverse ? part->lower : part->upper;

	if (next.len == 0)
		scan->ended = true;
	else if (left->reverse)
		left->upper = bytes_copy(next);
	else
		left->lower = bytes_copy(next);
	if (left->upper.len > 0 && bytes_cmp(left->lower, left->upper) >= 0)
		scan->ended = true;
}

/* Behind the last pair of a page that was full. */
static void
go_behind(RemoteScan *scan, Bytes last)
{
	RawScan *left = &scan->left;

	if (!left->reverse)
		left->lower = bound_copy(CurrentMemoryContext, last, true);
	else if (last.len > 0)
		left->upper = bytes_copy(last);
	else
		scan->ended = true;
	if (left->upper.len > 0 && bytes_cmp(left->lower, left->upper) >= 0)
		scan->ended = true;
}

static void
tell_pairs(RemoteScan *scan, const Kvrpcpb__RawScanResponse *reply,
		   const Fetched *ttls)
{
	for (size_t i = 0; i < reply->n_kvs && !scan->ended; i++)
	{
		const Kvrpcpb__KvPair *from = reply->kvs[i];
		RawPair pair = {0};

		if (ttls != NULL && !ttls[i].found)
			continue;
		pair.key = bytes_make(from->key.data, from->key.len);
		pair.value = bytes_make(from->value.data, from->value.len);
		pair.expires_at = ttls == NULL ? 0 : ttls[i].expires_at;
		(void) emit_pair(scan, &pair);
	}
}

/* When the keys of a page expire; false: ask again. */
static bool
ttls_of_page(RemoteReader *reader, const Route *route,
			 const Kvrpcpb__RawScanResponse *reply, Fetched **ttls)
{
	*ttls = NULL;
	if (!reader->wants_ttl || reply->n_kvs == 0)
		return true;
	*ttls = palloc0(reply->n_kvs * sizeof(Fetched));
	for (size_t i = 0; i < reply->n_kvs; i++)
	{
		(*ttls)[i].key =
			bytes_make(reply->kvs[i]->key.data, reply->kvs[i]->key.len);
		(*ttls)[i].found = true;
	}
	return fetch_ttls(reader, route, *ttls, (int) reply->n_kvs);
}

static bool
scan_elsewhere(RemoteScan *scan, const Route *route)
{
	RemoteReader *reader = scan->reader;
	RawScan part = cut_to_region(&scan->left, &route->region);
	uint32 limit = Min(part.limit, (uint32) reader->limit);
	Kvrpcpb__RawScanRequest request = KVRPCPB__RAW_SCAN_REQUEST__INIT;
	const Kvrpcpb__RawScanResponse *reply;
	const char *refusal = NULL;
	RemoteContext context;
	bool too_long = false;
	Fetched *ttls;
	MemoryContext page =
		AllocSetContextCreate(CurrentMemoryContext, "tikv page of elsewhere",
							  ALLOCSET_SMALL_SIZES);
	Arena *arena = context_arena(page);
	bool done;

	remote_context(&context, &route->region, route->leader);
	request.context = &context.context;
	request.start_key = bytes_wire(part.reverse ? part.upper : part.lower);
	request.end_key = bytes_wire(part.reverse ? part.lower : part.upper);
	request.reverse = part.reverse;
	request.key_only = part.key_only;
	request.limit = limit;
	reply = (const void *) remote_read(route, METHOD_RAW_SCAN, &request.base,
									   &reader->patience, arena, &too_long);
	if (reply != NULL)
		refusal = refusal_of(reply->kvs, reply->n_kvs);
	done = reply != NULL && refusal == NULL &&
		ttls_of_page(reader, route, reply, &ttls);
	if (done)
	{
		tell_pairs(scan, reply, ttls);
		if (!scan->ended && reply->n_kvs < limit)
			go_on(scan, &part);
		else if (!scan->ended)
			go_behind(scan,
					  bytes_make(reply->kvs[limit - 1]->key.data,
								 reply->kvs[limit - 1]->key.len));
	}
	MemoryContextDelete(page);
	if (refusal != NULL)
		take_refusal(reader, route, refusal);
	if (too_long)
		ask_for_less(reader);
	return done;
}

static bool
scan_here(RemoteScan *scan)
{
	const TableOids *tables = session_tables(&scan->reader->patience);
	Bytes from = scan->left.reverse ? scan->left.upper : scan->left.lower;
	SqlRound round;
	RawScan part;

	if (!sql_round_try(&round, tables, &from, 1, scan->left.reverse))
		return false;
	part = cut_to_region(&scan->left, &round.seen[0]->region);
	round.reader->scan(round.reader, &part, emit_pair, scan);
	if (!scan->ended)
		go_on(scan, &part);
	sql_round_end(&round);
	return true;
}

/*
 * Of a request that goes backwards an empty bound is no infinity, so one without
 * an end begins with the greatest key that there can be.
 */
static void
begin_at_the_end(RemoteScan *scan)
{
	size_t len = (size_t) tikv_fdw_settings.max_key_size;
	uint8 *last = palloc(len);
	RawPair pair;
	Arena arena;
	Bytes key;

	memset(last, 0xff, len);
	key = bytes_make(last, len);
	scan->left.upper = key;
	arena_init(&arena);
	scan->reader->keys = &key;
	scan->reader->n_keys = 1;
	scan->reader->n = 0;
	if (remote_get(&scan->reader->base, RAW_CF_DEFAULT, key, &arena, &pair))
		(void) emit_pair(scan, &pair);
	scan->reader->n_keys = scan->reader->n = 0;
	arena_free(&arena);
}

static void
remote_scan(RawReader *base, const RawScan *range,
			bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	RemoteReader *reader = (RemoteReader *) base;
	RemoteScan scan = {reader, *range, emit, arg, false};

	if (scan.left.reverse && scan.left.upper.len == 0 && scan.left.limit > 0)
		begin_at_the_end(&scan);
	reader->patience = patience_begin();
	while (!scan.ended && scan.left.limit > 0)
	{
		Bytes from = scan.left.reverse ? scan.left.upper : scan.left.lower;
		Route route;

		CHECK_FOR_INTERRUPTS();
		if (route_find(sql_bound(from), scan.left.reverse, &reader->patience,
					   &route) &&
			(route.local ? scan_here(&scan) : scan_elsewhere(&scan, &route)))
			reader->patience = patience_begin();
		else
			patience_retry(&reader->patience);
	}
}

RawReader *
remote_reader_open(const Bytes *keys, int n)
{
	RemoteReader *reader = palloc0(sizeof(RemoteReader));

	reader->base.get = remote_get;
	reader->base.scan = remote_scan;
	reader->context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv keys of elsewhere",
							  ALLOCSET_DEFAULT_SIZES);
	reader->keys = keys;
	reader->n_keys = n;
	reader->limit = FETCH_KEYS;
	return &reader->base;
}

void
remote_reader_want_ttl(RawReader *reader)
{
	((RemoteReader *) reader)->wants_ttl = true;
}
