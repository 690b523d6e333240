/*
 * test_raft_stand_back.c
 *	  A peer whose driver takes no entries leaves it to others to lead, unless
 *	  there are none, or they do not.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static void
ticks(int n)
{
	while (n-- > 0)
		raft_tick(f.raft, f.now_us);
}

/* Within this nobody can tell that it does more than wait. */
static int
patience(void)
{
	return RAFT_STAND_BACK * (f.config.election_ticks + 1) - 1;
}

static void
test_elections(void)
{
	RaftMessage vote;
	RaftReady rd;

	start();
	follow();
	raft_stand_back(f.raft, true);
	ticks(patience());
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "it does not campaign");
	OK(raft_campaign(f.raft, f.now_us) == STATUS_UNAVAILABLE, "nor if asked");

	vote = message(RAFT_MSG_REQUEST_VOTE, 3);
	vote.term = 7;
	vote.index = raft_last_index(f.raft);
	vote.log_term = FIXTURE_START;
	CHECK(step(vote) == STATUS_OK);
	CHECK(raft_ready(f.raft, &f.arena, f.now_us, &rd));
	EQ_U64(rd.n_persisted_messages, 1, "it answers who does");
	OK(!rd.persisted_messages[0].reject, "and votes");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);

	raft_stand_back(f.raft, false);
	ticks(2 * f.config.election_ticks);
	EQ_U64(raft_role(f.raft), RAFT_PRE_CANDIDATE, "later it may lead again");
	fixture_free(&f);
}

static void
test_nobody_else(void)
{
	start();
	follow();
	raft_stand_back(f.raft, true);
	ticks(RAFT_STAND_BACK * 2 * f.config.election_ticks);
	EQ_U64(raft_role(f.raft), RAFT_PRE_CANDIDATE,
		   "if nobody else comes to lead it campaigns");
	fixture_free(&f);
}

static void
test_order(void)
{
	static const uint8_t generation[8] = {0};
	RaftMessage m = {.type = RAFT_MSG_TIMEOUT_NOW,
					 .from = 2,
					 .to = 1,
					 .term = 6,
					 .context = bytes_make(generation, 8)};

	start();
	follow();
	raft_stand_back(f.raft, true);
	CHECK(step(m) == STATUS_OK);
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "an order to lead is ignored");
	EQ_U64(raft_leader(f.raft), 2, "the leader stays");
	raft_stand_back(f.raft, false);
	CHECK(step(m) == STATUS_OK);
	EQ_U64(raft_role(f.raft), RAFT_CANDIDATE, "later it is followed");
	fixture_free(&f);
}

static void
test_sole(void)
{
	fixture_init(&f, 1, 1);
	raft_stand_back(f.raft, true);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "a lone peer may");
	EQ_U64(raft_role(f.raft), RAFT_LEADER, "and leads");
	fixture_free(&f);
}

int
main(void)
{
	test_elections();
	test_nobody_else();
	test_order();
	test_sole();
	return unit_done();
}
