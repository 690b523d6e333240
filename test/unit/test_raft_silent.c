/*
 * test_raft_silent.c
 *	  What a leader keeps in memory for followers that lag: for living ones what
 *	  they lack, for silent ones nothing, which is read again when they are back.
 *	  And which changes of peers it takes while some of them are silent.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

#define DATA "some data"

static void
propose(void)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr(DATA)};
	uint64_t index;
	uint64_t term;

	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
}

static void
acknowledge(uint64_t from, uint64_t index)
{
	RaftMessage m = message(RAFT_MSG_APPEND_RESPONSE, from);

	m.index = index;
	CHECK(step(m) == STATUS_OK);
}

/* Of no round: it says no more than that the peer lives. */
static void
beat(uint64_t from)
{
	CHECK(step(message(RAFT_MSG_HEARTBEAT_RESPONSE, from)) == STATUS_OK);
}

/* As many election timeouts, with a sign of life of these before each tick. */
static void
checks(int n, bool third_lives)
{
	for (int i = 0; i < n * f.config.election_ticks; i++)
	{
		beat(2);
		if (third_lives)
			beat(3);
		f.now_us += f.config.tick_us;
		raft_tick(f.raft, f.now_us);
		(void) fixture_turn(&f);
	}
	CHECK(raft_role(f.raft) == RAFT_LEADER);
}

static size_t
cached(void)
{
	return raft_cached_bytes(f.raft);
}

/* What the status has of the third. */
static const RaftPeerStatus *
third(void)
{
	static RaftStatus status;

	raft_status(f.raft, &status);
	for (int i = 0; i < status.n_peers; i++)
		if (status.peers[i].id == 3)
			return &status.peers[i];
	CHECK(false);
}

static bool
is_silent(void)
{
	return third()->silent;
}

static bool
is_heard(void)
{
	return third()->heard;
}

/* Peer 2 has all, peer 3 only the first entry of the term, 6; then 7 to 9. */
static void
three_entries(void)
{
	lead(true);
	acknowledge(3, 6);
	(void) fixture_turn(&f);
	EQ_U64(cached(), 0, "all have all: nothing is kept");
	for (int i = 0; i < 3; i++)
		propose();
	(void) fixture_turn(&f);
	acknowledge(2, 9);
	(void) fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), 9, "a quorum has it, it is applied");
	OK(cached() > 3 * sizeof(DATA), "and kept for the third");
}

/* What one ready sends to a peer: how many entries, and messages at all. */
static int
sent(uint64_t to, int *n_messages)
{
	RaftReady rd;
	int n = 0;

	*n_messages = 0;
	if (!raft_ready(f.raft, &f.arena, f.now_us, &rd))
		return 0;
	for (int i = 0; i < rd.n_messages; i++)
		if (rd.messages[i].to == to)
		{
			n += rd.messages[i].n_entries;
			++*n_messages;
		}
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	raft_persisted(f.raft, rd.number);
	return n;
}

static void
test_living(void)
{
	size_t before;

	lead(true);
	OK(!is_silent() && !is_heard(), "who has not answered yet is neither");
	fixture_free(&f);
	three_entries();
	before = cached();
	checks(3, true);
	EQ_U64(cached(), before, "a slow peer that lives finds it in memory");
	OK(!is_silent(), "and is not called silent, just behind a check either");
	OK(is_heard() && !third()->recent_active, "but heard");
	fixture_free(&f);
}

/* As many ticks, in which nobody is heard of. */
static void
ticks(int n)
{
	for (int i = 0; i < n; i++)
	{
		f.now_us += f.config.tick_us;
		raft_tick(f.raft, f.now_us);
		(void) fixture_turn(&f);
	}
}

/* Whenever in an election timeout a quorum was heard of last. */
static void
test_unheard(void)
{
	int timeout = f.config.election_ticks;

	for (int at = 0; at < timeout; at++)
	{
		lead(true);
		ticks(at);
		beat(at % 2 == 0 ? 2 : 3);
		ticks(timeout - 1);
		CHECK(raft_role(f.raft) == RAFT_LEADER);
		CHECK(raft_ticks_due(f.raft) == 1);
		ticks(1);
		CHECK(raft_role(f.raft) == RAFT_FOLLOWER);
		fixture_free(&f);
	}
	OK(true,
	   "a leader gives up one election timeout after it heard of a quorum");
}

/* Sleep gives everybody a full one. */
static void
test_unheard_asleep(void)
{
	int timeout = f.config.election_ticks;

	lead(true);
	acknowledge(2, 6);
	acknowledge(3, 6);
	(void) fixture_turn(&f);
	ticks(timeout - 1);
	raft_hibernate(f.raft);
	raft_wake(f.raft);
	ticks(timeout - 1);
	OK(raft_role(f.raft) == RAFT_LEADER, "and has all of it when it is woken");
	ticks(1);
	OK(raft_role(f.raft) == RAFT_FOLLOWER, "and no more");
	fixture_free(&f);
}

static void
test_silent(void)
{
	size_t before;

	three_entries();
	before = cached();
	checks(1, false);
	EQ_U64(cached(), before, "it was heard of in the last interval");
	checks(1, false);
	EQ_U64(cached(), 0, "in the next it was not");
	OK(is_silent() && !is_heard(), "and is silent");
	EQ_U64(raft_transfer_leader(f.raft, 3), STATUS_UNAVAILABLE,
		   "so it is handed nothing, and others go on");
	beat(3);
	OK(!is_silent() && is_heard(), "until it is heard");
	checks(2, false);
	propose();
	(void) fixture_turn(&f);
	OK(cached() > 0, "what is not committed is kept");
	acknowledge(2, 10);
	(void) fixture_turn(&f);
	EQ_U64(cached(), 0, "and not longer");
	fixture_free(&f);
}

/* The third is sent what it lacks, from the stored log. */
static void
come_back(void)
{
	RaftMessage m = message(RAFT_MSG_APPEND_RESPONSE, 3);

	beat(3);
	(void) fixture_turn(&f);
	m.reject = true;
	m.index = raft_last_index(f.raft);
	m.reject_hint = 6;
	m.log_term = 6;
	CHECK(step(m) == STATUS_OK);
}

static void
test_back(void)
{
	int n_messages;

	three_entries();
	checks(2, false);
	EQ_U64(cached(), 0, "nothing is in memory");
	come_back();
	f.n_reads = 0;
	EQ_U64((uint64_t) sent(3, &n_messages), 3, "it gets all that it lacks");
	OK(f.n_reads > 0, "from the stored log");
	acknowledge(3, 9);
	(void) fixture_turn(&f);
	propose();
	(void) fixture_turn(&f);
	acknowledge(2, 10);
	(void) fixture_turn(&f);
	OK(cached() > 0, "from now on it counts again");
	acknowledge(3, 10);
	checks(1, true);
	EQ_U64(cached(), 0, "until it has it");
	fixture_free(&f);
}

/* The driver has read enough: that peer waits, nobody else does. */
static void
test_waits(void)
{
	int n_messages;

	three_entries();
	checks(2, false);
	come_back();
	f.refuses_reads = true;
	f.n_reads = 0;
	propose();
	EQ_U64((uint64_t) sent(2, &n_messages), 1, "others get what is new");
	OK(raft_has_ready(f.raft), "there is still something to do");
	EQ_U64((uint64_t) sent(3, &n_messages), 0, "the peer gets no entries");
	EQ_U64((uint64_t) n_messages, 0, "and no message without them");
	EQ_U64((uint64_t) f.n_reads, 0, "nothing was read");
	f.refuses_reads = false;
	OK(sent(3, &n_messages) >= 3, "it gets them when there is room");
	OK(f.n_reads > 0, "which are read");
	fixture_free(&f);
}

/* Entries to apply are read however much was. */
static void
test_applies(void)
{
	three_entries();
	propose();
	(void) fixture_turn(&f);
	raft_give_back(f.raft, 0);
	f.refuses_reads = true;
	EQ_U64(cached(), 0, "an entry that is not committed is given back");
	acknowledge(2, 10);
	(void) fixture_turn(&f);
	EQ_U64(raft_applied_index(f.raft), 10, "and read again to be applied");
	fixture_free(&f);
}

static void
test_release(void)
{
	size_t all;

	three_entries();
	all = cached();
	raft_give_back(f.raft, all);
	EQ_U64(cached(), all, "what it may have stays");
	raft_give_back(f.raft, all - 1);
	EQ_U64(cached(), all / 3 * 2, "the oldest goes first");
	propose();
	raft_give_back(f.raft, all / 3 * 2);
	EQ_U64(cached(), all / 3 * 2, "what is not stored does not count");
	raft_give_back(f.raft, 0);
	EQ_U64(cached(), 0, "then all");
	(void) fixture_turn(&f);
	EQ_U64(f.last, 10, "but what was not stored");
	fixture_free(&f);
}

/* A snapshot under way: what comes behind it is read when that is there. */
static void
test_snapshot(void)
{
	three_entries();
	raft_compact(f.raft, 8, 6);
	f.truncated_index = 8;
	f.truncated_term = 6;
	f.snapshot_ready = true;
	come_back();
	(void) fixture_turn(&f);
	EQ_U64(cached(), 0, "nothing is kept while it gets a snapshot");
	acknowledge(3, 9);
	propose();
	(void) fixture_turn(&f);
	acknowledge(2, 10);
	(void) fixture_turn(&f);
	OK(cached() > 0, "what it lacks is, once it has that");
	fixture_free(&f);
}

static void
lives(RaftConfChange cc, Status wanted, const char *what)
{
	EQ_U64(raft_check_conf_change_alive(f.raft, &cc), wanted, what);
}

static RaftConfChange
change(RaftConfChangeType type, uint64_t id)
{
	return (RaftConfChange){.n = 1, .changes = {{type, id}}};
}

static void
take(RaftConfChange cc)
{
	RaftConfState conf;

	CHECK(raft_apply_conf_change(f.raft, &cc, &conf) == STATUS_OK);
}

/* Of three voters the third is gone. */
static void
test_changes(void)
{
	three_entries();
	lives(change(RAFT_CONF_REMOVE_NODE, 2), STATUS_OK,
		  "while all are heard one may go");
	checks(2, false);
	lives(change(RAFT_CONF_REMOVE_NODE, 2), STATUS_UNAVAILABLE,
		  "not who lives, beside one that is silent");
	lives(change(RAFT_CONF_ADD_LEARNER, 2), STATUS_UNAVAILABLE,
		  "nor is it demoted");
	lives(change(RAFT_CONF_REMOVE_NODE, 3), STATUS_OK, "the silent one may go");
	lives(change(RAFT_CONF_ADD_LEARNER, 4), STATUS_OK, "a learner may come");
	lives(change(RAFT_CONF_ADD_NODE, 4), STATUS_UNAVAILABLE,
		  "nobody has heard of a voter that is not there yet");
	lives(change(RAFT_CONF_ADD_NODE, 3), STATUS_OK,
		  "who is a voter already changes nothing");
	beat(3);
	lives(change(RAFT_CONF_REMOVE_NODE, 2), STATUS_OK, "until it is heard");
	fixture_free(&f);
}

static RaftConfChange
replace(uint64_t old, uint64_t new)
{
	return (RaftConfChange){.transition = RAFT_CONF_EXPLICIT,
							.n = 2,
							.changes = {{RAFT_CONF_ADD_NODE, new},
										{RAFT_CONF_ADD_LEARNER, old}}};
}

/* The third is gone, and a fourth takes somebody's place. */
static void
test_replacing(void)
{
	RaftConfChange leave = {.n = 0};

	three_entries();
	take(change(RAFT_CONF_ADD_LEARNER, 4));
	beat(4);
	checks(1, false);
	beat(4);
	checks(1, false);
	lives(replace(3, 4), STATUS_OK, "that of the silent one");
	lives(replace(2, 4), STATUS_OK, "or of another, since it is heard");
	checks(1, false);
	lives(replace(3, 4), STATUS_OK, "one silent voter for another: no worse");
	lives(replace(2, 4), STATUS_UNAVAILABLE, "but two of three may not be");
	lives(change(RAFT_CONF_REMOVE_NODE, 4), STATUS_OK,
		  "a silent learner may go");
	take(replace(2, 4));
	lives(leave, STATUS_OK, "what is under way is finished all the same");
	fixture_free(&f);
}

/* A lone voter, whose learner had all and is gone. */
static void
test_lone(void)
{
	fixture_init(&f, 1, 1);
	raft_destroy(f.raft);
	f.conf.learners.id[f.conf.learners.n++] = 2;
	fixture_create(&f);
	CHECK(raft_campaign(f.raft, 0) == STATUS_OK);
	fixture_turn(&f);
	acknowledge(2, raft_last_index(f.raft));
	lives(change(RAFT_CONF_ADD_NODE, 2), STATUS_OK, "it is heard");
	for (int i = 0; i < 2 * f.config.election_ticks; i++)
	{
		f.now_us += f.config.tick_us;
		raft_tick(f.raft, f.now_us);
		fixture_turn(&f);
	}
	lives(change(RAFT_CONF_ADD_NODE, 2), STATUS_UNAVAILABLE, "it is gone");
	lives(change(RAFT_CONF_ADD_NODE, 9), STATUS_UNAVAILABLE, "never was there");
	lives(change(RAFT_CONF_REMOVE_NODE, 2), STATUS_OK, "and may be removed");
	fixture_free(&f);
}

int
main(void)
{
	test_changes();
	test_replacing();
	test_lone();
	test_living();
	test_unheard();
	test_unheard_asleep();
	test_silent();
	test_back();
	test_waits();
	test_applies();
	test_release();
	test_snapshot();
	return unit_done();
}
