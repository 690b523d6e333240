/*
 * raft_bench.c
 *	  What the Raft core costs by itself: no disk, no network.
 *
 * A group of three peers passes messages by pointer and stores entries in an
 * array; a sole peer takes payloads; ten thousand idle groups are ticked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/check.h"
#include "core/raft/empty_log.h"
#include "core/raft/raft.h"

#define MAX_LOG (1 << 21)
#define PEERS 3

typedef struct Peer
{
	uint64_t id;
	Raft *raft;
	Arena arena;
	uint64_t *terms; /* of the stored entries, by index */
	uint64_t last;
	uint64_t truncated;
	uint64_t applied;
	RaftReady ready;
	bool busy;
} Peer;

static uint64_t allocations;
static uint64_t steps;
static uint64_t messages;

static void *
count_alloc(void *arg, size_t size)
{
	(void) arg;
	allocations++;
	return malloc(size);
}

static void
count_free(void *arg, void *p)
{
	(void) arg;
	free(p);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static Status
peer_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
			 Arena *arena, RaftEntry **out, int *n)
{
	Peer *p = arg;

	(void) max_bytes;
	*n = (int) (high - low);
	*out = arena_zalloc(arena, (size_t) *n * sizeof(RaftEntry));
	for (int i = 0; i < *n; i++)
	{
		(*out)[i].index = low + (uint64_t) i;
		(*out)[i].term = p->terms[low + (uint64_t) i];
	}
	return STATUS_OK;
}

static Status
peer_term(void *arg, uint64_t index, uint64_t *term)
{
	*term = ((Peer *) arg)->terms[index];
	return STATUS_OK;
}

static uint64_t
peer_last(void *arg)
{
	return ((Peer *) arg)->last;
}

static void
peer_init(Peer *p, uint64_t id, int voters)
{
	RaftStorage storage = {p,		  peer_entries,		peer_term,
						   peer_last, raft_no_snapshot, NULL};
	RaftAllocator alloc = {NULL, count_alloc, count_free};
	RaftConfig c;

	memset(p, 0, sizeof(*p));
	p->id = id;
	p->last = p->truncated = 5;
	arena_init(&p->arena);
	raft_config_init(&c, id);
	c.hard_state = (RaftHardState){5, 0, 5};
	c.applied_index = c.applied_term = 5;
	c.truncated_index = c.truncated_term = 5;
	for (int i = 0; i < voters; i++)
		c.conf.voters.id[c.conf.voters.n++] = (uint64_t) i + 1;
	CHECK(raft_create(&c, &storage, &alloc, 0, &p->raft) == STATUS_OK);
}

static void
peer_free(Peer *p)
{
	raft_destroy(p->raft);
	arena_free(&p->arena);
	free(p->terms);
}

static void
step_all(Peer *peers, const RaftMessage *m, int n)
{
	for (int i = 0; i < n; i++)
	{
		steps++;
		messages++;
		(void) !raft_step(peers[m[i].to - 1].raft, &m[i], 0);
	}
}

/* One turn: store, then messages, as if every flush were done at once. */
static bool
turn(Peer *peers, Peer *p)
{
	RaftReady *rd = &p->ready;

	arena_reset(&p->arena);
	if (!raft_ready(p->raft, &p->arena, 0, rd))
		return false;
	for (int i = 0; i < rd->n_entries; i++)
	{
		p->last = rd->entries[i].index;
		CHECK(p->last < MAX_LOG);
		p->terms[p->last] = rd->entries[i].term;
	}
	if (rd->n_committed > 0)
		p->applied = rd->committed[rd->n_committed - 1].index;
	step_all(peers, rd->messages, rd->n_messages);
	step_all(peers, rd->persisted_messages, rd->n_persisted_messages);
	raft_advance(p->raft, rd);
	raft_persisted(p->raft, rd->number);
	return true;
}

static void
settle(Peer *peers)
{
	bool busy = true;

	while (busy)
	{
		busy = false;
		for (int i = 0; i < PEERS; i++)
			busy = turn(peers, &peers[i]) || busy;
	}
}

/* `batch` proposals share a ready, as the requests of one turn do. */
static void
bench_group(int batch)
{
	static Peer peers[PEERS];
	uint8_t data[128] = {0};
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL, .data = {data, sizeof(data)}};
	int total = 1000000 / (batch == 1 ? 4 : 1);
	double begin;
	double seconds;
	uint64_t index;
	uint64_t term;

	for (int i = 0; i < PEERS; i++)
	{
		peer_init(&peers[i], (uint64_t) i + 1, PEERS);
		peers[i].terms = calloc(MAX_LOG, sizeof(uint64_t));
		CHECK(peers[i].terms != NULL);
	}
	CHECK(raft_campaign(peers[0].raft, 0) == STATUS_OK);
	settle(peers);
	CHECK(raft_role(peers[0].raft) == RAFT_LEADER);
	allocations = steps = messages = 0;
	begin = now_s();
	for (int done = 0; done < total; done += batch)
	{
		for (int i = 0; i < batch; i++)
			CHECK(raft_propose(peers[0].raft, &e, &index, &term) == STATUS_OK);
		settle(peers);
	}
	seconds = now_s() - begin;
	for (int i = 0; i < PEERS; i++)
		CHECK(peers[i].applied == index);
	printf("3 peers, %4d proposals a turn: %8.0f proposals/s, %5.0f ns per"
		   " step, %.2f allocations and %.2f messages per entry\n",
		   batch, total / seconds, seconds * 1e9 / (double) steps,
		   (double) allocations / total, (double) messages / total);
	for (int i = 0; i < PEERS; i++)
		peer_free(&peers[i]);
}

static void
bench_sole(int batch)
{
	static Peer p;
	RaftEntry e = {.type = RAFT_ENTRY_NORMAL,
				   .payload = &p,
				   .payload_size = 128};
	int total = 4000000;
	double begin;
	double seconds;
	uint64_t index;
	uint64_t term;

	peer_init(&p, 1, 1);
	CHECK(raft_campaign(p.raft, 0) == STATUS_OK);
	allocations = 0;
	begin = now_s();
	for (int done = 0; done < total; done += batch)
	{
		for (int i = 0; i < batch; i++)
			CHECK(raft_propose(p.raft, &e, &index, &term) == STATUS_OK);
		arena_reset(&p.arena);
		CHECK(raft_ready(p.raft, &p.arena, 0, &p.ready));
		raft_advance(p.raft, &p.ready);
	}
	seconds = now_s() - begin;
	printf("sole,    %4d proposals a turn: %8.0f proposals/s,"
		   " %.4f allocations per entry\n",
		   batch, total / seconds, (double) allocations / total);
	peer_free(&p);
}

static void
bench_ticks(void)
{
	enum
	{
		GROUPS = 10000
	};
	Peer *groups = calloc(GROUPS, sizeof(Peer));
	RaftMessage m = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 5};
	double begin;
	double seconds;

	CHECK(groups != NULL);
	for (int i = 0; i < GROUPS; i++)
		peer_init(&groups[i], 1, 3);
	for (int pass = 0; pass < 2; pass++)
	{
		const int rounds = 20;

		for (int i = 0; i < GROUPS; i++)
		{
			RaftReady rd;

			if (raft_step(groups[i].raft, &m, 0) == STATUS_OK &&
				raft_ready(groups[i].raft, &groups[i].arena, 0, &rd))
				raft_advance(groups[i].raft, &rd);
			arena_free(&groups[i].arena);
			if (pass == 1 && raft_can_hibernate(groups[i].raft))
				raft_hibernate(groups[i].raft);
		}
		begin = now_s();
		for (int round = 0; round < rounds; round++)
			for (int i = 0; i < GROUPS; i++)
			{
				raft_tick(groups[i].raft, 0);
				CHECK(!raft_has_ready(groups[i].raft));
			}
		seconds = (now_s() - begin) / rounds;
		printf("tick and has_ready of %d %s groups: %.0f us, %.0f ns each\n",
			   GROUPS, pass == 0 ? "idle" : "hibernated", seconds * 1e6,
			   seconds * 1e9 / GROUPS);
	}
	for (int i = 0; i < GROUPS; i++)
		peer_free(&groups[i]);
	free(groups);
}

int
main(void)
{
	bench_group(1);
	bench_group(16);
	bench_group(128);
	bench_sole(1);
	bench_sole(64);
	bench_ticks();
	return 0;
}
