/*
 * txn_internal.h
 *	  What the txn_*.c files of this folder share.
 */
#ifndef TIKV_SERVICE_TXN_INTERNAL_H
#define TIKV_SERVICE_TXN_INTERNAL_H

#include "service/txn.h"

static inline Bytes
txn_from_wire(ProtobufCBinaryData b)
{
	return bytes_make(b.data, b.len);
}

/* ---- txn_check.c: each answers the request if it returns false ---- */

extern Bytes *txn_list_from_wire(const ProtobufCBinaryData *list, size_t n,
								 Arena *arena);
extern bool txn_decode_context(Request *request, const RawLimits *limits,
							   TxnRequest *txn);

/* Keys and bounds of a mode that the request's API version may use. */
extern bool txn_check_request_key(Request *request, const RawLimits *limits,
								  const TxnRequest *txn, Bytes key);
extern bool txn_check_keys(Request *request, const RawLimits *limits,
						   const TxnRequest *txn, const Bytes *keys, size_t n);
extern bool txn_check_range_mode(Request *request, const RawLimits *limits,
								 const TxnRequest *txn, const KeyRange *range);

/* A key to be written is not too long. */
extern bool txn_check_size(Request *request, const RawLimits *limits,
						   const TxnRequest *txn, Bytes key);
extern bool txn_check_ts(Request *request, uint64_t ts);

/* ---- txn_decode_read.c ---- */

extern bool txn_decode_read(Request *request, const RawLimits *limits,
							TxnRequest *txn);

/* ---- txn_inspect.c ---- */

/* NULL after an answer that says that it would be too large. */
extern Kvrpcpb__MvccInfo *txn_mvcc_info_message(Request *request,
												MvccReader *reader, Bytes key,
												const RawLimits *limits);

/* Each answers the request: MvccGetByKey, and METHOD_STORE_LOCKS, _VERSIONS. */
extern void txn_inspect_key(Request *request, const TxnRequest *txn,
							MvccReader *reader, const RawLimits *limits);
extern void txn_inspect_locks(Request *request, const TxnRequest *txn,
							  const Region *region, MvccReader *reader);
extern void txn_inspect_versions(Request *request, const TxnRequest *txn,
								 const Region *region, MvccReader *reader,
								 const RawLimits *limits);

#endif /* TIKV_SERVICE_TXN_INTERNAL_H */
