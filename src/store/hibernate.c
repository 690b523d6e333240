/*
 * hibernate.c
 *	  Groups with several peers that have nothing to do sleep.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "core/cmd/region_change.h"
#include "guc.h"
#include "store/replicas.h"
#include "utils/memutils.h"

/* A group that did nothing for so long is asked: more than two of E. */
#define IDLE_TICKS 65

/* The leader, asked to sleep by it and idle so long: it does so already. */
#define SILENT_TICKS 10

#define ASK_AGAIN_US INT64CONST(1000000)

#define BEAT_US INT64CONST(500000)

/* As the groups' own election timeout: raft_config_init. */
#define SILENCE_US INT64CONST(3000000)

/* A message between stores names no region. */
#define NO_REGION PG_UINT64_MAX

/* Another store with which sleeping groups are shared. */
typedef struct Neighbour
{
	struct Neighbour *next;
	uint64 store_id;
	int n; /* such groups */
	int64 heard_us;
	uint64 start; /* which of its starts was heard; 0: none yet */
} Neighbour;

struct Sleepers
{
	Neighbour *neighbours;
	int n; /* peers that sleep */
	int64 due_us;
};

void
hibernate_init(Store *store)
{
	store->sleepers = MemoryContextAllocZero(store->context, sizeof(Sleepers));
}

static Neighbour *
find_neighbour(const Store *store, uint64 store_id)
{
	Neighbour *found = store->sleepers->neighbours;

	while (found != NULL && found->store_id != store_id)
		found = found->next;
	return found;
}

static Neighbour *
neighbour(Store *store, uint64 store_id)
{
	Sleepers *sleepers = store->sleepers;
	Neighbour *found = find_neighbour(store, store_id);

	if (found != NULL)
		return found;
	found = MemoryContextAllocZero(store->context, sizeof(Neighbour));
	found->store_id = store_id;
	found->next = sleepers->neighbours;
	sleepers->neighbours = found;
	return found;
}

/* One more group, or one less, is shared with the stores of its peers. */
static void
share(Peer *peer, int change)
{
	Store *store = peer->store;

	for (int i = 0; i < peer->region.n_peers; i++)
	{
		Neighbour *with = neighbour(store, peer->region.peers[i].store_id);

		if (with->store_id == store->meta.store_id)
			continue;
		if (with->n == 0)
			with->heard_us = dispatch_now_us();
		with->n += change;
	}
	store->sleepers->n += change;
}

void
peer_wake(Peer *peer)
{
	peer->sleep.idle_ticks = 0;
	peer->sleep.agreed = 0;
	if (!peer->sleep.asleep)
		return;
	share(peer, -1);
	peer->sleep.asleep = false;
	raft_wake(peer->raft);
	metrics_add(VALUE_REGIONS_WOKEN, 1);
	peer_list_add(peer, PEERS_AWAKE);
	FAILPOINT_PASS("store_woken");
	peer_tell(peer);
}

static void
fall_asleep(Peer *peer)
{
	raft_hibernate(peer->raft);
	peer->sleep.asleep = true;
	peer->sleep.wanted = false;
	peer->sleep.since_us = dispatch_now_us();
	share(peer, 1);
	peer_list_remove(peer, PEERS_AWAKE);
	FAILPOINT_PASS("store_asleep");
	peer_tell(peer);
}

/* ------------------------------------------------------------- the agreement */

/* Something is under way around the group. */
static bool
has_work(const Peer *peer)
{
	return !tikv_fdw_settings.hibernate_regions || peer->region.n_peers < 2 ||
		peer->life != PEER_STATE_NORMAL || peer->destroying || peer->is_new ||
		peer->proposals != NULL || peer->held != NULL ||
		peer->gate.inside > 0 || peer->early->n > 0 || peer->touched ||
		peer->told.unsettled;
}

/* Nothing is, nor in the group. */
static bool
may_sleep(const Peer *peer)
{
	return !has_work(peer) && raft_can_hibernate(peer->raft) &&
		(!peer_is_leader(peer) || peer->max_ts_term == raft_term(peer->raft));
}

static void
send_extra(const Peer *peer, const RegionPeer *to, ExtraType type)
{
	Arena *arena = &peer->store->arena;
	PeerMessage m = {.region_id = peer->region.id,
					 .from = peer->self,
					 .to = *to,
					 .epoch = peer->region.epoch,
					 .extra = type,
					 .disk_usage = disk_usage_own(peer->store)};
	OutMessage out = {.to_store = to->store_id, .to_peer = to->id};

	out.bytes = peer_message_encode(&m, arena);
	raft_message_send(peer->store, NULL, &out, 1);
}

static void
ask_peers(Peer *peer)
{
	for (int i = 0; i < peer->region.n_peers; i++)
		if (peer->region.peers[i].id != peer->self.id)
			send_extra(peer, &peer->region.peers[i], EXTRA_HIBERNATE_REQUEST);
}

static bool
all_agreed(const Peer *peer)
{
	for (int i = 0; i < peer->region.n_peers; i++)
		if (peer->region.peers[i].id != peer->self.id &&
			(peer->sleep.agreed & UINT32_C(1) << i) == 0)
			return false;
	return true;
}

/*
 * What nobody has asked for by now is for one that lags, maybe for days: that
 * keeps the group awake, but not its log in memory.
 */
static void
give_back_log(Peer *peer)
{
	PeerSleep *sleep = &peer->sleep;
	uint64 last = raft_last_index(peer->raft);

	if (last != sleep->still_at)
		sleep->still_ticks = 0;
	sleep->still_at = last;
	if (++sleep->still_ticks == IDLE_TICKS)
		raft_give_back(peer->raft, 0);
}

/*
 * Followers fall asleep when they are asked.  When the leader does, it asks
 * once more: a heartbeat may have woken one of them meanwhile.  One that had
 * something to send just then follows when it has heard nothing for a second.
 */
bool
hibernate_tick(Peer *peer, int64 now_us)
{
	PeerSleep *sleep = &peer->sleep;

	give_back_log(peer);
	sleep->silent_ticks++;
	if (has_work(peer))
	{
		sleep->idle_ticks = 0;
		sleep->agreed = 0;
		return false;
	}
	sleep->idle_ticks++;
	if (!may_sleep(peer))
		return false;
	if (!peer_is_leader(peer))
	{
		if (sleep->wanted && sleep->silent_ticks >= SILENT_TICKS)
			fall_asleep(peer);
		return sleep->asleep;
	}
	if (sleep->idle_ticks < IDLE_TICKS)
		return false;
	if (all_agreed(peer))
	{
		ask_peers(peer);
		fall_asleep(peer);
	}
	else if (now_us >= sleep->asked_us + ASK_AGAIN_US)
	{
		sleep->asked_us = now_us;
		sleep->agreed = 0;
		ask_peers(peer);
	}
	return sleep->asleep;
}

static void
take_request(Peer *peer, const PeerMessage *m)
{
	if (peer_is_leader(peer) || raft_leader(peer->raft) != m->from.id ||
		m->epoch.version != peer->region.epoch.version ||
		m->epoch.conf_ver != peer->region.epoch.conf_ver)
		return;
	FAILPOINT_PASS("store_sleep_asked");
	peer->sleep.wanted = true;
	if (!peer->sleep.asleep && may_sleep(peer))
		fall_asleep(peer);
	if (peer->sleep.asleep)
		send_extra(peer, &m->from, EXTRA_HIBERNATE_RESPONSE);
}

static void
take_response(Peer *peer, const PeerMessage *m)
{
	FAILPOINT_PASS("store_sleep_answered");
	for (int i = 0; i < peer->region.n_peers; i++)
		if (peer->region.peers[i].id == m->from.id)
			peer->sleep.agreed |= UINT32_C(1) << i;
}

void
hibernate_take_message(Peer *peer, const PeerMessage *m)
{
	switch (m->extra)
	{
		case EXTRA_REGION_WAKE_UP:
			peer_wake(peer);
			return;
		case EXTRA_HIBERNATE_REQUEST:
			take_request(peer, m);
			return;
		case EXTRA_HIBERNATE_RESPONSE:
			take_response(peer, m);
			return;
		default:
			return;
	}
}

/* ------------------------------------------------------------- between stores */

/*
 * The store has been silent for an election timeout, or began anew.  A peer
 * that has slept for as long, and so has not heard its leader for longer, owes
 * it no promise any more; if that store had the leader it need not wait again.
 */
static void
wake_shared(Store *store, const Neighbour *with, bool silent)
{
	int64 now_us = dispatch_now_us();

	for (int i = 0; i < store->n_peers; i++)
	{
		Peer *peer = store->peers[i];
		const RegionPeer *leader;

		if (!peer->sleep.asleep ||
			region_find_store(&peer->region, with->store_id) == NULL)
			continue;
		leader = region_find_peer(&peer->region, raft_leader(peer->raft));
		if (silent && leader != NULL && leader->store_id == with->store_id &&
			now_us >= peer->sleep.since_us + SILENCE_US)
			raft_wake_orphan(peer->raft);
		peer_wake(peer);
	}
}

void
store_message_send(Store *store, uint64 to, ExtraType type, Bytes context)
{
	PeerMessage m = {.region_id = NO_REGION,
					 .from = {(uint64) store->meta.start_seq,
							  store->meta.store_id, PEER_VOTER},
					 .to = {1, to, PEER_VOTER},
					 .extra = type,
					 .extra_context = context,
					 .disk_usage = disk_usage_own(store)};
	OutMessage out = {.to_store = to, .to_peer = 1};
	Arena arena;

	arena_init(&arena);
	out.bytes = peer_message_encode(&m, &arena);
	raft_message_send(store, NULL, &out, 1);
	arena_free(&arena);
}

/*
 * A store with which nothing ever slept needs no place: anybody can claim to
 * be one.
 */
bool
hibernate_take_store_message(Store *store, const PeerMessage *m)
{
	Neighbour *from;

	if (m->extra != EXTRA_STORE_BEAT)
		return false;
	from = find_neighbour(store, m->from.store_id);
	if (from == NULL)
		return true;
	from->heard_us = dispatch_now_us();
	disk_usage_note(store, from->store_id, m->disk_usage);
	if (from->start != 0 && from->start != m->from.id && from->n > 0)
		wake_shared(store, from, false);
	from->start = m->from.id;
	return true;
}

int64
hibernate_due_us(const Store *store)
{
	return store->sleepers->n > 0 ? store->sleepers->due_us : PG_INT64_MAX;
}

void
hibernate_run(Store *store, int64 now_us)
{
	Sleepers *sleepers = store->sleepers;

	if (now_us < hibernate_due_us(store))
		return;
	sleepers->due_us = now_us + BEAT_US;
	for (Neighbour *with = sleepers->neighbours; with != NULL;
		 with = with->next)
	{
		if (with->n == 0)
			continue;
		store_message_send(store, with->store_id, EXTRA_STORE_BEAT,
						   bytes_empty());
		if (now_us < with->heard_us + SILENCE_US)
			continue;
		ereport(
			LOG,
			(errmsg(
				"tikv store %llu: store %llu is silent, %d sleeping regions wake up",
				(unsigned long long) store->meta.store_id,
				(unsigned long long) with->store_id, with->n)));
		FAILPOINT_PASS("store_neighbour_silent");
		wake_shared(store, with, true);
	}
}
