/*
 * heartbeat.c
 *	  What the store tells PD while it serves: itself and the regions it leads.
 *
 * Sent over the bus without waiting; the answers carry operators once a
 * cluster has several nodes and are only checked for errors here.
 */
#include "postgres.h"

#include <sys/statvfs.h>
#include <time.h>

#include "bus/bus.h"
#include "core/raft/raft.h"
#include "kvserver/long_reads.h"
#include "miscadmin.h"
#include "pdpb.pb-c.h"
#include "store/elsewhere.h"
#include "store/replicas.h"

static bool
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
	return code == BUS_OK;
}

/* Begin anew with the flow that was told, if it was. */
static void
begin_flow(WriteFlow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->since = (uint64) time(NULL);
}

static void
fill_interval(const WriteFlow *flow, Pdpb__TimeInterval *out)
{
	pdpb__time_interval__init(out);
	out->end_timestamp = (uint64) time(NULL);
	out->start_timestamp = flow->since != 0 ? flow->since : out->end_timestamp;
}

static void
fill_stats(Store *store, Pdpb__StoreStats *stats)
{
	struct statvfs fs;

	pdpb__store_stats__init(stats);
	stats->store_id = store->meta.store_id;
	stats->region_count = (uint32) store->n_peers;
	stats->start_time = (uint32) (MyStartTime & 0xFFFFFFFF);
	stats->bytes_written = store->flow.bytes;
	stats->keys_written = store->flow.keys;

	/* it gets no new peers then, however large the disk is */
	stats->is_busy = disk_usage_own(store) != DISK_NORMAL;
	if (statvfs(DataDir, &fs) == 0)
	{
		stats->capacity = (uint64) fs.f_blocks * fs.f_frsize;
		stats->available = (uint64) fs.f_bavail * fs.f_frsize;
		stats->used_size = (uint64) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	}
}

/* ---- the peers of a region that this store leads ---- */

/* A peer that was silent for so long is told of. */
#define DOWN_US INT64CONST(10000000)

static const RegionPeer *
find_peer(const Region *region, uint64 id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].id == id)
			return &region->peers[i];
	return NULL;
}

static Pdpb__PeerStats *
down_message(const RegionPeer *peer, int64 silent_us, Arena *arena)
{
	Pdpb__PeerStats *out = arena_alloc(arena, sizeof(*out));

	pdpb__peer_stats__init(out);
	out->peer = service_peer_message(peer, arena);
	out->down_seconds = (uint64) (silent_us / 1000000);
	return out;
}

/*
 * Who needs a snapshot before it has anything is pending (raftstore-and-pd 24)
 * until that is installed: PD neither promotes such a peer nor makes it lead.
 * So is a new peer of which nothing is known yet.
 */
static void
tell_peers(Peer *peer, Pdpb__RegionHeartbeatRequest *out, Arena *arena)
{
	int64 now_us = dispatch_now_us();
	RaftSilence *silences = peer->told.silences;
	RaftStatus *status = arena_alloc(arena, sizeof(*status));

	peer->told.unsettled = false;
	if (peer->region.n_peers == 1)
		return;
	raft_status(peer->raft, status);
	if (!peer->sleep.asleep)
		raft_note_silences(silences, PEER_SILENCES, status, now_us);
	out->pending_peers =
		arena_alloc(arena, RAFT_MAX_PEERS * sizeof(*out->pending_peers));
	out->down_peers =
		arena_alloc(arena, RAFT_MAX_PEERS * sizeof(*out->down_peers));
	for (int i = 0; i < status->n_peers; i++)
	{
		const RaftPeerStatus *it = &status->peers[i];
		const RegionPeer *of = find_peer(&peer->region, it->id);
		int64 since;

		if (of == NULL || it->id == peer->self.id)
			continue;
		if (it->match < status->truncated_index || it->match == 0 ||
			it->installing)
			out->pending_peers[out->n_pending_peers++] =
				service_peer_message(of, arena);
		since = peer->sleep.asleep ?
			0 :
			raft_silent_since(silences, PEER_SILENCES, it->id);
		if (since != 0 && now_us - since >= DOWN_US)
			out->down_peers[out->n_down_peers++] =
				down_message(of, now_us - since, arena);
		peer->told.unsettled |= since != 0 || of->role > PEER_LEARNER;
	}
	peer->told.unsettled |= out->n_pending_peers > 0;
}

/* False: not sent, the bus is full. */
static bool
region_heartbeat(Peer *peer, Pdpb__RequestHeader *header, Arena *arena)
{
	Pdpb__RegionHeartbeatRequest request = PDPB__REGION_HEARTBEAT_REQUEST__INIT;
	Metapb__Peer leader = METAPB__PEER__INIT;
	Pdpb__TimeInterval interval;

	tell_peers(peer, &request, arena);
	leader.id = peer->self.id;
	leader.store_id = peer->self.store_id;
	request.header = header;
	request.region = service_region_message(&peer->region, arena);
	request.leader = &leader;
	request.term = raft_term(peer->raft);
	region_size_told(peer, &request.approximate_size,
					 &request.approximate_keys);
	request.bytes_written = peer->told.flow.bytes;
	request.keys_written = peer->told.flow.keys;
	fill_interval(&peer->told.flow, &interval);
	request.interval = &interval;
	FAILPOINT_PASS("store_region_heartbeat");
	if (!send_to_pd(METHOD_PD_REGION_HEARTBEAT, &request.base, arena))
		return false;
	peer->told.epoch = peer->region.epoch;
	peer->told.term = raft_term(peer->raft);
	peer->told.at_us = dispatch_now_us();
	peer->told.at_once = false;
	begin_flow(&peer->told.flow);
	return true;
}

void
store_heartbeat(Store *store)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__StoreHeartbeatRequest request = PDPB__STORE_HEARTBEAT_REQUEST__INIT;
	Pdpb__StoreStats stats;
	Pdpb__TimeInterval interval;
	Arena arena;

	arena_init(&arena);
	header.cluster_id = store->meta.cluster_id;
	header.caller_id = (char *) arena_printf(&arena, "start " UINT64_FORMAT,
											 store->meta.start_seq);
	fill_stats(store, &stats);
	fill_interval(&store->flow, &interval);
	stats.interval = &interval;
	request.header = &header;
	request.stats = &stats;
	FAILPOINT_PASS("store_heartbeat");
	if (send_to_pd(METHOD_PD_STORE_HEARTBEAT, &request.base, &arena))
		begin_flow(&store->flow);
	arena_free(&arena);
}

#define NEWS_INTERVAL_US INT64CONST(200000)

/* How often PD is told of a region whose peers are not as they shall be. */
#define UNSETTLED_US INT64CONST(1000000)

/*
 * How often PD is told of a region that is as it was: TiKV's
 * pd-heartbeat-tick-interval, and more often where there are few.
 */
#define ROUND_MAX_US INT64CONST(60000000)
#define ROUND_MIN_US INT64CONST(10000000)
#define ROUND_REGION_US INT64CONST(50000)
#define ROUND_STEP_US INT64CONST(1000000)
#define ROUND_AT_ONCE 1000

/* Regions that PD is told of at a time: the bus has other users. */
#define NEWS_AT_ONCE 200

typedef enum News
{
	NEWS_NONE,
	NEWS_LATER, /* not yet */
	NEWS_NOW
} News;

static News
is_news(const Peer *peer, int64 now_us)
{
	if (raft_role(peer->raft) != RAFT_LEADER)
		return NEWS_NONE;
	if (peer->told.at_once ||
		peer->told.epoch.conf_ver != peer->region.epoch.conf_ver ||
		peer->told.epoch.version != peer->region.epoch.version ||
		peer->told.term != raft_term(peer->raft))
		return NEWS_NOW;
	if (!peer->told.unsettled)
		return NEWS_NONE;
	return now_us - peer->told.at_us >= UNSETTLED_US ? NEWS_NOW : NEWS_LATER;
}

/* Those of whom PD may have to be told, from the last one on. */
static int
tell_news(Store *store, Pdpb__RequestHeader *header, Arena *arena, int64 now_us)
{
	const PeerList *list = &store->lists[PEERS_NEWS];
	int n = 0;

	for (int i = list->n - 1; i >= 0 && n < NEWS_AT_ONCE; i--)
	{
		Peer *peer = list->peers[i];
		News news = is_news(peer, now_us);

		if (news == NEWS_LATER)
			continue;
		if (news == NEWS_NOW)
		{
			n++;
			if (!region_heartbeat(peer, header, arena))
				break;
		}
		if (!peer->told.unsettled)
			peer_list_remove(peer, PEERS_NEWS);
	}
	return n;
}

/*
 * Of all peers those whose turn came since the last time, so that each has one
 * in a round.  A second's are told together: each time wakes PD, and its answer
 * this store.
 */
static void
tell_round(Store *store, Pdpb__RequestHeader *header, Arena *arena,
		   int64 now_us)
{
	int64 round_us =
		Min(Max(store->n_peers * ROUND_REGION_US, ROUND_MIN_US), ROUND_MAX_US);
	int64 over_us = Min(now_us - store->told_round_us, round_us);
	int64 n = (store->n_peers * over_us + round_us - 1) / round_us;

	if (over_us < ROUND_STEP_US)
		return;
	store->told_round_us = now_us;
	for (n = Min(n, ROUND_AT_ONCE); n > 0; n--)
	{
		int next = (store->next_told + 1) % store->n_peers;
		Peer *peer = store->peers[next];

		if (raft_role(peer->raft) == RAFT_LEADER &&
			now_us - peer->told.at_us >= round_us / 2 &&
			!region_heartbeat(peer, header, arena))
			return;
		store->next_told = next;
		if (peer->told.unsettled)
			peer_list_add(peer, PEERS_NEWS);
	}
}

/* PD acts on what it hears: what it waits for is not left to the next round. */
void
store_heartbeat_news(Store *store, int64 now_us)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Arena arena;

	if (now_us < store->next_news_us)
		return;
	store->next_news_us = now_us + NEWS_INTERVAL_US;
	arena_init(&arena);
	header.cluster_id = store->meta.cluster_id;
	if (tell_news(store, &header, &arena, now_us) < NEWS_AT_ONCE)
		tell_round(store, &header, &arena, now_us);
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

/* A newer start of this store was claimed: it is not this store's place. */
static void
take_verdict(Store *store, const BusAnswer *answer)
{
	Pdpb__StoreHeartbeatResponse *reply;
	Arena arena;

	if (answer->tag != METHOD_PD_STORE_HEARTBEAT ||
		answer->reply.code != BUS_OK)
		return;
	arena_init(&arena);
	reply = (Pdpb__StoreHeartbeatResponse *)
		service_unpack(&pdpb__store_heartbeat_response__descriptor,
					   answer->reply.bytes, &arena);
	if (reply != NULL && reply->header != NULL &&
		reply->header->error != NULL &&
		reply->header->error->type == PDPB__ERROR_TYPE__DUPLICATED_ENTRY)
	{
		worker_fence(WORKER_STORE);
		snprintf(store->fenced, sizeof(store->fenced), "%s",
				 reply->header->error->message);
		ereport(WARNING,
				(errmsg("tikv store %llu serves no more: %s",
						(unsigned long long) store->meta.store_id,
						store->fenced)));
	}
	arena_free(&arena);
}

void
store_take_pd_answers(Store *store)
{
	BusAnswer answer;

	while (bus_take_reply(WORKER_STORE, &answer))
	{
		take_operator(store, &answer);
		take_verdict(store, &answer);
		if (!long_reads_take(&store->dispatch, &answer) &&
			!links_take_pd_answer(store, &answer) &&
			!elsewhere_take_pd_answer(store, &answer) &&
			!gc_barrier_take_pd_answer(store, &answer) &&
			!gc_sleepers_take_pd_answer(store, &answer) &&
			!splits_take_pd_answer(store, &answer) &&
			!raft_take_pd_answer(store, &answer) &&
			!stale_peer_take_pd_answer(store, &answer) &&
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
