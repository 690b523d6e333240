/*
 * stale_peer.c
 *	  Peers that nobody talks to any more.
 *
 * One that was away while its region gave it up is told so by the others only
 * if they remember (raft_message.c), and if they are still there.  So a peer
 * that knows no leader for long asks PD, and goes if PD knows a newer
 * configuration that it is not in.  Source: tikv/tikv components/raftstore/
 * src/store/fsm/peer.rs, on_check_peer_stale_state_tick, and store/worker/pd.rs,
 * handle_validate_peer.
 */
#include "postgres.h"

#include "bus/bus.h"
#include "core/cmd/region_change.h"
#include "guc.h"
#include "pdpb.pb-c.h"
#include "store/replicas.h"

/* TiKV's peer-stale-state-check-interval, or less if the patience is less. */
#define ASK_INTERVAL_US INT64CONST(300000000)

/* Of the question among the answers of PD: region ids are smaller. */
#define STALE_TAG (UINT64CONST(1) << 59)

static void
ask(Peer *peer)
{
	Store *store = peer->store;
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetRegionByIDRequest request = PDPB__GET_REGION_BY_IDREQUEST__INIT;
	size_t len;
	uint8 *bytes;

	header.cluster_id = store->meta.cluster_id;
	request.header = &header;
	request.region_id = peer->region.id;
	len = protobuf_c_message_get_packed_size(&request.base);
	bytes = arena_alloc(&store->arena, len);
	protobuf_c_message_pack(&request.base, bytes);
	(void) bus_send(WORKER_STORE, WORKER_PD, METHOD_PD_GET_REGION_BY_ID,
					bytes_make(bytes, len), STALE_TAG | peer->region.id);
}

void
stale_peer_tick(Peer *peer, int64 now_us)
{
	int64 patience_us =
		(int64) tikv_fdw_settings.max_leader_missing_s * 1000000;

	if (raft_leader(peer->raft) != 0)
	{
		peer->sleep.alone_us = 0;
		return;
	}
	if (peer->sleep.alone_us == 0)
		peer->sleep.alone_us = now_us;
	if (now_us - peer->sleep.alone_us < patience_us ||
		now_us - peer->sleep.pd_asked_us < Min(ASK_INTERVAL_US, patience_us))
		return;
	peer->sleep.pd_asked_us = now_us;
	FAILPOINT_PASS("store_stale_asks");
	ask(peer);
}

/* Peers that sleep know one. */
static int
count_leaderless(const Store *store, int64 now_us)
{
	const PeerList *awake = &store->lists[PEERS_AWAKE];
	int n = 0;

	for (int i = 0; i < awake->n; i++)
	{
		const Peer *peer = awake->peers[i];

		if (peer->sleep.alone_us != 0 && raft_leader(peer->raft) == 0 &&
			now_us - peer->sleep.alone_us > LEADERLESS_US)
			n++;
	}
	return n;
}

void
leaderless_show(const Store *store)
{
	int n = count_leaderless(store, dispatch_now_us());
	char text[128] = "";

	if (n > 0)
		snprintf(
			text, sizeof(text),
			"no leader is known of %d of %d regions: is a majority of their stores up?",
			n, store->n_peers);
	worker_note(WORKER_STORE, WORKER_NOTE_LEADER, text);
}

/* A region that PD knows nothing of may be a new one: that proves nothing. */
static bool
is_gone(const Peer *peer, const Pdpb__GetRegionResponse *reply)
{
	const Metapb__Region *region = reply->region;
	RegionEpoch epoch;

	if ((reply->header != NULL && reply->header->error != NULL) ||
		region == NULL || region->region_epoch == NULL ||
		region->id != peer->region.id)
		return false;
	epoch = (RegionEpoch){region->region_epoch->conf_ver,
						  region->region_epoch->version};
	if (region_epoch_is_stale(epoch, peer->region.epoch))
		return false;
	for (size_t i = 0; i < region->n_peers; i++)
		if (region->peers[i]->id == peer->self.id)
			return false;
	return true;
}

bool
stale_peer_take_pd_answer(Store *store, const BusAnswer *answer)
{
	Pdpb__GetRegionResponse *reply;
	Peer *peer;
	Arena arena;

	if ((answer->tag >> 59) != 1)
		return false;
	peer = store_find_peer(store, answer->tag & ~STALE_TAG);
	/* a peer that is here since has not waited, and did not ask */
	if (peer == NULL || answer->reply.code != BUS_OK || !peer->grouped ||
		peer->sleep.pd_asked_us == 0 || raft_leader(peer->raft) != 0)
		return true;
	arena_init(&arena);
	reply = (Pdpb__GetRegionResponse *)
		service_unpack(&pdpb__get_region_response__descriptor,
					   answer->reply.bytes, &arena);
	if (reply != NULL && is_gone(peer, reply))
	{
		ereport(
			LOG,
			(errmsg(
				"tikv store %llu: peer %llu of region %llu has heard of no leader for long, and is in its region no more",
				(unsigned long long) store->meta.store_id,
				(unsigned long long) peer->self.id,
				(unsigned long long) peer->region.id)));
		FAILPOINT_PASS("store_stale_gone");
		peer->destroying = true;
	}
	arena_free(&arena);
	return true;
}
