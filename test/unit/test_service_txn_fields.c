/*
 * test_service_txn_fields.c
 *	  Every field of a transactional request reaches its command, and every
 *	  field of an answer reaches its message.
 *
 * Each field has a value of its own here, so that one that is forgotten or
 * taken for another is noticed; what the commands do with them is tested
 * without messages.
 */
#include <stdlib.h>

#include "kvrpcpb.pb-c.h"
#include "service/txn.h"
#include "service_fixture.h"

static RawLimits limits = {
	.max_key_size = 100,
	.max_entry_size = 1000,
	.api = API_V1,
};

/* The request as it was sent and received. */
static TxnRequest *
decode(int method, const ProtobufCMessage *message)
{
	Request request = request_of(method, message);
	size_t len = protobuf_c_message_pack(message, packed);
	uint8_t *bytes = arena_alloc(&arena, len);
	TxnRequest *txn;

	memcpy(bytes, packed, len);
	request.message =
		service_unpack(message->descriptor, bytes_make(bytes, len), &arena);
	txn = txn_decode(&request, &limits);
	if (txn == NULL || answers != 0)
	{
		printf("Bail out! method %d was refused\n", method);
		exit(1);
	}
	return txn;
}

static bool
same(Bytes b, const char *s)
{
	return bytes_eq(b, bytes_cstr(s));
}

static bool
is(ProtobufCBinaryData b, const char *s)
{
	return bytes_eq(bytes_make(b.data, b.len), bytes_cstr(s));
}

/* ------------------------------------------------------------- requests */

static void
test_context(void)
{
	static uint64_t resolved[] = {11, 12};
	static uint64_t accessed[] = {13};
	Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;
	Kvrpcpb__GetRequest message = KVRPCPB__GET_REQUEST__INIT;
	TxnRequest *txn;

	message.context = &context;
	message.key = wire("k");
	message.version = 5;
	message.need_commit_ts = true;
	context.isolation_level = KVRPCPB__ISOLATION_LEVEL__RCCheckTS;
	context.resolved_locks = resolved;
	context.n_resolved_locks = 2;
	context.committed_locks = accessed;
	context.n_committed_locks = 1;
	context.replica_read = true;
	context.txn_source = 6;
	context.is_retry_request = true;
	context.resource_group_tag = wire("tag");
	context.disk_full_opt = KVRPCPB__DISK_FULL_OPT__AllowedOnAlreadyFull;
	context.max_execution_duration_ms = 7;
	context.term = 8;
	txn = decode(METHOD_KV_GET, &message.base);
	OK(txn->read.ts == 5 && txn->read.need_commit_ts && txn->n_keys == 1 &&
		   same(txn->keys[0], "k") && txn->context.read_ts == 5,
	   "get");
	OK(txn->read.isolation == ISOLATION_RC_CHECK_TS, "isolation");
	OK(txn->read.n_resolved_locks == 2 && txn->read.resolved_locks[1] == 12 &&
		   txn->read.n_committed_locks == 1 &&
		   txn->read.committed_locks[0] == 13,
	   "locks to pass over and to read through");
	OK(txn->read.replica_read && txn->context.replica_read, "replica read");
	OK(txn->txn_source == 6 && txn->is_retry_request &&
		   same(txn->resource_group_tag, "tag"),
	   "what goes with the transaction");
	OK(txn->context.disk_full_opt == 2 && txn->context.max_execution_ms == 7 &&
		   txn->context.term == 8,
	   "what goes with the command");

	context.isolation_level = KVRPCPB__ISOLATION_LEVEL__RC;
	context.is_retry_request = context.replica_read = false;
	txn = decode(METHOD_KV_GET, &message.base);
	OK(txn->read.isolation == ISOLATION_RC && !txn->is_retry_request &&
		   !txn->read.replica_read,
	   "and the opposite");
}

static void
test_reads(void)
{
	ProtobufCBinaryData keys[] = {wire("b"), wire("a")};
	Kvrpcpb__BatchGetRequest batch = KVRPCPB__BATCH_GET_REQUEST__INIT;
	Kvrpcpb__BufferBatchGetRequest buffer =
		KVRPCPB__BUFFER_BATCH_GET_REQUEST__INIT;
	Kvrpcpb__ScanRequest scan = KVRPCPB__SCAN_REQUEST__INIT;
	Kvrpcpb__MvccGetByStartTsRequest mvcc =
		KVRPCPB__MVCC_GET_BY_START_TS_REQUEST__INIT;
	TxnRequest *txn;

	batch.keys = keys;
	batch.n_keys = 2;
	batch.version = 5;
	batch.need_commit_ts = true;
	txn = decode(METHOD_KV_BATCH_GET, &batch.base);
	OK(txn->read.ts == 5 && txn->n_keys == 2 && same(txn->keys[0], "b") &&
		   txn->read.need_commit_ts && !txn->buffered,
	   "batch get, in the order asked for");

	buffer.keys = keys;
	buffer.n_keys = 2;
	buffer.version = 6;
	txn = decode(METHOD_KV_BUFFER_BATCH_GET, &buffer.base);
	OK(txn->read.ts == 6 && txn->n_keys == 2 && same(txn->keys[0], "a") &&
		   txn->buffered,
	   "buffered batch get, sorted");

	scan.start_key = wire("s");
	scan.end_key = wire("e");
	scan.limit = 3;
	scan.version = 4;
	scan.sample_step = 5;
	scan.reverse = scan.key_only = true;
	txn = decode(METHOD_KV_SCAN, &scan.base);
	OK(txn->read.ts == 4 && txn->scan.limit == 3 &&
		   txn->scan.sample_step == 5 && txn->scan.reverse &&
		   txn->scan.key_only && same(txn->scan.range.upper, "s") &&
		   same(txn->scan.range.lower, "e"),
	   "reverse scan");
	scan.reverse = scan.key_only = false;
	txn = decode(METHOD_KV_SCAN, &scan.base);
	OK(!txn->scan.reverse && !txn->scan.key_only &&
		   same(txn->scan.range.lower, "s") && same(txn->scan.range.upper, "e"),
	   "scan");

	mvcc.start_ts = 9;
	OK(decode(METHOD_MVCC_GET_BY_START_TS, &mvcc.base)->start_ts == 9,
	   "MVCC by start_ts");
}

static void
test_prewrite(void)
{
	Kvrpcpb__PrewriteRequest message = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations[] = {&mutation};
	Kvrpcpb__PrewriteRequest__ForUpdateTSConstraint constraint =
		KVRPCPB__PREWRITE_REQUEST__FOR_UPDATE_TSCONSTRAINT__INIT;
	Kvrpcpb__PrewriteRequest__ForUpdateTSConstraint *constraints[] = {
		&constraint};
	Kvrpcpb__PrewriteRequest__PessimisticAction actions[] = {
		KVRPCPB__PREWRITE_REQUEST__PESSIMISTIC_ACTION__DO_CONSTRAINT_CHECK};
	ProtobufCBinaryData secondaries[] = {wire("s1"), wire("s2")};
	const PrewriteCommand *c;

	mutation.op = KVRPCPB__OP__Insert;
	mutation.key = wire("k");
	mutation.value = wire("v");
	mutation.assertion = KVRPCPB__ASSERTION__NotExist;
	constraint.index = 0;
	constraint.expected_for_update_ts = 21;
	message.mutations = mutations;
	message.n_mutations = 1;
	message.primary_lock = wire("p");
	message.start_version = 1;
	message.lock_ttl = 2;
	message.skip_constraint_check = true;
	message.pessimistic_actions = actions;
	message.n_pessimistic_actions = 1;
	message.txn_size = 3;
	message.for_update_ts = 4;
	message.min_commit_ts = 5;
	message.use_async_commit = true;
	message.secondaries = secondaries;
	message.n_secondaries = 2;
	message.try_one_pc = true;
	message.max_commit_ts = 6;
	message.assertion_level = KVRPCPB__ASSERTION_LEVEL__Strict;
	message.for_update_ts_constraints = constraints;
	message.n_for_update_ts_constraints = 1;
	c = &decode(METHOD_KV_PREWRITE, &message.base)->command.prewrite;
	OK(c->n_mutations == 1 && c->mutations[0].op == MUTATION_INSERT &&
		   same(c->mutations[0].key, "k") && same(c->mutations[0].value, "v") &&
		   c->mutations[0].assertion == ASSERTION_NOT_EXIST,
	   "a mutation");
	OK(same(c->primary, "p") && c->start_ts == 1 && c->lock_ttl_ms == 2 &&
		   c->txn_size == 3 && c->for_update_ts == 4 && c->min_commit_ts == 5 &&
		   c->max_commit_ts == 6,
	   "numbers of a prewrite");
	OK(c->skip_constraint_check && c->use_async_commit && c->try_one_pc,
	   "flags of a prewrite");
	OK(c->n_actions == 1 && c->actions[0] == DO_CONSTRAINT_CHECK &&
		   c->n_constraints == 1 && c->constraints[0].index == 0 &&
		   c->constraints[0].expected_for_update_ts == 21,
	   "actions and constraints");
	OK(c->n_secondaries == 2 && same(c->secondaries[1], "s2") &&
		   c->assertion_level == ASSERTION_LEVEL_STRICT,
	   "secondaries and the assertion level");

	message.skip_constraint_check = message.use_async_commit = false;
	message.try_one_pc = false;
	c = &decode(METHOD_KV_PREWRITE, &message.base)->command.prewrite;
	OK(!c->skip_constraint_check && !c->use_async_commit && !c->try_one_pc,
	   "and the opposite");
}

static void
test_flush(void)
{
	Kvrpcpb__FlushRequest message = KVRPCPB__FLUSH_REQUEST__INIT;
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations[] = {&mutation};
	const TxnRequest *txn;
	const PrewriteCommand *c;

	mutation.key = wire("k");
	message.mutations = mutations;
	message.n_mutations = 1;
	message.primary_key = wire("p");
	message.start_ts = 1;
	message.generation = 2;
	message.lock_ttl = 3;
	message.assertion_level = KVRPCPB__ASSERTION_LEVEL__Fast;
	txn = decode(METHOD_KV_FLUSH, &message.base);
	c = &txn->command.prewrite;
	OK(txn->command.kind == TXN_CMD_FLUSH && c->n_mutations == 1 &&
		   same(c->primary, "p") && c->start_ts == 1 && c->generation == 2 &&
		   c->lock_ttl_ms == 3 && c->assertion_level == ASSERTION_LEVEL_FAST,
	   "flush");
}

static void
test_endings(void)
{
	ProtobufCBinaryData keys[] = {wire("a"), wire("b")};
	Kvrpcpb__CommitRequest commit = KVRPCPB__COMMIT_REQUEST__INIT;
	Kvrpcpb__BatchRollbackRequest rollback =
		KVRPCPB__BATCH_ROLLBACK_REQUEST__INIT;
	Kvrpcpb__CleanupRequest cleanup = KVRPCPB__CLEANUP_REQUEST__INIT;
	Kvrpcpb__PessimisticRollbackRequest give =
		KVRPCPB__PESSIMISTIC_ROLLBACK_REQUEST__INIT;
	Kvrpcpb__TxnHeartBeatRequest beat = KVRPCPB__TXN_HEART_BEAT_REQUEST__INIT;
	const TxnCommand *c;

	commit.keys = rollback.keys = give.keys = keys;
	commit.n_keys = rollback.n_keys = give.n_keys = 2;
	commit.start_version = rollback.start_version = give.start_version = 1;
	commit.commit_version = 2;
	c = &decode(METHOD_KV_COMMIT, &commit.base)->command;
	OK(c->commit.n_keys == 2 && same(c->commit.keys[1], "b") &&
		   c->commit.start_ts == 1 && c->commit.commit_ts == 2,
	   "commit");
	c = &decode(METHOD_KV_BATCH_ROLLBACK, &rollback.base)->command;
	OK(c->batch_rollback.n_keys == 2 && same(c->batch_rollback.keys[1], "b") &&
		   c->batch_rollback.start_ts == 1,
	   "batch rollback");
	give.for_update_ts = 3;
	c = &decode(METHOD_KV_PESSIMISTIC_ROLLBACK, &give.base)->command;
	OK(c->pessimistic_rollback.n_keys == 2 &&
		   same(c->pessimistic_rollback.keys[0], "a") &&
		   c->pessimistic_rollback.start_ts == 1 &&
		   c->pessimistic_rollback.for_update_ts == 3,
	   "pessimistic rollback");
	cleanup.key = wire("k");
	cleanup.start_version = 1;
	cleanup.current_ts = 2;
	c = &decode(METHOD_KV_CLEANUP, &cleanup.base)->command;
	OK(same(c->cleanup.key, "k") && c->cleanup.start_ts == 1 &&
		   c->cleanup.current_ts == 2,
	   "cleanup");
	beat.primary_lock = wire("p");
	beat.start_version = 1;
	beat.advise_lock_ttl = 2;
	beat.min_commit_ts = 3;
	c = &decode(METHOD_KV_TXN_HEART_BEAT, &beat.base)->command;
	OK(same(c->txn_heart_beat.primary_key, "p") &&
		   c->txn_heart_beat.start_ts == 1 &&
		   c->txn_heart_beat.advise_lock_ttl_ms == 2 &&
		   c->txn_heart_beat.min_commit_ts == 3,
	   "heartbeat");
}

/* One flag at a time, so that none is taken for another. */
static void
test_status_flags(Kvrpcpb__CheckTxnStatusRequest *message)
{
	protobuf_c_boolean *flags[] = {&message->rollback_if_not_exist,
								   &message->force_sync_commit,
								   &message->resolving_pessimistic_lock,
								   &message->verify_is_primary};

	for (size_t i = 0; i < 4; i++)
	{
		const CheckTxnStatusCommand *c;
		bool got[4];
		bool right = true;

		*flags[i] = true;
		c = &decode(METHOD_KV_CHECK_TXN_STATUS, &message->base)
				 ->command.check_txn_status;
		*flags[i] = false;
		got[0] = c->rollback_if_not_exist;
		got[1] = c->force_sync_commit;
		got[2] = c->resolving_pessimistic_lock;
		got[3] = c->verify_is_primary;
		for (size_t j = 0; j < 4; j++)
			right = right && got[j] == (i == j);
		OK(right, "one flag of a status check, and no other");
	}
}

static void
test_questions(void)
{
	ProtobufCBinaryData keys[] = {wire("a"), wire("b")};
	Kvrpcpb__CheckTxnStatusRequest status =
		KVRPCPB__CHECK_TXN_STATUS_REQUEST__INIT;
	Kvrpcpb__CheckSecondaryLocksRequest second =
		KVRPCPB__CHECK_SECONDARY_LOCKS_REQUEST__INIT;
	Kvrpcpb__ScanLockRequest scan = KVRPCPB__SCAN_LOCK_REQUEST__INIT;
	const TxnCommand *c;

	status.primary_key = wire("p");
	status.lock_ts = 1;
	status.caller_start_ts = 2;
	status.current_ts = 3;
	c = &decode(METHOD_KV_CHECK_TXN_STATUS, &status.base)->command;
	OK(same(c->check_txn_status.primary_key, "p") &&
		   c->check_txn_status.lock_ts == 1 &&
		   c->check_txn_status.caller_start_ts == 2 &&
		   c->check_txn_status.current_ts == 3,
	   "status check");
	test_status_flags(&status);
	second.keys = keys;
	second.n_keys = 2;
	second.start_version = 1;
	c = &decode(METHOD_KV_CHECK_SECONDARY_LOCKS, &second.base)->command;
	OK(c->check_secondary_locks.n_keys == 2 &&
		   same(c->check_secondary_locks.keys[1], "b") &&
		   c->check_secondary_locks.start_ts == 1,
	   "check of secondaries");
	scan.max_version = 1;
	scan.start_key = wire("a");
	scan.end_key = wire("z");
	scan.limit = 2;
	c = &decode(METHOD_KV_SCAN_LOCK, &scan.base)->command;
	OK(c->scan_lock.max_ts == 1 && c->scan_lock.limit == 2 &&
		   same(c->scan_lock.range.lower, "a") &&
		   same(c->scan_lock.range.upper, "z"),
	   "scan of locks");
}

static void
test_resolve(void)
{
	ProtobufCBinaryData keys[] = {wire("a")};
	Kvrpcpb__ResolveLockRequest message = KVRPCPB__RESOLVE_LOCK_REQUEST__INIT;
	Kvrpcpb__TxnInfo infos[] = {KVRPCPB__TXN_INFO__INIT,
								KVRPCPB__TXN_INFO__INIT};
	Kvrpcpb__TxnInfo *list[] = {&infos[0], &infos[1]};
	const ResolveLockCommand *c;

	message.start_version = 1;
	message.commit_version = 2;
	message.keys = keys;
	message.n_keys = 1;
	c = &decode(METHOD_KV_RESOLVE_LOCK, &message.base)->command.resolve_lock;
	OK(c->n_txns == 1 && c->txns[0].start_ts == 1 &&
		   c->txns[0].commit_ts == 2 && c->n_keys == 1 && same(c->keys[0], "a"),
	   "resolve of keys");
	message = (Kvrpcpb__ResolveLockRequest) KVRPCPB__RESOLVE_LOCK_REQUEST__INIT;
	infos[0].txn = 7;
	infos[0].status = 8;
	infos[1].txn = 5;
	message.txn_infos = list;
	message.n_txn_infos = 2;
	c = &decode(METHOD_KV_RESOLVE_LOCK, &message.base)->command.resolve_lock;
	OK(c->n_txns == 2 && c->n_keys == 0 && c->txns[0].start_ts == 5 &&
		   c->txns[0].commit_ts == 0 && c->txns[1].start_ts == 7 &&
		   c->txns[1].commit_ts == 8,
	   "resolve of several transactions, sorted");
}

static void
test_lock_flags(Kvrpcpb__PessimisticLockRequest *message)
{
	protobuf_c_boolean *flags[] = {&message->is_first_lock,
								   &message->return_values,
								   &message->check_existence,
								   &message->lock_only_if_exists};

	for (size_t i = 0; i < 4; i++)
	{
		const PessimisticLockCommand *c;
		bool got[4];
		bool right = true;

		*flags[i] = true;
		c = &decode(METHOD_KV_PESSIMISTIC_LOCK, &message->base)
				 ->command.pessimistic_lock;
		*flags[i] = false;
		got[0] = c->is_first_lock;
		got[1] = c->return_values;
		got[2] = c->check_existence;
		got[3] = c->lock_only_if_exists;
		for (size_t j = 0; j < 4; j++)
			right = right && got[j] == (i == j);
		OK(right && !c->allow_lock_with_conflict && !c->resumed,
		   "one flag of a lock, and no other");
	}
}

static void
test_lock(void)
{
	Kvrpcpb__PessimisticLockRequest message =
		KVRPCPB__PESSIMISTIC_LOCK_REQUEST__INIT;
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations[] = {&mutation};
	const PessimisticLockCommand *c;

	mutation.op = KVRPCPB__OP__PessimisticLock;
	mutation.key = wire("k");
	mutation.assertion = KVRPCPB__ASSERTION__NotExist;
	message.mutations = mutations;
	message.n_mutations = 1;
	message.primary_lock = wire("p");
	message.start_version = 1;
	message.lock_ttl = 2;
	message.for_update_ts = 3;
	message.wait_timeout = -4;
	message.min_commit_ts = 5;
	test_lock_flags(&message);
	message.wake_up_mode =
		KVRPCPB__PESSIMISTIC_LOCK_WAKE_UP_MODE__WakeUpModeForceLock;
	c = &decode(METHOD_KV_PESSIMISTIC_LOCK, &message.base)
			 ->command.pessimistic_lock;
	OK(c->n_mutations == 1 && c->mutations[0].op == MUTATION_PESSIMISTIC_LOCK &&
		   c->mutations[0].assertion == ASSERTION_NOT_EXIST &&
		   same(c->primary, "p") && c->start_ts == 1 && c->lock_ttl_ms == 2 &&
		   c->for_update_ts == 3 && c->wait_timeout_ms == -4 &&
		   c->min_commit_ts == 5 && c->allow_lock_with_conflict,
	   "pessimistic lock");
}

static void
test_range_commands(void)
{
	Kvrpcpb__DeleteRangeRequest remove = KVRPCPB__DELETE_RANGE_REQUEST__INIT;
	Kvrpcpb__PrepareFlashbackToVersionRequest prepare =
		KVRPCPB__PREPARE_FLASHBACK_TO_VERSION_REQUEST__INIT;
	Kvrpcpb__FlashbackToVersionRequest back =
		KVRPCPB__FLASHBACK_TO_VERSION_REQUEST__INIT;
	const TxnRequest *txn;

	remove.start_key = prepare.start_key = back.start_key = wire("a");
	remove.end_key = prepare.end_key = back.end_key = wire("z");
	remove.notify_only = true;
	txn = decode(METHOD_KV_DELETE_RANGE, &remove.base);
	OK(txn->command.delete_range.notify_only &&
		   same(txn->command.delete_range.range.lower, "a") &&
		   same(txn->command.delete_range.range.upper, "z"),
	   "delete range");
	prepare.version = back.version = 1;
	prepare.start_ts = back.start_ts = 2;
	back.commit_ts = 3;
	txn = decode(METHOD_KV_PREPARE_FLASHBACK, &prepare.base);
	OK(txn->command.kind == TXN_CMD_FLASHBACK_ROLLBACK_LOCKS &&
		   txn->command.flashback.version == 1 &&
		   txn->command.flashback.start_ts == 2 && txn->context.flashback &&
		   same(txn->command.flashback.range.upper, "z"),
	   "preparation of a flashback");
	txn = decode(METHOD_KV_FLASHBACK_TO_VERSION, &back.base);
	OK(txn->command.kind == TXN_CMD_FLASHBACK_WRITE &&
		   txn->command.flashback.version == 1 &&
		   txn->command.flashback.start_ts == 2 &&
		   txn->command.flashback.commit_ts == 3 &&
		   same(txn->command.flashback.range.lower, "a"),
	   "flashback");
}

/* -------------------------------------------------------------- answers */

static void *
answer(int method, const TxnCommand *command, const TxnAnswer *from)
{
	TxnRequest txn = {.command = *command};
	Request request = request_of(method, NULL);

	txn_answer(&request, &txn, from);
	OK(answers == 1, "one answer");
	return service_unpack(packed_type, bytes_make(packed, packed_len), &arena);
}

static void
test_plain_answers(void)
{
	TxnCommand c = {.kind = TXN_CMD_PREWRITE};
	TxnAnswer from = {.min_commit_ts = 1,
					  .one_pc_commit_ts = 2,
					  .commit_ts = 3,
					  .action = ACTION_MIN_COMMIT_TS_PUSHED,
					  .lock_ttl_ms = 4,
					  .has_lock = true};
	LockInfo locks[2] = {{.key = bytes_cstr("a")}, {.key = bytes_cstr("b")}};
	const Kvrpcpb__PrewriteResponse *prewrite;
	const Kvrpcpb__CheckTxnStatusResponse *status;
	const Kvrpcpb__CheckSecondaryLocksResponse *second;

	prewrite = answer(METHOD_KV_PREWRITE, &c, &from);
	OK(prewrite->min_commit_ts == 1 && prewrite->one_pc_commit_ts == 2,
	   "prewrite");
	c.kind = TXN_CMD_COMMIT;
	OK(((const Kvrpcpb__CommitResponse *) answer(METHOD_KV_COMMIT, &c, &from))
			   ->commit_version == 3,
	   "commit");
	c.kind = TXN_CMD_CLEANUP;
	OK(((const Kvrpcpb__CleanupResponse *) answer(METHOD_KV_CLEANUP, &c, &from))
			   ->commit_version == 3,
	   "cleanup");
	c.kind = TXN_CMD_TXN_HEART_BEAT;
	OK(((const Kvrpcpb__TxnHeartBeatResponse *) answer(METHOD_KV_TXN_HEART_BEAT,
													   &c, &from))
			   ->lock_ttl == 4,
	   "heartbeat");
	c.kind = TXN_CMD_CHECK_TXN_STATUS;
	from.lock.key = bytes_cstr("p");
	status = answer(METHOD_KV_CHECK_TXN_STATUS, &c, &from);
	OK(status->lock_ttl == 4 && status->commit_version == 3 &&
		   status->action == KVRPCPB__ACTION__MinCommitTSPushed &&
		   status->lock_info != NULL && is(status->lock_info->key, "p"),
	   "status check");
	from.has_lock = false;
	status = answer(METHOD_KV_CHECK_TXN_STATUS, &c, &from);
	OK(status->lock_info == NULL, "status check without a lock");
	c.kind = TXN_CMD_CHECK_SECONDARY_LOCKS;
	from.locks = locks;
	from.n_locks = 2;
	second = answer(METHOD_KV_CHECK_SECONDARY_LOCKS, &c, &from);
	OK(second->commit_ts == 3 && second->n_locks == 2 &&
		   is(second->locks[1]->key, "b"),
	   "check of secondaries");
}

/* What a lock request answers, by what it asked for (txn-semantics 15.3 row 1
 * and txn-semantics 15.3 row 2, txn-semantics 15.3 row 3). */
static void
test_lock_values(void)
{
	TxnCommand c = {.kind = TXN_CMD_PESSIMISTIC_LOCK};
	PessimisticLockResult results[2] = {{.exists = true,
										 .value = bytes_cstr("v")},
										{.exists = false}};
	TxnAnswer from = {.results = results, .n_results = 2};
	const Kvrpcpb__PessimisticLockResponse *lock;

	lock = answer(METHOD_KV_PESSIMISTIC_LOCK, &c, &from);
	OK(lock->n_values == 0 && lock->n_not_founds == 0 && lock->n_results == 0,
	   "neither values nor existence");
	c.pessimistic_lock.check_existence = true;
	lock = answer(METHOD_KV_PESSIMISTIC_LOCK, &c, &from);
	OK(lock->n_values == 0 && lock->n_not_founds == 2 && !lock->not_founds[0] &&
		   lock->not_founds[1],
	   "existence alone");
	c.pessimistic_lock.return_values = true;
	lock = answer(METHOD_KV_PESSIMISTIC_LOCK, &c, &from);
	OK(lock->n_values == 2 && is(lock->values[0], "v") &&
		   is(lock->values[1], "") && lock->n_not_founds == 2 &&
		   !lock->not_founds[0] && lock->not_founds[1],
	   "values");
	c.pessimistic_lock.allow_lock_with_conflict = true;
	results[0].kind = LOCK_RESULT_LOCKED_WITH_CONFLICT;
	results[0].locked_with_conflict_ts = 9;
	from.n_results = 1;
	lock = answer(METHOD_KV_PESSIMISTIC_LOCK, &c, &from);
	OK(lock->n_results == 1 && lock->n_values == 0 &&
		   lock->results[0]->existence && is(lock->results[0]->value, "v") &&
		   lock->results[0]->locked_with_conflict_ts == 9 &&
		   lock->results[0]->type ==
			   KVRPCPB__PESSIMISTIC_LOCK_KEY_RESULT_TYPE__LockResultLockedWithConflict,
	   "a forced lock");
}

/* Which errors of a forced lock count as its result (txn-semantics 15.3 row 5)
 */
static void
test_lock_failures(void)
{
	static const struct
	{
		TxnErrorKind kind;
		bool resumed;
		bool keep_effects;
		size_t n_results;
	} cases[] = {
		{TXN_KEY_IS_LOCKED, false, false, 1},
		{TXN_KEY_IS_LOCKED, false, true, 0},
		{TXN_DEADLOCK, false, false, 1},
		{TXN_WRITE_CONFLICT, false, false, 0},
		{TXN_WRITE_CONFLICT, true, false, 1},
		{TXN_ALREADY_EXIST, false, false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		TxnCommand c = {.kind = TXN_CMD_PESSIMISTIC_LOCK};
		TxnError error = {.kind = cases[i].kind};
		TxnAnswer from = {.errors = &error,
						  .n_errors = 1,
						  .keep_effects = cases[i].keep_effects};
		const Kvrpcpb__PessimisticLockResponse *lock;

		c.pessimistic_lock.allow_lock_with_conflict = true;
		c.pessimistic_lock.resumed = cases[i].resumed;
		lock = answer(METHOD_KV_PESSIMISTIC_LOCK, &c, &from);
		OK(lock->n_errors == 1 && lock->n_results == cases[i].n_results,
		   "failure of a forced lock");
		if (lock->n_results == 1)
			OK(lock->results[0]->type ==
				   KVRPCPB__PESSIMISTIC_LOCK_KEY_RESULT_TYPE__LockResultFailed,
			   "its result");
	}
}

int
main(void)
{
	arena_init(&arena);
	test_context();
	test_reads();
	test_prewrite();
	test_flush();
	test_endings();
	test_questions();
	test_resolve();
	test_lock();
	test_range_commands();
	test_plain_answers();
	test_lock_values();
	test_lock_failures();
	arena_free(&arena);
	return unit_done();
}
