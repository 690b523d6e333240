/*
 * status_cache.h
 *	  start_ts -> commit_ts of transactions this store saw commit lately.
 *
 * An entry stays for as long as a request of its transaction may be under way,
 * and then until another needs its place: a prewrite that comes later than its
 * own commit is told from a new one by it (tikv/tikv#19891).  Room is made for
 * that up to a bound, beyond which the oldest leave earlier.
 * Source: tikv/tikv src/storage/txn/txn_status_cache.rs, which has no bound.
 */
#ifndef TIKV_TXN_STATUS_CACHE_H
#define TIKV_TXN_STATUS_CACHE_H

#include "core/txn/env.h"

/* TiKV's REQ_MAX_FLYING_TIME_MILLIS. */
#define STATUS_CACHE_KEEP_US INT64_C(30000000)

/*
 * Room for `n` transactions, and for up to `max` where that many commit within
 * keep_us; malloc'd.
 */
extern TxnStatusCache *status_cache_new(size_t n, size_t max, int64_t keep_us);
extern void status_cache_free(TxnStatusCache *cache);

/* now_us: of any clock that does not go back. */
extern void status_cache_put(TxnStatusCache *cache, uint64_t start_ts,
							 uint64_t commit_ts, int64_t now_us);

/* The commit_ts, or 0. */
extern uint64_t status_cache_get(const TxnStatusCache *cache,
								 uint64_t start_ts);

#endif /* TIKV_TXN_STATUS_CACHE_H */
