/*
 * test_pd_sole.c
 *	  The only member of PD, with something of the time when it was not alone:
 *	  a later term of somebody who was removed, within a round that decides, and
 *	  a log that was not applied to its end.
 */
#include "pd_group_kit.h"

#define REMOVED 2
#define LEADER 3
#define TERM 6

/* As between group_clock and the end of a round in pd/worker.c. */
static void
hear(RaftMessage raft)
{
	PeerMessage m = {.region_id = 1, .extra = EXTRA_NONE, .has_raft = true};

	m.raft = raft;
	m.raft.to = world.saved.member_id;
	m.from.id = m.from.store_id = raft.from;
	m.to.id = m.to.store_id = m.raft.to;
	transport.config.on_message(transport.config.arg,
								peer_message_encode(&m, &words));
}

static void
hear_term(uint64 term)
{
	hear((RaftMessage){.type = RAFT_MSG_APPEND_RESPONSE,
					   .from = REMOVED,
					   .term = term,
					   .reject = true});
}

/* What becomes of a member, as the entry at an index. */
static RaftEntry
change_of(uint64 index, RaftConfChangeType type, uint64 id)
{
	RaftConfChange change = {.n = 1, .changes = {{type, id}}};
	RaftEntry e = {.index = index, .term = TERM};

	e.data = raft_conf_change_encode(&change, bytes_empty(), &words, &e.type);
	return e;
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
	CHECK(world.changing);
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

/*
 * No member of ours proposes a change before the last one is applied; but what
 * others send is no reason to end.
 */
static void
test_log_behind(void)
{
	RaftEntry entries[] = {change_of(6, RAFT_CONF_REMOVE_NODE, REMOVED),
						   change_of(7, RAFT_CONF_REMOVE_NODE, LEADER),
						   change_of(8, RAFT_CONF_ADD_LEARNER, REMOVED),
						   {.index = 9, .term = TERM}};

	found_group();
	CHECK(life_begin());
	tick();
	hear((RaftMessage){.type = RAFT_MSG_APPEND,
					   .from = LEADER,
					   .term = TERM,
					   .index = 5,
					   .log_term = 5,
					   .commit = 7,
					   .entries = entries,
					   .n_entries = 4});
	tick();
	EQ_U64(world.saved.applied_index, 7, "two of three are removed");
	EQ_U64(group_log_last(&world.log), 9, "and more is in the log");
	OK(lead(), "who is left leads");
	OK(world.saved.applied_index > 9 && world.saved.conf.learners.n == 1,
	   "and applies the rest, by which it is not alone");
	decide(3);
	CHECK(life_round());
	tick();
	EQ_U64(world.state.cluster.max_peer_count, 3, "it decides");
	life_end();
	OK(life_begin() && lead(), "and can start again");
	EQ_U64(world.state.cluster.max_peer_count, 3, "with what was decided");
}

/*
 * Somebody who was removed, does not know and leads once more sends entries,
 * and this member begins anew before it leads.
 */
static void
test_rows_behind(void)
{
	RaftEntry entries[2];
	uint64 last;
	uint64 term;

	OK(life_begin() && lead(), "a member of one leads");
	last = world.saved.applied_index;
	term = world.saved.applied_term + 1;
	for (int i = 0; i < 2; i++)
		entries[i] = (RaftEntry){.index = last + 1 + (uint64) i, .term = term};
	hear((RaftMessage){.type = RAFT_MSG_APPEND,
					   .from = REMOVED,
					   .term = term,
					   .index = last,
					   .log_term = term - 1,
					   .commit = last,
					   .entries = entries,
					   .n_entries = 2});
	tick();
	EQ_U64(saved_tables.n_log, 2, "what it is sent is in the table");
	life_end();
	OK(life_begin() && lead(), "it begins anew, and leads");
	OK(world.saved.applied_index > last + 2, "behind what it was sent");
	decide(5);
	CHECK(life_round());
	life_end();
	EQ_U64(saved_tables.n_log, 0, "which is not left in the table");
	OK(life_begin() && lead(), "it can begin anew");
	EQ_U64(world.state.cluster.max_peer_count, 5, "with what it decided");
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
	memset(&saved_tables, 0, sizeof(saved_tables));
	test_log_behind();
	life_end();
	memset(&saved_tables, 0, sizeof(saved_tables));
	test_rows_behind();
	life_end();
	arena_free(&table_arena);
	arena_free(&words);
	return unit_done();
}
