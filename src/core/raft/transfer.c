/*
 * transfer.c
 *	  Handing leadership to another voter (Raft thesis 3.10).
 *
 * Proposals stop, the target is brought up to date, then told to campaign at
 * once.  If no new leader has shown up within an election timeout the old one
 * carries on, in a new lease generation (lease.c).
 */
#include "core/raft/raft_internal.h"

/*
 * Give up: the order may still be under way, so answers to heartbeats sent so
 * far no longer count for the lease.
 */
void
raft_abort_transfer(Raft *r)
{
	if (r->transferee == RAFT_NONE)
		return;
	r->transferee = RAFT_NONE;
	r->generation++;
	raft_lease_reset(r);
	r->round_wanted = true;
}

/* The target may be up to date now: tell it. */
void
raft_transfer_progress(Raft *r, const RaftProgress *p)
{
	RaftMessage m = {.type = RAFT_MSG_TIMEOUT_NOW, .to = p->id};
	uint8_t context[8];

	if (r->transferee != p->id || p->match != raft_log_last(&r->log))
		return;
	raft_put_u64(context, r->generation);
	m.context = bytes_make(context, sizeof(context));
	raft_send(r, &m);
}

/*
 * UNAVAILABLE: the target is no other voter, is silent, has a snapshot before
 * it or no disk space, or no majority would take its first entry.  Nothing is
 * proposed until it leads, or has not come to lead within an election timeout.
 * Source: tikv/tikv components/raftstore/src/store/peer.rs
 * (ready_to_transfer_leader).
 */
Status
raft_transfer_leader(Raft *r, uint64_t to)
{
	RaftProgress *p = raft_peer(r, to);

	if (r->role != RAFT_LEADER)
		return STATUS_NOT_LEADER;
	if (p == NULL || to == r->config.id || !raft_is_voter(r, to) || p->silent ||
		p->installing || p->state == RAFT_SNAPSHOT || p->starved ||
		!raft_permits_new_leader(r))
		return STATUS_UNAVAILABLE;
	raft_wake(r);
	if (r->transferee == to)
		return STATUS_OK;
	raft_abort_transfer(r);
	r->transferee = to;
	r->transfer_elapsed = 0;
	p->want_append = true;
	raft_transfer_progress(r, p);
	return STATUS_OK;
}
