/*
 * test_pd_placement.c
 *	  Which stores hold a region: the odd rule, replacement, leaving.
 */
#include "schedule_kit.h"
#include "unit.h"

static Cluster cluster;
static const PlacementClock clock = {.now_us = 100 * MINUTE,
									 .since_us = SECOND,
									 .disconnect_us = SCHEDULE_DISCONNECT_US,
									 .max_down_us = SCHEDULE_MAX_DOWN_US};

/* One letter per store: Up, Silent for a minute, Dead for an hour, Leaving. */
static void
stores(const char *letters)
{
	cluster_free(&cluster);
	cluster.bootstrapped = true;
	cluster.max_peer_count = 3;
	for (uint64_t id = 1; letters[id - 1] != '\0'; id++)
	{
		char c = letters[id - 1];
		int64_t age = c == 'U' || c == 'L' ? SECOND :
			c == 'S'					   ? MINUTE :
											 60 * MINUTE;

		kit_store(&cluster, id, c == 'L' ? STORE_OFFLINE : STORE_UP,
				  clock.now_us - age);
	}
}

static const char *
plan(const PdRegion *region)
{
	PlacementStores places = placement_stores(&cluster, &clock, &kit_arena);
	RegionPlan out;

	placement_plan(&places, region, &clock, &out);
	return kit_plan_text(&out);
}

static const char *
plan_for(const char *letters, const char *peers, uint64_t leader)
{
	PdRegion region = kit_region(1, peers, leader);

	stores(letters);
	return plan(&region);
}

static void
test_odd_rule(void)
{
	static const int expected[][3] = {
		/* max 3 */
		{0, 0, 0}, {1, 1, 0}, {2, 1, 1}, {3, 3, 0}, {4, 3, 0}, {9, 3, 0},
	};
	int voters;
	int learners;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
	{
		placement_count((size_t) expected[i][0], 3, &voters, &learners);
		OK(voters == expected[i][1] && learners == expected[i][2],
		   arena_printf(&kit_arena, "%d stores, at most 3", expected[i][0]));
	}
	placement_count(4, 5, &voters, &learners);
	OK(voters == 3 && learners == 1, "4 stores, at most 5");
	placement_count(5, 2, &voters, &learners);
	OK(voters == 1 && learners == 1, "5 stores, at most 2");

	EQ_STR(plan_for("U", "1v", 1), "1v", "one store");
	EQ_STR(plan_for("UU", "1v", 1), "1v 2l", "two");
	EQ_STR(plan_for("UUU", "1v 2l", 1), "1v 2v 3v", "three");
	EQ_STR(plan_for("UUUU", "1v 2v 3v", 1), "1v 2v 3v", "four");
	EQ_STR(plan_for("UUU", "1v 2v 3v", 2), "1v 2v 3v", "at rest");
	EQ_STR(plan_for("UUUU", "1v 2v 3v 4l", 1), "1v 2v 3v", "one too many");
}

static void
test_losses(void)
{
	PdRegion region;

	EQ_STR(plan_for("US", "1v 2l", 1), "1v 2l", "silent for a while");
	EQ_STR(plan_for("UUSU", "1v 2v 3v", 1), "1v 2v 3v",
		   "nobody is replaced at once");
	EQ_STR(plan_for("UUDU", "1v 2v 3v", 1), "1v 2v 4v",
		   "a dead store is replaced");
	EQ_STR(plan_for("UUD", "1v 2v 3v", 1), "1v 2v 3v",
		   "not without a replacement");
	EQ_STR(plan_for("UUDS", "1v 2v 3v", 1), "1v 2v 3v",
		   "and not by one that is silent");
	EQ_STR(plan_for("UDDUU", "1v 2v 3v", 1), "1v 4v 5v",
		   "two are dead: what the leader cannot do is not its plan's fault");

	region = kit_region(1, "1v 2v 3v", 1);
	kit_down(&region, 3, 3600);
	stores("UUUU");
	EQ_STR(plan(&region), "1v 2v 4v", "a dead peer on a store that lives");
	kit_down(&region, 3, 60);
	EQ_STR(plan(&region), "1v 2v 3v", "unless it is dead for a short time");

	region = kit_region(1, "1v 2v 3v 4l", 1);
	kit_pending(&region, 4);
	stores("UUDUU");
	EQ_STR(plan(&region), "1v 2v 4v",
		   "a replacement under way is gone on with");
}

static void
test_leaving(void)
{
	EQ_STR(plan_for("UUL", "1v 2v 3v", 1), "1v 2l", "three shrink to two");
	EQ_STR(plan_for("UUL", "1v 2v 3v", 3), "1v 2l",
		   "also when the leader's store leaves");
	EQ_STR(plan_for("UUUL", "1v 2v 4v", 1), "1v 2v 3v", "four to three");
	EQ_STR(plan_for("UL", "1v 2l", 1), "1v", "two to one");
	EQ_STR(plan_for("LU", "1v 2l", 1), "2v", "the voter's store leaves");
	EQ_STR(plan_for("LUU", "1v 2v 3v", 1), "2v 3l", "the first one leaves");
	EQ_STR(plan_for("UDL", "1v 2v 3v", 1), "1v 2l",
		   "the dead one stays a learner while another leaves");
}

static const char *
plan_with(const char *letters, const char *peers, uint64_t low)
{
	PdRegion region = kit_region(1, peers, 1);

	stores(letters);
	kit_space(&cluster, low, 100, 7, 1, false);
	return plan(&region);
}

static void
test_space(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);

	EQ_STR(plan_with("UUDUU", "1v 2v 3v", 4), "1v 2v 5v",
		   "a store that is low of space replaces none");
	EQ_STR(plan_with("UUDU", "1v 2v 3v", 4), "1v 2v 3v",
		   "also if there is no other");
	EQ_STR(plan_with("UU", "1v", 2), "1v", "it gets no peer");
	EQ_STR(plan_with("UUU", "1v 2v 3v", 3), "1v 2v 3v", "but keeps its own");

	stores("UUDU");
	kit_space(&cluster, 4, 100, 20, 1000, false);
	EQ_STR(plan(&region), "1v 2v 4v", "a fifth is enough");
	kit_space(&cluster, 4, 100, 19, 1000, false);
	EQ_STR(plan(&region), "1v 2v 3v", "less is not");
	kit_space(&cluster, 4, 100, 19, 99, false);
	EQ_STR(plan(&region), "1v 2v 4v", "unless it has few regions");
	kit_space(&cluster, 4, 100, 8, 99, false);
	EQ_STR(plan(&region), "1v 2v 3v", "and more than 8 GiB");
	kit_space(&cluster, 4, 0, 0, 1000, false);
	EQ_STR(plan(&region), "1v 2v 4v", "one that does not tell is trusted");
	kit_space(&cluster, 4, 100, 90, 1, true);
	EQ_STR(plan(&region), "1v 2v 3v", "a busy one gets none");
	kit_space(&cluster, 4, 100, 90, 1, false);
	EQ_STR(plan(&region), "1v 2v 4v", "until it is not");
}

/* With such stores that say they are busy; the others say they are not. */
static const char *
plan_busy(const char *letters, const char *peers, uint64_t leader,
		  const char *busy)
{
	PdRegion region = kit_region(1, peers, leader);

	stores(letters);
	for (uint64_t id = 1; letters[id - 1] != '\0'; id++)
		kit_space(&cluster, id, 100, 90, 1,
				  strchr(busy, '0' + (int) id) != NULL);
	return plan(&region);
}

/* Who votes where a store is short of disk space. */
static void
test_busy(void)
{
	PdRegion region = kit_region(1, "1v 2l", 1);

	EQ_STR(plan_busy("LUU", "1v 2v 3v", 1, "2"), "2l 3v",
		   "the busy one is not left the only voter");
	EQ_STR(plan_busy("LUU", "1v 2v 3v", 1, "3"), "2v 3l", "whichever it is");
	EQ_STR(plan_busy("LUU", "1v 2v 3v", 2, "2"), "2l 3v", "also if it leads");
	EQ_STR(plan_busy("UU", "1v 2l", 1, "1"), "1l 2v",
		   "a learner takes the place of a voter that is busy");
	EQ_STR(plan_busy("UU", "1v 2l", 1, "12"), "1v 2l", "not if it is, too");
	EQ_STR(plan_busy("UU", "1l 2v", 2, ""), "1l 2v", "and keeps it");
	EQ_STR(plan_busy("US", "1v 2l", 1, "1"), "1v 2l", "nor if it is silent");
	EQ_STR(plan_busy("UUU", "1v 2v 3v", 1, "12"), "1v 2v 3v",
		   "where all vote they stay");

	stores("UU");
	kit_space(&cluster, 1, 100, 90, 1, true);
	kit_pending(&region, 2);
	EQ_STR(plan(&region), "1v 2l", "nor if it has not caught up");

	/* Writes do not end for somebody's leaving. */
	EQ_STR(plan_busy("LU", "1v 2l", 1, "2"), "1v 2l",
		   "who leaves waits for another one that has room");
	EQ_STR(plan_busy("LUU", "1v 2l", 1, "2"), "2l 3v",
		   "which votes once it has the data");
	EQ_STR(plan_busy("LUU", "1v 2l", 1, "23"), "1v 2l", "if it has room");
	EQ_STR(plan_busy("UUUUU", "1v 2l 3l", 1, "23"), "1v 4v 5v",
		   "nor does one stay the only voter for learners without room");
	EQ_STR(plan_busy("UUUU", "1v 2l 3l", 1, "23"), "1v 2v 4v",
		   "of whom one may vote");
	EQ_STR(plan_busy("UUU", "1v 2l 3l", 1, "23"), "1v 2l 3l",
		   "but not a majority");
	EQ_STR(plan_busy("LUU", "1v 2v 3v", 1, "23"), "2v 3l",
		   "not if nobody writes anyway");
}

static void
test_four(void)
{
	Cluster *c = &cluster;
	PdRegion region = kit_region(1, "1v 2v 3v 4l", 1);

	stores("UUUU");
	c->max_peer_count = 4;
	EQ_STR(plan(&region), "1v 2v 3v 4l", "three vote of four");
	kit_space(c, 2, 100, 90, 1, true);
	EQ_STR(plan(&region), "1v 2l 3v 4v", "of which one is busy");
	kit_space(c, 1, 100, 90, 1, true);
	EQ_STR(plan(&region), "1v 2l 3v 4v", "of two the leader stays");
	kit_space(c, 4, 100, 90, 1, true);
	EQ_STR(plan(&region), "1v 2v 3v 4l", "none for another that is busy");
}

static void
test_start(void)
{
	PdRegion region = kit_region(1, "1v 2v 3v", 1);

	/* Nobody is dead for a leader that has only begun to listen. */
	stores("UUUU");
	cluster_heard_store(&cluster, 3, 0);
	EQ_STR(plan(&region), "1v 2v 4v", "silent since leadership began long ago");
	{
		PlacementClock young = clock;
		PlacementStores places;
		RegionPlan out;

		young.since_us = clock.now_us - MINUTE;
		places = placement_stores(&cluster, &young, &kit_arena);
		placement_plan(&places, &region, &young, &out);
		EQ_STR(kit_plan_text(&out), "1v 2v 3v", "a minute ago");
	}
}

int
main(void)
{
	arena_init(&kit_arena);
	cluster_init(&cluster);
	test_odd_rule();
	test_losses();
	test_leaving();
	test_space();
	test_busy();
	test_four();
	test_start();
	cluster_free(&cluster);
	arena_free(&kit_arena);
	return unit_done();
}
