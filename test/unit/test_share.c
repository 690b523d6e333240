/*
 * test_share.c
 *	  Bounds that several share: who may have how much, and that nothing of the
 *	  counting is lost.
 */
#include "core/base/share.h"

#include <string.h>

#include "dice.h"
#include "unit.h"

#define LIMIT 16384

/* Take as much as this owner can get, at most `most`; how much that was. */
static size_t
take(Shares *shares, uint64_t owner, size_t most)
{
	size_t n = 0;

	while (n < most && shares_admit(shares, owner))
	{
		shares_add(shares, owner);
		n++;
	}
	return n;
}

static void
one_gets_half(void)
{
	Shares shares;

	shares_init(&shares, LIMIT);
	EQ_U64(take(&shares, 1, LIMIT), LIMIT / 2, "one alone gets half");
	EQ_U64(take(&shares, 2, LIMIT), LIMIT / 3, "a second one a third");
	EQ_U64(shares.n_owners, 2, "they are two");
	shares_free(&shares);
}

/* As many as fill the bound, each with what a connection may have. */
static void
some_leave_room_for_others(void)
{
	Shares shares;
	size_t all = 0;
	bool served = true;

	shares_init(&shares, LIMIT);
	for (uint64_t owner = 1; owner <= 100; owner++)
		all += take(&shares, owner, LIMIT / 4);
	OK(all < LIMIT - LIMIT / 16, "a hundred floods do not fill the bound");
	for (uint64_t owner = 1000; owner < 1100; owner++)
		served = served && take(&shares, owner, 8) == 8;
	OK(served, "a hundred others have a few each");
	OK(shares.n <= LIMIT, "and the bound is kept");
	shares_free(&shares);
}

static void
the_bound_is_one(void)
{
	Shares shares;

	shares_init(&shares, 4);
	for (uint64_t owner = 1; owner <= 10; owner++)
		(void) take(&shares, owner, 1);
	EQ_U64(shares.n, 4, "not even those who have nothing go beyond it");
	OK(!shares_admit(&shares, 11), "who comes then is refused");
	shares_remove(&shares, 1);
	OK(shares_admit(&shares, 11), "until somebody goes");
	shares_free(&shares);
	shares_init(&shares, 0);
	OK(!shares_admit(&shares, 1), "of nothing nobody has any");
	shares_free(&shares);
}

static void
counts_are_kept(void)
{
	Shares shares;
	size_t has[200] = {0};
	size_t all = 0;
	size_t owners = 0;
	bool right = true;

	shares_init(&shares, 1000);
	for (int i = 0; i < 100000; i++)
	{
		uint64_t owner = next_random() % 200;

		right = right &&
			shares_admit(&shares, owner) ==
				share_admits(has[owner], all, owners, 1000);
		if (next_random() % 2 == 0 && shares_admit(&shares, owner))
		{
			owners += has[owner]++ == 0;
			all++;
			shares_add(&shares, owner);
		}
		else if (has[owner] > 0)
		{
			owners -= --has[owner] == 0;
			all--;
			shares_remove(&shares, owner);
		}
		right = right && shares.n == all && shares.n_owners == owners;
	}
	OK(right, "counts by owner and in all are right after any steps");
	shares_free(&shares);
}

int
main(void)
{
	one_gets_half();
	some_leave_room_for_others();
	the_bound_is_one();
	counts_are_kept();
	return unit_done();
}
