/*
 * service.c
 *	  The table of PD's RPCs: messages <-> decisions of the machine.
 *
 * Header rules (tikv/pd server/grpc_service.go and what clients test): the
 * header is always there with the cluster id; header.error is absent on
 * success and the only thing besides the header on failure; a wrong cluster
 * id is a gRPC status, FAILED_PRECONDITION.
 */
#include "postgres.h"

#include <inttypes.h>
#include <time.h>

#include "etcdserverpb.pb-c.h"
#include "keyspacepb.pb-c.h"
#include "meta_storagepb.pb-c.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "pd/record_codec.h"
#include "service/service.h"

#define PD(name, kind, request, response, handler, flags)       \
	{                                                           \
		"/pdpb.PD/" name, kind, &pdpb__##request##__descriptor, \
			&pdpb__##response##__descriptor, handler, flags     \
	}
#define NOT_BUILT(path, kind)           \
	{                                   \
		path, kind, NULL, NULL, NULL, 0 \
	}

/* All of pdpb.PD, keyspacepb, meta_storagepb, resource_manager; some etcd. */
const PdMethod pd_methods[] = {
	PD("GetClusterInfo", RPC_UNARY, get_cluster_info_request,
	   get_cluster_info_response, pd_get_cluster_info, PD_ANY_CLUSTER),
	PD("GetMembers", RPC_UNARY, get_members_request, get_members_response,
	   pd_get_members, PD_ANY_CLUSTER),
	PD("Tso", RPC_STREAM, tso_request, tso_response, NULL, PD_TSO),
	PD("GetMinTS", RPC_UNARY, get_min_tsrequest, get_min_tsresponse, NULL,
	   PD_TSO),
	PD("Bootstrap", RPC_UNARY, bootstrap_request, bootstrap_response,
	   pd_bootstrap, 0),
	PD("IsBootstrapped", RPC_UNARY, is_bootstrapped_request,
	   is_bootstrapped_response, pd_is_bootstrapped, 0),
	PD("AllocID", RPC_UNARY, alloc_idrequest, alloc_idresponse, pd_alloc_id, 0),
	PD("IsSnapshotRecovering", RPC_UNARY, is_snapshot_recovering_request,
	   is_snapshot_recovering_response, pd_is_snapshot_recovering,
	   PD_ANY_CLUSTER),
	PD("GetStore", RPC_UNARY, get_store_request, get_store_response,
	   pd_get_store, PD_BOOTSTRAPPED),
	PD("PutStore", RPC_UNARY, put_store_request, put_store_response,
	   pd_put_store, PD_BOOTSTRAPPED),
	PD("GetAllStores", RPC_UNARY, get_all_stores_request,
	   get_all_stores_response, pd_get_all_stores, PD_BOOTSTRAPPED),
	PD("StoreHeartbeat", RPC_UNARY, store_heartbeat_request,
	   store_heartbeat_response, pd_store_heartbeat, PD_BOOTSTRAPPED),
	PD("RegionHeartbeat", RPC_STREAM, region_heartbeat_request,
	   region_heartbeat_response, pd_region_heartbeat, PD_BOOTSTRAPPED),
	PD("GetRegion", RPC_UNARY, get_region_request, get_region_response,
	   pd_get_region, PD_BOOTSTRAPPED),
	PD("GetPrevRegion", RPC_UNARY, get_region_request, get_region_response,
	   pd_get_prev_region, PD_BOOTSTRAPPED),
	PD("GetRegionByID", RPC_UNARY, get_region_by_idrequest, get_region_response,
	   pd_get_region_by_id, PD_BOOTSTRAPPED),
	PD("QueryRegion", RPC_STREAM, query_region_request, query_region_response,
	   pd_query_region, PD_BOOTSTRAPPED),
	PD("ScanRegions", RPC_UNARY, scan_regions_request, scan_regions_response,
	   pd_scan_regions, PD_BOOTSTRAPPED),
	PD("BatchScanRegions", RPC_UNARY, batch_scan_regions_request,
	   batch_scan_regions_response, pd_batch_scan_regions, PD_BOOTSTRAPPED),
	PD("AskSplit", RPC_UNARY, ask_split_request, ask_split_response,
	   pd_ask_split, PD_BOOTSTRAPPED),
	PD("ReportSplit", RPC_UNARY, report_split_request, report_split_response,
	   pd_report_split, PD_BOOTSTRAPPED),
	PD("AskBatchSplit", RPC_UNARY, ask_batch_split_request,
	   ask_batch_split_response, pd_ask_batch_split, PD_BOOTSTRAPPED),
	PD("ReportBatchSplit", RPC_UNARY, report_batch_split_request,
	   report_batch_split_response, pd_report_split, PD_BOOTSTRAPPED),
	PD("GetClusterConfig", RPC_UNARY, get_cluster_config_request,
	   get_cluster_config_response, pd_get_cluster_config, PD_BOOTSTRAPPED),
	NOT_BUILT("/pdpb.PD/PutClusterConfig", RPC_UNARY),
	PD("ScatterRegion", RPC_UNARY, scatter_region_request,
	   scatter_region_response, pd_scatter_region, PD_BOOTSTRAPPED),
	PD("GetGCSafePoint", RPC_UNARY, get_gcsafe_point_request,
	   get_gcsafe_point_response, pd_get_gc_safe_point, PD_BOOTSTRAPPED),
	PD("UpdateGCSafePoint", RPC_UNARY, update_gcsafe_point_request,
	   update_gcsafe_point_response, pd_update_gc_safe_point, PD_BOOTSTRAPPED),
	PD("UpdateServiceGCSafePoint", RPC_UNARY,
	   update_service_gcsafe_point_request,
	   update_service_gcsafe_point_response, pd_update_service_gc_safe_point,
	   PD_BOOTSTRAPPED),
	NOT_BUILT("/pdpb.PD/GetGCSafePointV2", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/WatchGCSafePointV2", RPC_STREAM),
	NOT_BUILT("/pdpb.PD/UpdateGCSafePointV2", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/UpdateServiceSafePointV2", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/GetAllGCSafePointV2", RPC_UNARY),
	PD("AdvanceGCSafePoint", RPC_UNARY, advance_gcsafe_point_request,
	   advance_gcsafe_point_response, pd_advance_gc_safe_point,
	   PD_BOOTSTRAPPED),
	PD("AdvanceTxnSafePoint", RPC_UNARY, advance_txn_safe_point_request,
	   advance_txn_safe_point_response, pd_advance_txn_safe_point,
	   PD_BOOTSTRAPPED),
	PD("SetGCBarrier", RPC_UNARY, set_gcbarrier_request, set_gcbarrier_response,
	   pd_set_gc_barrier, PD_BOOTSTRAPPED),
	PD("DeleteGCBarrier", RPC_UNARY, delete_gcbarrier_request,
	   delete_gcbarrier_response, pd_delete_gc_barrier, PD_BOOTSTRAPPED),
	PD("SetGlobalGCBarrier", RPC_UNARY, set_global_gcbarrier_request,
	   set_global_gcbarrier_response, pd_set_global_gc_barrier,
	   PD_BOOTSTRAPPED),
	PD("DeleteGlobalGCBarrier", RPC_UNARY, delete_global_gcbarrier_request,
	   delete_global_gcbarrier_response, pd_delete_global_gc_barrier,
	   PD_BOOTSTRAPPED),
	PD("GetGCState", RPC_UNARY, get_gcstate_request, get_gcstate_response,
	   pd_get_gc_state, PD_BOOTSTRAPPED),
	PD("GetAllKeyspacesGCStates", RPC_UNARY, get_all_keyspaces_gcstates_request,
	   get_all_keyspaces_gcstates_response, pd_get_all_gc_states,
	   PD_BOOTSTRAPPED),
	NOT_BUILT("/pdpb.PD/SyncRegions", RPC_STREAM),
	PD("GetOperator", RPC_UNARY, get_operator_request, get_operator_response,
	   pd_get_operator, PD_BOOTSTRAPPED),
	NOT_BUILT("/pdpb.PD/SyncMaxTS", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/SplitRegions", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/SplitAndScatterRegions", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/GetDCLocationInfo", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/StoreGlobalConfig", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/LoadGlobalConfig", RPC_UNARY),
	NOT_BUILT("/pdpb.PD/WatchGlobalConfig", RPC_STREAM),
	NOT_BUILT("/pdpb.PD/ReportBuckets", RPC_STREAM),
	NOT_BUILT("/pdpb.PD/ReportMinResolvedTS", RPC_UNARY),
	PD("SetExternalTimestamp", RPC_UNARY, set_external_timestamp_request,
	   set_external_timestamp_response, pd_set_external_timestamp,
	   PD_BOOTSTRAPPED),
	PD("GetExternalTimestamp", RPC_UNARY, get_external_timestamp_request,
	   get_external_timestamp_response, pd_get_external_timestamp,
	   PD_BOOTSTRAPPED),

	{"/keyspacepb.Keyspace/LoadKeyspace", RPC_UNARY,
	 &keyspacepb__load_keyspace_request__descriptor,
	 &keyspacepb__load_keyspace_response__descriptor, pd_load_keyspace, 0},
	{"/keyspacepb.Keyspace/LoadKeyspaceByID", RPC_UNARY,
	 &keyspacepb__load_keyspace_by_idrequest__descriptor,
	 &keyspacepb__load_keyspace_response__descriptor, pd_load_keyspace_by_id,
	 0},
	{"/keyspacepb.Keyspace/GetAllKeyspaces", RPC_UNARY,
	 &keyspacepb__get_all_keyspaces_request__descriptor,
	 &keyspacepb__get_all_keyspaces_response__descriptor, pd_get_all_keyspaces,
	 0},
	NOT_BUILT("/keyspacepb.Keyspace/LookupKeyspace", RPC_UNARY),
	NOT_BUILT("/keyspacepb.Keyspace/WatchKeyspaces", RPC_STREAM),
	NOT_BUILT("/keyspacepb.Keyspace/UpdateKeyspaceState", RPC_UNARY),
	NOT_BUILT("/keyspacepb.Namespace/CreateNamespace", RPC_UNARY),
	NOT_BUILT("/keyspacepb.Namespace/LoadNamespace", RPC_UNARY),
	NOT_BUILT("/keyspacepb.Namespace/GetAllNamespaces", RPC_UNARY),
	NOT_BUILT("/keyspacepb.Namespace/UpdateNamespaceState", RPC_UNARY),

	{"/meta_storagepb.MetaStorage/Get", RPC_UNARY,
	 &meta_storagepb__get_request__descriptor,
	 &meta_storagepb__get_response__descriptor, pd_meta_get, PD_ANY_CLUSTER},
	NOT_BUILT("/meta_storagepb.MetaStorage/Watch", RPC_STREAM),
	NOT_BUILT("/meta_storagepb.MetaStorage/Put", RPC_UNARY),
	NOT_BUILT("/meta_storagepb.MetaStorage/Delete", RPC_UNARY),

	NOT_BUILT("/resource_manager.ResourceManager/ListResourceGroups",
			  RPC_UNARY),
	NOT_BUILT("/resource_manager.ResourceManager/GetResourceGroup", RPC_UNARY),
	NOT_BUILT("/resource_manager.ResourceManager/AddResourceGroup", RPC_UNARY),
	NOT_BUILT("/resource_manager.ResourceManager/ModifyResourceGroup",
			  RPC_UNARY),
	NOT_BUILT("/resource_manager.ResourceManager/DeleteResourceGroup",
			  RPC_UNARY),
	NOT_BUILT("/resource_manager.ResourceManager/AcquireTokenBuckets",
			  RPC_STREAM),

	{"/etcdserverpb.Cluster/MemberList", RPC_UNARY,
	 &etcdserverpb__member_list_request__descriptor,
	 &etcdserverpb__member_list_response__descriptor, pd_etcd_member_list,
	 PD_ANY_CLUSTER},
	{"/etcdserverpb.KV/Range", RPC_UNARY,
	 &etcdserverpb__range_request__descriptor,
	 &etcdserverpb__range_response__descriptor, pd_etcd_range, PD_ANY_CLUSTER},
	{"/etcdserverpb.KV/Put", RPC_UNARY, &etcdserverpb__put_request__descriptor,
	 &etcdserverpb__put_response__descriptor, pd_etcd_put, PD_ANY_CLUSTER},
	NOT_BUILT("/etcdserverpb.KV/DeleteRange", RPC_UNARY),
	NOT_BUILT("/etcdserverpb.KV/Txn", RPC_UNARY),
	NOT_BUILT("/etcdserverpb.KV/Compact", RPC_UNARY),
	NOT_BUILT("/etcdserverpb.Watch/Watch", RPC_STREAM),
	NOT_BUILT("/etcdserverpb.Lease/LeaseGrant", RPC_UNARY),
	NOT_BUILT("/etcdserverpb.Lease/LeaseRevoke", RPC_UNARY),
	NOT_BUILT("/etcdserverpb.Lease/LeaseKeepAlive", RPC_STREAM),
};
const int pd_n_methods = lengthof(pd_methods);

/* Methods that the bus carries, from METHOD_PD_FIRST on. */
static const char *const bus_paths[] = {
	"/pdpb.PD/GetMembers",
	"/pdpb.PD/GetAllStores",
	"/pdpb.PD/AllocID",
	"/pdpb.PD/IsBootstrapped",
	"/pdpb.PD/Bootstrap",
	"/pdpb.PD/PutStore",
	"/pdpb.PD/StoreHeartbeat",
	"/pdpb.PD/RegionHeartbeat",
	"/pdpb.PD/GetRegion",
	"/pdpb.PD/Tso",
	"/pdpb.PD/GetGCState",
	"/pdpb.PD/AdvanceTxnSafePoint",
	"/pdpb.PD/AdvanceGCSafePoint",
};

const PdMethod *
pd_bus_method(int id)
{
	static const PdMethod *found[lengthof(bus_paths)];
	int at = id - METHOD_PD_FIRST;

	if (at < 0 || at >= (int) lengthof(bus_paths))
		return NULL;
	for (int i = 0; found[at] == NULL && i < pd_n_methods; i++)
		if (strcmp(pd_methods[i].path, bus_paths[at]) == 0)
			found[at] = &pd_methods[i];
	return found[at];
}

/* ---- gRPC's side ---- */

static void
on_message(Call *call, Bytes message)
{
	const PdMethod *method = &pd_methods[call_method(call)];
	ReplyTo to = {.call = call, .stream = method->kind == RPC_STREAM};

	pd_serve(server_arg(call_server(call)), method, message, &to);
}

static void
on_half_close(Call *call)
{
	ReplyTo to = {.call = call, .stream = true};

	tso_half_close(server_arg(call_server(call)), &to);
}

static const CallHandler unary_calls = {.message = on_message};
static const CallHandler stream_calls = {.message = on_message,
										 .half_close = on_half_close};

const RpcMethod *
pd_rpc_methods(void)
{
	static RpcMethod methods[lengthof(pd_methods)];

	for (int i = 0; i < pd_n_methods; i++)
	{
		methods[i].path = pd_methods[i].path;
		methods[i].kind = pd_methods[i].kind;
		methods[i].id = i;
		methods[i].handler = pd_methods[i].request == NULL ? NULL :
			pd_methods[i].kind == RPC_STREAM			   ? &stream_calls :
															 &unary_calls;
	}
	return methods;
}

/* ---- answers ---- */

static void
send_now(const Reply *reply)
{
	const ReplyTo *to = &reply->to;

	if (to->call == NULL)
	{
		bus_answer(&to->bus, reply->kind == REPLY_FAIL ? BUS_ERROR : BUS_OK,
				   reply->code,
				   reply->kind == REPLY_FAIL ? bytes_cstr(reply->text) :
											   reply->bytes);
		return;
	}
	if (reply->kind == REPLY_FAIL)
		call_fail(to->call, (RpcCode) reply->code, reply->text);
	else if (reply->kind == REPLY_FINISH)
		call_finish(to->call, RPC_OK, "");
	else if (!to->stream)
		call_reply_bytes(to->call, reply->bytes);
	else if (!call_send_bytes(to->call, reply->bytes))
		call_fail(to->call, RPC_RESOURCE_EXHAUSTED,
				  "too many responses wait to be read");
}

static void
put_reply(Pd *pd, const Reply *reply)
{
	Reply *kept;

	if (!pd->changing)
	{
		send_now(reply);
		return;
	}
	kept = arena_alloc(&pd->arena, sizeof(*kept));
	*kept = *reply;
	kept->next = NULL;
	if (kept->to.call != NULL)
		call_hold(kept->to.call);
	*pd->outbox_tail = kept;
	pd->outbox_tail = &kept->next;
}

void
pd_reply(Pd *pd, const ReplyTo *to, const ProtobufCMessage *message)
{
	Reply reply = {.to = *to, .kind = REPLY_MESSAGE};

	reply.bytes = pack_message(message, &pd->arena);
	put_reply(pd, &reply);
}

void
pd_fail(Pd *pd, const ReplyTo *to, int code, const char *text)
{
	Reply reply = {.to = *to, .kind = REPLY_FAIL, .code = code, .text = text};

	put_reply(pd, &reply);
}

void
pd_finish(Pd *pd, const ReplyTo *to)
{
	Reply reply = {.to = *to, .kind = REPLY_FINISH};

	put_reply(pd, &reply);
}

void
pd_flush_outbox(Pd *pd, bool committed)
{
	for (Reply *reply = pd->outbox; reply != NULL; reply = reply->next)
	{
		if (!committed)
		{
			reply->kind = REPLY_FAIL;
			reply->code = RPC_UNAVAILABLE;
			reply->text = "the change could not be saved";
		}
		send_now(reply);
		if (reply->to.call != NULL)
			call_release(reply->to.call);
	}
	pd->outbox = NULL;
	pd->outbox_tail = &pd->outbox;
}

/* ---- headers ---- */

bool
pd_check_cluster(Pd *pd, const ReplyTo *to, bool has_header, uint64 cluster_id)
{
	if (has_header && cluster_id == pd->state.cluster_id)
		return true;
	if (to->call == NULL && cluster_id == 0)
		return true;
	pd_fail(pd, to, RPC_FAILED_PRECONDITION,
			arena_printf(&pd->arena,
						 "mismatch cluster id, need %" PRIu64
						 " but got %" PRIu64,
						 pd->state.cluster_id, cluster_id));
	return false;
}

/* Field 1 of a message if it is of that type, else NULL. */
static void *
header_place(const ProtobufCMessage *message,
			 const ProtobufCMessageDescriptor *type)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(message->descriptor, 1);

	if (field == NULL || field->descriptor != type)
		return NULL;
	return (uint8_t *) message + field->offset;
}

static bool
check_header(Pd *pd, const PdMethod *method, const ReplyTo *to,
			 const ProtobufCMessage *request)
{
	Pdpb__RequestHeader **header;

	if (method->flags & PD_ANY_CLUSTER)
		return true;
	header = header_place(request, &pdpb__request_header__descriptor);
	if (header == NULL || *header == NULL)
		return pd_check_cluster(pd, to, false, 0);
	return pd_check_cluster(pd, to, true, (*header)->cluster_id);
}

static void
set_header(PdAsk *ask, ProtobufCMessage *response)
{
	Pdpb__ResponseHeader **place =
		header_place(response, &pdpb__response_header__descriptor);
	Pdpb__ResponseHeader *header;

	if (place == NULL)
		return;
	header = NEW_MESSAGE(ask->arena, Pdpb__ResponseHeader,
						 pdpb__response_header__init);
	header->cluster_id = ask->pd->state.cluster_id;
	if (ask->error.type != PD_OK)
	{
		header->error = NEW_MESSAGE(ask->arena, Pdpb__Error, pdpb__error__init);
		header->error->type = (Pdpb__ErrorType) ask->error.type;
		header->error->message = (char *) ask->error.text;
	}
	*place = header;
}

/* ---- one request ---- */

static void
ask_init(PdAsk *ask, Pd *pd)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	memset(ask, 0, sizeof(*ask));
	ask->pd = pd;
	ask->arena = &pd->arena;
	ask->code = RPC_OK;
	ask->now = now.tv_sec;
	ask->now_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
	pd_changes_init(&ask->changes, ask->arena);
}

/* What the handler decided takes effect, or the request fails whole. */
static bool
take_effect(PdAsk *ask)
{
	const char *why;

	if (ask->error.type != PD_OK || ask->code != RPC_OK)
		return true;
	if (ask->changes.n > 0)
	{
		if (!group_begin(ask->pd, &why) ||
			!group_change(ask->pd, &ask->changes, &why))
		{
			ask->code = RPC_UNAVAILABLE;
			ask->text = why;
			return false;
		}
	}
	if (ask->heard != NULL)
		cluster_note_region(&ask->pd->state.cluster, ask->heard);
	return true;
}

static void
answer(PdAsk *ask, const PdMethod *method, const ReplyTo *to,
	   ProtobufCMessage *response)
{
	if (ask->code != RPC_OK)
	{
		pd_fail(ask->pd, to, ask->code, ask->text);
		return;
	}
	/* A requester on the bus waits for an answer to every message. */
	if (ask->silent && to->call != NULL)
		return;
	if (ask->error.type != PD_OK)
		method->response->message_init(response);
	set_header(ask, response);
	pd_reply(ask->pd, to, response);
}

void
pd_serve(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	PdAsk ask;
	ProtobufCMessage *request;
	ProtobufCMessage *response;

	if (!pd->leading)
	{
		pd_fail(pd, to, RPC_UNAVAILABLE, "server not started");
		return;
	}
	if (method->flags & PD_TSO)
	{
		tso_request(pd, method, bytes, to);
		return;
	}
	ask_init(&ask, pd);
	request = service_unpack(method->request, bytes, ask.arena);
	if (request == NULL)
	{
		pd_fail(pd, to, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	if (!check_header(pd, method, to, request))
		return;
	response = arena_alloc(ask.arena, method->response->sizeof_message);
	method->response->message_init(response);
	if ((method->flags & PD_BOOTSTRAPPED) && !pd->state.cluster.bootstrapped)
		ask.error =
			pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	else
		method->handler(&ask, request, response);
	(void) take_effect(&ask);
	answer(&ask, method, to, response);
}
