/*
 * replicas.c
 *	  Regions and their peers for SQL: the view tikv.raft, of the groups that
 *	  have a peer on this store, as this store sees them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/tuplestore.h"

#include "bus/board.h"
#include "core/raft/raft.h"

PG_FUNCTION_INFO_V1(tikv_raft);

/* ------------------------------------------------------------------ the view */

static const char *
role_name(const BoardRaft *raft, const BoardPeer *peer)
{
	if (peer->peer.id == raft->leader)
		return "leader";
	switch (peer->peer.role)
	{
		case PEER_LEARNER:
			return "learner";
		case PEER_INCOMING_VOTER:
			return "incoming voter";
		case PEER_DEMOTING_VOTER:
			return "demoting voter";
		case PEER_VOTER:
			break;
	}
	if (peer->peer.id == raft->peer_id && raft->role != RAFT_FOLLOWER)
		return "candidate";
	return "follower";
}

static const char *
progress_name(const BoardPeer *peer)
{
	switch (peer->state)
	{
		case RAFT_PROBE:
			return "probe";
		case RAFT_REPLICATE:
			return "replicate";
		case RAFT_SNAPSHOT:
			return "snapshot";
	}
	return NULL;
}

static void
put_peer(ReturnSetInfo *result, const BoardRaft *raft, const BoardPeer *peer)
{
	Datum values[14];
	bool nulls[14] = {false};
	const char *progress = progress_name(peer);
	bool local = peer->peer.id == raft->peer_id;
	uint64 has = local ? raft->last_index : peer->match;
	int64 lease_us = raft->lease_end_us - board_now_us();

	values[0] = Int64GetDatum((int64) raft->region_id);
	values[1] = Int64GetDatum((int64) peer->peer.id);
	values[2] = Int64GetDatum((int64) peer->peer.store_id);
	values[3] = CStringGetTextDatum(role_name(raft, peer));
	values[4] = BoolGetDatum(local);
	values[5] = Int64GetDatum((int64) raft->term);
	values[6] = Int64GetDatum((int64) raft->commit_index);
	values[7] = Int64GetDatum((int64) raft->applied_index);
	values[8] = Int64GetDatum((int64) raft->truncated_index);
	values[9] = Int64GetDatum((int64) has);
	nulls[9] = !local && progress == NULL;
	values[10] =
		Int64GetDatum((int64) (raft->last_index - Min(has, raft->last_index)));
	nulls[10] = nulls[9] || raft->role != RAFT_LEADER;
	nulls[11] = progress == NULL || local;
	if (!nulls[11])
		values[11] = CStringGetTextDatum(peer->active ? progress : "silent");
	nulls[12] = !local || raft->lease_end_us == 0;
	values[12] = Float8GetDatum(raft->lease_end_us == PG_INT64_MAX ?
									get_float8_infinity() :
									(double) Max(lease_us, 0) / 1000);
	nulls[13] = !local;
	values[13] = BoolGetDatum(raft->asleep);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
tikv_raft(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BoardRegion *region = palloc(sizeof(*region));
	BoardWalk *walk = palloc0(sizeof(*walk));
	BoardRaft raft;

	InitMaterializedSRF(fcinfo, 0);
	while (board_walk_next(walk, region))
	{
		if (!board_raft(region->region.id, &raft))
			continue;
		for (int k = 0; k < raft.n_peers; k++)
			put_peer(result, &raft, &raft.peers[k]);
	}
	return (Datum) 0;
}
