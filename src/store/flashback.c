/*
 * flashback.c
 *	  The state of a region while it is set back to an older version.
 *
 * PrepareFlashbackToVersion brings the region into the state, in a turn of its
 * own: when the first lock is rolled back, everybody has seen on the board that
 * nothing newer is served.  The last slice of FlashbackToVersion ends it.  In
 * between only the flashback's own commands write, and reads from before its
 * start_ts go on (core/region).  The state is in the region's row and survives
 * a restart; a client that died is followed by another with the same start_ts.
 * Source: tikv/tikv src/server/service/kv.rs (future_prepare_flashback_to_version,
 * future_flashback_to_version), components/raftstore/src/store/fsm/apply.rs
 * (exec_flashback).
 */
#include "postgres.h"

#include "core/raft/raft.h"
#include "store/txn_turn.h"

/*
 * From here on the turn checks its commands against the new state; an abort
 * restores the old one (peer_restart).
 */
static bool
change_state(Peer *peer, uint64 start_ts)
{
	RaftEntry entry = {.type = RAFT_ENTRY_NORMAL, .payload = peer};
	uint64_t index;
	uint64_t term;

	if (raft_propose(peer->raft, &entry, &index, &term) != STATUS_OK)
		return false;
	peer->region.flashback_start_ts = start_ts;
	peer->region_changed = true;
	peer_touch(peer);
	return true;
}

bool
flashback_enters(Write *write, bool *ok)
{
	FlashbackCommand *command = &write->txn->command.flashback;

	if (write->txn->command.kind != TXN_CMD_FLASHBACK_ROLLBACK_LOCKS ||
		command->entered)
		return false;
	command->entered = true;
	if (write->peer->region.flashback_start_ts == command->start_ts)
		return false; /* by an earlier attempt */
	*ok = change_state(write->peer, command->start_ts);
	write->decided->answer.more = true;
	return true;
}

static void
fail(Store *store, Decided *decided, const TxnError *error)
{
	decided->answer.errors = arena_alloc(&store->arena, sizeof(TxnError));
	decided->answer.errors[0] = *error;
	decided->answer.n_errors = 1;
	decided->answer.more = false;
}

void
flashback_check(Store *store, Write *write)
{
	TxnError error = {.kind = TXN_FLASHBACK_NOT_PREPARED};
	Decided *decided = write->decided;

	if (write->txn->command.kind == TXN_CMD_FLASHBACK_WRITE &&
		write->peer->region.flashback_start_ts == 0 &&
		decided->effects.n_modifies > 0)
		fail(store, decided, &error);
}

/*
 * A repetition of an older flashback, which finds that one finished, does not
 * end another that is under way.
 */
void
flashback_finish(Store *store, Write *write)
{
	TxnError error = {.kind = TXN_ABORT,
					  .text = "raftstore is busy: proposal refused"};
	Decided *decided = write->decided;

	if (write->txn->command.kind == TXN_CMD_FLASHBACK_WRITE &&
		decided->answer.n_errors == 0 && !decided->answer.more &&
		write->peer->region.flashback_start_ts ==
			write->txn->command.flashback.start_ts &&
		!change_state(write->peer, 0))
		fail(store, decided, &error);
}

void
flashback_save(Store *store)
{
	for (int i = 0; i < store->lists[PEERS_TOUCHED].n; i++)
	{
		const Peer *peer = store->lists[PEERS_TOUCHED].peers[i];

		if (!peer->grouped && peer->region_changed)
			region_table_save(&peer->region, peer->self.id, PEER_STATE_NORMAL);
	}
}
