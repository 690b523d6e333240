/*
 * txn_client.c
 *	  Commands -> kvrpcpb requests, for whoever is a client.
 *
 * The mirror of txn_decode.c.
 */
#include "service/txn_client.h"

#include "core/base/check.h"
#include "service/service.h"

static ProtobufCBinaryData
to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

static ProtobufCBinaryData *
to_wire_list(const Bytes *keys, size_t n, Arena *arena)
{
	ProtobufCBinaryData *out = arena_alloc(arena, n * sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = to_wire(keys[i]);
	return out;
}

static Kvrpcpb__Mutation **
mutation_messages(const Mutation *mutations, size_t n, Arena *arena)
{
	Kvrpcpb__Mutation *messages = arena_alloc(arena, n * sizeof(*messages));
	Kvrpcpb__Mutation **out = arena_alloc(arena, n * sizeof(*out));

	for (size_t i = 0; i < n; i++)
	{
		kvrpcpb__mutation__init(&messages[i]);
		messages[i].op = (Kvrpcpb__Op) mutations[i].op;
		messages[i].key = to_wire(mutations[i].key);
		messages[i].value = to_wire(mutations[i].value);
		messages[i].assertion = (Kvrpcpb__Assertion) mutations[i].assertion;
		out[i] = &messages[i];
	}
	return out;
}

int
txn_client_method(TxnCommandKind kind)
{
	switch (kind)
	{
		case TXN_CMD_PREWRITE:
			return METHOD_KV_PREWRITE;
		case TXN_CMD_COMMIT:
			return METHOD_KV_COMMIT;
		case TXN_CMD_BATCH_ROLLBACK:
			return METHOD_KV_BATCH_ROLLBACK;
		case TXN_CMD_CHECK_TXN_STATUS:
			return METHOD_KV_CHECK_TXN_STATUS;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return METHOD_KV_CHECK_SECONDARY_LOCKS;
		case TXN_CMD_RESOLVE_LOCK:
			return METHOD_KV_RESOLVE_LOCK;
		case TXN_CMD_TXN_HEART_BEAT:
			return METHOD_KV_TXN_HEART_BEAT;
		case TXN_CMD_PESSIMISTIC_LOCK:
			return METHOD_KV_PESSIMISTIC_LOCK;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return METHOD_KV_PESSIMISTIC_ROLLBACK;
		default:
			CHECK(false);
			return 0;
	}
}

/* A message of the type in the arena, with its context. */
#define NEW(message, type)                               \
	((message) = arena_alloc(arena, sizeof(*(message))), \
	 kvrpcpb__##type##__init(message), (message)->context = context)

static ProtobufCMessage *
prewrite_request(const PrewriteCommand *from, Kvrpcpb__Context *context,
				 Arena *arena)
{
	Kvrpcpb__PrewriteRequest *to;

	NEW(to, prewrite_request);
	to->n_mutations = from->n_mutations;
	to->mutations =
		mutation_messages(from->mutations, from->n_mutations, arena);
	to->primary_lock = to_wire(from->primary);
	to->start_version = from->start_ts;
	to->lock_ttl = from->lock_ttl_ms;
	to->skip_constraint_check = from->skip_constraint_check;
	to->txn_size = from->txn_size;
	to->for_update_ts = from->for_update_ts;
	to->min_commit_ts = from->min_commit_ts;
	to->use_async_commit = from->use_async_commit;
	to->n_secondaries = from->n_secondaries;
	to->secondaries =
		to_wire_list(from->secondaries, from->n_secondaries, arena);
	to->try_one_pc = from->try_one_pc;
	to->max_commit_ts = from->max_commit_ts;
	to->assertion_level = (Kvrpcpb__AssertionLevel) from->assertion_level;
	to->n_pessimistic_actions = from->n_actions;
	to->pessimistic_actions =
		arena_alloc(arena, from->n_actions * sizeof(*to->pessimistic_actions));
	for (size_t i = 0; i < from->n_actions; i++)
		to->pessimistic_actions[i] =
			(Kvrpcpb__PrewriteRequest__PessimisticAction) from->actions[i];
	return &to->base;
}

static ProtobufCMessage *
commit_request(const CommitCommand *from, Kvrpcpb__Context *context,
			   Arena *arena)
{
	Kvrpcpb__CommitRequest *to;

	NEW(to, commit_request);
	to->n_keys = from->n_keys;
	to->keys = to_wire_list(from->keys, from->n_keys, arena);
	to->start_version = from->start_ts;
	to->commit_version = from->commit_ts;
	return &to->base;
}

static ProtobufCMessage *
batch_rollback_request(const BatchRollbackCommand *from,
					   Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__BatchRollbackRequest *to;

	NEW(to, batch_rollback_request);
	to->n_keys = from->n_keys;
	to->keys = to_wire_list(from->keys, from->n_keys, arena);
	to->start_version = from->start_ts;
	return &to->base;
}

static ProtobufCMessage *
check_txn_status_request(const CheckTxnStatusCommand *from,
						 Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__CheckTxnStatusRequest *to;

	NEW(to, check_txn_status_request);
	to->primary_key = to_wire(from->primary_key);
	to->lock_ts = from->lock_ts;
	to->caller_start_ts = from->caller_start_ts;
	to->current_ts = from->current_ts;
	to->rollback_if_not_exist = from->rollback_if_not_exist;
	to->force_sync_commit = from->force_sync_commit;
	to->resolving_pessimistic_lock = from->resolving_pessimistic_lock;
	to->verify_is_primary = from->verify_is_primary;
	return &to->base;
}

static ProtobufCMessage *
check_secondary_locks_request(const CheckSecondaryLocksCommand *from,
							  Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__CheckSecondaryLocksRequest *to;

	NEW(to, check_secondary_locks_request);
	to->n_keys = from->n_keys;
	to->keys = to_wire_list(from->keys, from->n_keys, arena);
	to->start_version = from->start_ts;
	return &to->base;
}

/* One transaction, by its keys. */
static ProtobufCMessage *
resolve_lock_request(const ResolveLockCommand *from, Kvrpcpb__Context *context,
					 Arena *arena)
{
	Kvrpcpb__ResolveLockRequest *to;

	CHECK(from->n_txns == 1 && from->n_keys > 0);
	NEW(to, resolve_lock_request);
	to->start_version = from->txns[0].start_ts;
	to->commit_version = from->txns[0].commit_ts;
	to->n_keys = from->n_keys;
	to->keys = to_wire_list(from->keys, from->n_keys, arena);
	return &to->base;
}

static ProtobufCMessage *
heart_beat_request(const TxnHeartBeatCommand *from, Kvrpcpb__Context *context,
				   Arena *arena)
{
	Kvrpcpb__TxnHeartBeatRequest *to;

	NEW(to, txn_heart_beat_request);
	to->primary_lock = to_wire(from->primary_key);
	to->start_version = from->start_ts;
	to->advise_lock_ttl = from->advise_lock_ttl_ms;
	to->min_commit_ts = from->min_commit_ts;
	return &to->base;
}

static ProtobufCMessage *
pessimistic_lock_request(const PessimisticLockCommand *from,
						 Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__PessimisticLockRequest *to;

	CHECK(!from->allow_lock_with_conflict);
	NEW(to, pessimistic_lock_request);
	to->n_mutations = from->n_mutations;
	to->mutations =
		mutation_messages(from->mutations, from->n_mutations, arena);
	to->primary_lock = to_wire(from->primary);
	to->start_version = from->start_ts;
	to->lock_ttl = from->lock_ttl_ms;
	to->for_update_ts = from->for_update_ts;
	to->is_first_lock = from->is_first_lock;
	to->wait_timeout = from->wait_timeout_ms;
	to->return_values = from->return_values;
	to->min_commit_ts = from->min_commit_ts;
	to->check_existence = from->check_existence;
	to->lock_only_if_exists = from->lock_only_if_exists;
	return &to->base;
}

static ProtobufCMessage *
pessimistic_rollback_request(const PessimisticRollbackCommand *from,
							 Kvrpcpb__Context *context, Arena *arena)
{
	Kvrpcpb__PessimisticRollbackRequest *to;

	NEW(to, pessimistic_rollback_request);
	to->n_keys = from->n_keys;
	to->keys = to_wire_list(from->keys, from->n_keys, arena);
	to->start_version = from->start_ts;
	to->for_update_ts = from->for_update_ts;
	return &to->base;
}

ProtobufCMessage *
txn_client_request(const TxnCommand *command, Kvrpcpb__Context *context,
				   Arena *arena)
{
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
			return prewrite_request(&command->prewrite, context, arena);
		case TXN_CMD_COMMIT:
			return commit_request(&command->commit, context, arena);
		case TXN_CMD_BATCH_ROLLBACK:
			return batch_rollback_request(&command->batch_rollback, context,
										  arena);
		case TXN_CMD_CHECK_TXN_STATUS:
			return check_txn_status_request(&command->check_txn_status, context,
											arena);
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return check_secondary_locks_request(&command
													  ->check_secondary_locks,
												 context, arena);
		case TXN_CMD_RESOLVE_LOCK:
			return resolve_lock_request(&command->resolve_lock, context, arena);
		case TXN_CMD_TXN_HEART_BEAT:
			return heart_beat_request(&command->txn_heart_beat, context, arena);
		case TXN_CMD_PESSIMISTIC_LOCK:
			return pessimistic_lock_request(&command->pessimistic_lock, context,
											arena);
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return pessimistic_rollback_request(&command->pessimistic_rollback,
												context, arena);
		default:
			CHECK(false);
			return NULL;
	}
}
