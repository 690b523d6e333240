/*
 * rollback.c
 *	  KvBatchRollback and KvCleanup (txn-semantics 10).
 *
 * Source: tikv/tikv src/storage/txn/commands/{rollback,cleanup}.rs.
 */
#include "core/txn/command.h"

void
txn_batch_rollback(TxnEnv *env, const BatchRollbackCommand *command,
				   TxnAnswer *answer)
{
	for (size_t i = 0; i < command->n_keys; i++)
	{
		TxnError error;

		if (!txn_may_go_on(env, answer))
			return;
		if (!txn_cleanup_key(env, command->keys[i], command->start_ts, 0, false,
							 &error))
		{
			*txn_add_error(env, answer, error.kind) = error;
			return;
		}
	}
}

void
txn_cleanup(TxnEnv *env, const CleanupCommand *command, TxnAnswer *answer)
{
	TxnError error;

	env->cm->raise_max_ts(env->cm, command->start_ts);
	if (txn_cleanup_key(env, command->key, command->start_ts,
						command->current_ts, true, &error))
		return;
	if (error.kind == TXN_COMMITTED)
		answer->commit_ts = error.commit_ts;
	else
		*txn_add_error(env, answer, error.kind) = error;
}
