/*
 * test_server.c
 *	  The gRPC server against a client on the C core: unary calls, streams,
 *	  their bounds, health.
 */
#include "server/server.h"

#include "rpc_client.h"
#include "rpc_server.h"
#include "unit.h"

/* ---- the service under test ---- */

enum
{
	ECHO = 1,
	HOLD, /* answers when released, or never */
	FAIL,
	SUM,   /* stream: one answer per message, OK at the end */
	FLOOD, /* stream: sends until it may not */
	SLOW,  /* stream: pauses after each message */
	YIELD  /* has the poll return */
};

static Call *held_calls[2048];
static atomic_long n_held;
static atomic_long n_closed;
static atomic_long n_half_closed;
static atomic_long n_received;
static atomic_long flood_sent;
static atomic_long user_seen;
static atomic_long n_yielded;
static atomic_long most_in_round;

static void
echo_message(Call *call, Bytes message)
{
	Bytes wish = call_metadata(call, "tikv-test");

	if (wish.data != NULL)
		call_reply_bytes(call, wish);
	else
		call_reply_bytes(call, message);
	call_reply_bytes(call, bytes_cstr("a second answer is ignored"));
}

static void
yield_message(Call *call, Bytes message)
{
	atomic_fetch_add(&n_yielded, 1);
	server_yield(call_server(call));
	call_reply_bytes(call, message);
}

static void
hold_message(Call *call, Bytes message)
{
	(void) message;
	call_hold(call);
	call_set_user(call, held_calls);
	held_calls[atomic_load(&n_held)] = call;
	atomic_fetch_add(&n_held, 1);
}

static void
hold_closed(Call *call)
{
	if (call_user(call) == held_calls)
		atomic_fetch_add(&user_seen, 1);
	atomic_fetch_add(&n_closed, 1);
}

static void
fail_message(Call *call, Bytes message)
{
	(void) message;
	call_fail(call, RPC_FAILED_PRECONDITION, "mismatch: 100% \xc3\xa4 text");
}

static void
sum_message(Call *call, Bytes message)
{
	atomic_fetch_add(&n_received, 1);
	if (message.len == 4 && memcmp(message.data, "fail", 4) == 0)
		call_fail(call, RPC_UNAVAILABLE, "not leader");
	else
		call_send_bytes(call, message);
}

static void
sum_half_close(Call *call)
{
	atomic_fetch_add(&n_half_closed, 1);
	call_finish(call, RPC_OK, NULL);
}

static void
flood_message(Call *call, Bytes message)
{
	static uint8_t block[1024 * 1024];

	(void) message;
	while (call_send_bytes(call, bytes_make(block, sizeof(block))))
		atomic_fetch_add(&flood_sent, 1);
	call_fail(call, RPC_RESOURCE_EXHAUSTED, "too slow");
}

static void
slow_message(Call *call, Bytes message)
{
	(void) message;
	call_pause(call, true);
	call_hold(call);
	held_calls[0] = call;
	atomic_fetch_add(&n_received, 1);
}

static void
count_closed(Call *call)
{
	(void) call;
	atomic_fetch_add(&n_closed, 1);
}

static const CallHandler echo = {.message = echo_message};
static const CallHandler hold = {.message = hold_message,
								 .closed = hold_closed};
static const CallHandler fail = {.message = fail_message};
static const CallHandler yield = {.message = yield_message};
static const CallHandler sum = {.message = sum_message,
								.half_close = sum_half_close,
								.closed = count_closed};
static const CallHandler flood = {.message = flood_message,
								  .closed = count_closed};
static const CallHandler slow = {.message = slow_message,
								 .closed = count_closed};

static const RpcMethod methods[] = {
	{"/test.T/Echo", RPC_UNARY, ECHO, &echo},
	{"/test.T/Hold", RPC_UNARY, HOLD, &hold},
	{"/test.T/Fail", RPC_UNARY, FAIL, &fail},
	{"/test.T/Yield", RPC_UNARY, YIELD, &yield},
	{"/test.T/Sum", RPC_STREAM, SUM, &sum},
	{"/test.T/Flood", RPC_STREAM, FLOOD, &flood},
	{"/test.T/Slow", RPC_STREAM, SLOW, &slow},
	{"/test.T/NotBuilt", RPC_UNARY, 0, NULL},
	{"/test.T/NotBuiltStream", RPC_STREAM, 0, NULL},
};

#define N_METHODS ((int) (sizeof(methods) / sizeof(methods[0])))

static TestServer t;

static void
reset_counts(void)
{
	n_held = 0;
	n_closed = 0;
	n_half_closed = 0;
	n_received = 0;
	flood_sent = 0;
	user_seen = 0;
}

/* Run a function on the server's thread, once. */
static void (*on_server)(void);
static atomic_long on_server_done;

static void
run_once(TestServer *ts)
{
	atomic_store(&ts->round, NULL);
	on_server();
	atomic_fetch_add(&on_server_done, 1);
}

static void
run_on_server(void (*fn)(void))
{
	long before = atomic_load(&on_server_done);

	on_server = fn;
	atomic_store(&t.round, run_once);
	server_wake(t.server);
	test_wait_for(&on_server_done, before + 1);
}

static ServerCounters counters;

static void
read_counters(void)
{
	server_counters(t.server, &counters);
}

static void
release_held(void)
{
	for (long i = 0; i < atomic_load(&n_held); i++)
	{
		call_reply_bytes(held_calls[i], bytes_cstr("late"));
		call_release(held_calls[i]);
	}
}

/* ---- unary ---- */

static void
test_echo(RpcClient *client)
{
	RpcMessage m;
	char text[512];
	int code;

	code = rpc_unary(client, "/test.T/Echo", bytes_cstr("hello"), 5000, &m,
					 text, sizeof(text));
	EQ_U64(code, 0, "a unary call is answered with OK");
	OK(m.len == 5 && memcmp(m.data, "hello", 5) == 0, "and with its message");
	free(m.data);

	code = rpc_unary(client, "/test.T/Echo", bytes_empty(), 5000, &m, NULL, 0);
	OK(code == 0 && m.present && m.len == 0, "an empty message comes back");
	free(m.data);

	code = rpc_unary(client, "/test.T/Fail", bytes_cstr("x"), 5000, NULL, text,
					 sizeof(text));
	EQ_U64(code, RPC_FAILED_PRECONDITION, "call_fail's code arrives");
	EQ_STR(text, "mismatch: 100% \xc3\xa4 text", "and its text");
}

static void
test_unknown(RpcClient *client)
{
	char text[512];
	RpcStream s;

	EQ_U64(rpc_unary(client, "/test.T/Nope", bytes_cstr("x"), 5000, NULL, text,
					 sizeof(text)),
		   RPC_UNIMPLEMENTED, "an unknown method is UNIMPLEMENTED");
	EQ_STR(text, "unknown method /test.T/Nope", "and named");
	EQ_U64(rpc_unary(client, "/test.T/NotBuilt", bytes_cstr("x"), 5000, NULL,
					 text, sizeof(text)),
		   RPC_UNIMPLEMENTED, "so is a method without a handler");
	EQ_STR(text, "not implemented: /test.T/NotBuilt", "in other words");

	s = rpc_open(client, "/test.T/NotBuiltStream", 5000, NULL, 0);
	EQ_U64(rpc_status(&s), RPC_UNIMPLEMENTED, "a stream not built, too");
	rpc_close(&s);
	for (int i = 0; i < 100; i++)
		if (rpc_unary(client, "/test.T/Nope", bytes_cstr("x"), 5000, NULL, NULL,
					  0) != RPC_UNIMPLEMENTED)
			OK(false, "every one of many unknown calls is answered");
}

static void
test_metadata(RpcClient *client)
{
	grpc_metadata md = {.key = grpc_slice_from_static_string("tikv-test"),
						.value =
							grpc_slice_from_static_string("value-of-metadata")};
	RpcStream s = rpc_open(client, "/test.T/Echo", 5000, &md, 1);
	RpcMessage m;

	rpc_send(&s, bytes_cstr("ignored"));
	rpc_half_close(&s);
	m = rpc_recv(&s);
	OK(m.len == 17 && memcmp(m.data, "value-of-metadata", 17) == 0,
	   "call_metadata finds a request's metadata");
	EQ_U64(rpc_status(&s), 0, "and the call ends well");
	free(m.data);
	rpc_close(&s);
}

static void
test_large(RpcClient *client)
{
	size_t len = 2 * 1024 * 1024 + 17;
	uint8_t *data = malloc(len);
	RpcMessage m;
	int code;

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t) (i * 31 + i / 7919);
	code = rpc_unary(client, "/test.T/Echo", bytes_make(data, len), 10000, &m,
					 NULL, 0);
	OK(code == 0 && m.len == len && memcmp(m.data, data, len) == 0,
	   "a message of 2 MiB goes there and back");
	free(m.data);
	free(data);

	len = t.config.max_message + 1;
	data = calloc(1, len);
	code = rpc_unary(client, "/test.T/Echo", bytes_make(data, len), 10000, NULL,
					 NULL, 0);
	EQ_U64(code, RPC_RESOURCE_EXHAUSTED,
		   "txn-semantics 27 row 8: one over max_message is refused");
	free(data);
	OK(rpc_unary(client, "/test.T/Echo", bytes_cstr("x"), 5000, NULL, NULL,
				 0) == 0,
	   "and the connection lives on");
}

static void
test_gzip(RpcClient *client)
{
	grpc_metadata md =
		{.key = grpc_slice_from_static_string("grpc-internal-encoding-request"),
		 .value = grpc_slice_from_static_string("gzip")};
	RpcStream s = rpc_open(client, "/test.T/Echo", 5000, &md, 1);
	uint8_t data[20000];
	RpcMessage m;

	memset(data, 'a', sizeof(data));
	rpc_send(&s, bytes_make(data, sizeof(data)));
	rpc_half_close(&s);
	m = rpc_recv(&s);
	OK(m.len == sizeof(data) && memcmp(m.data, data, m.len) == 0,
	   "a gzip request is understood");
	free(m.data);
	rpc_status(&s);
	rpc_close(&s);
}

static void
test_cancel(RpcClient *client)
{
	RpcStream s;

	reset_counts();
	s = rpc_open(client, "/test.T/Hold", -1, NULL, 0);
	rpc_send(&s, bytes_cstr("x"));
	rpc_half_close(&s);
	OK(test_wait_for(&n_held, 1), "a call is held");
	grpc_call_cancel(s.call, NULL);
	EQ_U64(rpc_status(&s), RPC_CANCELLED, "the client cancels it");
	rpc_close(&s);
	OK(test_wait_for(&n_closed, 1), "the handler learns of it");
	EQ_U64(user_seen, 1, "with its own pointer");
	OK(call_over(held_calls[0]), "call_over says so");
	run_on_server(release_held);
	EQ_U64(n_closed, 1, "an answer after that is harmless");
	run_on_server(read_counters);
	EQ_U64(counters.inflight, 0, "and nothing is in flight");
}

static int64_t left_us;

static void
read_deadline(void)
{
	left_us = call_deadline_left_us(held_calls[0]);
}

static void
test_deadline(RpcClient *client)
{
	RpcStream s;

	reset_counts();
	s = rpc_open(client, "/test.T/Hold", 1000, NULL, 0);
	rpc_send(&s, bytes_cstr("x"));
	rpc_half_close(&s);
	OK(test_wait_for(&n_held, 1), "a call with a deadline is held");
	run_on_server(read_deadline);
	OK(left_us > 0 && left_us <= 1010000, "call_deadline_left_us knows it");
	EQ_U64(rpc_status(&s), RPC_DEADLINE_EXCEEDED, "it is exceeded");
	rpc_close(&s);
	OK(test_wait_for(&n_closed, 1), "the handler learns of it");
	OK(call_over(held_calls[0]), "call_over says so");
	poll(NULL, 0, 50); /* gRPC sends timeouts rounded up by up to 1 % */
	run_on_server(read_deadline);
	EQ_U64(left_us, 0, "nothing is left of it");
	run_on_server(release_held);
}

static void
test_busy(RpcClient *client)
{
	enum
	{
		N = 20
	};
	RpcStream s[N];
	char text[512];
	RpcMessage m;

	reset_counts();
	for (int i = 0; i < N; i++)
	{
		s[i] = rpc_open(client, "/test.T/Hold", -1, NULL, 0);
		rpc_send(&s[i], bytes_cstr("x"));
		rpc_half_close(&s[i]);
	}
	OK(test_wait_for(&n_held, N), "half of max_calls calls are held");
	EQ_U64(rpc_unary(client, "/test.T/Echo", bytes_cstr("x"), 5000, NULL, text,
					 sizeof(text)),
		   RPC_UNAVAILABLE, "one more of the same client is refused");
	EQ_STR(text, "server is busy", "as busy");
	EQ_U64(rpc_unary(client, "/grpc.health.v1.Health/Check", bytes_empty(),
					 5000, NULL, NULL, 0),
		   0, "health is answered all the same");
	run_on_server(release_held);
	for (int i = 0; i < N; i++)
	{
		m = rpc_recv(&s[i]);
		if (rpc_status(&s[i]) != 0 || m.len != 4)
			OK(false, "every held call is answered");
		free(m.data);
		rpc_close(&s[i]);
	}
	EQ_U64(rpc_unary(client, "/test.T/Echo", bytes_cstr("x"), 5000, NULL, NULL,
					 0),
		   0, "then there is room again");
	run_on_server(read_counters);
	EQ_U64(counters.refused, 1, "the refusal was counted");
	OK(counters.received_bytes > 0 && counters.sent_bytes > 0,
	   "so were the bytes of the others");
	EQ_U64(counters.inflight, 0, "nothing is in flight");
}

static long yielded_before;

static void
count_round(TestServer *ts)
{
	long now = atomic_load(&n_yielded);

	(void) ts;
	if (now - yielded_before > atomic_load(&most_in_round))
		atomic_store(&most_in_round, now - yielded_before);
	yielded_before = now;
}

/* Long enough for requests to gather. */
static void
stall(TestServer *ts)
{
	atomic_store(&ts->round, count_round);
	yielded_before = atomic_load(&n_yielded);
	poll(NULL, 0, 300);
}

static void
test_yield(RpcClient *client)
{
	enum
	{
		N = 10
	};
	RpcStream s[N];

	atomic_store(&t.round, stall);
	server_wake(t.server);
	for (int i = 0; i < N; i++)
	{
		s[i] = rpc_open(client, "/test.T/Yield", -1, NULL, 0);
		rpc_send(&s[i], bytes_cstr("x"));
		rpc_half_close(&s[i]);
	}
	OK(test_wait_for(&n_yielded, N), "all requests are handled");
	EQ_U64(atomic_load(&most_in_round), 1,
		   "but one at a time, if the handler wants it");
	for (int i = 0; i < N; i++)
	{
		free(rpc_recv(&s[i]).data);
		if (rpc_status(&s[i]) != 0)
			OK(false, "all are answered");
		rpc_close(&s[i]);
	}
	atomic_store(&t.round, NULL);
}

/* ---- streams ---- */

static void
test_stream(RpcClient *client)
{
	RpcStream s;
	char buf[32];
	bool ordered = true;

	reset_counts();
	s = rpc_open(client, "/test.T/Sum", -1, NULL, 0);
	OK(rpc_headers(&s), "headers come before the first message");
	for (int i = 0; i < 500; i++)
	{
		snprintf(buf, sizeof(buf), "message %d", i);
		rpc_send(&s, bytes_cstr(buf));
	}
	rpc_half_close(&s);
	for (int i = 0; i < 500; i++)
	{
		RpcMessage m = rpc_recv(&s);

		snprintf(buf, sizeof(buf), "message %d", i);
		ordered =
			ordered && m.len == strlen(buf) && memcmp(m.data, buf, m.len) == 0;
		free(m.data);
	}
	OK(ordered, "a stream answers in order");
	OK(!rpc_recv(&s).present, "then it ends");
	EQ_U64(rpc_status(&s), 0, "with OK after the client's half-close");
	rpc_close(&s);
	OK(test_wait_for(&n_closed, 1), "and is closed");
	EQ_U64(n_half_closed, 1, "half_close was called once");
}

/* One request, half-close, one response, OK: as the Java client asks for TSO. */
static void
test_unary_style(RpcClient *client)
{
	bool good = true;

	for (int i = 0; i < 50; i++)
	{
		RpcMessage m;

		good = good &&
			rpc_unary(client, "/test.T/Sum", bytes_cstr("tso"), 5000, &m, NULL,
					  0) == 0 &&
			m.len == 3;
		free(m.data);
	}
	OK(good, "a stream can be used like a unary call");
}

static void
test_stream_errors(RpcClient *client)
{
	RpcStream s = rpc_open(client, "/test.T/Sum", -1, NULL, 0);

	rpc_send(&s, bytes_cstr("fail"));
	OK(!rpc_recv(&s).present, "a failed stream has no message");
	EQ_U64(rpc_status(&s), RPC_UNAVAILABLE, "but the status it was given");
	EQ_STR(s.status_text, "not leader", "and the text");
	rpc_close(&s);

	reset_counts();
	s = rpc_open(client, "/test.T/Sum", -1, NULL, 0);
	rpc_send(&s, bytes_cstr("x"));
	free(rpc_recv(&s).data);
	rpc_cancel(&s);
	OK(test_wait_for(&n_closed, 1), "a cancelled stream is closed");
	EQ_U64(n_half_closed, 0, "without a half-close");
}

static void
test_overload(RpcClient *client)
{
	RpcStream s;

	reset_counts();
	s = rpc_open(client, "/test.T/Flood", -1, NULL, 0);
	rpc_send(&s, bytes_cstr("go"));
	OK(test_wait_for(&n_closed, 0) && test_wait_for(&flood_sent, 64),
	   "a stream takes 64 MiB ahead of its client");
	while (rpc_recv(&s).present)
		;
	EQ_U64(rpc_status(&s), RPC_RESOURCE_EXHAUSTED, "then no more");
	EQ_U64(flood_sent, 64, "exactly that much");
	rpc_close(&s);
	OK(test_wait_for(&n_closed, 1), "and is closed");
}

static void
resume(void)
{
	call_pause(held_calls[0], false);
	call_release(held_calls[0]);
}

static void
test_pause(RpcClient *client)
{
	RpcStream s;

	reset_counts();
	s = rpc_open(client, "/test.T/Slow", -1, NULL, 0);
	rpc_send(&s, bytes_cstr("one"));
	rpc_send(&s, bytes_cstr("two"));
	rpc_half_close(&s);
	OK(test_wait_for(&n_received, 1), "the first message arrives");
	poll(NULL, 0, 50);
	EQ_U64(n_received, 1, "a paused stream reads no more");
	run_on_server(resume);
	OK(test_wait_for(&n_received, 2), "until it goes on");
	run_on_server(resume);
	rpc_cancel(&s);
	OK(test_wait_for(&n_closed, 1), "cancelled while paused: closed");
}

/* ---- health ---- */

static void
stop_serving(void)
{
	server_set_serving(t.server, false);
}

static void
start_serving(void)
{
	server_set_serving(t.server, true);
}

static int
health_of(RpcMessage m)
{
	int status = m.len == 2 && m.data[0] == 8 ? m.data[1] : -1;

	free(m.data);
	return status;
}

static void
test_health(RpcClient *client)
{
	static const uint8_t named[] = {0x0a, 3, 'a', 'b', 'c'};
	RpcMessage m;
	RpcStream s;

	rpc_unary(client, "/grpc.health.v1.Health/Check", bytes_empty(), 5000, &m,
			  NULL, 0);
	EQ_U64(health_of(m), 1, "health: SERVING");
	EQ_U64(rpc_unary(client, "/grpc.health.v1.Health/Check",
					 bytes_make(named, sizeof(named)), 5000, NULL, NULL, 0),
		   RPC_NOT_FOUND, "health of another service: NOT_FOUND");
	EQ_U64(rpc_unary(client, "/grpc.health.v1.Health/Check",
					 bytes_make(named, 2), 5000, NULL, NULL, 0),
		   RPC_INVALID_ARGUMENT, "health: bad bytes are refused");

	s = rpc_open(client, "/grpc.health.v1.Health/Watch", -1, NULL, 0);
	rpc_send(&s, bytes_empty());
	rpc_half_close(&s);
	EQ_U64(health_of(rpc_recv(&s)), 1, "watch: SERVING at first");
	run_on_server(stop_serving);
	EQ_U64(health_of(rpc_recv(&s)), 2, "watch: NOT_SERVING when it changes");
	rpc_unary(client, "/grpc.health.v1.Health/Check", bytes_empty(), 5000, &m,
			  NULL, 0);
	EQ_U64(health_of(m), 2, "check agrees");
	run_on_server(start_serving);
	EQ_U64(health_of(rpc_recv(&s)), 1, "watch: and back");
	rpc_cancel(&s);

	s = rpc_open(client, "/grpc.health.v1.Health/Watch", -1, NULL, 0);
	rpc_send(&s, bytes_make(named, sizeof(named)));
	EQ_U64(health_of(rpc_recv(&s)), 3, "watch of another: SERVICE_UNKNOWN");
	rpc_cancel(&s);
}

int
main(void)
{
	RpcClient client;

	setvbuf(stdout, NULL, _IOLBF, 0);
	t.config.max_calls = 40;
	t.config.max_message = 4 * 1024 * 1024;
	OK(test_server_start(&t, methods, N_METHODS), "the server starts");
	grpc_init();

	client = rpc_connect(t.port, NULL);
	test_echo(&client);
	test_unknown(&client);
	test_metadata(&client);
	test_large(&client);
	test_gzip(&client);
	test_cancel(&client);
	test_deadline(&client);
	test_busy(&client);
	test_yield(&client);
	test_stream(&client);
	test_unary_style(&client);
	test_stream_errors(&client);
	test_overload(&client);
	test_pause(&client);
	test_health(&client);
	rpc_disconnect(&client);
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
