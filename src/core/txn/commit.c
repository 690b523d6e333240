/*
 * commit.c
 *	  KvCommit: prewritten locks become Write records (txn-semantics 9).
 *
 * Source: tikv/tikv src/storage/txn/actions/commit.rs,
 * src/storage/txn/commands/commit.rs.
 */
#include "core/txn/command.h"

void
txn_commit(TxnEnv *env, const CommitCommand *command, TxnAnswer *answer)
{
	if (command->commit_ts <= command->start_ts)
	{
		TxnError *error = txn_add_error(env, answer, TXN_INVALID_TXN_TSO);

		error->start_ts = command->start_ts;
		error->commit_ts = command->commit_ts;
		return;
	}
	/* A key that is named twice has the same effects twice. */
	for (size_t i = 0; i < command->n_keys; i++)
	{
		TxnError error;

		if (!txn_may_go_on(env, answer))
			return;
		if (!txn_commit_key(env, command->keys[i], command->start_ts,
							command->commit_ts, &error))
		{
			*txn_add_error(env, answer, error.kind) = error;
			return;
		}
	}
	effects_know(env->effects, command->start_ts, command->commit_ts);
	answer->commit_ts = command->commit_ts;
}
