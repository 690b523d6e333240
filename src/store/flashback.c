/*
 * flashback.c
 *	  The state of a region while it is set back to an older version.
 *
 * PrepareFlashbackToVersion brings the region into the state, in a turn of its
 * own: when the first lock is rolled back, everybody has seen on the board that
 * nothing newer is served.  The last slice of FlashbackToVersion ends it.  In
 * between only the flashback's own commands write, and reads from before its
 * start_ts go on (core/region).  The state is in the region's row, in groups
 * with several peers that of every replica, and survives a restart; a client
 * that died is followed by another, with the same start_ts or one of its own.
 * Source: tikv/tikv src/server/service/kv.rs (future_prepare_flashback_to_version,
 * future_flashback_to_version), components/raftstore/src/store/fsm/apply.rs
 * (exec_flashback).
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/failpoints.h"
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

static void
fail(Write *write, const TxnError *error)
{
	Decided *decided = write->decided;

	decided->answer.errors =
		arena_alloc(write->request->arena, sizeof(TxnError));
	decided->answer.errors[0] = *error;
	decided->answer.n_errors = 1;
	decided->answer.more = false;
}

/*
 * What was there at the version may be collected, and would be taken for never
 * written: the flashback would delete it.  In the state nothing is collected.
 */
bool
flashback_is_too_late(Write *write)
{
	const FlashbackCommand *command = &write->txn->command.flashback;
	uint64 safe_point = board_gc_safe_point();
	TxnError error = {.kind = TXN_ABORT};

	if (write->txn->command.kind != TXN_CMD_FLASHBACK_ROLLBACK_LOCKS ||
		command->version >= safe_point ||
		write->peer->region.flashback_start_ts == command->start_ts)
		return false;
	error.text =
		txn_collected_text(command->version, safe_point, write->request->arena);
	fail(write, &error);
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

/*
 * Of groups with several peers: the state is set and ended by entries of the
 * log (raft_cmdpb PrepareFlashback, FinishFlashback), each of which is a step of
 * its own of the request.  Nobody else's command is between deciding and
 * applying then, since this one is alone in its region (raft_write.c).
 */
bool
flashback_next_admin(Write *write, CmdAdmin *admin)
{
	TxnCommand *command = &write->txn->command;
	FlashbackCommand *flashback = &command->flashback;

	memset(admin, 0, sizeof(*admin));
	if (command->kind == TXN_CMD_FLASHBACK_ROLLBACK_LOCKS &&
		!flashback->entered)
	{
		flashback->entered = true;
		admin->type = CMD_ADMIN_PREPARE_FLASHBACK;
		admin->flashback_start_ts = flashback->start_ts;
		write->decided->answer.more = true;
		FAILPOINT("store_flashback_prepare");
		return write->peer->region.flashback_start_ts != flashback->start_ts;
	}
	admin->type = CMD_ADMIN_FINISH_FLASHBACK;
	return command->kind == TXN_CMD_FLASHBACK_WRITE && flashback->finishing;
}

void
flashback_note_last(Write *write)
{
	FlashbackCommand *flashback = &write->txn->command.flashback;
	TxnAnswer *answer = &write->decided->answer;

	if (write->txn->command.kind != TXN_CMD_FLASHBACK_WRITE ||
		answer->n_errors > 0 || answer->more ||
		write->peer->region.flashback_start_ts != flashback->start_ts)
		return;
	flashback->finishing = true;
	answer->more = true;
	FAILPOINT("store_flashback_last");
}

void
flashback_check(Write *write)
{
	TxnError error = {.kind = TXN_FLASHBACK_NOT_PREPARED};
	Decided *decided = write->decided;

	if (write->txn->command.kind == TXN_CMD_FLASHBACK_WRITE &&
		write->peer->region.flashback_start_ts == 0 &&
		decided->effects.n_modifies > 0)
		fail(write, &error);
}

/*
 * A repetition of an older flashback, which finds that one finished, does not
 * end another that is under way.
 */
void
flashback_finish(Write *write)
{
	TxnError error = {.kind = TXN_ABORT,
					  .text = "raftstore is busy: proposal refused"};
	Decided *decided = write->decided;

	if (write->txn->command.kind == TXN_CMD_FLASHBACK_WRITE &&
		decided->answer.n_errors == 0 && !decided->answer.more &&
		write->peer->region.flashback_start_ts ==
			write->txn->command.flashback.start_ts &&
		!change_state(write->peer, 0))
		fail(write, &error);
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
