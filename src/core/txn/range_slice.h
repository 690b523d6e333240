/*
 * range_slice.h
 *	  Where a slice of a command over a range begins, and when it ends.
 */
#ifndef TIKV_TXN_RANGE_SLICE_H
#define TIKV_TXN_RANGE_SLICE_H

#include "core/txn/lock_slice.h"

/* Keys that a slice looks at, and rows that it changes, at most. */
#define RANGE_SLICE_EXAMINED 1024
#define RANGE_SLICE_MODIFIES ((size_t) 2 * TXN_SLICE_KEYS)

/* What of the range lies in the region and not before the cursor. */
extern KeyRange range_slice(const TxnEnv *env, KeyRange range, Bytes cursor);

/* Whether the slice's effects are enough for one turn. */
extern bool range_slice_is_full(const TxnEnv *env);

#endif /* TIKV_TXN_RANGE_SLICE_H */
