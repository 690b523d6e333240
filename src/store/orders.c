/*
 * orders.c
 *	  What others want done with regions: SQL (tikv_transfer_leader ...) and PD,
 *	  whose operators come with the answers to heartbeats.
 *
 * An order becomes an administrative command of the next turn.  Nobody is told
 * when it is done: PD sees it in the next heartbeat, SQL looks at tikv.raft.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "core/base/rpc_code.h"
#include "core/cmd/region_change.h"
#include "errorpb.pb-c.h"
#include "pdpb.pb-c.h"
#include "raft_cmdpb.pb-c.h"
#include "service/raw.h"
#include "store/replicas.h"

static void
take_peer(const Metapb__Peer *from, RegionPeer *to)
{
	memset(to, 0, sizeof(*to));
	if (from == NULL)
		return;
	to->id = from->id;
	to->store_id = from->store_id;
	to->role = from->role <= (int) PEER_DEMOTING_VOTER ? (PeerRole) from->role :
														 PEER_VOTER;
}

static bool
take_change(Eraftpb__ConfChangeType type, const Metapb__Peer *peer,
			CmdAdmin *out)
{
	CmdChangePeer *change;

	if (out->n_changes == REGION_MAX_PEERS)
		return false;
	change = &out->changes[out->n_changes++];
	change->type = (RaftConfChangeType) type;
	take_peer(peer, &change->peer);
	return true;
}

/* ---------------------------------------------------------------------- SQL */

bool
orders_may_reach(const Peer *peer, uint64 region_id, RegionError *error)
{
	RegionState state;

	memset(error, 0, sizeof(*error));
	error->region_id = region_id;
	error->kind = REGION_NOT_FOUND;
	if (peer == NULL || peer_is_leader(peer))
		return peer != NULL;
	peer_region_state(peer, &state);
	error->kind = REGION_NOT_LEADER;
	if (state.leader.id != state.self.id)
		error->leader = state.leader;
	return false;
}

/*
 * Is it for this peer, which leads, and for the region as it is?  What was
 * ordered is for the region as it was seen, or for nobody.
 */
static bool
is_meant(Store *store, const RaftCmdpb__RaftRequestHeader *header,
		 RegionError *error)
{
	const Peer *peer = store_find_peer(store, header->region_id);
	const Metapb__RegionEpoch *seen = header->region_epoch;

	if (!orders_may_reach(peer, header->region_id, error))
		return false;
	if (header->peer->id != peer->self.id)
	{
		error->kind = REGION_NOT_FOUND;
		return false;
	}
	error->kind = REGION_EPOCH_NOT_MATCH;
	error->current = &peer->region;
	return seen->conf_ver == peer->region.epoch.conf_ver &&
		seen->version == peer->region.epoch.version;
}

static void
answer_sql_error(Request *request, const RegionError *error)
{
	RaftCmdpb__RaftCmdResponse reply = RAFT_CMDPB__RAFT_CMD_RESPONSE__INIT;
	RaftCmdpb__RaftResponseHeader header =
		RAFT_CMDPB__RAFT_RESPONSE_HEADER__INIT;

	header.error = service_error_message(error, request->arena);
	reply.header = &header;
	request->done(request, &reply.base);
}

/* Whoever does not lead any more may know who does. */
static void
answer_sql(Store *store, AdminJob *job, bool ok, const char *why)
{
	Request *request = job->arg;
	const RaftCmdpb__RaftCmdRequest *message = (const void *) request->message;
	RaftCmdpb__RaftCmdResponse reply = RAFT_CMDPB__RAFT_CMD_RESPONSE__INIT;
	RegionError error;

	if (ok)
		request->done(request, &reply.base);
	else if (!is_meant(store, message->header, &error))
		answer_sql_error(request, &error);
	else
		request->fail(request, RPC_FAILED_PRECONDITION, why);
}

/*
 * The same commands as in the log, in the form that protobuf-c has; of those
 * only what SQL may order, since other stores are believed no more than that.
 */
static bool
take_admin(const RaftCmdpb__AdminRequest *from, Arena *arena, CmdAdmin *out)
{
	size_t len = protobuf_c_message_get_packed_size(&from->base);
	uint8 *bytes = arena_alloc(arena, len);

	protobuf_c_message_pack(&from->base, bytes);
	return cmd_admin_decode(bytes_make(bytes, len), arena, out) == STATUS_OK &&
		(out->type == CMD_ADMIN_CHANGE_PEER ||
		 out->type == CMD_ADMIN_TRANSFER_LEADER);
}

/* Ids are every cluster's: an address may be another one's by now. */
static bool
is_of_cluster(const Store *store, const RaftCmdpb__RaftRequestHeader *header)
{
	uint64 cluster = pg_hton64(store->meta.cluster_id);

	return header->uuid.len == sizeof(cluster) &&
		memcmp(header->uuid.data, &cluster, sizeof(cluster)) == 0 &&
		header->peer->store_id == store->meta.store_id;
}

void
orders_take_sql(Store *store, Request *request)
{
	const RaftCmdpb__RaftCmdRequest *message = (const void *) request->message;
	const RaftCmdpb__RaftRequestHeader *header = message->header;
	AdminJob job = {.done = answer_sql, .arg = request, .has_epoch = true};
	RegionError error;

	if (header == NULL || header->peer == NULL ||
		header->region_epoch == NULL || message->admin_request == NULL ||
		!take_admin(message->admin_request, request->arena, &job.admin))
	{
		request->fail(request, RPC_INVALID_ARGUMENT,
					  "no change of peers and no transfer of leadership");
		return;
	}
	if (!is_of_cluster(store, header))
	{
		request->fail(request, RPC_INVALID_ARGUMENT,
					  "the order is for another store or cluster");
		return;
	}
	if (!is_meant(store, header, &error))
	{
		answer_sql_error(request, &error);
		return;
	}
	job.region_id = header->region_id;
	job.epoch.conf_ver = header->region_epoch->conf_ver;
	job.epoch.version = header->region_epoch->version;
	FAILPOINT_PASS("store_sql_order");
	raft_turn_order(store, &job);
}

/* ----------------------------------------------------------------------- PD */

static bool
take_operator(const Pdpb__RegionHeartbeatResponse *reply, CmdAdmin *out)
{
	memset(out, 0, sizeof(*out));
	if (reply->change_peer != NULL)
	{
		out->type = CMD_ADMIN_CHANGE_PEER;
		return take_change(reply->change_peer->change_type,
						   reply->change_peer->peer, out);
	}
	if (reply->change_peer_v2 != NULL)
	{
		out->type = CMD_ADMIN_CHANGE_PEER_V2;
		for (size_t i = 0; i < reply->change_peer_v2->n_changes; i++)
			if (!take_change(reply->change_peer_v2->changes[i]->change_type,
							 reply->change_peer_v2->changes[i]->peer, out))
				return false;
		return true;
	}
	if (reply->transfer_leader != NULL)
	{
		out->type = CMD_ADMIN_TRANSFER_LEADER;
		take_peer(reply->transfer_leader->peer, &out->transfer_to);
		return true;
	}
	return false;
}

static void
note_operator(Store *store, AdminJob *job, bool ok, const char *why)
{
	(void) store;
	if (!ok)
		elog(DEBUG1, "tikv store: region " UINT64_FORMAT ": %s", job->region_id,
			 why);
}

/* The same by itself, when PD does not wait for a heartbeat. */
void
orders_take_message(Store *store, Request *request)
{
	Pdpb__RegionHeartbeatResponse reply = PDPB__REGION_HEARTBEAT_RESPONSE__INIT;
	const Pdpb__RegionHeartbeatResponse *order =
		(const void *) request->message;

	if (order->region_id != 0)
		orders_take_pd(store, order);
	request->done(request, &reply.base);
}

/*
 * An operator is for the region as PD knew it, or for nobody.  Splits at keys
 * alone: where the middle is, a walk would have to find first.
 */
void
orders_take_pd(Store *store, const Pdpb__RegionHeartbeatResponse *reply)
{
	AdminJob job = {.region_id = reply->region_id, .done = note_operator};
	Peer *peer = store_find_peer(store, reply->region_id);

	if (peer == NULL || !peer_is_leader(peer) || reply->region_epoch == NULL ||
		reply->region_epoch->conf_ver != peer->region.epoch.conf_ver ||
		reply->region_epoch->version != peer->region.epoch.version)
		return;
	job.has_epoch = true;
	job.epoch = peer->region.epoch;
	if (reply->split_region != NULL &&
		reply->split_region->policy == PDPB__CHECK_POLICY__USEKEY)
		splits_order(store, peer, reply->split_region);
	else if (take_operator(reply, &job.admin))
		raft_turn_order(store, &job);
}
