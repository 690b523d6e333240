/*
 * test_pd_schedule.c
 *	  Heartbeats and ticks: what begins, what limits it, what is told when.
 */
#include "pd/core/schedule_internal.h"
#include "schedule_world.h"
#include "unit.h"

static bool
beat(PdRegion region, Order *order)
{
	bool told;

	cluster_note_region(&state.cluster, &region);
	told = schedule_region(&schedule, &state, region.meta.id, now, &changes,
						   order);
	apply();
	return told;
}

static size_t
tick(Order **orders)
{
	size_t n;

	now += SECOND;
	for (size_t i = 0; i < state.cluster.n_stores; i++)
		if (state.cluster.stores[i]->store.heard_us != 0)
			cluster_heard_store(&state.cluster,
								state.cluster.stores[i]->store.id, now);
	schedule_tick(&schedule, &state, now, &changes, orders, &n);
	apply();
	return n;
}

static void
test_heartbeat(void)
{
	Order order;
	Order *orders;
	uint64_t id;

	begin(1);
	OK(!beat(kit_region(1, "1v", 1), &order), "one store: nothing to do");
	EQ_U64(state.ids.saved, 0, "and no id is taken");

	kit_store(&state.cluster, 2, STORE_UP, now);
	OK(tick(&orders) == 1 && orders[0].n_changes == 1, "a second one comes");
	id = orders[0].changes[0].peer.id;
	OK(id == 1 && state.ids.saved >= 1, "the new peer's id is saved");
	OK(!beat(kit_region(1, "1v", 1), &order), "not told twice at once");
	now += 3 * SECOND;
	OK(beat(kit_region(1, "1v", 1), &order) && order.changes[0].peer.id == id,
	   "but again after a while");
	EQ_STR(schedule_find(&schedule, 1)->desc, "make-up-replica", "has a name");
	EQ_STR(operator_text(schedule_find(&schedule, 1), &kit_arena),
		   "make-up-replica (kind:replica,region, region:1(3, 7), "
		   "currentStep:0, size:0, steps:[0:{add learner peer 1 on store 2}])",
		   "and a text");
	{
		PdRegion region = kit_region(1, "1v 2l", 1);

		region.meta.peers[1].id = id;
		OK(!beat(region, &order), "done");
	}
	OK(schedule_find(&schedule, 1) == NULL, "it has ended");
	EQ_U64(schedule.records[0].op.status, OPERATOR_SUCCESS, "well");

	OK(!schedule_cancel(&schedule, 1, now), "nothing to cancel");
	kit_store(&state.cluster, 3, STORE_UP, now);
	schedule.on = false;
	EQ_U64(tick(&orders), 0, "halted: nothing begins");
	schedule.on = true;
	EQ_U64(tick(&orders), 1, "on: it does");
	OK(schedule_cancel(&schedule, 1, now), "which can be cancelled");
	EQ_U64(schedule.records[1].op.status, OPERATOR_CANCEL, "and is recorded");
}

static void
test_limits(void)
{
	Order *orders;
	Order order;

	begin(1);
	for (uint64_t id = 1; id <= 100; id++)
		(void) beat(kit_region(id, "1v", 1), &order);
	kit_store(&state.cluster, 2, STORE_UP, now);
	EQ_U64(tick(&orders), SCHEDULE_STORE_LIMIT,
		   "a store receives so many at once");
	EQ_U64(tick(&orders), 0, "and no more");

	begin(3);
	for (uint64_t id = 1; id <= 100; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1), &order);
	EQ_U64(tick(&orders), SCHEDULE_LEADER_LIMIT,
		   "leaders move a few at a time");
	OK(orders[0].kind == ORDER_TRANSFER_LEADER && orders[0].target.id == 101,
	   "away from where all are");
}

/* One that ends makes room for the next at once, not in a second. */
static void
test_room(void)
{
	Order *orders;
	Order order;
	uint64_t moved;
	uint64_t to;
	size_t n;

	begin(3);
	for (uint64_t id = 1; id <= 100; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1), &order);
	EQ_U64(tick(&orders), SCHEDULE_LEADER_LIMIT, "as many as are allowed");
	OK(schedule_next_us(&schedule) == now + SECOND, "and a second of rest");
	OK(!schedule_hurries(&schedule), "for which nobody has to wake up");
	moved = orders[0].region_id;
	to = orders[0].leader.store_id;
	now += SECOND / 100;
	(void) beat(kit_region(moved, "1v 2v 3v", to), &order);
	OK(schedule_next_us(&schedule) < now + SECOND / 5, "unless one has ended");
	OK(schedule_hurries(&schedule), "which is worth it");
	schedule_tick(&schedule, &state, now, &changes, &orders, &n);
	EQ_U64(n, 0, "not without any rest");
	now = schedule_next_us(&schedule);
	schedule_tick(&schedule, &state, now, &changes, &orders, &n);
	apply();
	EQ_U64(n, 1, "another one begins");
	OK(orders[0].kind == ORDER_TRANSFER_LEADER && orders[0].region_id != moved,
	   "of another region");
}

static void
test_balance(void)
{
	Order *orders;
	Order order;
	size_t at_3 = 0;

	begin(3);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) beat(kit_region(2, "1v 2v 3v", 2), &order);
	(void) beat(kit_region(3, "1v 2v 3v", 1), &order);
	EQ_U64(tick(&orders), 1, "two, one, none");
	OK(orders[0].leader.store_id == 3, "the empty store gets one");
	begin(3);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) beat(kit_region(2, "1v 2v 3v", 2), &order);
	EQ_U64(tick(&orders), 0, "one, one, none stays");

	begin(4);
	for (uint64_t id = 1; id <= 8; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1 + id % 3), &order);
	EQ_U64(tick(&orders), 6, "24 peers on 4 stores");
	for (size_t i = 0; i < 6; i++)
		at_3 += orders[i].changes[0].peer.store_id == 4;
	EQ_U64(at_3, 6, "the new store gets its share");
}

static void
test_balance_and_space(void)
{
	Order *orders;
	Order order;

	begin(4);
	kit_space(&state.cluster, 4, 100, 7, 1, false);
	for (uint64_t id = 1; id <= 8; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1 + id % 3), &order);
	EQ_U64(tick(&orders), 0, "a store that is low of space gets no peers");
	kit_space(&state.cluster, 4, 100, 70, 1, false);
	now += 2 * SECOND;
	EQ_U64(tick(&orders), 6, "and its share when it has some");

	begin(3);
	kit_space(&state.cluster, 3, 100, 7, 1, false);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) beat(kit_region(2, "1v 2v 3v", 2), &order);
	(void) beat(kit_region(3, "1v 2v 3v", 1), &order);
	EQ_U64(tick(&orders), 1, "it may lead what it has");
	begin(3);
	kit_space(&state.cluster, 3, 100, 70, 1, true);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) beat(kit_region(2, "1v 2v 3v", 2), &order);
	(void) beat(kit_region(3, "1v 2v 3v", 1), &order);
	EQ_U64(tick(&orders), 0, "unless it is busy");
}

/* The region of a move to store 4, whose learner has come, or that is done. */
static PdRegion
moved(const Operator *op, bool done)
{
	PdRegion region =
		kit_region(op->region_id, "1v 2v 3v 4l", 1 + op->region_id % 3);
	uint64_t gone = op->steps[op->n_steps - 1].peer.store_id;

	region.meta.peers[3].id = op->steps[0].peer.id;
	for (int i = 0; done && i < 3; i++)
		if (region.meta.peers[i].store_id == gone)
		{
			region.meta.peers[i] = region.meta.peers[3];
			region.meta.peers[i].role = PEER_VOTER;
		}
	region.meta.n_peers = done ? 3 : 4;
	return region;
}

/*
 * What is done of a move that is under way is counted once: else who gets peers
 * seems to have more of them than it has, and gives some away again.
 */
static void
test_balance_under_way(void)
{
	Order *orders;
	Order order;
	size_t left;

	begin(4);
	for (uint64_t id = 1; id <= 8; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1 + id % 3), &order);
	EQ_U64(tick(&orders), 6, "the new store is to get six");
	for (uint64_t id = 1; id <= 8; id++)
	{
		const Operator *op = schedule_find(&schedule, id);

		if (op != NULL)
			(void) beat(moved(op, id % 2 == 0), &order);
	}
	left = schedule_count(&schedule, OPERATOR_REGION);
	OK(left > 0 && left < 6, "some are there, others have learners");
	(void) tick(&orders);
	EQ_U64(schedule_count(&schedule, OPERATOR_REGION), left,
		   "nothing moves back");

	/* A learner that catches up is there, and counts once. */
	begin(4);
	schedule_pause(&schedule, SCHEDULE_LEADERS, now + MINUTE);
	for (uint64_t id = 1; id <= 8; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1 + id % 3), &order);
	(void) beat(kit_region(9, "1v 2v 4v", 1), &order);
	(void) tick(&orders);
	left = schedule_count(&schedule, OPERATOR_REGION);
	for (uint64_t id = 1; id <= 8; id++)
	{
		const Operator *op = schedule_find(&schedule, id);
		PdRegion region;

		if (op == NULL)
			continue;
		region = moved(op, false);
		kit_pending(&region, 4);
		(void) beat(region, &order);
	}
	(void) tick(&orders);
	EQ_U64(schedule_count(&schedule, OPERATOR_REGION), left,
		   "nothing makes way for those that come");

	begin(3);
	for (uint64_t id = 1; id <= 5; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1), &order);
	(void) tick(&orders);
	left = schedule_count(&schedule, OPERATOR_LEADER);
	EQ_U64(left, 3, "of five leaders three go");
	(void) tick(&orders);
	EQ_U64(schedule_count(&schedule, OPERATOR_LEADER), left,
		   "and no more while they are on their way");
}

static void
test_leaving(void)
{
	Order *orders;
	Order order;

	begin(3);
	(void) beat(kit_region(1, "1v 2v 3v", 3), &order);
	EQ_U64(cluster_offline_store(&state.cluster, 3, false, &changes).type,
		   PD_OK, "a store leaves");
	apply();
	OK(tick(&orders) == 1 && orders[0].kind == ORDER_TRANSFER_LEADER,
	   "its leader goes first");
	OK(beat(kit_region(1, "1v 2v 3v", 1), &order) && order.n_changes == 2,
	   "then its vote");
	OK(beat(kit_region(1, "1v 2d 3d", 1), &order) && order.n_changes == 0,
	   "the joint state ends");
	OK(beat(kit_region(1, "1v 2l 3l", 1), &order) && order.changes[0].removed,
	   "then its peer");
	(void) tick(&orders);
	EQ_U64(cluster_store(&state.cluster, 3)->state, STORE_OFFLINE,
		   "still there while a region names it");
	(void) beat(kit_region(1, "1v 2l", 1), &order);
	(void) tick(&orders);
	EQ_U64(cluster_store(&state.cluster, 3)->state, STORE_TOMBSTONE,
		   "then it is gone");
	EQ_U64(cluster_store(&state.cluster, 3)->node_state, NODE_REMOVED,
		   "in both ways to say it");
}

/* The leader of a region may know before PD that it hands over to nobody. */
static void
test_refused_heir(void)
{
	Order *orders;
	Order order;

	begin(3);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) cluster_offline_store(&state.cluster, 1, false, &changes);
	apply();
	OK(tick(&orders) == 1 && orders[0].leader.store_id == 2,
	   "leadership goes to the one that stays a voter");
	kit_space(&state.cluster, 2, 100, 90, 1, true);
	for (int i = 0; i < 20 && order.leader.store_id != 3; i++)
		if (tick(&orders) == 1)
			order = orders[0];
	OK(order.kind == ORDER_TRANSFER_LEADER && order.leader.store_id == 3,
	   "or to the other one, once it says that it is full");

	begin(2);
	OK(!beat(kit_region(1, "1v 2l", 1), &order) && tick(&orders) == 0,
	   "one votes");
	kit_space(&state.cluster, 1, 100, 90, 1, true);
	OK(tick(&orders) == 1 && orders[0].n_changes == 2,
	   "all regions are looked at when a store becomes busy");
	OK(orders[0].changes[0].peer.store_id == 2 &&
		   orders[0].changes[0].peer.role == PEER_VOTER &&
		   orders[0].changes[1].peer.role == PEER_LEARNER,
	   "the other one votes in its place");
	OK(beat(kit_region(1, "1d 2i", 1), &order) &&
		   order.kind == ORDER_TRANSFER_LEADER && order.leader.store_id == 2,
	   "and leads");
}

/* A peer is on its way to a store that leaves, or dies: nobody waits for it. */
static void
test_leaving_before_it_came(void)
{
	Order *orders;
	Order order;
	PdRegion region = kit_region(1, "1v 2l 3l", 1);

	begin(3);
	kit_pending(&region, 3);
	(void) beat(region, &order);
	EQ_STR(schedule_find(&schedule, 1)->desc, "fix-peer-role",
		   "a learner that catches up is waited for");
	EQ_U64(cluster_offline_store(&state.cluster, 3, false, &changes).type,
		   PD_OK, "its store leaves");
	apply();
	OK(tick(&orders) == 1 && orders[0].n_changes == 1 &&
		   orders[0].changes[0].removed &&
		   orders[0].changes[0].peer.store_id == 3,
	   "the learner is removed");
	EQ_U64(schedule.records[0].op.status, OPERATOR_CANCEL,
		   "and not waited for");
	(void) beat(kit_region(1, "1v 2l", 1), &order);
	(void) tick(&orders);
	EQ_U64(cluster_store(&state.cluster, 3)->state, STORE_TOMBSTONE,
		   "and the store is gone");

	begin(3);
	kit_store(&state.cluster, 4, STORE_UP, now);
	(void) beat(kit_region(1, "1v 2v", 1), &order);
	OK(order.n_changes == 1 && order.changes[0].peer.store_id == 3,
	   "a peer is added");
	schedule.max_down_us = 2 * SECOND;
	kit_store(&state.cluster, 3, STORE_UP, 0);
	for (int i = 1; i < SCHEDULE_DISCONNECT_US / SECOND; i++)
		(void) tick(&orders);
	EQ_STR(schedule_find(&schedule, 1)->desc, "make-up-replica",
		   "silence is not death");
	OK(schedule_find(&schedule, 1)->steps[0].peer.store_id == 3,
	   "nor is one that is usual, however short the setting");
	(void) tick(&orders);
	(void) tick(&orders);
	(void) beat(kit_region(1, "1v 2v", 1), &order);
	OK(schedule_find(&schedule, 1) != NULL &&
		   schedule_find(&schedule, 1)->steps[0].peer.store_id == 4,
	   "one that is dead is not waited for");
	schedule.max_down_us = SCHEDULE_MAX_DOWN_US;
}

/* A learner whose store leaves becomes no voter, even if nobody else can. */
static void
test_leaving_learner(void)
{
	Order order;

	begin(4);
	kit_store(&state.cluster, 4, STORE_OFFLINE, now);
	kit_store(&state.cluster, 3, STORE_UP, 0);
	OK(!beat(kit_region(1, "1v 2v 4l", 1), &order), "nobody is told anything");
	OK(schedule_find(&schedule, 1) == NULL, "and nothing begins in vain");
}

/* A change that is half done when the PD leader changes is finished. */
static void
test_new_leader(void)
{
	Order order;
	Order *orders;

	begin(4);
	OK(beat(kit_region(1, "1v 2v 3d 4i", 1), &order) && order.n_changes == 0,
	   "a joint state found is left");
	schedule_lead(&schedule, now);
	OK(schedule_find(&schedule, 1) == NULL, "operators are a leader's own");
	begin(3);
	kit_store(&state.cluster, 4, STORE_UP, 0);
	(void) beat(kit_region(1, "1v 2v 3v 4l", 1), &order);
	OK(tick(&orders) <= 1, "a learner left over");
	EQ_STR(schedule_find(&schedule, 1)->desc, "remove-extra-replica",
		   "is removed");
}

/* Loaders pause what would move their regions; it goes on by itself. */
static void
test_pauses(void)
{
	Order *orders;
	Order order;

	begin(3);
	(void) beat(kit_region(1, "1v 2v 3v", 1), &order);
	(void) beat(kit_region(2, "1v 2v 3v", 1), &order);
	schedule_pause(&schedule, SCHEDULE_LEADERS, now + 3 * SECOND);
	EQ_U64(tick(&orders), 0, "leaders stay while that is paused");
	OK(schedule_is_paused(&schedule, SCHEDULE_LEADERS, now), "it is");
	OK(!schedule_is_paused(&schedule, SCHEDULE_PEERS, now), "nothing else is");
	(void) tick(&orders);
	EQ_U64(tick(&orders), 1, "and move when the time is over");

	begin(4);
	for (uint64_t id = 1; id <= 8; id++)
		(void) beat(kit_region(id, "1v 2v 3v", 1 + id % 3), &order);
	schedule_pause(&schedule, SCHEDULE_PEERS, now + 2 * SECOND);
	EQ_U64(tick(&orders), 0, "so do peers");
	EQ_U64(tick(&orders), 6, "and go on");

	begin(2);
	schedule_pause(&schedule, SCHEDULE_REPLICAS, now + 9 * SECOND);
	OK(!beat(kit_region(1, "1v", 1), &order) && tick(&orders) == 0,
	   "no replica is made");
	schedule_pause(&schedule, SCHEDULE_REPLICAS, 0);
	OK(beat(kit_region(1, "1v", 1), &order), "until it is resumed");

	begin(4);
	schedule_pause(&schedule, SCHEDULE_JOINT, now + 9 * SECOND);
	OK(!beat(kit_region(1, "1v 2v 3d 4i", 1), &order),
	   "a joint state is not left");
	schedule_pause(&schedule, SCHEDULE_JOINT, 0);
	OK(beat(kit_region(1, "1v 2v 3d 4i", 1), &order), "but then");
}

#define MANY 5000

/* Scattering begins thousands: each is found, and which end. */
static void
test_many(void)
{
	Operator op = {0};
	bool found = true;

	begin(1);
	for (uint64_t i = 0; i < MANY; i++)
	{
		op.region_id = 1 + i * 4001 % MANY;
		found = found &&
			schedule_begin(&schedule, &op, "many", OPERATOR_SCATTER, now);
	}
	OK(found, "every region gets its operator");
	OK(!schedule_begin(&schedule, &op, "many", OPERATOR_LEADER, now),
	   "and none a second one");
	for (uint64_t id = 2; id <= MANY; id += 2)
		found = found && schedule_cancel(&schedule, id, now);
	OK(found, "the half of them is cancelled");
	for (uint64_t id = 1; id <= MANY; id++)
	{
		const Operator *running = schedule_find(&schedule, id);

		found = found && (running != NULL) == (id % 2 == 1) &&
			(running == NULL || running->region_id == id);
	}
	OK(found, "the others are found");
	EQ_U64(schedule_count(&schedule, OPERATOR_SCATTER), MANY / 2,
		   "and counted by their kind");
	EQ_U64(schedule_count(&schedule, OPERATOR_LEADER), 0,
		   "there is none of another kind");
	schedule_lead(&schedule, now);
	EQ_U64(schedule_count(&schedule, OPERATOR_SCATTER), 0,
		   "a new leader has none");
}

int
main(void)
{
	arena_init(&kit_arena);
	pd_state_init(&state);
	schedule_init(&schedule);
	test_heartbeat();
	test_limits();
	test_room();
	test_balance();
	test_balance_and_space();
	test_balance_under_way();
	test_leaving();
	test_refused_heir();
	test_leaving_before_it_came();
	test_leaving_learner();
	test_new_leader();
	test_pauses();
	test_many();
	schedule_free(&schedule);
	pd_state_free(&state);
	arena_free(&kit_arena);
	return unit_done();
}
