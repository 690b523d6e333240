/*
 * background.c
 *	  Which slice of long work is due, and what slices share.
 */
#include "postgres.h"

#include "bus/tasks.h"
#include "core/codec/memcomparable.h"
#include "core/region/region.h"
#include "store/store.h"

void
background_init(Store *store)
{
	memset(&store->ranges, 0, sizeof(store->ranges));
	memset(&store->sweeper, 0, sizeof(store->sweeper));
	expiry_map_init(&store->sweeper.map);
	store->ranges.due_us = PG_INT64_MAX;
	store->sweeper.due_us = PG_INT64_MAX;
}

void
background_free(Store *store)
{
	expiry_map_free(&store->sweeper.map);
}

void
background_load(Store *store)
{
	tasks_reset();
	range_delete_load(store);
	store->sweeper.enabled = api_has_ttl(store->meta.api);
	store->sweeper.due_us = store->sweeper.enabled ? 0 : PG_INT64_MAX;
}

int64
background_due_us(const Store *store)
{
	return Min(store->ranges.due_us, store->sweeper.due_us);
}

/*
 * Deletions come first: somebody waits for them.  Neither writes while space
 * or transaction ids are short, since what they free comes back too late.
 */
int
background_run(Store *store)
{
	int64 now_us = dispatch_now_us();
	int64 later_us = now_us + BACKGROUND_RETRY_US;

	if (now_us < background_due_us(store))
		return 0;
	guard_refresh(&store->guard, now_us);
	if (store->guard.disk != GUARD_OK || store->guard.xids_low)
	{
		if (store->ranges.due_us <= now_us)
			store->ranges.due_us = later_us;
		if (store->sweeper.due_us <= now_us)
			store->sweeper.due_us = later_us;
		return 0;
	}
	if (store->ranges.due_us <= now_us)
		range_delete_run(store);
	else
		sweeper_run(store);
	return 1;
}

void
background_stop(Store *store, const char *reason)
{
	range_delete_stop(store, reason);
}

/* The peer whose region holds a key, if it leads. */
static Peer *
leader_of_key(Store *store, Bytes key)
{
	Bytes bound = key;

	if (store->meta.api == API_V2)
		bound = memcomparable_encode(key, &store->arena);
	for (int i = 0; i < store->n_peers; i++)
	{
		Peer *peer = &store->peers[i];

		if (region_contains(&peer->region, bound))
			return raft_role(peer->raft) == RAFT_LEADER ? peer : NULL;
	}
	return NULL;
}

/* One entry: the deletions of keys that follow each other in one region. */
static bool
propose(Store *store, Peer *peer, RawCf cf, const Bytes *keys, int n)
{
	RawCommand *command = arena_zalloc(&store->arena, sizeof(*command));

	command->cf = cf;
	command->n_modifies = (size_t) n;
	command->modifies =
		arena_zalloc(&store->arena, (size_t) n * sizeof(RawModify));
	for (int i = 0; i < n; i++)
	{
		RawModify *modify = &command->modifies[i];

		modify->kind = RAW_DELETE;
		modify->cf = cf;
		modify->key = keys[i];
		command->write_bytes += keys[i].len;
	}
	return turn_propose(store, peer, command);
}

int
background_delete(Store *store, RawCf cf, const Bytes *keys, int n)
{
	int proposed = 0;

	for (int from = 0; from < n;)
	{
		Peer *peer = leader_of_key(store, keys[from]);
		int to = from + 1;

		while (to < n && leader_of_key(store, keys[to]) == peer)
			to++;
		if (peer != NULL && propose(store, peer, cf, keys + from, to - from))
			proposed += to - from;
		from = to;
	}
	return proposed;
}
