/*
 * test_first_region.c
 *	  Who makes the first region, and what becomes of one that is not taken.
 */
#include "core/region/first_region.h"
#include "unit.h"

static Region
first(uint64_t store_id)
{
	return (Region){.id = 2,
					.epoch = {1, 1},
					.n_peers = 1,
					.peers = {{.id = 3, .store_id = store_id}}};
}

static FirstRegionStep
step(bool bootstrapped, bool joins, int n_regions, bool prepared)
{
	FirstRegionView view = {bootstrapped, joins, n_regions, prepared};

	return first_region_step(&view);
}

static void
test_steps(void)
{
	EQ_U64(step(false, false, 0, false), FIRST_REGION_PREPARE,
		   "an empty store of a new cluster makes one");
	EQ_U64(step(false, false, 1, true), FIRST_REGION_ASK,
		   "one that was prepared is told");
	EQ_U64(step(false, false, 3, false), FIRST_REGION_ASK,
		   "what it leads is kept, whatever the cluster has forgotten");
	EQ_U64(step(true, false, 1, true), FIRST_REGION_COMPARE,
		   "it was prepared and somebody's was taken: whose?");
	EQ_U64(step(true, false, 1, false), FIRST_REGION_SETTLED,
		   "a restart asks nothing");
	EQ_U64(step(true, false, 0, false), FIRST_REGION_SETTLED,
		   "nor does a store that comes later");
	EQ_U64(step(true, true, 0, false), FIRST_REGION_SETTLED,
		   "or joins a cluster that has its first region");
}

static void
test_who_joins_founds_nothing(void)
{
	EQ_U64(step(false, true, 0, false), FIRST_REGION_WAIT,
		   "who joins makes none");
	EQ_U64(step(false, true, 1, true), FIRST_REGION_WAIT,
		   "also if it was told so when it had prepared one");
	EQ_U64(step(false, true, 3, false), FIRST_REGION_WAIT,
		   "or has regions of another time");
	EQ_U64(step(true, true, 1, true), FIRST_REGION_COMPARE,
		   "what it had prepared may have to go");
}

static void
test_what_is_prepared(void)
{
	Region region = first(1);

	OK(first_region_is_prepared(&region, 1, 5, 5), "as it was made");
	OK(!first_region_is_prepared(&region, 1, 6, 5), "its peer has campaigned");
	OK(!first_region_is_prepared(&region, 1, 5, 6), "an entry was applied");
	OK(!first_region_is_prepared(&region, 2, 5, 5), "it is another store's");
	region.epoch.conf_ver = 2;
	OK(!first_region_is_prepared(&region, 1, 5, 5), "its peers have changed");
	region = first(1);
	region.epoch.version = 2;
	OK(!first_region_is_prepared(&region, 1, 5, 5), "it was split");
	region = first(1);
	region.end_key = bytes_cstr("m");
	OK(!first_region_is_prepared(&region, 1, 5, 5), "it has not all keys");
	region = first(1);
	region.n_peers = 0;
	OK(!first_region_is_prepared(&region, 1, 5, 5), "it waits for a snapshot");
}

int
main(void)
{
	test_steps();
	test_who_joins_founds_nothing();
	test_what_is_prepared();
	return unit_done();
}
