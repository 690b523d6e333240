/*
 * ready.c
 *	  What a group wants done, and what follows once it is.
 *
 * A ready is one transaction of the driver: entries, hard state, snapshot and
 * the effects of committed entries become visible together (raft_advance) and
 * later durable together (raft_persisted).  So a ready may apply entries that
 * it stores itself.  In a sole group both are one step and the entries need
 * not be stored at all.
 */
#include "core/raft/raft_internal.h"

static RaftHardState
hard_state(const Raft *r)
{
	return (RaftHardState){r->term, r->vote, r->log.commit};
}

static bool
same_hard_state(const RaftHardState *a, const RaftHardState *b)
{
	return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

static bool
sole_leader(const Raft *r)
{
	return r->role == RAFT_LEADER && raft_is_sole(r);
}

/* How far entries may be handed out to be applied. */
static uint64_t
apply_end(const Raft *r)
{
	uint64_t to = sole_leader(r) ? raft_log_last(&r->log) : r->log.commit;

	return r->held_index != 0 && r->held_index <= to ? r->held_index - 1 : to;
}

static bool
has_committed(const Raft *r)
{
	return apply_end(r) > r->log.applied && !r->apply_paused &&
		r->log.snapshot == NULL;
}

/* A sole leader stores only what it applies at once. */
static bool
has_entries(const Raft *r)
{
	return raft_log_last(&r->log) > r->log.stored &&
		(!sole_leader(r) || has_committed(r));
}

bool
raft_has_ready(const Raft *r)
{
	RaftHardState now = hard_state(r);

	if (r->log.ready_out)
		return false;
	return r->n_msgs > 0 || r->n_read_states > 0 || r->log.snapshot != NULL ||
		has_entries(r) || has_committed(r) ||
		!same_hard_state(&now, &r->saved) || r->role != r->told_role ||
		r->leader != r->told_leader || raft_leader_has_sends(r);
}

/* Copy queued messages of one kind out; the others stay. */
static int
take_queued(Raft *r, Arena *arena, bool flushed, RaftMessage *out)
{
	int kept = 0;
	int n = 0;

	for (int i = 0; i < r->n_msgs; i++)
	{
		RaftQueued *q = &r->msgs[i];

		if (raft_needs_flush(r, q->m.type, q->m.reject) != flushed)
		{
			r->msgs[kept++] = *q;
			continue;
		}
		out[n] = q->m;
		if (q->m.context.len > 0)
			out[n].context =
				arena_copy(arena, bytes_make(q->context, q->m.context.len));
		if (q->m.type == RAFT_MSG_READ_INDEX ||
			q->m.type == RAFT_MSG_READ_INDEX_RESP)
		{
			RaftEntry *e = arena_zalloc(arena, sizeof(RaftEntry));

			e->data = arena_copy(arena, bytes_make(q->data, q->data_len));
			out[n].entries = e;
			out[n].n_entries = 1;
		}
		raft_free_data(r, q);
		n++;
	}
	r->n_msgs = kept;
	return n;
}

/*
 * All messages of one kind: what is queued, and what a leader sends (which is
 * of one kind as a whole).
 */
static int
take_messages(Raft *r, Arena *arena, bool flushed, const RaftMessage *sends,
			  int n_sends, const RaftMessage **out)
{
	bool with_sends =
		n_sends > 0 && raft_needs_flush(r, RAFT_MSG_APPEND, false) == flushed;
	int max = r->n_msgs + (with_sends ? n_sends : 0);
	RaftMessage *msgs;
	int n;

	*out = NULL;
	if (max == 0)
		return 0;
	msgs = arena_alloc(arena, (size_t) max * sizeof(RaftMessage));
	n = take_queued(r, arena, flushed, msgs);
	if (with_sends)
	{
		memcpy(msgs + n, sends, (size_t) n_sends * sizeof(RaftMessage));
		n += n_sends;
	}
	*out = msgs;
	return n;
}

int
raft_take_messages(Raft *r, Arena *arena, uint64_t now_us,
				   const RaftMessage **out)
{
	RaftMessage *sends = NULL;
	int n = 0;

	raft_observe_clock(r, now_us);
	r->visible_index = r->log.applied;
	if (!raft_needs_flush(r, RAFT_MSG_APPEND, false))
		n = raft_leader_sends(r, arena, &sends);
	return take_messages(r, arena, false, sends, n, out);
}

/* Nothing after a conf change, which must take effect first. */
static int
until_conf_change(const RaftEntry *entries, int n)
{
	for (int i = 0; i < n; i++)
		if (entries[i].type != RAFT_ENTRY_NORMAL)
			return i + 1;
	return n;
}

int
raft_committed(const Raft *r, Arena *arena, const RaftEntry **out)
{
	RaftEntry *entries;
	int n;

	*out = NULL;
	if (!has_committed(r))
		return 0;
	CHECK(raft_log_slice(&r->log, r->log.applied + 1, apply_end(r) + 1,
						 r->config.max_committed_bytes, arena, &entries,
						 &n) == STATUS_OK);
	*out = entries;
	return until_conf_change(entries, n);
}

/*
 * A sole group commits what this very transaction stores; the entries to store
 * are the end of the committed ones.
 */
static void
fill_sole(Raft *r, RaftReady *out)
{
	const RaftEntry *last = &out->committed[out->n_committed - 1];
	int stored = 0;

	if (last->index > r->log.commit)
		r->log.commit = last->index;
	while (stored < out->n_committed &&
		   out->committed[stored].index <= r->log.stored)
		stored++;
	out->entries = out->committed + stored;
	out->n_entries = out->n_committed - stored;
}

static void
fill_log(Raft *r, Arena *arena, RaftReady *out)
{
	uint64_t stored = r->log.stored;

	out->sole = sole_leader(r);
	out->snapshot = r->log.snapshot;
	out->n_committed = raft_committed(r, arena, &out->committed);
	if (out->sole && out->n_committed > 0)
		fill_sole(r, out);
	else if (!out->sole && has_entries(r))
	{
		RaftEntry *entries;

		CHECK(raft_log_slice(&r->log, stored + 1, raft_log_last(&r->log) + 1,
							 SIZE_MAX, arena, &entries,
							 &out->n_entries) == STATUS_OK);
		out->entries = entries;
	}
	r->visible_index = out->n_committed == 0 ?
		r->log.applied :
		out->committed[out->n_committed - 1].index;
	if (out->n_entries > 0)
		stored = out->entries[out->n_entries - 1].index;
	r->snapshot_out = out->snapshot == NULL ? 0 : out->snapshot->meta.index;
	r->log.ready_last = stored;
}

static void
fill_states(Raft *r, Arena *arena, RaftReady *out)
{
	RaftHardState now = hard_state(r);
	RaftReadState *states;

	out->has_hard_state = !same_hard_state(&now, &r->saved);
	out->hard_state = now;
	r->saved = now;
	out->has_soft_state =
		r->role != r->told_role || r->leader != r->told_leader;
	out->role = r->told_role = r->role;
	out->leader = r->told_leader = r->leader;
	if (r->n_read_states == 0)
		return;
	states = arena_alloc(arena, (size_t) r->n_read_states * sizeof(*states));
	for (int i = 0; i < r->n_read_states; i++)
	{
		const RaftRead *read = &r->read_states[i];

		states[i].index = read->index;
		states[i].context =
			arena_copy(arena, bytes_make(read->context, read->context_len));
	}
	out->read_states = states;
	out->n_read_states = r->n_read_states;
	raft_clear_read_states(r);
}

bool
raft_ready(Raft *r, Arena *arena, uint64_t now_us, RaftReady *out)
{
	RaftMessage *sends = NULL;
	int n_sends;

	raft_observe_clock(r, now_us);
	memset(out, 0, sizeof(*out));
	if (!raft_has_ready(r))
		return false;
	out->number = ++r->ready_number;
	raft_log_lend(&r->log);
	fill_log(r, arena, out);
	raft_tell_commit(r);
	n_sends = raft_leader_sends(r, arena, &sends);
	out->n_messages =
		take_messages(r, arena, false, sends, n_sends, &out->messages);
	out->n_persisted_messages =
		take_messages(r, arena, true, sends, n_sends, &out->persisted_messages);
	fill_states(r, arena, out);
	if (out->has_hard_state || out->n_entries > 0)
		raft_log_record(&r->log, out->number, r->log.ready_last, r->term);
	raft_check(r);
	return true;
}

/* Proposals that are applied no longer count against the limit. */
static void
forget_uncommitted(Raft *r, const RaftReady *ready)
{
	for (int i = 0; i < ready->n_committed; i++)
	{
		size_t bytes = raft_entry_bytes(&ready->committed[i]);

		r->uncommitted_bytes -=
			bytes < r->uncommitted_bytes ? bytes : r->uncommitted_bytes;
	}
}

/*
 * Will the peer soon ask for what it lacks?  One that is gone, or gets a
 * snapshot, may be gone for days, with as much for each group: what it lacks by
 * then is read from the driver's log.
 */
static bool
keeps_up(const Raft *r, const RaftProgress *p)
{
	return p->id != r->config.id && !p->silent && p->state != RAFT_SNAPSHOT;
}

/*
 * Entries that this leader's peers still lack are kept in memory, others only
 * until they are applied; cache_bytes bounds both.
 */
static void
release_log(Raft *r)
{
	uint64_t keep = r->log.applied + 1;

	if (r->role == RAFT_LEADER)
		for (int i = 0; i < r->n_peers; i++)
			if (keeps_up(r, &r->peers[i]) && r->peers[i].match < keep)
				keep = r->peers[i].match + 1;
	raft_log_release(&r->log, keep, r->config.cache_bytes);
}

void
raft_advance(Raft *r, const RaftReady *ready)
{
	RaftLog *log = &r->log;

	CHECK(log->ready_out && ready->number == r->ready_number);
	raft_log_stored(log, log->ready_last);
	forget_uncommitted(r, ready);
	if (ready->snapshot != NULL)
		raft_snapshot_installed(r, ready->snapshot);
	if (ready->n_committed > 0)
	{
		const RaftEntry *last = &ready->committed[ready->n_committed - 1];

		CHECK(last->index > log->applied);
		log->applied = last->index;
		log->applied_term = last->term;
	}
	r->snapshot_out = 0;
	r->advanced_number = ready->number;
	raft_log_ready_done(log);
	if (ready->sole)
	{
		raft_persisted(r, ready->number);
		if (ready->n_committed > 0 && log->snapshot == NULL)
			raft_log_compact(log, log->applied, log->applied_term);
	}
	raft_auto_leave(r);
	release_log(r);
	raft_check(r);
}

void
raft_persisted(Raft *r, uint64_t number)
{
	RaftProgress *self = raft_peer(r, r->config.id);

	CHECK(number <= r->advanced_number);
	raft_log_flushed(&r->log, number);
#ifdef RAFT_MUTATION_LEADER_COUNTS_UNFLUSHED
	r->log.persisted = r->log.stored;
#endif
	raft_vote_flushed(r);
	if (r->role != RAFT_LEADER)
		return;
	self->match = r->log.persisted;
	if (self->next <= self->match)
		self->next = self->match + 1;
	raft_commit_advance(r);
}

void
raft_compact(Raft *r, uint64_t index, uint64_t term)
{
	if (index > r->log.truncated_index && index <= r->log.applied)
		raft_log_compact(&r->log, index, term);
}

void
raft_pause_apply(Raft *r, bool on)
{
	r->apply_paused = on;
}

void
raft_hold_apply(Raft *r, uint64_t index)
{
	CHECK(index == 0 || (index > r->log.applied && !r->log.ready_out));
	r->held_index = index;
}

bool
raft_holds_apply(const Raft *r)
{
	return r->held_index != 0;
}
