/*
 * lease.c
 *	  Heartbeat rounds, and the lease that answered ones give.
 *
 * Each broadcast of heartbeats is a numbered round whose number comes back in
 * the answers.  The newest round that a quorum has answered proves two things:
 * this peer was the leader after the round began, which answers reads
 * (read.c); and for one election timeout from then on that quorum votes for
 * nobody else, which is the lease.  It is counted from before sending.
 *
 * Handing over leadership breaks that promise by order, so a leader has no
 * lease from the start of a transfer.  If it gives the transfer up, it starts
 * a new generation: peers that answered a heartbeat of a newer generation no
 * longer obey the old order, and only such answers renew the lease.
 */
#include "core/raft/raft_internal.h"

void
raft_lease_reset(Raft *r)
{
	r->lease_started = false;
	r->n_rounds = 0;
}

/* A heartbeat round begins now; replicate.c sends it. */
void
raft_begin_round(Raft *r)
{
	r->round++;
	r->round_wanted = false;
	raft_reads_join_round(r);

	/*
	 * When many rounds are under way this one goes unrecorded: its answers
	 * then count for the recorded ones before it.
	 */
	if (r->n_rounds < RAFT_ROUNDS)
	{
		int at = (r->rounds_head + r->n_rounds++) % RAFT_ROUNDS;

		r->rounds[at].round = r->round;
		r->rounds[at].sent_us = r->now_us;
	}
	raft_rounds_advance(r);
}

/* What has a quorum answered by now? */
void
raft_rounds_advance(Raft *r)
{
	uint64_t acked = raft_joint_acked(&r->conf, raft_peer_round, r);

	CHECK(acked <= r->round);
	while (r->n_rounds > 0 && r->rounds[r->rounds_head].round <= acked)
	{
		r->lease_start_us = r->rounds[r->rounds_head].sent_us;
#ifdef RAFT_MUTATION_LEASE_FROM_ANSWER
		r->lease_start_us = r->now_us;
#endif
		r->lease_started = true;
		r->rounds_head = (r->rounds_head + 1) % RAFT_ROUNDS;
		r->n_rounds--;
	}
	raft_reads_done(r, acked);
}

void
raft_round_acked(Raft *r, RaftProgress *p, uint64_t round)
{
	if (round > r->round || round <= p->acked_round)
		return;
	p->acked_round = round;
	raft_rounds_advance(r);
}

/* Of a leader. */
bool
raft_committed_own_term(const Raft *r)
{
	return r->log.commit >= r->first_own;
}

static bool
lease_allowed(const Raft *r)
{
	if (r->role != RAFT_LEADER || r->lease_suspended ||
		r->config.lease_us == 0 || r->log.applied_term != r->term)
		return false;
#ifndef RAFT_MUTATION_KEEP_LEASE_ON_TRANSFER
	if (r->transferee != RAFT_NONE)
		return false;
#endif
	return true;
}

uint64_t
raft_lease_end_us(const Raft *r)
{
	if (!lease_allowed(r))
		return 0;
	if (raft_is_sole(r))
		return r->pending_conf_index > r->log.applied ? 0 : UINT64_MAX;
	return r->lease_started ? r->lease_start_us + r->config.lease_us : 0;
}

void
raft_lease_suspend(Raft *r, bool on)
{
	r->lease_suspended = on;
}
