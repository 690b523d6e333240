/*
 * test_pd_sole.c
 *	  The only member of PD hears of a later term while a round of it decides:
 *	  somebody who was removed and does not know.  The round is nobody's then,
 *	  but the member goes on.
 */
#include "pd_group_kit.h"

#define REMOVED 2

/* As between group_clock and the end of a round in pd/worker.c. */
static void
hear_term(uint64 term)
{
	PeerMessage m = {.region_id = 1, .extra = EXTRA_NONE, .has_raft = true};

	m.raft = (RaftMessage){.type = RAFT_MSG_APPEND_RESPONSE,
						   .from = REMOVED,
						   .to = world.saved.member_id,
						   .term = term,
						   .reject = true};
	m.from.id = m.from.store_id = m.raft.from;
	m.to.id = m.to.store_id = m.raft.to;
	transport.config.on_message(transport.config.arg,
								peer_message_encode(&m, &words));
}

static bool
lead(void)
{
	for (int i = 0; i < 200 && !world.leading; i++)
		tick();
	return world.leading;
}

/* What a handler decides of which the tables are to know. */
static void
decide(uint64 max_peer_count)
{
	PdChanges changes;
	const char *why;

	pd_changes_init(&changes, &world.arena);
	pd_changes_number(&changes, PD_RECORD_CLUSTER, max_peer_count);
	CHECK(pd_change(&world, &changes, &why));
	CHECK(world.changing && world.round_sole);
}

static void
test_later_term(void)
{
	uint64 term;

	OK(lead(), "a member of one leads");
	decide(3);
	CHECK(life_round());
	EQ_U64(world.state.cluster.max_peer_count, 3, "it decides");

	term = raft_term(world.raft) + 5;
	decide(5);
	hear_term(term);
	OK(life_round(), "a later term in a round: it goes on");
	EQ_U64(world.aborted_rounds, 0, "without an error");
	OK(lead() && raft_term(world.raft) > term, "and leads in a later one");
	EQ_U64(world.state.cluster.max_peer_count, 3, "that round is forgotten");
	decide(7);
	CHECK(life_round());
	EQ_U64(world.state.cluster.max_peer_count, 7, "it decides on");
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
	CHECK(life_begin());
	test_later_term();
	life_end();
	arena_free(&table_arena);
	arena_free(&words);
	return unit_done();
}
