/*
 * test_raft_next_try.c
 *	  When a candidate that nobody made the leader tries again.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

#define SEEDS 1000

static int E;
static int least;
static int most;

/* Peer 1 follows, with luck of its own. */
static void
begin(int seed)
{
	fixture_init(&f, 1, 3);
	raft_destroy(f.raft);
	f.config.seed = (uint64_t) seed;
	fixture_create(&f);
	follow();
	E = f.config.election_ticks;
}

/* Ticks until it asks for pre-votes, and no vote is on its way any more. */
static int
ticks_to_try(void)
{
	int n = 0;
	RaftReady rd;
	bool asked = false;

	for (; !asked; n++)
	{
		raft_tick(f.raft, f.now_us);
		if (!raft_ready(f.raft, &f.arena, f.now_us, &rd))
			continue;
		for (int i = 0; i < rd.n_messages; i++)
			asked |= rd.messages[i].type == RAFT_MSG_REQUEST_PRE_VOTE;
		fixture_store(&f, &rd);
		raft_advance(f.raft, &rd);
		raft_persisted(f.raft, rd.number);
	}
	return n;
}

static void
note(int n)
{
	least = n < least ? n : least;
	most = n > most ? n : most;
}

static void
fresh(void)
{
	least = 1000;
	most = 0;
}

/* Peer 3 grants the pre-vote and then votes for itself. */
static void
split_vote(void)
{
	RaftMessage m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, 3);

	m.term++;
	CHECK(step(m) == STATUS_OK);
	CHECK(raft_role(f.raft) == RAFT_CANDIDATE);
	fixture_turn(&f);
	m = message(RAFT_MSG_REQUEST_VOTE_RESPONSE, 3);
	m.reject = true;
	CHECK(step(m) == STATUS_OK);
	CHECK(raft_role(f.raft) == RAFT_CANDIDATE);
}

static void
test_split_vote(void)
{
	fresh();
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		begin(seed);
		ticks_to_try();
		split_vote();
		note(ticks_to_try());
		fixture_free(&f);
	}
	EQ_U64(least, E / 2, "split votes are followed by another try: soon");
	EQ_U64(most, E, "and within an election timeout");
}

static void
test_nobody_answers(void)
{
	fresh();
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		begin(seed);
		ticks_to_try();
		note(ticks_to_try());
		fixture_free(&f);
	}
	OK(least == E / 2 && most == E, "so are pre-votes that nobody answers");
}

/* Where votes take longer than that, a try that is cut short never succeeds. */
static void
test_later_tries(void)
{
	fresh();
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		begin(seed);
		ticks_to_try();
		split_vote();
		ticks_to_try();
		for (int i = 0; i < 3; i++)
		{
			split_vote();
			note(ticks_to_try());
		}
		fixture_free(&f);
	}
	EQ_U64(least, E + 1, "later tries are given their time");
	EQ_U64(most, 2 * E, "as the first is");
}

static void
test_heard_a_leader(void)
{
	fresh();
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		begin(seed);
		ticks_to_try();
		CHECK(step(message(RAFT_MSG_HEARTBEAT, 2)) == STATUS_OK);
		note(ticks_to_try());
		fixture_free(&f);
	}
	OK(least == E + 1 && most == 2 * E,
	   "who hears the leader again waits for it");
	fresh();
	for (int seed = 1; seed <= SEEDS; seed++)
	{
		begin(seed);
		ticks_to_try();
		split_vote();
		ticks_to_try();
		CHECK(step(message(RAFT_MSG_HEARTBEAT, 2)) == STATUS_OK);
		ticks_to_try();
		note(ticks_to_try());
		fixture_free(&f);
	}
	OK(least == E / 2 && most == E, "and begins anew when it is gone");
}

int
main(void)
{
	test_split_vote();
	test_nobody_answers();
	test_later_tries();
	test_heard_a_leader();
	return unit_done();
}
