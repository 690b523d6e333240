/*
 * replicas.c
 *	  Regions and their peers for SQL: the view tikv.raft, and orders to add,
 *	  remove and promote peers.
 *
 * An order goes to the store of this instance, which must lead the region, and
 * returns when it is in the region's log; the view tells what became of it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/tuplestore.h"

#include "bus/board.h"
#include "core/raft/raft.h"
#include "guc.h"
#include "kvrpcpb.pb-c.h"
#include "pdpb.pb-c.h"
#include "raft_cmdpb.pb-c.h"
#include "service/service.h"
#include "sqlapi/sqlapi.h"
#include "sqlapi/txn_internal.h"

PG_FUNCTION_INFO_V1(tikv_raft);
PG_FUNCTION_INFO_V1(tikv_transfer_leader);
PG_FUNCTION_INFO_V1(tikv_add_peer);
PG_FUNCTION_INFO_V1(tikv_remove_peer);
PG_FUNCTION_INFO_V1(tikv_split);

/* ------------------------------------------------------------------ the view */

static const char *
role_name(const BoardRaft *raft, const BoardPeer *peer)
{
	if (peer->peer.id == raft->leader)
		return "leader";
	switch (peer->peer.role)
	{
		case PEER_LEARNER:
			return "learner";
		case PEER_INCOMING_VOTER:
			return "incoming voter";
		case PEER_DEMOTING_VOTER:
			return "demoting voter";
		case PEER_VOTER:
			break;
	}
	if (peer->peer.id == raft->peer_id && raft->role != RAFT_FOLLOWER)
		return "candidate";
	return "follower";
}

static const char *
progress_name(const BoardPeer *peer)
{
	switch (peer->state)
	{
		case RAFT_PROBE:
			return "probe";
		case RAFT_REPLICATE:
			return "replicate";
		case RAFT_SNAPSHOT:
			return "snapshot";
	}
	return NULL;
}

static void
put_peer(ReturnSetInfo *result, const BoardRaft *raft, const BoardPeer *peer)
{
	Datum values[14];
	bool nulls[14] = {false};
	const char *progress = progress_name(peer);
	bool local = peer->peer.id == raft->peer_id;
	uint64 has = local ? raft->last_index : peer->match;
	int64 lease_us = raft->lease_end_us - board_now_us();

	values[0] = Int64GetDatum((int64) raft->region_id);
	values[1] = Int64GetDatum((int64) peer->peer.id);
	values[2] = Int64GetDatum((int64) peer->peer.store_id);
	values[3] = CStringGetTextDatum(role_name(raft, peer));
	values[4] = BoolGetDatum(local);
	values[5] = Int64GetDatum((int64) raft->term);
	values[6] = Int64GetDatum((int64) raft->commit_index);
	values[7] = Int64GetDatum((int64) raft->applied_index);
	values[8] = Int64GetDatum((int64) raft->truncated_index);
	values[9] = Int64GetDatum((int64) has);
	nulls[9] = !local && progress == NULL;
	values[10] =
		Int64GetDatum((int64) (raft->last_index - Min(has, raft->last_index)));
	nulls[10] = nulls[9] || raft->role != RAFT_LEADER;
	nulls[11] = progress == NULL || local;
	if (!nulls[11])
		values[11] = CStringGetTextDatum(peer->active ? progress : "silent");
	nulls[12] = !local || raft->lease_end_us == 0;
	values[12] = Float8GetDatum(raft->lease_end_us == PG_INT64_MAX ?
									get_float8_infinity() :
									(double) Max(lease_us, 0) / 1000);
	nulls[13] = !local;
	values[13] = BoolGetDatum(raft->asleep);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_raft(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BoardRegion *region = palloc(sizeof(*region));
	BoardWalk *walk = palloc0(sizeof(*walk));
	BoardRaft raft;

	InitMaterializedSRF(fcinfo, 0);
	while (board_walk_next(walk, region))
	{
		if (!board_raft(region->region.id, &raft))
			continue;
		for (int k = 0; k < raft.n_peers; k++)
			put_peer(result, &raft, &raft.peers[k]);
	}
	return (Datum) 0;
}

/* ------------------------------------------------------------------- orders */

static void
find_region(int64 region_id, BoardRegion *out)
{
	if (board_find((uint64) region_id, out))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("this store has no peer of region %lld",
					(long long) region_id),
			 errhint("See tikv.regions.")));
}

static const RegionPeer *
find_peer(const BoardRegion *region, int64 store_id)
{
	for (int i = 0; i < region->region.n_peers; i++)
		if (region->region.peers[i].store_id == (uint64) store_id)
			return &region->region.peers[i];
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("region %lld has no peer on store %lld",
					(long long) region->region.id, (long long) store_id)));
}

/* For the region as it was looked at: peers that are gone are not ordered. */
static void
order(const Region *region, RaftCmdpb__AdminRequest *admin)
{
	RaftCmdpb__RaftCmdRequest request = RAFT_CMDPB__RAFT_CMD_REQUEST__INIT;
	RaftCmdpb__RaftRequestHeader header = RAFT_CMDPB__RAFT_REQUEST_HEADER__INIT;
	Metapb__RegionEpoch epoch = METAPB__REGION_EPOCH__INIT;
	BusReply reply;
	uint8 *bytes;
	size_t len;

	epoch.conf_ver = region->epoch.conf_ver;
	epoch.version = region->epoch.version;
	header.region_id = region->id;
	header.region_epoch = &epoch;
	request.header = &header;
	request.admin_request = admin;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = palloc(len);
	protobuf_c_message_pack(&request.base, bytes);
	reply = bus_call(WORKER_STORE, METHOD_STORE_ADMIN, bytes_make(bytes, len),
					 tikv_fdw_settings.request_timeout_ms);
	if (reply.code == BUS_ERROR)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("region %llu does not take the order: %.*s",
					(unsigned long long) region->id, (int) reply.bytes.len,
					(const char *) reply.bytes.data),
			 errhint("See tikv.raft; only the region's leader takes orders.")));
	if (reply.code != BUS_OK)
		report_bus(WORKER_STORE, &reply);
}

static void
change_peer(const Region *region, Eraftpb__ConfChangeType type, RegionPeer what)
{
	RaftCmdpb__AdminRequest admin = RAFT_CMDPB__ADMIN_REQUEST__INIT;
	RaftCmdpb__ChangePeerRequest change = RAFT_CMDPB__CHANGE_PEER_REQUEST__INIT;
	Metapb__Peer peer = METAPB__PEER__INIT;

	peer.id = what.id;
	peer.store_id = what.store_id;
	peer.role = (Metapb__PeerRole) what.role;
	change.change_type = type;
	change.peer = &peer;
	admin.cmd_type = RAFT_CMDPB__ADMIN_CMD_TYPE__ChangePeer;
	admin.change_peer = &change;
	order(region, &admin);
}

Datum
tikv_transfer_leader(PG_FUNCTION_ARGS)
{
	BoardRegion *region = palloc(sizeof(*region));
	RaftCmdpb__AdminRequest admin = RAFT_CMDPB__ADMIN_REQUEST__INIT;
	RaftCmdpb__TransferLeaderRequest transfer =
		RAFT_CMDPB__TRANSFER_LEADER_REQUEST__INIT;
	Metapb__Peer peer = METAPB__PEER__INIT;
	const RegionPeer *to;

	find_region(PG_GETARG_INT64(0), region);
	to = find_peer(region, PG_GETARG_INT64(1));
	peer.id = to->id;
	peer.store_id = to->store_id;
	transfer.peer = &peer;
	admin.cmd_type = RAFT_CMDPB__ADMIN_CMD_TYPE__TransferLeader;
	admin.transfer_leader = &transfer;
	order(&region->region, &admin);
	PG_RETURN_VOID();
}

static uint64
new_id(void)
{
	Pdpb__AllocIDRequest request = PDPB__ALLOC_IDREQUEST__INIT;
	Pdpb__RequestHeader header;
	Pdpb__AllocIDResponse *reply;
	Arena *arena = call_arena();

	pd_fill_header(&header);
	request.header = &header;
	reply =
		(Pdpb__AllocIDResponse *) pd_ask(METHOD_PD_ALLOC_ID, &request.base,
										 &pdpb__alloc_idresponse__descriptor,
										 arena);
	pd_check_header(reply->header);
	return reply->id;
}

/* A peer that is there already as a learner is promoted. */
Datum
tikv_add_peer(PG_FUNCTION_ARGS)
{
	BoardRegion *region = palloc(sizeof(*region));
	uint64 store_id = (uint64) PG_GETARG_INT64(1);
	bool learner = PG_GETARG_BOOL(2);
	RegionPeer peer = {.store_id = store_id,
					   .role = learner ? PEER_LEARNER : PEER_VOTER};

	find_region(PG_GETARG_INT64(0), region);
	for (int i = 0; i < region->region.n_peers; i++)
		if (region->region.peers[i].store_id == store_id)
			peer.id = region->region.peers[i].id;
	if (peer.id == 0)
		peer.id = new_id();
	change_peer(&region->region,
				learner ? ERAFTPB__CONF_CHANGE_TYPE__AddLearnerNode :
						  ERAFTPB__CONF_CHANGE_TYPE__AddNode,
				peer);
	PG_RETURN_INT64((int64) peer.id);
}

Datum
tikv_remove_peer(PG_FUNCTION_ARGS)
{
	BoardRegion *region = palloc(sizeof(*region));

	find_region(PG_GETARG_INT64(0), region);
	change_peer(&region->region, ERAFTPB__CONF_CHANGE_TYPE__RemoveNode,
				*find_peer(region, PG_GETARG_INT64(1)));
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------- splits */

static void
split_context(const BoardRegion *region, Kvrpcpb__Context *context,
			  Metapb__RegionEpoch *epoch, Metapb__Peer *peer)
{
	kvrpcpb__context__init(context);
	metapb__region_epoch__init(epoch);
	metapb__peer__init(peer);
	context->region_id = region->region.id;
	epoch->conf_ver = region->region.epoch.conf_ver;
	epoch->version = region->region.epoch.version;
	peer->id = region->self.id;
	peer->store_id = region->self.store_id;
	context->region_epoch = epoch;
	context->peer = peer;
}

/* The id of the region that ends where the old one did; false: not here. */
static bool
take_split(const BusReply *reply, Arena *arena, bool may_be_elsewhere,
		   uint64 *id)
{
	Kvrpcpb__SplitRegionResponse *message = (Kvrpcpb__SplitRegionResponse *)
		service_unpack(&kvrpcpb__split_region_response__descriptor,
					   reply->bytes, arena);

	if (message == NULL)
		elog(ERROR, "the answer of the store is not readable");
	if (message->region_error != NULL && may_be_elsewhere &&
		message->region_error->key_not_in_region != NULL)
		return false;
	if (message->region_error != NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the region is not split: %s",
					message->region_error->message),
			 errhint("See tikv.regions; only the region's leader splits it.")));
	*id = message->n_regions == 0 ?
		0 :
		message->regions[message->n_regions - 1]->id;
	return true;
}

static BusReply
ask_split(const BoardRegion *region, Bytes key, bool is_raw, Arena *arena)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	Kvrpcpb__Context context;
	Metapb__RegionEpoch epoch;
	Metapb__Peer peer;
	ProtobufCBinaryData keys[1];
	BusReply reply;
	uint8 *bytes;
	size_t len;

	split_context(region, &context, &epoch, &peer);
	keys[0] = bytes_wire(key);
	request.context = &context;
	request.split_keys = keys;
	request.n_split_keys = 1;
	request.is_raw_kv = is_raw;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = arena_alloc(arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	reply = bus_call(WORKER_STORE, METHOD_SPLIT_REGION, bytes_make(bytes, len),
					 tikv_fdw_settings.request_timeout_ms);
	if (reply.code != BUS_OK)
		report_bus(WORKER_STORE, &reply);
	return reply;
}

/*
 * Where transactions are the store makes a bound of theirs of a raw key of API
 * V1, which may be another region's.
 */
Datum
tikv_split(PG_FUNCTION_ARGS)
{
	Bytes given = bytea_bytes(PG_GETARG_DATUM(0));
	bool transactional = PG_GETARG_BOOL(1);
	BoardRegion *region = palloc(sizeof(*region));
	Arena *arena = call_arena();
	uint64 id = 0;

	for (;;)
	{
		Bytes key =
			transactional ? txn_stored_key(given) : sql_stored_key(given);
		bool last = transactional || sql_api() == API_V2;
		BusReply reply;

		if (!(transactional ? txn_find_region(key, false, region) :
							  sql_find_region(key, false, region)))
			report_not_serving(WORKER_STORE);
		reply = ask_split(region, key, !transactional, arena);
		if (take_split(&reply, arena, !last, &id))
			break;
		transactional = true;
	}
	arena_reset(arena);
	PG_RETURN_INT64((int64) id);
}
