/*
 * hand_over.c
 *	  Leaders that keep everybody from writing leave it to another peer.
 *
 * One whose committed entries are held back, since too many deletions of ranges
 * are on their way or a row cannot be read; and one whose disk is short, if that
 * of another store is well: there ordinary writes go on as long as a majority has
 * space (disk_usage.c).  Placement Driver brings no leaders to a store that says
 * that it is busy, as one without space does, so they do not come back by that.
 */
#include "postgres.h"

#include "core/cmd/region_change.h"
#include "store/replicas.h"

/*
 * Orders are so far apart: each ends the region's lease until the other peer
 * leads or the order is given up; and that one may be held back as well, so that
 * it would come back at once.
 */
#define HAND_OVER_REST_US (INT64CONST(10) * 1000 * 1000)

/* The voter that has most of the log, can apply it, and has space for more. */
static const RaftPeerStatus *
best_heir(const Peer *peer, const RaftStatus *status, DiskUsage fullest)
{
	const RaftPeerStatus *best = NULL;

	for (int i = 0; i < status->n_peers; i++)
	{
		const RaftPeerStatus *it = &status->peers[i];
		const RegionPeer *heir = region_find_peer(&peer->region, it->id);

		if (it->id == peer->self.id || it->learner || it->installing ||
			!it->recent_active || it->state != RAFT_REPLICATE || heir == NULL ||
			disk_usage_of(peer->store, heir->store_id) > fullest)
			continue;
		if (best == NULL || it->match > best->match)
			best = it;
	}
	return best;
}

/* False: there is nobody, or it is under way. */
static bool
hand_over(Peer *peer, DiskUsage fullest)
{
	CmdAdmin admin = {.type = CMD_ADMIN_TRANSFER_LEADER};
	RaftStatus *status = arena_alloc(&peer->store->arena, sizeof(*status));
	const RaftPeerStatus *heir;
	const char *why;

	raft_status(peer->raft, status);
	heir = best_heir(peer, status, fullest);
	if (heir == NULL || status->transferee != RAFT_NONE)
		return false;
	admin.transfer_to.id = heir->id;
	return raft_admin_propose(peer, &admin, &why);
}

void
hand_over_tick(Peer *peer, int64 now_us)
{
	bool held;

	if (!peer_is_leader(peer) || now_us < peer->next_hand_over_us)
		return;
	held = raft_holds_apply(peer->raft);
	if ((held || disk_usage_own(peer->store) != DISK_NORMAL) &&
		hand_over(peer, held ? DISK_ALMOST_FULL : DISK_NORMAL))
		peer->next_hand_over_us = now_us + HAND_OVER_REST_US;
}
