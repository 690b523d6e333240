/*
 * main.c
 *	  Scheduling from a seed: stores join, die, come back, run out of disk
 *	  space, leave, or stay after all, and are not heard for a while, while
 *	  regions report and do what they are told.
 *
 * SEED=n replays one, SEEDS=n FROM=n runs many.  The regions are models: they
 * refuse what a Raft group refuses (an old epoch, a change without a majority
 * of both configurations, removal or demotion of a leader by itself) and elect
 * a leader among the voters that live.  Watched all along: a change never
 * takes a majority away from a region that has one, and a voter is never
 * removed.  At the end all stores live, and within an hour none that is short
 * of space votes while a learner has some, nor keeps others from leaving.  Then
 * all have space, and within another hour every region is as the rule of
 * placement.h wants it, stores that were asked to leave are gone, and leaders
 * and peers are spread evenly.
 */
#include "pd/core/scatter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/codec/proto.h"

#define MAX_STORES 7
#define MAX_REGIONS 12
#define SECOND INT64_C(1000000)

typedef enum SimDisk
{
	DISK_WELL,
	DISK_SHORT, /* it tells PD that it is busy, as all but the first do */
	DISK_FULL	/* and is handed no leadership */
} SimDisk;

typedef struct SimStore
{
	bool exists;
	bool alive;
	bool leaving;
	bool mute; /* PD hears nothing of it, nor, by the seed, of what it leads */
	SimDisk disk;
} SimStore;

typedef struct SimRegion
{
	Region meta;
	RegionPeer leader; /* id 0: none */
	uint64_t term;
	int64_t caught_up[REGION_MAX_PEERS]; /* when a new peer has its data */
	int64_t silent_since[MAX_STORES + 1];
	Order mail[4]; /* orders under way */
	int64_t arrives[4];
	int n_mail;
	int64_t beat_us;
} SimRegion;

static uint64_t seed;
static uint64_t rng;
static int64_t now;
static SimStore stores[MAX_STORES + 1];
static SimRegion regions[MAX_REGIONS];
static int n_regions;
static PdState state;
static Schedule schedule;
static Arena arena;
static bool healed;
static uint64_t n_orders_done;
static uint64_t n_scattered;
static uint64_t n_refused; /* transfers to a store whose disk is full */

static uint64_t
pick(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void
fail(const SimRegion *r, const char *what)
{
	fprintf(stderr, "seed %" PRIu64 " at %" PRId64 " s: %s\n", seed,
			now / SECOND, what);
	for (int i = 1; i <= MAX_STORES; i++)
		if (stores[i].exists)
			fprintf(stderr, "  store %d: %s%s%s\n", i,
					stores[i].alive ? "alive" : "dead",
					stores[i].leaving ? ", leaving" : "",
					stores[i].disk != DISK_WELL ? ", short of space" : "");
	for (int i = 0; r != NULL && i < r->meta.n_peers; i++)
		fprintf(stderr,
				"  region %" PRIu64 " peer %" PRIu64 " store %" PRIu64
				" role %d%s\n",
				r->meta.id, r->meta.peers[i].id, r->meta.peers[i].store_id,
				(int) r->meta.peers[i].role,
				r->meta.peers[i].id == r->leader.id ? " leads" : "");
	for (size_t i = 0; i < schedule.n_running; i++)
		fprintf(stderr, "  %s\n", operator_text(schedule.running[i], &arena));
	fprintf(stderr, "replay: SEED=%" PRIu64 " make pd-sim\n", seed);
	exit(1);
}

/* ---- a region as its Raft group would behave ---- */

static bool
peer_lives(const SimRegion *r, int i)
{
	return stores[r->meta.peers[i].store_id].alive && r->caught_up[i] <= now;
}

/* A majority of each configuration lives. */
static bool
has_quorum(const SimRegion *r)
{
	int incoming[2] = {0, 0};
	int outgoing[2] = {0, 0};

	for (int i = 0; i < r->meta.n_peers; i++)
	{
		PeerRole role = r->meta.peers[i].role;
		bool lives = peer_lives(r, i);

		if (role == PEER_VOTER || role == PEER_INCOMING_VOTER)
		{
			incoming[0]++;
			incoming[1] += lives;
		}
		if (role == PEER_VOTER || role == PEER_DEMOTING_VOTER)
		{
			outgoing[0]++;
			outgoing[1] += lives;
		}
	}
	return incoming[1] > incoming[0] / 2 && outgoing[1] > outgoing[0] / 2;
}

static int
peer_at(const SimRegion *r, uint64_t id)
{
	for (int i = 0; i < r->meta.n_peers; i++)
		if (r->meta.peers[i].id == id)
			return i;
	return -1;
}

static void
elect(SimRegion *r)
{
	int from = (int) pick((uint64_t) r->meta.n_peers);

	r->leader.id = 0;
	if (!has_quorum(r))
		return;
	for (int k = 0; k < r->meta.n_peers; k++)
	{
		int i = (from + k) % r->meta.n_peers;

		if (r->meta.peers[i].role != PEER_LEARNER && peer_lives(r, i))
		{
			r->leader = r->meta.peers[i];
			r->term++;
			r->beat_us = now;
			return;
		}
	}
}

static void
remove_peer(SimRegion *r, int i)
{
	memmove(&r->meta.peers[i], &r->meta.peers[i + 1],
			(size_t) (r->meta.n_peers - i - 1) * sizeof(RegionPeer));
	memmove(&r->caught_up[i], &r->caught_up[i + 1],
			(size_t) (r->meta.n_peers - i - 1) * sizeof(int64_t));
	r->meta.n_peers--;
}

static void
leave_joint(SimRegion *r)
{
	int leader = peer_at(r, r->leader.id);
	uint64_t converted = 0;

	if (r->meta.peers[leader].role == PEER_DEMOTING_VOTER)
		return;
	for (int i = 0; i < r->meta.n_peers; i++)
	{
		PeerRole *role = &r->meta.peers[i].role;

		if (*role == PEER_INCOMING_VOTER)
			*role = PEER_VOTER;
		else if (*role == PEER_DEMOTING_VOTER)
			*role = PEER_LEARNER;
		else
			continue;
		converted++;
	}
	r->meta.epoch.conf_ver += converted;
}

static void
change_role(SimRegion *r, const PeerOrder *change, bool joint)
{
	int i = peer_at(r, change->peer.id);
	PeerRole role = change->peer.role;

	if (i < 0)
		fail(r, "a role is changed of a peer that is not there");
	if (role == PEER_VOTER)
		r->meta.peers[i].role = joint ? PEER_INCOMING_VOTER : PEER_VOTER;
	else
		r->meta.peers[i].role = joint ? PEER_DEMOTING_VOTER : PEER_LEARNER;
}

static void
change_peers(SimRegion *r, const Order *order)
{
	bool joint = order->n_changes > 1;
	int i;

	if (order->n_changes == 0)
	{
		leave_joint(r);
		return;
	}
	if (region_is_joint(&r->meta))
		return;
	if (joint)
	{
		for (i = 0; i < order->n_changes; i++)
			change_role(r, &order->changes[i], true);
		r->meta.epoch.conf_ver += (uint64_t) order->n_changes;
		return;
	}
	i = peer_at(r, order->changes[0].peer.id);
	if (order->changes[0].removed)
	{
		if (i < 0)
			return;
		if (r->meta.peers[i].role != PEER_LEARNER)
			fail(r, "a voter is removed");
		if (r->meta.peers[i].id == r->leader.id)
			fail(r, "a leader is asked to remove itself");
		remove_peer(r, i);
	}
	else if (i >= 0)
	{
		if (order->changes[0].peer.id == r->leader.id)
			return; /* refused: a leader does not demote itself */
		change_role(r, &order->changes[0], false);
	}
	else
	{
		if (region_peer_on(&r->meta, order->changes[0].peer.store_id) != NULL)
			fail(r, "a second peer on a store");
		r->meta.peers[r->meta.n_peers] = order->changes[0].peer;
		r->caught_up[r->meta.n_peers++] =
			now + (1 + (int64_t) pick(20)) * SECOND;
	}
	r->meta.epoch.conf_ver++;
}

/* Somebody died so lately that PD cannot know. */
static bool
is_news(const SimRegion *r)
{
	for (int i = 0; i < r->meta.n_peers; i++)
	{
		uint64_t store = r->meta.peers[i].store_id;

		if (!stores[store].alive && now - r->silent_since[store] < 40 * SECOND)
			return true;
	}
	return false;
}

/* Its leader knows what PD may not know yet. */
static bool
is_refused(const SimRegion *r, int heir)
{
	bool full = stores[r->meta.peers[heir].store_id].disk == DISK_FULL;

	n_refused += full;
	return full;
}

/*
 * The leader gets an order; refused if its epoch is not the region's, or if
 * too many of those that it would need do not answer it.
 */
static void
obey(SimRegion *r, const Order *order)
{
	SimRegion before = *r;
	bool had_quorum = has_quorum(r);
	int i;

	if (r->leader.id == 0 || order->target.id != r->leader.id || !had_quorum ||
		order->epoch.conf_ver != r->meta.epoch.conf_ver ||
		order->epoch.version != r->meta.epoch.version)
		return;
	if (order->kind == ORDER_TRANSFER_LEADER)
	{
		i = peer_at(r, order->leader.id);
		if (i < 0 || r->meta.peers[i].role == PEER_LEARNER ||
			!peer_lives(r, i) || is_refused(r, i))
			return;
		r->leader = r->meta.peers[i];
		r->term++;
	}
	else
		change_peers(r, order);
	if (!has_quorum(r))
	{
		if (!is_news(r))
			fail(r, "a change would take the majority away");
		*r = before;
		return;
	}
	n_orders_done++;
	r->beat_us = now;
}

/* ---- PD's side ---- */

static void
post(const Order *order)
{
	for (int i = 0; i < n_regions; i++)
	{
		SimRegion *r = &regions[i];

		if (r->meta.id != order->region_id || r->n_mail == 4 || pick(10) == 0)
			continue;
		r->mail[r->n_mail] = *order;
		r->arrives[r->n_mail++] = now + (int64_t) pick(2) * SECOND;
	}
}

static void
apply(PdChanges *changes)
{
	pd_state_apply_all(&state, changes);
	pd_changes_init(changes, &arena);
}

static void
heartbeat(SimRegion *r)
{
	DownPeer down[REGION_MAX_PEERS];
	RegionPeer pending[REGION_MAX_PEERS];
	PdRegion report = {.meta = r->meta, .leader = r->leader, .term = r->term};
	PdChanges changes;
	Order order;

	report.down = down;
	report.pending = pending;
	report.leader = r->meta.peers[peer_at(r, r->leader.id)];
	for (int i = 0; i < r->meta.n_peers; i++)
	{
		uint64_t store = r->meta.peers[i].store_id;

		if (!stores[store].alive && now - r->silent_since[store] > 600 * SECOND)
			down[report.n_down++] =
				(DownPeer){r->meta.peers[i],
						   (uint64_t) ((now - r->silent_since[store]) /
									   SECOND)};
		if (r->caught_up[i] > now)
			pending[report.n_pending++] = r->meta.peers[i];
	}
	pd_changes_init(&changes, &arena);
	if (cluster_region_heartbeat(&state.cluster, &report, &changes).type !=
		PD_OK)
		fail(r, "a heartbeat is refused");
	apply(&changes);
	cluster_note_region(&state.cluster, &report);
	if (schedule_region(&schedule, &state, r->meta.id, now, &changes, &order))
		post(&order);
	apply(&changes);
	r->beat_us = now + 60 * SECOND;
}

/* ---- what happens to the stores ---- */

static int
count_alive(void)
{
	int n = 0;

	for (int i = 1; i <= MAX_STORES; i++)
		n += stores[i].exists && stores[i].alive && !stores[i].leaving;
	return n;
}

static void
join(int id)
{
	char address[32];
	PdStore s = {.id = (uint64_t) id, .version = "8.5.0"};
	PdChanges changes;

	snprintf(address, sizeof(address), "127.0.0.1:%d", id);
	s.address = address;
	s.peer_address = s.status_address = s.git_hash = s.deploy_path = "";
	s.node_state = NODE_SERVING;
	pd_changes_init(&changes, &arena);
	if (cluster_put_store(&state.cluster, &s, &changes).type != PD_OK)
		return;
	apply(&changes);
	stores[id] = (SimStore){.exists = true, .alive = true};
}

static void
die(int id)
{
	stores[id].alive = false;
	for (int i = 0; i < n_regions; i++)
		regions[i].silent_since[id] = now;
}

static void
leave(int id)
{
	PdChanges changes;

	pd_changes_init(&changes, &arena);
	if (cluster_offline_store(&state.cluster, (uint64_t) id, false, &changes)
			.type != PD_OK)
		return;
	apply(&changes);
	stores[id].leaving = true;
}

/* Somebody has thought better of it; it may have left by now. */
static void
stay(int id)
{
	PdChanges changes;

	pd_changes_init(&changes, &arena);
	if (cluster_up_store(&state.cluster, (uint64_t) id, &changes).type != PD_OK)
		return;
	apply(&changes);
	stores[id].leaving = false;
}

/* That it lives, and whether it is short of space. */
static void
store_heartbeat(uint64_t id)
{
	ProtoWriter w;

	proto_writer_init(&w, &arena, 16);
	proto_put_u64(&w, 9, stores[id].disk != DISK_WELL);
	(void) cluster_store_heartbeat(&state.cluster, id, proto_written(&w), now,
								   &arena);
	cluster_heard_store(&state.cluster, id, now);
}

/* A client wants its regions apart. */
static void
scatter_all(void)
{
	PdChanges changes;
	const char *why;

	for (int i = 0; i < n_regions; i++)
	{
		pd_changes_init(&changes, &arena);
		if (scatter_region(&schedule, &state, regions[i].meta.id,
						   pick(2) == 0 ? "a" : "", pick(2) == 0, now, &changes,
						   &why) == SCATTER_BEGUN)
			n_scattered++;
		apply(&changes);
	}
}

/*
 * Stores that die come back within a while, unless enough others live for the
 * rule to replace them; so no region loses its majority for good.
 */
static void
disturb(void)
{
	int id = 1 + (int) pick(MAX_STORES);
	SimStore *s = &stores[id];

	switch (pick(12))
	{
		case 0:
			if (!s->exists &&
				cluster_store(&state.cluster, (uint64_t) id) == NULL)
				join(id);
			break;
		case 1:
			if (s->exists && s->alive)
				die(id);
			break;
		case 2:
		case 3:
			if (s->exists)
				s->alive = true;
			break;
		case 4:
			if (s->exists && s->alive && !s->leaving && count_alive() > 2)
				leave(id);
			break;
		case 5:
			/* PD's leader changes. */
			schedule_lead(&schedule, now);
			break;
		case 6:
			scatter_all();
			break;
		case 7:
			s->disk = DISK_SHORT + (SimDisk) pick(2);
			break;
		case 8:
			s->disk = DISK_WELL;
			break;
		case 9:
			s->mute = true;
			break;
		case 10:
			s->mute = false;
			break;
		case 11:
			if (s->exists && s->leaving)
				stay(id);
			break;
	}
}

static bool
tells(const SimRegion *r)
{
	return seed % 2 == 0 || !stores[r->leader.store_id].mute;
}

static void
step(void)
{
	PdChanges changes;
	Order *orders;
	size_t n;

	now += SECOND;
	if (!healed && pick(40) == 0)
		disturb();
	for (uint64_t id = 1; id <= MAX_STORES; id++)
		if (stores[id].exists && stores[id].alive && !stores[id].mute &&
			now / SECOND % 10 == 0)
			store_heartbeat(id);
	for (int i = 0; i < n_regions; i++)
	{
		SimRegion *r = &regions[i];
		int leader = peer_at(r, r->leader.id);

		for (int m = r->n_mail; m > 0; m--)
			if (r->arrives[m - 1] <= now)
			{
				Order order = r->mail[m - 1];

				r->mail[m - 1] = r->mail[--r->n_mail];
				obey(r, &order);
			}
		leader = peer_at(r, r->leader.id);
		if (leader < 0 || !peer_lives(r, leader) || !has_quorum(r))
			elect(r);
		if (r->leader.id != 0 && now >= r->beat_us && tells(r))
			heartbeat(r);
	}
	pd_changes_init(&changes, &arena);
	schedule_tick(&schedule, &state, now, &changes, &orders, &n);
	apply(&changes);
	for (size_t i = 0; i < n; i++)
		post(&orders[i]);
	arena_reset(&arena);
}

/* ---- what must have come of it ---- */

/*
 * Between two configurations: its leader is on its way out, and whoever else
 * may lead has become full since.
 */
static bool
waits_for_heir(const SimRegion *r)
{
	for (int i = 0; i < r->meta.n_peers; i++)
		if (peer_may_lead(&r->meta.peers[i]) &&
			stores[r->meta.peers[i].store_id].disk != DISK_FULL)
			return false;
	return region_is_joint(&r->meta);
}

/*
 * With enough stores that have space nobody waits to leave; and a learner that
 * has some votes in the place of a store that has none.
 */
static void
check_votes(const SimRegion *r, int with_space)
{
	bool voter = false;
	bool learner = false;
	bool leaving = false;

	for (int i = 0; i < r->meta.n_peers; i++)
	{
		const SimStore *s = &stores[r->meta.peers[i].store_id];
		bool votes = r->meta.peers[i].role != PEER_LEARNER;

		leaving = leaving || s->leaving;
		voter = voter || (votes && s->disk != DISK_WELL);
		learner = learner || (!votes && s->disk == DISK_WELL);
	}
	if (waits_for_heir(r))
		return;
	if (leaving && with_space >= (int) state.cluster.max_peer_count)
		fail(r, "a store cannot leave though others have space");
	if (voter && learner && !leaving)
		fail(r, "a store without space votes, and a learner has some");
}

static void
check_region(const SimRegion *r, int up)
{
	int voters;
	int learners;
	int has[2] = {0, 0};

	placement_count((size_t) up, state.cluster.max_peer_count, &voters,
					&learners);
	if (r->leader.id == 0)
		fail(r, "no leader at the end");
	for (int i = 0; i < r->meta.n_peers; i++)
	{
		if (stores[r->meta.peers[i].store_id].leaving)
			fail(r, "a store that leaves still holds a peer");
		has[r->meta.peers[i].role == PEER_LEARNER]++;
	}
	if (has[0] != voters || has[1] != learners)
		fail(r, "not the wanted number of voters and learners");
}

static void
check_balance(int up)
{
	int peers[MAX_STORES + 1] = {0};
	int leaders[MAX_STORES + 1] = {0};
	int most[2] = {0, 0};
	int least[2] = {1000, 1000};
	int voters;
	int learners;

	for (int i = 0; i < n_regions; i++)
	{
		leaders[regions[i].leader.store_id]++;
		for (int p = 0; p < regions[i].meta.n_peers; p++)
			peers[regions[i].meta.peers[p].store_id]++;
	}
	for (int id = 1; id <= MAX_STORES; id++)
	{
		if (!stores[id].exists || stores[id].leaving)
			continue;
		most[0] = peers[id] > most[0] ? peers[id] : most[0];
		least[0] = peers[id] < least[0] ? peers[id] : least[0];
		most[1] = leaders[id] > most[1] ? leaders[id] : most[1];
		least[1] = leaders[id] < least[1] ? leaders[id] : least[1];
	}

	/*
	 * By pairs, so that a store may be one further off than its neighbour;
	 * with two stores one of them has all the voters.  Where a region has a
	 * learner, a store that was short of space may have no other peers.  A
	 * lone peer leads, and leaders are not moved with their data.
	 */
	placement_count((size_t) up, state.cluster.max_peer_count, &voters,
					&learners);
	if (up > 2 && learners == 0 && voters > 1 && most[0] - least[0] > 2)
		fail(NULL, "peers are not spread");
	if (learners == 0 && voters > 1 && most[1] - least[1] > 3)
		fail(NULL, "leaders are not spread");
}

/* All live and are heard; who is short of space remains so. */
static void
settle_short(void)
{
	int with_space = 0;

	healed = true;
	for (int id = 1; id <= MAX_STORES; id++)
		if (stores[id].exists)
		{
			stores[id].alive = true;
			stores[id].mute = false;
		}
	for (int i = 0; i < 3600; i++)
		step();
	for (int id = 1; id <= MAX_STORES; id++)
		with_space += stores[id].exists && !stores[id].leaving &&
			stores[id].disk == DISK_WELL;
	for (int i = 0; i < n_regions; i++)
		check_votes(&regions[i], with_space);
}

static void
settle(void)
{
	int up = 0;

	for (int id = 1; id <= MAX_STORES; id++)
		stores[id].disk = DISK_WELL;
	for (int i = 0; i < 3600; i++)
		step();
	for (int id = 1; id <= MAX_STORES; id++)
		up += stores[id].exists && !stores[id].leaving;
	for (int i = 0; i < n_regions; i++)
		check_region(&regions[i], up);
	check_balance(up);
	for (int id = 1; id <= MAX_STORES; id++)
		if (stores[id].leaving &&
			cluster_store(&state.cluster, (uint64_t) id)->state !=
				STORE_TOMBSTONE)
			fail(NULL, "a store that was asked to leave has not left");
	if (schedule.n_running > 0)
		fail(NULL, "operators still run");
}

static void
begin(void)
{
	static const uint32_t replicas[] = {3, 3, 3, 3, 5, 4, 2, 1};

	rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	now = SECOND;
	healed = false;
	memset(stores, 0, sizeof(stores));
	memset(regions, 0, sizeof(regions));
	pd_state_init(&state);
	schedule_init(&schedule);
	state.cluster.bootstrapped = true;
	state.cluster.max_peer_count = replicas[pick(8)];
	schedule_lead(&schedule, now);
	join(1);
	n_regions = 1 + (int) pick(MAX_REGIONS);
	for (int i = 0; i < n_regions; i++)
	{
		SimRegion *r = &regions[i];

		r->meta.id = 1000 + (uint64_t) i;
		r->meta.epoch = (RegionEpoch){1, 1};
		r->meta.start_key =
			i == 0 ? bytes_empty() : bytes_make("abcdefghijklmnop" + i, 1);
		r->meta.end_key = i == n_regions - 1 ?
			bytes_empty() :
			bytes_make("abcdefghijklmnop" + i + 1, 1);
		r->meta.peers[0] = (RegionPeer){100000 + (uint64_t) i, 1, PEER_VOTER};
		r->meta.n_peers = 1;
		r->leader = r->meta.peers[0];
		r->term = 6;
	}
}

static void
run(void)
{
	begin();
	for (int i = 0; i < 10000; i++)
		step();
	settle_short();
	settle();
	schedule_free(&schedule);
	pd_state_free(&state);
}

static uint64_t
number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL || text[0] == '\0' ? otherwise :
											 strtoull(text, NULL, 10);
}

int
main(void)
{
	uint64_t first = number("SEED", number("FROM", 1));
	uint64_t n = number("SEED", 0) != 0 ? 1 : number("SEEDS", 300);

	arena_init(&arena);
	for (seed = first; seed < first + n; seed++)
		run();
	arena_free(&arena);
	if (n > 10 && n_scattered == 0)
		fail(NULL, "nothing was ever scattered");
	if (n > 10 && n_refused == 0)
		fail(NULL, "no transfer was ever refused");
	printf("pd: %" PRIu64 " seeds, %" PRIu64 " orders carried out, %" PRIu64
		   " regions scattered\n",
		   n, n_orders_done, n_scattered);
	return 0;
}
