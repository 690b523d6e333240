/*
 * txn_decode_read.c
 *	  kvrpcpb messages of transactional reads -> plain reads.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "service/txn_internal.h"

static bool
decode_get(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__GetRequest *from = (const void *) request->message;

	txn->read.ts = from->version;
	txn->read.need_commit_ts = from->need_commit_ts;
	txn->keys = txn_list_from_wire(&from->key, 1, request->arena);
	txn->n_keys = 1;
	return txn_check_request_key(request, limits, txn, txn->keys[0]);
}

static bool
decode_batch_get(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__BatchGetRequest *from = (const void *) request->message;

	txn->read.ts = from->version;
	txn->read.need_commit_ts = from->need_commit_ts;
	txn->keys = txn_list_from_wire(from->keys, from->n_keys, request->arena);
	txn->n_keys = from->n_keys;
	return txn_check_keys(request, limits, txn, txn->keys, txn->n_keys);
}

static int
key_cmp(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

static bool
decode_buffer_batch_get(Request *request, const RawLimits *limits,
						TxnRequest *txn)
{
	const Kvrpcpb__BufferBatchGetRequest *from =
		(const void *) request->message;

	txn->read.ts = from->version;
	txn->buffered = true;
	/* In order: so is what the look finds, and it can be searched. */
	txn->keys = txn_list_from_wire(from->keys, from->n_keys, request->arena);
	txn->n_keys = from->n_keys;
	if (txn->n_keys > 0)
		qsort(txn->keys, txn->n_keys, sizeof(Bytes), key_cmp);
	return txn_check_keys(request, limits, txn, txn->keys, txn->n_keys);
}

/* In a reverse scan start_key is the exclusive upper bound. */
static bool
decode_scan(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__ScanRequest *from = (const void *) request->message;
	Bytes start = txn_from_wire(from->start_key);
	Bytes end = txn_from_wire(from->end_key);

	txn->read.ts = from->version;
	txn->scan.range.lower = from->reverse ? end : start;
	txn->scan.range.upper = from->reverse ? start : end;
	txn->scan.reverse = from->reverse;
	txn->scan.key_only = from->key_only;
	txn->scan.limit = from->limit;
	txn->scan.sample_step = from->sample_step;
	return txn_check_range_mode(request, limits, txn, &txn->scan.range);
}

static bool
decode_mvcc_by_key(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	const Kvrpcpb__MvccGetByKeyRequest *from = (const void *) request->message;

	txn->keys = txn_list_from_wire(&from->key, 1, request->arena);
	txn->n_keys = 1;
	return txn_check_request_key(request, limits, txn, txn->keys[0]);
}

static bool
decode_mvcc_by_start_ts(Request *request, TxnRequest *txn)
{
	const Kvrpcpb__MvccGetByStartTsRequest *from =
		(const void *) request->message;

	txn->start_ts = from->start_ts;
	return true;
}

static bool
decode_store_locks(Request *request, TxnRequest *txn)
{
	const Kvrpcpb__ScanLockRequest *from = (const void *) request->message;

	txn->scan.range.lower = txn_from_wire(from->start_key);
	txn->scan.range.upper = txn_from_wire(from->end_key);
	txn->scan.limit = from->limit;
	return true;
}

static bool
decode_store_versions(Request *request, TxnRequest *txn)
{
	const Kvrpcpb__ScanRequest *from = (const void *) request->message;

	txn->scan.range.lower = txn_from_wire(from->start_key);
	txn->scan.range.upper = txn_from_wire(from->end_key);
	txn->scan.limit = from->limit;
	return true;
}

/* What a flashback that is under way lets through. */
static bool
mark_read(TxnRequest *txn)
{
	txn->context.read_ts = txn->read.ts;
	return true;
}

bool
txn_decode_read(Request *request, const RawLimits *limits, TxnRequest *txn)
{
	switch (request->method->id)
	{
		case METHOD_KV_GET:
			return decode_get(request, limits, txn) && mark_read(txn);
		case METHOD_KV_BATCH_GET:
			return decode_batch_get(request, limits, txn) && mark_read(txn);
		case METHOD_KV_BUFFER_BATCH_GET:
			return decode_buffer_batch_get(request, limits, txn) &&
				mark_read(txn);
		case METHOD_KV_SCAN:
			return decode_scan(request, limits, txn) && mark_read(txn);
		case METHOD_MVCC_GET_BY_KEY:
			return decode_mvcc_by_key(request, limits, txn);
		case METHOD_MVCC_GET_BY_START_TS:
			return decode_mvcc_by_start_ts(request, txn);
		case METHOD_STORE_LOCKS:
			return decode_store_locks(request, txn);
		case METHOD_STORE_VERSIONS:
			return decode_store_versions(request, txn);
		default:
			CHECK(false);
			return false;
	}
}
