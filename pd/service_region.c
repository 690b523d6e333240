/*
 * service_region.c
 *	  Handlers: routing, heartbeats.
 *
 * The rules of each answer are client-contract 1.7.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/pd.h"

static const RegionTree *
tree_of(const PdAsk *ask)
{
	return &ask->pd->state.cluster.regions;
}

/* ---- one region as a message ---- */

static Pdpb__PeerStats **
down_peers(const PdRegion *region, Arena *arena)
{
	Pdpb__PeerStats **out = arena_alloc(arena, region->n_down * sizeof(*out));

	for (size_t i = 0; i < region->n_down; i++)
	{
		out[i] = NEW_MESSAGE(arena, Pdpb__PeerStats, pdpb__peer_stats__init);
		out[i]->peer = to_peer(&region->down[i].peer, arena);
		out[i]->down_seconds = region->down[i].down_seconds;
	}
	return out;
}

static Metapb__Peer **
pending_peers(const PdRegion *region, Arena *arena)
{
	Metapb__Peer **out = arena_alloc(arena, region->n_pending * sizeof(*out));

	for (size_t i = 0; i < region->n_pending; i++)
		out[i] = to_peer(&region->pending[i], arena);
	return out;
}

static Metapb__Buckets *
buckets_message(const PdRegion *region, Arena *arena)
{
	const PdBuckets *from = region->buckets;
	Metapb__Buckets *out;

	if (from == NULL)
		return NULL;
	out = NEW_MESSAGE(arena, Metapb__Buckets, metapb__buckets__init);
	out->region_id = region->meta.id;
	out->version = from->version;
	out->n_keys = from->n_keys;
	out->keys = arena_alloc(arena, from->n_keys * sizeof(*out->keys));
	for (size_t i = 0; i < from->n_keys; i++)
		out->keys[i] = to_binary(from->keys[i]);
	return out;
}

/* Three messages share these fields under the same names. */
#define FILL_REGION(to, from, need_buckets, arena)            \
	do                                                        \
	{                                                         \
		(to)->region = to_region(&(from)->meta, (arena));     \
		if (need_buckets)                                     \
			(to)->buckets = buckets_message((from), (arena)); \
		if ((from)->leader.id != 0)                           \
			(to)->leader = to_peer(&(from)->leader, (arena)); \
		(to)->n_down_peers = (from)->n_down;                  \
		(to)->down_peers = down_peers((from), (arena));       \
		(to)->n_pending_peers = (from)->n_pending;            \
		(to)->pending_peers = pending_peers((from), (arena)); \
	} while (0)

static void
answer_region(PdAsk *ask, const PdRegion *region, bool need_buckets,
			  Pdpb__GetRegionResponse *out)
{
	if (region != NULL)
		FILL_REGION(out, region, need_buckets, ask->arena);
}

void
pd_get_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetRegionRequest *in = request;

	answer_region(ask,
				  region_tree_find(tree_of(ask), from_binary(in->region_key)),
				  in->need_buckets, response);
}

void
pd_get_prev_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetRegionRequest *in = request;

	answer_region(ask,
				  region_tree_prev(tree_of(ask), from_binary(in->region_key)),
				  in->need_buckets, response);
}

void
pd_get_region_by_id(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetRegionByIDRequest *in = request;

	answer_region(ask, region_tree_get(tree_of(ask), in->region_id),
				  in->need_buckets, response);
}

/* ---- many lookups in one message ---- */

typedef struct QueryAnswer
{
	PdAsk *ask;
	Pdpb__QueryRegionResponse *out;
	bool need_buckets;
	size_t room;

	/* Which are mentioned: place + 1 in the answer, open addressing. */
	uint32 *slots;
	size_t n_slots;
} QueryAnswer;

/* A message may name as many keys as regions there are, and each many times. */
static void
begin_query(QueryAnswer *answer, size_t n_lookups)
{
	size_t most = Min(n_lookups, tree_of(answer->ask)->n);

	answer->n_slots = 16;
	while (answer->n_slots < 2 * most)
		answer->n_slots *= 2;
	answer->slots =
		arena_zalloc(answer->ask->arena, answer->n_slots * sizeof(uint32));
}

/* The slot of the region, or the free one where it belongs. */
static uint32 *
slot_of(const QueryAnswer *answer, uint64 id)
{
	size_t mask = answer->n_slots - 1;
	size_t at = (size_t) ((id * UINT64CONST(0x9E3779B97F4A7C15)) >> 32) & mask;

	while (answer->slots[at] != 0 &&
		   answer->out->regions_by_id[answer->slots[at] - 1]->key != id)
		at = (at + 1) & mask;
	return &answer->slots[at];
}

static void
make_room(QueryAnswer *answer)
{
	Pdpb__QueryRegionResponse *out = answer->out;
	size_t room = Max(answer->room * 2, 8);
	void *grown;

	if (out->n_regions_by_id < answer->room)
		return;
	grown = arena_alloc(answer->ask->arena, room * sizeof(*out->regions_by_id));
	if (answer->room > 0)
		memcpy(grown, out->regions_by_id,
			   answer->room * sizeof(*out->regions_by_id));
	out->regions_by_id = grown;
	answer->room = room;
}

/* Mention a region once; no more of them when the answer is too large. */
static uint64
mention(QueryAnswer *answer, const PdRegion *region)
{
	Pdpb__QueryRegionResponse *out = answer->out;
	Arena *arena = answer->ask->arena;
	Pdpb__QueryRegionResponse__RegionsByIdEntry *entry;
	uint32 *slot;

	if (region == NULL)
		return 0;
	slot = slot_of(answer, region->meta.id);
	if (*slot != 0)
		return region->meta.id;
	if (kv_failed(answer->ask, pd_check_room(answer->ask)))
		return 0;
	entry = NEW_MESSAGE(arena, Pdpb__QueryRegionResponse__RegionsByIdEntry,
						pdpb__query_region_response__regions_by_id_entry__init);
	entry->key = region->meta.id;
	entry->value =
		NEW_MESSAGE(arena, Pdpb__RegionResponse, pdpb__region_response__init);
	FILL_REGION(entry->value, region, answer->need_buckets, arena);
	make_room(answer);
	out->regions_by_id[out->n_regions_by_id++] = entry;
	*slot = (uint32) out->n_regions_by_id;
	return region->meta.id;
}

void
pd_query_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__QueryRegionRequest *in = request;
	Pdpb__QueryRegionResponse *out = response;
	const RegionTree *tree = tree_of(ask);
	QueryAnswer answer = {.ask = ask,
						  .out = out,
						  .need_buckets = in->need_buckets};

	begin_query(&answer, in->n_keys + in->n_prev_keys + in->n_ids);
	out->n_key_id_map = in->n_keys;
	out->key_id_map = arena_alloc(ask->arena, in->n_keys * sizeof(uint64_t));
	for (size_t i = 0; i < in->n_keys && ask->code == RPC_OK; i++)
		out->key_id_map[i] =
			mention(&answer, region_tree_find(tree, from_binary(in->keys[i])));
	out->n_prev_key_id_map = in->n_prev_keys;
	out->prev_key_id_map =
		arena_alloc(ask->arena, in->n_prev_keys * sizeof(uint64_t));
	for (size_t i = 0; i < in->n_prev_keys && ask->code == RPC_OK; i++)
		out->prev_key_id_map[i] =
			mention(&answer,
					region_tree_prev(tree, from_binary(in->prev_keys[i])));
	for (size_t i = 0; i < in->n_ids && ask->code == RPC_OK; i++)
		(void) mention(&answer, region_tree_get(tree, in->ids[i]));
}

/* ---- ranges ---- */

/* No more of them when the answer is too large, which then is refused. */
static Pdpb__Region **
region_list(PdAsk *ask, const PdRegion **regions, size_t *n, bool need_buckets)
{
	Pdpb__Region **out = arena_alloc(ask->arena, *n * sizeof(*out));
	size_t i;

	for (i = 0; i < *n && !kv_failed(ask, pd_check_room(ask)); i++)
	{
		out[i] = NEW_MESSAGE(ask->arena, Pdpb__Region, pdpb__region__init);
		FILL_REGION(out[i], regions[i], need_buckets, ask->arena);
	}
	*n = i;
	return out;
}

void
pd_scan_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__ScanRegionsRequest *in = request;
	Pdpb__ScanRegionsResponse *out = response;
	PdKeyRange range = {from_binary(in->start_key), from_binary(in->end_key)};
	const PdRegion **regions;
	bool complete;
	size_t n = region_tree_scan(tree_of(ask), range,
								in->limit > 0 ? (size_t) in->limit : 0,
								ask->arena, &regions, &complete);

	out->regions = region_list(ask, regions, &n, false);
	out->n_regions = out->n_region_metas = out->n_leaders = n;
	out->region_metas = arena_alloc(ask->arena, n * sizeof(Metapb__Region *));
	out->leaders = arena_alloc(ask->arena, n * sizeof(Metapb__Peer *));
	for (size_t i = 0; i < n; i++)
	{
		out->region_metas[i] = out->regions[i]->region;
		out->leaders[i] = to_peer(&regions[i]->leader, ask->arena);
	}
}

void
pd_batch_scan_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__BatchScanRegionsRequest *in = request;
	Pdpb__BatchScanRegionsResponse *out = response;
	PdKeyRange *ranges =
		arena_alloc(ask->arena, in->n_ranges * sizeof(PdKeyRange));
	const PdRegion **regions;
	bool complete;

	for (size_t i = 0; i < in->n_ranges; i++)
	{
		ranges[i].start = from_binary(in->ranges[i]->start_key);
		ranges[i].end = from_binary(in->ranges[i]->end_key);
	}
	if (region_tree_batch_scan(tree_of(ask), ranges, in->n_ranges,
							   in->limit > 0 ? (size_t) in->limit : 0,
							   ask->arena, &regions, &out->n_regions,
							   &complete) != STATUS_OK)
		ask->error =
			pd_error(PD_UNKNOWN,
					 "the ranges must be in order and must not overlap");
	else if (in->contain_all_key_range && !complete)
		ask->error = pd_error(PD_REGIONS_NOT_CONTAIN_ALL_KEY_RANGE,
							  "the regions do not cover the ranges");
	else
		out->regions =
			region_list(ask, regions, &out->n_regions, in->need_buckets);
}

/* ---- what leaders report ---- */

/* A region that is not empty has one at least (tikv/pd pkg/core/region.go). */
static uint64
size_in_mib(uint64 bytes)
{
	return bytes == 0 ? 0 : Max(bytes >> 20, 1);
}

static bool
heard_region(const Pdpb__RegionHeartbeatRequest *in, PdRegion *out,
			 Arena *arena)
{
	memset(out, 0, sizeof(*out));
	/* Both lists are of the region's peers, and are kept with it. */
	if (in->region == NULL || !from_region(in->region, &out->meta) ||
		in->n_down_peers > REGION_MAX_PEERS ||
		in->n_pending_peers > REGION_MAX_PEERS)
		return false;
	out->leader = from_peer(in->leader);
	out->term = in->term;
	out->n_down = in->n_down_peers;
	out->down = arena_zalloc(arena, out->n_down * sizeof(*out->down));
	for (size_t i = 0; i < out->n_down; i++)
	{
		out->down[i].peer = from_peer(in->down_peers[i]->peer);
		out->down[i].down_seconds = in->down_peers[i]->down_seconds;
	}
	out->n_pending = in->n_pending_peers;
	out->pending = arena_alloc(arena, out->n_pending * sizeof(*out->pending));
	for (size_t i = 0; i < out->n_pending; i++)
		out->pending[i] = from_peer(in->pending_peers[i]);
	out->approximate_size = size_in_mib(in->approximate_size);
	out->approximate_keys = in->approximate_keys;
	out->bytes_written = in->bytes_written;
	out->bytes_read = in->bytes_read;
	out->keys_written = in->keys_written;
	out->keys_read = in->keys_read;
	out->cpu_usage = in->cpu_usage;
	return true;
}

/* An answer goes out only when there is something to say. */
void
pd_region_heartbeat(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__RegionHeartbeatRequest *in = request;
	Pdpb__RegionHeartbeatResponse *out = response;
	PdRegion *region = arena_alloc(ask->arena, sizeof(*region));
	const PdStore *store;

	if (!heard_region(in, region, ask->arena))
	{
		ask->error = pd_error(PD_UNKNOWN, "invalid region in heartbeat");
		return;
	}
	store = cluster_store(&ask->pd->state.cluster, region->leader.store_id);
	if (store == NULL)
	{
		ask->code = RPC_UNKNOWN;
		ask->text = "invalid store ID in region heartbeat, not found";
		return;
	}
	if (store->state == STORE_TOMBSTONE)
	{
		/* What it reports does not count any more. */
		ask->silent = true;
		return;
	}
	FAILPOINT_PASS("pd_region_heartbeat");
	watch_heartbeats(ask, store->id);
	ask->error = cluster_region_heartbeat(&ask->pd->state.cluster, region,
										  &ask->changes);
	if (ask->error.type != PD_OK)
	{
		out->target_peer = in->leader;
		return;
	}
	ask->heard = region;
	ask->silent = true;
}

/* Only what no record says: a region that differs waits for its heartbeat. */
static void
note_local_region(Pd *pd, const BoardRegion *seen)
{
	PdRegion region = {.meta = seen->region,
					   .leader = seen->leader,
					   .term = seen->term};
	PdChanges changes;
	PdError error;

	pd_changes_init(&changes, &pd->arena);
	error = cluster_region_heartbeat(&pd->state.cluster, &region, &changes);
	if (error.type == PD_OK && changes.n == 0)
		cluster_note_region(&pd->state.cluster, &region);
}

void
pd_note_local_regions(Pd *pd)
{
	BoardStore store;
	BoardRegion *region;
	BoardWalk *walk;

	board_store(&store);
	if (store.generation == 0 || store.cluster_id != pd->state.cluster_id)
		return;
	region = palloc(sizeof(*region));
	walk = palloc0(sizeof(*walk));
	while (board_walk_next(walk, region))
		if (region->is_leader)
			note_local_region(pd, region);
	pfree(region);
	pfree(walk);
}

/* Clients that send too many keys are ignored like those that send none. */
#define MAX_BUCKET_KEYS 65536

void
pd_report_buckets(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__ReportBucketsRequest *in = request;
	PdBuckets buckets = {0};

	(void) response;
	ask->silent = true;
	if (in->buckets == NULL || in->buckets->n_keys == 0 ||
		in->buckets->n_keys > MAX_BUCKET_KEYS)
		return;
	buckets.version = in->buckets->version;
	buckets.n_keys = in->buckets->n_keys;
	buckets.keys = arena_alloc(ask->arena, buckets.n_keys * sizeof(Bytes));
	for (size_t i = 0; i < buckets.n_keys; i++)
		buckets.keys[i] = from_binary(in->buckets->keys[i]);

	/* A region whose first heartbeat has not come yet is not known. */
	(void) region_tree_set_buckets(&ask->pd->state.cluster.regions,
								   in->buckets->region_id, &buckets,
								   ask->pd->max_buckets);
}
