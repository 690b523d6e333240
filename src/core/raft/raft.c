/*
 * raft.c
 *	  Roles and terms of a peer: creation, time, and which function a message
 *	  belongs to.
 *
 * Everything a peer does follows from its term: a message of a higher term
 * makes a follower of it, one of a lower term is refused or ignored.  The
 * rules of each kind of message are in the file named after it.
 */
#include "core/raft/raft_internal.h"

#include <limits.h>

void
raft_alloc_free(const Raft *r, void *p)
{
	r->alloc.free(r->alloc.arg, p);
}

/* Room for one more element of an array of n. */
void *
raft_grow(const Raft *r, void *old, int n, int *cap, size_t size)
{
	void *p;

	if (n < *cap)
		return old;
	*cap = *cap == 0 ? 4 : *cap * 2;
	p = r->alloc.alloc(r->alloc.arg, (size_t) *cap * size);
	if (n > 0)
		memcpy(p, old, (size_t) n * size);
	if (old != NULL)
		raft_alloc_free(r, old);
	return p;
}

RaftProgress *
raft_peer(const Raft *r, uint64_t id)
{
	for (int i = 0; i < r->n_peers; i++)
		if (r->peers[i].id == id)
			return &r->peers[i];
	return NULL;
}

bool
raft_is_voter(const Raft *r, uint64_t id)
{
	return raft_set_has(&r->conf.voters, id) ||
		raft_set_has(&r->conf.voters_outgoing, id);
}

void
raft_config_init(RaftConfig *config, uint64_t id)
{
	memset(config, 0, sizeof(*config));
	config->id = id;
	config->election_ticks = 30;
	config->heartbeat_ticks = 5;
	config->tick_us = 100 * 1000;
	config->lease_us = 2700 * 1000;
	config->seed = id;
	config->max_entry_bytes = (size_t) 8 << 20;
	config->max_bytes_per_msg = (size_t) 1 << 20;
	config->max_inflight_msgs = 256;
	config->max_inflight_bytes = (size_t) 16 << 20;
	config->max_uncommitted_bytes = (size_t) 64 << 20;
	config->max_unstored_bytes = (size_t) 64 << 20;
	config->max_committed_bytes = (size_t) 16 << 20;
	config->cache_bytes = (size_t) 1 << 20;
	config->max_pending_reads = 4096;
	config->max_read_bytes = (size_t) 16 << 20;
	config->max_pending_msgs = 4096;
}

static bool
config_valid(const RaftConfig *c)
{
	uint64_t election_us = (uint64_t) c->election_ticks * c->tick_us;

	return c->id != RAFT_NONE && c->heartbeat_ticks > 0 &&
		c->election_ticks > c->heartbeat_ticks && c->tick_us > 0 &&
		c->lease_us <= election_us / 10 * 9 && c->max_entry_bytes > 0 &&
		c->max_inflight_msgs > 0 && c->max_inflight_bytes > 0 &&
		c->max_pending_reads > 0 && c->max_pending_msgs > 0 &&
		raft_conf_valid(&c->conf);
}

/*
 * A sole voter whose whole log is applied has promised nothing to anybody: no
 * other can be elected without it.  An unapplied entry might be a change that
 * gave it company.
 */
static bool
needs_quarantine(const Raft *r)
{
	bool alone = r->conf.voters.n == 1 && !raft_conf_is_joint(&r->conf) &&
		raft_is_voter(r, r->config.id) &&
		raft_log_last(&r->log) == r->log.applied;

	return r->config.restarted && !alone;
}

static Status
start_log(Raft *r, const RaftStorage *storage)
{
	const RaftConfig *c = &r->config;
	RaftLog *log = &r->log;
	uint64_t last = storage->last_index(storage->arg);

	if (c->truncated_index > c->applied_index ||
		c->applied_index > c->hard_state.commit ||
		c->hard_state.commit > last || last == UINT64_MAX ||
		(c->applied_index == c->truncated_index &&
		 c->applied_term != c->truncated_term) ||
		c->applied_term > c->hard_state.term)
		return STATUS_CORRUPT;
	raft_log_init(log, storage, &r->alloc);
	log->truncated_index = c->truncated_index;
	log->truncated_term = c->truncated_term;
	log->applied = c->applied_index;
	log->applied_term = c->applied_term;
	log->commit = c->hard_state.commit;
	log->first = last + 1;
	log->stored = log->persisted = last;
	log->persisted_term = c->hard_state.term;
	log->conf_index = last; /* any stored entry may be a change */
	return raft_log_term(log, last, &log->last_term);
}

Status
raft_create(const RaftConfig *config, const RaftStorage *storage,
			const RaftAllocator *allocator, uint64_t now_us, Raft **out)
{
	Raft *r;

	if (!config_valid(config))
		return STATUS_INVALID;
	r = allocator->alloc(allocator->arg, sizeof(Raft));
	memset(r, 0, sizeof(*r));
	r->config = *config;
	r->alloc = *allocator;
	r->now_us = now_us;
	r->random = config->seed * UINT64_C(0x9E3779B97F4A7C15) + config->id;
	if (start_log(r, storage) != STATUS_OK)
	{
		raft_alloc_free(r, r);
		return STATUS_CORRUPT;
	}
	r->term = config->hard_state.term;
	r->vote = config->hard_state.vote;
	r->saved = config->hard_state;
	r->conf = config->conf;
	raft_conf_normalize(&r->conf);
	raft_switch_conf(r, &r->conf);
	r->contact_elapsed = config->election_ticks + 1;
#ifndef RAFT_MUTATION_RESTART_VOTES
	if (needs_quarantine(r))
		r->quarantine = config->election_ticks + 1;
#else
	(void) needs_quarantine;
#endif
	raft_become_follower(r, r->term, RAFT_NONE);
	*out = r;
	return STATUS_OK;
}

void
raft_destroy(Raft *r)
{
	RaftAllocator alloc;

	if (r == NULL)
		return;
	alloc = r->alloc;
	raft_drop_reads(r);
	raft_clear_read_states(r);
	raft_clear_msgs(r);
	raft_log_free(&r->log);
	for (int i = 0; i < r->n_peers; i++)
		if (r->peers[i].inflights.ring != NULL)
			alloc.free(alloc.arg, r->peers[i].inflights.ring);
	if (r->peers != NULL)
		alloc.free(alloc.arg, r->peers);
	if (r->reads != NULL)
		alloc.free(alloc.arg, r->reads);
	if (r->read_states != NULL)
		alloc.free(alloc.arg, r->read_states);
	if (r->msgs != NULL)
		alloc.free(alloc.arg, r->msgs);
	alloc.free(alloc.arg, r);
}

/*
 * A clock that goes back voids what was measured with it; the clock is meant
 * to be one that does not, so this costs a lease and nothing else.
 */
void
raft_observe_clock(Raft *r, uint64_t now_us)
{
	if (now_us < r->now_us)
		raft_lease_reset(r);
	r->now_us = now_us;
}

/* What every change of role or term does. */
void
raft_reset(Raft *r, uint64_t term)
{
	CHECK(term >= r->term);
	if (term > r->term)
	{
		r->term = term;
		r->vote = RAFT_NONE;
	}
	r->leader = RAFT_NONE;
	r->transferee = RAFT_NONE;
	r->election_elapsed = 0;
	r->heartbeat_elapsed = 0;
	r->pending_conf_index = 0;
	r->uncommitted_bytes = 0;
	r->told_index = 0;
	r->lease_suspended = false;
	r->round = 0;
	r->round_wanted = false;
	raft_lease_reset(r);
	raft_drop_reads(r);
	raft_randomize_timeout(r);
	for (int i = 0; i < r->n_peers; i++)
	{
		raft_progress_reset(&r->peers[i], raft_log_last(&r->log) + 1);
		r->peers[i].vote = 0;
	}
}

/*
 * Entries with a payload have no bytes that could be stored as rows.  They are
 * a sole leader's, which nobody else has seen, so they end with its term.
 */
static void
forget_payloads(Raft *r)
{
	const RaftLog *log = &r->log;
	uint64_t index = log->stored > log->commit ? log->stored : log->commit;

	while (++index <= raft_log_last(log))
		if (raft_log_has_payload(log, index))
		{
			raft_log_cut(&r->log, index);
			return;
		}
}

void
raft_become_follower(Raft *r, uint64_t term, uint64_t leader)
{
	if (r->role == RAFT_LEADER)
		forget_payloads(r);
	raft_reset(r, term);
	r->role = RAFT_FOLLOWER;
	r->leader = leader;
	r->tries = 0;
}

/*
 * The first entry of a term is empty: entries of earlier terms are committed
 * through it (Raft paper 5.4.2).  Earlier conf changes in the log may be
 * unapplied, so a new one waits until everything there is now is applied.
 */
void
raft_become_leader(Raft *r)
{
	RaftEntry empty = {.type = RAFT_ENTRY_NORMAL};
	RaftProgress *self;

	CHECK(r->role != RAFT_FOLLOWER && r->role != RAFT_LEADER);
	CHECK(r->log.snapshot == NULL);
	raft_reset(r, r->term);
	r->role = RAFT_LEADER;
	r->leader = r->config.id;
	r->tries = 0;
	r->generation = 0;
	r->generation_term = r->term;
	self = raft_peer(r, r->config.id);
	CHECK(self != NULL);
	self->match = r->log.persisted;
	raft_progress_replicate(self);
	r->pending_conf_index = raft_log_last(&r->log);
	r->first_own = raft_log_last(&r->log) + 1;
	raft_append_own(r, &empty);
	raft_want_append_all(r);
	r->round_wanted = true;
}

static void
leader_tick(Raft *r)
{
	r->election_elapsed++;
	r->heartbeat_elapsed++;
	for (int i = 0; i < r->n_peers; i++)
		if (r->peers[i].unheard < r->config.election_ticks)
			r->peers[i].unheard++;
#ifndef RAFT_MUTATION_NO_CHECK_QUORUM
	if (raft_quorum_ticks_left(r) == 0)
	{
		raft_become_follower(r, r->term, RAFT_NONE);
		return;
	}
#endif
	if (r->election_elapsed >= r->config.election_ticks)
	{
		r->election_elapsed = 0;
		raft_note_silent(r);
	}
	if (r->transferee != RAFT_NONE &&
		++r->transfer_elapsed >= r->config.election_ticks)
		raft_abort_transfer(r);
	if (r->heartbeat_elapsed >= r->config.heartbeat_ticks)
	{
		r->heartbeat_elapsed = 0;
		r->round_wanted = r->n_peers > 1;
	}
}

static void
follower_tick(Raft *r)
{
	r->election_elapsed++;
	if (r->election_elapsed < r->election_timeout || !raft_promotable(r))
		return;
	if (raft_hup(r, RAFT_CAMPAIGN_PRE) != STATUS_OK)
	{
		r->election_elapsed = 0;
		raft_randomize_timeout(r);
	}
}

void
raft_tick(Raft *r, uint64_t now_us)
{
	raft_observe_clock(r, now_us);
	if (r->hibernated)
		return;
	if (r->quarantine > 0)
		r->quarantine--;
	if (r->contact_elapsed <= r->config.election_ticks)
		r->contact_elapsed++;
	if (r->role == RAFT_LEADER)
		leader_tick(r);
	else
		follower_tick(r);
	raft_check(r);
}

int
raft_ticks_due(const Raft *r)
{
	int due;

	if (r->hibernated)
		return INT_MAX;
	if (r->role == RAFT_LEADER)
	{
		int beat = r->config.heartbeat_ticks - r->heartbeat_elapsed;
		int given_up = r->config.election_ticks - r->transfer_elapsed;
		int left = (int) raft_quorum_ticks_left(r);

		due = r->config.election_ticks - r->election_elapsed;
		due = left < due ? left : due;
		due = beat < due ? beat : due;
		if (r->transferee != RAFT_NONE && given_up < due)
			due = given_up;
	}
	else
		due = r->election_timeout - r->election_elapsed;
	return due > 1 ? due : 1;
}

/* A leader of an earlier term must learn of this one, or it never yields. */
static void
answer_lower_term(Raft *r, const RaftMessage *m)
{
	RaftMessage answer = {.to = m->from};

	if (m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT ||
		m->type == RAFT_MSG_SNAPSHOT)
	{
		answer.type = RAFT_MSG_APPEND_RESPONSE;
		answer.reject = true;
		raft_send(r, &answer);
	}
	else if (m->type == RAFT_MSG_REQUEST_PRE_VOTE && r->quarantine == 0)
	{
		/* a peer that fell behind keeps asking until it sees the term */
		answer.type = RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE;
		answer.reject = true;
		raft_send(r, &answer);
	}
}

static bool
from_leader(RaftMessageType type)
{
	return type == RAFT_MSG_APPEND || type == RAFT_MSG_HEARTBEAT ||
		type == RAFT_MSG_SNAPSHOT;
}

/*
 * Bring the term up to the message's.  False if the message goes no further.
 * Pre-votes speak of a term that nobody has yet.
 */
static bool
settle_term(Raft *r, const RaftMessage *m)
{
	bool vote = m->type == RAFT_MSG_REQUEST_VOTE ||
		m->type == RAFT_MSG_REQUEST_PRE_VOTE;

	if (vote && raft_ignores_vote(r, m))
		return false;
	if (m->term < r->term)
	{
		answer_lower_term(r, m);
		return false;
	}
	if (m->term > r->term && m->type != RAFT_MSG_REQUEST_PRE_VOTE &&
		!(m->type == RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE && !m->reject))
		raft_become_follower(r, m->term,
							 from_leader(m->type) ? m->from : RAFT_NONE);
	return true;
}

/* A message that only the leader of this term sends. */
static Status
step_from_leader(Raft *r, const RaftMessage *m)
{
	if (r->role == RAFT_LEADER ||
		(r->leader != RAFT_NONE && r->leader != m->from))
		return STATUS_CORRUPT;
	if (r->role != RAFT_FOLLOWER || r->leader != m->from)
		raft_become_follower(r, r->term, m->from);
	r->election_elapsed = 0;
	r->contact_elapsed = 0;
	if (m->type == RAFT_MSG_APPEND)
		return raft_handle_append(r, m);
	if (m->type == RAFT_MSG_HEARTBEAT)
		return raft_handle_heartbeat(r, m);
	raft_handle_snapshot(r, m);
	return STATUS_OK;
}

/* A message that only the leader has use for. */
static Status
step_to_leader(Raft *r, const RaftMessage *m)
{
	RaftProgress *p = raft_peer(r, m->from);

	if (r->role != RAFT_LEADER || p == NULL)
		return STATUS_OK;
	if (m->type == RAFT_MSG_APPEND_RESPONSE &&
		(m->index > raft_log_last(&r->log) ||
		 m->reject_hint > raft_log_last(&r->log)))
		return STATUS_INVALID;
	p->recent_active = true;
	p->silent = false;
	p->unheard = 0;
	p->met = true;
	switch (m->type)
	{
		case RAFT_MSG_APPEND_RESPONSE:
			raft_handle_append_response(r, m);
			return STATUS_OK;
		case RAFT_MSG_HEARTBEAT_RESPONSE:
			raft_handle_heartbeat_response(r, m);
			return STATUS_OK;
		default:
			return raft_transfer_leader(r, m->from) == STATUS_OK ?
				STATUS_OK :
				STATUS_UNAVAILABLE;
	}
}

/* A message of this term, to the function that knows its kind. */
static Status
dispatch(Raft *r, const RaftMessage *m)
{
	switch (m->type)
	{
		case RAFT_MSG_APPEND:
		case RAFT_MSG_HEARTBEAT:
		case RAFT_MSG_SNAPSHOT:
			return step_from_leader(r, m);
		case RAFT_MSG_APPEND_RESPONSE:
		case RAFT_MSG_HEARTBEAT_RESPONSE:
		case RAFT_MSG_TRANSFER_LEADER:
			return step_to_leader(r, m);
		case RAFT_MSG_REQUEST_VOTE:
		case RAFT_MSG_REQUEST_PRE_VOTE:
			raft_handle_vote_request(r, m);
			return STATUS_OK;
		case RAFT_MSG_REQUEST_VOTE_RESPONSE:
		case RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE:
			raft_handle_vote_response(r, m);
			return STATUS_OK;
		case RAFT_MSG_TIMEOUT_NOW:
			raft_handle_timeout_now(r, m);
			return STATUS_OK;
		case RAFT_MSG_READ_INDEX:
			return raft_handle_read_index(r, m);
		default:
			return raft_handle_read_answer(r, m);
	}
}

Status
raft_step(Raft *r, const RaftMessage *m, uint64_t now_us)
{
	Status s = raft_check_message(r, m);

	if (s != STATUS_OK)
		return s;
	raft_observe_clock(r, now_us);
	raft_wake(r);
	if (settle_term(r, m))
		s = dispatch(r, m);
	raft_check(r);
	return s;
}
