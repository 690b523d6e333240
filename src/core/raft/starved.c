/*
 * starved.c
 *	  Peers without disk space for a longer log.
 *
 * They take what needs next to none: the first entry of a leader's term, without
 * which it could not even serve reads, and changes of the configuration, which
 * bring in others in their place.  The rest is not sent to them, and not lost:
 * the leader goes on when they say that they have space.  As in tikv/tikv
 * components/raftstore/src/store/fsm/peer.rs, which drops appends with data on
 * a disk that is already full.
 */
#include "core/raft/raft_internal.h"

static bool
is_bare(const RaftEntry *e)
{
	return e->type != RAFT_ENTRY_NORMAL || e->data.len == 0;
}

int
raft_bare_entries(const RaftEntry *entries, int n)
{
	int bare = 0;

	while (bare < n && is_bare(&entries[bare]))
		bare++;
	return bare;
}

void
raft_note_starved(Raft *r, uint64_t id, bool on)
{
	RaftProgress *p = raft_peer(r, id);

	if (p != NULL)
		p->starved = on;
}

static int
takes_first_entry(const void *arg, uint64_t id)
{
	const Raft *r = arg;
	const RaftProgress *p = raft_peer(r, id);

	return id == r->config.id || p == NULL || !p->starved ||
			p->match == raft_log_last(&r->log) ?
		1 :
		-1;
}

bool
raft_permits_new_leader(const Raft *r)
{
	return raft_joint_vote(&r->conf, takes_first_entry, r) == RAFT_VOTE_WON;
}
