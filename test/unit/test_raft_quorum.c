/*
 * test_raft_quorum.c
 *	  Majorities, compared with counting by hand over all small cases.
 */
#include "core/raft/quorum.h"
#include "unit.h"

static uint64_t values[RAFT_MAX_PEERS + 1]; /* by id */

static uint64_t
value_of(const void *arg, uint64_t id)
{
	(void) arg;
	return values[id];
}

static int
vote_of(const void *arg, uint64_t id)
{
	(void) arg;
	return (int) values[id] - 1; /* 0 no, 1 none, 2 yes */
}

static RaftIdSet
first_ids(int n, uint64_t from)
{
	RaftIdSet set = {0};

	for (int i = 0; i < n; i++)
		(void) raft_set_add(&set, from + (uint64_t) i);
	return set;
}

/* The highest value v such that a majority has at least v. */
static uint64_t
by_hand(const RaftIdSet *set, uint64_t highest)
{
	for (uint64_t v = highest; v > 0; v--)
	{
		int have = 0;

		for (int i = 0; i < set->n; i++)
			have += values[set->id[i]] >= v;
		if (have > set->n / 2)
			return v;
	}
	return 0;
}

static void
test_acked(void)
{
	bool same = true;

	for (int n = 1; n <= 7; n++)
	{
		RaftIdSet set = first_ids(n, 1);
		int cases = 1;

		for (int i = 0; i < n; i++)
			cases *= 4;
		for (int c = 0; c < cases; c++)
		{
			for (int i = 0, rest = c; i < n; i++, rest /= 4)
				values[i + 1] = (uint64_t) (rest % 4);
			same = same &&
				raft_quorum_acked(&set, value_of, NULL) == by_hand(&set, 3);
		}
	}
	OK(same, "1 to 7 voters: what a majority has reached");
}

static void
test_joint_acked(void)
{
	RaftConfState conf = {.voters = first_ids(3, 1)};
	bool same = true;

	conf.voters_outgoing = first_ids(3, 3);
	for (int c = 0; c < 1024; c++)
	{
		uint64_t in;
		uint64_t out;

		for (int i = 0, rest = c; i < 5; i++, rest /= 4)
			values[i + 1] = (uint64_t) (rest % 4);
		in = by_hand(&conf.voters, 3);
		out = by_hand(&conf.voters_outgoing, 3);
		same = same &&
			raft_joint_acked(&conf, value_of, NULL) == (in < out ? in : out);
	}
	OK(same, "joint: the lesser of both halves");
	memset(&conf, 0, sizeof(conf));
	EQ_U64(raft_joint_acked(&conf, value_of, NULL), UINT64_MAX,
		   "nobody decides nothing");
}

static RaftVoteResult
vote_by_hand(const RaftIdSet *set)
{
	int yes = 0;
	int open = 0;

	for (int i = 0; i < set->n; i++)
	{
		yes += values[set->id[i]] == 2;
		open += values[set->id[i]] == 1;
	}
	if (set->n == 0 || yes > set->n / 2)
		return RAFT_VOTE_WON;
	return yes + open > set->n / 2 ? RAFT_VOTE_PENDING : RAFT_VOTE_LOST;
}

static void
test_votes(void)
{
	RaftConfState conf = {.voters = first_ids(4, 1)};
	bool same = true;
	bool joint = true;

	conf.voters_outgoing = first_ids(3, 3);
	for (int c = 0; c < 243; c++)
	{
		RaftVoteResult in;
		RaftVoteResult out;
		RaftVoteResult want = RAFT_VOTE_PENDING;

		for (int i = 0, rest = c; i < 5; i++, rest /= 3)
			values[i + 1] = (uint64_t) (rest % 3);
		in = vote_by_hand(&conf.voters);
		out = vote_by_hand(&conf.voters_outgoing);
		if (in == RAFT_VOTE_LOST || out == RAFT_VOTE_LOST)
			want = RAFT_VOTE_LOST;
		else if (in == RAFT_VOTE_WON && out == RAFT_VOTE_WON)
			want = RAFT_VOTE_WON;
		same = same && raft_quorum_vote(&conf.voters, vote_of, NULL) == in;
		joint = joint && raft_joint_vote(&conf, vote_of, NULL) == want;
	}
	OK(same, "votes of one set");
	OK(joint, "votes of both halves");
}

static void
test_sets(void)
{
	RaftIdSet set = {0};

	OK(raft_set_add(&set, 5) && raft_set_add(&set, 2) && raft_set_add(&set, 9),
	   "add");
	OK(set.n == 3 && set.id[0] == 2 && set.id[1] == 5 && set.id[2] == 9,
	   "in ascending order");
	OK(raft_set_add(&set, 5) && set.n == 3, "twice is once");
	raft_set_remove(&set, 5);
	OK(!raft_set_has(&set, 5) && set.n == 2, "removed");
	raft_set_remove(&set, 77);
	EQ_U64(set.n, 2, "removing what is not there changes nothing");
	for (uint64_t i = 20; set.n < RAFT_MAX_PEERS; i++)
		(void) raft_set_add(&set, i);
	OK(!raft_set_add(&set, 1), "a full set refuses");
	OK(raft_set_valid(&set), "a set");
	set.id[3] = set.id[2];
	OK(!raft_set_valid(&set), "twice the same is none");
	set.n = 1;
	set.id[0] = 0;
	OK(!raft_set_valid(&set), "nor is 0");
	set.n = RAFT_MAX_PEERS + 1;
	OK(!raft_set_valid(&set), "nor one that is too long");
	set.n = -1;
	OK(!raft_set_valid(&set), "or shorter than nothing");
}

int
main(void)
{
	test_acked();
	test_joint_acked();
	test_votes();
	test_sets();
	return unit_done();
}
