/*
 * schedule.c
 *	  Operators that run, their limits, and the checker of replicas.
 */
#include "pd/core/schedule.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "pd/core/heir.h"
#include "pd/core/schedule_internal.h"

#define TICK_US INT64_C(1000000)
#define CHECK_ALL_US INT64_C(10000000)

/* An operator that ends makes room: the next tick is so long after the last. */
#define SOON_US INT64_C(100000)

void
schedule_init(Schedule *schedule)
{
	memset(schedule, 0, sizeof(*schedule));
	schedule->max_down_us = SCHEDULE_MAX_DOWN_US;
	schedule->on = true;
	arena_init(&schedule->stores_arena);
}

static void
drop_all(Schedule *schedule)
{
	for (size_t i = 0; i < schedule->n_running; i++)
		free(schedule->running[i]);
	schedule->n_running = 0;
	memset(schedule->n_of_kind, 0, sizeof(schedule->n_of_kind));
}

void
schedule_free(Schedule *schedule)
{
	drop_all(schedule);
	scatter_forget(schedule);
	free(schedule->running);
	free(schedule->records);
	arena_free(&schedule->stores_arena);
	schedule_init(schedule);
}

void
schedule_lead(Schedule *schedule, int64_t now_us)
{
	drop_all(schedule);
	scatter_forget(schedule);
	schedule->since_us = now_us;
	schedule->tick_us = now_us;
	schedule->counted = false;
	schedule->checked_us = 0;
	schedule->checked_stores = 0;
}

/* ---- the list ---- */

/* Where the region's operator is, or belongs. */
static size_t
place_of(const Schedule *schedule, uint64_t region_id)
{
	size_t low = 0;
	size_t high = schedule->n_running;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (schedule->running[middle]->region_id < region_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

Operator *
schedule_find(const Schedule *schedule, uint64_t region_id)
{
	size_t at = place_of(schedule, region_id);

	return at < schedule->n_running &&
			schedule->running[at]->region_id == region_id ?
		schedule->running[at] :
		NULL;
}

const Operator *
schedule_latest(const Schedule *schedule, uint64_t region_id, int64_t now_us)
{
	const Operator *op = schedule_find(schedule, region_id);
	size_t n = schedule->n_records;
	size_t first = n > SCHEDULE_RECORDS ? n - SCHEDULE_RECORDS : 0;

	for (size_t i = n; op == NULL && i > first; i--)
	{
		const ScheduleRecord *record =
			&schedule->records[(i - 1) % SCHEDULE_RECORDS];

		if (record->op.region_id == region_id &&
			now_us - record->finished_us < SCHEDULE_REMEMBER_US)
			op = &record->op;
	}
	return op;
}

size_t
schedule_count(const Schedule *schedule, OperatorKind kind)
{
	return schedule->n_of_kind[kind];
}

/* Peers that are on their way to a store. */
static int
receiving(const Schedule *schedule, uint64_t store_id)
{
	int n = 0;

	for (size_t i = 0; i < schedule->n_running; i++)
	{
		const Operator *op = schedule->running[i];

		for (int s = op->step; s < op->n_steps; s++)
			n += op->steps[s].kind == STEP_ADD_LEARNER &&
				op->steps[s].peer.store_id == store_id;
	}
	return n;
}

bool
schedule_has_room(const Schedule *schedule, const Operator *op)
{
	for (int s = 0; s < op->n_steps; s++)
		if (op->steps[s].kind == STEP_ADD_LEARNER &&
			receiving(schedule, op->steps[s].peer.store_id) >=
				SCHEDULE_STORE_LIMIT)
			return false;
	return true;
}

/*
 * What it will yet change counts from now on; what is done, the regions say:
 * also of a learner that is there and has not caught up.
 */
static void
note_influence(Schedule *schedule, const Operator *op, const PdRegion *region)
{
	for (int s = op->step; s < op->n_steps; s++)
	{
		PlacementStore *store =
			placement_find(&schedule->stores, op->steps[s].peer.store_id);

		if (store == NULL)
			continue;
		if (op->steps[s].kind == STEP_ADD_LEARNER &&
			(region == NULL ||
			 region_peer_on(&region->meta, store->id) == NULL))
			store->peers++;
		if (op->steps[s].kind == STEP_REMOVE_PEER && store->peers > 0)
			store->peers--;
		if (op->steps[s].kind == STEP_TRANSFER_LEADER)
			store->leaders++;
	}
}

bool
schedule_begin(Schedule *schedule, const Operator *op, const char *desc,
			   OperatorKind kind, int64_t now_us)
{
	Operator *kept;
	size_t at;

	if (schedule_find(schedule, op->region_id) != NULL)
		return false;
	if (schedule->n_running == schedule->size)
	{
		schedule->size = schedule->size == 0 ? 16 : schedule->size * 2;
		schedule->running =
			realloc(schedule->running, schedule->size * sizeof(Operator *));
		CHECK(schedule->running != NULL);
	}
	kept = malloc(sizeof(Operator));
	CHECK(kept != NULL);
	*kept = *op;
	kept->desc = desc;
	kept->kind = kind;
	kept->created_us = kept->step_us = now_us;
	at = place_of(schedule, op->region_id);
	memmove(&schedule->running[at + 1], &schedule->running[at],
			(schedule->n_running - at) * sizeof(Operator *));
	schedule->running[at] = kept;
	schedule->n_running++;
	schedule->n_of_kind[kind]++;
	note_influence(schedule, kept, NULL);
	return true;
}

void
schedule_end(Schedule *schedule, Operator *op, int64_t now_us)
{
	ScheduleRecord *record;
	size_t at = place_of(schedule, op->region_id);

	CHECK(at < schedule->n_running && schedule->running[at] == op);
	if (schedule->records == NULL)
	{
		schedule->records = calloc(SCHEDULE_RECORDS, sizeof(ScheduleRecord));
		CHECK(schedule->records != NULL);
	}
	record = &schedule->records[schedule->n_records++ % SCHEDULE_RECORDS];
	record->op = *op;
	record->finished_us = now_us;
	schedule->n_of_kind[op->kind]--;
	schedule->n_running--;
	memmove(&schedule->running[at], &schedule->running[at + 1],
			(schedule->n_running - at) * sizeof(Operator *));
	free(op);
	if (schedule->ticked_us + SOON_US < schedule->tick_us)
		schedule->tick_us = schedule->ticked_us + SOON_US;
}

bool
schedule_cancel(Schedule *schedule, uint64_t region_id, int64_t now_us)
{
	Operator *op = schedule_find(schedule, region_id);

	if (op == NULL)
		return false;
	op->status = OPERATOR_CANCEL;
	schedule_end(schedule, op, now_us);
	return true;
}

void
schedule_pause(Schedule *schedule, SchedulePart part, int64_t until_us)
{
	schedule->paused_until_us[part] = until_us;
}

bool
schedule_is_paused(const Schedule *schedule, SchedulePart part, int64_t now_us)
{
	return now_us < schedule->paused_until_us[part];
}

/* ---- one region ---- */

/*
 * A store tells only now and then that it lives: none is given up before it is
 * called disconnected, however short the setting.
 */
PlacementClock
schedule_clock(const Schedule *schedule, int64_t now_us)
{
	bool hasty = schedule->max_down_us < SCHEDULE_DISCONNECT_US;
	PlacementClock clock = {.now_us = now_us,
							.since_us = schedule->since_us,
							.disconnect_us = SCHEDULE_DISCONNECT_US,
							.max_down_us = hasty ? SCHEDULE_DISCONNECT_US :
												   schedule->max_down_us};

	return clock;
}

/* Who leads until a transfer that is under way; balance.c counts when it begins. */
static void
note_resigning(Schedule *schedule, const Operator *op, const PdRegion *region)
{
	PlacementStore *store = region == NULL ?
		NULL :
		placement_find(&schedule->stores, region->leader.store_id);

	for (int s = op->step; s < op->n_steps && store != NULL; s++)
		if (op->steps[s].kind == STEP_TRANSFER_LEADER && store->leaders > 0)
		{
			store->leaders--;
			return;
		}
}

void
schedule_recount(Schedule *schedule, const PdState *state, int64_t now_us)
{
	PlacementClock clock = schedule_clock(schedule, now_us);

	arena_reset(&schedule->stores_arena);
	schedule->stores =
		placement_stores(&state->cluster, &clock, &schedule->stores_arena);
	schedule->counted = true;
	for (size_t i = 0; i < schedule->n_running; i++)
	{
		const Operator *op = schedule->running[i];
		const PdRegion *region =
			region_tree_get(&state->cluster.regions, op->region_id);

		note_influence(schedule, op, region);
		note_resigning(schedule, op, region);
	}
}

/* Nothing is brought to a store that leaves, or is to be replaced itself. */
static bool
is_gone(const Schedule *schedule, const PdState *state, uint64_t store_id)
{
	const PdStore *store = cluster_store(&state->cluster, store_id);
	const PlacementStore *place = placement_find(&schedule->stores, store_id);

	return store == NULL || store->state != STORE_UP ||
		(place != NULL && place->lost);
}

/*
 * Does the operator wait for a peer whose store is gone?  It would do so until
 * its time is up, and nothing else could be done for the region.  (tikv/pd
 * looks at the store of a peer to be added while that is under way:
 * pkg/schedule/operator/step.go, validateStore.)
 */
static bool
waits_in_vain(const Schedule *schedule, const PdState *state,
			  const Operator *op)
{
	for (int s = op->step; s < op->n_steps; s++)
	{
		const OperatorStep *step = &op->steps[s];

		if (step->kind == STEP_ADD_LEARNER &&
			is_gone(schedule, state, step->peer.store_id))
			return true;
		for (int i = 0; step->kind == STEP_CHANGE_ROLES && i < op->n_promoted;
			 i++)
			if (is_gone(schedule, state, op->promoted[i].store_id))
				return true;
	}
	return false;
}

bool
schedule_plan(Schedule *schedule, PdState *state, const RegionPlan *plan,
			  const PdRegion *region, const char *desc, OperatorKind kind,
			  int64_t now_us, PdChanges *changes)
{
	int n_new = plan_new_peers(plan, &region->meta);
	uint64_t last = 0;
	Operator op;

	/* A first look without ids: most regions need nothing. */
	if (!operator_plan(plan, region, &schedule->stores, 1, &op) ||
		!schedule_has_room(schedule, &op) ||
		waits_in_vain(schedule, state, &op))
		return false;
	if (n_new > 0 &&
		(pd_state_take_ids(state, (uint32_t) n_new, &last, changes) !=
			 STATUS_OK ||
		 !operator_plan(plan, region, &schedule->stores,
						last - (uint64_t) n_new + 1, &op)))
		return false;
	return schedule_begin(schedule, &op, desc, kind, now_us);
}

static const char *
describe(const RegionPlan *plan, const PdRegion *region)
{
	int n_new = plan_new_peers(plan, &region->meta);

	if (n_new == 0)
		return plan->n < region->meta.n_peers ? "remove-extra-replica" :
												"fix-peer-role";
	if (plan->n > region->meta.n_peers)
		return "make-up-replica";
	return "replace-replica";
}

static void
check_region(Schedule *schedule, PdState *state, const PdRegion *region,
			 int64_t now_us, PdChanges *changes)
{
	PlacementClock clock = schedule_clock(schedule, now_us);
	Operator op;
	RegionPlan plan;

	if (region_is_joint(&region->meta))
	{
		if (!schedule_is_paused(schedule, SCHEDULE_JOINT, now_us) &&
			operator_leave_joint(region, &schedule->stores, &op))
			(void) schedule_begin(schedule, &op, "leave-joint-state",
								  OPERATOR_REPLICA, now_us);
		return;
	}
	if (schedule_is_paused(schedule, SCHEDULE_REPLICAS, now_us) ||
		schedule_count(schedule, OPERATOR_REPLICA) >= SCHEDULE_REPLICA_LIMIT)
		return;
	placement_plan(&schedule->stores, region, &clock, &plan);
	(void) schedule_plan(schedule, state, &plan, region,
						 describe(&plan, region), OPERATOR_REPLICA, now_us,
						 changes);
}

/* Will the voters that the order makes have a majority that lives? */
static bool
keeps_quorum(const Schedule *schedule, const PdRegion *region,
			 const Order *order)
{
	int voters = 0;
	int well = 0;

	for (int i = 0; i < region->meta.n_peers; i++)
	{
		RegionPeer peer = region->meta.peers[i];
		const PlacementStore *store =
			placement_find(&schedule->stores, peer.store_id);

		for (int c = 0; c < order->n_changes; c++)
			if (order->changes[c].peer.id == peer.id)
				peer.role = order->changes[c].peer.role;
		if (peer.role != PEER_VOTER)
			continue;
		voters++;
		well += store != NULL && store->alive &&
			!peer_is_down(region, peer.id) && !peer_is_pending(region, peer.id);
	}
	return well > voters / 2;
}

/* Those who were well when the operator began may have died since. */
static bool
tell(const Schedule *schedule, Operator *op, const PdRegion *region,
	 int64_t now_us, Order *out)
{
	if (op->told_us != 0 && now_us - op->told_us < SCHEDULE_RETELL_US)
		return false;
	heir_try_other(region, &schedule->stores, op);
	if (!operator_order(op, region, out))
		return false;
	if (op->steps[op->step].kind == STEP_CHANGE_ROLES &&
		!keeps_quorum(schedule, region, out))
		return false;
	op->told_us = now_us;
	op->n_told++;
	return true;
}

/* Go on to the step that is not done; true: there is none, or it cannot be. */
static bool
has_ended(const Schedule *schedule, const PdState *state, Operator *op,
		  const PdRegion *region, int64_t now_us)
{
	if (region == NULL ||
		(operator_progress(op, region, now_us) == OPERATOR_RUNNING &&
		 waits_in_vain(schedule, state, op)))
		op->status = OPERATOR_CANCEL;
	return op->status != OPERATOR_RUNNING;
}

bool
schedule_region(Schedule *schedule, PdState *state, uint64_t region_id,
				int64_t now_us, PdChanges *changes, Order *out)
{
	const PdRegion *region =
		region_tree_get(&state->cluster.regions, region_id);
	Operator *op = schedule_find(schedule, region_id);

	if (region == NULL || region->leader.id == 0)
		return false;
	if (!schedule->counted)
		schedule_recount(schedule, state, now_us);
	if (op != NULL && has_ended(schedule, state, op, region, now_us))
	{
		schedule_end(schedule, op, now_us);
		op = NULL;
	}
	if (op == NULL && schedule->on)
	{
		check_region(schedule, state, region, now_us, changes);
		op = schedule_find(schedule, region_id);
	}
	return op != NULL && tell(schedule, op, region, now_us, out);
}

/* ---- once a second ---- */

int64_t
schedule_next_us(const Schedule *schedule)
{
	return schedule->tick_us;
}

bool
schedule_hurries(const Schedule *schedule)
{
	return schedule->tick_us < schedule->ticked_us + TICK_US;
}

/* Operators whose region does not report must end, too. */
static void
end_overdue(Schedule *schedule, const PdState *state, int64_t now_us)
{
	for (size_t i = schedule->n_running; i > 0; i--)
	{
		Operator *op = schedule->running[i - 1];
		const PdRegion *region =
			region_tree_get(&state->cluster.regions, op->region_id);

		if (has_ended(schedule, state, op, region, now_us))
			schedule_end(schedule, op, now_us);
	}
}

static void
collect_orders(Schedule *schedule, const PdState *state, int64_t now_us,
			   Arena *arena, Order **orders, size_t *n_orders)
{
	*n_orders = 0;
	*orders = arena_alloc(arena, schedule->n_running * sizeof(Order));
	for (size_t i = 0; i < schedule->n_running; i++)
	{
		Operator *op = schedule->running[i];
		const PdRegion *region =
			region_tree_get(&state->cluster.regions, op->region_id);

		if (region != NULL &&
			tell(schedule, op, region, now_us, &(*orders)[*n_orders]))
			(*n_orders)++;
	}
}

static bool
holds_peers(const RegionTree *tree, uint64_t store_id)
{
	for (size_t i = 0; i < tree->n; i++)
		if (region_peer_on(&tree->by_key[i]->meta, store_id) != NULL)
			return true;
	return false;
}

/* A store that was asked to leave and has nothing any more has left. */
static void
bury_stores(const PdState *state, PdChanges *changes)
{
	const Cluster *cluster = &state->cluster;

	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;
		PdRecord record = {.kind = PD_RECORD_STORE};
		PdStore *next;

		if (store->state != STORE_OFFLINE ||
			holds_peers(&cluster->regions, store->id))
			continue;
		next = arena_alloc(changes->arena, sizeof(*next));
		*next = *store;
		next->state = STORE_TOMBSTONE;
		next->node_state = NODE_REMOVED;
		record.store = next;
		pd_changes_add(changes, &record);
	}
}

/* Which stores there are, and how they are. */
static uint64_t
stores_mark(const Schedule *schedule)
{
	uint64_t mark = schedule->stores.max_replicas;

	for (size_t i = 0; i < schedule->stores.n; i++)
	{
		const PlacementStore *store = &schedule->stores.stores[i];

		mark = (mark ^ store->id) * UINT64_C(0x9E3779B97F4A7C15);
		mark ^= (uint64_t) store->busy << 2 | (uint64_t) store->alive << 1 |
			(uint64_t) store->lost;
	}
	return mark;
}

/*
 * Regions are looked at when their leaders report; here, all of them when
 * the stores have changed, while anything is under way, and now and then.
 */
static void
check_all(Schedule *schedule, PdState *state, int64_t now_us,
		  PdChanges *changes)
{
	const RegionTree *tree = &state->cluster.regions;
	uint64_t mark = stores_mark(schedule);

	if (mark == schedule->checked_stores &&
		now_us - schedule->checked_us <
			(schedule->n_running == 0 ? CHECK_ALL_US : TICK_US))
		return;
	schedule->checked_stores = mark;
	schedule->checked_us = now_us;
	for (size_t i = 0; i < tree->n; i++)
		if (tree->by_key[i]->leader.id != 0 &&
			schedule_find(schedule, tree->by_key[i]->meta.id) == NULL)
			check_region(schedule, state, tree->by_key[i], now_us, changes);
}

void
schedule_tick(Schedule *schedule, PdState *state, int64_t now_us,
			  PdChanges *changes, Order **orders, size_t *n_orders)
{
	*n_orders = 0;
	if (now_us < schedule->tick_us || !state->cluster.bootstrapped)
		return;
	end_overdue(schedule, state, now_us);
	schedule->ticked_us = now_us;
	schedule->tick_us = now_us + TICK_US;
	schedule_recount(schedule, state, now_us);
	bury_stores(state, changes);
	if (schedule->on && state->cluster.n_stores > 1)
	{
		check_all(schedule, state, now_us, changes);
		schedule_balance(schedule, state, now_us, changes);
	}
	collect_orders(schedule, state, now_us, changes->arena, orders, n_orders);
}

/* ---- for people ---- */

const char *
operator_kind_text(OperatorKind kind)
{
	static const char *const names[] = {"replica,region", "leader", "region",
										"leader,region"};

	return names[kind];
}

const char *
operator_text(const Operator *op, Arena *arena)
{
	const char *steps = "";

	for (int i = 0; i < op->n_steps; i++)
		steps = arena_printf(arena, "%s%s%d:{%s}", steps, i == 0 ? "" : ", ", i,
							 operator_step_text(op, i, arena));
	return arena_printf(arena,
						"%s (kind:%s, region:%" PRIu64 "(%" PRIu64 ", %" PRIu64
						"), currentStep:%d, size:%" PRIu64 ", steps:[%s])",
						op->desc, operator_kind_text(op->kind), op->region_id,
						op->version, op->conf_ver, op->step, op->size_mb,
						steps);
}
