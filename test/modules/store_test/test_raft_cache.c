/*
 * test_raft_cache.c
 *	  What all groups of a store keep of their logs, and what a turn reads of
 *	  them: bounds that hold, and turns that leave nobody out.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "guc.h"
#include "store/replicas.h"
#include "unit.h"

#define MIB ((size_t) 1 << 20)
#define PEERS 100

/* ---- what stands in for the rest of the store */

/* A group: what it keeps, and what its follower lacks. */
struct Raft
{
	size_t cached;
	size_t lacks;
};

TikvSettings tikv_fdw_settings;
WorkerMetrics *metrics_mine;

static WorkerMetrics slot;
static Raft rafts[PEERS];
static Peer peers[PEERS];
static Peer *awake[PEERS];
static Replicas replicas;
static Store store;

size_t
raft_cached_bytes(const Raft *r)
{
	return r->cached;
}

void
raft_give_back(Raft *r, size_t cached_bytes)
{
	r->cached = Min(r->cached, cached_bytes);
}

Peer *
store_find_peer(Store *of, uint64 region_id)
{
	(void) of;
	return region_id >= 1 && region_id <= PEERS &&
			awake[region_id - 1] != NULL ?
		&peers[region_id - 1] :
		NULL;
}

/* So many groups are awake. */
static void
begin(int n, int memory_limit_mb)
{
	tikv_fdw_settings.memory_limit_mb = memory_limit_mb;
	metrics_mine = &slot;
	memset(rafts, 0, sizeof(rafts));
	memset(awake, 0, sizeof(awake));
	memset(&replicas, 0, sizeof(replicas));
	store.replicas = &replicas;
	store.lists[PEERS_AWAKE] = (PeerList){awake, n, PEERS};
	for (int i = 0; i < n; i++)
	{
		awake[i] = &peers[i];
		peers[i].store = &store;
		peers[i].raft = &rafts[i];
		peers[i].region.id = (uint64) i + 1;
		peers[i].places[PEERS_AWAKE] = i + 1;
	}
}

/* ---- what is kept */

static size_t
kept(int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += rafts[i].cached;
	return sum;
}

static uint64
told(void)
{
	return pg_atomic_read_u64(&slot.values[VALUE_RAFT_CACHED_BYTES]);
}

/* Of so many groups with a MiB each. */
static size_t
bound(int n, int memory_limit_mb)
{
	begin(n, memory_limit_mb);
	for (int i = 0; i < n; i++)
		rafts[i].cached = MIB;
	raft_cache_bound(&store);
	EQ_U64(told(), kept(n), "the metric is what is kept");
	return kept(n);
}

static void
test_kept(void)
{
	size_t all = bound(PEERS, -1);

	OK(all <= 64 * MIB, "64 MiB at most");
	OK(all > 40 * MIB, "and not much less");
	EQ_U64(rafts[0].cached, rafts[PEERS - 1].cached, "each has its share");
	EQ_U64(bound(64, -1), 64 * MIB, "up to the bound all is kept");
	OK(bound(65, -1) < 64 * MIB, "beyond it room is made for more");
	OK(bound(PEERS, 0) > 40 * MIB && kept(PEERS) <= 64 * MIB,
	   "so it is without a limit of memory");
	OK(bound(PEERS, 4096) > 40 * MIB && kept(PEERS) <= 64 * MIB,
	   "and with a large one");
	OK(bound(PEERS, 128) <= 32 * MIB && kept(PEERS) > 20 * MIB,
	   "a quarter of a small one");
	OK(bound(PEERS, 1) <= 4 * MIB && kept(PEERS) > 2 * MIB,
	   "and 4 MiB with a tiny one");
	EQ_U64(bound(0, -1), 0, "nobody is awake");
}

/* Who keeps little gives nothing back. */
static void
test_shares(void)
{
	begin(PEERS, -1);
	rafts[0].cached = 100 * MIB;
	rafts[1].cached = 1000;
	raft_cache_bound(&store);
	EQ_U64(rafts[1].cached, 1000, "one that keeps little goes on keeping it");
	OK(rafts[0].cached < MIB, "one that keeps much has its share");
}

/* ---- what a turn reads */

static int order[PEERS];
static int n_taken;
static size_t read_bytes;

/* Three pages of a MiB for a group, if it may read them. */
static void
take(RaftTurn *turn, Peer *peer)
{
	RaftEntry page = {.data = {NULL, MIB}};

	(void) turn;
	order[n_taken++] = (int) peer->region.id - 1;
	for (int i = 0; i < 3 && peer->raft->lacks > 0; i++)
	{
		if (!raft_cache_may_read(peer))
			return;
		raft_cache_count_read(peer, &page, 1);
		read_bytes += MIB;
		peer->raft->lacks -= MIB;
	}
}

static size_t
run_turn(void)
{
	RaftTurn turn = {.store = &store};

	n_taken = 0;
	read_bytes = 0;
	raft_cache_each(&turn, take);
	return read_bytes;
}

static void
begin_reading(int n, int memory_limit_mb)
{
	begin(n, memory_limit_mb);
	for (int i = 0; i < n; i++)
		rafts[i].lacks = 6 * MIB;
}

static int
n_served(int n)
{
	int served = 0;

	for (int i = 0; i < n; i++)
		served += rafts[i].lacks < 6 * MIB;
	return served;
}

static void
test_read(void)
{
	begin_reading(20, -1);
	EQ_U64(run_turn(), 8 * MIB, "a turn reads 8 MiB");
	EQ_U64(n_taken, 20, "all have their turn");
	EQ_U64(order[0], 0, "the first comes first");
	EQ_U64(run_turn(), 8 * MIB, "the next one reads as much");
	EQ_U64(n_taken, 20, "all have their turn again");
	EQ_U64(order[0], 2, "who had to wait comes first");
	EQ_U64(order[19], 1, "who did not comes last");
	for (int i = 2; i < 10; i++)
		(void) run_turn();
	EQ_U64(n_served(20), 20, "nobody waits for others to have all");
	OK(rafts[0].lacks > 0, "which nobody has by then");
	for (int i = 10; i < 15; i++)
		(void) run_turn();
	EQ_U64(run_turn(), 0, "in the end all have all");
	begin_reading(20, 16);
	EQ_U64(run_turn(), MIB, "less with a small limit: the page beyond is last");
	begin_reading(20, 128);
	EQ_U64(run_turn(), 4 * MIB, "an eighth of what may be kept");
}

static void
test_waiting_one_is_gone(void)
{
	begin_reading(20, -1);
	(void) run_turn();
	awake[2] = awake[19];
	store.lists[PEERS_AWAKE].n = 19;
	peers[19].places[PEERS_AWAKE] = 3;
	peers[2].places[PEERS_AWAKE] = 0;
	(void) run_turn();
	EQ_U64(n_taken, 19, "one that fell asleep is passed over");
	EQ_U64(order[0], 0, "it begins in front");

	begin_reading(3, -1);
	(void) run_turn();
	store.lists[PEERS_AWAKE].n = 2;
	awake[2] = NULL;
	(void) run_turn();
	EQ_U64(n_taken, 2, "so is one that was removed");
	EQ_U64(order[0], 0, "likewise");

	begin(0, -1);
	EQ_U64(run_turn(), 0, "nobody is awake");
}

int
main(void)
{
	test_kept();
	test_shares();
	test_read();
	test_waiting_one_is_gone();
	return unit_done();
}
