/*
 * test_raft_follower.c
 *	  What a follower acknowledges and commits when its log is longer than what
 *	  the leader has shown; whether it hears its leader.
 *
 * The end of the log may be of a leader that lost: an append speaks for its
 * own last entry only (Raft paper figure 2), neither the answer nor the commit
 * index may go beyond it.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static RaftMessage
append(uint64_t from, uint64_t term, uint64_t index, uint64_t log_term)
{
	RaftMessage m = message(RAFT_MSG_APPEND, from);

	m.term = term;
	m.index = index;
	m.log_term = log_term;
	return m;
}

/* One turn; the index it acknowledges after its flush, 0 if it does not. */
static uint64_t
acknowledged(void)
{
	RaftReady rd;
	uint64_t index = 0;

	if (!raft_ready(f.raft, &f.arena, 0, &rd))
		return 0;
	for (int i = 0; i < rd.n_persisted_messages; i++)
		if (rd.persisted_messages[i].type == RAFT_MSG_APPEND_RESPONSE)
			index = rd.persisted_messages[i].index;
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	return index;
}

static uint64_t
committed(void)
{
	RaftStatus st;

	raft_status(f.raft, &st);
	return st.hard_state.commit;
}

/* Entries 6 to 8 of peer 2, which led term 6; only 6 is in 3's log too. */
static void
follow_the_loser(void)
{
	RaftEntry e[3] = {{.index = 6, .term = 6},
					  {.index = 7, .term = 6},
					  {.index = 8, .term = 6}};
	RaftMessage m;

	start();
	m = append(2, 6, 5, 5);
	m.entries = e;
	m.n_entries = 3;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(acknowledged(), 8, "the loser's entries");
	EQ_U64(committed(), 5, "which are not committed");
}

static void
test_entries_it_has(void)
{
	RaftEntry e = {.index = 6, .term = 6};
	RaftMessage m;

	follow_the_loser();
	m = append(3, 8, 5, 5);
	m.entries = &e;
	m.n_entries = 1;
	m.commit = 20;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(committed(), 6, "the winner's entry is committed, no other");
	EQ_U64(acknowledged(), 6, "and acknowledged, no other");
	EQ_U64(raft_last_index(f.raft), 8, "the loser's are still there");
	fixture_free(&f);
}

static void
test_no_entries(void)
{
	RaftMessage m;

	follow_the_loser();
	m = append(3, 8, 6, 6);
	m.commit = 20;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(committed(), 6, "an append without entries: up to where it joins");
	EQ_U64(acknowledged(), 6, "both");
	fixture_free(&f);
}

static void
test_entries_that_differ(void)
{
	RaftEntry e = {.index = 7, .term = 8};
	RaftMessage m;

	follow_the_loser();
	m = append(3, 8, 6, 6);
	m.entries = &e;
	m.n_entries = 1;
	m.commit = 6;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(raft_last_index(f.raft), 7, "the loser's entries give way");
	EQ_U64(committed(), 6, "what the leader has committed is");
	EQ_U64(acknowledged(), 7, "the new one is acknowledged");
	EQ_U64(f.log[7].term, 8, "and stored");
	EQ_U64(f.last, 7, "as the last");
	fixture_free(&f);
}

/* Who is no member any more is told of nobody who leads later. */
static void
test_hears_leader(void)
{
	start();
	CHECK(!raft_hears_leader(f.raft));
	CHECK(step(append(2, 6, 5, 5)) == STATUS_OK);
	EQ_U64(raft_leader(f.raft), 2, "who speaks leads");
	CHECK(raft_hears_leader(f.raft));
	for (int i = 0; i < f.config.election_ticks - 1; i++)
		raft_tick(f.raft, f.now_us);
	CHECK(raft_hears_leader(f.raft));
	raft_tick(f.raft, f.now_us);
	raft_tick(f.raft, f.now_us);
	CHECK(!raft_hears_leader(f.raft));
	fixture_free(&f);
	start();
	win(true);
	CHECK(raft_hears_leader(f.raft));
	fixture_free(&f);
}

int
main(void)
{
	test_entries_it_has();
	test_no_entries();
	test_entries_that_differ();
	test_hears_leader();
	return unit_done();
}
