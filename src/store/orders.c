/*
 * orders.c
 *	  What others want done with regions: SQL (tikv_transfer_leader ...) and PD,
 *	  whose operators come with the answers to heartbeats.
 *
 * An order becomes an administrative command of the next turn.  Nobody is told
 * when it is done: PD sees it in the next heartbeat, SQL looks at tikv.raft.
 */
#include "postgres.h"

#include "core/base/rpc_code.h"
#include "core/cmd/region_change.h"
#include "pdpb.pb-c.h"
#include "raft_cmdpb.pb-c.h"
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

static void
answer_sql(Store *store, AdminJob *job, bool ok, const char *why)
{
	Request *request = job->arg;
	RaftCmdpb__RaftCmdResponse reply = RAFT_CMDPB__RAFT_CMD_RESPONSE__INIT;

	(void) store;
	if (ok)
		request->done(request, &reply.base);
	else
		request->fail(request, RPC_FAILED_PRECONDITION, why);
}

/* The same commands as in the log, in the form that protobuf-c has. */
static bool
take_admin(const RaftCmdpb__AdminRequest *from, Arena *arena, CmdAdmin *out)
{
	size_t len = protobuf_c_message_get_packed_size(&from->base);
	uint8 *bytes = arena_alloc(arena, len);

	protobuf_c_message_pack(&from->base, bytes);
	return cmd_admin_decode(bytes_make(bytes, len), arena, out) == STATUS_OK;
}

/* What was ordered is for the region as it was seen, or for nobody. */
static bool
is_seen_so(Store *store, const RaftCmdpb__RaftRequestHeader *header)
{
	const Peer *peer = store_find_peer(store, header->region_id);
	const Metapb__RegionEpoch *seen = header->region_epoch;

	return peer == NULL || seen == NULL ||
		(seen->conf_ver == peer->region.epoch.conf_ver &&
		 seen->version == peer->region.epoch.version);
}

void
orders_take_sql(Store *store, Request *request)
{
	const RaftCmdpb__RaftCmdRequest *message = (const void *) request->message;
	AdminJob job = {.done = answer_sql, .arg = request};

	if (message->header == NULL || message->admin_request == NULL ||
		!take_admin(message->admin_request, request->arena, &job.admin))
	{
		request->fail(request, RPC_INVALID_ARGUMENT,
					  "no administrative command");
		return;
	}
	if (!is_seen_so(store, message->header))
	{
		request->fail(request, RPC_FAILED_PRECONDITION,
					  "the region has changed meanwhile");
		return;
	}
	job.region_id = message->header->region_id;
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
	if (reply->split_region != NULL &&
		reply->split_region->policy == PDPB__CHECK_POLICY__USEKEY)
		splits_order(store, peer, reply->split_region);
	else if (take_operator(reply, &job.admin))
		raft_turn_order(store, &job);
}
