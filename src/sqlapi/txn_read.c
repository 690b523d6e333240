/*
 * txn_read.c
 *	  Reads at a timestamp by the session itself, and the locks they meet.
 *
 * The order is the read path's (DESIGN 4): regions, max_ts and locks, the
 * snapshot, the board once more.  A lock that is in the way is asked about
 * with the snapshot given back, since that may take a while.  What other stores
 * lead they are asked for (txn_remote.c), region by region.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "bus/metrics.h"
#include "bus/versions.h"
#include "core/codec/memcomparable.h"
#include "service/service.h"
#include "sqlapi/route.h"
#include "sqlapi/txn_internal.h"

/* A round of reads over some keys or one range. */
typedef struct TxnRound
{
	TxnSession *session;
	TxnRequest txn;
	Request request;
	ReadRound *round;
	const BoardRegion *seen;
	TxnLook look;
	bool blocked; /* by `lock`, a copy in the session's arena */
	LockInfo lock;
} TxnRound;

void
txn_fill_known(TxnSession *session, uint64 ts, ReadContext *read)
{
	size_t room = (size_t) session->n_known * sizeof(uint64_t);
	uint64_t *passed = arena_alloc(&session->arena, room);
	uint64_t *committed = arena_alloc(&session->arena, room);

	for (int i = 0; i < session->n_known; i++)
	{
		const KnownTxn *known = &session->known[i];
		bool visible =
			known->decided && known->commit_ts != 0 && known->commit_ts <= ts;

		if (visible)
			committed[read->n_committed_locks++] = known->start_ts;
		else if (known->decided || known->read_ts >= ts)
			passed[read->n_resolved_locks++] = known->start_ts;
	}
	read->resolved_locks = passed;
	read->committed_locks = committed;
}

static void
round_init(TxnRound *round, TxnSession *session, int method, uint64 ts)
{
	memset(round, 0, sizeof(*round));
	round->session = session;
	round->request.method = service_method(method);
	round->request.arena = &session->arena;
	round->txn.read.ts = ts;
	round->txn.read.isolation = ISOLATION_SI;
	txn_fill_known(session, ts, &round->txn.read);
}

/* ----------------------------------------------------------- locks in the way */

/* So many are remembered; then the list begins anew. */
#define KNOWN_TXNS_MAX 1024

static KnownTxn *
find_known(TxnSession *session, uint64 start_ts)
{
	KnownTxn *known;

	for (int i = 0; i < session->n_known; i++)
		if (session->known[i].start_ts == start_ts)
			return &session->known[i];
	if (session->n_known == KNOWN_TXNS_MAX)
		session->n_known = 0;
	if (session->n_known == session->known_room)
	{
		int room = Max(session->known_room * 2, 16);

		session->known = session->known == NULL ?
			MemoryContextAlloc(session->context, room * sizeof(KnownTxn)) :
			repalloc(session->known, room * sizeof(KnownTxn));
		session->known_room = room;
	}
	known = &session->known[session->n_known++];
	memset(known, 0, sizeof(*known));
	known->start_ts = start_ts;
	return known;
}

static void
remember_pushed(TxnSession *session, uint64 start_ts, uint64 read_ts)
{
	KnownTxn *known = find_known(session, start_ts);

	known->read_ts = Max(known->read_ts, read_ts);
}

static void
remember_fate(TxnSession *session, const ClientResolve *resolve)
{
	KnownTxn *known;

	if (!resolve->decided)
		return;
	known = find_known(session, resolve->start_ts);
	known->decided = true;
	known->commit_ts = resolve->commit_ts;
}

/* Until the lock is gone, may be passed, or the time is up. */
static void
clear_the_way(TxnSession *session, const LockInfo *lock, uint64 ts,
			  Backoff *backoff)
{
	ClientResolve resolve;
	int64_t ms;

	client_resolve(&session->client, lock, ts, backoff, &session->arena,
				   &resolve);
	session->counts.retries++;
	switch (resolve.outcome)
	{
		case RESOLVE_GONE:
			remember_fate(session, &resolve);
			return;
		case RESOLVE_PUSHED:
			remember_pushed(session, resolve.start_ts, ts);
			return;
		case RESOLVE_ALIVE:
			if (backoff_next(backoff, BACKOFF_TXN_LOCK_FAST, &ms) &&
				session->client.io->sleep(session->client.io, ms))
				return;
			txn_report_lock_timeout(lock);
		case RESOLVE_FAILED:
			txn_report(&resolve.result);
	}
}

static void
note_blocked(TxnRound *round, Bytes key, const Lock *lock)
{
	Arena *arena = &round->session->arena;

	round->blocked = true;
	memset(&round->lock, 0, sizeof(round->lock));
	round->lock.key = arena_copy(arena, key);
	lock_copy(lock, arena, &round->lock.lock);
	round->lock.ttl_ms = lock->ttl_ms;
}

/* A read that found neither a value nor its absence. */
static void
note_trouble(TxnRound *round, const ReadResult *result)
{
	if (result->outcome == READ_DEFAULT_MISSING)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the value of a version is missing"),
				 errdetail("Key %s, written by transaction %llu.",
						   txn_key_text(result->key),
						   (unsigned long long) result->start_ts)));
	note_blocked(round, result->met->key, &result->met->lock);
}

/* ------------------------------------------------------------------ rounds */

static bool
take_look(TxnRound *round)
{
	TxnLookAnswer answer = txn_look(round->round, &round->request, &round->txn,
									&round->seen->region, &round->look);

	if (answer == TXN_LOOK_TOO_MANY || answer == TXN_LOOK_TS_TOO_NEW)
		txn_report_read(answer);
	return answer == TXN_LOOK_OK;
}

static bool
look_at_region(TxnRound *round, Bytes key, bool below)
{
	BoardRegion *found = palloc(sizeof(*found));
	RequestContext context;
	RegionError error;
	bool ok = txn_find_region(key, below, found);

	if (ok)
	{
		context = region_context(found);
		ok = read_round_look(round->round, &context, &round->seen, &error);
	}
	pfree(found);
	return ok;
}

/* Are all keys in regions that may be read here? */
static bool
look_at_keys(TxnRound *round)
{
	const BoardRegion *seen = NULL;

	for (size_t i = 0; i < round->txn.n_keys; i++)
	{
		Bytes key = round->txn.keys[i];

		if (seen != NULL && region_cache_holds(&seen->region, key))
			continue;
		if (!look_at_region(round, key, false))
			return false;
		seen = round->seen;
	}
	return true;
}

/* After the snapshot: is what it would see still whole? */
static void
check_not_collected(const TxnRound *round)
{
	uint64 safe_point = board_gc_safe_point();

	if (round->txn.read.ts < safe_point)
		ereport(
			ERROR,
			(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
			 errmsg("versions that the transaction would read may be gone"),
			 errdetail("It reads at %llu, and garbage is collected up to %llu.",
					   (unsigned long long) round->txn.read.ts,
					   (unsigned long long) safe_point),
			 errhint(
				 "Begin again; tikv_gc_barrier() keeps versions for longer than tikv.gc_life_time.")));
}

static bool
open_round(TxnRound *round, const TableOids *tables)
{
	TablesAnswer answer = read_round_begin(round->round, tables, true);

	if (answer == TABLES_MISSING)
		session_forget_tables();
	if (answer == TABLES_OK)
		check_not_collected(round);
	return answer == TABLES_OK;
}

static bool
look_at_spilled(TxnRound *round)
{
	TxnLookAnswer answer;

	if (!read_round_spilled(round->round))
		return true;
	answer =
		txn_look_spilled(&round->request, &round->txn, &round->seen->region,
						 read_round_mvcc(round->round), &round->look);
	if (answer != TXN_LOOK_OK)
		txn_report_read(answer);
	return true;
}

/* The session keeps its transaction open: the round ends in any case. */
static void
close_round(TxnRound *round)
{
	read_round_end(round->round);
	round->round = NULL;
}

/* -------------------------------------------------------------------- keys */

static bool
keys_valid(TxnRound *round)
{
	const BoardRegion *seen = NULL;

	for (size_t i = 0; i < round->txn.n_keys; i++)
	{
		BoardRegion *found;
		bool ok;

		if (seen != NULL &&
			region_cache_holds(&seen->region, round->txn.keys[i]))
			continue;
		found = palloc(sizeof(*found));
		ok = txn_find_region(round->txn.keys[i], false, found);
		if (ok)
		{
			RequestContext context = region_context(found);
			RegionError error;

			ok = read_round_look(round->round, &context, &seen, &error) &&
				read_round_valid(round->round, seen, false);
		}
		pfree(found);
		if (!ok)
			return false;
	}
	return true;
}

static const MetLock *
next_met(const TxnLook *look, size_t *next, Bytes key)
{
	if (*next < look->n_met && bytes_eq(look->met[*next].key, key))
		return &look->met[(*next)++];
	return NULL;
}

/* Read what the look allows; stops at the first lock in the way. */
static void
get_all(TxnRound *round, TxnValue *values)
{
	MvccReader *reader = read_round_mvcc(round->round);
	size_t next = 0;
	Arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < round->txn.n_keys && !round->blocked; i++)
	{
		Bytes key = round->txn.keys[i];
		ReadResult result;

		mvcc_get(reader, &round->txn.read, key,
				 next_met(&round->look, &next, key), &arena, &result);
		result.key = key;
		values[i].found = result.outcome == READ_FOUND;
		if (result.outcome == READ_FOUND)
			values[i].value = bytes_copy(result.value);
		else if (result.outcome != READ_NOT_FOUND)
			note_trouble(round, &result);
		arena_reset(&arena);
	}
	arena_free(&arena);
}

/* False: the regions are changing, try again. */
static bool
try_keys(TxnRound *round, const TableOids *tables, TxnValue *values)
{
	bool done = false;

	round->round = read_round_new(READ_TXN);
	if (look_at_keys(round) && take_look(round) && open_round(round, tables) &&
		keys_valid(round) && look_at_spilled(round))
	{
		get_all(round, values);
		done = true;
	}
	close_round(round);
	return done;
}

/* One attempt over regions that this store leads; false: try again. */
static bool
read_here(TxnSession *session, const Bytes *keys, int n, uint64 ts,
		  TxnValue *values, RemoteRead *read)
{
	const TableOids *tables = session_tables(&session->patience);
	TxnRound round;

	round_init(&round, session, n == 1 ? METHOD_KV_GET : METHOD_KV_BATCH_GET,
			   ts);
	round.txn.keys = unconstify(Bytes *, keys);
	round.txn.n_keys = (size_t) n;
	session->counts.rounds++;
	if (!try_keys(&round, tables, values))
		return false;
	read->blocked = round.blocked;
	read->lock = round.lock;
	return !round.blocked;
}

/* The first keys, as far as one region has them or this store leads them. */
static int
keys_together(const Bytes *keys, int n, const Route *route)
{
	int together = 1;

	while (together < n &&
		   (region_cache_holds(&route->region, keys[together]) ||
			(route->local &&
			 route_is_local(txn_bound(keys[together], false), false))))
		together++;
	return together;
}

/* Some of the keys are led elsewhere: the first part of them; 0: try again. */
static int
read_part(TxnSession *session, const Bytes *keys, int n, uint64 ts,
		  TxnValue *values, RemoteRead *read)
{
	Route route;
	bool done;

	if (!route_find(txn_bound(keys[0], false), false, &session->patience,
					&route))
		return 0;
	n = keys_together(keys, n, &route);
	done = route.local ?
		read_here(session, keys, n, ts, values, read) :
		txn_remote_keys(session, &route, keys, n, ts, values, read);
	return done ? n : 0;
}

void
txn_read_keys(TxnSession *session, const Bytes *keys, int n, uint64 ts,
			  TxnValue *values)
{
	Backoff backoff;
	int done = 0;

	backoff_init(&backoff, BACKOFF_READ_MS, session->client.random++);
	metrics_count_sql_read();
	while (done < n)
	{
		RemoteRead read = {0};

		CHECK_FOR_INTERRUPTS();
		if (read_here(session, keys + done, n - done, ts, values + done, &read))
			break;
		if (!read.blocked)
		{
			int part = read_part(session, keys + done, n - done, ts,
								 values + done, &read);

			done += part;
			if (part == 0 && !read.blocked)
				patience_retry(&session->patience);
		}
		if (read.blocked)
			clear_the_way(session, &read.lock, ts, &backoff);
	}
	if (ts == session->start_ts)
		txn_check_halves(session, keys, n);
	session->counts.keys_read += (uint64) n;
}

/* ------------------------------------------------------------------- pages */

typedef struct PageFill
{
	TxnRound *round;
	TxnPage *page;
	MemoryContext context;
	uint32 limit;
	Size bytes;
	bool key_only;
	bool full;
} PageFill;

#define PAGE_BYTES ((Size) 1 << 20)

static bool
keep_pair(void *arg, const ReadResult *result)
{
	PageFill *fill = arg;
	TxnPage *page = fill->page;
	MemoryContext old;

	if (result->outcome != READ_FOUND)
	{
		note_trouble(fill->round, result);
		return false;
	}
	old = MemoryContextSwitchTo(fill->context);
	page->keys[page->n] = bytes_copy(result->key);
	page->values[page->n] =
		fill->key_only ? bytes_empty() : bytes_copy(result->value);
	MemoryContextSwitchTo(old);
	fill->bytes += result->key.len + result->value.len;
	page->n++;
	fill->full = (uint32) page->n == fill->limit || fill->bytes >= PAGE_BYTES;
	return !fill->full;
}

static Bytes
behind(Bytes key)
{
	return bound_copy(CurrentMemoryContext, key, true);
}

/*
 * Where the next page begins, or that there is none; lock: the key of one in
 * the way, or NULL; full: the region has more.
 */
static void
set_next(TxnPage *page, const MvccScan *scan, KeyRange region,
		 const Bytes *lock, bool full)
{
	KeyRange whole = scan->range;
	Bytes last;

	page->last = false;
	if (lock != NULL)
		/* Up to the lock everything is known; its own key is read again. */
		page->next = scan->reverse ? behind(*lock) : bytes_copy(*lock);
	else if (full)
	{
		last = page->keys[page->n - 1];
		page->last = scan->reverse && last.len == 0;
		page->next = scan->reverse ? bytes_copy(last) : behind(last);
	}
	else
	{
		last = scan->reverse ? region.lower : region.upper;
		page->last = last.len == 0 ||
			(scan->reverse ?
				 bytes_cmp(last, whole.lower) <= 0 :
				 whole.upper.len > 0 && bytes_cmp(last, whole.upper) >= 0);
		if (!page->last)
			page->next = bytes_copy(last);
	}
}

static bool
try_page(TxnRound *round, const TableOids *tables, uint32 limit, TxnPage *page)
{
	const MvccScan *scan = &round->txn.scan;
	Bytes from = scan->reverse ? scan->range.upper : scan->range.lower;
	PageFill fill = {.round = round,
					 .page = page,
					 .context = CurrentMemoryContext,
					 .limit = limit,
					 .key_only = scan->key_only};
	bool done = false;

	round->round = read_round_new(READ_TXN);
	if (look_at_region(round, from, scan->reverse) && take_look(round) &&
		open_round(round, tables) &&
		read_round_valid(round->round, round->seen, false) &&
		look_at_spilled(round))
	{
		MvccScan part = *scan;
		Arena arena;

		arena_init(&arena);
		part.range = txn_clip_range(part.range,
									txn_region_range(&round->seen->region,
													 &round->session->arena));
		(void) mvcc_scan(read_round_mvcc(round->round), &round->txn.read, &part,
						 round->look.met, round->look.n_met, &arena, keep_pair,
						 &fill);
		arena_free(&arena);
		set_next(page, scan,
				 txn_region_range(&round->seen->region, &round->session->arena),
				 round->blocked ? &round->lock.key : NULL, fill.full);
		done = true;
	}
	close_round(round);
	return done;
}

static bool
page_here(TxnSession *session, const MvccScan *scan, uint64 ts, TxnPage *page,
		  RemoteRead *read)
{
	const TableOids *tables = session_tables(&session->patience);
	TxnRound round;

	round_init(&round, session, METHOD_KV_SCAN, ts);
	round.txn.scan = *scan;
	session->counts.rounds++;
	if (!try_page(&round, tables, scan->limit, page))
		return false;
	read->blocked = round.blocked;
	read->lock = round.lock;
	return true;
}

static bool
page_elsewhere(TxnSession *session, const MvccScan *scan, uint64 ts,
			   TxnPage *page, RemoteRead *read)
{
	Bytes from = scan->reverse ? scan->range.upper : scan->range.lower;
	Route route;
	bool more;

	if (!txn_find_route(from, scan->reverse, &session->patience, &route) ||
		route.local ||
		!txn_remote_page(session, &route, scan, ts, page, &more, read))
		return false;
	set_next(page, scan, txn_region_range(&route.region, &session->arena),
			 read->blocked ? &read->lock.key : NULL, more);
	return true;
}

void
txn_read_page(TxnSession *session, Bytes lower, Bytes upper, bool reverse,
			  bool key_only, uint32 limit, uint64 ts, TxnPage *page)
{
	MvccScan scan = {.range = {lower, upper},
					 .reverse = reverse,
					 .key_only = key_only,
					 .limit = limit};
	Backoff backoff;

	backoff_init(&backoff, BACKOFF_READ_MS, session->client.random++);
	metrics_count_sql_read();
	page->keys = palloc(limit * sizeof(Bytes));
	page->values = palloc(limit * sizeof(Bytes));
	for (;;)
	{
		RemoteRead read = {0};

		CHECK_FOR_INTERRUPTS();
		page->n = 0;
		if (!page_here(session, &scan, ts, page, &read) &&
			!page_elsewhere(session, &scan, ts, page, &read))
		{
			patience_retry(&session->patience);
			continue;
		}
		if (ts == session->start_ts)
			txn_check_halves_in(session, lower, upper);
		session->counts.keys_read += (uint64) page->n;
		if (!read.blocked)
			return;
		clear_the_way(session, &read.lock, ts, &backoff);
		/* What came before the lock is an answer of its own. */
		if (page->n > 0)
			return;
	}
}
