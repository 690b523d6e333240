/*
 * test_raft_snapshot.c
 *	  A snapshot that arrives while a ready is out, in every role.
 *
 * The configuration is that of the state machine at the applied index, so a
 * change handed out before the snapshot came still meets the configuration it
 * was proposed in, and the snapshot's comes with the snapshot.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static RaftConfState
voters(const char *ids)
{
	RaftConfState conf = {.auto_leave = false};

	for (; *ids != '\0'; ids++)
		conf.voters.id[conf.voters.n++] = (uint64_t) (*ids - '0');
	return conf;
}

/* "1,2,3 learners 4" */
static const char *
conf_text(const RaftConfState *conf)
{
	static char text[200];
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < conf->voters.n; i++)
		n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%" PRIu64,
							   i == 0 ? "" : ",", conf->voters.id[i]);
	for (int i = 0; i < conf->learners.n; i++)
		n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%" PRIu64,
							   i == 0 ? " learners " : ",",
							   conf->learners.id[i]);
	return text;
}

static const char *
core_conf(void)
{
	RaftConfState conf;

	raft_conf(f.raft, &conf);
	return conf_text(&conf);
}

static Status
step_snapshot(uint64_t index, uint64_t term, RaftConfState conf)
{
	RaftSnapshot s = {.meta = {.index = index, .term = term, .conf = conf}};

	s.data = bytes_cstr("contents");
	return step((RaftMessage){.type = RAFT_MSG_SNAPSHOT,
							  .from = 2,
							  .to = 1,
							  .term = term,
							  .snapshot = &s});
}

/* Peer 1 of 1,2,3 follows 2 in term 6 and has an entry of it at index 6. */
static void
follow_with(RaftEntryType type, uint64_t commit)
{
	RaftEntry e = {.type = type, .index = 6, .term = 6};
	RaftMessage m = {.type = RAFT_MSG_APPEND,
					 .from = 2,
					 .to = 1,
					 .term = 6,
					 .index = 5,
					 .log_term = 5,
					 .entries = &e,
					 .n_entries = 1,
					 .commit = commit};

	fixture_init(&f, 1, 3);
	CHECK(step(m) == STATUS_OK);
}

/* ... which is a change that is committed. */
static void
follow_with_change(void)
{
	follow_with(RAFT_ENTRY_CONF_CHANGE_V2, 6);
}

static void
propose_change(const RaftConfChange *cc)
{
	RaftEntry e = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
	uint64_t index;
	uint64_t term;

	CHECK(raft_propose_conf_change(f.raft, cc, &e, &index, &term) == STATUS_OK);
}

/* The rest of a turn whose ready is out, with the change that it applies. */
static void
finish(const RaftReady *rd, const RaftConfChange *cc)
{
	fixture_store(&f, rd);
	if (cc != NULL)
		CHECK(raft_apply_conf_change(f.raft, cc, &f.conf) == STATUS_OK);
	raft_advance(f.raft, rd);
	raft_persisted(f.raft, rd->number);
}

/* From here on the next ready brings the snapshot of index 20. */
static void
expect_snapshot(const char *before, const char *after)
{
	RaftReady rd;

	EQ_STR(conf_text(&f.conf), before, "what the change made is stored");
	EQ_STR(core_conf(), before, "and is the configuration");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "the next ready");
	OK(rd.snapshot != NULL && rd.n_committed == 0, "brings the snapshot");
	EQ_STR(core_conf(), before, "which is not the configuration yet");
	finish(&rd, NULL);
	EQ_STR(conf_text(&f.conf), after, "what the snapshot says is stored");
	EQ_STR(core_conf(), after, "and is the configuration");
	EQ_U64(raft_applied_index(f.raft), 20, "it counts as applied");
	EQ_U64(raft_last_index(f.raft), 20, "and is the whole log");
}

static const RaftConfChange add_4 = {.n = 1,
									 .changes = {{RAFT_CONF_ADD_NODE, 4}}};
static const RaftConfChange learn_4 = {.n = 1,
									   .changes = {{RAFT_CONF_ADD_LEARNER, 4}}};

static void
test_follower(void)
{
	RaftReady rd;

	follow_with_change();
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_committed == 1,
	   "a follower is about to apply a change");
	OK(step_snapshot(20, 6, voters("1235")) == STATUS_OK,
	   "a snapshot comes that has passed the change");
	EQ_STR(core_conf(), "1,2,3", "nothing has been applied yet");
	finish(&rd, &add_4);
	EQ_U64(raft_applied_index(f.raft), 6, "the change is");
	expect_snapshot("1,2,3,4", "1,2,3,5");
	fixture_free(&f);
}

/* The snapshot names the configuration that the change would lead to again. */
static void
test_change_that_would_be_refused(void)
{
	RaftConfChange joint = {.transition = RAFT_CONF_EXPLICIT,
							.n = 1,
							.changes = {{RAFT_CONF_ADD_NODE, 4}}};
	RaftReady rd;

	follow_with_change();
	OK(raft_ready(f.raft, &f.arena, 0, &rd),
	   "a change that enters a joint one");
	OK(step_snapshot(20, 6, voters("1")) == STATUS_OK,
	   "and a snapshot of one that is none");
	finish(&rd, &joint);
	EQ_U64(f.conf.voters_outgoing.n, 3, "it is joint with the old voters");
	expect_snapshot("1,2,3,4", "1");
	OK(raft_is_sole(f.raft), "alone after the snapshot");
	fixture_free(&f);
}

static void
test_leader(void)
{
	RaftReady rd;
	RaftMessage m;
	RaftConfChange remove_3 = {.n = 1, .changes = {{RAFT_CONF_REMOVE_NODE, 3}}};

	lead(true);
	propose_change(&remove_3);
	fixture_turn(&f);
	m = message(RAFT_MSG_APPEND_RESPONSE, 2);
	m.index = 7;
	CHECK(step(m) == STATUS_OK);
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_committed == 1,
	   "a leader is about to apply a change");
	OK(step_snapshot(20, 9, voters("123")) == STATUS_OK,
	   "the leader of a later term sends a snapshot");
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "it follows that one");
	finish(&rd, &remove_3);
	expect_snapshot("1,2", "1,2,3");
	fixture_free(&f);
}

static void
test_sole_leader(void)
{
	RaftReady rd;

	fixture_init(&f, 1, 1);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	fixture_turn(&f);
	propose_change(&learn_4);
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.sole && rd.n_committed == 1,
	   "a sole leader is about to apply a change");
	OK(step_snapshot(20, 9, voters("12")) == STATUS_OK,
	   "somebody of a later term sends a snapshot");
	finish(&rd, &learn_4);
	expect_snapshot("1 learners 4", "1,2");
	OK(!raft_is_sole(f.raft), "it is not alone any more");
	fixture_free(&f);
}

static void
test_candidates(void)
{
	RaftReady rd;
	RaftMessage m;

	fixture_init(&f, 1, 3);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "a pre-candidate asks around");
	OK(step_snapshot(20, 5, voters("12")) == STATUS_OK,
	   "a snapshot from the leader of its term");
	m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, 2);
	m.term = 6;
	OK(step(m) == STATUS_OK, "and a pre-vote after it");
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "which is of no use any more");
	finish(&rd, NULL);
	expect_snapshot("1,2,3", "1,2");
	fixture_free(&f);

	fixture_init(&f, 1, 3);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	CHECK(step(m) == STATUS_OK);
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.hard_state.vote == 1,
	   "a candidate votes for itself");
	OK(step_snapshot(20, 6, voters("12")) == STATUS_OK,
	   "a snapshot from the winner");
	OK(step(message(RAFT_MSG_REQUEST_VOTE_RESPONSE, 2)) == STATUS_OK,
	   "and a vote after it");
	finish(&rd, NULL);
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "it lost");
	expect_snapshot("1,2,3", "1,2");
	fixture_free(&f);
}

/* A newer snapshot comes while an older one is being installed. */
static void
test_two_snapshots(void)
{
	RaftReady rd;

	fixture_init(&f, 1, 3);
	OK(step_snapshot(10, 6, voters("12")) == STATUS_OK, "a snapshot");
	OK(step_snapshot(12, 6, voters("123")) == STATUS_OK, "and a newer one");
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.snapshot->meta.index == 12,
	   "the newer one is installed");
	OK(step_snapshot(20, 6, voters("1234")) == STATUS_OK, "another one comes");
	OK(step_snapshot(15, 6, voters("129")) == STATUS_OK, "and an old one");
	finish(&rd, NULL);
	EQ_U64(raft_applied_index(f.raft), 12, "the first is applied");
	expect_snapshot("1,2,3", "1,2,3,4");
	OK(raft_ready(f.raft, &f.arena, 0, &rd) == false, "there is no other");
	fixture_free(&f);
}

/* The process ends at each point in between. */
static void
test_restart(void)
{
	RaftReady rd;

	follow_with_change();
	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	CHECK(step_snapshot(20, 6, voters("1235")) == STATUS_OK);
	fixture_restart(&f);
	EQ_STR(core_conf(), "1,2,3", "before the change is stored");
	fixture_free(&f);

	follow_with_change();
	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	CHECK(step_snapshot(20, 6, voters("1235")) == STATUS_OK);
	finish(&rd, &add_4);
	fixture_restart(&f);
	EQ_STR(core_conf(), "1,2,3,4", "after that");
	EQ_U64(raft_applied_index(f.raft), 6, "without the snapshot");
	fixture_free(&f);

	follow_with_change();
	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	CHECK(step_snapshot(20, 6, voters("1235")) == STATUS_OK);
	finish(&rd, &add_4);
	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	fixture_store(&f, &rd);
	fixture_restart(&f);
	EQ_STR(core_conf(), "1,2,3,5", "with the snapshot stored");
	EQ_U64(raft_applied_index(f.raft), 20, "and applied");
	fixture_free(&f);
}

/* One turn; the snapshot that its message of this type speaks of. */
static uint64_t
said_to_install(RaftMessageType type)
{
	RaftReady rd;
	uint64_t index = UINT64_MAX;

	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	for (int i = 0; i < rd.n_messages; i++)
		if (rd.messages[i].type == type)
			index = rd.messages[i].request_snapshot;
	for (int i = 0; i < rd.n_persisted_messages; i++)
		if (rd.persisted_messages[i].type == type)
			index = rd.persisted_messages[i].request_snapshot;
	finish(&rd, NULL);
	return index;
}

/* Nobody leads with a snapshot to install, whatever makes it campaign. */
static void
test_no_campaign(void)
{
	RaftReady rd;
	RaftMessage order = {.type = RAFT_MSG_TIMEOUT_NOW,
						 .from = 2,
						 .to = 1,
						 .term = 6};
	RaftMessage beat = {.type = RAFT_MSG_HEARTBEAT,
						.from = 2,
						.to = 1,
						.term = 6};
	int stages = 0;

	order.context = bytes_make("\0\0\0\0\0\0\0\0", 8);
	fixture_init(&f, 1, 3);
	CHECK(step_snapshot(20, 6, voters("12")) == STATUS_OK);
	for (; stages < 2; stages++)
	{
		OK(step(order) == STATUS_OK && raft_role(f.raft) == RAFT_FOLLOWER,
		   "no campaign by order");
		for (int i = 0; i < 100; i++)
			raft_tick(f.raft, 0);
		OK(raft_role(f.raft) == RAFT_FOLLOWER, "nor in time");
		OK(raft_campaign(f.raft, 0) == STATUS_UNAVAILABLE, "nor on demand");
		OK(!raft_is_sole(f.raft) && !raft_can_hibernate(f.raft),
		   "there is work");
		if (stages == 0)
			CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	}
	finish(&rd, NULL);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "installed, it may");
	fixture_free(&f);

	/* in slices: what follows the ready is a third stage */
	fixture_init(&f, 1, 3);
	CHECK(step_snapshot(20, 6, voters("12")) == STATUS_OK);
	EQ_U64(said_to_install(RAFT_MSG_APPEND_RESPONSE), 20,
		   "it says what it installs");
	raft_pause_apply(f.raft, true);
	OK(step(order) == STATUS_OK && raft_role(f.raft) == RAFT_FOLLOWER,
	   "no campaign by order while it goes on");
	for (int i = 0; i < 100; i++)
		raft_tick(f.raft, 0);
	OK(raft_role(f.raft) == RAFT_FOLLOWER, "nor in time");
	OK(raft_campaign(f.raft, 0) == STATUS_UNAVAILABLE, "nor on demand");
	OK(!raft_can_hibernate(f.raft), "nor sleep");
	CHECK(step(beat) == STATUS_OK);
	EQ_U64(said_to_install(RAFT_MSG_HEARTBEAT_RESPONSE), 20,
		   "and says so to whoever leads");
	raft_pause_apply(f.raft, false);
	CHECK(step(beat) == STATUS_OK);
	EQ_U64(said_to_install(RAFT_MSG_HEARTBEAT_RESPONSE), 0, "until it is done");
	for (int i = 0; i < 100; i++)
		raft_tick(f.raft, 0);
	EQ_U64(raft_role(f.raft), RAFT_PRE_CANDIDATE, "then it may");
	fixture_free(&f);

	fixture_init(&f, 1, 3);
	CHECK(step_snapshot(20, 6, voters("1")) == STATUS_OK);
	fixture_turn(&f);
	for (int i = 0; i < 100; i++)
		raft_tick(f.raft, 0);
	EQ_U64(raft_role(f.raft), RAFT_LEADER,
		   "left alone by it, it leads at once");
	fixture_free(&f);
}

/* What a snapshot makes a learner waits for its leader. */
static void
test_made_learner(void)
{
	RaftConfState conf = voters("23");

	conf.learners.id[conf.learners.n++] = 1;
	fixture_init(&f, 1, 3);
	CHECK(step_snapshot(20, 6, conf) == STATUS_OK);
	fixture_turn(&f);
	EQ_STR(core_conf(), "2,3 learners 1", "a learner by snapshot");
	for (int i = 0; i < 100; i++)
		raft_tick(f.raft, 0);
	EQ_U64(raft_role(f.raft), RAFT_FOLLOWER, "does not campaign");
	fixture_free(&f);
}

/*
 * A snapshot that is not for this peer, or brings nothing, changes nothing;
 * one whose end is in the log says that it is committed.
 */
static void
test_unwanted(void)
{
	RaftReady rd;

	follow_with(RAFT_ENTRY_NORMAL, 0);
	CHECK(raft_ready(f.raft, &f.arena, 0, &rd));
	OK(step_snapshot(20, 6, voters("234")) == STATUS_OK, "for others");
	OK(step_snapshot(5, 6, voters("12")) == STATUS_OK, "of the past");
	OK(step_snapshot(6, 6, voters("12")) == STATUS_OK, "of the log's end");
	finish(&rd, NULL);
	EQ_STR(core_conf(), "1,2,3", "the configuration stays");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	OK(rd.snapshot == NULL && rd.n_committed == 1,
	   "the log's end is committed");
	finish(&rd, NULL);
	fixture_free(&f);
}

int
main(void)
{
	test_follower();
	test_change_that_would_be_refused();
	test_leader();
	test_sole_leader();
	test_candidates();
	test_two_snapshots();
	test_restart();
	test_no_campaign();
	test_made_learner();
	test_unwanted();
	return unit_done();
}
