/*
 * scatter.c
 *	  Regions of a group apart.
 */
#include "pd/core/scatter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "pd/core/schedule_internal.h"

#define MAX_NAME 256

typedef struct ScatterCount
{
	uint64_t store_id;
	uint64_t peers;
	uint64_t leaders;
} ScatterCount;

struct ScatterGroup
{
	char name[MAX_NAME];
	int64_t used_us;
	ScatterCount *counts;
	size_t n;
};

/* ---- groups ---- */

void
scatter_forget(Schedule *schedule)
{
	for (size_t i = 0; i < schedule->n_groups; i++)
		free(schedule->groups[i].counts);
	free(schedule->groups);
	schedule->groups = NULL;
	schedule->n_groups = 0;
}

static void
drop_group(Schedule *schedule, size_t at)
{
	free(schedule->groups[at].counts);
	schedule->groups[at] = schedule->groups[--schedule->n_groups];
}

/* Those that are out of use, or else the oldest if there is no room. */
static void
make_room(Schedule *schedule, int64_t now_us)
{
	size_t oldest = 0;

	for (size_t i = schedule->n_groups; i > 0; i--)
		if (now_us - schedule->groups[i - 1].used_us >= SCATTER_GROUP_US)
			drop_group(schedule, i - 1);
	for (size_t i = 1; i < schedule->n_groups; i++)
		if (schedule->groups[i].used_us < schedule->groups[oldest].used_us)
			oldest = i;
	if (schedule->n_groups == SCATTER_MAX_GROUPS)
		drop_group(schedule, oldest);
}

static ScatterGroup *
find_group(Schedule *schedule, const char *name, int64_t now_us)
{
	ScatterGroup *group;

	make_room(schedule, now_us);
	for (size_t i = 0; i < schedule->n_groups; i++)
		if (strncmp(schedule->groups[i].name, name, MAX_NAME - 1) == 0)
			return &schedule->groups[i];
	if (schedule->groups == NULL)
		schedule->groups = calloc(SCATTER_MAX_GROUPS, sizeof(ScatterGroup));
	CHECK(schedule->groups != NULL);
	group = &schedule->groups[schedule->n_groups++];
	memset(group, 0, sizeof(*group));
	snprintf(group->name, sizeof(group->name), "%s", name);
	return group;
}

static ScatterCount *
count_of(ScatterGroup *group, uint64_t store_id)
{
	for (size_t i = 0; i < group->n; i++)
		if (group->counts[i].store_id == store_id)
			return &group->counts[i];
	group->counts =
		realloc(group->counts, (group->n + 1) * sizeof(ScatterCount));
	CHECK(group->counts != NULL);
	group->counts[group->n] = (ScatterCount){.store_id = store_id};
	return &group->counts[group->n++];
}

/* ---- where to ---- */

static bool
is_planned(const RegionPlan *plan, uint64_t store_id)
{
	for (int i = 0; i < plan->n; i++)
		if (plan->peers[i].store_id == store_id)
			return true;
	return false;
}

/*
 * Where the peer goes: to the store that the group uses least, and stays if
 * its own is such a one.  Of equals the one with fewer peers.
 */
static uint64_t
pick_store(const Schedule *schedule, ScatterGroup *group,
		   const PdRegion *region, const RegionPeer *peer,
		   const RegionPlan *plan)
{
	uint64_t best = peer->store_id;
	uint64_t least = count_of(group, best)->peers;
	size_t load = 0;

	for (size_t i = 0; i < schedule->stores.n; i++)
	{
		const PlacementStore *store = &schedule->stores.stores[i];
		uint64_t count;

		if (!store->alive || store->low || is_planned(plan, store->id) ||
			region_peer_on(&region->meta, store->id) != NULL)
			continue;
		count = count_of(group, store->id)->peers;
		if (count < least ||
			(count == least && best != peer->store_id && store->peers < load))
		{
			best = store->id;
			least = count;
			load = store->peers;
		}
	}
	return best;
}

static uint64_t
pick_leader(const Schedule *schedule, ScatterGroup *group,
			const PdRegion *region, const RegionPlan *plan)
{
	uint64_t best = 0;
	uint64_t least = 0;

	for (int i = 0; i < plan->n; i++)
	{
		uint64_t store_id = plan->peers[i].store_id;
		uint64_t count = count_of(group, store_id)->leaders;
		const PlacementStore *store =
			placement_find(&schedule->stores, store_id);

		if (plan->peers[i].role != PEER_VOTER)
			continue;
		if (store != NULL && store->busy)
			count = UINT64_MAX; /* if nobody else can */
		if (best == 0 || count < least ||
			(count == least && store_id == region->leader.store_id))
		{
			best = store_id;
			least = count;
		}
	}
	return best;
}

static void
plan_scatter(const Schedule *schedule, ScatterGroup *group,
			 const PdRegion *region, RegionPlan *plan)
{
	plan->n = 0;
	for (int i = 0; i < region->meta.n_peers; i++)
	{
		const RegionPeer *peer = &region->meta.peers[i];
		uint64_t store = pick_store(schedule, group, region, peer, plan);

		plan->peers[plan->n++] = (PlannedPeer){store, peer->role};
	}
}

static void
note_plan(ScatterGroup *group, const RegionPlan *plan, uint64_t leader,
		  int64_t now_us)
{
	for (int i = 0; i < plan->n; i++)
		count_of(group, plan->peers[i].store_id)->peers++;
	count_of(group, leader)->leaders++;
	group->used_us = now_us;
}

/* ---- one region ---- */

/* NULL: it can be moved; the words are tikv/pd's. */
static const char *
in_the_way(const Schedule *schedule, const PdRegion *region, int64_t now_us,
		   Arena *arena)
{
	PlacementClock clock = schedule_clock(schedule, now_us);
	RegionPlan rule;
	uint64_t id = region->meta.id;
	const Operator *op = schedule_find(schedule, id);

	if (op != NULL && op->kind == OPERATOR_REPLICA)
		return arena_printf(arena,
							"the operator of region %" PRIu64 " already exist",
							id);
	if (region->leader.id == 0)
		return arena_printf(arena, "region %" PRIu64 " has no leader", id);
	placement_plan(&schedule->stores, region, &clock, &rule);
	if (region_is_joint(&region->meta) || region->n_down > 0 ||
		region->n_pending > 0 || rule.n > region->meta.n_peers)
		return arena_printf(arena, "region %" PRIu64 " is not fully replicated",
							id);
	return NULL;
}

/* The steps of the plan, then those of leadership; false: there are none. */
static bool
make_steps(const Schedule *schedule, const RegionPlan *plan,
		   const PdRegion *region, uint64_t first_id, uint64_t leader,
		   Operator *out)
{
	if (!operator_plan(plan, region, &schedule->stores, first_id, out) &&
		plan_new_peers(plan, &region->meta) > 0)
		return false;
	if (leader != region->leader.store_id)
		operator_then_lead(out, region, leader);
	return out->n_steps > 0;
}

/* A first look without ids: stores may have no room. */
static bool
make_operator(const Schedule *schedule, PdState *state, const RegionPlan *plan,
			  const PdRegion *region, uint64_t leader, bool skip_store_limit,
			  PdChanges *changes, Operator *out)
{
	int n_new = plan_new_peers(plan, &region->meta);
	uint64_t last = 0;

	if (!make_steps(schedule, plan, region, 1, leader, out) ||
		(!skip_store_limit && !schedule_has_room(schedule, out)))
		return false;
	if (n_new == 0)
		return true;
	return pd_state_take_ids(state, (uint32_t) n_new, &last, changes) ==
		STATUS_OK &&
		make_steps(schedule, plan, region, last - (uint64_t) n_new + 1, leader,
				   out);
}

/* One of balance gives way to what somebody has asked for. */
static void
replace_balance(Schedule *schedule, uint64_t region_id, int64_t now_us)
{
	Operator *op = schedule_find(schedule, region_id);

	if (op == NULL)
		return;
	op->status = OPERATOR_REPLACE;
	schedule_end(schedule, op, now_us);
}

static bool
is_under_way(const Schedule *schedule, uint64_t region_id)
{
	const Operator *op = schedule_find(schedule, region_id);

	return op != NULL && op->kind == OPERATOR_SCATTER;
}

ScatterEnd
scatter_region(Schedule *schedule, PdState *state, uint64_t region_id,
			   const char *group_name, bool skip_store_limit, int64_t now_us,
			   PdChanges *changes, const char **why)
{
	const PdRegion *region =
		region_tree_get(&state->cluster.regions, region_id);
	ScatterGroup *group = find_group(schedule, group_name, now_us);
	RegionPlan plan;
	Operator op;
	uint64_t leader;

	if (region == NULL)
	{
		*why = arena_printf(changes->arena, "failed to find region %" PRIu64,
							region_id);
		return SCATTER_REFUSED;
	}
	if (is_under_way(schedule, region_id))
		return SCATTER_STAYS;
	if (!schedule->counted)
		schedule_recount(schedule, state, now_us);
	*why = in_the_way(schedule, region, now_us, changes->arena);
	if (*why != NULL)
		return SCATTER_REFUSED;
	plan_scatter(schedule, group, region, &plan);
	leader = pick_leader(schedule, group, region, &plan);
	if (leader == region->leader.store_id &&
		plan_new_peers(&plan, &region->meta) == 0)
	{
		note_plan(group, &plan, leader, now_us);
		return SCATTER_STAYS;
	}
	if (!make_operator(schedule, state, &plan, region, leader, skip_store_limit,
					   changes, &op))
	{
		*why = arena_printf(changes->arena,
							"region %" PRIu64 " failed to add operator",
							region_id);
		return SCATTER_REFUSED;
	}
	replace_balance(schedule, region_id, now_us);
	note_plan(group, &plan, leader, now_us);
	(void) schedule_begin(schedule, &op, "scatter-region", OPERATOR_SCATTER,
						  now_us);
	return SCATTER_BEGUN;
}
