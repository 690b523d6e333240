/*
 * echo_server.c
 *	  The empty RPC: what a call costs before anything is stored.
 *
 * The same server as a worker's, with handlers that answer at once:
 * /bench.Echo/Empty with an empty message, the KV methods through the real
 * decode and encode path with a fixed value.  rpc_load drives both, so what
 * a worker adds to them is the cost of storage.
 *
 * echo_server [--addr HOST:PORT] [--value-size N]   until SIGINT or SIGTERM
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "kvrpcpb.pb-c.h"
#include "server/batch.h"
#include "server/tikv_methods.h"

static Server *server;
static volatile sig_atomic_t stop;
static uint8_t value[1024 * 1024];
static size_t value_size = 100;
static unsigned long kv_requests;

static void
on_signal(int sig)
{
	(void) sig;
	stop = 1;
	server_wake(server);
}

static void
empty_message(Call *call, Bytes message)
{
	(void) message;
	call_reply_bytes(call, bytes_empty());
}

static const CallHandler empty_handler = {.message = empty_message};

static void
submit(void *arg, Request *request)
{
	Kvrpcpb__RawGetResponse get = KVRPCPB__RAW_GET_RESPONSE__INIT;
	Kvrpcpb__RawPutResponse put = KVRPCPB__RAW_PUT_RESPONSE__INIT;

	(void) arg;
	kv_requests++;
	switch (request->method->id)
	{
		case METHOD_RAW_GET:
			get.value.data = value;
			get.value.len = value_size;
			request->done(request, &get.base);
			break;
		case METHOD_RAW_PUT:
			request->done(request, &put.base);
			break;
		default:
			request->fail(request, RPC_UNIMPLEMENTED, "not implemented");
	}
}

static uint64_t
store_id(void *arg)
{
	(void) arg;
	return 1;
}

/* The methods of a storage node and the empty one. */
static const RpcMethod *
all_methods(int *n)
{
	RpcMethod *methods = calloc((size_t) tikv_n_methods + 1, sizeof(*methods));

	if (methods == NULL)
		abort();
	memcpy(methods, tikv_methods, (size_t) tikv_n_methods * sizeof(*methods));
	methods[tikv_n_methods] =
		(RpcMethod){"/bench.Echo/Empty", RPC_UNARY, 1, &empty_handler};
	*n = tikv_n_methods + 1;
	return methods;
}

static void
report(void)
{
	struct rusage ru;
	ServerCounters c;
	double cpu;
	double n;

	getrusage(RUSAGE_SELF, &ru);
	server_counters(server, &c);
	cpu = (double) ru.ru_utime.tv_sec + (double) ru.ru_stime.tv_sec +
		1e-6 * (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	n = (double) (c.calls > kv_requests ? c.calls : kv_requests);
	printf(
		"calls=%llu messages=%llu kv_requests=%lu cpu_s=%.2f cpu_us_per_op=%.2f\n",
		(unsigned long long) c.calls, (unsigned long long) c.messages,
		kv_requests, cpu, n > 0 ? 1e6 * cpu / n : 0);
}

int
main(int argc, char **argv)
{
	BatchService service = {.submit = submit,
							.store_id = store_id,
							.max_inflight = 100000};
	ServerConfig config = {.addr = "127.0.0.1:20260",
						   .parent_fd = -1,
						   .max_message = 64 * 1024 * 1024,
						   .max_calls = 100000};
	char err[256];

	for (int i = 1; i + 1 < argc; i += 2)
	{
		if (strcmp(argv[i], "--addr") == 0)
			config.addr = argv[i + 1];
		else if (strcmp(argv[i], "--value-size") == 0)
			value_size = (size_t) atol(argv[i + 1]);
	}
	if (value_size > sizeof(value))
		value_size = sizeof(value);
	memset(value, 'v', sizeof(value));
	config.methods = all_methods(&config.n_methods);
	config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	batch_configure(&service);
	server = server_start(&config, err, sizeof(err));
	if (server == NULL)
	{
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	printf("listening on %s\n", config.addr);
	fflush(stdout);
	while (!stop)
	{
		server_poll(server, 1000);
		batch_flush();
		server_wait(server, -1);
	}
	report();
	server_stop(server, 1000);
	free((void *) config.methods);
	return 0;
}
