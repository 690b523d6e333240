/*
 * stream.h
 *	  A load of BatchCommands.
 */
#ifndef TIKV_BENCH_LOAD_STREAM_H
#define TIKV_BENCH_LOAD_STREAM_H

#include <stdint.h>

extern void run_streams(int64_t warm_until, int64_t until);

/* Write every key once, in order, over one stream. */
extern void fill_stream(void);

#endif /* TIKV_BENCH_LOAD_STREAM_H */
