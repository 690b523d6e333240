/*
 * orders.c
 *	  Orders to add, remove and promote peers and to hand leadership over, given
 *	  on any node.
 *
 * An order goes to the store that leads the region, and returns when it is in
 * the region's log; tikv.raft tells what became of it.  It is for the region as
 * it was looked at: a store that does not lead it, or has a newer one, has done
 * nothing and says what it knows, and the region is looked at again.
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_bswap.h"

#include "core/base/rpc_code.h"
#include "guc.h"
#include "raft_cmdpb.pb-c.h"
#include "service/service.h"
#include "sqlapi/route.h"

PG_FUNCTION_INFO_V1(tikv_transfer_leader);
PG_FUNCTION_INFO_V1(tikv_add_peer);
PG_FUNCTION_INFO_V1(tikv_remove_peer);

typedef enum OrderKind
{
	ORDER_TRANSFER,
	ORDER_ADD,
	ORDER_REMOVE
} OrderKind;

typedef struct Order
{
	OrderKind kind;
	uint64 store_id; /* whose peer it is about */
	bool learner;	 /* to be added as one */
	uint64 new_id;	 /* of PD, once it was needed */
	Patience patience;
	LeaderLook look; /* the region and its leader, as far as known */
	Arena *arena;
} Order;

static void
report_not_taken(const Order *order)
{
	report_unless_serving(WORKER_STORE);
	ereport(
		ERROR,
		(errcode(ERRCODE_CANNOT_CONNECT_NOW),
		 errmsg("no store takes the order for region %llu",
				(unsigned long long) order->look.region_id),
		 errdetail("Nothing was done within %d ms: %s.",
				   tikv_fdw_settings.request_timeout_ms, order->look.why),
		 errhint(
			 "The store that leads the region must be reached; see tikv.regions and tikv.stores.")));
}

/* --------------------------------------------------------------- what it is */

static const RegionPeer *
find_peer(const Order *order)
{
	for (int i = 0; i < order->look.region.n_peers; i++)
		if (order->look.region.peers[i].store_id == order->store_id)
			return &order->look.region.peers[i];
	return NULL;
}

static uint64
new_id(const Order *order)
{
	Pdpb__AllocIDRequest request = PDPB__ALLOC_IDREQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__AllocIDResponse *reply;

	pd_fill_header(&header);
	request.header = &header;
	reply =
		(Pdpb__AllocIDResponse *) pd_ask(METHOD_PD_ALLOC_ID, &request.base,
										 &pdpb__alloc_idresponse__descriptor,
										 order->arena);
	pd_check_header(reply->header);
	return reply->id;
}

/* What PD does not know, or will have forgotten, never answers a leader. */
static void
check_store(const Order *order)
{
	Pdpb__GetAllStoresRequest request = PDPB__GET_ALL_STORES_REQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__GetAllStoresResponse *reply;
	const char *what = "there is no store %llu";

	pd_fill_header(&header);
	request.header = &header;
	reply = (Pdpb__GetAllStoresResponse *)
		pd_ask(METHOD_PD_GET_ALL_STORES, &request.base,
			   &pdpb__get_all_stores_response__descriptor, order->arena);
	pd_check_header(reply->header);
	for (size_t i = 0; i < reply->n_stores; i++)
	{
		if (reply->stores[i]->id != order->store_id)
			continue;
		if (reply->stores[i]->state == METAPB__STORE_STATE__Up)
			return;
		what = "store %llu leaves the cluster, or has left it";
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg_internal(what, (unsigned long long) order->store_id),
			 errdetail("Region %llu gets no peer there; nothing was done.",
					   (unsigned long long) order->look.region_id),
			 errhint("Name a store that tikv.stores shows as up.")));
}

/* A peer that is there already as a learner is promoted. */
static RegionPeer
peer_of(Order *order)
{
	const RegionPeer *found = find_peer(order);
	RegionPeer peer = {.store_id = order->store_id};

	if (found != NULL)
		peer = *found;
	else if (order->kind != ORDER_ADD)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("region %llu has no peer on store %llu",
						(unsigned long long) order->look.region_id,
						(unsigned long long) order->store_id)));
	else
	{
		if (order->new_id == 0)
		{
			check_store(order);
			order->new_id = new_id(order);
		}
		peer.id = order->new_id;
	}
	if (order->kind == ORDER_ADD)
		peer.role = order->learner ? PEER_LEARNER : PEER_VOTER;
	return peer;
}

static Eraftpb__ConfChangeType
change_of(const Order *order)
{
	if (order->kind == ORDER_REMOVE)
		return ERAFTPB__CONF_CHANGE_TYPE__RemoveNode;
	return order->learner ? ERAFTPB__CONF_CHANGE_TYPE__AddLearnerNode :
							ERAFTPB__CONF_CHANGE_TYPE__AddNode;
}

/* ------------------------------------------------------------------ giving it */

static BusReply
give(const Order *order, RaftCmdpb__AdminRequest *admin)
{
	RaftCmdpb__RaftCmdRequest request = RAFT_CMDPB__RAFT_CMD_REQUEST__INIT;
	RaftCmdpb__RaftRequestHeader header = RAFT_CMDPB__RAFT_REQUEST_HEADER__INIT;
	Metapb__RegionEpoch epoch = METAPB__REGION_EPOCH__INIT;
	Metapb__Peer leader = METAPB__PEER__INIT;
	BoardStore store;
	uint64 cluster;

	board_store(&store);
	cluster = pg_hton64(store.cluster_id);
	epoch.conf_ver = order->look.region.epoch.conf_ver;
	epoch.version = order->look.region.epoch.version;
	leader.id = order->look.leader.id;
	leader.store_id = order->look.leader.store_id;
	header.region_id = order->look.region_id;
	header.peer = &leader;
	header.region_epoch = &epoch;
	header.uuid.data = (uint8 *) &cluster;
	header.uuid.len = sizeof(cluster);
	request.header = &header;
	request.admin_request = admin;
	return store_call(order->look.leader.store_id, METHOD_STORE_ADMIN,
					  &request.base, &order->patience);
}

static BusReply
give_as_seen(Order *order, RegionPeer what)
{
	RaftCmdpb__AdminRequest admin = RAFT_CMDPB__ADMIN_REQUEST__INIT;
	RaftCmdpb__ChangePeerRequest change = RAFT_CMDPB__CHANGE_PEER_REQUEST__INIT;
	RaftCmdpb__TransferLeaderRequest transfer =
		RAFT_CMDPB__TRANSFER_LEADER_REQUEST__INIT;
	Metapb__Peer peer = METAPB__PEER__INIT;

	peer.id = what.id;
	peer.store_id = what.store_id;
	peer.role = (Metapb__PeerRole) what.role;
	change.change_type = change_of(order);
	change.peer = &peer;
	transfer.peer = &peer;
	if (order->kind == ORDER_TRANSFER)
	{
		admin.cmd_type = RAFT_CMDPB__ADMIN_CMD_TYPE__TransferLeader;
		admin.transfer_leader = &transfer;
	}
	else
	{
		admin.cmd_type = RAFT_CMDPB__ADMIN_CMD_TYPE__ChangePeer;
		admin.change_peer = &change;
	}
	return give(order, &admin);
}

static const char *
hint_of(const Order *order, bool silent)
{
	if (silent)
		return "Start the silent nodes, or have them replaced first; see tikv.raft on that node.";
	if (order->kind == ORDER_ADD && !order->learner && find_peer(order) == NULL)
		return "Add a learner first (learner => true), and promote it once it has the data.";
	return "See tikv.raft on that node.";
}

/* Behind the first line of the reason the leader says who is silent. */
static void
report_refused(const Order *order, Bytes reason)
{
	char *why = pnstrdup((const char *) reason.data, reason.len);
	char *more = strchr(why, '\n');

	if (more != NULL)
		*more = ' ';
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("region %llu does not take the order: %.*s",
					(unsigned long long) order->look.region_id,
					more != NULL ? (int) (more - why) : (int) strlen(why), why),
			 errdetail("Store %llu leads it; nothing was done.%s",
					   (unsigned long long) order->look.leader.store_id,
					   more != NULL ? more : ""),
			 errhint("%s", hint_of(order, more != NULL))));
}

/* True if it was done; false: look again.  What waiting does not mend is thrown. */
static bool
take_answer(Order *order, const BusReply *reply)
{
	const RaftCmdpb__RaftCmdResponse *answer;

	if (reply->code == BUS_DOWN || reply->code == BUS_BUSY)
	{
		order->look.why =
			psprintf("store %llu %s",
					 (unsigned long long) order->look.leader.store_id,
					 reply->code == BUS_BUSY ? "is busy" : "is not reached");
		return false;
	}
	if (reply->code == BUS_ERROR && reply->grpc_code == RPC_FAILED_PRECONDITION)
		report_refused(order, reply->bytes);
	if (reply->code != BUS_OK)
		remote_report(order->look.leader.store_id, reply);
	answer = (const void *)
		service_unpack(&raft_cmdpb__raft_cmd_response__descriptor, reply->bytes,
					   order->arena);
	if (answer == NULL)
		elog(ERROR, "the answer of store %llu is not readable",
			 (unsigned long long) order->look.leader.store_id);
	if (answer->header == NULL || answer->header->error == NULL)
		return true;
	leader_look_learn(&order->look, answer->header->error);
	return false;
}

/* The id of the peer that it was about. */
static uint64
carry_out(FunctionCallInfo fcinfo, OrderKind kind)
{
	Order order = {.kind = kind,
				   .store_id = (uint64) PG_GETARG_INT64(1),
				   .learner = kind == ORDER_ADD && PG_GETARG_BOOL(2),
				   .patience = patience_begin(),
				   .arena = call_arena()};

	(void) session_tables(&order.patience);
	leader_look_init(&order.look, (uint64) PG_GETARG_INT64(0), order.arena);
	for (;;)
	{
		if (leader_look(&order.look, &order.patience))
		{
			RegionPeer peer = peer_of(&order);
			BusReply reply = give_as_seen(&order, peer);

			if (take_answer(&order, &reply))
			{
				arena_reset(order.arena);
				return peer.id;
			}
		}
		if (patience_left_ms(&order.patience) == 0)
			report_not_taken(&order);
		patience_retry(&order.patience);
	}
}

Datum
tikv_transfer_leader(PG_FUNCTION_ARGS)
{
	(void) carry_out(fcinfo, ORDER_TRANSFER);
	PG_RETURN_VOID();
}

Datum
tikv_add_peer(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) carry_out(fcinfo, ORDER_ADD));
}

Datum
tikv_remove_peer(PG_FUNCTION_ARGS)
{
	(void) carry_out(fcinfo, ORDER_REMOVE);
	PG_RETURN_VOID();
}
