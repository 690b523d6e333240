/*
 * test_common_clock.c
 *	  One clock of several that is ahead, or behind, is not followed.
 */
#include "core/kv/common_clock.h"
#include "unit.h"

#define BOOT INT64_C(1700000000000)
#define HOUR INT64_C(3600000)
#define IS(got, want, what) OK((got) == (want), what)

static CommonClock clock_of_all;

/* Node n's clock is off by so much. */
static void
hear(uint64_t node, int64_t at_ms, int64_t off_ms)
{
	common_clock_hear(&clock_of_all, node, BOOT + at_ms + off_ms, at_ms);
}

/* How far the common one is off, with the own one this far. */
static int64_t
off(int64_t at_ms, int64_t own_off_ms)
{
	return common_clock_now(&clock_of_all, BOOT + at_ms + own_off_ms, at_ms) -
		BOOT - at_ms;
}

static void
test_few(void)
{
	IS(common_clock_now(&clock_of_all, BOOT, 0), 0, "nobody else is known");
	hear(2, 5, 0);
	IS(off(5, HOUR), 0, "of two the lesser counts: the other one's");
	IS(off(5, -HOUR), -HOUR, "or the own");
	IS(off(5 + HOUR / 2, HOUR), 0, "which goes on");
	hear(2, 10, HOUR);
	IS(off(10, 0), 0, "the other one is ahead");
	hear(3, 10, 7);
	IS(off(10, 0), 7, "of three the middle one");
	IS(off(10, 2 * HOUR), HOUR, "two of three are believed");
	hear(2, 11, -30 * HOUR);
	IS(off(11, 0), 0, "one far behind holds nothing up");
	hear(4, 11, 3);
	IS(off(11, HOUR), 3, "of four the second");
}

static void
test_forgotten(void)
{
	clock_of_all = (CommonClock){0};
	hear(2, 0, 0);
	hear(3, HOUR / 2, 5);
	IS(off(HOUR, 1), 1, "an hour's silence is borne");
	IS(off(HOUR + 1, 9), 5, "and no more");
	IS(common_clock_now(&clock_of_all, BOOT, 2 * HOUR), 0, "of the last, too");
}

static void
test_many(void)
{
	clock_of_all = (CommonClock){0};
	for (uint64_t node = 1; node <= COMMON_CLOCK_NODES + 10; node++)
		hear(node, (int64_t) node, 4);
	IS(clock_of_all.n, COMMON_CLOCK_NODES, "there is room for so many");
	IS(off(100, HOUR), 4, "and they count");
	for (int i = 0; i < clock_of_all.n; i++)
		if (clock_of_all.heard[i].node <= 10)
			OK(false, "the oldest are forgotten");
}

int
main(void)
{
	test_few();
	test_forgotten();
	test_many();
	return unit_done();
}
