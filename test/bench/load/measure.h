/*
 * measure.h
 *	  What load generators measure: latencies, errors, CPU time.
 */
#ifndef TIKV_BENCH_LOAD_MEASURE_H
#define TIKV_BENCH_LOAD_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

extern uint64_t done; /* in the measured time */
extern uint64_t errors;

/* CPU time used in the measured time, by itself and by the server. */
extern double own_s;
extern double server_s;

/* The processes whose CPU time to add up: "12,34"; NULL: none. */
extern const char *server_pids;

extern int64_t now_us(void);
extern uint64_t next_random(void);

/* Something was done that took so long; counts only in the measured time. */
extern void count_one(int64_t us);

/* The first one is told, too many end the program. */
extern void count_error(const char *what);

/* The latency that this share of all stays below. */
extern int64_t percentile(double share);

/* Measure from warm_until to until; called with the time of each event. */
extern void keep_time(int64_t now, int64_t warm_until, int64_t until);

#endif /* TIKV_BENCH_LOAD_MEASURE_H */
