/*
 * service_cluster.c
 *	  Handlers: ids, stores, settings.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "pd/tso_local.h"
#include "service/service.h"

void
pd_get_cluster_info(PdAsk *ask, const void *request, void *response)
{
	Pdpb__GetClusterInfoResponse *out = response;

	(void) request;
	out->n_servicemodes = 1;
	out->servicemodes = arena_alloc(ask->arena, sizeof(*out->servicemodes));
	out->servicemodes[0] = PDPB__SERVICE_MODE__PD_SVC_MODE;
}

/* ---- bootstrap and ids ---- */

static bool
missing(PdAsk *ask, const void *part, const char *name)
{
	if (part != NULL)
		return false;
	ask->error = pd_errorf(ask->arena, PD_UNKNOWN, "missing %s", name);
	return true;
}

void
pd_bootstrap(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__BootstrapRequest *in = request;
	Region region;
	PdStore store;

	(void) response;
	if (missing(ask, in->store, "store in bootstrap request") ||
		missing(ask, in->region, "region in bootstrap request"))
		return;
	if (!from_region(in->region, &region))
	{
		ask->error = pd_error(PD_UNKNOWN, "the region has too many peers");
		return;
	}
	FAILPOINT_PASS("pd_bootstrap");
	from_store(in->store, &store, ask->arena);
	ask->error =
		cluster_bootstrap(&ask->pd->state.cluster, ask->pd->state.cluster_id,
						  &store, &region, ask->now_ns, &ask->changes);
}

void
pd_is_bootstrapped(PdAsk *ask, const void *request, void *response)
{
	(void) request;
	((Pdpb__IsBootstrappedResponse *) response)->bootstrapped =
		ask->pd->state.cluster.bootstrapped;
}

void
pd_is_snapshot_recovering(PdAsk *ask, const void *request, void *response)
{
	(void) ask;
	(void) request;
	((Pdpb__IsSnapshotRecoveringResponse *) response)->marked = false;
}

static bool
take_ids(PdAsk *ask, uint32 count, uint64 *last)
{
	Status status =
		pd_state_take_ids(&ask->pd->state, count, last, &ask->changes);

	if (status == STATUS_OK)
		return true;
	ask->error =
		pd_errorf(ask->arena, PD_UNKNOWN, "could not allocate %u ids: %s",
				  count, status_text(status));
	return false;
}

void
pd_alloc_id(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__AllocIDRequest *in = request;
	Pdpb__AllocIDResponse *out = response;

	FAILPOINT_PASS("pd_alloc_id");
	if (take_ids(ask, in->count, &out->id) && in->count > 1)
		out->count = in->count;
}

/* ---- stores ---- */

static void
refuse_unknown_store(PdAsk *ask, uint64 id)
{
	/* Both halves of this text are looked for by clients. */
	ask->error =
		pd_errorf(ask->arena, PD_UNKNOWN, "invalid store ID %llu, not found",
				  (unsigned long long) id);
}

void
pd_get_store(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetStoreRequest *in = request;
	Pdpb__GetStoreResponse *out = response;
	const PdStore *store = cluster_store(&ask->pd->state.cluster, in->store_id);

	if (store == NULL)
	{
		refuse_unknown_store(ask, in->store_id);
		return;
	}
	out->store = to_store(store, ask->arena);
	if (store->stats.len > 0)
		out->stats =
			(Pdpb__StoreStats *) service_unpack(&pdpb__store_stats__descriptor,
												store->stats, ask->arena);
}

void
pd_put_store(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__PutStoreRequest *in = request;
	PdStore store;

	(void) response;
	if (missing(ask, in->store, "store in put store request"))
		return;
	FAILPOINT_PASS("pd_put_store");
	from_store(in->store, &store, ask->arena);
	ask->error =
		cluster_put_store(&ask->pd->state.cluster, &store, &ask->changes);
}

void
pd_get_all_stores(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__GetAllStoresRequest *in = request;
	Pdpb__GetAllStoresResponse *out = response;
	const Cluster *cluster = &ask->pd->state.cluster;

	out->stores =
		arena_alloc(ask->arena, cluster->n_stores * sizeof(*out->stores));
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;

		if (in->exclude_tombstone_stores && store->state == STORE_TOMBSTONE)
			continue;
		out->stores[out->n_stores++] = to_store(store, ask->arena);
	}
}

/*
 * The number of the start that a store says it is of, against the newest one
 * that was claimed (src/store/claim.c).  True: it is older, and is told.
 */
static bool
is_superseded(PdAsk *ask, const Pdpb__StoreHeartbeatRequest *in)
{
	char key[64];
	const KvItem *claim;
	uint64 claimed;
	uint64 start;

	if (in->header == NULL ||
		sscanf(in->header->caller_id, "start " UINT64_FORMAT, &start) != 1)
		return false;
	snprintf(key, sizeof(key), "/tikv_fdw/start/" UINT64_FORMAT,
			 in->stats->store_id);
	claim = kv_store_get(&ask->pd->state.kv, bytes_cstr(key));
	if (claim == NULL)
		return false;
	claimed = strtoull(arena_printf(ask->arena, "%.*s", (int) claim->value.len,
									(const char *) claim->value.data),
					   NULL, 10);
	if (claimed <= start)
		return false;
	ask->error = pd_errorf(ask->arena, PD_DUPLICATED_ENTRY,
						   "start %llu of store %llu was claimed, this is %llu",
						   (unsigned long long) claimed,
						   (unsigned long long) in->stats->store_id,
						   (unsigned long long) start);
	return true;
}

/*
 * Of what a store tells the numbers are kept.  The lists (threads, hot peers,
 * snapshots) are for schedulers that are not here; they, and what this version
 * does not know, have no bound but the message's.
 */
static void
keep_numbers(ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	message->n_unknown_fields = 0;
	for (unsigned i = 0; i < type->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		char *at = (char *) message;

		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			*(size_t *) (at + field->quantifier_offset) = 0;
		else if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
				 *(ProtobufCMessage **) (at + field->offset) != NULL)
			keep_numbers(*(ProtobufCMessage **) (at + field->offset));
	}
}

void
pd_store_heartbeat(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__StoreHeartbeatRequest *in = request;
	Pdpb__StoreHeartbeatResponse *out = response;
	Cluster *cluster = &ask->pd->state.cluster;
	const PdStore *store;

	if (missing(ask, in->stats, "stats in store heartbeat") ||
		is_superseded(ask, in))
		return;
	store = cluster_store(cluster, in->stats->store_id);
	if (store == NULL)
	{
		refuse_unknown_store(ask, in->stats->store_id);
		return;
	}
	keep_numbers(&in->stats->base);
	ask->error =
		cluster_store_heartbeat(cluster, in->stats->store_id,
								pack_message(&in->stats->base, ask->arena),
								ask->now_ns, ask->arena);
	if (ask->error.type == PD_OK)
		cluster_heard_store(cluster, in->stats->store_id, board_now_us());
	FAILPOINT_PASS("pd_store_heartbeat");
	out->cluster_version = (char *) cluster_version(cluster);
	out->state = (Metapb__NodeState) store->node_state;
}

void
pd_get_cluster_config(PdAsk *ask, const void *request, void *response)
{
	Pdpb__GetClusterConfigResponse *out = response;

	(void) request;
	out->cluster =
		NEW_MESSAGE(ask->arena, Metapb__Cluster, metapb__cluster__init);
	out->cluster->id = ask->pd->state.cluster_id;
	out->cluster->max_peer_count = ask->pd->state.cluster.max_peer_count;
}

void
pd_put_cluster_config(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__PutClusterConfigRequest *in = request;

	(void) response;
	if (missing(ask, in->cluster, "cluster in put cluster config request"))
		return;
	if (in->cluster->id != ask->pd->state.cluster_id)
		ask->error = pd_errorf(ask->arena, PD_UNKNOWN,
							   "invalid cluster %llu, mismatch cluster id %llu",
							   (unsigned long long) in->cluster->id,
							   (unsigned long long) ask->pd->state.cluster_id);
	else
		ask->error =
			cluster_put_config(&ask->pd->state.cluster,
							   in->cluster->max_peer_count, &ask->changes);
}

/* How often the common value is saved (tikv/pd server/config, 1 s). */
#define MIN_RESOLVED_SAVE_US INT64CONST(1000000)

void
pd_report_min_resolved_ts(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__ReportMinResolvedTsRequest *in = request;
	Pd *pd = ask->pd;
	int64 now = board_now_us();
	uint64_t common;
	PdError error =
		cluster_min_resolved_ts(&pd->state.cluster, in->store_id,
								in->min_resolved_ts, ask->arena, &common);

	(void) response;
	if (error.type == PD_STORE_TOMBSTONE)
	{
		ask->error = error;
		return;
	}
	if (error.type != PD_OK)
	{
		ask->code = RPC_UNKNOWN;
		ask->text = error.text;
		return;
	}
	if (common == UINT64_MAX || common <= pd->state.min_resolved_ts ||
		now - pd->min_resolved_saved_us < MIN_RESOLVED_SAVE_US)
		return;
	pd->min_resolved_saved_us = now;
	pd_changes_number(&ask->changes, PD_RECORD_MIN_RESOLVED_TS, common);
}

/* ---- a timestamp that applications agree on ---- */

void
pd_set_external_timestamp(PdAsk *ask, const void *request, void *response)
{
	const Pdpb__SetExternalTimestampRequest *in = request;
	uint64 newest = tso_newest();

	(void) response;
	if (in->timestamp > newest)
		ask->error = pd_errorf(
			ask->arena, PD_UNKNOWN,
			"the external timestamp %llu is greater than the newest timestamp %llu",
			(unsigned long long) in->timestamp, (unsigned long long) newest);
	else if (in->timestamp <= ask->pd->state.external_ts)
		ask->error = pd_errorf(ask->arena, PD_UNKNOWN,
							   "the external timestamp must grow, it is %llu",
							   (unsigned long long) ask->pd->state.external_ts);
	else
		pd_changes_number(&ask->changes, PD_RECORD_EXTERNAL_TS, in->timestamp);
}

void
pd_get_external_timestamp(PdAsk *ask, const void *request, void *response)
{
	(void) request;
	((Pdpb__GetExternalTimestampResponse *) response)->timestamp =
		ask->pd->state.external_ts;
}
