/*
 * raft_fixture.h
 *	  One peer with a stored log in memory, for the unit tests of core/raft.
 */
#ifndef TIKV_TEST_RAFT_FIXTURE_H
#define TIKV_TEST_RAFT_FIXTURE_H

#include <stdlib.h>

#include "core/base/check.h"
#include "core/raft/raft.h"

#define FIXTURE_START 5 /* index and term of the truncated end */
#define FIXTURE_MAX 20000

typedef struct Fixture
{
	Raft *raft;
	Arena arena;
	Arena log_arena; /* data of the stored log */
	RaftConfig config;
	RaftAllocator alloc;
	int live; /* blocks allocated and not freed */
	uint64_t now_us;

	/* what is stored */
	RaftHardState hard_state;
	uint64_t truncated_index;
	uint64_t truncated_term;
	uint64_t applied_index;
	uint64_t applied_term;
	RaftConfState conf;
	RaftEntry log[FIXTURE_MAX]; /* log[i] has index i */
	uint64_t last;
	bool snapshot_ready;
	bool locked;		/* nothing of the log can be read */
	bool refuses_reads; /* nothing for followers that lag */
	int n_reads;
} Fixture;

static inline void *
fixture_alloc(void *arg, size_t size)
{
	((Fixture *) arg)->live++;
	return malloc(size);
}

static inline void
fixture_release(void *arg, void *p)
{
	((Fixture *) arg)->live--;
	free(p);
}

static inline Status
fixture_entries(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
				Arena *arena, RaftEntry **out, int *n)
{
	Fixture *f = arg;
	size_t bytes = 0;

	if (f->locked)
		return STATUS_UNAVAILABLE;
	f->n_reads++;
	if (low <= f->truncated_index || high > f->last + 1)
		return STATUS_CORRUPT;
	*out = arena_alloc(arena, (size_t) (high - low) * sizeof(RaftEntry));
	for (*n = 0; low < high; low++)
	{
		bytes += sizeof(RaftEntry) + f->log[low].data.len;
		if (*n > 0 && bytes > max_bytes)
			break;
		(*out)[(*n)++] = f->log[low];
	}
	return STATUS_OK;
}

static inline Status
fixture_term(void *arg, uint64_t index, uint64_t *term)
{
	Fixture *f = arg;

	if (f->locked)
		return STATUS_UNAVAILABLE;
	if (index <= f->truncated_index || index > f->last)
		return STATUS_NOT_FOUND;
	*term = f->log[index].term;
	return STATUS_OK;
}

static inline uint64_t
fixture_last(void *arg)
{
	return ((Fixture *) arg)->last;
}

static inline Status
fixture_snapshot(void *arg, uint64_t to, uint64_t index, Arena *arena,
				 RaftSnapshot *out)
{
	Fixture *f = arg;

	(void) to;
	(void) index;
	if (!f->snapshot_ready)
		return STATUS_UNAVAILABLE;
	out->meta.index = f->applied_index;
	out->meta.term = f->applied_term;
	out->meta.conf = f->conf;
	out->data = arena_copy(arena, bytes_cstr("snapshot"));
	return STATUS_OK;
}

static inline bool
fixture_may_read(void *arg)
{
	return !((Fixture *) arg)->refuses_reads;
}

static inline RaftStorage
fixture_storage(Fixture *f)
{
	return (RaftStorage){f,
						 fixture_entries,
						 fixture_term,
						 fixture_last,
						 fixture_snapshot,
						 fixture_may_read};
}

/* Start the peer from what is stored. */
static inline void
fixture_create(Fixture *f)
{
	RaftStorage storage = fixture_storage(f);

	f->config.hard_state = f->hard_state;
	f->config.conf = f->conf;
	f->config.applied_index = f->applied_index;
	f->config.applied_term = f->applied_term;
	f->config.truncated_index = f->truncated_index;
	f->config.truncated_term = f->truncated_term;
	CHECK(raft_create(&f->config, &storage, &f->alloc, f->now_us, &f->raft) ==
		  STATUS_OK);
}

/* Peer `id` of the voters 1..voters, with an empty log that begins at 5. */
static inline void
fixture_init(Fixture *f, uint64_t id, int voters)
{
	memset(f, 0, sizeof(*f));
	arena_init(&f->arena);
	arena_init(&f->log_arena);
	f->alloc = (RaftAllocator){f, fixture_alloc, fixture_release};
	raft_config_init(&f->config, id);
	f->hard_state = (RaftHardState){FIXTURE_START, 0, FIXTURE_START};
	f->truncated_index = f->truncated_term = FIXTURE_START;
	f->applied_index = f->applied_term = FIXTURE_START;
	f->last = FIXTURE_START;
	for (int i = 0; i < voters; i++)
		f->conf.voters.id[f->conf.voters.n++] = (uint64_t) i + 1;
	fixture_create(f);
}

static inline void
fixture_free(Fixture *f)
{
	raft_destroy(f->raft);
	CHECK(f->live == 0);
	arena_free(&f->log_arena);
	arena_free(&f->arena);
}

/* Do what a ready wants stored. */
static inline void
fixture_store(Fixture *f, const RaftReady *rd)
{
	if (rd->has_hard_state)
		f->hard_state = rd->hard_state;
	if (rd->snapshot != NULL)
	{
		f->last = f->truncated_index = rd->snapshot->meta.index;
		f->truncated_term = rd->snapshot->meta.term;
		f->applied_index = f->truncated_index;
		f->applied_term = f->truncated_term;
		f->conf = rd->snapshot->meta.conf;
	}
	if (rd->n_entries > 0 && !rd->sole)
		f->last = rd->entries[0].index - 1;
	for (int i = 0; i < rd->n_entries && !rd->sole; i++)
	{
		RaftEntry *e = &f->log[++f->last];

		*e = rd->entries[i];
		CHECK(e->index == f->last);
		e->data = arena_copy(&f->log_arena, e->data);
		e->context = bytes_empty();
	}
	if (rd->n_committed > 0)
	{
		const RaftEntry *e = &rd->committed[rd->n_committed - 1];

		f->applied_index = e->index;
		f->applied_term = e->term;
		if (rd->sole)
		{
			f->last = f->truncated_index = e->index;
			f->truncated_term = e->term;
		}
	}
}

/* Readies until there is nothing to do; returns how many. */
static inline int
fixture_turn(Fixture *f)
{
	RaftReady rd;
	int n = 0;

	while (raft_ready(f->raft, &f->arena, f->now_us, &rd))
	{
		fixture_store(f, &rd);
		raft_advance(f->raft, &rd);
		raft_persisted(f->raft, rd.number);
		n++;
	}
	return n;
}

/* The process ends and starts again. */
static inline void
fixture_restart(Fixture *f)
{
	raft_destroy(f->raft);
	f->config.restarted = true;
	fixture_create(f);
}

#endif /* TIKV_TEST_RAFT_FIXTURE_H */
