/*
 * txn_look.c
 *	  The look at the locks that a read at a timestamp takes before its
 *	  snapshot.
 */
#include "postgres.h"

#include <time.h>

#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/lock_table.h"
#include "bus/tso_shared.h"
#include "core/base/check.h"
#include "read/txn_look.h"
#include "storage/txn_table.h"

/* Of keys and records that one scan's look may gather. */
#define MAX_LOOK_BYTES ((size_t) 32 << 20)

/* The same for a list of keys, which may name one key any number of times. */
#define MAX_KEYS_BYTES ((size_t) 256 << 20)

#define TS_PHYSICAL_SHIFT 18

const char *
txn_look_text(TxnLookAnswer answer)
{
	switch (answer)
	{
		case TXN_LOOK_NOT_YET:
			return "the store is starting: its locks are being loaded";
		case TXN_LOOK_TOO_MANY:
			return "too many locks: ask for fewer keys at once";
		case TXN_LOOK_TS_DOUBTED:
			return "the timestamp oracle is asked whether it has come so far";
		default:
			/* Clients know it by its first words: they do not try again. */
			return "invalid max_ts update: the timestamp is far ahead of the timestamp oracle";
	}
}

/* ---------------------------------------------------------------- max_ts */

static bool
is_plausible(uint64 ts)
{
	uint64 now_ms = (uint64) (time(NULL) + FAILPOINT_CLOCK_S) * 1000;
	uint64 bound_ms = pg_atomic_read_u64(&tikv_shmem()->tso->bound_ms);
	uint64 last_ms =
		pg_atomic_read_u64(&tikv_shmem()->tso->last) >> TS_PHYSICAL_SHIFT;
	uint64 known_ms = Max(Max(now_ms, bound_ms), last_ms);
	uint64 limit_ms = Max(known_ms, tso_heard_now_ms()) + TXN_MAX_DRIFT_MS;

	return ts == PG_UINT64_MAX || (ts >> TS_PHYSICAL_SHIFT) <= limit_ms;
}

TxnLookAnswer
txn_judge_ts(uint64 ts)
{
	if (is_plausible(ts))
		return TXN_LOOK_OK;
	return tso_doubt(ts) ? TXN_LOOK_TS_DOUBTED : TXN_LOOK_TS_TOO_NEW;
}

RegionError
txn_ts_error(TxnLookAnswer answer, uint64 region_id)
{
	RegionError error = {.kind = REGION_MESSAGE_ONLY,
						 .region_id = region_id,
						 .reason = txn_look_text(answer)};

	if (answer == TXN_LOOK_TS_DOUBTED)
		error.kind = REGION_MAX_TS_NOT_SYNCED;
	return error;
}

static TxnLookAnswer
raise_max_ts(uint64 ts)
{
	TxnLookAnswer answer = txn_judge_ts(ts);

	if (answer == TXN_LOOK_OK && ts != PG_UINT64_MAX)
		lock_table_raise_max_ts(ts);
	return answer;
}

/* ---------------------------------------------------------------- garbage */

bool
txn_read_is_collected(const TxnRequest *txn, uint64 *safe_point)
{
	*safe_point = board_gc_safe_point();
	return txn->context.read_ts != 0 && txn->context.read_ts < *safe_point;
}

/* ------------------------------------------------------------------ keys */

/*
 * What a lock means to the request.  A buffered get wants the locks of its own
 * transaction and, of others', is stopped by guards alone (txn-semantics 20).
 */
static LockVerdict
verdict_of(const TxnRequest *txn, Bytes key, const Lock *lock, bool guard)
{
	if (!txn->buffered)
		return mvcc_lock_verdict(&txn->read, key, lock, guard);
	if (lock->start_ts == txn->read.ts)
		return guard ? LOCK_IGNORED : LOCK_ACCESSED;
	return guard ? mvcc_lock_verdict(&txn->read, key, lock, true) :
				   LOCK_IGNORED;
}

static void
add_met(TxnLook *look, Bytes key, const Lock *lock, LockVerdict verdict,
		bool is_guard)
{
	MetLock *met = &look->met[look->n_met++];

	met->key = key;
	met->lock = *lock;
	met->verdict = verdict;
	met->is_guard = is_guard;
}

/* The lock of a key, else its guards: the first that matters. */
static void
take_key(const TxnRequest *txn, Bytes key, const LockLook *found, TxnLook *look)
{
	LockVerdict verdict = LOCK_IGNORED;

	if (found->has_lock)
		verdict = verdict_of(txn, key, &found->lock, false);
	if (verdict != LOCK_IGNORED)
	{
		add_met(look, key, &found->lock, verdict, false);
		return;
	}
	for (size_t i = 0; i < found->n_guards; i++)
	{
		verdict = verdict_of(txn, key, &found->guards[i], true);
		if (verdict != LOCK_IGNORED)
		{
			add_met(look, key, &found->guards[i], verdict, true);
			return;
		}
	}
}

static TxnLookAnswer
look_at_keys(const Request *request, const TxnRequest *txn, TxnLook *look)
{
	size_t limit = request->arena->allocated + MAX_KEYS_BYTES;

	look->met = arena_alloc(request->arena, txn->n_keys * sizeof(MetLock));
	for (size_t i = 0; i < txn->n_keys; i++)
	{
		LockLook found;

		if (!lock_table_look(txn->keys[i], request->arena, &found))
			return TXN_LOOK_NOT_YET;
		if (request->arena->allocated > limit)
			return TXN_LOOK_TOO_MANY;
		take_key(txn, txn->keys[i], &found, look);
	}
	return TXN_LOOK_OK;
}

/* ----------------------------------------------------------------- ranges */

static int
scan_filter(void *arg, Bytes key, const Lock *lock, LockKind kind)
{
	const TxnRequest *txn = arg;

	StaticAssertStmt(LOCK_IGNORED == 0, "the filter's 0 passes over a lock");
	return (int) mvcc_lock_verdict(&txn->read, key, lock,
								   kind == LOCK_KIND_GUARD);
}

/* One per key, as mvcc_scan wants them. */
static void
take_scanned(const LockScanResult *found, Arena *arena, TxnLook *look)
{
	look->n_met = 0;
	look->met = arena_alloc(arena, found->n * sizeof(MetLock));
	for (size_t i = 0; i < found->n; i++)
	{
		const LockMet *met = &found->met[i];

		if (look->n_met > 0 &&
			bytes_eq(look->met[look->n_met - 1].key, met->key))
			continue;
		add_met(look, met->key, &met->lock, (LockVerdict) met->verdict,
				met->kind == LOCK_KIND_GUARD);
	}
}

/* Each of these takes a place of the answer, so `limit` of them suffice. */
static size_t
n_pairs(const TxnLook *look)
{
	size_t n = 0;

	for (size_t i = 0; i < look->n_met; i++)
		n += look->met[i].verdict != LOCK_ACCESSED;
	return n;
}

static TxnLookAnswer
look_at_range(const Request *request, const TxnRequest *txn,
			  const Region *region, TxnLook *look)
{
	LockScan scan = {.reverse = txn->scan.reverse,
					 .max_bytes = MAX_LOOK_BYTES,
					 .filter = scan_filter,
					 .arg = (void *) txn};
	LockScanResult found;

	scan.range = txn_clip_range(txn->scan.range,
								txn_region_range(region, request->arena));
	scan.max_locks = (size_t) txn->scan.limit * 2 + 64;
	for (;;)
	{
		if (!lock_table_scan(&scan, request->arena, &found))
			return TXN_LOOK_NOT_YET;
		take_scanned(&found, request->arena, look);
		if (!found.truncated || n_pairs(look) >= txn->scan.limit)
			return TXN_LOOK_OK;
		if (scan.max_locks == 0)
			return TXN_LOOK_TOO_MANY;
		scan.max_locks = 0;
	}
}

TxnLookAnswer
txn_look(const ReadRound *round, const Request *request, const TxnRequest *txn,
		 const Region *region, TxnLook *look)
{
	TxnLookAnswer answer;

	CHECK(!read_round_begun(round));
	memset(look, 0, sizeof(*look));
	answer = raise_max_ts(txn->read.ts);
	if (answer != TXN_LOOK_OK)
		return answer;
	if (txn->read.isolation == ISOLATION_RC)
		return TXN_LOOK_OK;
	if (txn->n_keys > 0)
		return look_at_keys(request, txn, look);
	if (request->method->id == METHOD_KV_SCAN)
		return look_at_range(request, txn, region, look);
	return TXN_LOOK_OK;
}

/* --------------------------------------------------------------- spilled */

/* What lock_spill adds to a look, gathered before it is merged. */
typedef struct SpillGather
{
	const TxnRequest *txn;
	Arena *arena;
	MetLock *met;
	size_t n;
	size_t room;
	size_t bytes;
	size_t enough; /* pairs after which the answer is full */
	size_t pairs;
	bool too_many;
} SpillGather;

static void
grow(SpillGather *gather)
{
	size_t room = gather->room == 0 ? 16 : gather->room * 2;
	MetLock *met = arena_alloc(gather->arena, room * sizeof(*met));

	if (gather->n > 0)
		memcpy(met, gather->met, gather->n * sizeof(*met));
	gather->met = met;
	gather->room = room;
}

static bool
gather_one(void *arg, Bytes key, const Lock *lock)
{
	SpillGather *gather = arg;
	LockVerdict verdict = verdict_of(gather->txn, key, lock, false);
	MetLock *met;

	if (verdict == LOCK_IGNORED)
		return true;
	gather->bytes += key.len + lock->primary.len + lock->short_value.len;
	gather->too_many = gather->bytes > MAX_LOOK_BYTES;
	if (gather->too_many)
		return false;
	if (gather->n == gather->room)
		grow(gather);
	met = &gather->met[gather->n++];
	met->key = arena_copy(gather->arena, key);
	lock_copy(lock, gather->arena, &met->lock);
	met->verdict = verdict;
	met->is_guard = false;
	gather->pairs += verdict != LOCK_ACCESSED;
	return gather->pairs < gather->enough;
}

/* Two lists in the scan's order become one; a key is in one of them only. */
static void
merge(TxnLook *look, const SpillGather *gather, bool reverse)
{
	size_t n = look->n_met + gather->n;
	MetLock *met = arena_alloc(gather->arena, n * sizeof(*met));
	size_t a = 0;
	size_t b = 0;

	for (size_t i = 0; i < n; i++)
	{
		bool take_first = b == gather->n;

		if (a < look->n_met && b < gather->n)
		{
			int c = bytes_cmp(look->met[a].key, gather->met[b].key);

			take_first = reverse ? c >= 0 : c <= 0;
		}
		met[i] = take_first ? look->met[a++] : gather->met[b++];
	}
	look->met = met;
	look->n_met = n;
}

static void
gather_keys(SpillGather *gather, MvccReader *reader)
{
	for (size_t i = 0; i < gather->txn->n_keys; i++)
	{
		Lock lock;

		if (txn_reader_spilled_lock(reader, gather->txn->keys[i], gather->arena,
									&lock))
			(void) gather_one(gather, gather->txn->keys[i], &lock);
	}
}

/* For batches: in the order of the keys, each met at most once. */
static void
merge_keys(TxnLook *look, const SpillGather *gather)
{
	MetLock *met =
		arena_alloc(gather->arena, (look->n_met + gather->n) * sizeof(*met));
	size_t n = 0;
	size_t a = 0;
	size_t b = 0;

	for (size_t i = 0; i < gather->txn->n_keys; i++)
	{
		Bytes key = gather->txn->keys[i];
		bool first = a < look->n_met && bytes_eq(look->met[a].key, key);
		bool second = b < gather->n && bytes_eq(gather->met[b].key, key);

		if (first)
			met[n++] = look->met[a++];
		if (second && !first)
			met[n++] = gather->met[b];
		b += second;
	}
	look->met = met;
	look->n_met = n;
}

TxnLookAnswer
txn_look_spilled(const Request *request, const TxnRequest *txn,
				 const Region *region, MvccReader *reader, TxnLook *look)
{
	SpillGather gather = {.txn = txn,
						  .arena = request->arena,
						  .enough = PG_INT64_MAX};
	KeyRange range;

	if (txn->read.isolation == ISOLATION_RC)
		return TXN_LOOK_OK;
	if (txn->n_keys > 0)
	{
		gather_keys(&gather, reader);
		merge_keys(look, &gather);
	}
	else if (request->method->id == METHOD_KV_SCAN)
	{
		gather.enough = Max(txn->scan.limit, 1);
		range = txn_clip_range(txn->scan.range,
							   txn_region_range(region, request->arena));
		txn_reader_scan_spilled(reader, &range, txn->scan.reverse, gather_one,
								&gather);
		merge(look, &gather, txn->scan.reverse);
	}
	return gather.too_many ? TXN_LOOK_TOO_MANY : TXN_LOOK_OK;
}
