/*
 * progress.c
 *	  A leader's view of one peer: probe, replicate or snapshot.
 *
 * PROBE sends one message at a time until it learns where the logs agree;
 * REPLICATE sends ahead within a window bounded by messages and bytes;
 * SNAPSHOT waits for a report.  Behaviour after etcd-io/raft tracker/.
 */
#include "core/raft/progress.h"

#include "core/base/check.h"

void
raft_inflights_add(RaftInflights *f, const RaftAllocator *alloc, uint64_t index,
				   size_t bytes)
{
	if (f->n == f->cap)
	{
		int cap = f->cap == 0 ? 4 : f->cap * 2;
		struct RaftInflight *ring =
			alloc->alloc(alloc->arg, (size_t) cap * sizeof(*ring));

		for (int i = 0; i < f->n; i++)
			ring[i] = f->ring[(f->head + i) % f->cap];
		if (f->ring != NULL)
			alloc->free(alloc->arg, f->ring);
		f->ring = ring;
		f->cap = cap;
		f->head = 0;
	}
	f->ring[(f->head + f->n) % f->cap].index = index;
	f->ring[(f->head + f->n) % f->cap].bytes = bytes;
	f->n++;
	f->bytes += bytes;
}

/* The peer has everything up to `index`. */
void
raft_inflights_free_to(RaftInflights *f, uint64_t index)
{
	while (f->n > 0 && f->ring[f->head].index <= index)
	{
		f->bytes -= f->ring[f->head].bytes;
		f->head = (f->head + 1) % f->cap;
		f->n--;
	}
}

void
raft_inflights_reset(RaftInflights *f)
{
	f->head = f->n = 0;
	f->bytes = 0;
}

bool
raft_inflights_full(const RaftInflights *f, const RaftConfig *config)
{
	return f->n >= config->max_inflight_msgs ||
		f->bytes >= config->max_inflight_bytes;
}

static void
enter(RaftProgress *p, RaftProgressState state)
{
	p->state = state;
	p->paused = false;
	p->pending_snapshot = 0;
	raft_inflights_reset(&p->inflights);
}

/* Nothing is known of the peer: a new leader, or a new peer. */
void
raft_progress_reset(RaftProgress *p, uint64_t next)
{
	enter(p, RAFT_PROBE);
	p->match = 0;
	p->next = next;
	p->acked_round = 0;
	p->unheard = 0;
	p->recent_active = false;
	p->silent = false;
	p->met = false;
	p->want_append = false;
	p->installing = false;
	p->held_at = 0;
}

/* After a snapshot the peer may have it even if the report got lost. */
void
raft_progress_probe(RaftProgress *p)
{
	uint64_t snapshot = p->state == RAFT_SNAPSHOT ? p->pending_snapshot : 0;

	enter(p, RAFT_PROBE);
	p->next = (snapshot > p->match ? snapshot : p->match) + 1;
}

void
raft_progress_replicate(RaftProgress *p)
{
	enter(p, RAFT_REPLICATE);
	p->next = p->match + 1;
}

void
raft_progress_snapshot(RaftProgress *p, uint64_t index)
{
	enter(p, RAFT_SNAPSHOT);
	p->pending_snapshot = index;
}

/* The peer acknowledged `index`; false if that is not new. */
bool
raft_progress_update(RaftProgress *p, uint64_t index)
{
	if (index <= p->match)
		return false;
	p->match = index;
	if (p->next <= index)
		p->next = index + 1;
	p->paused = false;
	return true;
}

/*
 * The peer refused an append that followed entry `rejected`; `hint` is where
 * it may agree.  False if the refusal is stale: an answer to something older
 * than what is known by now.
 */
bool
raft_progress_reject(RaftProgress *p, uint64_t rejected, uint64_t hint)
{
	uint64_t next;

	if (p->state == RAFT_REPLICATE)
	{
		if (rejected <= p->match)
			return false;
		raft_progress_probe(p);
		return true;
	}
	if (p->next - 1 != rejected)
		return false;
	next = rejected < hint + 1 ? rejected : hint + 1;
	p->next = next > p->match + 1 ? next : p->match + 1;
	p->paused = false;
	return true;
}

/* May no entries be sent now? */
bool
raft_progress_blocked(const RaftProgress *p, const RaftConfig *config)
{
	switch (p->state)
	{
		case RAFT_PROBE:
			return p->paused;
		case RAFT_REPLICATE:
			return p->paused || raft_inflights_full(&p->inflights, config);
		case RAFT_SNAPSHOT:
			return true;
	}
	CHECK(false);
}

/*
 * Does it live, as far as this leader knows?  Not who has never answered it, as
 * the leader before, whose death made it one.
 */
bool
raft_progress_heard(const RaftProgress *p)
{
	return p->recent_active || (p->met && !p->silent);
}
