/*
 * test_raft_fuzz.c
 *	  Messages that no honest peer would send: an error at worst, never a crash
 *	  and never a step back.
 *
 * A peer is led through all roles by messages with random but plausible
 * fields, which come at any point of its turns; every CHECK of the core and
 * the sanitizers watch.
 */
#include "raft_wild.h"
#include "unit.h"

static uint64_t rng;

static uint64_t
rnd(uint64_t n)
{
	rng += UINT64_C(0x9E3779B97F4A7C15);
	uint64_t z = rng;

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % n;
}

int
main(void)
{
	int good = 0;

	for (uint64_t seed = 1; seed <= 400; seed++)
	{
		rng = seed;
		good += wild_run(3000, NULL);
	}
	EQ_U64(good, 400,
		   "400 runs of odd messages end, never go back, and tell what is due");
	return unit_done();
}
