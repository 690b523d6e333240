/*
 * service_split.c
 *	  Handlers: splits, scattering, operators.
 *
 * A store that splits asks for ids; a client that wants splits or regions
 * apart is answered when that is done (region_tasks.c).
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

/* Answered by region_tasks.c, when it is done or has taken too long. */
static void
begin_task(PdAsk *ask, const RegionTaskWish *wish)
{
	ask->silent = true;
	if (region_task_begin(ask->pd, ask->to, wish))
		return;
	ask->code = RPC_RESOURCE_EXHAUSTED;
	ask->text = "too many regions are to be split or scattered";
}

/* Split where the keys are; without any there is nothing to wait for. */
static void
begin_split(PdAsk *ask, RegionTaskWish *wish, const ProtobufCBinaryData *keys,
			size_t n)
{
	Bytes *copy = arena_alloc(ask->arena, n * sizeof(Bytes));

	for (size_t i = 0; i < n; i++)
		copy[i] = from_binary(keys[i]);
	wish->keys = copy;
	wish->n_keys = n;
	if (n > 0)
		begin_task(ask, wish);
}

void
pd_split_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SplitRegionsRequest *in = request;
	RegionTaskWish wish = {.retry_limit = in->retry_limit};

	(void) response;
	begin_split(ask, &wish, in->split_keys, in->n_split_keys);
}

void
pd_split_and_scatter_regions(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SplitAndScatterRegionsRequest *in = request;
	RegionTaskWish wish = {.scatter = true,
						   .group = in->group,
						   .retry_limit = in->retry_limit};

	(void) response;
	begin_split(ask, &wish, in->split_keys, in->n_split_keys);
}

void
pd_scatter_region(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__ScatterRegionRequest *in = request;
	RegionTaskWish wish = {.scatter = true,
						   .ids = in->regions_id,
						   .n_ids = in->n_regions_id,
						   .group = in->group,
						   .skip_store_limit = in->skip_store_limit,
						   .retry_limit = in->retry_limit};

	(void) response;
	if (in->n_regions_id == 0)
	{
		wish.ids = &in->region_id;
		wish.n_ids = 1;
		wish.retry_limit = 0;
		wish.single = true;
	}
	if (wish.single && region_tree_get(tree_of(ask), in->region_id) == NULL)
		ask->error =
			pd_errorf(ask->arena, PD_REGION_NOT_FOUND, "region %llu not found",
					  (unsigned long long) in->region_id);
	else
		begin_task(ask, &wish);
}

/* The running one, or how the last one ended in the last ten minutes. */
void
pd_get_operator(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetOperatorRequest *in = request;
	Pdpb__GetOperatorResponse *out = response;
	const Operator *op =
		schedule_latest(&ask->pd->schedule, in->region_id, board_now_us());

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
