/*
 * unary.h
 *	  A load of unary calls.
 */
#ifndef TIKV_BENCH_LOAD_UNARY_H
#define TIKV_BENCH_LOAD_UNARY_H

#include <stdint.h>

/* A transaction that has begun is brought to its end, whatever the time. */
extern void run_unary(int64_t warm_until, int64_t until);

/* Write every key once, in order: for etcd, which has no stream for it. */
extern void fill_unary(void);

#endif /* TIKV_BENCH_LOAD_UNARY_H */
