/*
 * raft_cache.c
 *	  What the groups of a store keep of their logs in memory, all together, and
 *	  how much of their logs one turn reads back for followers.
 *
 * Each group keeps what its living followers lack, up to a bound of its own
 * (core/raft); a store may have ten thousand.  What is given back is in the
 * table of the log: it costs a look there when somebody asks for it.  When a
 * store comes back after a while, all its groups ask for much at once.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "core/base/check.h"
#include "guc.h"
#include "store/replicas.h"

/* A quarter of tikv.memory_limit, in these bounds. */
#define SHARE_MAX_BYTES ((size_t) 64 << 20)
#define SHARE_MIN_BYTES ((size_t) 4 << 20)

/*
 * Read for followers in one turn, as a part of that; the page that goes beyond
 * is the last.
 */
#define TURN_READ_PART 8

size_t
raft_memory_share(void)
{
	size_t limit = (size_t) Max(tikv_fdw_settings.memory_limit_mb, 0) << 20;

	if (limit == 0)
		return SHARE_MAX_BYTES;
	return Max(Min(limit / 4, SHARE_MAX_BYTES), SHARE_MIN_BYTES);
}

static size_t
cached_bytes(const PeerList *peers)
{
	size_t sum = 0;

	for (int i = 0; i < peers->n; i++)
		sum += raft_cached_bytes(peers->peers[i]->raft);
	return sum;
}

/*
 * Beyond the bound each group keeps an equal share of three quarters of it: so
 * it takes a while until all have to be looked at again.
 */
void
raft_cache_bound(Store *store)
{
	const PeerList *awake = &store->lists[PEERS_AWAKE];
	size_t most =
		FAILPOINT_ERROR("store_keeps_no_entries") ? 0 : raft_memory_share();
	size_t sum = cached_bytes(awake);

	if (sum > most)
	{
		for (int i = 0; i < awake->n; i++)
			raft_give_back(awake->peers[i]->raft,
						   most / 4 * 3 / (size_t) awake->n);
		sum = cached_bytes(awake);
	}
	metrics_set(VALUE_RAFT_CACHED_BYTES, sum);
}

void
raft_cache_count_read(Peer *peer, const RaftEntry *entries, int n)
{
	for (int i = 0; i < n; i++)
		peer->store->replicas->read_bytes += entries[i].data.len;
}

/* The first that has to wait is the first of the next turn. */
bool
raft_cache_may_read(Peer *peer)
{
	Replicas *replicas = peer->store->replicas;

	if (replicas->read_bytes < raft_memory_share() / TURN_READ_PART)
		return true;
	if (replicas->read_refused == 0)
		replicas->read_refused = peer->region.id;
	return false;
}

/* Which of those that are awake had to wait. */
static int
first_peer(const Store *store)
{
	const Peer *peer = store->replicas->read_refused == 0 ?
		NULL :
		store_find_peer((Store *) store, store->replicas->read_refused);

	return peer == NULL ? 0 : Max(peer->places[PEERS_AWAKE] - 1, 0);
}

/* Who had to wait in the last turn comes first. */
void
raft_cache_each(RaftTurn *turn, void (*take)(RaftTurn *turn, Peer *peer))
{
	const PeerList *awake = &turn->store->lists[PEERS_AWAKE];
	Replicas *replicas = turn->store->replicas;
	int first = first_peer(turn->store);
	int n = awake->n;

	replicas->read_bytes = 0;
	replicas->read_refused = 0;
	for (int i = 0; i < n; i++)
		take(turn, awake->peers[(first + i) % n]);
	CHECK(awake->n == n);
}
