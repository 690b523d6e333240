/*
 * test_pacer.c
 *	  Bursts go through, sustained load keeps the interval.
 */
#include "core/base/pacer.h"
#include "unit.h"

#define INTERVAL INT64_C(1000)

/* Run as fast as the pacer allows; returns the turns within `duration`. */
static int
run(Pacer *pacer, int64_t *now, int64_t duration, int64_t turn_us)
{
	int64_t end = *now + duration;
	int turns = 0;

	while (*now < end)
	{
		int64_t wait = pacer_wait_us(pacer, *now, INTERVAL);

		if (wait > 0)
		{
			*now += wait;
			continue;
		}
		pacer_spend(pacer, *now, INTERVAL);
		*now += turn_us;
		turns++;
	}
	return turns;
}

int
main(void)
{
	Pacer pacer = {0};
	int64_t now = 1000000;
	int turns;

	EQ_U64(pacer_wait_us(&pacer, now, INTERVAL), 0,
		   "an idle store may write at once");
	turns = run(&pacer, &now, INTERVAL * 1000, 300);
	OK(turns > 2800, "a burst runs ahead of the pace");
	run(&pacer, &now, INTERVAL * 20000, 300);
	turns = run(&pacer, &now, INTERVAL * 10000, 300);
	OK(turns >= 9900 && turns <= 10100, "sustained load keeps the interval");
	now += INTERVAL * PACER_BURST * 2;
	EQ_U64(pacer_wait_us(&pacer, now, INTERVAL), 0,
		   "after a pause it is free again");
	turns = run(&pacer, &now, INTERVAL * 10, 1);
	OK(turns > 1000, "with the whole burst");
	EQ_U64(pacer_wait_us(&pacer, now, 0), 0, "interval 0 never waits");
	return unit_done();
}
