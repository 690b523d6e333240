/*
 * test_pd_operator.c
 *	  Steps of operators: their order, what leaders are told, how they end.
 */
#include "pd/core/heir.h"
#include "schedule_kit.h"
#include "unit.h"

static PlacementStore place_list[9];
static const PlacementStores places = {place_list, 9, 3};

/* The stores that say they are. */
static void
busy(const char *ids)
{
	for (uint64_t id = 1; id <= 9; id++)
		place_list[id - 1] =
			(PlacementStore){.id = id,
							 .alive = true,
							 .busy = strchr(ids, '0' + (int) id) != NULL};
}

/* All steps in words, joined. */
static const char *
steps(const char *peers, uint64_t leader, const char *plan_text)
{
	PdRegion region = kit_region(1, peers, leader);
	RegionPlan plan = kit_plan(plan_text);
	const char *out = "";
	Operator op;

	if (!operator_plan(&plan, &region, &places, 900, &op))
		return "nothing";
	for (int i = 0; i < op.n_steps; i++)
		out = arena_printf(&kit_arena, "%s%s%s", out, i == 0 ? "" : "; ",
						   operator_step_text(&op, i, &kit_arena));
	return out;
}

static void
test_plans(void)
{
	EQ_STR(steps("1v", 1, "1v"), "nothing", "a region as it shall be");
	EQ_STR(steps("1v", 1, "1v 2l"), "add learner peer 900 on store 2",
		   "a second store holds a learner");
	EQ_STR(steps("1v 2l", 1, "1v 2v 3v"),
		   "add learner peer 900 on store 3; "
		   "promote learner peer 900 on store 3 to voter, "
		   "promote learner peer 102 on store 2 to voter; leave joint state",
		   "the third promotes both at once");
	EQ_STR(steps("1v 2v 3v", 1, "1v 2v 4v"),
		   "add learner peer 900 on store 4; "
		   "promote learner peer 900 on store 4 to voter, "
		   "demote voter peer 103 on store 3 to learner; leave joint state; "
		   "remove peer 103 on store 3",
		   "a replacement");
	EQ_STR(steps("1v 2v 3v", 3, "1v 2v 4v"),
		   "add learner peer 900 on store 4; transfer leader to store 1; "
		   "promote learner peer 900 on store 4 to voter, "
		   "demote voter peer 103 on store 3 to learner; leave joint state; "
		   "remove peer 103 on store 3",
		   "the leader hands over before it is demoted");
	EQ_STR(steps("1v", 1, "2v"),
		   "add learner peer 900 on store 2; "
		   "promote learner peer 900 on store 2 to voter, "
		   "demote voter peer 101 on store 1 to learner; "
		   "transfer leader to store 2; leave joint state; "
		   "remove peer 101 on store 1",
		   "an only voter hands over while both configurations count");
	EQ_STR(steps("1v 2v 3v", 1, "1v 2l"),
		   "demote voter peer 102 on store 2 to learner, "
		   "demote voter peer 103 on store 3 to learner; leave joint state; "
		   "remove peer 103 on store 3",
		   "from three to two");
	EQ_STR(steps("1v 2l 3l", 1, "1v 2l"), "remove peer 103 on store 3",
		   "a learner too many");
	EQ_STR(steps("1v 2v 3v", 1, "2l 3l"), "nothing",
		   "a plan without a voter is none");
}

static void
test_orders(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);
	RegionPlan plan = kit_plan("1v 2v 4v");
	Operator op;
	Order order;

	OK(operator_plan(&plan, &region, &places, 104, &op), "a replacement");
	EQ_U64(operator_progress(&op, &region, SECOND), OPERATOR_RUNNING, "begins");
	OK(operator_order(&op, &region, &order), "the leader is told");
	OK(order.kind == ORDER_CHANGE_PEERS && order.n_changes == 1 &&
		   order.changes[0].peer.id == 104 &&
		   order.changes[0].peer.role == PEER_LEARNER &&
		   !order.changes[0].removed && order.target.id == 101 &&
		   order.epoch.conf_ver == 7,
	   "to add the learner, with the epoch it has");

	region = kit_region(1, "1v 2v 3v 4l", 1);
	kit_pending(&region, 4);
	EQ_U64(operator_progress(&op, &region, 2 * SECOND), OPERATOR_RUNNING,
		   "it is pending");
	OK(!operator_order(&op, &region, &order), "which is waited for");

	region = kit_region(1, "1v 2v 3v 4l", 1);
	EQ_U64(operator_progress(&op, &region, 3 * SECOND), OPERATOR_RUNNING,
		   "it caught up");
	OK(operator_order(&op, &region, &order) && order.n_changes == 2 &&
		   order.changes[0].peer.id == 104 &&
		   order.changes[0].peer.role == PEER_VOTER &&
		   order.changes[1].peer.id == 103 &&
		   order.changes[1].peer.role == PEER_LEARNER,
	   "both roles change in one order");

	region = kit_region(1, "1v 2v 3d 4i", 1);
	(void) operator_progress(&op, &region, 4 * SECOND);
	OK(operator_order(&op, &region, &order) &&
		   order.kind == ORDER_CHANGE_PEERS && order.n_changes == 0,
	   "no change at all leaves the joint state");

	region = kit_region(1, "1v 2v 3l 4v", 1);
	(void) operator_progress(&op, &region, 5 * SECOND);
	OK(operator_order(&op, &region, &order) && order.n_changes == 1 &&
		   order.changes[0].removed && order.changes[0].peer.id == 103,
	   "the old one is removed");

	region = kit_region(1, "1v 2v 4v", 1);
	EQ_U64(operator_progress(&op, &region, 6 * SECOND), OPERATOR_SUCCESS,
		   "done");
	OK(!operator_order(&op, &region, &order), "nothing is left to say");
}

static void
test_ends(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);
	RegionPlan plan = kit_plan("1v 2v 4v");
	Operator op;
	Operator copy;

	(void) operator_plan(&plan, &region, &places, 104, &op);
	copy = op;
	region.meta.epoch.version++;
	EQ_U64(operator_progress(&copy, &region, SECOND), OPERATOR_CANCEL,
		   "a split ends it");
	copy = op;
	region = kit_region(1, "1v 2v 3v", 1);
	EQ_U64(operator_progress(&copy, &region, 11 * MINUTE), OPERATOR_TIMEOUT,
		   "a step takes too long");
	copy = op;
	copy.size_mb = 1000;
	EQ_U64(operator_progress(&copy, &region, 11 * MINUTE), OPERATOR_RUNNING,
		   "but large regions have longer");
	copy = op;
	region.meta.peers[region.meta.n_peers++] =
		(RegionPeer){777, 4, PEER_LEARNER};
	EQ_U64(operator_progress(&copy, &region, SECOND), OPERATOR_CANCEL,
		   "another peer took its place");

	/* The store of a peer that is removed takes none of the same id. */
	copy = op;
	region = kit_region(1, "1v 2v 3v", 1);
	EQ_U64(operator_progress(&copy, &region, SECOND), OPERATOR_RUNNING,
		   "the peer is not there yet");
	region.meta.peers[region.meta.n_peers++] =
		(RegionPeer){104, 4, PEER_LEARNER};
	region.meta.epoch.conf_ver++;
	kit_pending(&region, 4);
	EQ_U64(operator_progress(&copy, &region, SECOND), OPERATOR_RUNNING,
		   "it is, without its data");
	region = kit_region(1, "1v 2v 3v", 1);
	region.meta.epoch.conf_ver += 2;
	EQ_U64(operator_progress(&copy, &region, SECOND), OPERATOR_CANCEL,
		   "somebody has removed it");

	/* Only voters are led by; learners alone are removed. */
	region = kit_region(1, "1v 2l", 1);
	OK(!operator_transfer(&region, 2, &op), "no transfer to a learner");
	OK(!operator_transfer(&region, 1, &op), "nor to the leader itself");
	OK(!operator_transfer(&region, 5, &op), "nor to nobody");

	region = kit_region(1, "1v 2v 3l", 1);
	plan = kit_plan("1v 2v");
	(void) operator_plan(&plan, &region, &places, 0, &op);
	region = kit_region(1, "1v 2v 3v", 1);
	EQ_U64(operator_progress(&op, &region, SECOND), OPERATOR_CANCEL,
		   "a voter is not removed though its removal was planned");
}

static void
test_joint(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);
	Operator op;
	Order order;

	OK(!operator_leave_joint(&region, &places, &op), "not joint");
	region = kit_region(1, "1v 2d 3i", 1);
	OK(operator_leave_joint(&region, &places, &op) && op.n_steps == 1,
	   "a joint state is left");
	OK(operator_order(&op, &region, &order) && order.n_changes == 0,
	   "by an order without changes");
	region = kit_region(1, "1d 2i 3i", 1);
	OK(operator_leave_joint(&region, &places, &op) && op.n_steps == 2,
	   "a leader on its way out hands over first");
	EQ_U64(operator_progress(&op, &region, 0), OPERATOR_RUNNING, "which");
	OK(operator_order(&op, &region, &order) &&
		   order.kind == ORDER_TRANSFER_LEADER && order.leader.id == 102,
	   "goes to a voter that stays");
	region = kit_region(1, "1d 2i 3i", 2);
	EQ_U64(operator_progress(&op, &region, 0), OPERATOR_RUNNING, "then");
	OK(operator_order(&op, &region, &order) &&
		   order.kind == ORDER_CHANGE_PEERS && order.target.id == 102,
	   "the new leader leaves");
}

/* To whom the region is handed over first, by the operator. */
static uint64_t
first_heir(const Operator *op)
{
	for (int i = 0; i < op->n_steps; i++)
		if (op->steps[i].kind == STEP_TRANSFER_LEADER)
			return op->steps[i].peer.store_id;
	return 0;
}

static void
test_busy_heirs(void)
{
	PdRegion region = kit_region(1, "1d 2i 3i", 1);
	Operator op;

	busy("2");
	EQ_STR(steps("1v 2v 3v", 1, "2v 3v 4v"),
		   "add learner peer 900 on store 4; transfer leader to store 3; "
		   "promote learner peer 900 on store 4 to voter, "
		   "demote voter peer 101 on store 1 to learner; leave joint state; "
		   "remove peer 101 on store 1",
		   "a store that is busy is not handed leadership");
	EQ_STR(steps("1v 2v 3l 4l", 1, "2v 3v"),
		   "promote learner peer 103 on store 3 to voter, "
		   "demote voter peer 101 on store 1 to learner; "
		   "transfer leader to store 3; leave joint state; "
		   "remove peer 101 on store 1; remove peer 104 on store 4",
		   "a learner that becomes a voter comes before it");
	EQ_STR(steps("1v 2l 3l", 1, "2v 3v"),
		   "promote learner peer 102 on store 2 to voter, "
		   "promote learner peer 103 on store 3 to voter, "
		   "demote voter peer 101 on store 1 to learner; "
		   "transfer leader to store 3; leave joint state; "
		   "remove peer 101 on store 1",
		   "nor before another learner");
	EQ_STR(steps("1v 2v 3v", 1, "2v 3l"),
		   "transfer leader to store 2; "
		   "demote voter peer 101 on store 1 to learner, "
		   "demote voter peer 103 on store 3 to learner; leave joint state; "
		   "remove peer 101 on store 1",
		   "if there is no other it is");
	OK(operator_leave_joint(&region, &places, &op) && first_heir(&op) == 3,
	   "nor where a joint state is found");
	busy("23");
	OK(operator_leave_joint(&region, &places, &op) && first_heir(&op) == 2,
	   "if all are, the first one is");
	EQ_STR(steps("1v 2l 3l", 1, "2v 3l"),
		   "promote learner peer 102 on store 2 to voter, "
		   "demote voter peer 101 on store 1 to learner; "
		   "transfer leader to store 2; leave joint state; "
		   "remove peer 101 on store 1",
		   "also among learners");
	busy("");
	kit_pending(&region, 2);
	OK(operator_leave_joint(&region, &places, &op) && first_heir(&op) == 3,
	   "nor one that has not caught up");
	region.meta.n_peers = 2;
	OK(!operator_leave_joint(&region, &places, &op),
	   "which is waited for if there is no other");
}

/* Tell the transfer until it goes to somebody else, or ends. */
static int
told_in_vain(Operator *op, const PdRegion *region)
{
	uint64_t to = op->steps[op->step].peer.id;
	int n = 0;

	while (n < 10 && op->status == OPERATOR_RUNNING &&
		   op->steps[op->step].peer.id == to)
	{
		op->n_told++;
		n++;
		heir_try_other(region, &places, op);
	}
	return n;
}

static uint64_t
heir_now(const Operator *op)
{
	return op->status == OPERATOR_RUNNING ? op->steps[op->step].peer.store_id :
											0;
}

/* Its leader may know that a store is full before PD does. */
static void
test_other_heirs(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v 4v", 1);
	RegionPlan plan = kit_plan("2v 3v 4v");
	Operator op;

	busy("3");
	OK(operator_plan(&plan, &region, &places, 0, &op) && heir_now(&op) == 2,
	   "the first one");
	EQ_U64(told_in_vain(&op, &region), 3, "is tried a few times");
	EQ_U64(heir_now(&op), 4, "then the next one that is well");
	EQ_U64(told_in_vain(&op, &region), 3, "as often");
	EQ_U64(heir_now(&op), 2, "and the first again");
	busy("34");
	(void) told_in_vain(&op, &region);
	EQ_U64(heir_now(&op), 3, "those that are busy if no other is left");
	region = kit_region(1, "1v 2v 3v 4v", 4);
	op.n_told = 2;
	EQ_U64(operator_progress(&op, &region, 0), OPERATOR_RUNNING, "goes on");
	EQ_U64(op.step, 1, "whoever of them leads");
	EQ_U64(op.n_told, 0, "to what was not told yet");

	region = kit_region(1, "1v 2v 3v", 1);
	plan = kit_plan("2v 3l");
	busy("");
	OK(operator_plan(&plan, &region, &places, 0, &op) && heir_now(&op) == 2,
	   "nobody else is to vote");
	EQ_U64(told_in_vain(&op, &region), 10, "who is told as long as it is well");
	busy("2");
	EQ_U64(told_in_vain(&op, &region), 1, "and is given up if it is not");
	EQ_U64(op.status, OPERATOR_CANCEL, "so that another plan is made");

	OK(operator_transfer(&region, 2, &op), "somebody asks for a transfer");
	EQ_U64(told_in_vain(&op, &region), 10, "which is to nobody else");
	EQ_U64(op.status, OPERATOR_RUNNING, "whatever its store says");
	region = kit_region(1, "1v 2v 3v", 3);
	(void) operator_progress(&op, &region, 0);
	EQ_U64(op.step, 0, "nor done when another one leads");
}

int
main(void)
{
	arena_init(&kit_arena);
	busy("");
	test_plans();
	test_orders();
	test_ends();
	test_joint();
	test_busy_heirs();
	test_other_heirs();
	arena_free(&kit_arena);
	return unit_done();
}
