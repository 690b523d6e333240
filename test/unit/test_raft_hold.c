/*
 * test_raft_hold.c
 *	  A peer whose driver cannot apply some entry yet: what comes before is
 *	  applied, the log goes on, and nobody takes it for one that could lead.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

/* Peer 2, which leads in term 6, sends entries of it, all committed. */
static void
append(uint64_t first, uint64_t last)
{
	RaftEntry entries[16] = {{.type = RAFT_ENTRY_NORMAL}};
	RaftMessage m = {.type = RAFT_MSG_APPEND,
					 .from = 2,
					 .to = 1,
					 .term = 6,
					 .index = first - 1,
					 .log_term = first - 1 == FIXTURE_START ? FIXTURE_START : 6,
					 .commit = last};

	for (uint64_t index = first; index <= last; index++)
		entries[m.n_entries++] = (RaftEntry){.type = RAFT_ENTRY_NORMAL,
											 .index = index,
											 .term = 6,
											 .data = bytes_cstr("data")};
	m.entries = entries;
	CHECK(step(m) == STATUS_OK);
}

static RaftReady
turn(void)
{
	RaftReady rd;

	CHECK(raft_ready(f.raft, &f.arena, f.now_us, &rd));
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	return rd;
}

/* The one message of a ready, of this type. */
static const RaftMessage *
only_message(const RaftReady *rd, RaftMessageType type)
{
	const RaftMessage *found = NULL;

	for (int i = 0; i < rd->n_messages; i++)
		if (rd->messages[i].type == type)
			found = &rd->messages[i];
	for (int i = 0; i < rd->n_persisted_messages; i++)
		if (rd->persisted_messages[i].type == type)
			found = &rd->persisted_messages[i];
	CHECK(found != NULL);
	return found;
}

static void
pass_time(void)
{
	for (int i = 0; i < 100; i++)
		raft_tick(f.raft, f.now_us);
}

static void
test_follower(void)
{
	RaftMessage beat = {.type = RAFT_MSG_HEARTBEAT,
						.from = 2,
						.to = 1,
						.term = 6};
	const RaftEntry *entries;
	const RaftMessage *told;
	RaftReady rd;

	start();
	follow();
	append(6, 8);
	EQ_U64(raft_committed(f.raft, &f.arena, &entries), 3,
		   "what is to be applied can be looked at");
	EQ_U64(entries[1].index, 7, "in its order");
	raft_hold_apply(f.raft, 7);
	OK(raft_holds_apply(f.raft), "it is held");
	EQ_U64(raft_committed(f.raft, &f.arena, &entries), 1,
		   "what comes before is still to be applied");
	rd = turn();
	EQ_U64(rd.n_entries, 3, "all is stored");
	EQ_U64(rd.n_committed, 1, "and what comes before is applied");
	told = only_message(&rd, RAFT_MSG_APPEND_RESPONSE);
	EQ_U64(told->index, 8, "all is acknowledged");
	EQ_U64(raft_committed(f.raft, &f.arena, &entries), 0, "nothing is left");
	OK(!raft_has_ready(f.raft), "nor to be done");

	append(9, 10);
	rd = turn();
	EQ_U64(rd.n_entries, 2, "the log goes on");
	EQ_U64(rd.n_committed, 0, "nothing of it is applied");
	told = only_message(&rd, RAFT_MSG_APPEND_RESPONSE);
	EQ_U64(told->request_snapshot, 6, "which the leader is told");
	CHECK(step(beat) == STATUS_OK);
	rd = turn();
	told = only_message(&rd, RAFT_MSG_HEARTBEAT_RESPONSE);
	EQ_U64(told->request_snapshot, 6, "heartbeats are told so, too");
	OK(!raft_can_hibernate(f.raft), "it does not sleep");
	pass_time();
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "nor campaign");

	raft_hold_apply(f.raft, 9);
	rd = turn();
	EQ_U64(rd.n_committed, 2, "held later, it applies more");
	raft_hold_apply(f.raft, 0);
	OK(!raft_holds_apply(f.raft), "let go");
	(void) fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), 10, "it applies the rest");
	pass_time();
	EQ_U64(raft_role(f.raft), RAFT_PRE_CANDIDATE, "and may lead");
	fixture_free(&f);
}

static void
test_leader(void)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("data")};
	RaftMessage acknowledged;
	RaftReady rd;
	uint64_t index;
	uint64_t term;

	lead(true);
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	(void) fixture_turn(&f);
	acknowledged = message(RAFT_MSG_APPEND_RESPONSE, 2);
	acknowledged.index = index;
	CHECK(step(acknowledged) == STATUS_OK);
	raft_hold_apply(f.raft, index);
	(void) fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), index - 1,
		   "a leader applies what comes before");
	OK(!raft_has_ready(f.raft), "and is done");
	CHECK(raft_transfer_leader(f.raft, 2) == STATUS_OK);
	rd = turn();
	(void) only_message(&rd, RAFT_MSG_TIMEOUT_NOW);
	OK(true, "it hands over");
	fixture_free(&f);
}

static void
test_sole(void)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("data")};
	uint64_t index;
	uint64_t term;

	fixture_init(&f, 1, 1);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	raft_hold_apply(f.raft, index);
	EQ_U64(fixture_turn(&f), 1, "a lone peer has one ready");
	EQ_U64(raft_applied_index(f.raft), index - 1, "with what comes before");
	EQ_U64(f.hard_state.commit, index - 1, "and commits no more");
	raft_hold_apply(f.raft, 0);
	EQ_U64(fixture_turn(&f), 1, "and another one");
	EQ_U64(raft_applied_index(f.raft), index, "with the rest");
	fixture_free(&f);
}

static void
test_snapshot(void)
{
	RaftSnapshot s = {.meta = {.index = 20, .term = 6},
					  .data = bytes_cstr("contents")};
	RaftMessage m = {.type = RAFT_MSG_SNAPSHOT,
					 .from = 2,
					 .to = 1,
					 .term = 6,
					 .snapshot = &s};

	start();
	s.meta.conf = f.conf;
	follow();
	append(6, 8);
	raft_hold_apply(f.raft, 7);
	(void) fixture_turn(&f);
	CHECK(step(m) == STATUS_OK);
	OK(raft_holds_apply(f.raft), "a snapshot comes");
	(void) fixture_turn(&f);
	OK(!raft_holds_apply(f.raft), "installed, it takes the place of all that");
	EQ_U64(raft_applied_index(f.raft), 20, "and is applied");
	fixture_free(&f);
}

int
main(void)
{
	test_follower();
	test_leader();
	test_sole();
	test_snapshot();
	return unit_done();
}
