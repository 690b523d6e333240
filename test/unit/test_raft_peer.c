/*
 * test_raft_peer.c
 *	  One peer of three, spoken to by hand: what it takes, refuses and bounds.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static void
test_message_checks(void)
{
	RaftMessage m;
	RaftEntry e[2] = {{.index = 6, .term = 6}, {.index = 7, .term = 6}};
	RaftSnapshot s = {.meta = {.index = 9, .term = 6}};
	int effect;

	start();
	follow();
	m = message(RAFT_MSG_APPEND, 0);
	EQ_U64(step(m), STATUS_INVALID, "from nobody");
	m.from = 1;
	EQ_U64(step(m), STATUS_INVALID, "from itself");
	m.from = 2;
	m.to = 3;
	EQ_U64(step(m), STATUS_INVALID, "for somebody else");
	m.to = 1;
	m.term = 0;
	EQ_U64(step(m), STATUS_INVALID, "of no term");
	m.term = UINT64_MAX;
	EQ_U64(step(m), STATUS_INVALID, "of the last term there is");
	m.term = UINT64_MAX - 1;
	EQ_U64(step(m), STATUS_INVALID, "of one that soon has no next");
	EQ_U64(step(message(RAFT_MSG_HUP, 2)), STATUS_INVALID, "a local message");
	EQ_U64(step(message(RAFT_MSG_PROPOSE, 2)), STATUS_INVALID, "a proposal");
	EQ_U64(step(message((RaftMessageType) 77, 2)), STATUS_INVALID,
		   "an unknown message");

	m = message(RAFT_MSG_APPEND, 2);
	m.index = m.log_term = 5;
	m.n_entries = 2;
	EQ_U64(step(m), STATUS_INVALID, "entries that are not there");
	m.entries = e;
	m.n_entries = -1;
	EQ_U64(step(m), STATUS_INVALID, "fewer entries than none");
	m.n_entries = 2;
	e[1].index = 8;
	EQ_U64(step(m), STATUS_INVALID, "a hole");
	e[1].index = 7;
	e[1].term = 4;
	EQ_U64(step(m), STATUS_INVALID, "terms that go back");
	e[1].term = 7;
	EQ_U64(step(m), STATUS_INVALID, "a term of the future");
	e[1].term = 6;
	e[1].payload = &effect;
	EQ_U64(step(m), STATUS_INVALID, "a payload from outside");
	e[1].payload = NULL;
	e[1].type = (RaftEntryType) 3;
	EQ_U64(step(m), STATUS_INVALID, "an unknown entry");
	e[1].type = RAFT_ENTRY_NORMAL;
	e[1].data = bytes_make(e, f.config.max_entry_bytes + 1);
	EQ_U64(step(m), STATUS_TOO_LARGE, "an entry over the limit");
	e[1].context = e[1].data;
	e[1].data = bytes_empty();
	EQ_U64(step(m), STATUS_TOO_LARGE, "a context over it");
	e[1].context = bytes_empty();
	m.log_term = 9;
	EQ_U64(step(m), STATUS_INVALID, "after a term of the future");
	m.log_term = 5;
	m.index = UINT64_MAX - 1;
	EQ_U64(step(m), STATUS_INVALID, "beyond the last index");
	m.index = RAFT_LAST_NUMBER + 1;
	m.n_entries = 0;
	EQ_U64(step(m), STATUS_INVALID, "after an index that nobody reaches");
	m.n_entries = 2;
	m.index = 5;
	EQ_U64(step(m), STATUS_OK, "after all that, a good one");

	m = message(RAFT_MSG_SNAPSHOT, 2);
	EQ_U64(step(m), STATUS_INVALID, "no snapshot in it");
	m.snapshot = &s;
	EQ_U64(step(m), STATUS_INVALID, "a snapshot without voters");
	s.meta.conf = f.conf;
	s.meta.term = 7;
	EQ_U64(step(m), STATUS_INVALID, "a snapshot of the future");
	s.meta.term = 6;
	s.meta.index = UINT64_MAX - 1;
	EQ_U64(step(m), STATUS_INVALID, "a snapshot behind which there is nothing");
	m = message(RAFT_MSG_READ_INDEX, 2);
	EQ_U64(step(m), STATUS_INVALID, "a read without its context");
	m.entries = e;
	m.n_entries = 1;
	e[0].data = bytes_make(e, (size_t) 2 << 20);
	EQ_U64(step(m), STATUS_TOO_LARGE, "a read with too much of it");
	fixture_free(&f);
}

static void
test_corruption(void)
{
	RaftMessage m;
	RaftEntry e = {.index = 6, .term = 6};

	lead(true);
	m = message(RAFT_MSG_APPEND, 2);
	EQ_U64(step(m), STATUS_CORRUPT, "another leader of the same term");
	m = message(RAFT_MSG_APPEND_RESPONSE, 2);
	m.index = 99;
	EQ_U64(step(m), STATUS_INVALID, "an acknowledgement of nothing");
	m.index = 6;
	m.reject = true;
	m.reject_hint = 99;
	EQ_U64(step(m), STATUS_INVALID, "a hint beyond the log");
	fixture_free(&f);

	start();
	follow();
	m = message(RAFT_MSG_HEARTBEAT, 2);
	m.commit = 9;
	EQ_U64(step(m), STATUS_CORRUPT, "a commit index this log never had");
	EQ_U64(step(message(RAFT_MSG_HEARTBEAT, 3)), STATUS_CORRUPT,
		   "a heartbeat of another leader of the term");
	m = message(RAFT_MSG_APPEND, 2);
	m.index = m.log_term = 5;
	m.entries = &e;
	m.n_entries = 1;
	m.commit = 6;
	OK(step(m) == STATUS_OK, "an entry, committed");
	fixture_turn(&f);
	m.term = e.term = 7;
	m.index = m.log_term = 5;
	EQ_U64(step(m), STATUS_OK,
		   "what is below the commit index is not compared");
	m.index = 6;
	m.log_term = 6;
	e.index = 7;
	m.commit = 0;
	OK(step(m) == STATUS_OK, "an entry after it");
	fixture_turn(&f);
	EQ_U64(f.last, 7, "is stored");
	fixture_free(&f);
}

static void
test_quarantine(void)
{
	RaftMessage m;
	int ticks = 0;

	start();
	fixture_restart(&f);
	m = message(RAFT_MSG_REQUEST_VOTE, 2);
	m.term = 9;
	m.index = m.log_term = 5;
	OK(step(m) == STATUS_OK, "a vote request after a restart");
	EQ_U64(raft_term(f.raft), 5, "is not even heard");
	m.type = RAFT_MSG_REQUEST_PRE_VOTE;
	OK(step(m) == STATUS_OK, "nor is a pre-vote");
	m.term = 4;
	OK(step(m) == STATUS_OK, "of whatever term");
	OK(!raft_has_ready(f.raft), "there is no answer");
	EQ_U64(raft_campaign(f.raft, 0), STATUS_UNAVAILABLE, "it may not campaign");
	OK(!raft_can_hibernate(f.raft), "it has to stay awake");
	while (raft_campaign(f.raft, 0) != STATUS_OK && ticks < 100)
	{
		raft_tick(f.raft, 0);
		ticks++;
	}
	EQ_U64(ticks, f.config.election_ticks + 1,
		   "until an election timeout has surely passed");
	fixture_free(&f);
}

/* A peer whose only voter is itself, but with something unapplied. */
static void
test_quarantine_of_one(void)
{
	RaftReady rd;

	fixture_init(&f, 1, 1);
	f.last = 6;
	f.log[6] = (RaftEntry){.index = 6, .term = 5};
	fixture_restart(&f);
	EQ_U64(raft_campaign(f.raft, 0), STATUS_UNAVAILABLE,
		   "an unapplied entry may be a change that added voters");
	for (int i = 0; i <= f.config.election_ticks; i++)
		raft_tick(f.raft, 0);
	EQ_U64(raft_campaign(f.raft, 0), STATUS_OK, "later it may");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	OK(rd.sole && rd.n_committed == 1 && rd.n_entries == 0,
	   "the stored entry is committed first");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), 7, "then its own");
	fixture_free(&f);
}

/* A promise to a leader binds the peer itself too. */
static void
test_promise(void)
{
	start();
	follow();
	EQ_U64(raft_campaign(f.raft, 0), STATUS_UNAVAILABLE,
		   "no campaign while a leader is heard");
	for (int i = 0; i <= f.config.election_ticks; i++)
		raft_tick(f.raft, 0);
	EQ_U64(raft_campaign(f.raft, 0), STATUS_OK,
		   "but an election timeout later");
	fixture_free(&f);
}

static void
test_candidate_steps_back(void)
{
	RaftMessage m;

	start();
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, 2);
	m.reject = true;
	OK(step(m) == STATUS_OK, "one refusal");
	EQ_U64(raft_role(f.raft), RAFT_PRE_CANDIDATE, "is not enough");
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_PRE_CANDIDATE,
	   "twice the same neither");
	m.from = 7;
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_PRE_CANDIDATE,
	   "nor a stranger's");
	m.from = 3;
	OK(step(m) == STATUS_OK, "two refusals");
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "end the campaign");

	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, 2);
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_PRE_CANDIDATE,
	   "a grant for the present term is an old one");
	m.term = 9;
	m.reject = true;
	OK(step(m) == STATUS_OK && raft_term(f.raft) == 9,
	   "a refusal from a later term tells it");
	fixture_free(&f);
}

static void
test_sole_steps_down(void)
{
	RaftReady rd;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
	RaftMessage m;
	uint64_t index;
	uint64_t term;
	int effect;

	fixture_init(&f, 1, 1);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	fixture_turn(&f);
	e.data = bytes_cstr("bytes");
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	e.payload = &effect;
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	e.payload = NULL;
	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
	m = message(RAFT_MSG_APPEND_RESPONSE, 2);
	m.term = 20;
	m.reject = true;
	OK(step(m) == STATUS_OK, "somebody has a later term");
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "so the sole leader steps down");
	EQ_U64(raft_last_index(f.raft), 7, "and forgets from its first payload on");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	OK(!rd.sole && rd.n_entries == 1 && rd.n_committed == 0,
	   "what has bytes becomes a row");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), 8, "and is committed in a later term");
	fixture_free(&f);
}

/*
 * A peer that has applied the removal of the other may still follow it, when
 * the other was elected before it knew: then it stores rows like any follower.
 */
static void
test_sole_follower(void)
{
	RaftReady rd;
	RaftEntry e = {.index = 6, .term = 6};
	RaftMessage m;

	fixture_init(&f, 1, 1);
	m = message(RAFT_MSG_APPEND, 2);
	m.term = 6;
	m.index = m.log_term = 5;
	m.entries = &e;
	m.n_entries = 1;
	OK(step(m) == STATUS_OK, "an append");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	OK(!rd.sole && rd.n_entries == 1 && rd.n_persisted_messages == 1,
	   "is stored and acknowledged after the flush");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	fixture_free(&f);
}

/* A group does not fall asleep over a ready that its driver works on. */
static void
test_no_sleep_in_turn(void)
{
	RaftReady rd;

	start();
	follow();
	OK(raft_can_hibernate(f.raft), "a follower with nothing to do may sleep");
	CHECK(step(message(RAFT_MSG_HEARTBEAT, 2)) == STATUS_OK);
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_messages == 1,
	   "an answer is on its way out");
	OK(!raft_can_hibernate(f.raft), "not before it is");
	raft_advance(f.raft, &rd);
	OK(raft_can_hibernate(f.raft), "then it may");
	fixture_free(&f);
}

/* Pre-votes that it gives to another candidate. */
static int
answers_to_vote(void)
{
	RaftMessage vote = message(RAFT_MSG_REQUEST_PRE_VOTE, 3);
	RaftReady rd;
	int n = 0;

	vote.term = raft_term(f.raft) + 1;
	vote.index = vote.log_term = 5;
	CHECK(step(vote) == STATUS_OK);
	if (!raft_ready(f.raft, &f.arena, 0, &rd))
		return 0;
	for (int i = 0; i < rd.n_persisted_messages; i++)
		n += rd.persisted_messages[i].type ==
				RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE &&
			!rd.persisted_messages[i].reject;
	for (int i = 0; i < rd.n_messages; i++)
		n += rd.messages[i].type == RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE &&
			!rd.messages[i].reject;
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	return n;
}

/*
 * A follower promised its leader not to vote for others.  One that is told that
 * the leader is gone, and slept for longer than the promise, owes it no more.
 */
static void
test_orphan(void)
{
	start();
	follow();
	raft_hibernate(f.raft);
	EQ_U64(answers_to_vote(), 0, "who sleeps still keeps its promise");
	fixture_free(&f);

	start();
	follow();
	raft_hibernate(f.raft);
	raft_wake_orphan(f.raft);
	EQ_U64(answers_to_vote(), 1, "an orphan may vote at once");
	fixture_free(&f);

	start();
	follow();
	raft_wake_orphan(f.raft);
	EQ_U64(answers_to_vote(), 0, "who did not sleep is none");
	fixture_free(&f);
}

/* A group that sleeps takes no more memory than a new one. */
static void
test_sleep_gives_memory_back(void)
{
	RaftMessage m;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("x")};
	uint64_t index;
	uint64_t term;
	int least;

	start();
	least = f.live;
	win(true);
	for (int i = 0; i < 100; i++)
	{
		CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
		CHECK(raft_read_index(f.raft, bytes_cstr("r")) == STATUS_OK);
		fixture_turn(&f);
	}
	for (uint64_t id = 2; id <= 3; id++)
	{
		uint8_t round[16] = {0};

		m = message(RAFT_MSG_APPEND_RESPONSE, id);
		m.index = index;
		CHECK(step(m) == STATUS_OK);
		m = message(RAFT_MSG_HEARTBEAT_RESPONSE, id);
		round[7] = 101;
		m.context = bytes_make(round, 16);
		CHECK(step(m) == STATUS_OK);
	}
	fixture_turn(&f);
	OK(raft_can_hibernate(f.raft) && f.live > least, "a leader, all done");
	raft_hibernate(f.raft);
	EQ_U64(f.live, least, "sleeps, and its memory is given back");
	OK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK,
	   "a proposal wakes it");
	fixture_turn(&f);
	EQ_U64(f.last, index, "and is stored");
	fixture_free(&f);
}

static void
test_dropped_messages(void)
{
	RaftMessage m;
	RaftStatus st;

	fixture_init(&f, 1, 3);
	raft_destroy(f.raft);
	f.config.max_pending_msgs = 2;
	fixture_create(&f);
	follow();
	m = message(RAFT_MSG_HEARTBEAT, 2);
	for (int i = 0; i < 5; i++)
		CHECK(step(m) == STATUS_OK);
	raft_status(f.raft, &st);
	EQ_U64(st.dropped_msgs, 3, "answers beyond the bound are dropped");
	fixture_free(&f);
}

static void
test_take_messages(void)
{
	const RaftMessage *msgs;
	RaftMessage m;
	RaftReady rd;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("x")};
	uint64_t index;
	uint64_t term;
	int n;

	lead(true);
	for (int i = 0; i < f.config.heartbeat_ticks; i++)
		raft_tick(f.raft, 1000);
	n = raft_take_messages(f.raft, &f.arena, 1000, &msgs);
	OK(n == 2 && msgs[0].type == RAFT_MSG_HEARTBEAT,
	   "heartbeats go out without a transaction");
	EQ_U64(raft_take_messages(f.raft, &f.arena, 1000, &msgs), 0, "once");
	OK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK, "propose");
	OK(raft_ready(f.raft, &f.arena, 1000, &rd), "a ready that is stuck");
	for (int i = 0; i < f.config.heartbeat_ticks; i++)
		raft_tick(f.raft, 2000);
	OK(raft_take_messages(f.raft, &f.arena, 2000, &msgs) >= 2,
	   "does not hold them up");
	OK(!raft_has_ready(f.raft), "though there is no other ready before it");
	raft_advance(f.raft, &rd);
	fixture_free(&f);

	start();
	follow();
	m = message(RAFT_MSG_APPEND, 2);
	m.index = m.log_term = 5;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(raft_take_messages(f.raft, &f.arena, 0, &msgs), 0,
		   "an acknowledgement waits for its ready");
	fixture_free(&f);
}

static void
test_transfer_requests(void)
{
	RaftMessage m;
	RaftStatus st;

	lead(true);
	m = message(RAFT_MSG_APPEND_RESPONSE, 3);
	m.index = m.request_snapshot = 6;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(raft_transfer_leader(f.raft, 3), STATUS_UNAVAILABLE,
		   "to a peer that installs a snapshot");
	raft_status(f.raft, &st);
	OK(st.peers[2].id == 3 && st.peers[2].match == 6 && st.peers[2].installing,
	   "which the driver is told");
	fixture_turn(&f);
	OK(!raft_can_hibernate(f.raft), "nor does the group sleep");
	CHECK(step(message(RAFT_MSG_HEARTBEAT_RESPONSE, 3)) == STATUS_OK);
	raft_status(f.raft, &st);
	OK(!st.peers[2].installing, "until it says no more");

	EQ_U64(raft_transfer_leader(f.raft, 1), STATUS_UNAVAILABLE, "to itself");
	EQ_U64(raft_transfer_leader(f.raft, 9), STATUS_UNAVAILABLE,
		   "to a stranger");
	m = message(RAFT_MSG_TRANSFER_LEADER, 3);
	EQ_U64(step(m), STATUS_OK, "a peer asks for leadership");
	OK(raft_transfer_leader(f.raft, 3) == STATUS_OK, "asked twice");
	OK(raft_transfer_leader(f.raft, 2) == STATUS_OK, "another one instead");
	fixture_turn(&f);
	fixture_free(&f);

	start();
	EQ_U64(raft_transfer_leader(f.raft, 2), STATUS_NOT_LEADER, "no leader");
	follow();
	m = message(RAFT_MSG_TIMEOUT_NOW, 3);
	m.context = bytes_make("\0\0\0\0\0\0\0\0", 8);
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_FOLLOWER,
	   "only the leader may order a campaign");
	m.from = 2;
	m.context.len = 3;
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_FOLLOWER,
	   "in the right form");
	m.context.len = 8;
	OK(step(m) == STATUS_OK && raft_role(f.raft) == RAFT_CANDIDATE,
	   "then it campaigns at once");
	fixture_free(&f);
}

/*
 * A voter that has heard of a later generation keeps that in mind when its term
 * goes on for another reason before the old order's vote request arrives.
 */
static void
test_old_order_in_new_term(void)
{
	RaftMessage m;
	uint8_t heartbeat[16] = {0};
	uint8_t order[24];

	memcpy(order, "CampaignTransfer\0\0\0\0\0\0\0", 24);
	start();
	heartbeat[15] = 1;
	m = message(RAFT_MSG_HEARTBEAT, 2);
	m.term = 6;
	m.context = bytes_make(heartbeat, 16);
	OK(step(m) == STATUS_OK, "a heartbeat of generation 1");
	m = message(RAFT_MSG_APPEND_RESPONSE, 3);
	m.term = 7;
	m.reject = true;
	OK(step(m) == STATUS_OK && raft_term(f.raft) == 7, "the term goes on");
	fixture_turn(&f);
	m = message(RAFT_MSG_REQUEST_VOTE, 3);
	m.index = m.log_term = 5;
	m.context = bytes_make(order, 24);
	OK(step(m) == STATUS_OK && !raft_has_ready(f.raft),
	   "a vote request by order of generation 0 is ignored");
	order[23] = 1;
	OK(step(m) == STATUS_OK && raft_has_ready(f.raft),
	   "one of generation 1 is not");
	fixture_free(&f);
}

/*
 * Who led an earlier term with a longer log may lead again when the answer to
 * one of its old appends arrives: that must speak of no index.
 */
static void
test_answer_to_old_term(void)
{
	RaftMessage m;
	RaftReady rd;

	start();
	m = message(RAFT_MSG_APPEND, 2);
	m.term = 4;
	m.index = 99;
	m.log_term = 4;
	OK(step(m) == STATUS_OK, "an append of an earlier term");
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_messages == 1,
	   "is answered at once");
	OK(rd.messages[0].reject && rd.messages[0].term == 5 &&
		   rd.messages[0].index == 0 && rd.messages[0].reject_hint == 0,
	   "with the later term and nothing else");
	raft_advance(f.raft, &rd);
	fixture_free(&f);
}

static void
test_conf_change_requests(void)
{
	RaftConfChange cc = {.n = 1, .changes = {{RAFT_CONF_ADD_NODE, 4}}};
	RaftEntry e = {.type = RAFT_ENTRY_CONF_CHANGE};
	RaftConfState conf;
	uint64_t index;
	uint64_t term;

	start();
	EQ_U64(raft_propose_conf_change(f.raft, &cc, &e, &index, &term),
		   STATUS_NOT_LEADER, "no leader");
	fixture_free(&f);
	lead(true);
	OK(raft_check_conf_change(f.raft, &cc, &conf) == STATUS_OK &&
		   conf.voters.n == 4,
	   "a change can be tried");
	e.type = RAFT_ENTRY_NORMAL;
	EQ_U64(raft_propose_conf_change(f.raft, &cc, &e, &index, &term),
		   STATUS_INVALID, "an entry that is no change");
	cc.n = 0;
	EQ_U64(raft_apply_conf_change(f.raft, &cc, &conf), STATUS_INVALID,
		   "there is no joint configuration to leave");
	fixture_free(&f);
}

static void
is_safe(RaftConfChangeType type, uint64_t id, Status wanted, const char *what)
{
	RaftConfChange cc = {.n = 1, .changes = {{type, id}}};

	EQ_U64(raft_check_conf_change_safe(f.raft, &cc), wanted, what);
}

/* Voters have what the log has given up, or a majority of them has. */
static void
test_safe_changes(void)
{
	RaftMessage m;

	lead(true);
	is_safe(RAFT_CONF_REMOVE_NODE, 3, STATUS_OK,
			"who has nothing may be removed");
	is_safe(RAFT_CONF_REMOVE_NODE, 2, STATUS_UNAVAILABLE,
			"not who has all, if that leaves one with data");
	is_safe(RAFT_CONF_ADD_NODE, 4, STATUS_UNAVAILABLE,
			"nor is there room for another without data");
	m = message(RAFT_MSG_APPEND_RESPONSE, 3);
	m.index = m.request_snapshot = 6;
	CHECK(step(m) == STATUS_OK);
	is_safe(RAFT_CONF_REMOVE_NODE, 2, STATUS_UNAVAILABLE,
			"who installs a snapshot has no data");
	CHECK(step(message(RAFT_MSG_HEARTBEAT_RESPONSE, 3)) == STATUS_OK);
	is_safe(RAFT_CONF_REMOVE_NODE, 2, STATUS_OK, "until it is done");
	is_safe(RAFT_CONF_ADD_NODE, 4, STATUS_UNAVAILABLE,
			"nobody becomes a voter at once");
	is_safe(RAFT_CONF_ADD_LEARNER, 4, STATUS_OK, "but a learner");
	is_safe(RAFT_CONF_REMOVE_NODE, 9, STATUS_OK, "nobody matters to nobody");
	fixture_free(&f);
}

static void
test_safe_promotions(void)
{
	RaftMessage m;

	fixture_init(&f, 1, 1);
	raft_destroy(f.raft);
	f.conf.learners.id[f.conf.learners.n++] = 2;
	fixture_create(&f);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	fixture_turn(&f);
	CHECK(raft_role(f.raft) == RAFT_LEADER);
	is_safe(RAFT_CONF_ADD_NODE, 2, STATUS_UNAVAILABLE,
			"a learner without data is not promoted");
	is_safe(RAFT_CONF_ADD_NODE, 3, STATUS_UNAVAILABLE,
			"nor is who was no learner, by a lone voter either");
	m = message(RAFT_MSG_APPEND_RESPONSE, 2);
	m.index = m.request_snapshot = raft_last_index(f.raft);
	CHECK(step(m) == STATUS_OK);
	is_safe(RAFT_CONF_ADD_NODE, 2, STATUS_UNAVAILABLE,
			"nor while it installs a snapshot");
	CHECK(step(message(RAFT_MSG_HEARTBEAT_RESPONSE, 2)) == STATUS_OK);
	is_safe(RAFT_CONF_ADD_NODE, 2, STATUS_OK, "then it may be");
	fixture_free(&f);
}

/* Who waits for its first snapshot: nothing of it is stored. */
static void
start_new(void)
{
	start();
	raft_destroy(f.raft);
	memset(&f.hard_state, 0, sizeof(f.hard_state));
	f.truncated_index = f.truncated_term = 0;
	f.applied_index = f.applied_term = f.last = 0;
	f.conf.voters.n = 0;
	fixture_create(&f);
}

/*
 * An answer to a heartbeat promises not to vote for a while.  Who restarts keeps
 * that by its quarantine; a peer that is not stored at all is made anew, without
 * one.
 */
static void
test_promise_of_new(void)
{
	RaftMessage m;
	RaftReady rd;

	start_new();
	m = message(RAFT_MSG_HEARTBEAT, 2);
	m.term = 6;
	OK(step(m) == STATUS_OK && raft_ready(f.raft, &f.arena, 0, &rd),
	   "a new peer hears a leader");
	OK(rd.n_messages == 0 && rd.n_persisted_messages == 1 &&
		   rd.persisted_messages[0].type == RAFT_MSG_HEARTBEAT_RESPONSE,
	   "it answers when it is durable");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	OK(step(m) == STATUS_OK && raft_ready(f.raft, &f.arena, 0, &rd),
	   "and hears it again");
	OK(rd.n_messages == 1 && rd.n_persisted_messages == 0,
	   "from then on it answers at once");
	raft_advance(f.raft, &rd);
	fixture_free(&f);
}

int
main(void)
{
	test_promise_of_new();
	test_message_checks();
	test_corruption();
	test_quarantine();
	test_quarantine_of_one();
	test_promise();
	test_candidate_steps_back();
	test_sole_steps_down();
	test_sole_follower();
	test_no_sleep_in_turn();
	test_orphan();
	test_sleep_gives_memory_back();
	test_dropped_messages();
	test_take_messages();
	test_transfer_requests();
	test_old_order_in_new_term();
	test_answer_to_old_term();
	test_conf_change_requests();
	test_safe_changes();
	test_safe_promotions();
	return unit_done();
}
