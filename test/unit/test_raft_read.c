/*
 * test_raft_read.c
 *	  Reads by ReadIndex and the rounds they wait for: what bounds them.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

static void
test_read_bounds(void)
{
	RaftMessage m;
	RaftEntry e = {.data = bytes_cstr("r")};
	RaftReady rd;

	start();
	EQ_U64(raft_read_index(f.raft, bytes_cstr("x")), STATUS_UNAVAILABLE,
		   "no leader to ask");
	fixture_free(&f);

	fixture_init(&f, 1, 3);
	raft_destroy(f.raft);
	f.config.max_pending_reads = 2;
	f.config.max_pending_msgs = 2;
	fixture_create(&f);
	follow();
	EQ_U64(raft_read_index(f.raft, bytes_make(&f, (size_t) 2 << 20)),
		   STATUS_TOO_LARGE, "a context over the limit");
	OK(raft_read_index(f.raft, bytes_cstr("a")) == STATUS_OK &&
		   raft_read_index(f.raft, bytes_cstr("b")) == STATUS_OK,
	   "two questions");
	EQ_U64(raft_read_index(f.raft, bytes_cstr("c")), STATUS_BUSY,
		   "fill the queue of messages");
	m = message(RAFT_MSG_READ_INDEX_RESP, 2);
	m.entries = &e;
	m.n_entries = 1;
	m.index = 5;
	OK(step(m) == STATUS_OK && step(m) == STATUS_OK, "two answers");
	EQ_U64(step(m), STATUS_BUSY, "fill that of answers");
	m.from = 3;
	OK(step(m) == STATUS_OK, "an answer of somebody else is ignored");
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_read_states == 2 &&
		   rd.n_messages == 2,
	   "both come out");
	raft_advance(f.raft, &rd);
	m = message(RAFT_MSG_READ_INDEX, 3);
	m.entries = &e;
	m.n_entries = 1;
	OK(step(m) == STATUS_OK && !raft_has_ready(f.raft),
	   "a follower is not asked");
	fixture_free(&f);
}

/* Contexts are bounded in bytes too, wherever they wait. */
static void
test_read_bytes(void)
{
	RaftMessage m;
	RaftEntry e = {.data = bytes_cstr("0123456789")};
	const RaftMessage *msgs;
	uint8_t round[16] = {0};
	RaftReady rd;

	start();
	raft_destroy(f.raft);
	f.config.max_read_bytes = 25;
	f.config.max_pending_reads = 3;
	fixture_create(&f);
	win(true);
	m = message(RAFT_MSG_READ_INDEX, 3);
	m.entries = &e;
	m.n_entries = 1;
	OK(raft_read_index(f.raft, e.data) == STATUS_OK && step(m) == STATUS_OK,
	   "two reads, one for a follower");
	EQ_U64(raft_read_index(f.raft, e.data), STATUS_BUSY,
		   "are as many bytes as may wait");
	EQ_U64(step(m), STATUS_BUSY, "for a follower too");
	OK(raft_read_index(f.raft, bytes_cstr("short")) == STATUS_OK,
	   "a short one finds room");
	EQ_U64(raft_read_index(f.raft, bytes_empty()), STATUS_BUSY,
		   "but three are as many as may wait");

	OK(raft_ready(f.raft, &f.arena, 0, &rd), "a ready, which stays out");
	m = message(RAFT_MSG_HEARTBEAT_RESPONSE, 2);
	round[7] = 2;
	m.context = bytes_make(round, 16);
	OK(step(m) == STATUS_OK, "while all three are answered");
	EQ_U64(raft_read_index(f.raft, e.data), STATUS_BUSY,
		   "answers that no ready has taken count too");
	EQ_U64(raft_take_messages(f.raft, &f.arena, 0, &msgs), 1,
		   "the follower's leaves without one");
	raft_advance(f.raft, &rd);
	OK(raft_ready(f.raft, &f.arena, 0, &rd) && rd.n_read_states == 2,
	   "the others with the next");
	raft_advance(f.raft, &rd);
	OK(raft_read_index(f.raft, e.data) == STATUS_OK, "now there is room");
	fixture_free(&f);

	start();
	raft_destroy(f.raft);
	f.config.max_read_bytes = 15;
	fixture_create(&f);
	follow();
	OK(raft_read_index(f.raft, e.data) == STATUS_OK, "a follower's question");
	EQ_U64(raft_read_index(f.raft, e.data), STATUS_BUSY, "no room for two");
	m = message(RAFT_MSG_READ_INDEX_RESP, 2);
	m.entries = &e;
	m.n_entries = 1;
	EQ_U64(step(m), STATUS_BUSY, "nor for an answer before it has left");
	fixture_turn(&f);
	OK(step(m) == STATUS_OK, "then there is");
	fixture_turn(&f);
	fixture_free(&f);
}

/* A round that answers many ready-to-send rounds; the ring of rounds is full. */
static void
test_many_rounds(void)
{
	RaftMessage m;
	uint8_t context[16] = {0};

	lead(true);
	for (uint64_t i = 0; i < 200; i++)
	{
		f.now_us += 1000;
		CHECK(raft_read_index(f.raft, bytes_cstr("q")) == STATUS_OK);
		fixture_turn(&f);
	}
	m = message(RAFT_MSG_HEARTBEAT_RESPONSE, 2);
	m.context = bytes_make(context, 16);
	context[7] = 150;
	OK(step(m) == STATUS_OK, "round 150 of about 200 is answered");
	OK(raft_lease_end_us(f.raft) > 0 &&
		   raft_lease_end_us(f.raft) <= 150 * 1000 + f.config.lease_us,
	   "the lease counts from a round not after it");
	context[6] = 0xff;
	OK(step(m) == STATUS_OK, "an answer to a round that never was");
	fixture_turn(&f);
	fixture_free(&f);
}

int
main(void)
{
	test_read_bounds();
	test_read_bytes();
	test_many_rounds();
	return unit_done();
}
