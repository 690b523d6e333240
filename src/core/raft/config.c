/*
 * config.c
 *	  Proposing and applying conf changes, and what a new configuration means
 *	  for the peers a leader tracks.
 *
 * A change takes effect when it is applied; at most one may be unapplied.  A
 * joint configuration entered with auto leave is left by the leader as soon as
 * entering it is applied.
 */
#include "core/raft/raft_internal.h"

uint64_t
raft_peer_match(const void *r, uint64_t id)
{
	const RaftProgress *p = raft_peer(r, id);

	return p == NULL ? 0 : p->match;
}

uint64_t
raft_peer_round(const void *r, uint64_t id)
{
	const RaftProgress *p = raft_peer(r, id);

	if (p == NULL)
		return 0;
	return id == ((const Raft *) r)->config.id ? ((const Raft *) r)->round :
												 p->acked_round;
}

int
raft_peer_vote(const void *r, uint64_t id)
{
	const RaftProgress *p = raft_peer(r, id);

	return p == NULL ? 0 : p->vote;
}

/* Of the election timeout since it was heard of. */
uint64_t
raft_peer_ticks_left(const void *arg, uint64_t id)
{
	const Raft *r = arg;
	const RaftProgress *p = raft_peer(r, id);
	int timeout = r->config.election_ticks;

	if (id == r->config.id)
		return (uint64_t) timeout;
	return p != NULL && p->unheard < timeout ?
		(uint64_t) (timeout - p->unheard) :
		0;
}

/* Keep what is known of peers that stay; newcomers are probed from the end. */
static void
rebuild_peers(Raft *r)
{
	RaftIdSet members;
	RaftProgress *old = r->peers;
	int n_old = r->n_peers;
	RaftProgress *peers = NULL;

	raft_conf_members(&r->conf, &members);
	if (members.n > 0)
		peers = r->alloc.alloc(r->alloc.arg,
							   (size_t) members.n * sizeof(RaftProgress));
	for (int i = 0; i < members.n; i++)
	{
		RaftProgress *known = raft_peer(r, members.id[i]);

		if (known != NULL)
		{
			peers[i] = *known;
			known->inflights.ring = NULL;
			continue;
		}
		memset(&peers[i], 0, sizeof(RaftProgress));
		peers[i].id = members.id[i];
		raft_progress_reset(&peers[i], raft_log_last(&r->log) + 1);
		/* it gets a full interval before it counts as silent */
		peers[i].recent_active = true;
		peers[i].want_append = true;
	}
	for (int i = 0; i < n_old; i++)
		if (old[i].inflights.ring != NULL)
			raft_alloc_free(r, old[i].inflights.ring);
	if (old != NULL)
		raft_alloc_free(r, old);
	r->peers = peers;
	r->n_peers = members.n;
}

/*
 * The configuration is `conf` from here on.  A leader that is no voter any
 * more steps down; else a smaller quorum may have committed more, or answered
 * a round.
 */
void
raft_switch_conf(Raft *r, const RaftConfState *conf)
{
	r->conf = *conf;
	rebuild_peers(r);
	if (r->role != RAFT_LEADER)
		return;
	if (!raft_is_voter(r, r->config.id))
	{
		raft_become_follower(r, r->term, RAFT_NONE);
		return;
	}
	if (r->transferee != RAFT_NONE && !raft_is_voter(r, r->transferee))
		raft_abort_transfer(r);
	r->round_wanted = r->n_peers > 1;
	raft_commit_advance(r);
	raft_rounds_advance(r);
}

Status
raft_check_conf_change(const Raft *r, const RaftConfChange *cc,
					   RaftConfState *result)
{
	return raft_conf_changed(&r->conf, cc, result);
}

/* Up to where a peer could go on by itself, were it alone: 0: nowhere. */
static uint64_t
installed_match(const void *r, uint64_t id)
{
	const RaftProgress *p = raft_peer(r, id);

	return p == NULL || p->installing ? 0 : p->match;
}

/* Whoever becomes a voter was a learner, and has its data. */
static bool
promotes_without_data(const Raft *r, const RaftConfState *after)
{
	for (int i = 0; i < after->voters.n; i++)
	{
		uint64_t id = after->voters.id[i];
		uint64_t match = installed_match(r, id);

		if (!raft_is_voter(r, id) &&
			(match == 0 || match < r->log.truncated_index))
			return true;
	}
	return false;
}

/*
 * The first is what PD does not order, and tikv_add_peer orders by itself; the
 * second is what a leader of TiKV refuses, unless it is the only voter.
 * Sources: tikv/pd pkg/schedule/operator/builder.go (AddLearner before
 * PromoteLearner), tikv/tikv components/raftstore/src/store/peer.rs
 * (check_conf_change).
 */
Status
raft_check_conf_change_safe(const Raft *r, const RaftConfChange *cc)
{
	bool singleton = r->conf.voters.n == 1 && !raft_conf_is_joint(&r->conf);
	RaftConfState after;

	if (raft_conf_changed(&r->conf, cc, &after) != STATUS_OK)
		return STATUS_INVALID;
	if (promotes_without_data(r, &after))
		return STATUS_UNAVAILABLE;
	if (!singleton &&
		raft_joint_acked(&after, installed_match, r) < r->log.truncated_index)
		return STATUS_UNAVAILABLE;
	return STATUS_OK;
}

/* As a vote: does it live, as far as is known? */
static int
peer_heard(const void *r, uint64_t id)
{
	const RaftProgress *p = raft_peer(r, id);

	if (id == ((const Raft *) r)->config.id)
		return 1;
	return p != NULL && !p->silent ? 1 : -1;
}

static bool
same_voters(const RaftConfState *before, const RaftConfState *after)
{
	if (raft_conf_is_joint(after) || before->voters.n != after->voters.n)
		return false;
	for (int i = 0; i < after->voters.n; i++)
		if (!raft_set_has(&before->voters, after->voters.id[i]))
			return false;
	return true;
}

/*
 * A majority that lives commits the change, and the voters after it may be
 * others: nothing would ever be committed again.  Learners change nobody's
 * chances, and a joint configuration is left with the voters it has.
 */
Status
raft_check_conf_change_alive(const Raft *r, const RaftConfChange *cc)
{
	RaftConfState after;

	if (raft_conf_changed(&r->conf, cc, &after) != STATUS_OK)
		return STATUS_INVALID;
	if (same_voters(&r->conf, &after) ||
		raft_joint_vote(&after, peer_heard, r) == RAFT_VOTE_WON)
		return STATUS_OK;
	return STATUS_UNAVAILABLE;
}

Status
raft_propose_conf_change(Raft *r, const RaftConfChange *cc, const RaftEntry *e,
						 uint64_t *index, uint64_t *term)
{
	RaftConfState result;
	Status s;

	if (r->role != RAFT_LEADER)
		return STATUS_NOT_LEADER;
	if (e->type == RAFT_ENTRY_NORMAL || e->payload != NULL)
		return STATUS_INVALID;
	if (r->pending_conf_index > r->log.applied)
		return STATUS_BUSY;
	if (raft_conf_changed(&r->conf, cc, &result) != STATUS_OK)
		return STATUS_INVALID;
	s = raft_propose(r, e, index, term);
	if (s == STATUS_OK)
		r->pending_conf_index = *index;
	return s;
}

Status
raft_apply_conf_change(Raft *r, const RaftConfChange *cc, RaftConfState *result)
{
	RaftConfState conf;

	if (raft_conf_changed(&r->conf, cc, &conf) != STATUS_OK)
		return STATUS_INVALID;
	raft_switch_conf(r, &conf);
	*result = conf;
	return STATUS_OK;
}

/* Called when more has been applied: is it time to leave a joint conf? */
void
raft_auto_leave(Raft *r)
{
	RaftEntry leave = {.type = RAFT_ENTRY_CONF_CHANGE_V2};

	if (r->role != RAFT_LEADER || !r->conf.auto_leave ||
		r->pending_conf_index > r->log.applied)
		return;
	raft_append_own(r, &leave);
	r->pending_conf_index = raft_log_last(&r->log);
}

bool
raft_is_sole(const Raft *r)
{
	return r->n_peers == 1 && r->conf.voters.n == 1 &&
		r->conf.voters.id[0] == r->config.id && r->log.snapshot == NULL;
}

bool
raft_takes_payload(const Raft *r)
{
	return r->role == RAFT_LEADER && raft_is_sole(r) &&
		r->pending_conf_index <= r->log.applied;
}
