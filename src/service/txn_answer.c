/*
 * txn_answer.c
 *	  Answers of transaction commands -> kvrpcpb messages.
 *
 * A response carries either a region error or the errors of keys; which
 * field holds the latter is the message's, so it is found by its descriptor.
 */
#include "core/base/check.h"
#include "core/base/rpc_code.h"
#include "service/messages.h"
#include "service/txn.h"

static ProtobufCBinaryData
to_wire(Bytes b)
{
	ProtobufCBinaryData out = {b.len, (uint8_t *) b.data};

	return out;
}

/* --------------------------------------------------------------- errors */

static const ProtobufCFieldDescriptor *
field_named(const ProtobufCMessage *message, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
														   name);
}

static void *
field_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (uint8_t *) message + field->offset;
}

/* `errors` of several messages, `error` (a message or a text) of the others. */
static void
set_error(ProtobufCMessage *reply, Kvrpcpb__KeyError *error, Arena *arena)
{
	const ProtobufCFieldDescriptor *field = field_named(reply, "errors");

	if (field != NULL)
	{
		Kvrpcpb__KeyError **errors = arena_alloc(arena, sizeof(*errors));

		errors[0] = error;
		*(Kvrpcpb__KeyError ***) field_at(reply, field) = errors;
		*(size_t *) ((uint8_t *) reply + field->quantifier_offset) = 1;
		return;
	}
	field = field_named(reply, "error");
	CHECK(field != NULL);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		*(Kvrpcpb__KeyError **) field_at(reply, field) = error;
	else
		*(const char **) field_at(reply, field) =
			error->abort != NULL ? error->abort : "the key is locked";
}

void
txn_answer_error(Request *request, const TxnRequest *txn, const TxnError *error)
{
	ProtobufCMessage *reply;
	RegionError region_error;

	if (txn_is_region_error(error, txn->context.region_id, &region_error))
	{
		service_region_error(request, &region_error);
		return;
	}
	reply = service_new_message(request->method->response, request->arena);
	set_error(reply, txn_key_error(error, request->arena), request->arena);
	request->done(request, reply);
}

void
txn_answer_abort(Request *request, const char *text)
{
	static const TxnRequest nobody;
	TxnError error = {.kind = TXN_ABORT, .text = text};

	txn_answer_error(request, &nobody, &error);
}

const char *
txn_collected_text(uint64_t ts, uint64_t safe_point, Arena *arena)
{
	return arena_printf(
		arena,
		"TxnAbortedByGC: timestamp %llu is below the GC safe point %llu, versions that it would see may be gone",
		(unsigned long long) ts, (unsigned long long) safe_point);
}

/* Of several keys as txn-semantics 23.4 has it. */
void
txn_answer_read_error(Request *request, const char *text)
{
	TxnError error = {.kind = TXN_ABORT, .text = text};
	ProtobufCMessage *reply =
		service_new_message(request->method->response, request->arena);

	set_error(reply, txn_key_error(&error, request->arena), request->arena);
	if (request->method->id == METHOD_KV_BATCH_GET ||
		request->method->id == METHOD_KV_SCAN)
		service_set_pair_error(reply, text, request->arena);
	request->done(request, reply);
}

void
txn_answer_collected(Request *request, uint64_t ts, uint64_t safe_point)
{
	txn_answer_read_error(request,
						  txn_collected_text(ts, safe_point, request->arena));
}

/* ------------------------------------------------------------ successes */

static Kvrpcpb__LockInfo **
lock_messages(const LockInfo *locks, size_t n, Arena *arena)
{
	Kvrpcpb__LockInfo **out = arena_alloc(arena, n * sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = txn_lock_info_message(&locks[i], arena);
	return out;
}

static void
answer_prewrite(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__PrewriteResponse reply = KVRPCPB__PREWRITE_RESPONSE__INIT;

	reply.min_commit_ts = answer->min_commit_ts;
	reply.one_pc_commit_ts = answer->one_pc_commit_ts;
	request->done(request, &reply.base);
}

static void
answer_commit(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__CommitResponse reply = KVRPCPB__COMMIT_RESPONSE__INIT;

	reply.commit_version = answer->commit_ts;
	request->done(request, &reply.base);
}

static void
answer_cleanup(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__CleanupResponse reply = KVRPCPB__CLEANUP_RESPONSE__INIT;

	reply.commit_version = answer->commit_ts;
	request->done(request, &reply.base);
}

static void
answer_check_txn_status(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__CheckTxnStatusResponse reply =
		KVRPCPB__CHECK_TXN_STATUS_RESPONSE__INIT;

	reply.lock_ttl = answer->lock_ttl_ms;
	reply.commit_version = answer->commit_ts;
	reply.action = (Kvrpcpb__Action) answer->action;
	if (answer->has_lock)
		reply.lock_info = txn_lock_info_message(&answer->lock, request->arena);
	request->done(request, &reply.base);
}

static void
answer_check_secondary_locks(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__CheckSecondaryLocksResponse reply =
		KVRPCPB__CHECK_SECONDARY_LOCKS_RESPONSE__INIT;

	reply.commit_ts = answer->commit_ts;
	reply.n_locks = answer->n_locks;
	reply.locks = lock_messages(answer->locks, answer->n_locks, request->arena);
	request->done(request, &reply.base);
}

static void
answer_scan_lock(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__ScanLockResponse reply = KVRPCPB__SCAN_LOCK_RESPONSE__INIT;

	reply.n_locks = answer->n_locks;
	reply.locks = lock_messages(answer->locks, answer->n_locks, request->arena);
	request->done(request, &reply.base);
}

static void
answer_heart_beat(Request *request, const TxnAnswer *answer)
{
	Kvrpcpb__TxnHeartBeatResponse reply =
		KVRPCPB__TXN_HEART_BEAT_RESPONSE__INIT;

	reply.lock_ttl = answer->lock_ttl_ms;
	request->done(request, &reply.base);
}

/* ---- pessimistic lock (txn-semantics 15.3) ---- */

static void
fill_values(Kvrpcpb__PessimisticLockResponse *reply, const TxnAnswer *answer,
			const PessimisticLockCommand *command, Arena *arena)
{
	size_t n = answer->n_results;

	if (!command->return_values && !command->check_existence)
		return;
	reply->n_not_founds = n;
	reply->not_founds = arena_alloc(arena, n * sizeof(*reply->not_founds));
	for (size_t i = 0; i < n; i++)
		reply->not_founds[i] = !answer->results[i].exists;
	if (!command->return_values)
		return;
	reply->n_values = n;
	reply->values = arena_alloc(arena, n * sizeof(*reply->values));
	for (size_t i = 0; i < n; i++)
		reply->values[i] = to_wire(answer->results[i].value);
}

static Kvrpcpb__PessimisticLockKeyResult *
result_message(const PessimisticLockResult *result, Arena *arena)
{
	Kvrpcpb__PessimisticLockKeyResult *out = arena_alloc(arena, sizeof(*out));

	kvrpcpb__pessimistic_lock_key_result__init(out);
	out->type = (Kvrpcpb__PessimisticLockKeyResultType) result->kind;
	out->existence = result->exists;
	out->value = to_wire(result->value);
	out->locked_with_conflict_ts = result->locked_with_conflict_ts;
	return out;
}

static void
fill_results(Kvrpcpb__PessimisticLockResponse *reply,
			 const PessimisticLockResult *results, size_t n, Arena *arena)
{
	reply->n_results = n;
	reply->results = arena_alloc(arena, n * sizeof(*reply->results));
	for (size_t i = 0; i < n; i++)
		reply->results[i] = result_message(&results[i], arena);
}

static void
answer_pessimistic_lock(Request *request, const TxnRequest *txn,
						const TxnAnswer *answer)
{
	const PessimisticLockCommand *command = &txn->command.pessimistic_lock;
	Kvrpcpb__PessimisticLockResponse reply =
		KVRPCPB__PESSIMISTIC_LOCK_RESPONSE__INIT;

	if (command->allow_lock_with_conflict)
		fill_results(&reply, answer->results, answer->n_results,
					 request->arena);
	else
		fill_values(&reply, answer, command, request->arena);
	request->done(request, &reply.base);
}

void
txn_answer_lock_failed(Request *request, const TxnRequest *txn,
					   const TxnError *error)
{
	static const PessimisticLockResult failed = {.kind = LOCK_RESULT_FAILED};
	Kvrpcpb__PessimisticLockResponse reply =
		KVRPCPB__PESSIMISTIC_LOCK_RESPONSE__INIT;
	RegionError region_error;

	if (txn_is_region_error(error, txn->context.region_id, &region_error))
	{
		service_region_error(request, &region_error);
		return;
	}
	if (txn->command.pessimistic_lock.allow_lock_with_conflict)
		fill_results(&reply, &failed, 1, request->arena);
	set_error(&reply.base, txn_key_error(error, request->arena),
			  request->arena);
	request->done(request, &reply.base);
}

/* ------------------------------------------------------------- the table */

static void
answer_errors(Request *request, const TxnRequest *txn, const TxnAnswer *answer)
{
	Kvrpcpb__PrewriteResponse reply = KVRPCPB__PREWRITE_RESPONSE__INIT;
	Kvrpcpb__FlushResponse flush = KVRPCPB__FLUSH_RESPONSE__INIT;
	Kvrpcpb__KeyError **errors;

	if (answer->n_errors == 1)
	{
		txn_answer_error(request, txn, &answer->errors[0]);
		return;
	}
	errors = arena_alloc(request->arena, answer->n_errors * sizeof(*errors));
	for (size_t i = 0; i < answer->n_errors; i++)
		errors[i] = txn_key_error(&answer->errors[i], request->arena);
	if (txn->command.kind == TXN_CMD_FLUSH)
	{
		flush.errors = errors;
		flush.n_errors = answer->n_errors;
		request->done(request, &flush.base);
		return;
	}
	CHECK(txn->command.kind == TXN_CMD_PREWRITE);
	reply.errors = errors;
	reply.n_errors = answer->n_errors;
	request->done(request, &reply.base);
}

/* The errors of a lock request that count as its key's result (15.3). */
static bool
fails_as_result(const TxnRequest *txn, const TxnAnswer *answer)
{
	const PessimisticLockCommand *command = &txn->command.pessimistic_lock;
	TxnErrorKind kind = answer->errors[0].kind;

	if (txn->command.kind != TXN_CMD_PESSIMISTIC_LOCK ||
		!command->allow_lock_with_conflict)
		return false;
	return command->resumed || kind == TXN_DEADLOCK ||
		(kind == TXN_KEY_IS_LOCKED && !answer->keep_effects);
}

void
txn_answer(Request *request, const TxnRequest *txn, const TxnAnswer *answer)
{
	if (answer->n_errors > 0)
	{
		if (fails_as_result(txn, answer))
			txn_answer_lock_failed(request, txn, &answer->errors[0]);
		else
			answer_errors(request, txn, answer);
		return;
	}
	switch (txn->command.kind)
	{
		case TXN_CMD_PREWRITE:
			answer_prewrite(request, answer);
			break;
		case TXN_CMD_COMMIT:
			answer_commit(request, answer);
			break;
		case TXN_CMD_CLEANUP:
			answer_cleanup(request, answer);
			break;
		case TXN_CMD_CHECK_TXN_STATUS:
			answer_check_txn_status(request, answer);
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			answer_check_secondary_locks(request, answer);
			break;
		case TXN_CMD_SCAN_LOCK:
			answer_scan_lock(request, answer);
			break;
		case TXN_CMD_TXN_HEART_BEAT:
			answer_heart_beat(request, answer);
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			answer_pessimistic_lock(request, txn, answer);
			break;
		default:
			request->done(request,
						  service_new_message(request->method->response,
											  request->arena));
			break;
	}
}
