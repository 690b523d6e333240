/*
 * invariant.c
 *	  What holds of a peer whenever nothing of the core is running.
 *
 * Looked at after every step, tick, ready and advance: a peer that has lost
 * its way stops here, before it tells others.  Cheap: no storage is read.
 */
#include "core/raft/raft_internal.h"

static void
check_peer(const Raft *r, const RaftProgress *p)
{
	uint64_t last = raft_log_last(&r->log);

	CHECK(p->match < p->next && p->next <= last + 1);
	CHECK(p->acked_round <= r->round);
	CHECK(p->state == RAFT_SNAPSHOT || p->pending_snapshot == 0);
	CHECK(p->inflights.n <= r->config.max_inflight_msgs);
	CHECK(p->state == RAFT_REPLICATE || p->inflights.n == 0);
}

static void
check_leader(const Raft *r)
{
	CHECK(r->leader == r->config.id && raft_is_voter(r, r->config.id));
	CHECK(r->log.snapshot == NULL && r->snapshot_out == 0);
	CHECK(r->transferee == RAFT_NONE || raft_is_voter(r, r->transferee));
	for (int i = 0; i < r->n_peers; i++)
		check_peer(r, &r->peers[i]);
}

void
raft_check(const Raft *r)
{
	raft_log_check(&r->log);
	CHECK(r->saved.term <= r->term && r->saved.commit <= r->log.commit);
	CHECK(r->log.persisted_term <= r->term);
	CHECK(r->advanced_number + (r->log.ready_out ? 1 : 0) == r->ready_number);
	CHECK(r->n_reads + r->n_msgs + r->n_read_states > 0 || r->read_bytes == 0);
	if (r->role == RAFT_LEADER)
	{
		check_leader(r);
		return;
	}
	CHECK(r->leader != r->config.id && r->n_reads == 0 &&
		  r->transferee == RAFT_NONE);
	if (r->role != RAFT_FOLLOWER)
		CHECK(r->leader == RAFT_NONE && raft_is_voter(r, r->config.id) &&
			  r->log.snapshot == NULL);
	if (r->role == RAFT_CANDIDATE)
		CHECK(r->vote == r->config.id);
}
