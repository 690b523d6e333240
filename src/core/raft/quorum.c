/*
 * quorum.c
 *	  Counting majorities.
 *
 * Pure arithmetic over sets of ids, shared by commit index, elections,
 * check-quorum, ReadIndex and lease, so that a joint configuration is counted
 * in one place.  A decision of a joint configuration needs a majority of each
 * half (Raft thesis 4.3).
 */
#include "core/raft/quorum.h"

#include "core/base/check.h"

bool
raft_set_has(const RaftIdSet *set, uint64_t id)
{
	for (int i = 0; i < set->n; i++)
		if (set->id[i] == id)
			return true;
	return false;
}

bool
raft_set_add(RaftIdSet *set, uint64_t id)
{
	int at = 0;

	while (at < set->n && set->id[at] < id)
		at++;
	if (at < set->n && set->id[at] == id)
		return true;
	if (set->n == RAFT_MAX_PEERS)
		return false;
	for (int i = set->n; i > at; i--)
		set->id[i] = set->id[i - 1];
	set->id[at] = id;
	set->n++;
	return true;
}

void
raft_set_remove(RaftIdSet *set, uint64_t id)
{
	int kept = 0;

	for (int i = 0; i < set->n; i++)
		if (set->id[i] != id)
			set->id[kept++] = set->id[i];
	set->n = kept;
}

/* Is it a set: ids that are not 0, each once? */
bool
raft_set_valid(const RaftIdSet *set)
{
	if (set->n < 0 || set->n > RAFT_MAX_PEERS)
		return false;
	for (int i = 0; i < set->n; i++)
	{
		if (set->id[i] == RAFT_NONE)
			return false;
		for (int j = 0; j < i; j++)
			if (set->id[j] == set->id[i])
				return false;
	}
	return true;
}

/*
 * The highest value that a majority has reached.  No voters at all reach
 * anything, so that an empty outgoing half never decides.
 */
uint64_t
raft_quorum_acked(const RaftIdSet *voters, RaftAckedFn acked, const void *arg)
{
	uint64_t sorted[RAFT_MAX_PEERS];

	if (voters->n == 0)
		return UINT64_MAX;
	CHECK(voters->n <= RAFT_MAX_PEERS);
	for (int i = 0; i < voters->n; i++)
	{
		uint64_t value = acked(arg, voters->id[i]);
		int at = i;

		while (at > 0 && sorted[at - 1] > value)
		{
			sorted[at] = sorted[at - 1];
			at--;
		}
		sorted[at] = value;
	}
	/* n/2+1 voters are at or beyond this place of the ascending order */
	return sorted[(voters->n - 1) / 2];
}

uint64_t
raft_joint_acked(const RaftConfState *conf, RaftAckedFn acked, const void *arg)
{
	uint64_t in = raft_quorum_acked(&conf->voters, acked, arg);
	uint64_t out = raft_quorum_acked(&conf->voters_outgoing, acked, arg);

	return in < out ? in : out;
}

RaftVoteResult
raft_quorum_vote(const RaftIdSet *voters, RaftVoteFn vote, const void *arg)
{
	int yes = 0;
	int no = 0;
	int majority = voters->n / 2 + 1;

	if (voters->n == 0)
		return RAFT_VOTE_WON;
	for (int i = 0; i < voters->n; i++)
	{
		int v = vote(arg, voters->id[i]);

		yes += v > 0;
		no += v < 0;
	}
	if (yes >= majority)
		return RAFT_VOTE_WON;
	if (voters->n - no < majority)
		return RAFT_VOTE_LOST;
	return RAFT_VOTE_PENDING;
}

RaftVoteResult
raft_joint_vote(const RaftConfState *conf, RaftVoteFn vote, const void *arg)
{
	RaftVoteResult in = raft_quorum_vote(&conf->voters, vote, arg);
	RaftVoteResult out = raft_quorum_vote(&conf->voters_outgoing, vote, arg);

	if (in == out)
		return in;
	if (in == RAFT_VOTE_LOST || out == RAFT_VOTE_LOST)
		return RAFT_VOTE_LOST;
	return RAFT_VOTE_PENDING;
}
