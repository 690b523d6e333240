/*
 * status.c
 *	  What a driver can ask about a group, and hibernation.
 */
#include "core/raft/raft_internal.h"

RaftRole
raft_role(const Raft *r)
{
	return r->role;
}

uint64_t
raft_term(const Raft *r)
{
	return r->term;
}

uint64_t
raft_leader(const Raft *r)
{
	return r->leader;
}

bool
raft_hears_leader(const Raft *r)
{
	return r->leader != RAFT_NONE &&
		(r->role == RAFT_LEADER ||
		 r->contact_elapsed <= r->config.election_ticks);
}

uint64_t
raft_applied_index(const Raft *r)
{
	return r->log.applied;
}

uint64_t
raft_last_index(const Raft *r)
{
	return raft_log_last(&r->log);
}

void
raft_conf(const Raft *r, RaftConfState *out)
{
	*out = r->conf;
}

Status
raft_term_at(const Raft *r, uint64_t index, uint64_t *term)
{
	return raft_log_term(&r->log, index, term);
}

static void
peer_status(const Raft *r, const RaftProgress *p, RaftPeerStatus *out)
{
	out->id = p->id;
	out->match = p->match;
	out->next = p->next;
	out->state = p->state;
	out->learner = !raft_is_voter(r, p->id);
	out->recent_active = p->recent_active || p->id == r->config.id;
	out->silent = p->silent;
	out->heard = p->id == r->config.id || raft_progress_heard(p);
	out->paused = p->paused || p->state == RAFT_SNAPSHOT;
	out->installing = p->installing;
	out->pending_snapshot = p->pending_snapshot;
	out->inflight_msgs = p->inflights.n;
	out->inflight_bytes = p->inflights.bytes;
}

void
raft_status(const Raft *r, RaftStatus *out)
{
	memset(out, 0, sizeof(*out));
	out->id = r->config.id;
	out->hard_state = (RaftHardState){r->term, r->vote, r->log.commit};
	out->role = r->role;
	out->leader = r->leader;
	out->transferee = r->transferee;
	out->applied_index = r->log.applied;
	out->applied_term = r->log.applied_term;
	out->truncated_index = r->log.truncated_index;
	out->truncated_term = r->log.truncated_term;
	out->last_index = raft_log_last(&r->log);
	out->last_term = raft_log_last_term(&r->log);
	out->stored_index = r->log.stored;
	out->persisted_index = r->log.persisted;
	out->pending_conf_index = r->pending_conf_index;
	out->conf = r->conf;
	out->pending_reads = r->n_reads;
	out->memory_bytes = r->log.bytes;
	out->dropped_msgs = r->dropped_msgs;
	out->hibernated = r->hibernated;
	if (r->role != RAFT_LEADER)
		return;
	for (int i = 0; i < r->n_peers; i++)
		peer_status(r, &r->peers[i], &out->peers[out->n_peers++]);
}

static bool
peers_even(const Raft *r)
{
	for (int i = 0; i < r->n_peers; i++)
		if (r->peers[i].id != r->config.id &&
			(r->peers[i].match < raft_log_last(&r->log) ||
			 r->peers[i].installing))
			return false;
	return true;
}

/*
 * Is everything done here, and on a leader also known to be done everywhere?
 * The driver asks the peers before it lets a group sleep.
 */
bool
raft_can_hibernate(const Raft *r)
{
	uint64_t last = raft_log_last(&r->log);

	if (r->log.ready_out || r->leader == RAFT_NONE || r->log.applied < last ||
		r->log.persisted < last || r->quarantine > 0 ||
		raft_uninstalled_snapshot(r) != 0 || raft_conf_is_joint(&r->conf) ||
		raft_has_ready(r))
		return false;
	if (r->role != RAFT_LEADER)
		return r->role == RAFT_FOLLOWER;
	return r->transferee == RAFT_NONE && r->n_reads == 0 && peers_even(r);
}

size_t
raft_cached_bytes(const Raft *r)
{
	return r->log.bytes - r->log.unstored_bytes;
}

void
raft_give_back(Raft *r, size_t cached_bytes)
{
	CHECK(!r->log.ready_out);
	raft_log_release(&r->log, 0, cached_bytes + r->log.unstored_bytes);
}

/* Room for elements of which there are none is given back. */
static void *
trim(const Raft *r, void *array, int n, int *cap)
{
	if (n > 0 || array == NULL)
		return array;
	raft_alloc_free(r, array);
	*cap = 0;
	return NULL;
}

/* Time stops for this group, and its memory is given back. */
void
raft_hibernate(Raft *r)
{
	r->hibernated = true;
	raft_log_release(&r->log, r->log.applied + 1, 0);
	raft_log_trim(&r->log, 0);
	raft_log_trim_records(&r->log);
	r->msgs = trim(r, r->msgs, r->n_msgs, &r->cap_msgs);
	r->reads = trim(r, r->reads, r->n_reads, &r->cap_reads);
	r->read_states =
		trim(r, r->read_states, r->n_read_states, &r->cap_read_states);
	for (int i = 0; i < r->n_peers; i++)
	{
		RaftInflights *f = &r->peers[i].inflights;

		f->ring = trim(r, f->ring, f->n, &f->cap);
	}
}

/*
 * Time goes on, with a full election timeout for everybody.  A leader makes
 * itself heard at once.
 */
void
raft_wake(Raft *r)
{
	if (!r->hibernated)
		return;
	r->hibernated = false;
	r->election_elapsed = 0;
	r->heartbeat_elapsed = 0;
	for (int i = 0; i < r->n_peers; i++)
		r->peers[i].unheard = 0;
	if (r->role == RAFT_LEADER)
		r->round_wanted = r->n_peers > 1;
}

void
raft_wake_orphan(Raft *r)
{
	if (!r->hibernated || r->role == RAFT_LEADER)
		return;
	raft_wake(r);
	r->contact_elapsed = r->config.election_ticks + 1;
	r->election_elapsed = r->config.election_ticks;
}
