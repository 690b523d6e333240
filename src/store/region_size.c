/*
 * region_size.c
 *	  How large the regions of this store are, and splits by size.
 *
 * A slice is at most some hundred rows or two milliseconds, has a snapshot of
 * its own, and leaves most of the time to others.  What is written meanwhile
 * is added to what was counted; the result is about right, which is all that
 * its users ask for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/lock_table.h"
#include "core/codec/memcomparable.h"
#include "core/region/split_check.h"
#include "core/snapshot/snapshot_check.h"
#include "guc.h"
#include "storage/size_walk.h"
#include "store/replicas.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define SLICE_ROWS 2000
#define SLICE_US INT64CONST(2000)

/* Pause between slices, in times the last one's duration. */
#define PAUSE_MIN_US INT64CONST(200)
#define PAUSE_BUSY 9
#define PAUSE_SPLIT 3
#define PAUSE_IDLE 1

/* TiKV's split-region-check-tick-interval. */
#define LOOK_INTERVAL_US INT64CONST(10000000)

/* TiKV's batch-split-limit. */
#define MAX_SPLITS 10

/* Raw keys of one region that also has transactions are cut there. */
#define MIXED_KEY_LEN 8

typedef struct SizeJob
{
	uint64 region_id;
	uint64 life_number;
	uint64 version; /* of the epoch */
	bool splits;	/* its size says that it is to be split */
	bool encoded;	/* bounds are encoded keys */
	bool any_versions;
	SizeWalk walk;
	SplitCheck check;
	Arena arena;
} SizeJob;

typedef struct QueuedRegion
{
	struct QueuedRegion *next;
	uint64 region_id;
} QueuedRegion;

struct RegionSizes
{
	QueuedRegion *queue;
	QueuedRegion **queue_end;
	SizeJob *job;
	int64 due_us; /* of the next slice */
	bool any_versions;
};

void
region_sizes_init(Store *store)
{
	store->sizes = MemoryContextAllocZero(store->context, sizeof(RegionSizes));
	store->sizes->queue_end = &store->sizes->queue;
}

static void
fill_limits(SplitLimits *limits)
{
	const TikvSettings *s = &tikv_fdw_settings;

	limits->split_size = (uint64) s->region_split_mb << 20;
	limits->max_size = limits->split_size / 2 * 3;
	limits->split_keys = (uint64) s->region_split_keys;
	limits->max_keys = limits->split_keys / 2 * 3;
	limits->max_splits = MAX_SPLITS;
}

/* ----------------------------------------------------------- what is written */

static bool
is_known(const Peer *peer)
{
	return peer->state.approximate_size >= 0;
}

static bool
is_due(const Peer *peer)
{
	SplitLimits limits;

	if (!is_known(peer))
		return true;
	if (peer->size.unsaved)
		return true;
	fill_limits(&limits);
	return split_is_due(&limits, (uint64) peer->state.approximate_size,
						(uint64) peer->state.approximate_keys,
						peer->size.grown);
}

void
region_size_consider(Peer *peer)
{
	RegionSizes *sizes = peer->store->sizes;
	QueuedRegion *queued;

	if (peer->size.queued || peer->region.n_peers == 0 ||
		peer->life != PEER_STATE_NORMAL || !peer_is_leader(peer) ||
		!is_due(peer))
		return;
	queued = MemoryContextAlloc(peer->store->context, sizeof(*queued));
	queued->next = NULL;
	queued->region_id = peer->region.id;
	*sizes->queue_end = queued;
	sizes->queue_end = &queued->next;
	sizes->due_us = Min(sizes->due_us, peer->size.next_us);
	peer->size.queued = true;
}

static void
count(Peer *peer, int64 bytes, int64 keys)
{
	GroupState *state = &peer->state;

	if (peer->size.grown < PG_UINT64_MAX / 2)
		peer->size.grown += (uint64) Max(bytes, 0);
	if (is_known(peer))
	{
		state->approximate_size = Max(state->approximate_size + bytes, 0);
		state->approximate_keys = Max(state->approximate_keys + keys, 0);
	}
	region_size_consider(peer);
}

/* Keys and values as they were sent, whatever becomes of them. */
static void
flow(Peer *peer, uint64 bytes, size_t keys)
{
	peer->told.flow.bytes += bytes;
	peer->told.flow.keys += keys;
	peer->store->flow.bytes += bytes;
	peer->store->flow.keys += keys;
}

/* How large a row is about that is deleted. */
static int64
usual_size(const Peer *peer)
{
	const GroupState *state = &peer->state;

	return state->approximate_size / Max(state->approximate_keys, 1);
}

void
region_size_raw(Peer *peer, const RawModify *modifies, size_t n)
{
	int64 bytes = 0;
	int64 keys = 0;
	uint64 sent = 0;

	for (size_t i = 0; i < n; i++)
	{
		const RawModify *m = &modifies[i];
		bool put = m->kind == RAW_PUT;

		sent += m->key.len + m->value.len;
		if (m->cf == RAW_CF_LOCK)
			continue;
		bytes += put ? (int64) (m->key.len + m->value.len) : -usual_size(peer);
		keys += put ? 1 : -1;
	}
	flow(peer, sent, n);
	count(peer, bytes, keys);
}

void
region_size_txn(Peer *peer, const TxnModify *modifies, size_t n)
{
	int64 bytes = 0;
	int64 keys = 0;
	uint64 sent = 0;

	for (size_t i = 0; i < n; i++)
	{
		const TxnModify *m = &modifies[i];

		sent += m->key.len + m->bytes.len;
		if (m->cf == TXN_CF_LOCK)
			continue;
		bytes += m->is_delete ?
			-usual_size(peer) :
			(int64) (m->key.len + SIZE_OF_TS + m->bytes.len);
		if (m->cf == TXN_CF_WRITE)
			keys += m->is_delete ? -1 : 1;
	}
	flow(peer, sent, n);
	if (bytes != 0)
		count(peer, bytes, keys);
}

void
region_size_deleted(Store *store, const Bytes *keys, int n)
{
	Peer *peer = NULL;

	for (int i = 0; i < n; i++)
	{
		Bytes bound = store->meta.api == API_V2 ?
			memcomparable_encode(keys[i], &store->arena) :
			keys[i];

		if (peer == NULL || !region_contains(&peer->region, bound))
			peer = store_find_peer_of_key(store, bound);
		if (peer != NULL && is_known(peer))
			count(peer, -usual_size(peer), -1);
	}
}

void
region_size_forget(Peer *peer)
{
	region_size_told(peer, (uint64 *) &peer->size.guess_bytes,
					 (uint64 *) &peer->size.guess_keys);
	peer->state.approximate_size = peer->state.approximate_keys = -1;
}

void
region_size_guess(Peer *piece, const Peer *parent, int n_pieces)
{
	uint64 bytes;
	uint64 keys;

	region_size_told(parent, &bytes, &keys);
	piece->size.guess_bytes = (int64) bytes / n_pieces;
	piece->size.guess_keys = (int64) keys / n_pieces;
	piece->state.approximate_size = piece->state.approximate_keys = -1;
	piece->size.grown = 0;
}

void
region_size_known(Peer *peer, const PieceSize *size)
{
	peer->state.approximate_size = peer->saved.approximate_size =
		(int64) size->bytes;
	peer->state.approximate_keys = peer->saved.approximate_keys =
		(int64) size->keys;
	peer->size.unsaved = true;
	region_size_consider(peer);
}

void
region_size_look_again(Peer *peer, bool at_once)
{
	peer->size.grown = PG_UINT64_MAX / 2;
	if (at_once)
		peer->size.next_us = 0;
	region_size_consider(peer);
}

void
region_size_told(const Peer *peer, uint64 *bytes, uint64 *keys)
{
	bool known = is_known(peer);

	*bytes = (uint64) (known ? peer->state.approximate_size :
							   peer->size.guess_bytes);
	*keys =
		(uint64) (known ? peer->state.approximate_keys : peer->size.guess_keys);
}

/* ------------------------------------------------------------------- the job */

static void
end_job(Store *store)
{
	SizeJob *job = store->sizes->job;

	size_walk_free(&job->walk);
	arena_free(&job->arena);
	pfree(job);
	store->sizes->job = NULL;
}

void
region_sizes_stop(Store *store)
{
	if (store->sizes != NULL && store->sizes->job != NULL)
		end_job(store);
}

static void
begin_job(Store *store, Peer *peer)
{
	MemoryContext old = MemoryContextSwitchTo(store->context);
	SizeJob *job = palloc0(sizeof(SizeJob));
	SplitLimits limits;
	SnapshotRanges ranges;
	Region region = peer->region;

	arena_init(&job->arena);
	region.start_key = arena_copy(&job->arena, region.start_key);
	region.end_key = arena_copy(&job->arena, region.end_key);
	ranges = snapshot_ranges(&region, store->meta.api, &job->arena);
	fill_limits(&limits);
	job->region_id = region.id;
	job->life_number = peer->life_number;
	job->version = region.epoch.version;
	job->splits = is_known(peer);
	job->encoded = store->meta.api == API_V2;
	size_walk_init(&job->walk, ranges.raw, ranges.txn, ranges.no_txn);
	split_check_init(&job->check, &limits, &job->arena);
	peer->size.grown = 0;
	store->sizes->job = job;
	MemoryContextSwitchTo(old);
}

/* NULL: the job's region is another one now, or led elsewhere. */
static Peer *
job_peer(Store *store)
{
	const SizeJob *job = store->sizes->job;
	Peer *peer = store_find_peer(store, job->region_id);

	if (peer == NULL || peer->life_number != job->life_number ||
		peer->life != PEER_STATE_NORMAL || !peer_is_leader(peer) ||
		peer->region.epoch.version != job->version)
		return NULL;
	return peer;
}

/*
 * The key as a bound.  Where there are transactions all bounds are encoded
 * keys, and raw keys of API V1, which are not, are cut where they can be
 * (docs/operations.md).
 */
static Bytes
bound_of(const SizeJob *job, const SizeRow *row, Arena *arena)
{
	Bytes key = row->key;
	bool raw = row->step >= SIZE_STEP_RAW_DEFAULT;

	if (raw && !job->encoded)
		return key;
	if (raw && job->walk.raw.lower.data != job->walk.txn.lower.data)
		key.len = Min(key.len, MIXED_KEY_LEN);
	return memcomparable_encode(key, arena);
}

static void
take_row(void *arg, const SizeRow *row)
{
	Store *store = arg;
	SizeJob *job = store->sizes->job;
	bool counts = row->step != SIZE_STEP_VALUES;

	if (row->new_key && split_check_wants_key(&job->check))
		split_check_begin(&job->check, bound_of(job, row, &store->arena));
	split_check_add(&job->check, row->bytes, counts);
}

/*
 * Are there keys of transactions on this store?  Locks come before versions.
 * Once there were some, there are until the store starts again.
 */
bool
region_sizes_look_for_versions(Store *store, const OpenTables *tables,
							   Snapshot snapshot)
{
	RegionSizes *sizes = store->sizes;
	LockTableStats locks;

	lock_table_stats(&locks);
	sizes->any_versions |= locks.locks + locks.guards + locks.spilled > 0 ||
		(!sizes->any_versions && size_walk_any_version(tables, snapshot));
	return sizes->any_versions;
}

/* The same with a look at the tables of its own. */
bool
region_sizes_any_version(Store *store)
{
	OpenTables tables;
	Snapshot snapshot;
	MemoryContext caller = CurrentMemoryContext;
	bool any = true;

	if (store->sizes->any_versions)
		return true;
	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	if (tables_open(&store->tables, TABLES_TXN, false, false, &tables) ==
		TABLES_OK)
	{
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		any = region_sizes_look_for_versions(store, &tables, snapshot);
		UnregisterSnapshot(snapshot);
		tables_close(&tables, false);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return any;
}

/* Tables one after the other, since each begins buckets of its own. */
static void
run_walk(Store *store, const OpenTables *tables, Snapshot snapshot)
{
	RegionSizes *sizes = store->sizes;
	SizeJob *job = sizes->job;
	int64 until_us = board_now_us() + SLICE_US;
	int left = SLICE_ROWS;

	job->encoded |= region_sizes_look_for_versions(store, tables, snapshot) &&
		!job->walk.no_txn;
	while (left > 0 && job->walk.step != SIZE_STEP_DONE &&
		   board_now_us() < until_us)
	{
		SizeStep step = job->walk.step;

		left -= size_walk_slice(&job->walk, tables, snapshot, left,
								until_us - board_now_us(), take_row, store);
		if (job->walk.step != step)
			split_check_next_table(&job->check);
	}
}

/* Keys that are bounds of pieces indeed, and what is between them. */
static int
usable_keys(const Peer *peer, Bytes *keys, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (region_contains(&peer->region, keys[i]) &&
			!bytes_eq(keys[i], peer->region.start_key) &&
			(kept == 0 || bytes_cmp(keys[i], keys[kept - 1]) > 0))
			keys[kept++] = keys[i];
	return kept;
}

static void
measure_pieces(const SplitCheck *check, const Bytes *keys, int n,
			   PieceSize *pieces)
{
	int at = 0;

	memset(pieces, 0, (Size) (n + 1) * sizeof(PieceSize));
	for (int i = 0; i < check->n; i++)
	{
		while (at < n && bytes_cmp(check->buckets[i].from, keys[at]) >= 0)
			at++;
		pieces[at].bytes += check->buckets[i].bytes;
		pieces[at].keys += check->buckets[i].keys;
	}
}

static void
finish_job(Store *store, Peer *peer)
{
	SizeJob *job = store->sizes->job;
	PieceSize whole = {.bytes = job->check.bytes, .keys = job->check.keys};
	PieceSize pieces[MAX_SPLITS + 1];
	Bytes *keys;
	int n;

	if (peer->size.grown < PG_UINT64_MAX / 2)
		whole.bytes += peer->size.grown;
	n = split_check_keys(&job->check, peer->region.start_key, &keys);
	n = usable_keys(peer, keys, n);
	peer->size.next_us = dispatch_now_us() + LOOK_INTERVAL_US;
	FAILPOINT_PASS("store_size_counted");
	region_size_known(peer, &whole);
	if (n > 0)
	{
		FAILPOINT_PASS("store_size_splits");
		/* if nothing comes of it */
		peer->size.grown = PG_UINT64_MAX / 2;
		measure_pieces(&job->check, keys, n, pieces);
		splits_begin(store, peer, keys, n, pieces);
	}
	end_job(store);
}

/* -------------------------------------------------------------------- slices */

static void
open_slice(Store *store)
{
	OpenTables tables;
	Snapshot snapshot;

	StartTransactionCommand();
	MemoryContextSwitchTo(store->turn_context);
	if (tables_open(&store->tables, TABLES_RAW | TABLES_TXN, false, false,
					&tables) != TABLES_OK)
	{
		store->sizes->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
		CommitTransactionCommand();
		return;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	FAILPOINT("store_size_slice");
	run_walk(store, &tables, snapshot);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	CommitTransactionCommand();
}

static void
run_slice(Store *store)
{
	Peer *peer = job_peer(store);

	if (peer == NULL)
	{
		end_job(store);
		return;
	}
	PG_TRY();
	{
		open_slice(store);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(store->turn_context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		end_job(store);
		peer->size.next_us = dispatch_now_us() + LOOK_INTERVAL_US;
		store->sizes->due_us = dispatch_now_us() + BACKGROUND_RETRY_US;
	}
	PG_END_TRY();
	if (store->sizes->job != NULL &&
		store->sizes->job->walk.step == SIZE_STEP_DONE)
		finish_job(store, peer);
	turn_finish(store);
}

/* What was counted is stored, unless the group's turns are about to anyway. */
static void
decide_save(Store *store, const OpenTables *tables, Snapshot snapshot,
			void *arg)
{
	Peer *peer = arg;

	(void) store;
	group_state_update(tables, snapshot, &peer->state);
	FAILPOINT("store_size_saved");
}

static void
save_committed(Store *store, void *arg)
{
	Peer *peer = arg;

	(void) store;
	peer->saved = peer->state;
}

static void
save(Store *store, Peer *peer)
{
	TurnOwn own = {decide_save, save_committed, NULL, peer};

	peer->size.unsaved = false;
	if (!peer->touched && !peer->is_new && !peer->has_ready)
		(void) turn_run_own(store, &own);
}

/*
 * The first in the queue that may be looked at now.  NULL: none may, or it is
 * not there any more; then sizes->due_us says when the next one may be.
 */
static Peer *
take_first(Store *store)
{
	RegionSizes *sizes = store->sizes;
	int64 now_us = dispatch_now_us();

	sizes->due_us = PG_INT64_MAX;
	for (QueuedRegion **at = &sizes->queue; *at != NULL; at = &(*at)->next)
	{
		QueuedRegion *queued = *at;
		Peer *peer = store_find_peer(store, queued->region_id);

		if (peer != NULL && peer->size.next_us > now_us)
		{
			sizes->due_us = Min(sizes->due_us, peer->size.next_us);
			continue;
		}
		*at = queued->next;
		if (*at == NULL)
			sizes->queue_end = at;
		pfree(queued);
		if (peer != NULL)
			peer->size.queued = false;
		sizes->due_us = 0;
		return peer;
	}
	return NULL;
}

static void
take_next(Store *store)
{
	Peer *peer = take_first(store);

	if (peer == NULL)
		return;
	if (peer->size.unsaved)
		save(store, peer);
	if (peer->life == PEER_STATE_NORMAL && peer_is_leader(peer) && is_due(peer))
		begin_job(store, peer);
}

static int64
pause_us(const Store *store, int64 slice_us)
{
	const SizeJob *job = store->sizes->job;
	int factor = job != NULL && job->splits ? PAUSE_SPLIT : PAUSE_BUSY;

	if (store->queue.n == 0 && store->replicas->queue.n == 0 &&
		store->dispatch.reads.n == 0)
		factor = PAUSE_IDLE;
	return Max(PAUSE_MIN_US, factor * slice_us);
}

int64
region_sizes_due_us(const Store *store)
{
	const RegionSizes *sizes = store->sizes;

	return sizes->job == NULL && sizes->queue == NULL ? PG_INT64_MAX :
														sizes->due_us;
}

int
region_sizes_run(Store *store)
{
	RegionSizes *sizes = store->sizes;
	int64 began_us = dispatch_now_us();

	if (began_us < region_sizes_due_us(store))
		return 0;
	if (sizes->job != NULL)
		run_slice(store);
	else
		take_next(store);
	if (sizes->due_us != PG_INT64_MAX)
	{
		int64 now_us = dispatch_now_us();

		sizes->due_us =
			Max(sizes->due_us, now_us + pause_us(store, now_us - began_us));
	}
	return 1;
}
