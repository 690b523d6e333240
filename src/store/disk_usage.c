/*
 * disk_usage.c
 *	  Which stores have little disk space left, and what their groups can take.
 *
 * Every message to another store says how full the sender's disk is, as with
 * TiKV.  A store that has little takes writes as its leader sends them until it
 * has hardly any; so leaders refuse ordinary writes before, if they need it for
 * a majority.  Once it takes nothing, nothing that needs it can be committed.
 */
#include "postgres.h"

#include "core/cmd/region_change.h"
#include "core/raft/quorum.h"
#include "store/replicas.h"

DiskUsage
disk_usage_own(Store *store)
{
	guard_refresh(&store->guard, dispatch_now_us());
	if (store->guard.starved)
		return DISK_ALREADY_FULL;
	return store->guard.disk == GUARD_OK ? DISK_NORMAL : DISK_ALMOST_FULL;
}

/* In tikv_status(). */
void
disk_usage_show(Store *store)
{
	bool is_well = disk_usage_own(store) == DISK_NORMAL;

	worker_note(WORKER_STORE, WORKER_NOTE_DISK,
				is_well ? "" : store->guard.reason);
}

static FullStore *
find(const Replicas *replicas, uint64 store_id)
{
	for (int i = 0; i < replicas->n_full; i++)
		if (replicas->full[i].store_id == store_id)
			return &replicas->full[i];
	return NULL;
}

static FullStore *
add(Store *store, uint64 store_id)
{
	Replicas *replicas = store->replicas;
	FullStore *added;

	if (replicas->n_full == replicas->full_room)
	{
		int room = Max(8, replicas->full_room * 2);
		FullStore *larger =
			MemoryContextAlloc(store->context, room * sizeof(FullStore));

		if (replicas->n_full > 0)
			memcpy(larger, replicas->full,
				   replicas->n_full * sizeof(FullStore));
		if (replicas->full != NULL)
			pfree(replicas->full);
		replicas->full = larger;
		replicas->full_room = room;
	}
	added = &replicas->full[replicas->n_full++];
	added->store_id = store_id;
	return added;
}

void
disk_usage_note(Store *store, uint64 store_id, DiskUsage usage)
{
	Replicas *replicas = store->replicas;
	FullStore *known = find(replicas, store_id);

	if (usage == DISK_NORMAL)
	{
		if (known != NULL)
			*known = replicas->full[--replicas->n_full];
		return;
	}
	if (known == NULL)
		known = add(store, store_id);
	known->usage = usage;
}

DiskUsage
disk_usage_of(const Store *store, uint64 store_id)
{
	const FullStore *known = find(store->replicas, store_id);

	return known == NULL ? DISK_NORMAL : known->usage;
}

/* A write, and who would take its entry. */
typedef struct Question
{
	const Peer *peer;
	int disk_full_opt;
} Question;

/* The own disk is the guard's affair. */
static bool
takes(const Question *q, const RegionPeer *voter)
{
	DiskUsage usage = voter->id == q->peer->self.id ?
		DISK_NORMAL :
		disk_usage_of(q->peer->store, voter->store_id);

	return usage != DISK_ALREADY_FULL && (int) usage <= q->disk_full_opt;
}

static int
vote(const void *arg, uint64_t id)
{
	const Question *q = arg;
	const RegionPeer *voter = region_find_peer(&q->peer->region, id);

	return voter == NULL || takes(q, voter) ? 1 : -1;
}

static void
name_stores(const Question *q, Arena *arena, RegionError *error)
{
	const Region *region = &q->peer->region;
	uint64_t *stores =
		arena_alloc(arena, (size_t) region->n_peers * sizeof(uint64_t));
	const char *list = "";

	for (int i = 0; i < region->n_peers; i++)
	{
		const RegionPeer *voter = &region->peers[i];

		if (voter->role == PEER_LEARNER || takes(q, voter))
			continue;
		list = arena_printf(arena, "%s%s%llu", list,
							error->n_stores == 0 ? "" : ", ",
							(unsigned long long) voter->store_id);
		stores[error->n_stores++] = voter->store_id;
	}
	error->stores = stores;
	error->reason = arena_printf(
		arena,
		"disk full: region %llu has no majority of voters without stores %s, which are short of disk space",
		(unsigned long long) region->id, list);
}

bool
disk_usage_permits(const Peer *peer, int disk_full_opt, Arena *arena,
				   RegionError *error)
{
	Question q = {peer, disk_full_opt};
	RaftConfState conf;

	if (peer->store->replicas->n_full == 0)
		return true;
	raft_conf(peer->raft, &conf);
	if (raft_joint_vote(&conf, vote, &q) == RAFT_VOTE_WON)
		return true;
	memset(error, 0, sizeof(*error));
	error->kind = REGION_DISK_FULL;
	name_stores(&q, arena, error);
	return false;
}
