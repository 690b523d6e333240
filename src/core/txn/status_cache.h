/*
 * status_cache.h
 *	  start_ts -> commit_ts of transactions this store saw commit lately.
 *
 * Bounded: newer entries push out older ones; an entry stays at least 30 s
 * as long as fewer than its room arrive in that time.  A miss is always
 * allowed.  Source: tikv/tikv src/storage/txn/txn_status_cache.rs.
 */
#ifndef TIKV_TXN_STATUS_CACHE_H
#define TIKV_TXN_STATUS_CACHE_H

#include "core/txn/env.h"

/* Room for about `n` transactions; malloc'd. */
extern TxnStatusCache *status_cache_new(size_t n);
extern void status_cache_free(TxnStatusCache *cache);
extern void status_cache_put(TxnStatusCache *cache, uint64_t start_ts,
							 uint64_t commit_ts);

/* The commit_ts, or 0. */
extern uint64_t status_cache_get(const TxnStatusCache *cache,
								 uint64_t start_ts);

#endif /* TIKV_TXN_STATUS_CACHE_H */
