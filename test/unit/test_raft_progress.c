/*
 * test_raft_progress.c
 *	  A leader's view of one peer: windows, and the three states.
 */
#include <stdlib.h>

#include "core/raft/progress.h"
#include "core/raft/silence.h"
#include "unit.h"

static void *
take(void *arg, size_t size)
{
	(void) arg;
	return malloc(size);
}

static void
give(void *arg, void *p)
{
	(void) arg;
	free(p);
}

static const RaftAllocator alloc = {NULL, take, give};

static void
test_inflights(void)
{
	RaftInflights f = {0};
	RaftConfig c = {.max_inflight_msgs = 3, .max_inflight_bytes = 100};

	OK(!raft_inflights_full(&f, &c), "empty");
	raft_inflights_add(&f, &alloc, 5, 10);
	raft_inflights_add(&f, &alloc, 7, 10);
	raft_inflights_add(&f, &alloc, 9, 10);
	OK(raft_inflights_full(&f, &c), "full by count");
	raft_inflights_free_to(&f, 4);
	EQ_U64(f.n, 3, "nothing below");
	raft_inflights_free_to(&f, 8);
	OK(f.n == 1 && f.bytes == 10, "what is acknowledged leaves");
	raft_inflights_add(&f, &alloc, 11, 95);
	OK(raft_inflights_full(&f, &c), "full by bytes");
	raft_inflights_reset(&f);
	OK(f.n == 0 && f.bytes == 0, "reset");
	for (uint64_t i = 1; i <= 300; i++)
	{
		raft_inflights_add(&f, &alloc, i, 1);
		if (i > 6)
			raft_inflights_free_to(&f, i - 6);
	}
	OK(f.n == 6 && f.bytes == 6, "the ring goes round");
	raft_inflights_free_to(&f, 1000);
	EQ_U64(f.n, 0, "all of it");
	free(f.ring);
}

static void
test_probe(void)
{
	RaftProgress p = {.id = 2};
	RaftConfig c = {.max_inflight_msgs = 3, .max_inflight_bytes = 100};

	raft_progress_reset(&p, 11);
	OK(p.state == RAFT_PROBE && p.next == 11 && p.match == 0, "starts probing");
	OK(!raft_progress_blocked(&p, &c), "may send");
	p.paused = true;
	OK(raft_progress_blocked(&p, &c), "one message at a time");
	OK(!raft_progress_reject(&p, 7, 3), "a refusal of something else is stale");
	OK(raft_progress_reject(&p, 10, 4), "a refusal");
	OK(p.next == 5 && !p.paused, "goes back to the hint");
	OK(raft_progress_reject(&p, 4, 9), "a hint beyond what was refused");
	EQ_U64(p.next, 4, "goes back one at least");
	OK(raft_progress_update(&p, 3), "an acknowledgement");
	OK(!raft_progress_update(&p, 3), "is news once");
	OK(p.match == 3 && p.next == 4, "match and next");
	OK(raft_progress_reject(&p, 3, 0), "a refusal of what was acknowledged");
	EQ_U64(p.next, 4, "never goes below match + 1");
}

static void
test_replicate(void)
{
	RaftProgress p = {.id = 2};
	RaftConfig c = {.max_inflight_msgs = 2, .max_inflight_bytes = 100};

	raft_progress_reset(&p, 11);
	(void) raft_progress_update(&p, 10);
	raft_progress_replicate(&p);
	EQ_U64(p.next, 11, "from match + 1");
	raft_inflights_add(&p.inflights, &alloc, 11, 1);
	OK(!raft_progress_blocked(&p, &c), "room in the window");
	raft_inflights_add(&p.inflights, &alloc, 12, 1);
	OK(raft_progress_blocked(&p, &c), "no more room");
	p.next = 13;
	OK(!raft_progress_reject(&p, 10, 0), "an old refusal");
	OK(raft_progress_reject(&p, 12, 10), "a new one");
	OK(p.state == RAFT_PROBE && p.next == 11 && p.inflights.n == 0,
	   "back to probing");
	free(p.inflights.ring);
}

static void
test_snapshot(void)
{
	RaftProgress p = {.id = 2};
	RaftConfig c = {.max_inflight_msgs = 2, .max_inflight_bytes = 100};

	raft_progress_reset(&p, 3);
	raft_progress_snapshot(&p, 20);
	OK(raft_progress_blocked(&p, &c), "nothing while a snapshot is under way");
	raft_progress_probe(&p);
	OK(p.state == RAFT_PROBE && p.next == 21,
	   "afterwards it is probed where the snapshot ends");
	raft_progress_snapshot(&p, 20);
	p.pending_snapshot = 0;
	raft_progress_probe(&p);
	EQ_U64(p.next, 1, "or after what it has, if sending failed");
}

#define PLACES 2

/* Peers 2 and 3, and more, of this leader, of whom those that live are heard. */
static void
note(RaftSilence *places, uint64_t term, int n_peers, bool live, int64_t now)
{
	RaftStatus status = {.n_peers = n_peers, .hard_state = {.term = term}};

	for (int i = 0; i < n_peers; i++)
	{
		status.peers[i].id = 2 + (uint64_t) i;
		status.peers[i].recent_active = live;
	}
	raft_note_silences(places, PLACES, &status, now);
}

static void
test_silences(void)
{
	RaftSilence places[PLACES] = {{0}};

	note(places, 5, 2, false, 100);
	note(places, 5, 2, false, 200);
	EQ_U64(raft_silent_since(places, PLACES, 3), 100, "silent from the first");
	note(places, 5, 2, true, 300);
	EQ_U64(raft_silent_since(places, PLACES, 3), 0, "and heard");
	note(places, 5, 2, false, 400);
	note(places, 7, 2, false, 900);
	EQ_U64(raft_silent_since(places, PLACES, 3), 900,
		   "others led meanwhile: a leadership counts anew");
}

/* Those who are in the group no more keep nobody from being noted. */
static void
test_removed_silent(void)
{
	RaftSilence places[PLACES] = {{0}};
	RaftStatus status = {.n_peers = 1, .hard_state = {.term = 5}};

	note(places, 5, 3, false, 100);
	OK(places[0].id != 0 && places[1].id != 0, "all places are taken");
	status.peers[0].id = 9;
	raft_note_silences(places, PLACES, &status, 200);
	EQ_U64(raft_silent_since(places, PLACES, 9), 200,
		   "it stands in for removed ones");
}

int
main(void)
{
	test_inflights();
	test_probe();
	test_replicate();
	test_snapshot();
	test_silences();
	test_removed_silent();
	return unit_done();
}
