/*
 * operator.c
 *	  A piece of scheduling work on one region: its steps and its progress.
 */
#include "pd/core/operator.h"

#include <inttypes.h>

#include "core/base/check.h"
#include "pd/core/heir.h"

/*
 * How long a step may take: tikv/pd pkg/schedule/operator/operator.go has one
 * minute for what moves no data and ten for what does, and gives large regions
 * more.
 */
#define FAST_STEP_US INT64_C(60000000)
#define SLOW_STEP_US INT64_C(600000000)
#define FAST_US_PER_MB INT64_C(600000)
#define SLOW_US_PER_MB INT64_C(6000000)

/* ---- looking at a region ---- */

bool
region_is_joint(const Region *region)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].role == PEER_INCOMING_VOTER ||
			region->peers[i].role == PEER_DEMOTING_VOTER)
			return true;
	return false;
}

const RegionPeer *
region_peer_on(const Region *region, uint64_t store_id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].store_id == store_id)
			return &region->peers[i];
	return NULL;
}

bool
peer_is_pending(const PdRegion *region, uint64_t peer_id)
{
	for (size_t i = 0; i < region->n_pending; i++)
		if (region->pending[i].id == peer_id)
			return true;
	return false;
}

bool
peer_is_down(const PdRegion *region, uint64_t peer_id)
{
	for (size_t i = 0; i < region->n_down; i++)
		if (region->down[i].peer.id == peer_id)
			return true;
	return false;
}

bool
peer_may_lead(const RegionPeer *peer)
{
	return peer->role == PEER_VOTER || peer->role == PEER_INCOMING_VOTER;
}

/* ---- plans ---- */

static const PlannedPeer *
planned_on(const RegionPlan *plan, uint64_t store_id)
{
	for (int i = 0; i < plan->n; i++)
		if (plan->peers[i].store_id == store_id)
			return &plan->peers[i];
	return NULL;
}

int
plan_new_peers(const RegionPlan *plan, const Region *region)
{
	int n = 0;

	for (int i = 0; i < plan->n; i++)
		n += region_peer_on(region, plan->peers[i].store_id) == NULL;
	return n;
}

static void
add_step(Operator *op, StepKind kind, RegionPeer peer)
{
	CHECK(op->n_steps < OPERATOR_MAX_STEPS);
	op->steps[op->n_steps++] = (OperatorStep){kind, peer, false};
}

static void
begin(const PdRegion *region, Operator *op)
{
	memset(op, 0, sizeof(*op));
	op->region_id = region->meta.id;
	op->version = region->meta.epoch.version;
	op->conf_ver = op->step_conf_ver = region->meta.epoch.conf_ver;
	op->size_mb = region->approximate_size;
	op->status = OPERATOR_RUNNING;
}

/* New peers come as learners, whatever they shall be later. */
static void
plan_additions(const RegionPlan *plan, const Region *region, uint64_t next_id,
			   Operator *op)
{
	for (int i = 0; i < plan->n; i++)
	{
		const PlannedPeer *wanted = &plan->peers[i];
		RegionPeer peer = {0, wanted->store_id, PEER_LEARNER};

		if (region_peer_on(region, wanted->store_id) != NULL)
			continue;
		peer.id = next_id++;
		add_step(op, STEP_ADD_LEARNER, peer);
		if (wanted->role == PEER_VOTER)
			op->promoted[op->n_promoted++] = peer;
	}
}

/* A learner that still catches up is waited for like a new one. */
static void
plan_roles(const RegionPlan *plan, const PdRegion *region, Operator *op)
{
	for (int i = 0; i < region->meta.n_peers; i++)
	{
		const RegionPeer *peer = &region->meta.peers[i];
		const PlannedPeer *wanted = planned_on(plan, peer->store_id);
		bool votes = wanted != NULL && wanted->role == PEER_VOTER;

		if (votes && peer->role == PEER_LEARNER)
		{
			if (peer_is_pending(region, peer->id) ||
				peer_is_down(region, peer->id))
				add_step(op, STEP_ADD_LEARNER, *peer);
			op->promoted[op->n_promoted++] = *peer;
		}
		if (!votes && peer->role == PEER_VOTER)
			op->demoted[op->n_demoted++] = *peer;
	}
}

bool
operator_demotes(const Operator *op, uint64_t peer_id)
{
	for (int i = 0; i < op->n_demoted; i++)
		if (op->demoted[i].id == peer_id)
			return true;
	return false;
}

void
operator_add_heir(Operator *op, const RegionPeer *heir)
{
	add_step(op, STEP_TRANSFER_LEADER, *heir);
	op->steps[op->n_steps - 1].to_anybody = true;
}

void
operator_add_roles(Operator *op, StepKind kind)
{
	static const RegionPeer nobody;

	add_step(op, kind, nobody);
}

static void
plan_removals(const RegionPlan *plan, const Region *region, Operator *op)
{
	for (int i = 0; i < region->n_peers; i++)
		if (planned_on(plan, region->peers[i].store_id) == NULL)
			add_step(op, STEP_REMOVE_PEER, region->peers[i]);
}

bool
operator_plan(const RegionPlan *plan, const PdRegion *region,
			  const PlacementStores *stores, uint64_t first_id, Operator *out)
{
	CHECK(!region_is_joint(&region->meta));
	begin(region, out);
	if (region->meta.n_peers + plan_new_peers(plan, &region->meta) >
		REGION_MAX_PEERS)
		return false;
	plan_additions(plan, &region->meta, first_id, out);
	plan_roles(plan, region, out);
	if (!heir_plan_roles(region, stores, out))
		return false;
	plan_removals(plan, &region->meta, out);
	return out->n_steps > 0;
}

void
operator_then_lead(Operator *op, const PdRegion *region, uint64_t store_id)
{
	const RegionPeer *heir = region_peer_on(&region->meta, store_id);

	for (int i = 0; heir == NULL && i < op->n_promoted; i++)
		if (op->promoted[i].store_id == store_id)
			heir = &op->promoted[i];
	CHECK(heir != NULL);
	add_step(op, STEP_TRANSFER_LEADER, *heir);
}

bool
operator_leave_joint(const PdRegion *region, const PlacementStores *stores,
					 Operator *out)
{
	const RegionPeer *leader =
		region_peer_on(&region->meta, region->leader.store_id);
	const RegionPeer *heir;

	begin(region, out);
	if (!region_is_joint(&region->meta))
		return false;

	/* A leader that is on its way out must hand over first. */
	if (leader != NULL && leader->role == PEER_DEMOTING_VOTER)
	{
		heir = heir_find(region, out, stores, 0);
		if (heir == NULL)
			return false;
		operator_add_heir(out, heir);
	}
	operator_add_roles(out, STEP_LEAVE_JOINT);
	return true;
}

bool
operator_transfer(const PdRegion *region, uint64_t to_store, Operator *out)
{
	const RegionPeer *to = region_peer_on(&region->meta, to_store);

	begin(region, out);
	if (to == NULL || !peer_may_lead(to) || to->id == region->leader.id)
		return false;
	add_step(out, STEP_TRANSFER_LEADER, *to);
	return true;
}

/* ---- progress ---- */

static const RegionPeer *
peer_by_id(const Region *region, uint64_t id)
{
	for (int i = 0; i < region->n_peers; i++)
		if (region->peers[i].id == id)
			return &region->peers[i];
	return NULL;
}

static bool
has_role(const Region *region, uint64_t id, PeerRole role, PeerRole on_the_way)
{
	const RegionPeer *peer = peer_by_id(region, id);

	return peer != NULL && (peer->role == role || peer->role == on_the_way);
}

static bool
roles_changed(const Operator *op, const Region *region)
{
	for (int i = 0; i < op->n_promoted; i++)
		if (!has_role(region, op->promoted[i].id, PEER_VOTER,
					  PEER_INCOMING_VOTER))
			return false;
	for (int i = 0; i < op->n_demoted; i++)
		if (!has_role(region, op->demoted[i].id, PEER_LEARNER,
					  PEER_DEMOTING_VOTER))
			return false;
	return true;
}

/* By a voter that the operator leaves one. */
static bool
is_led_well(const Operator *op, const PdRegion *region)
{
	const RegionPeer *leader = peer_by_id(&region->meta, region->leader.id);

	return leader != NULL && peer_may_lead(leader) &&
		!operator_demotes(op, leader->id);
}

static bool
step_done(const Operator *op, const OperatorStep *step, const PdRegion *region)
{
	switch (step->kind)
	{
		case STEP_ADD_LEARNER:
			return peer_by_id(&region->meta, step->peer.id) != NULL &&
				!peer_is_pending(region, step->peer.id) &&
				!peer_is_down(region, step->peer.id);
		case STEP_CHANGE_ROLES:
			return roles_changed(op, &region->meta);
		case STEP_LEAVE_JOINT:
			return !region_is_joint(&region->meta);
		case STEP_TRANSFER_LEADER:
			return region->leader.id == step->peer.id ||
				(step->to_anybody && is_led_well(op, region));
		case STEP_REMOVE_PEER:
			return peer_by_id(&region->meta, step->peer.id) == NULL;
	}
	return false;
}

/* Does a later step move leadership away? */
static bool
hands_over_later(const Operator *op)
{
	for (int i = op->step + 1; i < op->n_steps; i++)
		if (op->steps[i].kind == STEP_TRANSFER_LEADER)
			return true;
	return false;
}

/* Everybody whose role is to change is there, and well enough. */
static bool
roles_possible(const Operator *op, const PdRegion *region)
{
	for (int i = 0; i < op->n_promoted; i++)
		if (peer_by_id(&region->meta, op->promoted[i].id) == NULL ||
			peer_is_down(region, op->promoted[i].id) ||
			peer_is_pending(region, op->promoted[i].id))
			return false;
	for (int i = 0; i < op->n_demoted; i++)
		if (peer_by_id(&region->meta, op->demoted[i].id) == NULL)
			return false;
	return !operator_demotes(op, region->leader.id) || hands_over_later(op);
}

/* Is the region still one that the step can be made for? */
static bool
step_possible(const Operator *op, const OperatorStep *step,
			  const PdRegion *region)
{
	const RegionPeer *peer;

	switch (step->kind)
	{
		case STEP_ADD_LEARNER:
			peer = region_peer_on(&region->meta, step->peer.store_id);
			if (region_is_joint(&region->meta))
				return false;

			/* not again, if somebody has removed it: its store buried the id */
			return peer == NULL ?
				region->meta.epoch.conf_ver == op->step_conf_ver :
				peer->id == step->peer.id;
		case STEP_CHANGE_ROLES:
			return !region_is_joint(&region->meta) &&
				roles_possible(op, region);
		case STEP_LEAVE_JOINT:
			peer = peer_by_id(&region->meta, region->leader.id);
			return peer == NULL || peer->role != PEER_DEMOTING_VOTER;
		case STEP_TRANSFER_LEADER:
			peer = peer_by_id(&region->meta, step->peer.id);
			return peer != NULL && peer_may_lead(peer) &&
				!peer_is_down(region, peer->id);
		case STEP_REMOVE_PEER:
			peer = peer_by_id(&region->meta, step->peer.id);
			return !region_is_joint(&region->meta) && peer != NULL &&
				peer->role == PEER_LEARNER && peer->id != region->leader.id;
	}
	return false;
}

static int64_t
step_limit_us(const Operator *op, const OperatorStep *step)
{
	int64_t mb = (int64_t) (op->size_mb > 100000 ? 100000 : op->size_mb);
	int64_t limit;

	if (step->kind == STEP_ADD_LEARNER)
	{
		limit = mb * SLOW_US_PER_MB;
		return limit > SLOW_STEP_US ? limit : SLOW_STEP_US;
	}
	limit = mb * FAST_US_PER_MB;
	return limit > FAST_STEP_US ? limit : FAST_STEP_US;
}

OperatorStatus
operator_progress(Operator *op, const PdRegion *region, int64_t now_us)
{
	if (op->status != OPERATOR_RUNNING)
		return op->status;
	if (region->meta.id != op->region_id ||
		region->meta.epoch.version != op->version ||
		region->meta.epoch.conf_ver < op->conf_ver)
		return op->status = OPERATOR_CANCEL;
	while (op->step < op->n_steps &&
		   step_done(op, &op->steps[op->step], region))
	{
		op->step++;
		op->step_us = now_us;
		op->step_conf_ver = region->meta.epoch.conf_ver;
		op->told_us = 0;
		op->n_told = 0;
	}
	if (op->step == op->n_steps)
		return op->status = OPERATOR_SUCCESS;
	if (!step_possible(op, &op->steps[op->step], region))
		return op->status = OPERATOR_CANCEL;
	if (now_us - op->step_us > step_limit_us(op, &op->steps[op->step]))
		return op->status = OPERATOR_TIMEOUT;
	return OPERATOR_RUNNING;
}

/* ---- orders ---- */

static void
order_change(Order *out, RegionPeer peer, PeerRole role, bool removed)
{
	peer.role = role;
	out->changes[out->n_changes++] = (PeerOrder){peer, removed};
}

static void
order_roles(const Operator *op, Order *out)
{
	for (int i = 0; i < op->n_promoted; i++)
		order_change(out, op->promoted[i], PEER_VOTER, false);
	for (int i = 0; i < op->n_demoted; i++)
		order_change(out, op->demoted[i], PEER_LEARNER, false);
}

bool
operator_order(const Operator *op, const PdRegion *region, Order *out)
{
	const OperatorStep *step = &op->steps[op->step];

	memset(out, 0, sizeof(*out));
	if (op->status != OPERATOR_RUNNING || region->leader.id == 0)
		return false;
	out->region_id = op->region_id;
	out->epoch = region->meta.epoch;
	out->target = region->leader;
	out->kind = ORDER_CHANGE_PEERS;
	switch (step->kind)
	{
		case STEP_ADD_LEARNER:
			/* It is there and catches up. */
			if (peer_by_id(&region->meta, step->peer.id) != NULL)
				return false;
			order_change(out, step->peer, PEER_LEARNER, false);
			return true;
		case STEP_CHANGE_ROLES:
			order_roles(op, out);
			return true;
		case STEP_LEAVE_JOINT:
			return true;
		case STEP_TRANSFER_LEADER:
			out->kind = ORDER_TRANSFER_LEADER;
			out->leader = step->peer;
			return true;
		case STEP_REMOVE_PEER:
			order_change(out, step->peer, PEER_LEARNER, true);
			return true;
	}
	return false;
}

/* ---- for people ---- */

const char *
operator_step_text(const Operator *op, int step, Arena *arena)
{
	const OperatorStep *s = &op->steps[step];
	const char *text = "";

	switch (s->kind)
	{
		case STEP_ADD_LEARNER:
			return arena_printf(arena,
								"add learner peer %" PRIu64
								" on store %" PRIu64,
								s->peer.id, s->peer.store_id);
		case STEP_CHANGE_ROLES:
			for (int i = 0; i < op->n_promoted; i++)
				text =
					arena_printf(arena,
								 "%s%spromote learner peer %" PRIu64
								 " on store %" PRIu64 " to voter",
								 text, text[0] == '\0' ? "" : ", ",
								 op->promoted[i].id, op->promoted[i].store_id);
			for (int i = 0; i < op->n_demoted; i++)
				text = arena_printf(arena,
									"%s%sdemote voter peer %" PRIu64
									" on store %" PRIu64 " to learner",
									text, text[0] == '\0' ? "" : ", ",
									op->demoted[i].id, op->demoted[i].store_id);
			return text;
		case STEP_LEAVE_JOINT:
			return "leave joint state";
		case STEP_TRANSFER_LEADER:
			return arena_printf(arena, "transfer leader to store %" PRIu64,
								s->peer.store_id);
		case STEP_REMOVE_PEER:
			return arena_printf(arena,
								"remove peer %" PRIu64 " on store %" PRIu64,
								s->peer.id, s->peer.store_id);
	}
	return text;
}
