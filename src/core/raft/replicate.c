/*
 * replicate.c
 *	  The leader's side of the log: proposals, appends and the commit index.
 *
 * Nothing is sent when it is proposed: a ready makes the appends for whatever
 * has come together since the last one, one message per peer in the ordinary
 * case, and the window of the peer's progress decides how far ahead.  Commit
 * follows the match index of a quorum, self counted only as far as flushed.
 */
#include "core/raft/raft_internal.h"

/* Append an entry of this term; the caller has checked that it may. */
void
raft_append_own(Raft *r, const RaftEntry *e)
{
	RaftEntry own = *e;

	own.index = raft_log_last(&r->log) + 1;
	own.term = r->term;
	raft_log_append(&r->log, &own);
	r->uncommitted_bytes += raft_entry_bytes(&own);
}

Status
raft_propose(Raft *r, const RaftEntry *e, uint64_t *index, uint64_t *term)
{
	const RaftConfig *c = &r->config;
	size_t bytes = raft_entry_bytes(e);

	if (r->role != RAFT_LEADER)
		return STATUS_NOT_LEADER;
	if (r->transferee != RAFT_NONE)
		return STATUS_UNAVAILABLE;
	if ((e->payload != NULL || e->payload_size > 0) && !raft_takes_payload(r))
		return STATUS_INVALID;
	if (e->data.len > c->max_entry_bytes || e->context.len > c->max_entry_bytes)
		return STATUS_TOO_LARGE;
	if (r->uncommitted_bytes > 0 &&
		(bytes > c->max_uncommitted_bytes ||
		 r->uncommitted_bytes > c->max_uncommitted_bytes - bytes))
		return STATUS_BUSY;
	raft_wake(r);
	raft_append_own(r, e);
	*index = raft_log_last(&r->log);
	*term = r->term;
	return STATUS_OK;
}

/*
 * Commit what a quorum has.  Only an entry of the own term may be counted:
 * one of an earlier term can still be overwritten (Raft paper figure 8).  The
 * stored log is not asked, which the driver may be unable to read just now.
 */
void
raft_commit_advance(Raft *r)
{
	uint64_t index = raft_joint_acked(&r->conf, raft_peer_match, r);

	if (index <= r->log.commit || index > raft_log_last(&r->log))
		return;
#ifndef RAFT_MUTATION_COMMIT_OLD_TERM
	if (index < r->first_own)
		return;
#endif
	r->log.commit = index;
}

void
raft_want_append_all(Raft *r)
{
	for (int i = 0; i < r->n_peers; i++)
		r->peers[i].want_append = true;
}

/*
 * Followers learn of a commit when it is visible here, not before: else a read
 * at a follower could show what a later read by lease here does not.
 */
static uint64_t
told_commit(const Raft *r)
{
	uint64_t visible =
		r->visible_index > r->log.applied ? r->visible_index : r->log.applied;

#ifdef RAFT_MUTATION_TELL_UNAPPLIED_COMMIT
	visible = r->log.commit;
#endif
	return visible < r->log.commit ? visible : r->log.commit;
}

/* More has become visible: say so, unless that can wait for a heartbeat. */
void
raft_tell_commit(Raft *r)
{
	if (r->role != RAFT_LEADER || told_commit(r) <= r->told_index)
		return;
	r->told_index = told_commit(r);
	if (!r->config.skip_bcast_commit)
		raft_want_append_all(r);
}

static void
handle_reject(Raft *r, RaftProgress *p, const RaftMessage *m)
{
	uint64_t hint = m->reject_hint;
	uint64_t term;

	/* skip a whole term that the follower cannot have in common */
	if (m->log_term > 0)
		hint = raft_log_find_conflict(&r->log, hint, m->log_term, &term);
	if (raft_progress_reject(p, m->index, hint))
		p->want_append = true;
}

void
raft_handle_append_response(Raft *r, const RaftMessage *m)
{
	RaftProgress *p = raft_peer(r, m->from);
	bool news;

	if (m->reject)
	{
		handle_reject(r, p, m);
		return;
	}
	p->installing = m->request_snapshot != 0;
	news = raft_progress_update(p, m->index);
	if (!news && !(p->state == RAFT_PROBE && m->index == p->match))
		return;
	if (p->state == RAFT_PROBE ||
		(p->state == RAFT_SNAPSHOT && p->match >= r->log.truncated_index))
		raft_progress_replicate(p);
	else if (p->state == RAFT_REPLICATE)
		raft_inflights_free_to(&p->inflights, m->index);
	raft_commit_advance(r);
	raft_transfer_progress(r, p);
}

void
raft_handle_heartbeat_response(Raft *r, const RaftMessage *m)
{
	RaftProgress *p = raft_peer(r, m->from);

	p->paused = false;
	p->installing = m->request_snapshot != 0;
	if (p->match < raft_log_last(&r->log) || p->state == RAFT_PROBE)
		p->want_append = true;
	if (m->context.len == 16)
		raft_round_acked(r, p, raft_get_u64(m->context.data));
}

/* What the peer lacks is not in memory, and the driver has read enough. */
static bool
must_wait_for_log(const Raft *r, const RaftProgress *p)
{
	const RaftStorage *storage = &r->log.storage;

	return p->next < r->log.first && p->next > r->log.truncated_index &&
		storage->may_read != NULL && !storage->may_read(storage->arg);
}

/*
 * A full window may mean that all of it got lost: an append without entries
 * then finds out.  Nothing else passes a full window.  One whose peer has no
 * space for what comes next is paused until that is heard of again.
 */
static bool
may_append(const Raft *r, const RaftProgress *p)
{
	if (p->state == RAFT_SNAPSHOT || p->paused)
		return false;
	return p->want_append ||
		(p->next <= raft_log_last(&r->log) &&
		 !raft_progress_blocked(p, &r->config));
}

bool
raft_leader_has_sends(const Raft *r)
{
	if (r->role != RAFT_LEADER)
		return false;
	if (r->round_wanted || raft_reads_waiting(r))
		return true;
	for (int i = 0; i < r->n_peers; i++)
		if (r->peers[i].id != r->config.id && may_append(r, &r->peers[i]))
			return true;
	return false;
}

static void
note_sent(Raft *r, RaftProgress *p, const RaftMessage *m)
{
	size_t bytes = 0;

	p->want_append = false;
	if (p->state == RAFT_PROBE)
		p->paused = true;
	else if (m->n_entries == 0)
		p->paused =
			p->starved || raft_inflights_full(&p->inflights, &r->config);
	else
	{
		for (int i = 0; i < m->n_entries; i++)
			bytes += raft_entry_bytes(&m->entries[i]);
		p->next += (uint64_t) m->n_entries;
		raft_inflights_add(&p->inflights, &r->alloc, p->next - 1, bytes);
	}
}

/* Entries from p->next on, in the arena; returns how many. */
static int
next_entries(const Raft *r, RaftProgress *p, Arena *arena, RaftEntry **entries)
{
	size_t most = p->starved ? 1 : r->config.max_bytes_per_msg;
	uint64_t end = raft_log_last(&r->log) + 1;
	int n = 0;

	if (p->next == end || (p->starved && p->next == p->held_at))
		return 0;
	CHECK(raft_log_slice(&r->log, p->next, end, most, arena, entries, &n) ==
		  STATUS_OK);
	if (p->starved)
		n = raft_bare_entries(*entries, n);
	if (n == 0)
		p->held_at = p->next;
	return n;
}

/* Make the next message of the log for a peer; false if there is none now. */
static bool
make_append(Raft *r, RaftProgress *p, Arena *arena, RaftMessage *m)
{
	bool blocked = raft_progress_blocked(p, &r->config);
	RaftEntry *entries = NULL;

	if (!may_append(r, p))
		return false;
	if (!blocked && must_wait_for_log(r, p))
		return false;
	if (p->next <= r->log.truncated_index)
		return raft_send_snapshot(r, p, arena, m);
	*m = (RaftMessage){.type = RAFT_MSG_APPEND, .to = p->id};
	m->index = p->next - 1;
	CHECK(raft_log_term(&r->log, m->index, &m->log_term) == STATUS_OK);
	m->n_entries = blocked ? 0 : next_entries(r, p, arena, &entries);
	m->entries = entries;
	m->commit = told_commit(r);
	note_sent(r, p, m);
	return true;
}

static void
make_heartbeat(Raft *r, const RaftProgress *p, Arena *arena, RaftMessage *m)
{
	uint8_t *context = arena_alloc(arena, 16);

	raft_put_u64(context, r->round);
	raft_put_u64(context + 8, r->generation);
	*m = (RaftMessage){.type = RAFT_MSG_HEARTBEAT, .to = p->id};
	m->commit = told_commit(r) < p->match ? told_commit(r) : p->match;
	m->context = bytes_make(context, 16);
}

/* Everything a leader has to send now, in the arena; returns how many. */
int
raft_leader_sends(Raft *r, Arena *arena, RaftMessage **out)
{
	bool round = r->round_wanted || raft_reads_waiting(r);
	RaftMessage *msgs;
	int n = 0;

	if (!raft_leader_has_sends(r))
		return 0;
	msgs = arena_alloc(arena,
					   (size_t) r->n_peers * (RAFT_APPENDS_PER_READY + 1) *
						   sizeof(RaftMessage));
	if (round)
		raft_begin_round(r);
	for (int i = 0; i < r->n_peers; i++)
	{
		RaftProgress *p = &r->peers[i];
		int sent = 0;

		if (p->id == r->config.id)
			continue;
		if (round)
			make_heartbeat(r, p, arena, &msgs[n++]);
		while (sent < RAFT_APPENDS_PER_READY &&
			   make_append(r, p, arena, &msgs[n]))
		{
			n++;
			sent++;
		}
	}
	for (int i = 0; i < n; i++)
	{
		msgs[i].from = r->config.id;
		msgs[i].term = r->term;
	}
	*out = msgs;
	return n;
}
