/*
 * test_server_shares.c
 *	  Calls and streams of one client leave room for those of others.
 */
#include "server/batch.h"

#include "held_puts.h"
#include "server/tikv_methods.h"

#define MAX_CALLS 64
#define MAX_STREAMS 64
#define N_FLOOD 80
#define N_OTHER 8

/* ---- the service ---- */

static atomic_long n_open; /* streams */

static void
submit(void *arg, Request *request)
{
	(void) arg;
	hold_put(request);
}

/* On the server's thread, once per round. */
static void
look(TestServer *t)
{
	ServerCounters counters;

	server_counters(t->server, &counters);
	atomic_store(&n_open, (long) counters.open_streams);
	answer_puts();
}

static TestServer t;

/* ---- unary calls ---- */

static RpcStream
put(RpcClient *client)
{
	static const uint8_t message[] = {0x12, 1, 'k', 0x1a, 1, 'v'};

	return send_put(client, bytes_make(message, sizeof(message)));
}

static void
test_calls(RpcClient *flood, RpcClient *other)
{
	RpcStream floods[N_FLOOD];
	RpcStream others[N_OTHER];
	RpcStream again;

	for (int i = 0; i < N_FLOOD; i++)
		floods[i] = put(flood);
	OK(test_wait_for(&n_waiting, MAX_CALLS / 2), "calls of one client wait");
	for (int i = 0; i < N_OTHER; i++)
		others[i] = put(other);
	OK(test_wait_for(&n_waiting, MAX_CALLS / 2 + N_OTHER),
	   "beside them others are taken");
	poll(NULL, 0, 100);
	EQ_U64(atomic_load(&n_waiting), MAX_CALLS / 2 + N_OTHER,
		   "of one client no more than half");
	atomic_store(&release, true);
	server_wake(t.server);
	EQ_U64(count_busy(floods, N_FLOOD), N_FLOOD - MAX_CALLS / 2,
		   "the rest of its was told ServerIsBusy");
	EQ_U64(count_busy(others, N_OTHER), 0, "the others were answered");
	again = put(flood);
	OK(!ends_busy(&again), "then there is room for who flooded");
}

/* ---- streams ---- */

static void
open_streams(RpcClient *client, RpcStream *streams, int n)
{
	for (int i = 0; i < n; i++)
		streams[i] =
			rpc_open(client, "/tikvpb.Tikv/BatchCommands", -1, NULL, 0);
}

/* Wait until so many are open, and look again. */
static long
open_become(long n)
{
	for (int i = 0; i < 5000 && atomic_load(&n_open) != n; i++)
	{
		server_wake(t.server);
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < 20; i++)
	{
		server_wake(t.server);
		poll(NULL, 0, 5);
	}
	return atomic_load(&n_open);
}

static void
close_streams(RpcStream *streams, int n)
{
	for (int i = 0; i < n; i++)
		rpc_cancel(&streams[i]);
}

static void
test_streams(RpcClient *flood, RpcClient *other)
{
	RpcStream floods[N_FLOOD];
	RpcStream others[N_OTHER];
	RpcStream more;

	open_streams(flood, floods, N_FLOOD);
	EQ_U64(open_become(MAX_STREAMS / 2), MAX_STREAMS / 2,
		   "one client has half of the streams");
	open_streams(other, others, N_OTHER);
	EQ_U64(open_become(MAX_STREAMS / 2 + N_OTHER), MAX_STREAMS / 2 + N_OTHER,
		   "and another one as many as it wants");
	open_streams(flood, &more, 1);
	EQ_U64(rpc_status(&more), RPC_UNAVAILABLE, "the first gets no more");
	EQ_STR(more.status_text, "too many streams", "as there are too many");
	rpc_close(&more);
	close_streams(floods, N_FLOOD);
	close_streams(others, N_OTHER);
	EQ_U64(open_become(0), 0, "all are closed");
	open_streams(flood, &more, 1);
	EQ_U64(open_become(1), 1, "and who had too many has one again");
	close_streams(&more, 1);
}

int
main(void)
{
	BatchService service = {.submit = submit, .max_inflight = 1000};
	RpcClient flood;
	RpcClient other;

	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	batch_configure(&service);
	t.config.max_calls = MAX_CALLS;
	t.config.max_streams = MAX_STREAMS;
	atomic_store(&t.round, look);
	OK(test_server_start(&t, tikv_methods, tikv_n_methods), "the server runs");
	flood = rpc_connect_alone(t.port);
	other = rpc_connect_alone(t.port);
	test_calls(&flood, &other);
	test_streams(&flood, &other);
	rpc_disconnect(&flood);
	rpc_disconnect(&other);
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
