/*
 * test_server_shares.c
 *	  Calls and streams of one client leave room for those of others.
 */
#include "server/batch.h"

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "rpc_client.h"
#include "rpc_server.h"
#include "server/tikv_methods.h"
#include "unit.h"

#define MAX_CALLS 64
#define MAX_STREAMS 64
#define N_FLOOD 80
#define N_OTHER 8

/* ---- the service: a RawPut is kept until it is told to answer ---- */

static Request *waiting;
static atomic_long n_waiting;
static atomic_bool release;
static atomic_long n_open; /* streams */

static void
submit(void *arg, Request *request)
{
	(void) arg;
	request->next = waiting;
	waiting = request;
	atomic_fetch_add(&n_waiting, 1);
}

/* On the server's thread, once per round. */
static void
answer(TestServer *t)
{
	Kvrpcpb__RawPutResponse reply = KVRPCPB__RAW_PUT_RESPONSE__INIT;
	ServerCounters counters;

	server_counters(t->server, &counters);
	atomic_store(&n_open, (long) counters.open_streams);
	while (atomic_load(&release) && waiting != NULL)
	{
		Request *request = waiting;

		waiting = request->next;
		request->done(request, &reply.base);
		atomic_fetch_sub(&n_waiting, 1);
	}
}

static TestServer t;

/* ---- unary calls ---- */

static RpcStream
put(RpcClient *client)
{
	static const uint8_t message[] = {0x12, 1, 'k', 0x1a, 1, 'v'};
	RpcStream s = rpc_open(client, "/tikvpb.Tikv/RawPut", -1, NULL, 0);

	rpc_send(&s, bytes_make(message, sizeof(message)));
	rpc_half_close(&s);
	return s;
}

/* Take the answer, which must be one of the protocol: was it ServerIsBusy? */
static bool
ends_busy(RpcStream *s)
{
	RpcMessage m = rpc_recv(s);
	Kvrpcpb__RawPutResponse *reply =
		kvrpcpb__raw_put_response__unpack(NULL, m.len, m.data);
	bool busy = reply != NULL && reply->region_error != NULL &&
		reply->region_error->server_is_busy != NULL;

	if (rpc_status(s) != 0 || reply == NULL)
		OK(false, "every call is answered in the protocol");
	if (reply != NULL)
		kvrpcpb__raw_put_response__free_unpacked(reply, NULL);
	free(m.data);
	rpc_close(s);
	return busy;
}

static int
count_busy(RpcStream *calls, int n)
{
	int busy = 0;

	for (int i = 0; i < n; i++)
		busy += ends_busy(&calls[i]);
	return busy;
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
	{
		grpc_call_cancel(streams[i].call, NULL);
		rpc_status(&streams[i]);
		rpc_close(&streams[i]);
	}
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
	grpc_arg own[] = {
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
		 .value.integer = 1},
	};
	grpc_channel_args args = {1, own};
	RpcClient flood;
	RpcClient other;

	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	batch_configure(&service);
	t.config.max_calls = MAX_CALLS;
	t.config.max_streams = MAX_STREAMS;
	atomic_store(&t.round, answer);
	OK(test_server_start(&t, tikv_methods, tikv_n_methods), "the server runs");
	flood = rpc_connect(t.port, &args);
	other = rpc_connect(t.port, &args);
	test_calls(&flood, &other);
	test_streams(&flood, &other);
	rpc_disconnect(&flood);
	rpc_disconnect(&other);
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
