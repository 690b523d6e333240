/*
 * balance.c
 *	  Leaders and peers evenly over the stores.
 *
 * By count, as tikv/pd's balance-leader does by default.  One move narrows
 * the gap between the fullest and the emptiest store, and none is made for a
 * gap of one, which would only turn around.  Nothing moves while the region is
 * not as the replica checker wants it.
 */
#include "pd/core/schedule_internal.h"

static bool
is_well(const Schedule *schedule, const PdRegion *region)
{
	if (region->leader.id == 0 || region->n_down > 0 || region->n_pending > 0 ||
		region_is_joint(&region->meta) ||
		schedule_find(schedule, region->meta.id) != NULL)
		return false;
	for (int i = 0; i < region->meta.n_peers; i++)
	{
		const PlacementStore *store =
			placement_find(&schedule->stores, region->meta.peers[i].store_id);

		if (store == NULL || !store->alive)
			return false;
	}
	return true;
}

/* ---- from whom to whom ---- */

/* How many of the fullest and of the emptiest are tried. */
#define TRIED 8

typedef struct Gap
{
	PlacementStore *from[TRIED]; /* fullest first */
	PlacementStore *to[TRIED];	 /* emptiest first */
	int n_from;
	int n_to;
} Gap;

static size_t
load_of(const PlacementStore *store, bool leaders)
{
	return leaders ? store->leaders : store->peers;
}

static void
insert(PlacementStore **list, int *n, PlacementStore *store, bool leaders,
	   bool fullest)
{
	int at = *n;

	while (at > 0 &&
		   (fullest ? load_of(store, leaders) > load_of(list[at - 1], leaders) :
					  load_of(store, leaders) < load_of(list[at - 1], leaders)))
		at--;
	if (at == TRIED)
		return;
	if (*n < TRIED)
		(*n)++;
	for (int i = *n - 1; i > at; i--)
		list[i] = list[i - 1];
	list[at] = store;
}

static Gap
find_gap(const PlacementStores *stores, bool leaders)
{
	Gap gap = {0};

	for (size_t i = 0; i < stores->n; i++)
	{
		if (!stores->stores[i].alive)
			continue;
		insert(gap.from, &gap.n_from, &stores->stores[i], leaders, true);
		if (leaders ? !stores->stores[i].busy : !stores->stores[i].low)
			insert(gap.to, &gap.n_to, &stores->stores[i], leaders, false);
	}
	return gap;
}

/* ---- leaders ---- */

static bool
move_leader(Schedule *schedule, const PdState *state, PlacementStore *from,
			const PlacementStore *to, int64_t now_us)
{
	const RegionTree *tree = &state->cluster.regions;

	for (size_t i = 0; i < tree->n; i++)
	{
		const PdRegion *region = tree->by_key[i];
		const RegionPeer *heir = region_peer_on(&region->meta, to->id);
		Operator op;

		if (region->leader.store_id != from->id || heir == NULL ||
			heir->role != PEER_VOTER || !is_well(schedule, region) ||
			!operator_transfer(region, to->id, &op))
			continue;
		if (!schedule_begin(schedule, &op, "balance-leader", OPERATOR_LEADER,
							now_us))
			continue;
		from->leaders--;
		return true;
	}
	return false;
}

/* From the store with most leaders to one with the fewest that can. */
static bool
balance_one_leader(Schedule *schedule, const PdState *state, int64_t now_us)
{
	Gap gap = find_gap(&schedule->stores, true);

	for (int f = 0; f < gap.n_from; f++)
		for (int t = 0; t < gap.n_to; t++)
			if (gap.from[f]->leaders >= gap.to[t]->leaders + 2 &&
				move_leader(schedule, state, gap.from[f], gap.to[t], now_us))
				return true;
	return false;
}

/* ---- peers ---- */

static bool
move_peer(Schedule *schedule, PdState *state, const PlacementStore *from,
		  const PlacementStore *to, int64_t now_us, PdChanges *changes)
{
	const RegionTree *tree = &state->cluster.regions;

	for (size_t i = 0; i < tree->n; i++)
	{
		const PdRegion *region = tree->by_key[i];
		const RegionPeer *mover = region_peer_on(&region->meta, from->id);
		RegionPlan plan = {0};

		if (mover == NULL || mover->id == region->leader.id ||
			region_peer_on(&region->meta, to->id) != NULL ||
			!is_well(schedule, region))
			continue;
		for (int p = 0; p < region->meta.n_peers; p++)
		{
			const RegionPeer *peer = &region->meta.peers[p];

			plan.peers[plan.n++] =
				(PlannedPeer){peer == mover ? to->id : peer->store_id,
							  peer->role};
		}
		if (schedule_plan(schedule, state, &plan, region, "balance-region",
						  OPERATOR_REGION, now_us, changes))
			return true;
	}
	return false;
}

static bool
balance_one_peer(Schedule *schedule, PdState *state, int64_t now_us,
				 PdChanges *changes)
{
	Gap gap = find_gap(&schedule->stores, false);

	for (int f = 0; f < gap.n_from; f++)
		for (int t = 0; t < gap.n_to; t++)
			if (gap.from[f]->peers >= gap.to[t]->peers + 2 &&
				move_peer(schedule, state, gap.from[f], gap.to[t], now_us,
						  changes))
				return true;
	return false;
}

void
schedule_balance(Schedule *schedule, PdState *state, int64_t now_us,
				 PdChanges *changes)
{
	while (!schedule_is_paused(schedule, SCHEDULE_LEADERS, now_us) &&
		   schedule_count(schedule, OPERATOR_LEADER) < SCHEDULE_LEADER_LIMIT &&
		   balance_one_leader(schedule, state, now_us))
		;
	if (schedule_is_paused(schedule, SCHEDULE_PEERS, now_us) ||
		schedule_count(schedule, OPERATOR_REPLICA) > 0)
		return;
	while (schedule_count(schedule, OPERATOR_REGION) < SCHEDULE_REGION_LIMIT &&
		   balance_one_peer(schedule, state, now_us, changes))
		;
}
