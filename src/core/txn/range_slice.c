/*
 * range_slice.c
 *	  Where a slice of a command over a range begins, and when it ends.
 */
#include "core/txn/range_slice.h"

KeyRange
range_slice(const TxnEnv *env, KeyRange range, Bytes cursor)
{
	const KeyRange *region = &env->region;

	if (bytes_cmp(region->lower, range.lower) > 0)
		range.lower = region->lower;
	if (bytes_cmp(cursor, range.lower) > 0)
		range.lower = cursor;
	if (region->upper.len > 0 &&
		(range.upper.len == 0 || bytes_cmp(region->upper, range.upper) < 0))
		range.upper = region->upper;

	/* Nothing of it is left: a range that holds no key, not one without end. */
	if (range.upper.len > 0 && bytes_cmp(range.lower, range.upper) > 0)
		range.lower = range.upper;
	return range;
}

bool
range_slice_is_full(const TxnEnv *env)
{
	return env->effects->bytes >= TXN_SLICE_BYTES ||
		env->effects->n_modifies >= RANGE_SLICE_MODIFIES;
}
