/*
 * test_raft_progress.c
 *	  A leader's view of one peer: windows, and the three states.
 */
#include <stdlib.h>

#include "core/raft/progress.h"
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

int
main(void)
{
	test_inflights();
	test_probe();
	test_replicate();
	test_snapshot();
	return unit_done();
}
