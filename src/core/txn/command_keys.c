/*
 * command_keys.c
 *	  Which keys a command may read to decide, and change.
 */
#include "core/txn/command.h"

static bool
keys_of_mutations(const Mutation *mutations, size_t n, Arena *arena,
				  Bytes **keys, size_t *n_keys)
{
	*keys = arena_alloc(arena, n * sizeof(Bytes));
	*n_keys = n;
	for (size_t i = 0; i < n; i++)
		(*keys)[i] = mutations[i].key;
	return true;
}

static bool
keys_of_list(const Bytes *list, size_t n, Arena *arena, Bytes **keys,
			 size_t *n_keys)
{
	*keys = arena_alloc(arena, n * sizeof(Bytes));
	*n_keys = n;
	if (n > 0)
		memcpy(*keys, list, n * sizeof(Bytes));
	return n > 0;
}

bool
txn_command_keys(const TxnCommand *c, Arena *arena, Bytes **keys, size_t *n)
{
	switch (c->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			return keys_of_mutations(c->prewrite.mutations,
									 c->prewrite.n_mutations, arena, keys, n);
		case TXN_CMD_PESSIMISTIC_LOCK:
			return keys_of_mutations(c->pessimistic_lock.mutations,
									 c->pessimistic_lock.n_mutations, arena,
									 keys, n);
		case TXN_CMD_COMMIT:
			return keys_of_list(c->commit.keys, c->commit.n_keys, arena, keys,
								n);
		case TXN_CMD_BATCH_ROLLBACK:
			return keys_of_list(c->batch_rollback.keys,
								c->batch_rollback.n_keys, arena, keys, n);
		case TXN_CMD_CLEANUP:
			return keys_of_list(&c->cleanup.key, 1, arena, keys, n);
		case TXN_CMD_CHECK_TXN_STATUS:
			return keys_of_list(&c->check_txn_status.primary_key, 1, arena,
								keys, n);
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return keys_of_list(c->check_secondary_locks.keys,
								c->check_secondary_locks.n_keys, arena, keys,
								n);
		case TXN_CMD_RESOLVE_LOCK:
			return keys_of_list(c->resolve_lock.keys, c->resolve_lock.n_keys,
								arena, keys, n);
		case TXN_CMD_TXN_HEART_BEAT:
			return keys_of_list(&c->txn_heart_beat.primary_key, 1, arena, keys,
								n);
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return keys_of_list(c->pessimistic_rollback.keys,
								c->pessimistic_rollback.n_keys, arena, keys, n);
		case TXN_CMD_SCAN_LOCK:
		case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
		case TXN_CMD_FLASHBACK_WRITE:
		case TXN_CMD_DELETE_RANGE:
		case TXN_CMD_GC:
			return false;
	}
	return false;
}
