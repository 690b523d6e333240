/*
 * execute.c
 *	  Which function carries a command out, and which commands walk ranges.
 */
#include "core/base/check.h"
#include "core/txn/command.h"

void
txn_execute(TxnEnv *env, TxnCommand *command, TxnAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
			txn_prewrite(env, &command->prewrite, answer);
			break;
		case TXN_CMD_COMMIT:
			txn_commit(env, &command->commit, answer);
			break;
		case TXN_CMD_BATCH_ROLLBACK:
			txn_batch_rollback(env, &command->batch_rollback, answer);
			break;
		case TXN_CMD_CLEANUP:
			txn_cleanup(env, &command->cleanup, answer);
			break;
		case TXN_CMD_CHECK_TXN_STATUS:
			txn_check_txn_status(env, &command->check_txn_status, answer);
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			txn_check_secondary_locks(env, &command->check_secondary_locks,
									  answer);
			break;
		case TXN_CMD_RESOLVE_LOCK:
			txn_resolve_lock(env, &command->resolve_lock, answer);
			break;
		case TXN_CMD_TXN_HEART_BEAT:
			txn_heart_beat(env, &command->txn_heart_beat, answer);
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			txn_pessimistic_lock(env, &command->pessimistic_lock, answer);
			break;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			txn_pessimistic_rollback(env, &command->pessimistic_rollback,
									 answer);
			break;
		case TXN_CMD_SCAN_LOCK:
			txn_scan_lock(env, &command->scan_lock, answer);
			break;
		case TXN_CMD_FLUSH:
			txn_flush(env, &command->prewrite, answer);
			break;
		case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
			txn_flashback_rollback_locks(env, &command->flashback, answer);
			break;
		case TXN_CMD_FLASHBACK_WRITE:
			txn_flashback_write(env, &command->flashback, answer);
			break;
		case TXN_CMD_DELETE_RANGE:
			txn_delete_range(env, &command->delete_range, answer);
			break;
		case TXN_CMD_GC:
			txn_gc(env, &command->gc, answer);
			break;
	}
}

void
txn_command_keep(TxnCommand *command, Arena *arena)
{
	Bytes *cursor = NULL;

	switch (command->kind)
	{
		case TXN_CMD_RESOLVE_LOCK:
			cursor = &command->resolve_lock.cursor;
			break;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			cursor = &command->pessimistic_rollback.cursor;
			break;
		case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
		case TXN_CMD_FLASHBACK_WRITE:
			cursor = &command->flashback.cursor;
			command->flashback.first_key =
				arena_copy(arena, command->flashback.first_key);
			break;
		case TXN_CMD_DELETE_RANGE:
			cursor = &command->delete_range.cursor;
			break;
		case TXN_CMD_GC:
			cursor = &command->gc.cursor;
			break;
		default:
			CHECK(false);
	}
	*cursor = arena_copy(arena, *cursor);
}

bool
txn_needs_clean_overlay(const TxnCommand *command)
{
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_COMMIT:
		case TXN_CMD_BATCH_ROLLBACK:
		case TXN_CMD_CLEANUP:
		case TXN_CMD_CHECK_TXN_STATUS:
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
		case TXN_CMD_TXN_HEART_BEAT:
		case TXN_CMD_PESSIMISTIC_LOCK:
		case TXN_CMD_FLUSH:
			return false;
		case TXN_CMD_RESOLVE_LOCK:
			return command->resolve_lock.n_keys == 0;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return command->pessimistic_rollback.n_keys == 0;
		case TXN_CMD_SCAN_LOCK:
		case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
		case TXN_CMD_FLASHBACK_WRITE:
		case TXN_CMD_DELETE_RANGE:
		case TXN_CMD_GC:
			return true;
	}
	return true;
}
