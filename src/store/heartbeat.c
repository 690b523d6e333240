/*
 * heartbeat.c
 *	  What the store tells PD while it serves: itself and the regions it leads.
 *
 * Sent over the bus without waiting; the answers carry operators once a
 * cluster has several nodes and are only checked for errors here.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "bus/bus.h"
#include "core/raft/raft.h"
#include "kvserver/long_reads.h"
#include "miscadmin.h"
#include "pdpb.pb-c.h"
#include "store/replicas.h"

static void
send_to_pd(int method, const ProtobufCMessage *message, Arena *arena)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8 *bytes = arena_alloc(arena, len);
	BusCode code;

	protobuf_c_message_pack(message, bytes);
	code = bus_send(WORKER_STORE, WORKER_PD, method, bytes_make(bytes, len),
					(uint64) method);
	if (code != BUS_OK)
		elog(DEBUG1, "tikv store: heartbeat not sent, bus answered %d", code);
}

static void
fill_stats(const Store *store, Pdpb__StoreStats *stats)
{
	struct statvfs fs;

	pdpb__store_stats__init(stats);
	stats->store_id = store->meta.store_id;
	stats->region_count = (uint32) store->n_peers;
	stats->start_time = (uint32) (MyStartTime & 0xFFFFFFFF);
	if (statvfs(DataDir, &fs) == 0)
	{
		stats->capacity = (uint64) fs.f_blocks * fs.f_frsize;
		stats->available = (uint64) fs.f_bavail * fs.f_frsize;
		stats->used_size = (uint64) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	}
}

static void
region_heartbeat(const Peer *peer, Pdpb__RequestHeader *header, Arena *arena)
{
	Pdpb__RegionHeartbeatRequest request = PDPB__REGION_HEARTBEAT_REQUEST__INIT;
	Metapb__Peer leader = METAPB__PEER__INIT;

	leader.id = peer->self.id;
	leader.store_id = peer->self.store_id;
	request.header = header;
	request.region = service_region_message(&peer->region, arena);
	request.leader = &leader;
	request.term = raft_term(peer->raft);
	send_to_pd(METHOD_PD_REGION_HEARTBEAT, &request.base, arena);
}

void
store_heartbeat(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__StoreHeartbeatRequest request = PDPB__STORE_HEARTBEAT_REQUEST__INIT;
	Pdpb__StoreStats stats;
	Arena arena;

	arena_init(&arena);
	header.cluster_id = store->meta.cluster_id;
	fill_stats(store, &stats);
	request.header = &header;
	request.stats = &stats;
	send_to_pd(METHOD_PD_STORE_HEARTBEAT, &request.base, &arena);
	for (int i = 0; i < store->n_peers; i++)
		if (raft_role(store->peers[i]->raft) == RAFT_LEADER)
			region_heartbeat(store->peers[i], &header, &arena);
	arena_free(&arena);
}

/* The answer to a region's heartbeat may say what is to be done with it. */
static void
take_operator(Store *store, const BusAnswer *answer)
{
	Pdpb__RegionHeartbeatResponse *reply;
	Arena arena;

	if (answer->tag != METHOD_PD_REGION_HEARTBEAT ||
		answer->reply.code != BUS_OK)
		return;
	arena_init(&arena);
	reply = (Pdpb__RegionHeartbeatResponse *)
		service_unpack(&pdpb__region_heartbeat_response__descriptor,
					   answer->reply.bytes, &arena);
	if (reply != NULL && reply->region_id != 0)
		orders_take_pd(store, reply);
	arena_free(&arena);
}

void
store_take_pd_answers(Store *store)
{
	BusAnswer answer;

	while (bus_take_reply(WORKER_STORE, &answer))
	{
		take_operator(store, &answer);
		if (!long_reads_take(&store->dispatch, &answer) &&
			!links_take_pd_answer(store, &answer) &&
			!splits_take_pd_answer(store, &answer) &&
			!raft_take_pd_answer(store, &answer) &&
			!gc_take_pd_answer(store, &answer) && answer.reply.code != BUS_OK)
			ereport(
				LOG,
				(errmsg(
					 "tikv store %llu: the placement driver did not take a heartbeat",
					 (unsigned long long) store->meta.store_id),
				 errdetail("Bus answer %d.", (int) answer.reply.code)));
		if (answer.reply.bytes.data != NULL)
			pfree((void *) answer.reply.bytes.data);
	}
}
