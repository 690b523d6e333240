/*
 * test_raft_sole.c
 *	  A group of one: what one campaign, one proposal and one ready do.
 */
#include "core/raft/raft.h"
#include "raft_fixture.h"
#include "unit.h"

static void
test_campaign_and_propose(void)
{
	Fixture f;
	RaftReady rd;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index = 0;
	uint64_t term = 0;
	int effect = 7;

	fixture_init(&f, 1, 1);
	OK(raft_is_sole(f.raft), "one voter is sole");
	OK(!raft_takes_payload(f.raft), "a follower takes no payload");
	EQ_U64(raft_campaign(f.raft, 0), STATUS_OK, "campaign");
	EQ_U64(raft_role(f.raft), RAFT_LEADER, "leader at once");
	EQ_U64(raft_term(f.raft), 6, "of the next term");
	EQ_U64(raft_lease_end_us(f.raft), 0,
		   "no lease before its entry is applied");
	e.payload = &effect;
	e.payload_size = 100;
	EQ_U64(raft_propose(f.raft, &e, &index, &term), STATUS_OK, "propose");
	EQ_U64(index, 7, "after the term's empty entry");

	OK(raft_ready(f.raft, &f.arena, 0, &rd), "one ready");
	OK(rd.sole, "is sole");
	EQ_U64(rd.n_entries, 2, "both entries are stored");
	EQ_U64(rd.n_committed, 2, "and committed by the same ready");
	OK(rd.committed[1].payload == &effect, "with the payload");
	OK(rd.has_hard_state && rd.hard_state.commit == 7 &&
		   rd.hard_state.term == 6 && rd.hard_state.vote == 1,
	   "hard state");
	EQ_U64(rd.n_messages + rd.n_persisted_messages, 0, "nobody to talk to");
	raft_advance(f.raft, &rd);
	OK(!raft_has_ready(f.raft), "nothing is left");
	EQ_U64(raft_applied_index(f.raft), 7, "applied");
	EQ_U64(raft_lease_end_us(f.raft), UINT64_MAX, "the lease has no end");
	fixture_free(&f);
}

static void
test_log_stays_empty(void)
{
	Fixture f;
	RaftStatus st;

	fixture_init(&f, 1, 1);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "campaign");
	for (int i = 0; i < 1000; i++)
	{
		RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
		uint64_t index;
		uint64_t term;
		RaftReady rd;

		e.data = bytes_cstr("some bytes");
		if (raft_propose(f.raft, &e, &index, &term) != STATUS_OK ||
			!raft_ready(f.raft, &f.arena, 0, &rd))
			break;
		raft_advance(f.raft, &rd);
		arena_reset(&f.arena);
	}
	raft_status(f.raft, &st);
	EQ_U64(st.applied_index, 1006, "a thousand entries and the empty one");
	EQ_U64(st.truncated_index, 1006, "truncated is applied");
	EQ_U64(st.memory_bytes, 0, "no memory is held");
	raft_compact(f.raft, 1006, 6);
	raft_tick(f.raft, 1);
	OK(!raft_has_ready(f.raft), "an idle sole group wants nothing");
	fixture_free(&f);
}

static void
test_read_index(void)
{
	Fixture f;
	RaftReady rd;

	fixture_init(&f, 1, 1);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "campaign");
	OK(raft_read_index(f.raft, bytes_cstr("q")) == STATUS_OK, "ask");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	EQ_U64(rd.n_read_states, 1, "answered in the ready that commits the term");
	EQ_U64(rd.read_states[0].index, 6, "at its index");
	raft_advance(f.raft, &rd);
	OK(raft_read_index(f.raft, bytes_cstr("r")) == STATUS_OK, "ask again");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "ready");
	EQ_U64(rd.n_read_states, 1, "answered");
	OK(bytes_eq(rd.read_states[0].context, bytes_cstr("r")), "by context");
	raft_advance(f.raft, &rd);
	fixture_free(&f);
}

/* A learner joins: from the change on every entry is a row. */
static void
test_mode_ends(void)
{
	Fixture f;
	RaftReady rd;
	RaftConfChange cc = {.n = 1, .changes = {{RAFT_CONF_ADD_LEARNER, 2}}};
	RaftConfState conf;
	RaftEntry e = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
	RaftEntry plain = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;
	int effect;

	fixture_init(&f, 1, 1);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "campaign");
	fixture_turn(&f);
	e.data = bytes_cstr("add 2");
	EQ_U64(raft_propose_conf_change(f.raft, &cc, &e, &index, &term), STATUS_OK,
		   "propose a learner");
	EQ_U64(raft_lease_end_us(f.raft), 0, "the lease ends with the proposal");
	OK(!raft_takes_payload(f.raft), "payloads are refused from now on");
	plain.payload = &effect;
	EQ_U64(raft_propose(f.raft, &plain, &index, &term), STATUS_INVALID,
		   "indeed");
	plain.payload = NULL;
	plain.data = bytes_cstr("row");
	EQ_U64(raft_propose(f.raft, &plain, &index, &term), STATUS_OK,
		   "bytes are taken");

	OK(raft_ready(f.raft, &f.arena, 0, &rd), "the change's ready");
	OK(rd.sole && rd.n_committed == 1 && rd.n_entries == 1,
	   "ends with the change");
	fixture_store(&f, &rd);
	EQ_U64(raft_apply_conf_change(f.raft, &cc, &conf), STATUS_OK, "apply");
	EQ_U64(conf.learners.n, 1, "the learner is in");
	raft_advance(f.raft, &rd);
	OK(!raft_is_sole(f.raft), "no longer sole");

	OK(raft_ready(f.raft, &f.arena, 0, &rd), "the next ready");
	OK(!rd.sole && rd.n_entries == 1 && rd.n_committed == 0,
	   "stores a row and commits nothing yet");
	EQ_U64(rd.entries[0].index, 8, "of the entry after the change");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "flushed");
	EQ_U64(rd.n_committed, 1, "then it is committed");
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	fixture_free(&f);
}

/* An aborted turn: the group is made again from what is stored. */
static void
test_abort(void)
{
	Fixture f;
	RaftReady rd;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;

	fixture_init(&f, 1, 1);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "campaign");
	fixture_turn(&f);
	OK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK, "propose");
	OK(raft_ready(f.raft, &f.arena, 0, &rd), "a ready that will not commit");
	fixture_restart(&f);
	EQ_U64(raft_applied_index(f.raft), 6, "the entry is gone");
	EQ_U64(raft_campaign(f.raft, 0), STATUS_OK, "leader again at once");
	EQ_U64(raft_term(f.raft), 7, "in a new term");
	fixture_free(&f);
}

static void
test_limits(void)
{
	Fixture f;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL};
	uint64_t index;
	uint64_t term;
	static uint8_t big[2048];

	fixture_init(&f, 1, 1);
	EQ_U64(raft_propose(f.raft, &e, &index, &term), STATUS_NOT_LEADER,
		   "a follower proposes nothing");
	raft_destroy(f.raft);
	f.config.max_entry_bytes = 1024;
	f.config.max_uncommitted_bytes = 4096;
	fixture_create(&f);
	OK(raft_campaign(f.raft, 0) == STATUS_OK, "campaign");
	e.data = bytes_make(big, sizeof(big));
	EQ_U64(raft_propose(f.raft, &e, &index, &term), STATUS_TOO_LARGE,
		   "an entry over the limit");
	e.data.len = 1000;
	for (int i = 0; i < 3; i++)
		OK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK, "fits");
	EQ_U64(raft_propose(f.raft, &e, &index, &term), STATUS_BUSY,
		   "too much is uncommitted");
	fixture_turn(&f);
	EQ_U64(raft_propose(f.raft, &e, &index, &term), STATUS_OK,
		   "there is room after a turn");
	fixture_free(&f);
}

static void
test_bad_start(void)
{
	Fixture f;
	Raft *r = NULL;
	RaftStorage storage;

	fixture_init(&f, 1, 1);
	storage = fixture_storage(&f);
	f.config.applied_index = 9;
	EQ_U64(raft_create(&f.config, &storage, &f.alloc, 0, &r), STATUS_CORRUPT,
		   "applied beyond commit");
	f.config.applied_index = 5;
	f.config.lease_us = 3000 * 1000;
	EQ_U64(raft_create(&f.config, &storage, &f.alloc, 0, &r), STATUS_INVALID,
		   "a lease as long as an election timeout");
	f.config.lease_us = 0;
	f.config.conf.voters.id[1] = 1;
	f.config.conf.voters.n = 2;
	EQ_U64(raft_create(&f.config, &storage, &f.alloc, 0, &r), STATUS_INVALID,
		   "the same voter twice");
	fixture_free(&f);
}

int
main(void)
{
	test_campaign_and_propose();
	test_log_stays_empty();
	test_read_index();
	test_mode_ends();
	test_abort();
	test_limits();
	test_bad_start();
	return unit_done();
}
