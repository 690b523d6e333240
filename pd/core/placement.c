/*
 * placement.c
 *	  Which stores shall hold a region, and in which role.
 *
 * Stores and peers are given marks, and the best are taken: those that hold
 * the region and are well, then new ones, then those that are gone and have
 * no replacement.  A peer is dropped only when somebody stands in for it.
 */
#include "pd/core/placement.h"

#include "core/codec/proto.h"

/* ---- stores ---- */

PlacementStore *
placement_find(const PlacementStores *stores, uint64_t id)
{
	for (size_t i = 0; i < stores->n; i++)
		if (stores->stores[i].id == id)
			return &stores->stores[i];
	return NULL;
}

/* tikv/pd pkg/core/store.go, IsLowSpace, with a low-space-ratio of 0.8. */
#define FEW_REGIONS 100
#define MUCH_SPACE (UINT64_C(8) << 30)
#define LOW_DIVISOR 5

/* By what it said last; one that has said nothing is trusted. */
static void
judge_space(const PdStore *store, PlacementStore *place)
{
	ProtoReader r = proto_reader(store->stats);
	ProtoField field;
	uint64_t capacity = 0;
	uint64_t available = 0;
	uint64_t regions = 0;

	while (proto_next(&r, &field))
		switch (field.number)
		{
			case 2:
				capacity = proto_get_u64(&r, &field);
				break;
			case 3:
				available = proto_get_u64(&r, &field);
				break;
			case 4:
				regions = proto_get_u64(&r, &field);
				break;
			case 9:
				place->busy = proto_get_u64(&r, &field) != 0;
				break;
			default:
				break;
		}
	place->low = place->busy ||
		(available < capacity / LOW_DIVISOR &&
		 (regions >= FEW_REGIONS || available <= MUCH_SPACE));
}

static void
count_peers(const RegionTree *tree, const PlacementStores *stores)
{
	for (size_t r = 0; r < tree->n; r++)
	{
		const PdRegion *region = tree->by_key[r];

		for (int p = 0; p < region->meta.n_peers; p++)
		{
			PlacementStore *store =
				placement_find(stores, region->meta.peers[p].store_id);

			if (store == NULL)
				continue;
			store->peers++;
			store->leaders += region->leader.id == region->meta.peers[p].id;
		}
	}
}

PlacementStores
placement_stores(const Cluster *cluster, const PlacementClock *clock,
				 Arena *arena)
{
	PlacementStores out = {0};

	out.max_replicas = cluster->max_peer_count;
	out.stores =
		arena_zalloc(arena, cluster->n_stores * sizeof(PlacementStore));
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;
		int64_t heard = store->heard_us > clock->since_us ? store->heard_us :
															clock->since_us;
		PlacementStore *place = &out.stores[out.n];

		if (store->state != STORE_UP)
			continue;
		place->id = store->id;
		place->alive = store->heard_us >= clock->since_us &&
			store->heard_us != 0 &&
			clock->now_us - heard < clock->disconnect_us;
		place->lost = clock->now_us - heard >= clock->max_down_us;
		judge_space(store, place);
		out.n++;
	}
	count_peers(&cluster->regions, &out);
	return out;
}

void
placement_count(size_t n, uint32_t max_replicas, int *voters, int *learners)
{
	int total = (int) (n < max_replicas ? n : max_replicas);

	if (total > REGION_MAX_PEERS / 2)
		total = REGION_MAX_PEERS / 2;
	*voters = total % 2 == 1 || total == 0 ? total : total - 1;
	*learners = total - *voters;
}

/* ---- one region ---- */

typedef struct Candidate
{
	uint64_t store_id;
	const RegionPeer *peer; /* NULL: it would be new */
	int holder;				/* how much it speaks for holding the region */
	int voter;				/* and for voting */
	bool busy;
	size_t load;
} Candidate;

#define MAX_CANDIDATES 64

static bool
down_too_long(const PdRegion *region, uint64_t peer_id,
			  const PlacementClock *clock)
{
	for (size_t i = 0; i < region->n_down; i++)
		if (region->down[i].peer.id == peer_id &&
			region->down[i].down_seconds >=
				(uint64_t) (clock->max_down_us / 1000000))
			return true;
	return false;
}

static bool
votes(const RegionPeer *peer)
{
	return peer->role != PEER_LEARNER;
}

/* Marks of holders. */
#define LEAVES 1 /* its store does */
#define GONE 2	 /* for too long */
#define NEW 3	 /* a store that is well and has room */
#define SILENT 5 /* or its peer has not caught up */
#define WELL 6
#define WELL_VOTER 7
#define LEADER 8

/*
 * Those who vote go on, so that little changes.  A busy store is no good voter:
 * it may take no entries, and writes are refused where it leads.  It gives way
 * to a learner that is well, but not to one that has less than it.
 */
static int
mark_voter(const Candidate *c, bool has_vote)
{
	if (!c->busy || c->holder < WELL)
		return 4 * c->holder + (has_vote ? 1 : 0);
	if (c->holder == LEADER)
		return 4 * SILENT + 3;
	return 4 * SILENT + (has_vote ? 2 : 0);
}

/*
 * A peer that is there: well, or silent for a while, or to be replaced.  The
 * leader stays if anybody does, so that no move costs a hand-over in vain.
 */
static Candidate
judge_peer(const PlacementStores *stores, const PdRegion *region,
		   const RegionPeer *peer, const PlacementClock *clock)
{
	const PlacementStore *store = placement_find(stores, peer->store_id);
	Candidate c = {.store_id = peer->store_id, .peer = peer};
	bool well = store != NULL && store->alive &&
		!peer_is_down(region, peer->id) && !peer_is_pending(region, peer->id);

	if (store == NULL)
		c.holder = LEAVES;
	else if (store->lost || down_too_long(region, peer->id, clock))
		c.holder = GONE;
	else if (!well)
		c.holder = SILENT;
	else
		c.holder = votes(peer) ? WELL_VOTER : WELL;
	if (peer->id == region->leader.id && store != NULL)
		c.holder = LEADER;
	c.busy = store != NULL && store->busy;
	c.voter = mark_voter(&c, votes(peer));
	c.load = store == NULL ? SIZE_MAX : store->peers;
	return c;
}

static bool
better(const Candidate *a, const Candidate *b, bool as_voter)
{
	int mark_a = as_voter ? a->voter : a->holder;
	int mark_b = as_voter ? b->voter : b->holder;

	if (mark_a != mark_b)
		return mark_a > mark_b;
	if (a->load != b->load)
		return a->load < b->load;
	return a->store_id < b->store_id;
}

static void
sort(Candidate *c, int n, bool as_voter)
{
	for (int i = 1; i < n; i++)
		for (int k = i; k > 0 && better(&c[k], &c[k - 1], as_voter); k--)
		{
			Candidate swap = c[k];

			c[k] = c[k - 1];
			c[k - 1] = swap;
		}
}

/* Who is taken first; of these, who votes first. */
static void
rank(Candidate *c, int n, int total)
{
	sort(c, n, false);
	sort(c, total, true);
}

/* A store that is well, has room and has no peer yet. */
static Candidate
judge_store(const PlacementStore *store)
{
	Candidate c = {.store_id = store->id, .holder = NEW};

	c.voter = mark_voter(&c, false);
	c.load = store->peers;
	return c;
}

/* The emptiest stores, when there are more than can be looked at. */
static void
add_store(Candidate *c, int first, int *n, const PlacementStore *store)
{
	int fullest = first;

	if (*n < first + MAX_CANDIDATES)
	{
		c[(*n)++] = judge_store(store);
		return;
	}
	for (int i = first; i < *n; i++)
		if (c[i].load > c[fullest].load)
			fullest = i;
	if (store->peers < c[fullest].load)
		c[fullest] = judge_store(store);
}

static int
gather(const PlacementStores *stores, const PdRegion *region,
	   const PlacementClock *clock, Candidate *out)
{
	int n = 0;

	for (int i = 0; i < region->meta.n_peers; i++)
		out[n++] = judge_peer(stores, region, &region->meta.peers[i], clock);
	for (size_t i = 0; i < stores->n; i++)
		if (stores->stores[i].alive && !stores->stores[i].low &&
			region_peer_on(&region->meta, stores->stores[i].id) == NULL)
			add_store(out, region->meta.n_peers, &n, &stores->stores[i]);
	return n;
}

/* Can these voters decide anything, as far as is known? */
static bool
has_quorum(const Candidate *c, int n_voters)
{
	int well = 0;

	for (int i = 0; i < n_voters; i++)
		well += c[i].holder >= WELL || c[i].peer == NULL;
	return well > n_voters / 2;
}

/*
 * Would the region be written to no more, as it is now?  Most of those who are
 * to vote are short of disk space then, and not most of those who do.
 */
static bool
ends_writes(const Candidate *c, int n, int n_voters)
{
	int busy_then = 0;
	int busy_now = 0;
	int now = 0;

	for (int i = 0; i < n; i++)
	{
		bool votes_now = c[i].peer != NULL && votes(c[i].peer);

		busy_then += i < n_voters && c[i].busy;
		busy_now += votes_now && c[i].busy;
		now += votes_now;
	}
	return 2 * busy_then > n_voters && 2 * busy_now <= now;
}

/*
 * Then those that have room come first, though their data have yet to come,
 * before those that are short of it and do not vote.
 */
static void
prefer_room(Candidate *c, int n)
{
	for (int i = 0; i < n; i++)
		if (c[i].peer == NULL)
			c[i].voter = 4 * WELL;
		else if (c[i].busy && !votes(c[i].peer))
			c[i].holder = GONE;
}

static void
plan_as_is(const PdRegion *region, RegionPlan *out)
{
	out->n = 0;
	for (int i = 0; i < region->meta.n_peers; i++)
	{
		const RegionPeer *peer = &region->meta.peers[i];

		out->peers[out->n++] =
			(PlannedPeer){peer->store_id,
						  votes(peer) ? PEER_VOTER : PEER_LEARNER};
	}
}

void
placement_plan(const PlacementStores *stores, const PdRegion *region,
			   const PlacementClock *clock, RegionPlan *out)
{
	Candidate c[MAX_CANDIDATES + REGION_MAX_PEERS];
	int n = gather(stores, region, clock, c);
	int voters;
	int learners;
	int total;

	placement_count(stores->n, stores->max_replicas, &voters, &learners);
	total = voters + learners < n ? voters + learners : n;
	if (total < voters)
		voters = total % 2 == 1 || total == 0 ? total : total - 1;
	rank(c, n, total);
	if (ends_writes(c, n, voters))
	{
		prefer_room(c, n);
		rank(c, n, total);
	}
	if (voters == 0 || !has_quorum(c, voters) || ends_writes(c, n, voters))
	{
		plan_as_is(region, out);
		return;
	}
	out->n = 0;
	for (int i = 0; i < total; i++)
		out->peers[out->n++] =
			(PlannedPeer){c[i].store_id,
						  i < voters ? PEER_VOTER : PEER_LEARNER};
}
