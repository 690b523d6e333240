/*
 * txn.h
 *	  The transactional API: kvrpcpb messages <-> plain commands and reads.
 */
#ifndef TIKV_SERVICE_TXN_H
#define TIKV_SERVICE_TXN_H

#include "core/mvcc/read.h"
#include "core/txn/command.h"
#include "core/txn/lock_wait.h"
#include "kvrpcpb.pb-c.h"
#include "service/raw.h"

/* A request of the transactional API, decoded; memory is the request's. */
typedef struct TxnRequest
{
	RequestContext context;
	ReadContext read; /* reads: timestamp, isolation, locks to pass */
	uint64_t txn_source;
	bool is_retry_request;
	Bytes resource_group_tag;

	bool buffered; /* KvBufferBatchGet: reads the transaction's own locks */

	/* reads of keys: get, batch get, buffer batch get, MVCC by key */
	Bytes *keys;
	size_t n_keys;

	MvccScan scan;		/* KvScan, not yet cut to the region */
	uint64_t start_ts;	/* MvccGetByStartTs */
	TxnCommand command; /* SERVICE_WRITE */
	size_t write_bytes; /* what a command takes in the log, about */
} TxnRequest;

/* True for the methods that this file serves. */
extern bool txn_is_method(int method);

/*
 * Decode and validate.  Returns NULL if the request was answered already,
 * with the protocol's error.
 */
extern TxnRequest *txn_decode(Request *request, const RawLimits *limits);

/*
 * True if all keys (and the bound that a scan starts from) lie in the region,
 * whose bounds are memcomparable; else fills *error with KEY_NOT_IN_REGION.
 * Commands over a range are cut to the region later.
 */
extern bool txn_check_range(const TxnRequest *txn, int method,
							const Region *region, RegionError *error);

/*
 * The user keys that a region covers: its bounds decoded.  A bound that is
 * not memcomparable (a region of raw keys) gives an empty range.
 */
extern KeyRange txn_region_range(const Region *region, Arena *arena);

/* The newest timestamp that a command names, UINT64_MAX aside; 0: none. */
extern uint64_t txn_newest_ts(const TxnCommand *command);

/* The part of the range that lies in the other; may be empty. */
extern KeyRange txn_clip_range(KeyRange range, KeyRange region);

/* ---- txn_answer.c ---- */

/* Answer a command that is durable, or that failed. */
extern void txn_answer(Request *request, const TxnRequest *txn,
					   const TxnAnswer *answer);

/* Answer a request with one error, of a key or of the region. */
extern void txn_answer_error(Request *request, const TxnRequest *txn,
							 const TxnError *error);

/* Answer with the abort text of a KeyError, or with `error` of maintenance. */
extern void txn_answer_abort(Request *request, const char *text);

/* The same of a read that ends with it, of however many keys. */
extern void txn_answer_read_error(Request *request, const char *text);

/*
 * Refuse a read at a timestamp below which versions may be gone.  TiKV leaves
 * this to its clients, of which only client-go looks.
 */
extern void txn_answer_collected(Request *request, uint64_t ts,
								 uint64_t safe_point);

/* The text of that, for a write by a transaction that began below it, too. */
extern const char *txn_collected_text(uint64_t ts, uint64_t safe_point,
									  Arena *arena);

/*
 * A force-lock request that waited and failed: results[0] is Failed, the
 * error is errors[0].
 */
extern void txn_answer_lock_failed(Request *request, const TxnRequest *txn,
								   const TxnError *error);

/* ---- key_error.c ---- */

/* kvrpcpb.KeyError of an error that is not a region error. */
extern Kvrpcpb__KeyError *txn_key_error(const TxnError *error, Arena *arena);
extern Kvrpcpb__LockInfo *txn_lock_info_message(const LockInfo *info,
												Arena *arena);

/* True, with *region_error filled, if the error is the region's. */
extern bool txn_is_region_error(const TxnError *error, uint64_t region_id,
								RegionError *region_error);

/* ---- txn_read.c ---- */

/* What a read needs to know beforehand: which locks matter to it. */
typedef struct TxnLook
{
	MetLock *met; /* in the order of keys, or of the scan */
	size_t n_met;
} TxnLook;

/* Run a read over a reader and answer it; `region` bounds a scan. */
extern void txn_read(Request *request, const TxnRequest *txn,
					 const TxnLook *look, const Region *region,
					 MvccReader *reader, const RawLimits *limits);

#endif /* TIKV_SERVICE_TXN_H */
