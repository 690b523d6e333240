/*
 * txn_check.c
 *	  What a transactional message may name: cluster, API version, key modes,
 *	  key sizes, timestamps.
 *
 * Each check answers the request itself when it returns false.
 */
#include "core/base/rpc_code.h"
#include "core/codec/memcomparable.h"
#include "core/kv/api_version.h"
#include "service/messages.h"
#include "service/txn_internal.h"

typedef unsigned long long Llu;

/* Timestamps are int8 in the tables (DESIGN 2). */
#define MAX_WRITE_TS ((uint64_t) INT64_MAX)

Bytes *
txn_list_from_wire(const ProtobufCBinaryData *list, size_t n, Arena *arena)
{
	Bytes *out = arena_alloc(arena, n * sizeof(Bytes));

	for (size_t i = 0; i < n; i++)
		out[i] = txn_from_wire(list[i]);
	return out;
}

/* --------------------------------------------------------------- context */

static const Kvrpcpb__Context empty_context = KVRPCPB__CONTEXT__INIT;

static void
decode_read_context(const Kvrpcpb__Context *context, TxnRequest *txn)
{
	txn->read.isolation = (Isolation) context->isolation_level;
	txn->read.resolved_locks = context->resolved_locks;
	txn->read.n_resolved_locks = context->n_resolved_locks;
	txn->read.committed_locks = context->committed_locks;
	txn->read.n_committed_locks = context->n_committed_locks;
	txn->read.replica_read = context->replica_read;
}

static bool
check_cluster(Request *request, const RawLimits *limits,
			  const RequestContext *context)
{
	if (context->cluster_id == 0 || context->cluster_id == limits->cluster_id)
		return true;
	request
		->fail(request, RPC_INVALID_ARGUMENT,
			   arena_printf(request->arena,
							"cluster id mismatch, request: %llu, store: %llu",
							(Llu) context->cluster_id,
							(Llu) limits->cluster_id));
	return false;
}

/* txn-semantics 26.1: which API versions may do transactions here. */
static bool
check_api(Request *request, const RawLimits *limits, int api_version)
{
	if (api_check_request(limits->api, api_version, false) == API_OK)
		return true;
	txn_answer_abort(
		request,
		arena_printf(
			request->arena,
			"Api version in request does not match with TiKV storage, cmd: %s, storage: %s, request: %s",
			request->method->path, api_name(limits->api),
			api_name(api_version)));
	return false;
}

/* GC scans whatever there is, and SQL shows it. */
static bool
is_for_all(int method)
{
	return method == METHOD_KV_SCAN_LOCK || method == METHOD_STORE_LOCKS ||
		method == METHOD_STORE_VERSIONS;
}

bool
txn_decode_context(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__Context *context = service_context(request->message);

	if (context == NULL)
		context = &empty_context;
	service_decode_context(context, &txn->context);
	decode_read_context(context, txn);
	txn->txn_source = context->txn_source;
	txn->is_retry_request = context->is_retry_request;
	txn->resource_group_tag = txn_from_wire(context->resource_group_tag);
	return check_cluster(request, limits, &txn->context) &&
		(is_for_all(request->method->id) ||
		 check_api(request, limits, txn->context.api_version));
}

/* ------------------------------------------------------------------ keys */

static bool
check_mode(Request *request, const RawLimits *limits, const TxnRequest *txn,
		   ApiAnswer answer)
{
	if (answer == API_OK)
		return true;
	txn_answer_abort(
		request,
		arena_printf(
			request->arena,
			"invalid key mode, cmd: %s, storage: %s, request: %s: a key's first byte names no mode of this request",
			request->method->path, api_name(limits->api),
			api_name(txn->context.api_version)));
	return false;
}

bool
txn_check_request_key(Request *request, const RawLimits *limits,
					  const TxnRequest *txn, Bytes key)
{
	return check_mode(request, limits, txn,
					  api_check_key(limits->api, txn->context.api_version,
									false, key));
}

bool
txn_check_keys(Request *request, const RawLimits *limits, const TxnRequest *txn,
			   const Bytes *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!txn_check_request_key(request, limits, txn, keys[i]))
			return false;
	return true;
}

bool
txn_check_range_mode(Request *request, const RawLimits *limits,
					 const TxnRequest *txn, const KeyRange *range)
{
	return check_mode(request, limits, txn,
					  api_check_range(limits->api, txn->context.api_version,
									  false, range->lower, range->upper));
}

bool
txn_check_size(Request *request, const RawLimits *limits, const TxnRequest *txn,
			   Bytes key)
{
	size_t size = memcomparable_len(key.len);
	TxnError error = {.kind = TXN_KEY_TOO_LARGE,
					  .key = key,
					  .existing_start_ts = size,
					  .commit_ts = limits->max_key_size};

	if (size <= limits->max_key_size)
		return true;
	txn_answer_error(request, txn, &error);
	return false;
}

bool
txn_check_ts(Request *request, uint64_t ts)
{
	if (ts <= MAX_WRITE_TS)
		return true;
	txn_answer_abort(
		request,
		arena_printf(request->arena,
					 "timestamp %llu is beyond what a write may have",
					 (Llu) ts));
	return false;
}
