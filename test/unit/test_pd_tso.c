/*
 * test_pd_tso.c
 *	  The timestamp oracle: order, batches, clocks that jump, restarts; and the
 *	  id counter.
 */
#include "pd/core/id.h"
#include "pd/core/tso.h"

#include "unit.h"

#define NOW UINT64_C(1700000000000)

static uint64_t
next_of(uint64_t last, uint64_t bound, uint64_t now, uint32_t count)
{
	uint64_t next = 0;

	return tso_next(last, bound, now, count, &next) == TSO_OK ? next : 0;
}

static void
test_batches(void)
{
	uint64_t last = tso_make(NOW, 0);
	uint64_t next = 7;

	EQ_U64(next_of(last, NOW + 1, NOW, 1), tso_make(NOW, 1), "first of a ms");
	EQ_U64(next_of(last, NOW + 1, NOW, 10), tso_make(NOW, 10),
		   "a batch is told by its last");
	EQ_U64(next_of(tso_make(NOW, 10), NOW + 1, NOW, 5), tso_make(NOW, 15),
		   "batches follow each other");
	EQ_U64(tso_next(last, NOW + 1, NOW, 0, &next), TSO_ZERO_COUNT,
		   "count 0 is an error");
	EQ_U64(tso_next(last, NOW + 1, NOW, TSO_LOGICAL_MAX + 1, &next),
		   TSO_TOO_MANY, "more than 18 bits of count is an error");
	EQ_U64(tso_next(last, NOW + 1, NOW, UINT32_MAX, &next), TSO_TOO_MANY,
		   "a huge count is an error");
	EQ_U64(next, 7, "errors leave the output alone");
	EQ_U64(next_of(last, NOW + 2, NOW, TSO_LOGICAL_MAX),
		   tso_make(NOW, TSO_LOGICAL_MAX), "the largest batch fits one ms");
}

static void
test_overflow(void)
{
	uint64_t last = tso_make(NOW, TSO_LOGICAL_MAX - 2);
	uint64_t next = 0;

	EQ_U64(next_of(last, NOW + 2, NOW, 2), tso_make(NOW, TSO_LOGICAL_MAX),
		   "the last logical is used");
	EQ_U64(next_of(last, NOW + 2, NOW, 3), tso_make(NOW + 1, 3),
		   "overflow takes the next ms, whole batch");
	EQ_U64(tso_next(last, NOW + 1, NOW, 3, &next), TSO_NO_WINDOW,
		   "overflow stays below the bound");
}

static void
test_clock(void)
{
	uint64_t last = tso_make(NOW, 9);
	uint64_t next = 0;

	EQ_U64(next_of(last, NOW + 100, NOW + 3, 2), tso_make(NOW + 3, 2),
		   "the clock carries the physical part on");
	EQ_U64(next_of(last, NOW + 100, NOW - 3600000, 2), tso_make(NOW, 11),
		   "a clock set back: logical goes on");
	EQ_U64(next_of(last, NOW + 100, 0, 1), tso_make(NOW, 10),
		   "a clock at zero: logical goes on");
	EQ_U64(tso_next(last, NOW + 100, NOW + 100, 1, &next), TSO_NO_WINDOW,
		   "the bound itself is never used");
	EQ_U64(next_of(last, NOW + 100, NOW + 99, 1), tso_make(NOW + 99, 1),
		   "one below the bound is");
	EQ_U64(tso_next(0, 0, NOW, 1, &next), TSO_NO_WINDOW,
		   "nothing without leadership");
}

static void
test_start(void)
{
	EQ_U64(tso_start(0, 0, NOW), tso_make(NOW, 0), "first start of all");
	EQ_U64(tso_start(0, NOW + 4000, NOW), tso_make(NOW + 4000, 0),
		   "a quick restart goes on at the saved bound");
	EQ_U64(tso_start(0, NOW - 4000, NOW), tso_make(NOW, 0),
		   "a late restart goes on at the clock");
	EQ_U64(tso_start(tso_make(NOW + 9, 5), NOW, NOW), tso_make(NOW + 10, 0),
		   "memory that knows more wins");
	OK(next_of(tso_start(0, NOW, NOW - 86400000), NOW + 1, 5, 1) >=
		   tso_make(NOW, 1),
	   "restart with the clock a day behind");
}

static void
test_extend(void)
{
	uint64_t bound = NOW + TSO_WINDOW_MS;
	uint64_t last = tso_make(NOW, 1);

	OK(!tso_wants_bound(last, bound, NOW), "a full window needs nothing");
	OK(!tso_wants_bound(last, bound, NOW + TSO_REFRESH_MS), "nor half of it");
	OK(tso_wants_bound(last, bound, NOW + TSO_REFRESH_MS + 1),
	   "less than the margin asks for more");
	OK(tso_wants_bound(tso_make(NOW + TSO_REFRESH_MS + 1, 0), bound, NOW),
	   "the physical part counts too");
	EQ_U64(tso_extend(last, bound, NOW + 3000, 3000),
		   NOW + 3000 + TSO_WINDOW_MS, "by the clock");
	EQ_U64(tso_extend(last, bound, NOW, 0), bound, "never lower");

	last = tso_make(NOW + 4999, TSO_LOGICAL_MAX);
	EQ_U64(tso_extend(last, bound, NOW, 0), bound,
		   "ahead of the clock and no time passed: no gain");
	EQ_U64(tso_extend(last, bound, NOW - 3600000, 40), bound + 40,
		   "ahead of the clock: as fast as time");
	EQ_U64(tso_extend(last, bound, NOW - 3600000, 86400000),
		   NOW + 4999 + TSO_WINDOW_MS, "but no more than a window");
}

/*
 * A walk of random requests with clock jumps, crashes and restarts: whatever
 * happens, timestamps ascend and stay below what was saved.
 */
static void
test_walk(void)
{
	uint64_t seed = 42;
	uint64_t saved = NOW;
	uint64_t last = tso_start(0, saved, NOW);
	uint64_t newest = 0;
	uint64_t now = NOW;
	bool ascending = true;
	bool covered = true;

	saved = tso_extend(last, saved, now, 0);
	for (int i = 0; i < 200000; i++)
	{
		uint32_t r;
		uint64_t next;
		TsoResult result;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		r = (uint32_t) (seed >> 33);
		now += r % 3;
		if (r % 1000 == 0)
			now -= r % 20000;
		if (r % 5000 == 1)
			last = tso_start(0, saved, now);
		result = tso_next(last, saved, now, r % TSO_LOGICAL_MAX + 1, &next);
		if (result == TSO_NO_WINDOW)
		{
			saved = tso_extend(last, saved, now, 50);
			continue;
		}
		if (next - r % TSO_LOGICAL_MAX <= newest)
			ascending = false;
		if (tso_physical(next) >= saved)
			covered = false;
		newest = last = next;
	}
	OK(ascending, "200,000 steps with jumps and restarts only ascend");
	OK(covered, "and never pass what was saved");
}

/*
 * Failures that PD had when its leader changed.  Members share what is saved,
 * each has a clock and a memory of its own.
 */
typedef struct Member
{
	uint64_t last;
	uint64_t bound; /* 0: it does not lead */
	int64_t clock_off;
} Member;

static void
lead(Member *m, uint64_t *saved, uint64_t now)
{
	uint64_t clock = now + (uint64_t) m->clock_off;

	m->last = tso_start(m->last, *saved, clock);
	*saved = m->bound = tso_extend(m->last, *saved, clock, TSO_WINDOW_MS);
}

static uint64_t
ask(Member *m, uint64_t *saved, uint64_t now)
{
	uint64_t clock = now + (uint64_t) m->clock_off;

	if (tso_wants_bound(m->last, m->bound, clock))
		*saved = m->bound = tso_extend(m->last, m->bound, clock, 100);
	return m->last = next_of(m->last, m->bound, clock, 1);
}

static void
test_leader_changes(void)
{
	Member a = {0, 0, 0};
	Member b = {0, 0, 3000};
	uint64_t saved = 0;
	uint64_t of_b;
	uint64_t next = 7;

	/* it resigns and leads again, with what it handed out in memory */
	lead(&a, &saved, NOW);
	(void) ask(&a, &saved, NOW);
	a.bound = 0;
	EQ_U64(tso_next(a.last, a.bound, NOW + 1, 1, &next), TSO_NO_WINDOW,
		   "tikv/pd#4884: who resigned gives none, whatever it remembers");
	lead(&b, &saved, NOW + 1);
	of_b = ask(&b, &saved, NOW + 1);
	EQ_U64(tso_next(a.last, a.bound, NOW + 2, 1, &next), TSO_NO_WINDOW,
		   "tikv/pd#4884: nor before it has read what was saved");
	b.bound = 0;
	lead(&a, &saved, NOW + 2);
	OK(ask(&a, &saved, NOW + 2) > of_b,
	   "tikv/pd#4884: a leader that is back goes on above its successor");

	/* ten minutes away, its clock behind the other's */
	a.bound = 0;
	lead(&b, &saved, NOW + 600000);
	of_b = ask(&b, &saved, NOW + 600000);
	b.bound = 0;
	a.clock_off = -600000;
	lead(&a, &saved, NOW + 600001);
	OK(ask(&a, &saved, NOW + 600001) > of_b,
	   "tikv/pd#8836: one that led long ago does not go on from there");
}

static void
test_leader_walk(void)
{
	Member members[3] = {{0, 0, 0}, {0, 0, 4000}, {0, 0, -90000}};
	uint64_t seed = 7;
	uint64_t saved = 0;
	uint64_t newest = 0;
	uint64_t now = NOW;
	int leader = 0;
	int changes = 0;
	bool ascending = true;

	lead(&members[0], &saved, now);
	for (int i = 0; i < 100000; i++)
	{
		uint64_t ts;
		uint32_t r;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
		r = (uint32_t) (seed >> 33);
		now += r % 3;
		if (r % 50 == 0)
		{
			members[leader].bound = 0;
			leader = (int) (r / 50 % 3);
			if (r % 3 == 0)
				members[leader].last = 0; /* started again */
			if (r % 7 == 0)
				members[leader].clock_off += (int64_t) (r % 20000) - 10000;
			lead(&members[leader], &saved, now);
			changes++;
		}
		ts = ask(&members[leader], &saved, now);
		if (ts != 0 && ts <= newest)
			ascending = false;
		if (ts != 0)
			newest = ts;
	}
	OK(ascending && changes > 1000,
	   "tikv/pd#9157: 1,000 changes of leaders whose clocks differ only ascend");
}

static void
test_ids(void)
{
	IdAllocator ids = {0, 0};
	uint64_t last;
	uint64_t end;

	EQ_U64(id_take(&ids, 0, &last, &end), STATUS_OK, "absent count is one");
	EQ_U64(last, 1, "the first id");
	EQ_U64(end, ID_STEP, "a step is saved ahead");
	ids.saved = end;
	EQ_U64(id_take(&ids, 10, &last, &end), STATUS_OK, "ten ids");
	EQ_U64(last, 11, "the last of them is told");
	EQ_U64(end, ids.saved, "nothing to save within the step");
	EQ_U64(id_take(&ids, 5000, &last, &end), STATUS_OK, "more than a step");
	EQ_U64(last, 5011, "contiguous");
	EQ_U64(end, 6000, "the saved end covers them");
	EQ_U64(id_take(&ids, ID_MAX_COUNT + 1, &last, &end), STATUS_TOO_LARGE,
		   "absurd counts are refused");
	ids.last = ids.saved = 2000;
	EQ_U64(id_take(&ids, 1, &last, &end), STATUS_OK, "after a restart");
	EQ_U64(last, 2001, "ids go on behind the saved end");
	EQ_U64(end, 3000, "and the next step is saved");
	ids.last = UINT64_MAX - 10;
	EQ_U64(id_take(&ids, 1, &last, &end), STATUS_UNAVAILABLE,
		   "the counter never wraps");
}

int
main(void)
{
	test_batches();
	test_overflow();
	test_clock();
	test_start();
	test_extend();
	test_walk();
	test_leader_changes();
	test_leader_walk();
	test_ids();
	return unit_done();
}
