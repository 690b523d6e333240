/*
 * test_space.c
 *	  From where on a disk is short, and from where on it is well again.
 */
#include "core/base/space.h"
#include "unit.h"

#define RESERVE UINT64_C(800)

static void
test_levels(void)
{
	EQ_U64(space_judge(2000, RESERVE).level, GUARD_OK, "much is free");
	EQ_U64(space_judge(2000, RESERVE).room, 1200, "all above the reserve");
	EQ_U64(space_judge(800, RESERVE).level, GUARD_OK, "the reserve is whole");
	EQ_U64(space_judge(800, RESERVE).room, 0, "and is no room");
	EQ_U64(space_judge(799, RESERVE).level, GUARD_ALMOST_FULL, "it is not");
	EQ_U64(space_judge(799, RESERVE).room, 0, "there is no room below it");
	EQ_U64(space_judge(400, RESERVE).level, GUARD_ALMOST_FULL, "half of it");
	EQ_U64(space_judge(399, RESERVE).level, GUARD_ALREADY_FULL, "less");
	EQ_U64(space_judge(0, RESERVE).level, GUARD_ALREADY_FULL, "nothing");
	EQ_U64(space_judge(0, 0).level, GUARD_OK, "no reserve is never used up");
	EQ_U64(space_judge(UINT64_MAX, 1).room, UINT64_MAX - 1, "a huge disk");
}

/* Both directories on a disk with so much free. */
static bool
starved(uint64_t free_bytes, bool before)
{
	Space space = space_judge(free_bytes, RESERVE);

	return space_starved(&space, &space, before);
}

/* From half of the reserve on down, until five eighths are free again. */
static void
test_starved(void)
{
	OK(!starved(400, false), "half of the reserve is enough to go on");
	OK(starved(399, false), "less is not");
	OK(starved(399, true), "nor a moment later");
	OK(starved(400, true), "half of it is too little to begin again");
	OK(starved(499, true), "so is all below five eighths");
	OK(!starved(500, true), "which are enough");
	OK(!starved(499, false), "and then, all down to half of it");
	OK(!starved(2000, true), "so is a disk that is well");
}

static void
test_two_disks(void)
{
	Space well = space_judge(2000, RESERVE);
	Space between = space_judge(450, RESERVE);
	Space full = space_judge(100, RESERVE);

	EQ_U64(space_level(&well, &between), GUARD_ALMOST_FULL, "the WAL's counts");
	EQ_U64(space_level(&between, &well), GUARD_ALMOST_FULL,
		   "the data's counts");
	EQ_U64(space_level(&between, &full), GUARD_ALREADY_FULL, "the worse one");
	OK(space_starved(&well, &full, false), "the WAL's disk is full");
	OK(space_starved(&full, &well, false), "the data's disk is full");
	OK(space_starved(&well, &between, true), "the WAL's has hardly more");
	OK(space_starved(&between, &well, true), "the data's has hardly more");
	OK(!space_starved(&between, &between, false), "none was full");
	OK(!space_starved(&well, &well, true), "both are well again");
}

int
main(void)
{
	test_levels();
	test_starved();
	test_two_disks();
	return unit_done();
}
