/*
 * options.h
 *	  What the command line of rpc_load says; rpc_load.c tells what it means.
 */
#ifndef TIKV_BENCH_LOAD_OPTIONS_H
#define TIKV_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>

typedef struct Options
{
	const char *addr;
	const char *mode;
	const char *method;
	const char *pd;
	const char *tls;
	long inflight;
	long batch;
	long connections;
	long seconds;
	long warmup;
	long keys;
	long first;
	long key_size;
	long value_size;
	long hot;
	long fill;
	long limit;
	long ttl;
} Options;

extern Options opt;

/* False: there is no such option. */
extern bool set_option(const char *name, const char *text);

#endif /* TIKV_BENCH_LOAD_OPTIONS_H */
