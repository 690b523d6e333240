/*
 * leaving.c
 *	  Who may be taken away without lowering how many have to keep a write.
 *
 * tikv/pd asks the same of stores (server/cluster/cluster.go,
 * checkReplicaBeforeOfflineStore), by max-replicas alone; there, too, force
 * says that somebody knows better.
 */
#include "pd/core/leaving.h"

#include <inttypes.h>

/* Of `what` number `silent` nothing is heard, and `now` voters become `then`. */
static PdError
refuse(const char *what, uint64_t silent, int now, int then, Arena *arena)
{
	return pd_errorf(arena, PD_UNKNOWN,
					 "%s %" PRIu64
					 " does not answer, and of %d voters %d would stay: have "
					 "its replacement join first, or delete it with "
					 "force=true",
					 what, silent, now, then);
}

/* ---- stores ---- */

/* The most voters that a region has. */
static int
voters_now(const RegionTree *regions)
{
	int most = 0;

	for (size_t i = 0; i < regions->n; i++)
	{
		const Region *region = &regions->by_key[i]->meta;
		int voters = 0;

		for (int p = 0; p < region->n_peers; p++)
			voters += region->peers[p].role == PEER_VOTER ||
				region->peers[p].role == PEER_INCOMING_VOTER;
		if (voters > most)
			most = voters;
	}
	return most;
}

/* Since this leader began, or for as long as makes a store disconnected. */
static bool
fell_silent(const PdStore *store, const PlacementClock *clock)
{
	int64_t heard =
		store->heard_us > clock->since_us ? store->heard_us : clock->since_us;

	return clock->now_us - heard >= clock->disconnect_us;
}

static bool
was_heard(const PdStore *store, const PlacementClock *clock)
{
	return store->heard_us != 0 && store->heard_us >= clock->since_us &&
		!fell_silent(store, clock);
}

/* Another store that is up and silent; 0: none. */
static uint64_t
silent_other(const Cluster *cluster, uint64_t but, const PlacementClock *clock)
{
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;

		if (store->state == STORE_UP && store->id != but &&
			fell_silent(store, clock))
			return store->id;
	}
	return 0;
}

PdError
leaving_check_store(const Cluster *cluster, uint64_t store_id, bool asks,
					const PlacementClock *clock, Arena *arena)
{
	const PdStore *store = cluster_store(cluster, store_id);
	int now = voters_now(&cluster->regions);
	size_t stay = 0;
	uint64_t silent;
	int learners;
	int then;

	if (store == NULL || store->state != STORE_UP)
		return pd_ok();
	for (size_t i = 0; i < cluster->n_stores; i++)
		stay += cluster->stores[i]->store.state == STORE_UP &&
			cluster->stores[i]->store.id != store_id;
	placement_count(stay, cluster->max_peer_count, &then, &learners);
	silent = asks || was_heard(store, clock) ?
		silent_other(cluster, store_id, clock) :
		store_id;
	if (then == 0 || then >= now || silent == 0)
		return pd_ok();
	return refuse("store", silent, now, then, arena);
}

/* ---- members ---- */

static const MemberView *
view_of(const MemberGroup *group, uint64_t id)
{
	for (size_t i = 0; i < group->n_views; i++)
		if (group->views[i].id == id)
			return &group->views[i];
	return NULL;
}

static bool
answers(const MemberGroup *group, uint64_t id)
{
	const MemberView *view = view_of(group, id);

	return id == group->leader || (view != NULL && view->active);
}

/* Another member that has a part in the group and is not heard; 0: none. */
static uint64_t
silent_member(const MemberGroup *group, uint64_t but)
{
	for (size_t i = 0; i < group->members->n; i++)
	{
		const PdMember *member = &group->members->items[i]->member;

		if (member->id != but && !member->leaving &&
			view_of(group, member->id) != NULL && !answers(group, member->id))
			return member->id;
	}
	return 0;
}

PdError
leaving_check_member(const MemberGroup *group, uint64_t id, bool asks,
					 Arena *arena)
{
	const PdMember *member = members_find(group->members, id);
	int now = group->conf->voters.n;
	size_t stay = 0;
	uint64_t silent;
	int learners;
	int then;

	if (member == NULL || member->leaving)
		return pd_ok();
	for (size_t i = 0; i < group->members->n; i++)
		stay += !group->members->items[i]->member.leaving &&
			group->members->items[i]->member.id != id;
	placement_count(stay, group->max_replicas, &then, &learners);
	silent = asks || answers(group, id) ? silent_member(group, id) : id;
	if (then == 0 || then >= now || silent == 0)
		return pd_ok();
	return refuse("member", silent, now, then, arena);
}
