/*
 * test_pd_scatter.c
 *	  Regions of a group apart, splits at given keys, and what is told of them.
 */
#include "pd/core/cut.h"
#include "pd/core/scatter.h"
#include "schedule_world.h"
#include "unit.h"

static const char *why;

static void
know(PdRegion region)
{
	cluster_note_region(&state.cluster, &region);
}

static ScatterEnd
scatter(uint64_t id, const char *group)
{
	ScatterEnd end = scatter_region(&schedule, &state, id, group, false, now,
									&changes, &why);

	apply();
	return end;
}

/* Who leads in the end, and where the peers are, of what is running. */
static void
count_ends(int n_regions, int *leaders, int *peers)
{
	for (int id = 1; id <= n_regions; id++)
	{
		const Operator *op = schedule_find(&schedule, (uint64_t) id);
		const PdRegion *region =
			region_tree_get(&state.cluster.regions, (uint64_t) id);
		uint64_t leader = region->leader.store_id;

		for (int p = 0; p < region->meta.n_peers; p++)
			peers[region->meta.peers[p].store_id]++;
		for (int s = 0; op != NULL && s < op->n_steps; s++)
		{
			const OperatorStep *step = &op->steps[s];

			if (step->kind == STEP_TRANSFER_LEADER)
				leader = step->peer.store_id;
			peers[step->peer.store_id] += step->kind == STEP_ADD_LEARNER;
			peers[step->peer.store_id] -= step->kind == STEP_REMOVE_PEER;
		}
		leaders[leader]++;
	}
}

static void
test_leaders(void)
{
	int leaders[10] = {0};
	int peers[10] = {0};

	begin(3);
	for (uint64_t id = 1; id <= 6; id++)
		know(kit_region(id, "1v 2v 3v", 1));
	EQ_U64(scatter(1, "t"), SCATTER_STAYS, "the first of a group stays");
	EQ_U64(scatter(2, "t"), SCATTER_BEGUN, "the second is led elsewhere");
	EQ_STR(schedule_find(&schedule, 2)->desc, "scatter-region",
		   "under the name that clients wait for");
	EQ_U64(schedule_latest(&schedule, 2, now)->status, OPERATOR_RUNNING,
		   "which runs");
	EQ_U64(scatter(2, "t"), SCATTER_STAYS, "and is not begun twice");
	for (uint64_t id = 3; id <= 6; id++)
		(void) scatter(id, "t");
	count_ends(6, leaders, peers);
	OK(leaders[1] == 2 && leaders[2] == 2 && leaders[3] == 2,
	   "two for each store");
	OK(peers[1] == 6 && peers[2] == 6 && peers[3] == 6, "no peer moves");
}

static void
test_peers(void)
{
	int leaders[10] = {0};
	int peers[10] = {0};

	begin(6);
	for (uint64_t id = 1; id <= 6; id++)
		know(kit_region(id, "1v 2v 3v", 1));
	for (uint64_t id = 1; id <= 6; id++)
		OK(scatter(id, "") != SCATTER_REFUSED, "no name is a group, too");
	count_ends(6, leaders, peers);
	for (int store = 1; store <= 6; store++)
	{
		EQ_U64(leaders[store], 1, "a leader for each store");
		EQ_U64(peers[store], 3, "and half of the peers");
	}
	OK(state.ids.saved > 0, "the ids of new peers are saved");
}

static void
test_space(void)
{
	int leaders[10] = {0};
	int peers[10] = {0};

	begin(6);
	kit_space(&state.cluster, 5, 100, 7, 1, false);
	kit_space(&state.cluster, 2, 100, 70, 1, true);
	for (uint64_t id = 1; id <= 6; id++)
		know(kit_region(id, "1v 2v 3v", 1));
	for (uint64_t id = 1; id <= 6; id++)
		(void) scatter(id, "");
	count_ends(6, leaders, peers);
	EQ_U64(peers[5], 0, "a store that is low of space gets no peers");
	OK(peers[4] > 0 && peers[6] > 0, "others do");
	EQ_U64(leaders[2], 0, "and a busy one no leaders");
}

static void
test_groups(void)
{
	begin(3);
	for (uint64_t id = 1; id <= 6; id++)
		know(kit_region(id, "1v 2v 3v", 1));
	EQ_U64(scatter(1, "a"), SCATTER_STAYS, "one of a");
	EQ_U64(scatter(2, "b"), SCATTER_STAYS, "one of b is the first as well");
	now += 4 * MINUTE;
	for (uint64_t id = 1; id <= 3; id++)
		cluster_heard_store(&state.cluster, id, now);
	EQ_U64(scatter(3, "a"), SCATTER_STAYS, "what was long ago is forgotten");
	EQ_U64(scatter(4, "a"), SCATTER_BEGUN, "what was just now is not");
	for (int i = 0; i < 200; i++)
		(void) scatter(1, arena_printf(&kit_arena, "group %d", i));
	OK(schedule.n_groups <= SCATTER_MAX_GROUPS, "groups are bounded");
}

static void
test_refusals(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);
	Operator op;

	begin(3);
	EQ_U64(scatter(9, ""), SCATTER_REFUSED, "no region");
	EQ_STR(why, "failed to find region 9", "is named");
	kit_pending(&region, 3);
	know(region);
	EQ_U64(scatter(1, ""), SCATTER_REFUSED, "a peer catches up");
	EQ_STR(why, "region 1 is not fully replicated", "in tikv/pd's words");
	know(kit_region(1, "1v 2v 3v", 0));
	EQ_U64(scatter(1, ""), SCATTER_REFUSED, "nobody leads");
	EQ_STR(why, "region 1 has no leader", "which is said");
	know(kit_region(2, "1v 2l", 1));
	EQ_U64(scatter(2, ""), SCATTER_REFUSED, "a replica is missing");

	region = kit_region(3, "1v 2v 3v", 1);
	know(region);
	(void) operator_transfer(&region, 2, &op);
	(void) schedule_begin(&schedule, &op, "balance-leader", OPERATOR_LEADER,
						  now);
	(void) scatter(4, "");
	EQ_U64(scatter(3, "x"), SCATTER_STAYS, "balance is no reason to refuse");
	know(kit_region(4, "1v 2v 3v", 1));
	(void) scatter(4, "x");
	region = kit_region(5, "1v 2v 3v", 1);
	know(region);
	(void) operator_transfer(&region, 2, &op);
	(void) schedule_begin(&schedule, &op, "balance-leader", OPERATOR_LEADER,
						  now);
	EQ_U64(scatter(5, "x"), SCATTER_BEGUN, "it gives way");
	EQ_U64(schedule.records[0].op.status, OPERATOR_REPLACE, "and is replaced");
	(void) operator_transfer(&region, 2, &op);
	(void) schedule_cancel(&schedule, 5, now);
	(void) schedule_begin(&schedule, &op, "admin-operator", OPERATOR_REPLICA,
						  now);
	EQ_U64(scatter(5, "x"), SCATTER_REFUSED, "others do not");
	(void) schedule_cancel(&schedule, 5, now);
	EQ_U64(schedule_latest(&schedule, 5, now)->status, OPERATOR_CANCEL,
		   "how the last one ended is told");
	OK(schedule_latest(&schedule, 5, now + 11 * MINUTE) == NULL,
	   "for ten minutes");
}

static void
test_cuts(void)
{
	Bytes keys[] = {bytes_cstr("000002x"), bytes_cstr("000001"),
					bytes_cstr("000002a"), bytes_cstr("000003a"),
					bytes_cstr("000002x"), bytes_cstr("000009")};
	RegionTree *tree = &state.cluster.regions;
	Bytes *many = arena_alloc(&kit_arena, 2000 * sizeof(Bytes));
	uint64_t ids[8];
	Order *orders;
	size_t n;

	begin(1);
	for (uint64_t id = 1; id <= 3; id++)
		know(kit_region(id, "1v", id == 3 ? 0 : 1));
	n = cut_sort(keys, 6);
	EQ_U64(n, 5, "each key once");
	EQ_U64(cut_done(tree, keys, n, ids), 1, "one is a bound");
	EQ_U64(ids[0], 1, "of the first region");
	EQ_U64(cut_orders(tree, keys, n, &kit_arena, &orders), 1,
		   "one order: the others have no leader or no region");
	OK(orders[0].kind == ORDER_SPLIT && orders[0].region_id == 2 &&
		   orders[0].target.id == 101 && orders[0].epoch.version == 3 &&
		   orders[0].n_keys == 2 &&
		   bytes_eq(orders[0].keys[1], bytes_cstr("000002x")),
	   "for both keys of the second");
	for (int i = 0; i < 2000; i++)
		many[i] = bytes_cstr(arena_printf(&kit_arena, "000002%05d", i));
	EQ_U64(cut_orders(tree, many, 2000, &kit_arena, &orders), 1, "many keys");
	EQ_U64(orders[0].n_keys, CUT_ORDER_KEYS, "are told a part at a time");
	OK(orders[0].keys == many, "as they are, not copied");
	EQ_U64(cut_sort(many, 0), 0, "no keys");
}

int
main(void)
{
	arena_init(&kit_arena);
	pd_state_init(&state);
	schedule_init(&schedule);
	test_leaders();
	test_peers();
	test_space();
	test_groups();
	test_refusals();
	test_cuts();
	schedule_free(&schedule);
	pd_state_free(&state);
	arena_free(&kit_arena);
	return unit_done();
}
