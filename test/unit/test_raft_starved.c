/*
 * test_raft_starved.c
 *	  Peers without disk space: they are sent the first entry of a term and
 *	  changes of the configuration, and the rest when they have space again.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static Status
propose(RaftEntryType type, const char *data)
{
	RaftEntry e = {.type = type, .data = bytes_cstr(data)};
	uint64_t index;
	uint64_t term;

	return raft_propose(f.raft, &e, &index, &term);
}

static void
acknowledge(uint64_t from, uint64_t index)
{
	RaftMessage m = message(RAFT_MSG_APPEND_RESPONSE, from);

	m.index = index;
	CHECK(step(m) == STATUS_OK);
}

static void
beat(uint64_t from)
{
	CHECK(step(message(RAFT_MSG_HEARTBEAT_RESPONSE, from)) == STATUS_OK);
}

/* Entries and appends that one turn sends to a peer. */
typedef struct Sent
{
	int entries;
	int appends;
} Sent;

static Sent
turn(uint64_t to)
{
	Sent sent = {0, 0};
	RaftReady rd;

	if (!raft_ready(f.raft, &f.arena, f.now_us, &rd))
		return sent;
	for (int i = 0; i < rd.n_messages; i++)
		if (rd.messages[i].to == to && rd.messages[i].type == RAFT_MSG_APPEND)
		{
			sent.appends++;
			sent.entries += rd.messages[i].n_entries;
		}
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	return sent;
}

/* Peer 2 has all, and so has peer 3, which then has no space. */
static void
starve_third(void)
{
	lead(true);
	acknowledge(3, 6);
	(void) turn(3);
	raft_note_starved(f.raft, 3, true);
}

static void
test_data(void)
{
	int reads;

	starve_third();
	CHECK(propose(RAFT_ENTRY_NORMAL, "data") == STATUS_OK);
	EQ_U64(turn(3).entries, 0, "an entry with data is not sent");
	OK(!raft_has_ready(f.raft), "and nothing is done over and over for it");
	acknowledge(2, 7);
	(void) turn(3);
	EQ_U64(raft_applied_index(f.raft), 7, "the others go on");
	raft_give_back(f.raft, 0);
	reads = f.n_reads;
	for (int i = 0; i < 3; i++)
	{
		Sent sent;

		beat(3);
		sent = turn(3);
		EQ_U64(sent.appends, 1, "it is asked what it has");
		EQ_U64(sent.entries, 0, "and sent nothing");
	}
	OK(f.n_reads <= reads + 1, "for which the log is not read again");
	raft_note_starved(f.raft, 3, false);
	beat(3);
	EQ_U64(turn(3).entries, 1, "with space again it is sent what it lacks");
	fixture_free(&f);
}

static void
test_change(void)
{
	starve_third();
	CHECK(propose(RAFT_ENTRY_CONF_CHANGE_V2, "change") == STATUS_OK);
	EQ_U64(turn(3).entries, 1, "a change of the configuration is sent");
	acknowledge(3, 7);
	CHECK(propose(RAFT_ENTRY_NORMAL, "data") == STATUS_OK);
	EQ_U64(turn(3).entries, 0, "data behind it is not");
	fixture_free(&f);
}

static void
test_first_entry(void)
{
	start();
	raft_note_starved(f.raft, 2, true);
	raft_note_starved(f.raft, 3, true);
	win(false);
	acknowledge(3, 6);
	(void) turn(3);
	EQ_U64(raft_applied_index(f.raft), 6,
		   "a new leader's first entry needs no space");
	fixture_free(&f);
}

static void
test_bare(void)
{
	RaftEntry entries[] = {{.type = RAFT_ENTRY_NORMAL},
						   {.type = RAFT_ENTRY_CONF_CHANGE,
							.data = bytes_cstr("change")},
						   {.type = RAFT_ENTRY_NORMAL,
							.data = bytes_cstr("data")},
						   {.type = RAFT_ENTRY_NORMAL}};

	EQ_U64(raft_bare_entries(entries, 4), 2, "those before the first data");
	EQ_U64(raft_bare_entries(entries + 2, 2), 0, "none, if that is the first");
	EQ_U64(raft_bare_entries(NULL, 0), 0, "none of none");
}

static void
test_transfer(void)
{
	starve_third();
	OK(raft_transfer_leader(f.raft, 3) == STATUS_UNAVAILABLE,
	   "a starved peer is not handed leadership");
	OK(raft_transfer_leader(f.raft, 2) == STATUS_OK, "another one is");
	fixture_free(&f);
}

/* Of five: what three cannot take cannot be committed by a new leader. */
static void
test_majority(void)
{
	fixture_init(&f, 1, 5);
	CHECK(raft_campaign(f.raft, f.now_us) == STATUS_OK);
	for (uint64_t id = 2; id <= 3; id++)
	{
		RaftMessage m = message(RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE, id);

		m.term++;
		CHECK(step(m) == STATUS_OK);
	}
	(void) turn(2);
	for (uint64_t id = 2; id <= 3; id++)
		CHECK(step(message(RAFT_MSG_REQUEST_VOTE_RESPONSE, id)) == STATUS_OK);
	CHECK(raft_role(f.raft) == RAFT_LEADER);
	(void) turn(2);
	for (uint64_t id = 2; id <= 5; id++)
		acknowledge(id, 6);
	(void) turn(2);
	for (uint64_t id = 3; id <= 5; id++)
		raft_note_starved(f.raft, id, true);
	OK(raft_permits_new_leader(f.raft), "all have the whole log");
	CHECK(propose(RAFT_ENTRY_NORMAL, "data") == STATUS_OK);
	(void) turn(2);
	acknowledge(2, 7);
	OK(!raft_permits_new_leader(f.raft),
	   "three lack what stands before a new leader's first entry");
	OK(raft_transfer_leader(f.raft, 2) == STATUS_UNAVAILABLE,
	   "so nobody is handed leadership");
	raft_note_starved(f.raft, 3, false);
	OK(raft_transfer_leader(f.raft, 2) == STATUS_OK,
	   "with space for one it is");
	fixture_free(&f);
}

int
main(void)
{
	test_bare();
	test_data();
	test_change();
	test_first_entry();
	test_transfer();
	test_majority();
	return unit_done();
}
