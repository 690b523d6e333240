/*
 * test_server_life.c
 *	  The gRPC server as part of a process: sleep and wake-ups, signals, ports,
 *	  stopping under load.
 *
 * Timings are printed as diagnostics, not asserted.
 */
#include "server/server.h"

#include <signal.h>
#include <sys/resource.h>

#include "rpc_client.h"
#include "rpc_server.h"
#include "unit.h"

/* ---- the service: Echo answers, Hold never does, Sum is a stream ---- */

static Call *held_call;
static atomic_long n_held;
static atomic_long n_closed;

static void
echo_message(Call *call, Bytes message)
{
	call_reply_bytes(call, message);
}

static void
hold_message(Call *call, Bytes message)
{
	(void) message;
	call_hold(call);
	held_call = call;
	atomic_fetch_add(&n_held, 1);
}

static void
sum_message(Call *call, Bytes message)
{
	call_send_bytes(call, message);
}

static void
count_closed(Call *call)
{
	(void) call;
	atomic_fetch_add(&n_closed, 1);
}

static const CallHandler echo = {.message = echo_message};
static const CallHandler hold = {.message = hold_message,
								 .closed = count_closed};
static const CallHandler sum = {.message = sum_message, .closed = count_closed};

static const RpcMethod methods[] = {
	{"/test.T/Echo", RPC_UNARY, 1, &echo},
	{"/test.T/Hold", RPC_UNARY, 2, &hold},
	{"/test.T/Sum", RPC_STREAM, 3, &sum},
};

#define N_METHODS ((int) (sizeof(methods) / sizeof(methods[0])))

static TestServer t;

/* ---- waking ---- */

static double
cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double) ru.ru_utime.tv_sec + (double) ru.ru_stime.tv_sec +
		1e-6 * (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
}

static void
test_wake(void)
{
	int64_t worst = 0;
	int64_t sum_us = 0;
	double cpu;
	long rounds;

	for (int i = 0; i < 100; i++)
	{
		int64_t begin;
		int64_t took;
		long before = atomic_load(&t.rounds);

		poll(NULL, 0, 5);
		before = atomic_load(&t.rounds);
		begin = test_now_us();
		server_wake(t.server);
		while (atomic_load(&t.rounds) == before &&
			   test_now_us() - begin < 5000000)
			sched_yield();
		took = test_now_us() - begin;
		sum_us += took;
		if (took > worst)
			worst = took;
	}
	OK(worst < 5000000, "a write to wake_fd ends server_wait");
	printf("# woken after %ld us on average, %ld us at worst\n",
		   (long) sum_us / 100, (long) worst);

	rounds = atomic_load(&t.rounds);
	cpu = cpu_seconds();
	poll(NULL, 0, 2000);
	printf("# idle for 2 s: %ld rounds, %.2f ms CPU\n",
		   atomic_load(&t.rounds) - rounds, 1000 * (cpu_seconds() - cpu));
	OK(atomic_load(&t.rounds) - rounds < 20, "an idle server sleeps");
}

static atomic_long alarms;

static void
on_alarm(int sig)
{
	(void) sig;
	atomic_fetch_add(&alarms, 1);
	server_wake(t.server);
}

/* All threads but the server's block the signal, as in a worker. */
static void
test_signal(void)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	int64_t begin;

	sigaction(SIGUSR1, &sa, NULL);
	poll(NULL, 0, 20);
	begin = test_now_us();
	kill(getpid(), SIGUSR1);
	OK(test_wait_for(&alarms, 1), "a signal is delivered to a sleeping worker");
	printf("# after %ld us\n", (long) (test_now_us() - begin));
}

/* SigBlk of every thread except the process's own two. */
static void
test_masks(void)
{
	char line[256];
	int open_masks = 0;
	int threads = 0;
	FILE *p = popen("cat /proc/$PPID/task/*/status | grep SigBlk", "r");

	while (p != NULL && fgets(line, sizeof(line), p) != NULL)
	{
		unsigned long long mask = strtoull(line + 7, NULL, 16);

		threads++;
		if ((mask & (1ULL << (SIGUSR1 - 1))) == 0)
			open_masks++;
	}
	if (p != NULL)
		pclose(p);
	printf("# %d threads\n", threads);
	OK(threads > 2 && open_masks <= 1, "no helper thread takes signals");
}

/* ---- ports ---- */

static void
test_port(void)
{
	char addr[64];
	char err[256];
	char want[256];
	ServerConfig config = t.config;

	snprintf(addr, sizeof(addr), "127.0.0.1:%d", t.port);
	OK(!server_probe_address(addr, err, sizeof(err)),
	   "a port in use is noticed");
	snprintf(want, sizeof(want), "could not listen on \"%s\": %s", addr,
			 "Address already in use");
	EQ_STR(err, want, "and the message says which and why");
	config.addr = addr;
	OK(server_start(&config, err, sizeof(err)) == NULL,
	   "no server starts there");
	EQ_STR(err, want, "with the same message");
	config.shared_port = true;
	OK(server_start(&config, err, sizeof(err)) == NULL,
	   "nor one that would share it");
	EQ_STR(err, want, "with the same message");
	OK(server_probe_address("127.0.0.1:0", err, sizeof(err)), "a free one is");
	OK(!server_probe_address("nonsense", err, sizeof(err)), "no port: refused");
	EQ_STR(err, "invalid listen address \"nonsense\": expected host:port",
		   "by name");
	OK(!server_probe_address("::1:80", err, sizeof(err)), "bare v6: refused");
	OK(!server_probe_address("127.0.0.1:99999", err, sizeof(err)),
	   "port 99999: refused");
	OK(!server_probe_address("192.0.2.1:4000", err, sizeof(err)),
	   "an address of somebody else: refused");
}

static void
test_shared_port(void)
{
	TestServer a = {.config = {.shared_port = true}};
	TestServer b = {.config = {.shared_port = true}};
	char addr[64];

	OK(test_server_start(&a, methods, N_METHODS), "a first sharer starts");
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", a.port);
	b.config.addr = addr;
	OK(test_server_start(&b, methods, N_METHODS), "a second one beside it");
	test_server_stop(&a);
	test_server_stop(&b);
}

/* ---- stopping ---- */

static atomic_bool load_stop;
static atomic_long load_done;

static void *
load_main(void *arg)
{
	RpcClient client = rpc_connect(*(int *) arg, NULL);

	while (!atomic_load(&load_stop))
	{
		rpc_unary(&client, "/test.T/Echo", bytes_cstr("load"), 1000, NULL, NULL,
				  0);
		atomic_fetch_add(&load_done, 1);
	}
	rpc_disconnect(&client);
	return NULL;
}

static void
test_stop(void)
{
	TestServer s = {.stop_timeout_ms = 2000};
	pthread_t load[4];
	RpcClient client;
	RpcStream stream;
	RpcStream unary;

	OK(test_server_start(&s, methods, N_METHODS), "another server starts");
	for (int i = 0; i < 4; i++)
		pthread_create(&load[i], NULL, load_main, &s.port);
	client = rpc_connect(s.port, NULL);
	stream = rpc_open(&client, "/test.T/Sum", -1, NULL, 0);
	rpc_send(&stream, bytes_cstr("x"));
	free(rpc_recv(&stream).data);
	unary = rpc_open(&client, "/test.T/Hold", -1, NULL, 0);
	rpc_send(&unary, bytes_cstr("x"));
	rpc_half_close(&unary);
	test_wait_for(&n_held, 1);
	test_wait_for(&load_done, 200);
	test_server_stop(&s);
	printf("# stopped under load after %ld us\n", (long) s.stop_took_us);
	OK(s.stop_took_us < 2000000, "a server under load stops within its time");
	OK(rpc_status(&stream) != 0, "its streams end");
	OK(rpc_status(&unary) != 0, "its calls end");
	EQ_U64(n_closed, 2, "their handlers know");
	OK(call_over(held_call), "a call that outlives the server is over");
	OK(call_server(held_call) == NULL, "and has none");
	call_fail(held_call, RPC_INTERNAL, "harmless");
	call_release(held_call);
	atomic_store(&load_stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(load[i], NULL);
	rpc_close(&stream);
	rpc_close(&unary);
	rpc_disconnect(&client);
}

int
main(void)
{
	sigset_t block;
	RpcClient client;

	setvbuf(stdout, NULL, _IOLBF, 0);
	OK(test_server_start(&t, methods, 0), "a server without methods starts");
	test_server_stop(&t);
	OK(test_server_start(&t, methods, N_METHODS), "so does one with some");

	/* The server's thread takes SIGUSR1, this one and gRPC's must not. */
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &block, NULL);
	grpc_init();
	client = rpc_connect(t.port, NULL);
	EQ_U64(rpc_unary(&client, "/test.T/Echo", bytes_cstr("x"), 5000, NULL, NULL,
					 0),
		   0, "a call is answered");
	test_wake();
	test_signal();
	test_masks();
	test_port();
	test_shared_port();
	test_stop();
	rpc_disconnect(&client);
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
