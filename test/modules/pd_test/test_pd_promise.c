/*
 * test_pd_promise.c
 *	  A member of PD that stands still while it takes what has come, just before
 *	  it hears the leader: from then on it keeps its promise for an election
 *	  timeout all the same.
 *
 * Its answer gives the leader a lease from when the heartbeat was sent, which
 * may be now.  If the time before counted against the promise it would vote for
 * another one that soon, who would give out timestamps below the first one's.
 */
#include "pd_group_kit.h"

#define LEADER 2
#define OTHER 3
#define TERM 6

/* Of raft_config_init: the leader's lease. */
#define LEASE_US INT64CONST(2700000)

/* As between group_clock and the end of a round in pd/worker.c. */
static void
hear(RaftMessage raft)
{
	PeerMessage m = {.region_id = 1, .extra = EXTRA_NONE, .has_raft = true};

	raft.to = world.saved.member_id;
	m.from.id = m.from.store_id = raft.from;
	m.to.id = m.to.store_id = raft.to;
	m.raft = raft;
	transport.config.on_message(transport.config.arg,
								peer_message_encode(&m, &words));
}

static void
hear_leader(void)
{
	static const uint8_t round[16];

	hear((RaftMessage){.type = RAFT_MSG_HEARTBEAT,
					   .from = LEADER,
					   .term = TERM,
					   .context = bytes_make(round, sizeof(round))});
}

/* Member 3 wants to lead, and has all that this one has. */
static void
hear_other(void)
{
	hear((RaftMessage){.type = RAFT_MSG_REQUEST_PRE_VOTE,
					   .from = OTHER,
					   .term = TERM + 1,
					   .index = 5,
					   .log_term = 5});
}

static int
votes(void)
{
	return transport.n_sent[OTHER][RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE];
}

/* Beyond what a start keeps it from voting for. */
static void
follow(void)
{
	tick();
	for (int i = 0; i < 50; i++)
	{
		hear_leader();
		tick();
	}
	OK(raft_leader(world.raft) == LEADER, "a member follows");
	hear_other();
	tick();
	EQ_U64((uint64_t) votes(), 0, "and votes for nobody else");
}

static void
keep_promise(int64 still_us)
{
	int64 heard_us;
	int before = votes();

	hear_leader();
	tick();
	/* a round has begun, and its time been counted */
	world_us += still_us;
	hear_leader();
	heard_us = world_us;
	CHECK(life_round());
	while (votes() == before && world_us < heard_us + 60000000)
	{
		hear_other();
		tick();
	}
	printf(
		"# stood still for %lld ms: votes %lld ms after it heard the leader\n",
		(long long) still_us / 1000, (long long) (world_us - heard_us) / 1000);
	OK(votes() > before, "it votes at last");
	OK(world_us - heard_us >= LEASE_US, "but not within the leader's lease");
}

int
main(void)
{
	PG_exception_stack = &member_end;
	if (sigsetjmp(member_end, 0) != 0)
		return 1;
	arena_init(&table_arena);
	arena_init(&words);
	world_us = 1000000;
	table_mood = TABLES_FINE;
	tikv_fdw_settings.pd_addr = "127.0.0.1:1";
	tikv_fdw_settings.join = "";
	tikv_fdw_settings.pd_endpoints = "";
	found_group();
	CHECK(life_begin());
	follow();
	keep_promise(0);
	keep_promise(2500000);
	life_end();
	arena_free(&table_arena);
	arena_free(&words);
	return unit_done();
}
