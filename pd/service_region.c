/*
 * service_region.c
 *	  Handlers: routing, heartbeats, splits.
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
} QueryAnswer;

/* Mention a region once; it is looked for among those already mentioned. */
static uint64
mention(QueryAnswer *answer, const PdRegion *region)
{
	Pdpb__QueryRegionResponse *out = answer->out;
	Arena *arena = answer->ask->arena;
	Pdpb__QueryRegionResponse__RegionsByIdEntry *entry;

	if (region == NULL)
		return 0;
	for (size_t i = out->n_regions_by_id; i > 0; i--)
		if (out->regions_by_id[i - 1]->key == region->meta.id)
			return region->meta.id;
	entry = NEW_MESSAGE(arena, Pdpb__QueryRegionResponse__RegionsByIdEntry,
						pdpb__query_region_response__regions_by_id_entry__init);
	entry->key = region->meta.id;
	entry->value =
		NEW_MESSAGE(arena, Pdpb__RegionResponse, pdpb__region_response__init);
	FILL_REGION(entry->value, region, answer->need_buckets, arena);
	if (out->n_regions_by_id == answer->room)
	{
		size_t room = Max(answer->room * 2, 8);
		void *grown = arena_alloc(arena, room * sizeof(entry));

		if (answer->room > 0)
			memcpy(grown, out->regions_by_id, answer->room * sizeof(entry));
		out->regions_by_id = grown;
		answer->room = room;
	}
	out->regions_by_id[out->n_regions_by_id++] = entry;
	return region->meta.id;
}

void
pd_query_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__QueryRegionRequest *in = request;
	Pdpb__QueryRegionResponse *out = response;
	const RegionTree *tree = tree_of(ask);
	QueryAnswer answer = {ask, out, in->need_buckets, 0};

	out->n_key_id_map = in->n_keys;
	out->key_id_map = arena_alloc(ask->arena, in->n_keys * sizeof(uint64_t));
	for (size_t i = 0; i < in->n_keys; i++)
		out->key_id_map[i] =
			mention(&answer, region_tree_find(tree, from_binary(in->keys[i])));
	out->n_prev_key_id_map = in->n_prev_keys;
	out->prev_key_id_map =
		arena_alloc(ask->arena, in->n_prev_keys * sizeof(uint64_t));
	for (size_t i = 0; i < in->n_prev_keys; i++)
		out->prev_key_id_map[i] =
			mention(&answer,
					region_tree_prev(tree, from_binary(in->prev_keys[i])));
	for (size_t i = 0; i < in->n_ids; i++)
		(void) mention(&answer, region_tree_get(tree, in->ids[i]));
}

/* ---- ranges ---- */

static Pdpb__Region **
region_list(const PdRegion **regions, size_t n, bool need_buckets, Arena *arena)
{
	Pdpb__Region **out = arena_alloc(arena, n * sizeof(*out));

	for (size_t i = 0; i < n; i++)
	{
		out[i] = NEW_MESSAGE(arena, Pdpb__Region, pdpb__region__init);
		FILL_REGION(out[i], regions[i], need_buckets, arena);
	}
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

	out->n_regions = out->n_region_metas = out->n_leaders = n;
	out->regions = region_list(regions, n, false, ask->arena);
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
			region_list(regions, out->n_regions, in->need_buckets, ask->arena);
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
	if (in->region == NULL || !from_region(in->region, &out->meta))
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

/* ---- splits ---- */

/* Ids of one new region: its own, then one for each peer. */
static bool
split_ids(PdAsk *ask, size_t n_peers, uint64_t *region_id, uint64_t **peers)
{
	uint64 last;

	if (pd_state_take_ids(&ask->pd->state, (uint32) n_peers + 1, &last,
						  &ask->changes) != STATUS_OK)
	{
		ask->error = pd_error(PD_UNKNOWN, "could not allocate ids");
		return false;
	}
	*region_id = last - n_peers;
	*peers = arena_alloc(ask->arena, n_peers * sizeof(uint64_t));
	for (size_t i = 0; i < n_peers; i++)
		(*peers)[i] = last - n_peers + 1 + i;
	return true;
}

static bool
may_split(PdAsk *ask, const Metapb__Region *message, Region *region)
{
	if (message == NULL || !from_region(message, region))
	{
		ask->error = pd_error(PD_UNKNOWN, "invalid region in split request");
		return false;
	}
	ask->error =
		cluster_check_split(&ask->pd->state.cluster, region, ask->arena);
	return ask->error.type == PD_OK;
}

void
pd_ask_split(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__AskSplitRequest *in = request;
	Pdpb__AskSplitResponse *out = response;
	Region region;

	if (!may_split(ask, in->region, &region))
		return;
	if (split_ids(ask, (size_t) region.n_peers, &out->new_region_id,
				  &out->new_peer_ids))
		out->n_new_peer_ids = (size_t) region.n_peers;
}

/* TiKV never asks for more at once (split batch limit). */
#define MAX_SPLIT_COUNT 1024

void
pd_ask_batch_split(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__AskBatchSplitRequest *in = request;
	Pdpb__AskBatchSplitResponse *out = response;
	Region region;

	if (!may_split(ask, in->region, &region))
		return;
	if (in->split_count == 0 || in->split_count > MAX_SPLIT_COUNT)
	{
		ask->error = pd_error(PD_UNKNOWN, "invalid split count");
		return;
	}
	FAILPOINT_PASS("pd_split_ids");
	out->ids = arena_alloc(ask->arena, in->split_count * sizeof(*out->ids));
	for (uint32 i = 0; i < in->split_count; i++)
	{
		Pdpb__SplitID *id =
			NEW_MESSAGE(ask->arena, Pdpb__SplitID, pdpb__split_id__init);

		if (!split_ids(ask, (size_t) region.n_peers, &id->new_region_id,
					   &id->new_peer_ids))
			return;
		id->n_new_peer_ids = (size_t) region.n_peers;
		out->ids[out->n_ids++] = id;
	}
}

/* Only news: what was split is learned from the leaders' heartbeats. */
void
pd_report_split(PdAsk *ask, const void *request, void *response)
{
	(void) ask;
	(void) request;
	(void) response;
	FAILPOINT_PASS("pd_split_reported");
}

/*
 * Nothing is carried out for a region that has no split to make: keys that
 * are bounds already are done, others need a store that splits.
 */
static bool
split_at(PdAsk *ask, ProtobufCBinaryData *keys, size_t n, uint64_t **ids)
{
	*ids = arena_alloc(ask->arena, n * sizeof(uint64_t));
	for (size_t i = 0; i < n; i++)
	{
		Bytes key = from_binary(keys[i]);
		const PdRegion *region = region_tree_find(tree_of(ask), key);

		if (region == NULL)
		{
			ask->error =
				pd_error(PD_REGION_NOT_FOUND, "no region holds the split key");
			return false;
		}
		if (!bytes_eq(region->meta.start_key, key))
		{
			ask->error = pd_errorf(
				ask->arena, PD_UNKNOWN,
				"region %llu cannot be split by PD: ask its leader, by SplitRegion or tikv_split()",
				(unsigned long long) region->meta.id);
			return false;
		}
		(*ids)[i] = region->meta.id;
	}
	return true;
}

void
pd_split_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SplitRegionsRequest *in = request;
	Pdpb__SplitRegionsResponse *out = response;

	if (!split_at(ask, in->split_keys, in->n_split_keys, &out->regions_id))
		return;
	out->n_regions_id = in->n_split_keys;
	out->finished_percentage = 100;
}

void
pd_split_and_scatter_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SplitAndScatterRegionsRequest *in = request;
	Pdpb__SplitAndScatterRegionsResponse *out = response;

	if (!split_at(ask, in->split_keys, in->n_split_keys, &out->regions_id))
		return;
	out->n_regions_id = in->n_split_keys;
	out->split_finished_percentage = 100;
	out->scatter_finished_percentage = 100;
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
								   in->buckets->region_id, &buckets);
}

/* One store: every region is where it can be. */
void
pd_scatter_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__ScatterRegionRequest *in = request;
	Pdpb__ScatterRegionResponse *out = response;

	if (in->n_regions_id == 0 &&
		region_tree_get(tree_of(ask), in->region_id) == NULL)
	{
		ask->error =
			pd_errorf(ask->arena, PD_REGION_NOT_FOUND, "region %llu not found",
					  (unsigned long long) in->region_id);
		return;
	}
	out->failed_regions_id =
		arena_alloc(ask->arena, in->n_regions_id * sizeof(uint64_t));
	for (size_t i = 0; i < in->n_regions_id; i++)
		if (region_tree_get(tree_of(ask), in->regions_id[i]) == NULL)
			out->failed_regions_id[out->n_failed_regions_id++] =
				in->regions_id[i];
	out->finished_percentage = in->n_regions_id == 0 ?
		100 :
		(in->n_regions_id - out->n_failed_regions_id) * 100 / in->n_regions_id;
}

/* The running one; of those that ended nothing is told. */
void
pd_get_operator(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetOperatorRequest *in = request;
	Pdpb__GetOperatorResponse *out = response;
	const Operator *op = schedule_find(&ask->pd->schedule, in->region_id);

	if (op == NULL)
	{
		ask->error = pd_error(PD_REGION_NOT_FOUND, "Not Found");
		return;
	}
	out->region_id = in->region_id;
	out->desc = to_binary(bytes_cstr(op->desc));
	out->status = (Pdpb__OperatorStatus) op->status;
	out->kind = to_binary(bytes_cstr(operator_kind_text(op->kind)));
}
