/*
 * raft_show.c
 *	  What people may know of Raft groups: tikv.raft, tikv.regions.
 */
#include "postgres.h"

#include "store/replicas.h"

/* Groups that are told of in one second. */
#define SHOWN_AT_ONCE 2000

static void
fill_people(const Peer *peer, const RaftStatus *status, BoardRaft *out)
{
	memset(out, 0, sizeof(*out));
	out->region_id = peer->region.id;
	out->peer_id = peer->self.id;
	out->role = (int) status->role;
	out->term = status->hard_state.term;
	out->leader = status->leader;
	out->last_index = status->last_index;
	out->commit_index = status->hard_state.commit;
	out->applied_index = status->applied_index;
	out->truncated_index = status->truncated_index;
	out->lease_end_us =
		(int64) Min(raft_lease_end_us(peer->raft), (uint64) PG_INT64_MAX);
	out->has_log = peer->grouped;
	out->asleep = peer->sleep.asleep;
	region_size_told(peer, &out->approximate_size, &out->approximate_keys);
	out->n_peers = peer->region.n_peers;
	for (int i = 0; i < peer->region.n_peers; i++)
	{
		out->peers[i].peer = peer->region.peers[i];
		out->peers[i].state = -1;
		for (int k = 0; k < status->n_peers; k++)
			if (status->peers[k].id == peer->region.peers[i].id)
			{
				out->peers[i].match = status->peers[k].match;
				out->peers[i].state = status->peers[k].installing ?
					RAFT_SNAPSHOT :
					(int) status->peers[k].state;
				out->peers[i].active = !status->peers[k].silent;
			}
	}
}

static void
show(Peer *peer, RaftStatus *status, BoardRaft *raft)
{
	raft_status(peer->raft, status);
	fill_people(peer, status, raft);
	board_publish_raft(raft);
}

/*
 * What people may know of groups, once a second: of those that are awake, and
 * of others when something has changed.  Many at once, as at a start, take
 * some seconds.
 */
void
raft_tell_people(Store *store)
{
	RaftStatus *status = palloc(sizeof(RaftStatus));
	BoardRaft *raft = palloc(sizeof(BoardRaft));
	const PeerList *awake = &store->lists[PEERS_AWAKE];
	const PeerList *shown = &store->lists[PEERS_SHOWN];
	int n;

	for (int i = 0; i < Min(awake->n, SHOWN_AT_ONCE); i++)
		peer_list_add(awake->peers[i], PEERS_SHOWN);
	n = Min(shown->n, 2 * SHOWN_AT_ONCE);
	while (n-- > 0)
	{
		Peer *peer = shown->peers[0];

		show(peer, status, raft);
		peer_list_remove(peer, PEERS_SHOWN);
	}
	pfree(status);
	pfree(raft);
}
