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
#include "store/replicas.h"

/* Of stored entries, in all groups. */
#define CACHE_BYTES ((size_t) 64 << 20)

/* Read for followers in one turn; the page that goes beyond is the last. */
#define TURN_READ_BYTES ((size_t) 8 << 20)

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
	size_t most = FAILPOINT_ERROR("store_keeps_no_entries") ? 0 : CACHE_BYTES;
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
raft_cache_begin_turn(Store *store)
{
	store->replicas->read_bytes = 0;
	store->replicas->read_refused = 0;
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

	if (replicas->read_bytes < TURN_READ_BYTES)
		return true;
	if (replicas->read_refused == 0)
		replicas->read_refused = peer->region.id;
	return false;
}

int
raft_cache_first_peer(const Store *store)
{
	const Peer *peer = store->replicas->read_refused == 0 ?
		NULL :
		store_find_peer((Store *) store, store->replicas->read_refused);

	return peer == NULL ? 0 : Max(peer->places[PEERS_AWAKE] - 1, 0);
}
