/*
 * rpc_load.c
 *	  A load generator on the gRPC C core: unary calls or BatchCommands.
 *
 * One thread keeps a number of commands in flight and prints one line:
 * operations per second, latencies, errors, CPU per operation of itself and,
 * with --server-pid, of the server.  Requests are put together and answers
 * taken apart by hand, so that the generator is cheaper than the server.
 *
 * --addr HOST:PORT    the server (127.0.0.1:20160)
 * --mode MODE         empty, rawget, rawput, rawscan, or transactions on one
 *                     key: get, 1pc, 2pc, async, pessimistic; or scan;
 *                     stream-MODE (but empty) sends the same in BatchCommands;
 *                     etcdget and etcdput ask etcd, by unary calls only;
 *                     split makes a region begin at every key but the first,
 *                     in the region that holds the last
 * --ttl N             seconds that what rawput writes is kept (0: for ever)
 * --limit N           pairs of a scan (10000)
 * --method PATH       of --mode empty (/bench.Echo/Empty)
 * --inflight N        commands in flight (64)
 * --batch N           commands per message of a stream (16)
 * --connections N     TCP connections, in turn (1)
 * --seconds N         to measure (5), after --warmup N (1)
 * --keys N            different keys (100000); --hot 1: only one
 * --first N           number of the first key of a split (0)
 * --key-size N        bytes (16); --value-size N  bytes (100)
 * --fill 1            first write every key, over one stream (etcd: by calls)
 * --pd HOST:PORT      ask for the region, its epoch and its leader, and for
 *                     all timestamps before the load begins
 * --tls DIR           speak TLS, with ca.crt, client.crt and client.key of there
 * --server-pid P,P..  processes whose CPU time to report
 */
#include <grpc/grpc.h>
#include <stdio.h>
#include <string.h>

#include "load/answer.h"
#include "load/channels.h"
#include "load/measure.h"
#include "load/options.h"
#include "load/request.h"
#include "load/split.h"
#include "load/stream.h"
#include "load/unary.h"

static bool
options_are_good(void)
{
	streaming = strncmp(opt.mode, "stream-", 7) == 0;
	mode = find_mode(streaming ? opt.mode + 7 : opt.mode);
	if (mode == NULL || (streaming && mode->steps[0] == STEP_EMPTY) ||
		(mode->transactional && opt.pd == NULL))
		return false;
	if ((is_etcd(mode) || mode->steps[0] == STEP_SPLIT) && streaming)
		return false;
	if (mode->steps[0] == STEP_SPLIT &&
		(opt.pd == NULL || opt.batch > MAX_SPLIT_KEYS))
		return false;
	fill_mode = find_mode(mode->transactional ? "1pc" :
							  is_etcd(mode)	  ? "etcdput" :
												"rawput");
	return opt.connections > 0 && opt.batch > 0 && opt.keys > 0 &&
		opt.inflight >= opt.connections && opt.key_size >= 16 &&
		opt.key_size <= 4096 && opt.value_size >= 0 &&
		(!streaming || opt.inflight / opt.connections >= opt.batch);
}

static void
report(void)
{
	double ops = (double) (done > 0 ? done : 1);

	printf("mode=%s inflight=%ld batch=%ld ops_per_s=%.0f p50_us=%lld "
		   "p95_us=%lld p99_us=%lld errors=%llu retries=%llu "
		   "client_cpu_us=%.2f",
		   opt.mode, opt.inflight, opt.batch,
		   (double) done / (double) opt.seconds, (long long) percentile(0.5),
		   (long long) percentile(0.95), (long long) percentile(0.99),
		   (unsigned long long) errors, (unsigned long long) lock_retries,
		   1e6 * own_s / ops);
	if (server_pids != NULL)
		printf(" server_cpu_us=%.2f", 1e6 * server_s / ops);
	if (pairs_read > 0)
		printf(" pairs_per_s=%.0f mb_per_s=%.1f",
			   (double) pairs_read / (double) opt.seconds,
			   (double) bytes_read / 1e6 / (double) opt.seconds);
	printf("\n");
}

int
main(int argc, char **argv)
{
	int64_t begin;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !set_option(argv[i], argv[i + 1]))
		{
			fprintf(stderr, "rpc_load: bad option %s\n", argv[i]);
			return 2;
		}
	if (!options_are_good())
	{
		fprintf(stderr, "rpc_load: options do not fit together\n");
		return 2;
	}
	grpc_init();
	connect_all();
	if (mode->steps[0] == STEP_SPLIT)
	{
		split_all();
		return 0;
	}
	make_context();
	make_room();
	if (opt.fill && is_etcd(mode))
		fill_unary();
	else if (opt.fill)
		fill_stream();

	begin = now_us();
	if (streaming)
		run_streams(begin + opt.warmup * 1000000,
					begin + (opt.warmup + opt.seconds) * 1000000);
	else
		run_unary(begin + opt.warmup * 1000000,
				  begin + (opt.warmup + opt.seconds) * 1000000);
	report();
	return errors > 0;
}
