/*
 * test_service_txn.c
 *	  Transactional requests: what is refused, how errors look on the wire.
 */
#include <stdlib.h>

#include "core/base/rpc_code.h"
#include "core/codec/memcomparable.h"
#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "service/txn.h"
#include "service_fixture.h"

#define CLUSTER 77

static RawLimits limits = {
	.max_key_size = 100,
	.max_entry_size = 1000,
	.cluster_id = CLUSTER,
	.api = API_V1,
};

static bool
is(ProtobufCBinaryData b, const char *s)
{
	return b.len == strlen(s) && memcmp(b.data, s, b.len) == 0;
}

/* ------------------------------------------------------ KeyError (5.1) */

/* The KeyError of a KvCommit that failed with this. */
static Kvrpcpb__KeyError *
key_error(const TxnError *error)
{
	static const TxnRequest txn;
	Kvrpcpb__CommitRequest message = KVRPCPB__COMMIT_REQUEST__INIT;
	Request request = request_of(METHOD_KV_COMMIT, &message.base);
	Kvrpcpb__CommitResponse *answer;

	txn_answer_error(&request, &txn, error);
	answer = reply();
	OK(answers == 1 && answer->region_error == NULL && answer->error != NULL,
	   "one answer, with a KeyError");
	return answer->error;
}

static TxnError
some_error(TxnErrorKind kind)
{
	TxnError error = {.kind = kind,
					  .key = bytes_cstr("k"),
					  .primary = bytes_cstr("p"),
					  .start_ts = 10,
					  .commit_ts = 20,
					  .min_commit_ts = 30,
					  .conflict_ts = 40,
					  .conflict_commit_ts = 50,
					  .reason = CONFLICT_OPTIMISTIC,
					  .assertion = ASSERTION_NOT_EXIST,
					  .existing_start_ts = 60,
					  .existing_commit_ts = 70};

	return error;
}

static void
test_locked(void)
{
	static const uint64_t rollbacks[] = {1};
	Bytes secondaries[] = {bytes_cstr("s1"), bytes_cstr("s2")};
	TxnError error = some_error(TXN_KEY_IS_LOCKED);
	Kvrpcpb__LockInfo *info;

	error.lock.key = bytes_cstr("k");
	error.lock.ttl_ms = 3000;
	error.lock.duration_to_last_update_ms = 9;
	error.lock.lock = (Lock){.type = LOCK_TYPE_PUT,
							 .primary = bytes_cstr("p"),
							 .start_ts = 10,
							 .ttl_ms = 5000,
							 .for_update_ts = 11,
							 .txn_size = 12,
							 .min_commit_ts = 13,
							 .use_async_commit = true,
							 .secondaries = secondaries,
							 .n_secondaries = 2,
							 .rollback_ts = rollbacks,
							 .n_rollback_ts = 1};
	info = key_error(&error)->locked;
	OK(info != NULL && is(info->key, "k") && is(info->primary_lock, "p") &&
		   info->lock_version == 10 && info->lock_for_update_ts == 11 &&
		   info->txn_size == 12 && info->min_commit_ts == 13 &&
		   info->use_async_commit && info->n_secondaries == 2 &&
		   is(info->secondaries[1], "s2"),
	   "txn-semantics 5.1 row 1: locked");
	EQ_U64(info->lock_ttl, 3000, "the ttl is the reported one");
	EQ_U64(info->duration_to_last_update_ms, 9, "and since when it is so");
	EQ_U64(info->lock_type, KVRPCPB__OP__Put, "Put");
}

static void
test_shared_lock(void)
{
	Lock members[] = {{.type = LOCK_TYPE_PESSIMISTIC,
					   .primary = bytes_cstr("p"),
					   .start_ts = 10,
					   .ttl_ms = 7},
					  {.type = LOCK_TYPE_LOCK,
					   .primary = bytes_cstr("q"),
					   .start_ts = 11}};
	TxnError error = some_error(TXN_KEY_IS_LOCKED);
	Kvrpcpb__LockInfo *info;

	error.lock.key = bytes_cstr("k");
	error.lock.lock =
		(Lock){.type = LOCK_TYPE_SHARED, .members = members, .n_members = 2};
	info = key_error(&error)->locked;
	OK(info->lock_type == KVRPCPB__OP__SharedLock &&
		   info->n_shared_lock_infos == 2 &&
		   info->shared_lock_infos[0]->lock_version == 10 &&
		   info->shared_lock_infos[0]->lock_ttl == 7 &&
		   info->shared_lock_infos[1]->lock_type == KVRPCPB__OP__Lock,
	   "txn-semantics 3: a shared lock with its members");
}

static void
test_conflicts(void)
{
	TxnError error = some_error(TXN_WRITE_CONFLICT);
	Kvrpcpb__KeyError *e = key_error(&error);

	OK(e->conflict != NULL && e->conflict->start_ts == 10 &&
		   e->conflict->conflict_ts == 40 &&
		   e->conflict->conflict_commit_ts == 50 && is(e->conflict->key, "k") &&
		   is(e->conflict->primary, "p") &&
		   e->conflict->reason == KVRPCPB__WRITE_CONFLICT__REASON__Optimistic &&
		   e->retryable[0] != '\0',
	   "txn-semantics 5.1 row 2: conflict, and a retryable text");
	error.kind = TXN_ALREADY_EXIST;
	e = key_error(&error);
	OK(e->already_exist != NULL && is(e->already_exist->key, "k"),
	   "txn-semantics 5.1 row 3: already_exist");
}

static void
test_deadlock(void)
{
	WaitForEntry chain[] = {{.txn = 1, .wait_for_txn = 2, .key_hash = 3},
							{.txn = 2,
							 .wait_for_txn = 1,
							 .key = bytes_cstr("b"),
							 .resource_group_tag = bytes_cstr("t")}};
	TxnError error = some_error(TXN_DEADLOCK);
	Kvrpcpb__Deadlock *d;

	error.deadlock_key_hash = 99;
	error.wait_chain = chain;
	error.n_wait_chain = 2;
	d = key_error(&error)->deadlock;
	OK(d != NULL && d->lock_ts == 40 && is(d->lock_key, "k") &&
		   d->deadlock_key_hash == 99 && d->n_wait_chain == 2 &&
		   d->wait_chain[0]->key_hash == 3 && is(d->wait_chain[1]->key, "b") &&
		   is(d->wait_chain[1]->resource_group_tag, "t"),
	   "txn-semantics 5.1 row 4: deadlock with its chain");
}

static void
test_timestamps(void)
{
	TxnError error = some_error(TXN_COMMIT_TS_EXPIRED);
	Kvrpcpb__KeyError *e = key_error(&error);

	OK(e->commit_ts_expired != NULL && e->commit_ts_expired->start_ts == 10 &&
		   e->commit_ts_expired->attempted_commit_ts == 20 &&
		   e->commit_ts_expired->min_commit_ts == 30 &&
		   is(e->commit_ts_expired->key, "k"),
	   "txn-semantics 5.1 row 5: commit_ts_expired");
	error.kind = TXN_TXN_NOT_FOUND;
	e = key_error(&error);
	OK(e->txn_not_found != NULL && e->txn_not_found->start_ts == 10 &&
		   is(e->txn_not_found->primary_key, "k"),
	   "txn-semantics 5.1 row 6: txn_not_found");
	error.kind = TXN_COMMIT_TS_TOO_LARGE;
	e = key_error(&error);
	OK(e->commit_ts_too_large != NULL &&
		   e->commit_ts_too_large->commit_ts == 30,
	   "txn-semantics 5.1 row 7: commit_ts_too_large");
}

static void
test_other_errors(void)
{
	static const TxnErrorKind aborts[] = {TXN_COMMITTED,
										  TXN_PESSIMISTIC_LOCK_NOT_FOUND,
										  TXN_PESSIMISTIC_LOCK_ROLLED_BACK,
										  TXN_LOCK_TYPE_NOT_MATCH,
										  TXN_INVALID_TXN_TSO,
										  TXN_KEY_TOO_LARGE,
										  TXN_LOCK_IF_EXISTS_FAILED,
										  TXN_DEFAULT_NOT_FOUND,
										  TXN_ABORT};
	TxnError error = some_error(TXN_ASSERTION_FAILED);
	Kvrpcpb__KeyError *e = key_error(&error);

	OK(e->assertion_failed != NULL && e->assertion_failed->start_ts == 10 &&
		   is(e->assertion_failed->key, "k") &&
		   e->assertion_failed->assertion == KVRPCPB__ASSERTION__NotExist &&
		   e->assertion_failed->existing_start_ts == 60 &&
		   e->assertion_failed->existing_commit_ts == 70,
	   "txn-semantics 5.1 row 8: assertion_failed");
	error.kind = TXN_PRIMARY_MISMATCH;
	error.lock.key = bytes_cstr("k");
	error.lock.lock = (Lock){.type = LOCK_TYPE_PUT, .start_ts = 5};
	e = key_error(&error);
	OK(e->primary_mismatch != NULL &&
		   e->primary_mismatch->lock_info->lock_version == 5,
	   "txn-semantics 5.1 row 9: primary_mismatch");
	error.kind = TXN_LOCK_NOT_FOUND;
	e = key_error(&error);
	OK(e->txn_lock_not_found != NULL && is(e->txn_lock_not_found->key, "k") &&
		   e->retryable[0] != '\0',
	   "txn-semantics 5.1 row 10: txn_lock_not_found, and a retryable text");
	for (size_t i = 0; i < sizeof(aborts) / sizeof(aborts[0]); i++)
	{
		error.kind = aborts[i];
		e = key_error(&error);
		OK(e->abort[0] != '\0' && e->locked == NULL && e->conflict == NULL &&
			   e->retryable[0] == '\0',
		   "txn-semantics 5.1 row 11: abort");
	}
}

/* --------------------------------------------------- region errors (5.2) */

static void
test_region_errors(void)
{
	static const TxnRequest txn = {.context.region_id = 8};
	Kvrpcpb__PrewriteRequest message = KVRPCPB__PREWRITE_REQUEST__INIT;
	Request request = request_of(METHOD_KV_PREWRITE, &message.base);
	TxnError error = some_error(TXN_MAX_TS_NOT_SYNCED);
	Kvrpcpb__PrewriteResponse *answer;

	txn_answer_error(&request, &txn, &error);
	answer = reply();
	OK(answer->n_errors == 0 && answer->region_error != NULL &&
		   answer->region_error->max_timestamp_not_synced != NULL,
	   "txn-semantics 5.2 row 1: max_timestamp_not_synced alone");
	error.kind = TXN_FLASHBACK_IN_PROGRESS;
	txn_answer_error(&request, &txn, &error);
	answer = reply();
	OK(answer->region_error->flashbackinprogress != NULL &&
		   answer->region_error->flashbackinprogress->region_id == 8,
	   "txn-semantics 5.2 row 6: FlashbackInProgress");
	error.kind = TXN_FLASHBACK_NOT_PREPARED;
	txn_answer_error(&request, &txn, &error);
	answer = reply();
	OK(answer->region_error->flashbacknotprepared != NULL,
	   "txn-semantics 5.2 row 6: FlashbackNotPrepared");
}

static void
test_no_place_for_a_region_error(void)
{
	Kvrpcpb__BroadcastTxnStatusRequest message =
		KVRPCPB__BROADCAST_TXN_STATUS_REQUEST__INIT;
	Request request = request_of(METHOD_BROADCAST_TXN_STATUS, &message.base);

	service_busy(&request, "busy");
	OK(answers == 1 && fail_code == RPC_UNAVAILABLE,
	   "a response without region_error becomes a gRPC status");
}

/* -------------------------------------------------------------- decoding */

static Kvrpcpb__Context context = KVRPCPB__CONTEXT__INIT;

static const char *
refused(int method, ProtobufCMessage *message)
{
	Request request = request_of(method, message);
	const ProtobufCFieldDescriptor *field;

	if (txn_decode(&request, &limits) != NULL)
		return "";
	if (answers != 1 || fail_code != 0)
		return answers == 1 ? "failed" : "not answered";
	message = reply();
	field = protobuf_c_message_descriptor_get_field(message->descriptor, 1);
	if (*(void **) ((uint8_t *) message + field->offset) != NULL)
		return "region error";
	return "error";
}

static void
test_mutations(void)
{
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations[] = {&mutation};
	Kvrpcpb__PrewriteRequest prewrite = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__PessimisticLockRequest lock =
		KVRPCPB__PESSIMISTIC_LOCK_REQUEST__INIT;
	char longest[100];
	char value[1000];

	memset(longest, 'a', sizeof(longest));
	memset(value, 'v', sizeof(value));
	prewrite.context = lock.context = &context;
	prewrite.mutations = lock.mutations = mutations;
	prewrite.n_mutations = lock.n_mutations = 1;
	prewrite.start_version = lock.start_version = 5;
	mutation.key = wire("k");
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "", "a Put is fine");
	EQ_STR(refused(METHOD_KV_PESSIMISTIC_LOCK, &lock.base), "error",
		   "a Put does not belong in a pessimistic lock");
	mutation.op = KVRPCPB__OP__PessimisticLock;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "error",
		   "nor a PessimisticLock in a prewrite");
	EQ_STR(refused(METHOD_KV_PESSIMISTIC_LOCK, &lock.base), "",
		   "it belongs there");
	mutation.op = (Kvrpcpb__Op) 77;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "error",
		   "nor an op that nobody knows");
	mutation.op = KVRPCPB__OP__Put;
	mutation.key.len = 90;
	mutation.key.data = (uint8_t *) longest;
	EQ_U64(memcomparable_len(90), 108, "90 bytes are 108 encoded");
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "error",
		   "txn-semantics 27 row 1: the encoded key counts");
	mutation.key = wire("k");
	mutation.value.len = sizeof(value);
	mutation.value.data = (uint8_t *) value;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "region error",
		   "txn-semantics 27 row 3: raft_entry_too_large");
	mutation.value.len = 1;
	prewrite.start_version = UINT64_MAX;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "error",
		   "a timestamp beyond int8 cannot be written");
}

#define MANY 16

/* However small its keys are, a command of many takes much in the log. */
static void
test_many_keys(void)
{
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__Mutation *mutations[MANY];
	ProtobufCBinaryData keys[MANY];
	Kvrpcpb__PrewriteRequest prewrite = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__CommitRequest commit = KVRPCPB__COMMIT_REQUEST__INIT;
	Kvrpcpb__BatchRollbackRequest rollback =
		KVRPCPB__BATCH_ROLLBACK_REQUEST__INIT;

	mutation.key = wire("k");
	for (int i = 0; i < MANY; i++)
	{
		mutations[i] = &mutation;
		keys[i] = mutation.key;
	}
	prewrite.mutations = mutations;
	prewrite.n_mutations = MANY - 2;
	prewrite.primary_lock = mutation.key;
	prewrite.start_version = commit.start_version = rollback.start_version = 5;
	commit.commit_version = 6;
	commit.keys = rollback.keys = keys;
	commit.n_keys = rollback.n_keys = MANY - 1;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "",
		   "a prewrite of some keys");
	EQ_STR(refused(METHOD_KV_COMMIT, &commit.base), "", "a commit");
	EQ_STR(refused(METHOD_KV_BATCH_ROLLBACK, &rollback.base), "", "a rollback");
	prewrite.n_mutations = commit.n_keys = rollback.n_keys = MANY;
	EQ_STR(refused(METHOD_KV_PREWRITE, &prewrite.base), "region error",
		   "of more, whose locks are too large an entry");
	EQ_STR(refused(METHOD_KV_COMMIT, &commit.base), "region error",
		   "and so are their records");
	EQ_STR(refused(METHOD_KV_BATCH_ROLLBACK, &rollback.base), "region error",
		   "of a rollback, too");
	EQ_STR(refused(METHOD_SQL_GRANT, &prewrite.base), "",
		   "a grant is no entry: its keys alone count");
}

#define VERY_MANY 100000

/* Of such a message nothing is decoded, so it takes no memory for that. */
static void
refused_at_once(int method, ProtobufCMessage *message, const char *what)
{
	size_t before = arena.allocated;

	EQ_STR(refused(method, message), "region error", what);
	OK(arena.allocated - before < VERY_MANY, "before there is memory for it");
}

static void
test_very_many_keys(void)
{
	static Kvrpcpb__Mutation *mutations[VERY_MANY];
	static ProtobufCBinaryData keys[VERY_MANY];
	Kvrpcpb__Mutation mutation = KVRPCPB__MUTATION__INIT;
	Kvrpcpb__PrewriteRequest prewrite = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__PrewriteRequest async = KVRPCPB__PREWRITE_REQUEST__INIT;
	Kvrpcpb__FlushRequest flush = KVRPCPB__FLUSH_REQUEST__INIT;
	Kvrpcpb__PessimisticLockRequest lock =
		KVRPCPB__PESSIMISTIC_LOCK_REQUEST__INIT;
	Kvrpcpb__CommitRequest commit = KVRPCPB__COMMIT_REQUEST__INIT;
	Kvrpcpb__BatchRollbackRequest rollback =
		KVRPCPB__BATCH_ROLLBACK_REQUEST__INIT;
	Kvrpcpb__CheckSecondaryLocksRequest check =
		KVRPCPB__CHECK_SECONDARY_LOCKS_REQUEST__INIT;
	Kvrpcpb__ResolveLockRequest resolve = KVRPCPB__RESOLVE_LOCK_REQUEST__INIT;
	Kvrpcpb__PessimisticRollbackRequest unlock =
		KVRPCPB__PESSIMISTIC_ROLLBACK_REQUEST__INIT;

	for (int i = 0; i < VERY_MANY; i++)
		mutations[i] = &mutation;
	prewrite.start_version = async.start_version = resolve.start_version = 5;
	flush.generation = 1;
	prewrite.mutations = flush.mutations = lock.mutations = mutations;
	prewrite.n_mutations = flush.n_mutations = lock.n_mutations = VERY_MANY;
	async.secondaries = commit.keys = rollback.keys = check.keys =
		resolve.keys = unlock.keys = keys;
	async.n_secondaries = commit.n_keys = rollback.n_keys = check.n_keys =
		resolve.n_keys = unlock.n_keys = VERY_MANY;
	refused_at_once(METHOD_KV_PREWRITE, &prewrite.base, "empty mutations");
	refused_at_once(METHOD_KV_PREWRITE, &async.base, "secondaries");
	refused_at_once(METHOD_KV_FLUSH, &flush.base, "a flush");
	refused_at_once(METHOD_KV_PESSIMISTIC_LOCK, &lock.base, "locks");
	refused_at_once(METHOD_KV_COMMIT, &commit.base, "a commit");
	refused_at_once(METHOD_KV_BATCH_ROLLBACK, &rollback.base, "a rollback");
	refused_at_once(METHOD_KV_CHECK_SECONDARY_LOCKS, &check.base, "a check");
	refused_at_once(METHOD_KV_RESOLVE_LOCK, &resolve.base, "to resolve locks");
	refused_at_once(METHOD_KV_PESSIMISTIC_ROLLBACK, &unlock.base,
					"to undo pessimistic locks");
}

static void
test_versions(void)
{
	Kvrpcpb__GetRequest get = KVRPCPB__GET_REQUEST__INIT;
	Kvrpcpb__ScanLockRequest scan = KVRPCPB__SCAN_LOCK_REQUEST__INIT;
	Apipb__KeyspaceIdentity identity = APIPB__KEYSPACE_IDENTITY__INIT;

	get.context = scan.context = &context;
	get.key = wire("x\001k");
	get.version = UINT64_MAX;
	EQ_STR(refused(METHOD_KV_GET, &get.base), "", "V1 in V1");
	context.api_version = KVRPCPB__APIVERSION__V2;
	EQ_STR(refused(METHOD_KV_GET, &get.base), "error", "V2 in V1");
	EQ_STR(refused(METHOD_KV_SCAN_LOCK, &scan.base), "",
		   "txn-semantics 26.1: KvScanLock is exempt");
	limits.api = API_V2;
	EQ_STR(refused(METHOD_KV_GET, &get.base), "", "V2 in V2");
	get.key = wire("r\001k");
	EQ_STR(refused(METHOD_KV_GET, &get.base), "error", "a raw key in V2");
	limits.api = API_V1TTL;
	context.api_version = KVRPCPB__APIVERSION__V1TTL;
	EQ_STR(refused(METHOD_KV_GET, &get.base), "error",
		   "txn-semantics 26.1 row 2: no transactions in V1TTL");
	context.api_version = KVRPCPB__APIVERSION__V3;
	context.keyspace_case = KVRPCPB__CONTEXT__KEYSPACE_KEYSPACE_IDENTITY;
	context.keyspace_identity = &identity;
	get.key = wire("x\001k");
	for (int api = API_V1; api <= API_V2; api++)
	{
		limits.api = api;
		EQ_STR(refused(METHOD_KV_GET, &get.base), "error",
			   "API V3, whichever is stored");
	}
	context.keyspace_case = KVRPCPB__CONTEXT__KEYSPACE__NOT_SET;
	context.keyspace_identity = NULL;
	limits.api = API_V1;
	context.api_version = KVRPCPB__APIVERSION__V1;
	context.cluster_id = CLUSTER + 1;
	EQ_STR(refused(METHOD_KV_GET, &get.base), "failed",
		   "another cluster's request fails");
	context.cluster_id = 0;
}

static void
test_refusals(void)
{
	Kvrpcpb__ResolveLockRequest resolve = KVRPCPB__RESOLVE_LOCK_REQUEST__INIT;
	Kvrpcpb__FlushRequest flush = KVRPCPB__FLUSH_REQUEST__INIT;
	Kvrpcpb__UnsafeDestroyRangeRequest destroy =
		KVRPCPB__UNSAFE_DESTROY_RANGE_REQUEST__INIT;

	EQ_STR(refused(METHOD_KV_RESOLVE_LOCK, &resolve.base), "error",
		   "resolving needs a transaction");
	EQ_STR(refused(METHOD_KV_FLUSH, &flush.base), "error",
		   "a flush needs a generation");
	destroy.start_key = wire("a");
	EQ_STR(refused(METHOD_UNSAFE_DESTROY_RANGE, &destroy.base), "error",
		   "txn-semantics 21 row 4: both bounds are needed");
	limits.api = API_V2;
	destroy.start_key = wire("m");
	destroy.end_key = wire("r\001");
	EQ_STR(refused(METHOD_UNSAFE_DESTROY_RANGE, &destroy.base), "error",
		   "raw keys stay, and nobody is told that they are gone");
	destroy.end_key = wire("r");
	EQ_STR(refused(METHOD_UNSAFE_DESTROY_RANGE, &destroy.base), "",
		   "below them all may go");
	destroy.start_key = wire("s");
	destroy.end_key = wire("y");
	EQ_STR(refused(METHOD_UNSAFE_DESTROY_RANGE, &destroy.base), "",
		   "and above");
	limits.api = API_V1;
	destroy.start_key = wire("a");
	destroy.end_key = wire("z");
	EQ_STR(refused(METHOD_UNSAFE_DESTROY_RANGE, &destroy.base), "",
		   "in V1 raw keys have no encoded form");
}

/* --------------------------------------------------------------- regions */

static void
test_ranges(void)
{
	Region region = {.id = 3,
					 .start_key = memcomparable_encode(bytes_cstr("b"), &arena),
					 .end_key = memcomparable_encode(bytes_cstr("d"), &arena)};
	Bytes key = bytes_cstr("c");
	TxnRequest txn = {.keys = &key, .n_keys = 1};
	RegionError error;
	KeyRange range;

	OK(txn_check_range(&txn, METHOD_KV_GET, &region, &error), "inside");
	key = bytes_cstr("d");
	OK(!txn_check_range(&txn, METHOD_KV_GET, &region, &error) &&
		   error.kind == REGION_KEY_NOT_IN_REGION && bytes_eq(error.key, key),
	   "the end is outside");
	txn.n_keys = 0;
	txn.scan.range.lower = bytes_cstr("a");
	OK(!txn_check_range(&txn, METHOD_KV_SCAN, &region, &error),
	   "txn-semantics 23.4 row 7: a scan begins inside");
	txn.scan.reverse = true;
	txn.scan.range.upper = bytes_cstr("d");
	OK(txn_check_range(&txn, METHOD_KV_SCAN, &region, &error),
	   "a reverse scan may begin at the end");
	range = txn_clip_range((KeyRange){bytes_cstr("a"), bytes_empty()},
						   txn_region_range(&region, &arena));
	OK(bytes_eq(range.lower, bytes_cstr("b")) &&
		   bytes_eq(range.upper, bytes_cstr("d")),
	   "a range is cut to the region");
	region.start_key = bytes_cstr("raw");
	region.end_key = bytes_cstr("raw2");
	range = txn_region_range(&region, &arena);
	OK(bytes_eq(range.lower, bytes_cstr("raw")) &&
		   bytes_eq(range.upper, bytes_cstr("raw2")),
	   "a bound that is not memcomparable lies between two keys");
	region.start_key = bytes_empty();
	region.end_key = bytes_make("\0", 1);
	range = txn_region_range(&region, &arena);
	OK(bytes_cmp(range.lower, range.upper) >= 0 && range.upper.len > 0,
	   "or before all keys");
}

static void
test_newest_ts(void)
{
	TxnCommand command = {.kind = TXN_CMD_CHECK_TXN_STATUS};

	command.check_txn_status.lock_ts = 5;
	command.check_txn_status.caller_start_ts = UINT64_MAX;
	command.check_txn_status.current_ts = 9;
	EQ_U64(txn_newest_ts(&command), 9, "the newest, UINT64_MAX aside");
	command.kind = TXN_CMD_RESOLVE_LOCK;
	EQ_U64(txn_newest_ts(&command), 0, "none to be looked at");
}

int
main(void)
{
	arena_init(&arena);
	test_locked();
	test_shared_lock();
	test_conflicts();
	test_deadlock();
	test_timestamps();
	test_other_errors();
	test_region_errors();
	test_no_place_for_a_region_error();
	test_mutations();
	test_many_keys();
	test_very_many_keys();
	test_versions();
	test_refusals();
	test_ranges();
	test_newest_ts();
	arena_free(&arena);
	return unit_done();
}
