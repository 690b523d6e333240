/*
 * raft_peer.h
 *	  One peer of three that a unit test speaks to by hand.
 */
#ifndef TIKV_TEST_RAFT_PEER_H
#define TIKV_TEST_RAFT_PEER_H

#include "raft_fixture.h"

static Fixture f;

static inline void
start(void)
{
	fixture_init(&f, 1, 3);
}

static inline Status
step(RaftMessage m)
{
	return raft_step(f.raft, &m, f.now_us);
}

static inline RaftMessage
message(RaftMessageType type, uint64_t from)
{
	return (RaftMessage){.type = type,
						 .from = from,
						 .to = 1,
						 .term = raft_term(f.raft)};
}

/*
 * Make it the leader of the next term, with its empty entry committed if
 * asked.
 */
static inline void
win(bool committed)
{
	RaftMessage m;

	CHECK(raft_campaign(f.raft, f.now_us) == STATUS_OK);
	m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, 2);
	m.term++;
	CHECK(step(m) == STATUS_OK);
	fixture_turn(&f);
	CHECK(step(message(RAFT_MSG_REQUEST_VOTE_RESPONSE, 2)) == STATUS_OK);
	CHECK(raft_role(f.raft) == RAFT_LEADER);
	fixture_turn(&f);
	if (!committed)
		return;
	m = message(RAFT_MSG_APPEND_RESPONSE, 2);
	m.index = raft_last_index(f.raft);
	CHECK(step(m) == STATUS_OK);
	fixture_turn(&f);
	CHECK(raft_applied_index(f.raft) == raft_last_index(f.raft));
}

/* The leader of term 6. */
static inline void
lead(bool committed)
{
	start();
	win(committed);
	CHECK(raft_term(f.raft) == 6 && raft_last_index(f.raft) == 6);
}

/* It follows peer 2 in term 6. */
static inline void
follow(void)
{
	RaftMessage m = message(RAFT_MSG_HEARTBEAT, 2);

	m.term = 6;
	CHECK(step(m) == STATUS_OK);
	fixture_turn(&f);
}

#endif /* TIKV_TEST_RAFT_PEER_H */
