/*
 * test_steady_clock.c
 *	  Steps forward are not followed for an hour or two, steps back at once.
 */
#include "core/kv/steady_clock.h"
#include "unit.h"

#define BOOT INT64_C(1700000000)
#define HOUR INT64_C(3600)
#define IS(got, want, what) OK((got) == (want), what)

/*
 * Ask every second from one monotonic time to another, with the clock this far
 * off; how far the last answer was.
 */
static int64_t
run(SteadyClock *clock, int64_t from, int64_t to, int64_t off)
{
	int64_t seen = 0;

	for (int64_t at = from; at <= to; at++)
		seen = steady_clock_now(clock, BOOT + at + off, at) - BOOT - at;
	return seen;
}

int
main(void)
{
	SteadyClock clock = {0};

	IS(run(&clock, 0, 3 * HOUR, 0), 0, "a clock that goes right is right");
	IS(run(&clock, 3 * HOUR, 3 * HOUR + 30, HOUR), 0,
	   "half a minute an hour ahead is not followed");
	IS(run(&clock, 3 * HOUR + 31, 4 * HOUR, HOUR), 0, "nor is an hour");
	IS(run(&clock, 4 * HOUR + 1, 6 * HOUR, HOUR), HOUR,
	   "after two hours it is");
	IS(run(&clock, 6 * HOUR + 1, 6 * HOUR + 1, 0), 0,
	   "a step back is followed at once");
	IS(run(&clock, 6 * HOUR + 2, 6 * HOUR + 2, -HOUR), -HOUR,
	   "also one too far back");
	IS(run(&clock, 6 * HOUR + 3, 9 * HOUR, 0), 0,
	   "of which nothing is left after two hours");
	IS(run(&clock, 20 * HOUR, 20 * HOUR, 5 * HOUR), 0,
	   "a step while nobody asked is one, too");

	clock = (SteadyClock){0};
	IS(run(&clock, 7, 7, HOUR), HOUR, "the first look is all that is known");
	IS(run(&clock, 8, 8, 0), 0, "a second one may know better");
	return unit_done();
}
