/*
 * test_service_txn_client.c
 *	  What a client sends is what the service understands, and what the service
 *	  answers is what the client is told.
 *
 * Each side is the other's mirror: a command goes through both and must come
 * out as it was.
 */
#include "core/base/rpc_code.h"
#include "errorpb.pb-c.h"
#include "service/relay.h"
#include "service/messages.h"
#include "service/txn.h"
#include "service/txn_client.h"
#include "unit.h"

#define K(s) bytes_cstr(s)

static RawLimits limits = {.max_key_size = 1000,
						   .max_entry_size = 10000,
						   .api = API_V1};
static Arena arena;
static uint8_t packed[65536];
static size_t packed_len;
static int answers;

static void
on_done(Request *request, const ProtobufCMessage *reply)
{
	(void) request;
	answers++;
	packed_len = protobuf_c_message_pack(reply, packed);
}

static void
on_fail(Request *request, int code, const char *text)
{
	(void) request;
	(void) code;
	(void) text;
	answers += 100;
}

static Request request;
static Kvrpcpb__Context context;

/* Over the wire and back; NULL if the service would not take it. */
static TxnRequest *
through(const TxnCommand *command)
{
	const ServiceMethod *method =
		service_method(txn_client_method(command->kind));
	ProtobufCMessage *message;

	kvrpcpb__context__init(&context);
	context.region_id = 7;
	message = txn_client_request(command, &context, &arena);
	OK(message->descriptor == method->request, "the request of its method");
	packed_len = protobuf_c_message_pack(message, packed);
	memset(&request, 0, sizeof(request));
	request.method = method;
	request.message =
		service_unpack(method->request, bytes_make(packed, packed_len), &arena);
	request.arena = &arena;
	request.done = on_done;
	request.fail = on_fail;
	answers = 0;
	return txn_decode(&request, &limits);
}

static void
same_keys(const Bytes *got, size_t n_got, const Bytes *want, size_t n_want)
{
	bool same = n_got == n_want;

	for (size_t i = 0; same && i < n_want; i++)
		same = bytes_eq(got[i], want[i]);
	OK(same, "its keys");
}

static void
same_mutations(const Mutation *got, size_t n_got, const Mutation *want,
			   size_t n_want)
{
	bool same = n_got == n_want;

	for (size_t i = 0; same && i < n_want; i++)
		same = got[i].op == want[i].op && bytes_eq(got[i].key, want[i].key) &&
			bytes_eq(got[i].value, want[i].value) &&
			got[i].assertion == want[i].assertion;
	OK(same, "its mutations");
}

/* ---------------------------------------------------------------- requests */

static void
test_prewrite(void)
{
	Mutation mutations[] = {{.op = MUTATION_PUT,
							 .key = K("a"),
							 .value = K("1")},
							{.op = MUTATION_DELETE, .key = K("b")},
							{.op = MUTATION_LOCK, .key = K("c")},
							{.op = MUTATION_INSERT,
							 .key = K("d"),
							 .value = K(""),
							 .assertion = ASSERTION_NOT_EXIST}};
	PessimisticAction actions[] = {DO_PESSIMISTIC_CHECK, DO_CONSTRAINT_CHECK,
								   SKIP_PESSIMISTIC_CHECK,
								   DO_PESSIMISTIC_CHECK};
	Bytes secondaries[] = {K("b"), K("c")};
	TxnCommand command = {.kind = TXN_CMD_PREWRITE};
	PrewriteCommand *want = &command.prewrite;
	const PrewriteCommand *got;
	TxnRequest *txn;

	want->mutations = mutations;
	want->n_mutations = 4;
	want->primary = K("a");
	want->start_ts = 10;
	want->lock_ttl_ms = 3000;
	want->skip_constraint_check = true;
	want->actions = actions;
	want->n_actions = 4;
	want->txn_size = 4;
	want->for_update_ts = 11;
	want->min_commit_ts = 12;
	want->use_async_commit = true;
	want->secondaries = secondaries;
	want->n_secondaries = 2;
	want->try_one_pc = true;
	want->max_commit_ts = 99;
	want->assertion_level = ASSERTION_LEVEL_FAST;
	txn = through(&command);
	OK(txn != NULL && txn->command.kind == TXN_CMD_PREWRITE &&
		   txn->context.region_id == 7,
	   "a prewrite");
	got = &txn->command.prewrite;
	same_mutations(got->mutations, got->n_mutations, mutations, 4);
	same_keys(got->secondaries, got->n_secondaries, secondaries, 2);
	OK(bytes_eq(got->primary, want->primary) && got->start_ts == 10 &&
		   got->lock_ttl_ms == 3000 && got->skip_constraint_check &&
		   got->txn_size == 4 && got->for_update_ts == 11 &&
		   got->min_commit_ts == 12 && got->use_async_commit &&
		   got->try_one_pc && got->max_commit_ts == 99 &&
		   got->assertion_level == ASSERTION_LEVEL_FAST,
	   "and all else");
	OK(got->n_actions == 4 &&
		   memcmp(got->actions, actions, sizeof(actions)) == 0,
	   "and its actions");
}

static void
test_lists(void)
{
	static const TxnStatusOf fate = {.start_ts = 10, .commit_ts = 20};
	Bytes keys[] = {K("a"), K("b")};
	TxnCommand command = {.kind = TXN_CMD_COMMIT};
	TxnRequest *txn;

	command.commit = (CommitCommand){.keys = keys,
									 .n_keys = 2,
									 .start_ts = 10,
									 .commit_ts = 20};
	txn = through(&command);
	same_keys(txn->command.commit.keys, txn->command.commit.n_keys, keys, 2);
	OK(txn->command.commit.start_ts == 10 &&
		   txn->command.commit.commit_ts == 20,
	   "a commit");

	command.kind = TXN_CMD_BATCH_ROLLBACK;
	command.batch_rollback =
		(BatchRollbackCommand){.keys = keys, .n_keys = 2, .start_ts = 10};
	txn = through(&command);
	same_keys(txn->command.batch_rollback.keys,
			  txn->command.batch_rollback.n_keys, keys, 2);

	command.kind = TXN_CMD_CHECK_SECONDARY_LOCKS;
	command.check_secondary_locks =
		(CheckSecondaryLocksCommand){.keys = keys, .n_keys = 2, .start_ts = 10};
	txn = through(&command);
	same_keys(txn->command.check_secondary_locks.keys,
			  txn->command.check_secondary_locks.n_keys, keys, 2);

	command.kind = TXN_CMD_RESOLVE_LOCK;
	command.resolve_lock = (ResolveLockCommand){.txns = &fate,
												.n_txns = 1,
												.keys = keys,
												.n_keys = 2};
	txn = through(&command);
	same_keys(txn->command.resolve_lock.keys, txn->command.resolve_lock.n_keys,
			  keys, 2);
	OK(txn->command.resolve_lock.n_txns == 1 &&
		   txn->command.resolve_lock.txns[0].start_ts == 10 &&
		   txn->command.resolve_lock.txns[0].commit_ts == 20,
	   "a resolution");

	command.kind = TXN_CMD_PESSIMISTIC_ROLLBACK;
	command.pessimistic_rollback =
		(PessimisticRollbackCommand){.keys = keys,
									 .n_keys = 2,
									 .start_ts = 10,
									 .for_update_ts = UINT64_MAX};
	txn = through(&command);
	same_keys(txn->command.pessimistic_rollback.keys,
			  txn->command.pessimistic_rollback.n_keys, keys, 2);
	OK(txn->command.pessimistic_rollback.for_update_ts == UINT64_MAX,
	   "a rollback of all locks");
}

static void
test_single(void)
{
	TxnCommand command = {.kind = TXN_CMD_CHECK_TXN_STATUS};
	const CheckTxnStatusCommand *status;
	TxnRequest *txn;

	command.check_txn_status =
		(CheckTxnStatusCommand){.primary_key = K("p"),
								.lock_ts = 10,
								.caller_start_ts = 11,
								.current_ts = UINT64_MAX,
								.rollback_if_not_exist = true,
								.force_sync_commit = true,
								.resolving_pessimistic_lock = true,
								.verify_is_primary = true};
	txn = through(&command);
	status = &txn->command.check_txn_status;
	OK(bytes_eq(status->primary_key, K("p")) && status->lock_ts == 10 &&
		   status->caller_start_ts == 11 && status->current_ts == UINT64_MAX &&
		   status->rollback_if_not_exist && status->force_sync_commit &&
		   status->resolving_pessimistic_lock && status->verify_is_primary,
	   "a question for a status");

	command.kind = TXN_CMD_TXN_HEART_BEAT;
	command.txn_heart_beat = (TxnHeartBeatCommand){.primary_key = K("p"),
												   .start_ts = 10,
												   .advise_lock_ttl_ms = 5000,
												   .min_commit_ts = 6};
	txn = through(&command);
	OK(bytes_eq(txn->command.txn_heart_beat.primary_key, K("p")) &&
		   txn->command.txn_heart_beat.start_ts == 10 &&
		   txn->command.txn_heart_beat.advise_lock_ttl_ms == 5000,
	   "a heartbeat");
}

static void
test_lock(void)
{
	Mutation mutations[] = {{.op = MUTATION_PESSIMISTIC_LOCK, .key = K("a")},
							{.op = MUTATION_PESSIMISTIC_LOCK,
							 .key = K("b"),
							 .assertion = ASSERTION_NOT_EXIST}};
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_LOCK};
	PessimisticLockCommand *want = &command.pessimistic_lock;
	const PessimisticLockCommand *got;

	want->mutations = mutations;
	want->n_mutations = 2;
	want->primary = K("a");
	want->start_ts = 10;
	want->lock_ttl_ms = 20000;
	want->for_update_ts = 11;
	want->is_first_lock = true;
	want->wait_timeout_ms = -1;
	want->return_values = true;
	want->min_commit_ts = 12;
	want->check_existence = true;
	got = &through(&command)->command.pessimistic_lock;
	same_mutations(got->mutations, got->n_mutations, mutations, 2);
	OK(bytes_eq(got->primary, K("a")) && got->start_ts == 10 &&
		   got->lock_ttl_ms == 20000 && got->for_update_ts == 11 &&
		   got->is_first_lock && got->wait_timeout_ms == -1 &&
		   got->return_values && got->min_commit_ts == 12 &&
		   got->check_existence && !got->lock_only_if_exists &&
		   !got->allow_lock_with_conflict,
	   "a pessimistic lock");
}

/* ----------------------------------------------------------------- answers */

/* The answer of a command, over the wire and back. */
static ClientReply
answer(const TxnCommand *command, const TxnAnswer *from)
{
	TxnRequest *txn = through(command);
	ClientReply reply;

	answers = 0;
	txn_answer(&request, txn, from);
	OK(answers == 1, "one answer");
	OK(txn_client_reply(command, bytes_make(packed, packed_len), &arena,
						&reply),
	   "that can be read");
	return reply;
}

static Bytes one_key[] = {{(const uint8_t *) "a", 1}};

static TxnCommand
some_commit(void)
{
	TxnCommand command = {.kind = TXN_CMD_COMMIT};

	command.commit = (CommitCommand){.keys = one_key,
									 .n_keys = 1,
									 .start_ts = 10,
									 .commit_ts = 20};
	return command;
}

/* The error as the client is told of it. */
static TxnError
error(const TxnError *from)
{
	TxnCommand command = some_commit();
	TxnAnswer failed = {.errors = (TxnError *) from, .n_errors = 1};
	ClientReply reply = answer(&command, &failed);

	OK(reply.region_error == REGION_OK && reply.answer.n_errors == 1,
	   "an error of the key");
	return reply.answer.errors[0];
}

static void
test_errors(void)
{
	static const WaitForEntry chain[] = {
		{.txn = 1, .wait_for_txn = 2, .key = {(const uint8_t *) "x", 1}}};
	Bytes secondaries[] = {K("s")};
	TxnError from = {.kind = TXN_KEY_IS_LOCKED};
	TxnError got;

	from.lock.key = K("k");
	from.lock.ttl_ms = 7;
	from.lock.lock = (Lock){.type = LOCK_TYPE_PESSIMISTIC,
							.primary = K("p"),
							.start_ts = 10,
							.ttl_ms = 7,
							.for_update_ts = 11,
							.min_commit_ts = 12,
							.use_async_commit = true,
							.secondaries = secondaries,
							.n_secondaries = 1};
	got = error(&from);
	OK(got.kind == TXN_KEY_IS_LOCKED && bytes_eq(got.lock.key, K("k")) &&
		   got.lock.ttl_ms == 7 && got.lock.lock.start_ts == 10 &&
		   got.lock.lock.type == LOCK_TYPE_PESSIMISTIC &&
		   got.lock.lock.for_update_ts == 11 &&
		   got.lock.lock.min_commit_ts == 12 &&
		   got.lock.lock.use_async_commit &&
		   bytes_eq(got.lock.lock.primary, K("p")) &&
		   got.lock.lock.n_secondaries == 1,
	   "KeyIsLocked");

	from = (TxnError){.kind = TXN_WRITE_CONFLICT,
					  .key = K("k"),
					  .primary = K("p"),
					  .start_ts = 1,
					  .conflict_ts = 2,
					  .conflict_commit_ts = 3,
					  .reason = CONFLICT_PESSIMISTIC_RETRY};
	got = error(&from);
	OK(got.kind == TXN_WRITE_CONFLICT && bytes_eq(got.key, K("k")) &&
		   got.start_ts == 1 && got.conflict_ts == 2 &&
		   got.conflict_commit_ts == 3 &&
		   got.reason == CONFLICT_PESSIMISTIC_RETRY,
	   "WriteConflict");

	from = (TxnError){.kind = TXN_DEADLOCK,
					  .key = K("k"),
					  .conflict_ts = 5,
					  .deadlock_key_hash = 6,
					  .wait_chain = chain,
					  .n_wait_chain = 1};
	got = error(&from);
	OK(got.kind == TXN_DEADLOCK && bytes_eq(got.key, K("k")) &&
		   got.conflict_ts == 5 && got.n_wait_chain == 1 &&
		   got.wait_chain[0].wait_for_txn == 2 &&
		   bytes_eq(got.wait_chain[0].key, K("x")),
	   "Deadlock");

	from = (TxnError){.kind = TXN_COMMIT_TS_EXPIRED,
					  .key = K("k"),
					  .start_ts = 1,
					  .commit_ts = 2,
					  .min_commit_ts = 3};
	got = error(&from);
	OK(got.kind == TXN_COMMIT_TS_EXPIRED && got.commit_ts == 2 &&
		   got.min_commit_ts == 3,
	   "CommitTsExpired");

	from = (TxnError){.kind = TXN_ALREADY_EXIST, .key = K("k")};
	got = error(&from);
	OK(got.kind == TXN_ALREADY_EXIST && bytes_eq(got.key, K("k")),
	   "AlreadyExist");
	from = (TxnError){.kind = TXN_TXN_NOT_FOUND, .key = K("p"), .start_ts = 1};
	got = error(&from);
	OK(got.kind == TXN_TXN_NOT_FOUND && got.start_ts == 1, "TxnNotFound");
	from = (TxnError){.kind = TXN_LOCK_NOT_FOUND, .key = K("k")};
	got = error(&from);
	OK(got.kind == TXN_LOCK_NOT_FOUND && bytes_eq(got.key, K("k")),
	   "TxnLockNotFound");
	from = (TxnError){.kind = TXN_COMMIT_TS_TOO_LARGE, .min_commit_ts = 9};
	got = error(&from);
	OK(got.kind == TXN_COMMIT_TS_TOO_LARGE && got.min_commit_ts == 9,
	   "CommitTsTooLarge");
	from = (TxnError){.kind = TXN_ASSERTION_FAILED, .key = K("k")};
	OK(error(&from).kind == TXN_ASSERTION_FAILED, "AssertionFailed");
	from = (TxnError){.kind = TXN_PRIMARY_MISMATCH};
	from.lock.key = K("k");
	from.lock.lock =
		(Lock){.type = LOCK_TYPE_PUT, .primary = K("q"), .start_ts = 10};
	got = error(&from);
	OK(got.kind == TXN_PRIMARY_MISMATCH &&
		   bytes_eq(got.lock.lock.primary, K("q")),
	   "PrimaryMismatch");
	from = (TxnError){.kind = TXN_PESSIMISTIC_LOCK_NOT_FOUND, .start_ts = 1};
	got = error(&from);
	OK(got.kind == TXN_ABORT &&
		   strncmp(got.text, "PessimisticLockNotFound", 23) == 0,
	   "what is only a text");
}

static void
test_answers(void)
{
	Mutation mutation = {.op = MUTATION_PUT, .key = K("a"), .value = K("1")};
	TxnCommand command = {.kind = TXN_CMD_PREWRITE};
	LockInfo locks[2] = {{.key = K("a")}, {.key = K("b")}};
	PessimisticLockResult results[2] = {{.exists = true, .value = K("v")},
										{.exists = false}};
	Mutation lock[2] = {{.op = MUTATION_PESSIMISTIC_LOCK, .key = K("a")},
						{.op = MUTATION_PESSIMISTIC_LOCK, .key = K("b")}};
	TxnAnswer from = {.min_commit_ts = 5, .one_pc_commit_ts = 6};
	ClientReply got;

	command.prewrite = (PrewriteCommand){.mutations = &mutation,
										 .n_mutations = 1,
										 .primary = K("a"),
										 .start_ts = 10};
	got = answer(&command, &from);
	OK(got.answer.n_errors == 0 && got.answer.min_commit_ts == 5 &&
		   got.answer.one_pc_commit_ts == 6,
	   "a prewrite's answer");

	command.kind = TXN_CMD_CHECK_TXN_STATUS;
	command.check_txn_status =
		(CheckTxnStatusCommand){.primary_key = K("a"), .lock_ts = 10};
	from = (TxnAnswer){.action = ACTION_MIN_COMMIT_TS_PUSHED,
					   .lock_ttl_ms = 99,
					   .has_lock = true};
	from.lock.key = K("a");
	from.lock.lock = (Lock){.type = LOCK_TYPE_PUT,
							.primary = K("a"),
							.start_ts = 10,
							.min_commit_ts = 30};
	got = answer(&command, &from);
	OK(got.answer.action == ACTION_MIN_COMMIT_TS_PUSHED &&
		   got.answer.lock_ttl_ms == 99 && got.answer.has_lock &&
		   got.answer.lock.lock.min_commit_ts == 30,
	   "a status");

	command.kind = TXN_CMD_CHECK_SECONDARY_LOCKS;
	command.check_secondary_locks =
		(CheckSecondaryLocksCommand){.keys = one_key,
									 .n_keys = 1,
									 .start_ts = 10};
	locks[0].lock = locks[1].lock =
		(Lock){.type = LOCK_TYPE_PUT, .primary = K("a"), .start_ts = 10};
	from = (TxnAnswer){.locks = locks, .n_locks = 2, .commit_ts = 0};
	got = answer(&command, &from);
	OK(got.answer.n_locks == 2 && bytes_eq(got.answer.locks[1].key, K("b")),
	   "secondary locks");

	command.kind = TXN_CMD_PESSIMISTIC_LOCK;
	command.pessimistic_lock =
		(PessimisticLockCommand){.mutations = lock,
								 .n_mutations = 2,
								 .primary = K("a"),
								 .start_ts = 10,
								 .for_update_ts = 10,
								 .return_values = true,
								 .check_existence = true};
	from = (TxnAnswer){.results = results, .n_results = 2};
	got = answer(&command, &from);
	OK(got.answer.n_results == 2 && got.answer.results[0].exists &&
		   bytes_eq(got.answer.results[0].value, K("v")) &&
		   !got.answer.results[1].exists,
	   "what locked keys have");
}

static ClientReply
region_reply(const RegionError *from)
{
	TxnCommand command = some_commit();
	ClientReply reply;

	(void) through(&command);
	answers = 0;
	service_region_error(&request, from);
	OK(answers == 1 &&
		   txn_client_reply(&command, bytes_make(packed, packed_len), &arena,
							&reply),
	   "a region error");
	return reply;
}

static void
test_region_errors(void)
{
	Region region = {.id = 3,
					 .start_key = K("m"),
					 .epoch = {4, 5},
					 .n_peers = 1,
					 .peers = {{.id = 6, .store_id = 7}}};
	RegionError from = {.kind = REGION_NOT_LEADER,
						.region_id = 3,
						.leader = {.id = 6, .store_id = 7}};
	ClientReply got = region_reply(&from);
	static const RegionErrorKind kinds[] = {REGION_NOT_FOUND,
											REGION_STALE_COMMAND,
											REGION_UNDETERMINED,
											REGION_STORE_NOT_MATCH,
											REGION_ENTRY_TOO_LARGE,
											REGION_DISK_FULL,
											REGION_MISMATCH_PEER_ID,
											REGION_READ_INDEX_NOT_READY,
											REGION_DATA_IS_NOT_READY,
											REGION_MAX_TS_NOT_SYNCED,
											REGION_FLASHBACK_IN_PROGRESS,
											REGION_FLASHBACK_NOT_PREPARED,
											REGION_MESSAGE_ONLY};

	OK(got.region_error == REGION_NOT_LEADER && got.leader.id == 6 &&
		   got.leader.store_id == 7,
	   "with the leader");
	from = (RegionError){.kind = REGION_EPOCH_NOT_MATCH,
						 .region_id = 3,
						 .current = &region};
	got = region_reply(&from);
	OK(got.region_error == REGION_EPOCH_NOT_MATCH && got.n_current == 1 &&
		   got.current[0].id == 3 && got.current[0].epoch.version == 5 &&
		   bytes_eq(got.current[0].start_key, K("m")) &&
		   got.current[0].peers[0].id == 6,
	   "with the region as it is");
	from = (RegionError){.kind = REGION_SERVER_IS_BUSY,
						 .reason = "why",
						 .backoff_ms = 9};
	got = region_reply(&from);
	OK(got.region_error == REGION_SERVER_IS_BUSY && got.backoff_ms == 9 &&
		   strcmp(got.text, "why") == 0,
	   "with the reason");
	from = (RegionError){.kind = REGION_KEY_NOT_IN_REGION,
						 .key = K("a"),
						 .current = &region};
	OK(region_reply(&from).region_error == REGION_KEY_NOT_IN_REGION,
	   "of a key");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		from =
			(RegionError){.kind = kinds[i], .region_id = 3, .reason = "text"};
		OK(region_reply(&from).region_error == kinds[i], "its kind");
	}
}

static void
test_garbage(void)
{
	TxnCommand command = some_commit();
	ClientReply reply;

	OK(!txn_client_reply(&command, K("\xff\xff\xff"), &arena, &reply),
	   "bytes that are no response");
}

/* The envelope of a request for another store. */
static void
relay_envelopes(void)
{
	RelayEnvelope in = {.method = METHOD_RAW_GET,
						.timeout_ms = 70,
						.address = bytes_cstr("host:1"),
						.message = bytes_cstr("message")};
	RelayEnvelope out;
	uint8_t bytes[128];
	size_t size = relay_envelope_size(&in);
	bool cut = false;

	(void) relay_envelope_put(&in, bytes);
	OK(relay_envelope_get(bytes_make(bytes, size), &out) &&
		   out.method == METHOD_RAW_GET && out.timeout_ms == 70 &&
		   bytes_eq(out.address, in.address) &&
		   bytes_eq(out.message, in.message),
	   "an envelope is read back");
	for (size_t n = 0; n < size - in.message.len; n++)
		cut = cut || relay_envelope_get(bytes_make(bytes, n), &out);
	OK(!cut, "one that is cut off is none");
	in.address = bytes_empty();
	(void) relay_envelope_put(&in, bytes);
	OK(!relay_envelope_get(bytes_make(bytes, relay_envelope_size(&in)), &out),
	   "nor is one without an address");
}

int
main(void)
{
	arena_init(&arena);
	test_prewrite();
	test_lists();
	test_single();
	test_lock();
	test_errors();
	test_answers();
	test_region_errors();
	test_garbage();
	arena_free(&arena);
	relay_envelopes();
	return unit_done();
}
