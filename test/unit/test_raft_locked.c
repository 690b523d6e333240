/*
 * test_raft_locked.c
 *	  A peer that keeps no entry in memory, while its stored log cannot be read:
 *	  what drivers ask between two turns needs none of it.
 */
#include "core/raft/raft.h"
#include "raft_peer.h"
#include "unit.h"

/* As start(), with no memory for what is stored. */
static void
start_small(void)
{
	start();
	raft_destroy(f.raft);
	f.config.cache_bytes = 0;
	fixture_create(&f);
}

static void
propose(void)
{
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = bytes_cstr("data")};
	uint64_t index;
	uint64_t term;

	CHECK(raft_propose(f.raft, &e, &index, &term) == STATUS_OK);
}

/* The turn that stores what there is; it is not flushed.  Its number. */
static uint64_t
store(void)
{
	RaftReady rd;

	CHECK(raft_ready(f.raft, &f.arena, f.now_us, &rd));
	fixture_store(&f, &rd);
	raft_advance(f.raft, &rd);
	return rd.number;
}

static void
acknowledge(uint64_t index)
{
	RaftMessage m = message(RAFT_MSG_APPEND_RESPONSE, 2);

	m.index = index;
	CHECK(step(m) == STATUS_OK);
}

static RaftStatus
status(void)
{
	RaftStatus st;

	raft_status(f.raft, &st);
	return st;
}

static void
test_status(void)
{
	start_small();
	win(true);
	propose();
	(void) fixture_turn(&f);
	f.locked = true;
	EQ_U64(status().memory_bytes, 0, "nothing of the log is in memory");
	EQ_U64(status().last_index, 7, "its end is known");
	EQ_U64(status().last_term, 6, "and the term there");
	f.locked = false;
	fixture_restart(&f);
	f.locked = true;
	EQ_U64(status().last_term, 6, "so it is after a restart");
	f.locked = false;
	fixture_free(&f);
}

/* The last term is that of what is left, or what came instead. */
static void
test_cut(void)
{
	RaftMessage m;
	RaftEntry e = {.index = 7, .term = 8, .data = bytes_cstr("other")};

	start_small();
	win(true);
	propose();
	(void) fixture_turn(&f);
	m = message(RAFT_MSG_APPEND, 2);
	m.term = 8;
	m.index = m.log_term = 6;
	m.entries = &e;
	m.n_entries = 1;
	CHECK(step(m) == STATUS_OK);
	EQ_U64(status().last_term, 8, "another entry in its place");
	(void) fixture_turn(&f);
	f.locked = true;
	EQ_U64(status().last_term, 8, "stored as well");
	f.locked = false;
	fixture_free(&f);
}

/* Others have it first; the own disk comes last. */
static void
test_flushed(void)
{
	uint64_t number;

	start_small();
	win(true);
	propose();
	propose();
	number = store();
	acknowledge(8);
	EQ_U64(status().hard_state.commit, 6, "a quorum does not have it");
	f.locked = true;
	raft_persisted(f.raft, number);
	EQ_U64(status().hard_state.commit, 8, "it has when it is flushed here");
	f.locked = false;
	(void) fixture_turn(&f);
	fixture_free(&f);
}

/* Of an earlier term it must not be counted, wherever the entry is. */
static void
test_old_term(void)
{
	start_small();
	win(false);
	acknowledge(5);
	f.locked = true;
	EQ_U64(status().hard_state.commit, 5, "nothing of its term is committed");
	OK(raft_read_index(f.raft, bytes_cstr("r")) == STATUS_OK, "a read comes");
	f.locked = false;
	(void) fixture_turn(&f);
	f.locked = true;
	OK(!raft_has_ready(f.raft), "for which no round begins before it is");
	acknowledge(6);
	EQ_U64(status().hard_state.commit, 6, "an entry of its own term is");
	OK(raft_has_ready(f.raft), "then there is something to do");
	f.locked = false;
	(void) fixture_turn(&f);
	fixture_free(&f);
}

int
main(void)
{
	test_status();
	test_cut();
	test_flushed();
	test_old_term();
	return unit_done();
}
