/*
 * histogram.h
 *	  Into which bucket of a histogram a value falls.
 *
 * Bounds double: bucket i takes what is greater than unit * 2^(i-1) and at
 * most unit * 2^i, the first one everything up to unit, and one more takes
 * what is beyond the last.  TiKV's histograms of durations are such a series
 * of 22 bounds from 50 us (tikv/tikv src/server/metrics.rs), so that panels
 * made for them fit.
 */
#ifndef TIKV_STATS_HISTOGRAM_H
#define TIKV_STATS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BOUNDS 22
#define HISTOGRAM_BUCKETS (HISTOGRAM_BOUNDS + 1)

/* Of durations in microseconds. */
#define HISTOGRAM_UNIT_US 50

static inline int
histogram_bucket(uint64_t value, uint64_t unit)
{
	uint64_t units = value == 0 ? 0 : (value - 1) / unit;
	int bucket = units == 0 ? 0 : 64 - __builtin_clzll(units);

	return bucket < HISTOGRAM_BOUNDS ? bucket : HISTOGRAM_BOUNDS;
}

/* The greatest value that falls into a bucket other than the last. */
static inline uint64_t
histogram_bound(int bucket, uint64_t unit)
{
	return unit << bucket;
}

#endif /* TIKV_STATS_HISTOGRAM_H */
