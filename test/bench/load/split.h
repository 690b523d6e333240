/*
 * split.h
 *	  Regions that begin at every key.
 */
#ifndef TIKV_BENCH_LOAD_SPLIT_H
#define TIKV_BENCH_LOAD_SPLIT_H

#define MAX_SPLIT_KEYS 64 /* of one SplitRegion, as the store takes them */

/* Split, in the region that holds the last key, at every key but the first. */
extern void split_all(void);

#endif /* TIKV_BENCH_LOAD_SPLIT_H */
