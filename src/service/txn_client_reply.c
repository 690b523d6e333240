/*
 * txn_client_reply.c
 *	  kvrpcpb responses -> answers, for whoever is a client.
 *
 * The mirror of txn_answer.c, key_error.c and region_error.c.
 */
#include "core/base/check.h"
#include "service/service.h"
#include "service/txn_client.h"

static Bytes
from_wire(ProtobufCBinaryData b)
{
	return bytes_make(b.data, b.len);
}

/* ------------------------------------------------------------ region errors */

RegionPeer
txn_client_peer(const Metapb__Peer *from)
{
	RegionPeer to = {0};

	if (from != NULL)
	{
		to.id = from->id;
		to.store_id = from->store_id;
		to.role = (PeerRole) from->role;
	}
	return to;
}

void
txn_client_region(const Metapb__Region *from, Region *to)
{
	memset(to, 0, sizeof(*to));
	to->id = from->id;
	to->start_key = from_wire(from->start_key);
	to->end_key = from_wire(from->end_key);
	if (from->region_epoch != NULL)
	{
		to->epoch.conf_ver = from->region_epoch->conf_ver;
		to->epoch.version = from->region_epoch->version;
	}
	for (size_t i = 0; i < from->n_peers && i < REGION_MAX_PEERS; i++)
		to->peers[to->n_peers++] = txn_client_peer(from->peers[i]);
}

static void
take_epoch(const Errorpb__EpochNotMatch *from, Arena *arena, ClientReply *reply)
{
	Region *current =
		arena_alloc(arena, from->n_current_regions * sizeof(*current));

	for (size_t i = 0; i < from->n_current_regions; i++)
		txn_client_region(from->current_regions[i], &current[i]);
	reply->current = current;
	reply->n_current = from->n_current_regions;
}

static RegionErrorKind
region_error_kind(const Errorpb__Error *error)
{
	if (error->not_leader != NULL)
		return REGION_NOT_LEADER;
	if (error->epoch_not_match != NULL)
		return REGION_EPOCH_NOT_MATCH;
	if (error->server_is_busy != NULL)
		return REGION_SERVER_IS_BUSY;
	if (error->region_not_found != NULL ||
		error->region_not_initialized != NULL)
		return REGION_NOT_FOUND;
	if (error->key_not_in_region != NULL)
		return REGION_KEY_NOT_IN_REGION;
	if (error->stale_command != NULL)
		return REGION_STALE_COMMAND;
	if (error->undetermined_result != NULL)
		return REGION_UNDETERMINED;
	if (error->store_not_match != NULL)
		return REGION_STORE_NOT_MATCH;
	if (error->mismatch_peer_id != NULL)
		return REGION_MISMATCH_PEER_ID;
	if (error->raft_entry_too_large != NULL)
		return REGION_ENTRY_TOO_LARGE;
	if (error->disk_full != NULL)
		return REGION_DISK_FULL;
	if (error->max_timestamp_not_synced != NULL)
		return REGION_MAX_TS_NOT_SYNCED;
	if (error->read_index_not_ready != NULL ||
		error->proposal_in_merging_mode != NULL)
		return REGION_READ_INDEX_NOT_READY;
	if (error->data_is_not_ready != NULL)
		return REGION_DATA_IS_NOT_READY;
	if (error->flashbackinprogress != NULL)
		return REGION_FLASHBACK_IN_PROGRESS;
	if (error->flashbacknotprepared != NULL)
		return REGION_FLASHBACK_NOT_PREPARED;
	return REGION_MESSAGE_ONLY;
}

static void
take_region_error(const Errorpb__Error *error, Arena *arena, ClientReply *reply)
{
	reply->region_error = region_error_kind(error);
	reply->text = error->message;
	if (error->not_leader != NULL)
		reply->leader = txn_client_peer(error->not_leader->leader);
	if (error->epoch_not_match != NULL)
		take_epoch(error->epoch_not_match, arena, reply);
	if (error->server_is_busy != NULL)
	{
		reply->backoff_ms = error->server_is_busy->backoff_ms;
		reply->text = error->server_is_busy->reason;
	}
	if (error->disk_full != NULL)
		reply->text = error->disk_full->reason;
}

/* --------------------------------------------------------------- key errors */

LockType
txn_client_lock_type(Kvrpcpb__Op op)
{
	switch (op)
	{
		case KVRPCPB__OP__Put:
			return LOCK_TYPE_PUT;
		case KVRPCPB__OP__Del:
			return LOCK_TYPE_DELETE;
		case KVRPCPB__OP__PessimisticLock:
			return LOCK_TYPE_PESSIMISTIC;
		case KVRPCPB__OP__SharedLock:
			return LOCK_TYPE_SHARED;
		default:
			return LOCK_TYPE_LOCK;
	}
}

static void
take_members(const Kvrpcpb__LockInfo *from, Arena *arena, Lock *to)
{
	to->members = arena_alloc(arena, from->n_shared_lock_infos * sizeof(Lock));
	to->n_members = from->n_shared_lock_infos;
	for (size_t i = 0; i < from->n_shared_lock_infos; i++)
	{
		LockInfo member;

		txn_client_lock_info(from->shared_lock_infos[i], arena, &member);
		to->members[i] = member.lock;
	}
}

void
txn_client_lock_info(const Kvrpcpb__LockInfo *from, Arena *arena, LockInfo *to)
{
	Lock *lock = &to->lock;
	Bytes *secondaries =
		arena_alloc(arena, from->n_secondaries * sizeof(*secondaries));

	memset(to, 0, sizeof(*to));
	to->key = from_wire(from->key);
	to->ttl_ms = from->lock_ttl;
	to->duration_to_last_update_ms = from->duration_to_last_update_ms;
	lock->type = txn_client_lock_type(from->lock_type);
	lock->primary = from_wire(from->primary_lock);
	lock->start_ts = from->lock_version;
	lock->ttl_ms = from->lock_ttl;
	lock->for_update_ts = from->lock_for_update_ts;
	lock->txn_size = from->txn_size;
	lock->min_commit_ts = from->min_commit_ts;
	lock->use_async_commit = from->use_async_commit;
	for (size_t i = 0; i < from->n_secondaries; i++)
		secondaries[i] = from_wire(from->secondaries[i]);
	lock->secondaries = secondaries;
	lock->n_secondaries = from->n_secondaries;
	if (from->n_shared_lock_infos > 0)
		take_members(from, arena, lock);
}

static void
take_conflict(const Kvrpcpb__WriteConflict *from, TxnError *to)
{
	to->kind = TXN_WRITE_CONFLICT;
	to->start_ts = from->start_ts;
	to->conflict_ts = from->conflict_ts;
	to->conflict_commit_ts = from->conflict_commit_ts;
	to->key = from_wire(from->key);
	to->primary = from_wire(from->primary);
	to->reason = (ConflictReason) from->reason;
}

static void
take_deadlock(const Kvrpcpb__Deadlock *from, Arena *arena, TxnError *to)
{
	WaitForEntry *chain =
		arena_alloc(arena, from->n_wait_chain * sizeof(*chain));

	to->kind = TXN_DEADLOCK;
	to->conflict_ts = from->lock_ts;
	to->key = from_wire(from->lock_key);
	to->deadlock_key_hash = from->deadlock_key_hash;
	for (size_t i = 0; i < from->n_wait_chain; i++)
	{
		const Deadlock__WaitForEntry *entry = from->wait_chain[i];

		chain[i].txn = entry->txn;
		chain[i].wait_for_txn = entry->wait_for_txn;
		chain[i].key_hash = entry->key_hash;
		chain[i].key = from_wire(entry->key);
		chain[i].resource_group_tag = from_wire(entry->resource_group_tag);
	}
	to->wait_chain = chain;
	to->n_wait_chain = from->n_wait_chain;
}

static void
take_expired(const Kvrpcpb__CommitTsExpired *from, TxnError *to)
{
	to->kind = TXN_COMMIT_TS_EXPIRED;
	to->start_ts = from->start_ts;
	to->commit_ts = from->attempted_commit_ts;
	to->key = from_wire(from->key);
	to->min_commit_ts = from->min_commit_ts;
}

static void
take_text(const Kvrpcpb__KeyError *from, TxnError *to)
{
	to->kind = TXN_ABORT;
	to->text = from->abort != NULL && from->abort[0] != '\0' ? from->abort :
															   from->retryable;
}

void
txn_client_key_error(const Kvrpcpb__KeyError *from, Arena *arena, TxnError *to)
{
	memset(to, 0, sizeof(*to));
	if (from->locked != NULL)
	{
		to->kind = TXN_KEY_IS_LOCKED;
		txn_client_lock_info(from->locked, arena, &to->lock);
		to->key = to->lock.key;
	}
	else if (from->conflict != NULL)
		take_conflict(from->conflict, to);
	else if (from->already_exist != NULL)
	{
		to->kind = TXN_ALREADY_EXIST;
		to->key = from_wire(from->already_exist->key);
	}
	else if (from->deadlock != NULL)
		take_deadlock(from->deadlock, arena, to);
	else if (from->commit_ts_expired != NULL)
		take_expired(from->commit_ts_expired, to);
	else if (from->txn_not_found != NULL)
	{
		to->kind = TXN_TXN_NOT_FOUND;
		to->start_ts = from->txn_not_found->start_ts;
		to->key = from_wire(from->txn_not_found->primary_key);
	}
	else if (from->commit_ts_too_large != NULL)
	{
		to->kind = TXN_COMMIT_TS_TOO_LARGE;
		to->min_commit_ts = from->commit_ts_too_large->commit_ts;
	}
	else if (from->assertion_failed != NULL)
	{
		to->kind = TXN_ASSERTION_FAILED;
		to->start_ts = from->assertion_failed->start_ts;
		to->key = from_wire(from->assertion_failed->key);
	}
	else if (from->primary_mismatch != NULL)
	{
		to->kind = TXN_PRIMARY_MISMATCH;
		if (from->primary_mismatch->lock_info != NULL)
			txn_client_lock_info(from->primary_mismatch->lock_info, arena,
								 &to->lock);
	}
	else if (from->txn_lock_not_found != NULL)
	{
		to->kind = TXN_LOCK_NOT_FOUND;
		to->key = from_wire(from->txn_lock_not_found->key);
	}
	else
		take_text(from, to);
}

static void
take_errors(Kvrpcpb__KeyError *const *from, size_t n, Arena *arena,
			TxnAnswer *answer)
{
	answer->errors = arena_alloc(arena, n * sizeof(*answer->errors));
	answer->n_errors = n;
	for (size_t i = 0; i < n; i++)
		txn_client_key_error(from[i], arena, &answer->errors[i]);
}

/* A response of this type: its region error, its errors, then the rest. */
#define OPEN(type)                                           \
	Kvrpcpb__##type *from = (Kvrpcpb__##type *) message;     \
	if (from->region_error != NULL)                          \
	{                                                        \
		take_region_error(from->region_error, arena, reply); \
		return;                                              \
	}

#define OPEN_LIST(type)                                                   \
	OPEN(type)                                                            \
	if (from->n_errors > 0)                                               \
	{                                                                     \
		take_errors(from->errors, from->n_errors, arena, &reply->answer); \
		return;                                                           \
	}

#define OPEN_ONE(type)                                       \
	OPEN(type)                                               \
	if (from->error != NULL)                                 \
	{                                                        \
		take_errors(&from->error, 1, arena, &reply->answer); \
		return;                                              \
	}

/* ------------------------------------------------------------------ answers */

static void
take_prewrite(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_LIST(PrewriteResponse);
	reply->answer.min_commit_ts = from->min_commit_ts;
	reply->answer.one_pc_commit_ts = from->one_pc_commit_ts;
}

static void
take_commit(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_ONE(CommitResponse);
	reply->answer.commit_ts = from->commit_version;
}

static void
take_status(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_ONE(CheckTxnStatusResponse);
	reply->answer.lock_ttl_ms = from->lock_ttl;
	reply->answer.commit_ts = from->commit_version;
	reply->answer.action = (TxnStatusAction) from->action;
	reply->answer.has_lock = from->lock_info != NULL;
	if (from->lock_info != NULL)
		txn_client_lock_info(from->lock_info, arena, &reply->answer.lock);
}

static void
take_secondaries(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	TxnAnswer *answer = &reply->answer;

	OPEN_ONE(CheckSecondaryLocksResponse);
	answer->commit_ts = from->commit_ts;
	answer->n_locks = from->n_locks;
	answer->locks = arena_alloc(arena, from->n_locks * sizeof(*answer->locks));
	for (size_t i = 0; i < from->n_locks; i++)
		txn_client_lock_info(from->locks[i], arena, &answer->locks[i]);
}

static void
take_rollback(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_ONE(BatchRollbackResponse);
}

static void
take_resolve(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_ONE(ResolveLockResponse);
}

static void
take_heart_beat(ProtobufCMessage *message, Arena *arena, ClientReply *reply)
{
	OPEN_ONE(TxnHeartBeatResponse);
	reply->answer.lock_ttl_ms = from->lock_ttl;
}

static void
take_pessimistic_rollback(ProtobufCMessage *message, Arena *arena,
						  ClientReply *reply)
{
	OPEN_LIST(PessimisticRollbackResponse);
}

/* One result per mutation; values and existence come if they were asked for. */
static void
take_pessimistic_lock(const PessimisticLockCommand *command,
					  ProtobufCMessage *message, Arena *arena,
					  ClientReply *reply)
{
	TxnAnswer *answer = &reply->answer;

	OPEN_LIST(PessimisticLockResponse);
	answer->n_results = command->n_mutations;
	answer->results =
		arena_zalloc(arena, answer->n_results * sizeof(*answer->results));
	for (size_t i = 0; i < answer->n_results; i++)
	{
		PessimisticLockResult *result = &answer->results[i];

		if (i < from->n_values)
			result->value = from_wire(from->values[i]);
		if (i < from->n_not_founds)
			result->exists = !from->not_founds[i];
	}
}

static const ProtobufCMessageDescriptor *
response_of(TxnCommandKind kind)
{
	return service_method(txn_client_method(kind))->response;
}

bool
txn_client_reply(const TxnCommand *command, Bytes bytes, Arena *arena,
				 ClientReply *reply)
{
	ProtobufCMessage *message =
		service_unpack(response_of(command->kind), bytes, arena);

	memset(reply, 0, sizeof(*reply));
	if (message == NULL)
		return false;
	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
			take_prewrite(message, arena, reply);
			break;
		case TXN_CMD_COMMIT:
			take_commit(message, arena, reply);
			break;
		case TXN_CMD_BATCH_ROLLBACK:
			take_rollback(message, arena, reply);
			break;
		case TXN_CMD_CHECK_TXN_STATUS:
			take_status(message, arena, reply);
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			take_secondaries(message, arena, reply);
			break;
		case TXN_CMD_RESOLVE_LOCK:
			take_resolve(message, arena, reply);
			break;
		case TXN_CMD_TXN_HEART_BEAT:
			take_heart_beat(message, arena, reply);
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			take_pessimistic_lock(&command->pessimistic_lock, message, arena,
								  reply);
			break;
		default:
			CHECK(command->kind == TXN_CMD_PESSIMISTIC_ROLLBACK);
			take_pessimistic_rollback(message, arena, reply);
			break;
	}
	return true;
}
