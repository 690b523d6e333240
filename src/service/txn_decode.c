/*
 * txn_decode.c
 *	  kvrpcpb messages of the transactional API -> plain commands and reads.
 *
 * Every check that needs only the message is made here and in txn_check.c.
 * The rules of the commands themselves are core/txn's.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "service/txn_internal.h"

/* ----------------------------------------------------------------- sizes */

/*
 * What each key of a command takes in the log beside itself, its value and
 * the primary key: the frame of a modification and the numbers of a lock or a
 * record.  TiKV's clients send some thousand keys at a time; a hundred
 * thousand tiny ones would be a turn in which nobody else is served.
 */
#define RECORD_BYTES ((size_t) 64)

/* A secondary key in the primary key's lock. */
#define SECONDARY_BYTES ((size_t) 2)

/* A grant is written by the session that asked for it, and is no entry. */
static size_t
record_bytes(const Request *request)
{
	return request->method->id == METHOD_SQL_GRANT ? 0 : RECORD_BYTES;
}

/*
 * Asked of the number of keys, too, before there is memory for them: however
 * short they are, they would take many times the bytes of their message.
 */
static bool
check_entry_size(Request *request, const RawLimits *limits,
				 const TxnRequest *txn, size_t bytes)
{
	RegionError error = {.kind = REGION_ENTRY_TOO_LARGE,
						 .region_id = txn->context.region_id,
						 .actual = bytes};

	if (bytes <= limits->max_entry_size)
		return true;
	service_region_error(request, &error);
	return false;
}

static bool
decode_keys(Request *request, const RawLimits *limits, const TxnRequest *txn,
			const ProtobufCBinaryData *from, size_t n, const Bytes **keys)
{
	if (!check_entry_size(request, limits, txn, n * record_bytes(request)))
		return false;
	*keys = txn_list_from_wire(from, n, request->arena);
	return txn_check_keys(request, limits, txn, *keys, n);
}

/* ------------------------------------------------------------- mutations */

static bool
op_fits(int method, Kvrpcpb__Op op)
{
	switch (op)
	{
		case KVRPCPB__OP__Put:
		case KVRPCPB__OP__Del:
		case KVRPCPB__OP__Lock:
		case KVRPCPB__OP__Insert:
		case KVRPCPB__OP__CheckNotExists:
			return method != METHOD_KV_PESSIMISTIC_LOCK;
		case KVRPCPB__OP__SharedLock:
			return method == METHOD_KV_PREWRITE;
		case KVRPCPB__OP__PessimisticLock:
		case KVRPCPB__OP__SharedPessimisticLock:
			return method == METHOD_KV_PESSIMISTIC_LOCK;
		default:
			return false;
	}
}

static bool
decode_mutation(Request *request, const RawLimits *limits, TxnRequest *txn,
				const Kvrpcpb__Mutation *from, Mutation *to)
{
	if (!op_fits(request->method->id, from->op))
	{
		txn_answer_abort(request,
						 arena_printf(request->arena,
									  "mutation op %d does not belong in %s",
									  (int) from->op, request->method->path));
		return false;
	}
	to->op = (MutationOp) from->op;
	to->key = txn_from_wire(from->key);
	to->value = txn_from_wire(from->value);
	to->assertion = (Assertion) from->assertion;
	txn->write_bytes += to->key.len + to->value.len;
	return txn_check_request_key(request, limits, txn, to->key) &&
		txn_check_size(request, limits, txn, to->key);
}

/* Every lock names the primary key. */
static bool
decode_mutations(Request *request, const RawLimits *limits, TxnRequest *txn,
				 Bytes primary, Kvrpcpb__Mutation *const *from, size_t n,
				 const Mutation **out)
{
	Mutation *mutations;

	if (!check_entry_size(request, limits, txn,
						  n * (primary.len + record_bytes(request))))
		return false;
	mutations = arena_alloc(request->arena, n * sizeof(Mutation));
	for (size_t i = 0; i < n; i++)
		if (!decode_mutation(request, limits, txn, from[i], &mutations[i]))
			return false;
	*out = mutations;
	return true;
}

/* -------------------------------------------------------------- prewrite */

static void
decode_actions(const Kvrpcpb__PrewriteRequest *from, PrewriteCommand *to,
			   Arena *arena)
{
	PessimisticAction *actions =
		arena_alloc(arena, from->n_pessimistic_actions * sizeof(*actions));
	ForUpdateTsConstraint *constraints =
		arena_alloc(arena,
					from->n_for_update_ts_constraints * sizeof(*constraints));

	for (size_t i = 0; i < from->n_pessimistic_actions; i++)
		actions[i] = (PessimisticAction) from->pessimistic_actions[i];
	for (size_t i = 0; i < from->n_for_update_ts_constraints; i++)
	{
		constraints[i].index = from->for_update_ts_constraints[i]->index;
		constraints[i].expected_for_update_ts =
			from->for_update_ts_constraints[i]->expected_for_update_ts;
	}
	to->actions = actions;
	to->n_actions = from->n_pessimistic_actions;
	to->constraints = constraints;
	to->n_constraints = from->n_for_update_ts_constraints;
}

static bool
decode_prewrite(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__PrewriteRequest *from = (const void *) request->message;
	PrewriteCommand *to = &txn->command.prewrite;

	txn->command.kind = TXN_CMD_PREWRITE;
	if (from->n_txn_file_chunks > 0)
	{
		txn_answer_abort(request, "file-based transactions are not supported");
		return false;
	}
	to->n_mutations = from->n_mutations;
	to->primary = txn_from_wire(from->primary_lock);
	to->start_ts = from->start_version;
	to->lock_ttl_ms = from->lock_ttl;
	to->skip_constraint_check = from->skip_constraint_check;
	to->txn_size = from->txn_size;
	to->for_update_ts = from->for_update_ts;
	to->min_commit_ts = from->min_commit_ts;
	to->use_async_commit = from->use_async_commit;
	if (!check_entry_size(request, limits, txn,
						  from->n_secondaries * SECONDARY_BYTES))
		return false;
	to->secondaries = txn_list_from_wire(from->secondaries, from->n_secondaries,
										 request->arena);
	to->n_secondaries = from->n_secondaries;
	to->try_one_pc = from->try_one_pc;
	to->max_commit_ts = from->max_commit_ts;
	to->assertion_level = (AssertionLevel) from->assertion_level;
	decode_actions(from, to, request->arena);
	return decode_mutations(request, limits, txn, to->primary, from->mutations,
							from->n_mutations, &to->mutations) &&
		txn_check_ts(request, to->start_ts) &&
		txn_check_ts(request, to->for_update_ts) &&
		txn_check_ts(request, to->min_commit_ts);
}

static bool
decode_flush(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__FlushRequest *from = (const void *) request->message;
	PrewriteCommand *to = &txn->command.prewrite;

	txn->command.kind = TXN_CMD_FLUSH;
	if (from->generation == 0)
	{
		txn_answer_abort(request, "generation of a flush must be above 0");
		return false;
	}
	to->n_mutations = from->n_mutations;
	to->primary = txn_from_wire(from->primary_key);
	to->start_ts = from->start_ts;
	to->lock_ttl_ms = from->lock_ttl;
	to->generation = from->generation;
	to->assertion_level = (AssertionLevel) from->assertion_level;
	return decode_mutations(request, limits, txn, to->primary, from->mutations,
							from->n_mutations, &to->mutations) &&
		txn_check_ts(request, to->start_ts);
}

/* -------------------------------------------------- commit and its undoing */

static bool
decode_commit(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__CommitRequest *from = (const void *) request->message;
	CommitCommand *to = &txn->command.commit;

	txn->command.kind = TXN_CMD_COMMIT;
	to->n_keys = from->n_keys;
	to->start_ts = from->start_version;
	to->commit_ts = from->commit_version;
	return decode_keys(request, limits, txn, from->keys, from->n_keys,
					   &to->keys) &&
		txn_check_ts(request, to->commit_ts);
}

static bool
decode_batch_rollback(Request *request, const RawLimits *limits,
					  TxnRequest *txn)
{
	const Kvrpcpb__BatchRollbackRequest *from = (const void *) request->message;
	BatchRollbackCommand *to = &txn->command.batch_rollback;

	txn->command.kind = TXN_CMD_BATCH_ROLLBACK;
	to->n_keys = from->n_keys;
	to->start_ts = from->start_version;
	return decode_keys(request, limits, txn, from->keys, from->n_keys,
					   &to->keys) &&
		txn_check_ts(request, to->start_ts);
}

static bool
decode_cleanup(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__CleanupRequest *from = (const void *) request->message;
	CleanupCommand *to = &txn->command.cleanup;

	txn->command.kind = TXN_CMD_CLEANUP;
	to->key = txn_from_wire(from->key);
	to->start_ts = from->start_version;
	to->current_ts = from->current_ts;
	return txn_check_request_key(request, limits, txn, to->key) &&
		txn_check_ts(request, to->start_ts);
}

/* ---------------------------------------------------- status and resolving */

static bool
decode_check_txn_status(Request *request, const RawLimits *limits,
						TxnRequest *txn)
{
	const Kvrpcpb__CheckTxnStatusRequest *from =
		(const void *) request->message;
	CheckTxnStatusCommand *to = &txn->command.check_txn_status;

	txn->command.kind = TXN_CMD_CHECK_TXN_STATUS;
	to->primary_key = txn_from_wire(from->primary_key);
	to->lock_ts = from->lock_ts;
	to->caller_start_ts = from->caller_start_ts;
	to->current_ts = from->current_ts;
	to->rollback_if_not_exist = from->rollback_if_not_exist;
	to->force_sync_commit = from->force_sync_commit;
	to->resolving_pessimistic_lock = from->resolving_pessimistic_lock;
	to->verify_is_primary = from->verify_is_primary;
	return txn_check_request_key(request, limits, txn, to->primary_key) &&
		txn_check_ts(request, to->lock_ts);
}

static bool
decode_check_secondary_locks(Request *request, const RawLimits *limits,
							 TxnRequest *txn)
{
	const Kvrpcpb__CheckSecondaryLocksRequest *from =
		(const void *) request->message;
	CheckSecondaryLocksCommand *to = &txn->command.check_secondary_locks;

	txn->command.kind = TXN_CMD_CHECK_SECONDARY_LOCKS;
	to->n_keys = from->n_keys;
	to->start_ts = from->start_version;
	return decode_keys(request, limits, txn, from->keys, from->n_keys,
					   &to->keys) &&
		txn_check_ts(request, to->start_ts);
}

static int
txn_status_cmp(const void *a, const void *b)
{
	const TxnStatusOf *x = a;
	const TxnStatusOf *y = b;

	return (x->start_ts > y->start_ts) - (x->start_ts < y->start_ts);
}

static bool
decode_resolve_lock(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__ResolveLockRequest *from = (const void *) request->message;
	ResolveLockCommand *to = &txn->command.resolve_lock;
	size_t n = from->n_txn_infos > 0 ? from->n_txn_infos : 1;
	TxnStatusOf *txns = arena_alloc(request->arena, n * sizeof(*txns));

	txn->command.kind = TXN_CMD_RESOLVE_LOCK;
	txns[0].start_ts = from->start_version;
	txns[0].commit_ts = from->commit_version;
	for (size_t i = 0; i < from->n_txn_infos; i++)
	{
		txns[i].start_ts = from->txn_infos[i]->txn;
		txns[i].commit_ts = from->txn_infos[i]->status;
	}
	qsort(txns, n, sizeof(*txns), txn_status_cmp);
	for (size_t i = 0; i < n; i++)
		if (!txn_check_ts(request, txns[i].start_ts) ||
			!txn_check_ts(request, txns[i].commit_ts))
			return false;
	if (txns[0].start_ts == 0)
	{
		txn_answer_abort(request, "start_version must be above 0");
		return false;
	}
	to->txns = txns;
	to->n_txns = n;
	to->n_keys = from->n_keys;
	return decode_keys(request, limits, txn, from->keys, from->n_keys,
					   &to->keys);
}

static bool
decode_heart_beat(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__TxnHeartBeatRequest *from = (const void *) request->message;
	TxnHeartBeatCommand *to = &txn->command.txn_heart_beat;

	txn->command.kind = TXN_CMD_TXN_HEART_BEAT;
	to->primary_key = txn_from_wire(from->primary_lock);
	to->start_ts = from->start_version;
	to->advise_lock_ttl_ms = from->advise_lock_ttl;
	to->min_commit_ts = from->min_commit_ts;
	return txn_check_request_key(request, limits, txn, to->primary_key) &&
		txn_check_ts(request, to->min_commit_ts);
}

/* ----------------------------------------------------- pessimistic locking */

static bool
decode_pessimistic_lock(Request *request, const RawLimits *limits,
						TxnRequest *txn)
{
	const Kvrpcpb__PessimisticLockRequest *from =
		(const void *) request->message;
	PessimisticLockCommand *to = &txn->command.pessimistic_lock;

	txn->command.kind = TXN_CMD_PESSIMISTIC_LOCK;
	to->n_mutations = from->n_mutations;
	to->primary = txn_from_wire(from->primary_lock);
	to->start_ts = from->start_version;
	to->lock_ttl_ms = from->lock_ttl;
	to->for_update_ts = from->for_update_ts;
	to->is_first_lock = from->is_first_lock;
	to->wait_timeout_ms = from->wait_timeout;
	to->return_values = from->return_values;
	to->min_commit_ts = from->min_commit_ts;
	to->check_existence = from->check_existence;
	to->lock_only_if_exists = from->lock_only_if_exists;
	to->allow_lock_with_conflict = from->wake_up_mode ==
		KVRPCPB__PESSIMISTIC_LOCK_WAKE_UP_MODE__WakeUpModeForceLock;
	return decode_mutations(request, limits, txn, to->primary, from->mutations,
							from->n_mutations, &to->mutations) &&
		txn_check_ts(request, to->start_ts) &&
		txn_check_ts(request, to->for_update_ts) &&
		txn_check_ts(request, to->min_commit_ts);
}

static bool
decode_pessimistic_rollback(Request *request, const RawLimits *limits,
							TxnRequest *txn)
{
	const Kvrpcpb__PessimisticRollbackRequest *from =
		(const void *) request->message;
	PessimisticRollbackCommand *to = &txn->command.pessimistic_rollback;

	txn->command.kind = TXN_CMD_PESSIMISTIC_ROLLBACK;
	to->n_keys = from->n_keys;
	to->start_ts = from->start_version;
	to->for_update_ts = from->for_update_ts;
	return decode_keys(request, limits, txn, from->keys, from->n_keys,
					   &to->keys);
}

/* ---------------------------------------------------------------- ranges */

/* The region may be in the state that the flashback itself brought about. */
static bool
check_flashback(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const FlashbackCommand *command = &txn->command.flashback;

	txn->context.flashback = true;
	if (command->start_ts == 0)
	{
		txn_answer_abort(request, "start_ts of a flashback must be above 0");
		return false;
	}
	return txn_check_ts(request, command->start_ts) &&
		txn_check_ts(request, command->commit_ts) &&
		txn_check_range_mode(request, limits, txn, &command->range);
}

static bool
decode_prepare_flashback(Request *request, const RawLimits *limits,
						 TxnRequest *txn)
{
	const Kvrpcpb__PrepareFlashbackToVersionRequest *from =
		(const void *) request->message;
	FlashbackCommand *to = &txn->command.flashback;

	txn->command.kind = TXN_CMD_FLASHBACK_ROLLBACK_LOCKS;
	to->range.lower = txn_from_wire(from->start_key);
	to->range.upper = txn_from_wire(from->end_key);
	to->version = from->version;
	to->start_ts = from->start_ts;
	return check_flashback(request, limits, txn);
}

static bool
decode_flashback(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__FlashbackToVersionRequest *from =
		(const void *) request->message;
	FlashbackCommand *to = &txn->command.flashback;

	txn->command.kind = TXN_CMD_FLASHBACK_WRITE;
	to->range.lower = txn_from_wire(from->start_key);
	to->range.upper = txn_from_wire(from->end_key);
	to->version = from->version;
	to->start_ts = from->start_ts;
	to->commit_ts = from->commit_ts;
	return check_flashback(request, limits, txn);
}

static bool
decode_scan_lock(Request *request, TxnRequest *txn)
{
	const Kvrpcpb__ScanLockRequest *from = (const void *) request->message;
	ScanLockCommand *to = &txn->command.scan_lock;

	txn->command.kind = TXN_CMD_SCAN_LOCK;
	to->max_ts = from->max_version;
	to->range.lower = txn_from_wire(from->start_key);
	to->range.upper = txn_from_wire(from->end_key);
	to->limit = from->limit;
	return true;
}

static bool
decode_delete_range(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__DeleteRangeRequest *from = (const void *) request->message;
	DeleteRangeCommand *to = &txn->command.delete_range;

	txn->command.kind = TXN_CMD_DELETE_RANGE;
	to->range.lower = txn_from_wire(from->start_key);
	to->range.upper = txn_from_wire(from->end_key);
	to->notify_only = from->notify_only;
	return txn_check_range_mode(request, limits, txn, &to->range);
}

/*
 * In API V2 raw keys have encoded forms between the bounds as well, and TiKV
 * removes them (gc_worker.rs).  Here they are in a table of their own: who
 * wants them gone must not be told that they are.
 */
static bool
has_raw_keys(const RawLimits *limits, const KeyRange *range)
{
	static const uint8_t raw[] = {'r'}, behind[] = {'r' + 1};

	return limits->api == API_V2 &&
		bytes_cmp(range->lower, bytes_make(behind, 1)) < 0 &&
		bytes_cmp(range->upper, bytes_make(raw, 1)) > 0 &&
		bytes_cmp(range->lower, range->upper) < 0;
}

/* Both bounds are needed: nobody destroys a whole store by an empty one. */
static bool
decode_destroy_range(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__UnsafeDestroyRangeRequest *from =
		(const void *) request->message;
	DeleteRangeCommand *to = &txn->command.delete_range;

	txn->command.kind = TXN_CMD_DELETE_RANGE;
	to->range.lower = txn_from_wire(from->start_key);
	to->range.upper = txn_from_wire(from->end_key);
	if (to->range.lower.len == 0 || to->range.upper.len == 0)
		txn_answer_abort(request,
						 "UnsafeDestroyRange needs a start key and an end key");
	else if (has_raw_keys(limits, &to->range))
		txn_answer_abort(
			request,
			"UnsafeDestroyRange removes no raw keys: RawDeleteRange does");
	else
		return true;
	return false;
}

/* ------------------------------------------------------------- the table */

static bool
decode_command(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	switch (request->method->id)
	{
		case METHOD_KV_PREWRITE:
		case METHOD_SQL_GRANT:
			return decode_prewrite(request, limits, txn);
		case METHOD_KV_FLUSH:
			return decode_flush(request, limits, txn);
		case METHOD_KV_COMMIT:
			return decode_commit(request, limits, txn);
		case METHOD_KV_BATCH_ROLLBACK:
			return decode_batch_rollback(request, limits, txn);
		case METHOD_KV_CLEANUP:
			return decode_cleanup(request, limits, txn);
		case METHOD_KV_CHECK_TXN_STATUS:
			return decode_check_txn_status(request, limits, txn);
		case METHOD_KV_CHECK_SECONDARY_LOCKS:
			return decode_check_secondary_locks(request, limits, txn);
		case METHOD_KV_RESOLVE_LOCK:
			return decode_resolve_lock(request, limits, txn);
		case METHOD_KV_TXN_HEART_BEAT:
			return decode_heart_beat(request, limits, txn);
		case METHOD_KV_PESSIMISTIC_LOCK:
			return decode_pessimistic_lock(request, limits, txn);
		case METHOD_KV_PESSIMISTIC_ROLLBACK:
			return decode_pessimistic_rollback(request, limits, txn);
		case METHOD_KV_SCAN_LOCK:
			return decode_scan_lock(request, txn);
		case METHOD_KV_PREPARE_FLASHBACK:
			return decode_prepare_flashback(request, limits, txn);
		case METHOD_KV_FLASHBACK_TO_VERSION:
			return decode_flashback(request, limits, txn);
		case METHOD_KV_DELETE_RANGE:
			return decode_delete_range(request, limits, txn);
		case METHOD_UNSAFE_DESTROY_RANGE:
			return decode_destroy_range(request, limits, txn);
		default:
			CHECK(false);
			return false;
	}
}

static size_t
bytes_of(const Bytes *keys, size_t n, size_t each)
{
	size_t bytes = n * each;

	for (size_t i = 0; i < n; i++)
		bytes += keys[i].len;
	return bytes;
}

/* What a command takes beside the keys and values of its mutations. */
static size_t
bytes_of_command(const TxnCommand *command, size_t each)
{
	const PrewriteCommand *prewrite = &command->prewrite;

	switch (command->kind)
	{
		case TXN_CMD_PREWRITE:
		case TXN_CMD_FLUSH:
			return prewrite->n_mutations * (prewrite->primary.len + each) +
				bytes_of(prewrite->secondaries, prewrite->n_secondaries,
						 SECONDARY_BYTES);
		case TXN_CMD_PESSIMISTIC_LOCK:
			return command->pessimistic_lock.n_mutations *
				(command->pessimistic_lock.primary.len + each);
		case TXN_CMD_COMMIT:
			return bytes_of(command->commit.keys, command->commit.n_keys, each);
		case TXN_CMD_BATCH_ROLLBACK:
			return bytes_of(command->batch_rollback.keys,
							command->batch_rollback.n_keys, each);
		case TXN_CMD_CLEANUP:
			return command->cleanup.key.len + each;
		case TXN_CMD_CHECK_TXN_STATUS:
			return command->check_txn_status.primary_key.len + each;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			return bytes_of(command->check_secondary_locks.keys,
							command->check_secondary_locks.n_keys, each);
		case TXN_CMD_RESOLVE_LOCK:
			return bytes_of(command->resolve_lock.keys,
							command->resolve_lock.n_keys, each);
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			return bytes_of(command->pessimistic_rollback.keys,
							command->pessimistic_rollback.n_keys, each);
		default:
			return 0;
	}
}

TxnRequest *
txn_decode(Request *request, const RawLimits *limits)
{
	TxnRequest *txn = arena_zalloc(request->arena, sizeof(TxnRequest));

	if (!txn_decode_context(request, limits, txn))
		return NULL;
	if (request->method->kind != SERVICE_WRITE)
		return txn_decode_read(request, limits, txn) ? txn : NULL;
	if (!decode_command(request, limits, txn))
		return NULL;
	txn->write_bytes += bytes_of_command(&txn->command, record_bytes(request));
	return check_entry_size(request, limits, txn, txn->write_bytes) ? txn :
																	  NULL;
}

bool
txn_is_method(int method)
{
	return (method >= METHOD_KV_GET && method <= METHOD_KV_DELETE_RANGE) ||
		(method >= METHOD_KV_PESSIMISTIC_LOCK &&
		 method <= METHOD_KV_CHECK_SECONDARY_LOCKS) ||
		(method >= METHOD_KV_FLASHBACK_TO_VERSION &&
		 method <= METHOD_KV_BUFFER_BATCH_GET) ||
		(method >= METHOD_UNSAFE_DESTROY_RANGE &&
		 method <= METHOD_MVCC_GET_BY_START_TS) ||
		method == METHOD_SQL_GRANT || method == METHOD_STORE_LOCKS ||
		method == METHOD_STORE_VERSIONS;
}
