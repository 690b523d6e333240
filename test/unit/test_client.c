/*
 * test_client.c
 *	  Calls from one node to another: unary and streams, how they end, and that
 *	  they and the node's own server share one loop.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "server/client.h"
#include "server/tls.h"

#include "rpc_client.h"
#include "rpc_server.h"
#include "unit.h"

/* ---- the other node ---- */

static atomic_long mute_calls;
static atomic_long mute_closed;

static void
echo_message(Call *call, Bytes message)
{
	Bytes header = call_metadata(call, "x-test");

	if (message.len == 4 && memcmp(message.data, "fail", 4) == 0)
		call_fail(call, RPC_FAILED_PRECONDITION, "as asked for");
	else if (message.len == 6 && memcmp(message.data, "header", 6) == 0)
		call_reply_bytes(call, header);
	else
		call_reply_bytes(call, message);
}

static void
mute_message(Call *call, Bytes message)
{
	(void) call, (void) message;
	atomic_fetch_add(&mute_calls, 1);
}

static void
mute_is_closed(Call *call)
{
	(void) call;
	atomic_fetch_add(&mute_closed, 1);
}

static void
stream_message(Call *call, Bytes message)
{
	call_send_bytes(call, message);
}

static void
stream_half_close(Call *call)
{
	call_finish(call, RPC_NOT_FOUND, "the end");
}

static void
sink_message(Call *call, Bytes message)
{
	(void) message;
	call_pause(call, true);
}

static const CallHandler echo = {.message = echo_message};
static const CallHandler mute = {.message = mute_message,
								 .closed = mute_is_closed};
static const CallHandler echoes = {.message = stream_message,
								   .half_close = stream_half_close};
static const CallHandler sink = {.message = sink_message};
static const RpcMethod methods[] = {{"/t.T/Echo", RPC_UNARY, 1, &echo},
									{"/t.T/Mute", RPC_UNARY, 2, &mute},
									{"/t.T/Echoes", RPC_STREAM, 3, &echoes},
									{"/t.T/Sink", RPC_STREAM, 4, &sink}};

static TestServer other;
static char other_addr[64];

static void
start_other(int port)
{
	static char addr[64];

	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	other.config.addr = addr;
	OK(test_server_start(&other, methods, 4), "the other node starts");
	snprintf(other_addr, sizeof(other_addr), "127.0.0.1:%d", other.port);
}

/* ---- this node, driven by the test ---- */

static Server *node;
static int node_wake_fd;

static void
start_node(Tls *tls)
{
	ServerConfig config = {.addr = "127.0.0.1:0",
						   .parent_fd = -1,
						   .max_message = 16 << 20,
						   .max_calls = 10,
						   .tls = tls};
	char err[256];

	node_wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	config.wake_fd = node_wake_fd;
	node = server_start(&config, err, sizeof(err));
	OK(node != NULL, "this node starts");
}

static void
stop_node(void)
{
	server_stop(node, 5000);
	close(node_wake_fd);
}

/* Run the loop until *value is at least so much; false after 10 seconds. */
static bool
run_until(const int *value, int least)
{
	int64_t end = test_now_us() + 10000000;

	while (*value < least)
	{
		if (test_now_us() > end)
			return false;
		if (server_poll(node, 1000) == 0)
			server_wait(node, 10000);
	}
	return true;
}

static void
run_for_ms(int ms)
{
	int64_t end = test_now_us() + (int64_t) ms * 1000;

	while (test_now_us() < end)
		if (server_poll(node, 1000) == 0)
			server_wait(node, 1000);
}

typedef struct Outcome
{
	int done;
	RpcCode code;
	char text[256];
	char reply[64];
	size_t reply_len;
	ClientChannel *channel; /* call again from the callback */
} Outcome;

static void
take_result(void *arg, const ClientResult *result)
{
	Outcome *o = arg;

	o->done++;
	o->code = result->code;
	snprintf(o->text, sizeof(o->text), "%s", result->text);
	o->reply_len = result->reply.len;
	snprintf(o->reply, sizeof(o->reply), "%.*s", (int) result->reply.len,
			 (const char *) result->reply.data);
	if (o->channel != NULL)
	{
		ClientChannel *channel = o->channel;

		o->channel = NULL;
		client_call(channel, "/t.T/Echo", bytes_cstr("again"), NULL,
					take_result, o);
	}
}

static void
unary(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	ClientHeader header = {"x-test", "a value"};
	ClientOptions options = {.headers = &header, .n_headers = 1};
	Outcome o = {0};
	uint8_t *big = calloc(1, 5 << 20);

	EQ_STR(client_address(channel), other_addr, "a channel knows its address");
	client_call(channel, "/t.T/Echo", bytes_cstr("hello"), NULL, take_result,
				&o);
	EQ_U64(o.done, 0, "nothing is called at once");
	OK(run_until(&o.done, 1), "an answer");
	EQ_U64(o.code, RPC_OK, "its code");
	EQ_STR(o.reply, "hello", "its message");
	client_call(channel, "/t.T/Echo", bytes_cstr("fail"), NULL, take_result,
				&o);
	OK(run_until(&o.done, 2), "an error");
	EQ_U64(o.code, RPC_FAILED_PRECONDITION, "its code");
	EQ_STR(o.text, "as asked for", "its text");
	client_call(channel, "/t.T/Echo", bytes_cstr("header"), &options,
				take_result, &o);
	OK(run_until(&o.done, 3), "a call with a header");
	EQ_STR(o.reply, "a value", "which arrives");
	client_call(channel, "/t.T/Echo", bytes_empty(), NULL, take_result, &o);
	OK(run_until(&o.done, 4), "an empty message");
	OK(o.code == RPC_OK && o.reply_len == 0, "is answered by one");
	client_call(channel, "/t.T/Echo", bytes_make(big, 5 << 20), NULL,
				take_result, &o);
	OK(run_until(&o.done, 5), "a large message");
	EQ_U64(o.reply_len, 5 << 20, "comes back");
	client_call(channel, "/t.T/None", bytes_empty(), NULL, take_result, &o);
	OK(run_until(&o.done, 6), "a method that is not there");
	EQ_U64(o.code, RPC_UNIMPLEMENTED, "is not implemented");
	o.channel = channel;
	client_call(channel, "/t.T/Echo", bytes_cstr("x"), NULL, take_result, &o);
	OK(run_until(&o.done, 8), "a callback may call");
	EQ_STR(o.reply, "again", "and is answered");
	for (int i = 0; i < 1000; i++)
		client_call(channel, "/t.T/Echo", bytes_cstr("many"), NULL, take_result,
					&o);
	OK(run_until(&o.done, 1008), "a thousand at once");
	EQ_U64(o.code, RPC_OK, "all are answered");
	client_close(channel);
	free(big);
}

static void
ends(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	ClientOptions options = {.timeout_ms = 50};
	Outcome o = {0};
	Outcome dropped = {0};
	ClientCall *call;

	client_call(channel, "/t.T/Mute", bytes_empty(), &options, take_result, &o);
	OK(run_until(&o.done, 1), "a deadline");
	EQ_U64(o.code, RPC_DEADLINE_EXCEEDED, "is kept");

	call = client_call(channel, "/t.T/Mute", bytes_empty(), NULL, take_result,
					   &dropped);
	run_for_ms(50);
	client_drop(call);
	OK(test_wait_for(&mute_calls, 2), "a call arrived");
	for (int i = 0; i < 100 && atomic_load(&mute_closed) < 2; i++)
		run_for_ms(20);
	OK(atomic_load(&mute_closed) >= 2, "dropped, it ends at the other side");
	EQ_U64(dropped.done, 0, "and nobody is told here");

	call =
		client_call(channel, "/t.T/Echo", bytes_empty(), NULL, take_result, &o);
	client_drop(call);
	call =
		client_call(channel, "/t.T/Mute", bytes_empty(), NULL, take_result, &o);
	client_cancel(call);
	OK(run_until(&o.done, 2), "a call cancelled before it began");
	EQ_U64(o.code, RPC_CANCELLED, "is cancelled");

	client_call(channel, "/t.T/Mute", bytes_empty(), NULL, take_result, &o);
	run_for_ms(20);
	client_close(channel);
	OK(run_until(&o.done, 3), "a closed channel ends its calls");
	EQ_U64(o.code, RPC_CANCELLED, "which are cancelled");
}

/* ---- streams ---- */

typedef struct StreamSeen
{
	int opened;
	int messages;
	int drained;
	int closed;
	size_t bytes;
	size_t next; /* of what is to come back, in order */
	bool disordered;
	RpcCode code;
	char text[256];
	bool half_close_when_drained;
	bool drop_at_message;
} StreamSeen;

static void
on_opened(ClientCall *call)
{
	((StreamSeen *) client_user(call))->opened++;
}

static void
on_message(ClientCall *call, Bytes message)
{
	StreamSeen *seen = client_user(call);

	seen->messages++;
	seen->bytes += message.len;
	if (message.len >= sizeof(size_t))
	{
		size_t n;

		memcpy(&n, message.data, sizeof(n));
		if (n != seen->next++)
			seen->disordered = true;
	}
	if (seen->drop_at_message)
		client_drop(call);
}

static void
on_drained(ClientCall *call)
{
	StreamSeen *seen = client_user(call);

	seen->drained++;
	if (seen->half_close_when_drained)
		client_half_close(call);
}

static void
on_closed(ClientCall *call, const ClientResult *result)
{
	StreamSeen *seen = client_user(call);

	seen->closed++;
	seen->code = result->code;
	snprintf(seen->text, sizeof(seen->text), "%s", result->text);
}

static const ClientHandler handler = {.opened = on_opened,
									  .message = on_message,
									  .drained = on_drained,
									  .closed = on_closed};

static void
streams(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	StreamSeen seen = {.half_close_when_drained = true};
	ClientCall *call =
		client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	static uint8_t message[10000];

	OK(run_until(&seen.opened, 1), "a stream opens without a message");
	for (size_t i = 0; i < 500; i++)
	{
		memcpy(message, &i, sizeof(i));
		if (!client_send_bytes(call, bytes_make(message, sizeof(message))))
			OK(false, "a message is taken");
	}
	EQ_U64(client_send_queued(call), 500 * sizeof(message), "all are queued");
	OK(run_until(&seen.messages, 500), "all come back");
	OK(!seen.disordered && seen.bytes == 500 * sizeof(message), "in order");
	OK(run_until(&seen.closed, 1), "after the half close it ends");
	EQ_U64(seen.code, RPC_NOT_FOUND, "with the status");
	EQ_STR(seen.text, "the end", "and the text of the other side");
	EQ_U64(seen.drained, 1, "it was drained once");

	/* Messages first, then the status, even to one who was not reading. */
	seen = (StreamSeen){0};
	call = client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	client_pause(call, true);
	for (size_t i = 0; i < 3; i++)
		client_send_bytes(call, bytes_make(&i, sizeof(i)));
	client_half_close(call);
	OK(!client_send_bytes(call, bytes_cstr("late")),
	   "nothing is taken after the half close");
	run_for_ms(50);
	EQ_U64(seen.messages, 0, "a paused stream takes nothing");
	client_pause(call, false);
	OK(run_until(&seen.closed, 1), "then it ends");
	EQ_U64(seen.messages, 3, "with all its messages");

	seen = (StreamSeen){.drop_at_message = true};
	call = client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	client_send_bytes(call, bytes_cstr("one"));
	client_send_bytes(call, bytes_cstr("two"));
	OK(run_until(&seen.messages, 1), "a message");
	run_for_ms(50);
	OK(seen.messages == 1 && seen.closed == 0, "dropped there, it is silent");

	seen = (StreamSeen){0};
	call = client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	run_until(&seen.opened, 1);
	client_cancel(call);
	OK(run_until(&seen.closed, 1), "a cancelled stream ends");
	EQ_U64(seen.code, RPC_CANCELLED, "as cancelled");

	seen = (StreamSeen){0};
	call = client_stream(channel, "/t.T/Nowhere", NULL, &handler, &seen);
	client_send_bytes(call, bytes_cstr("lost"));
	OK(run_until(&seen.closed, 1), "a stream that nobody knows");
	EQ_U64(seen.code, RPC_UNIMPLEMENTED, "is not implemented");
	client_close(channel);
}

/* A side that does not read stops the other one, within a bound. */
static void
backpressure(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	StreamSeen seen = {0};
	ClientCall *call =
		client_stream(channel, "/t.T/Sink", NULL, &handler, &seen);
	size_t size = 1 << 20;
	uint8_t *message = calloc(1, size);
	int taken = 0;

	while (taken < 1000 && client_send_bytes(call, bytes_make(message, size)))
	{
		taken++;
		server_poll(node, 1000);
	}
	OK(taken >= 64 && taken < 200, "so much is taken for one who is deaf");
	OK(client_send_queued(call) <= ((size_t) 64 << 20), "and no more queued");
	client_drop(call);
	client_close(channel);
	run_for_ms(20);
	free(message);
}

/* ---- nodes that come and go ---- */

static void
unreachable(void)
{
	ClientChannel *channel = client_open(node, "127.0.0.1:1");
	Outcome o = {0};
	StreamSeen seen = {0};

	client_call(channel, "/t.T/Echo", bytes_empty(), NULL, take_result, &o);
	client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	OK(run_until(&o.done, 1), "nobody there");
	EQ_U64(o.code, RPC_UNAVAILABLE, "is told to a call");
	OK(run_until(&seen.closed, 1), "and to a stream");
	EQ_U64(seen.code, RPC_UNAVAILABLE, "in the same way");
	client_close(channel);
	channel = client_open(node, "not an address");
	client_call(channel, "/t.T/Echo", bytes_empty(), NULL, take_result, &o);
	OK(run_until(&o.done, 2), "no address at all");
	EQ_U64(o.code, RPC_UNAVAILABLE, "is told as well");
	client_close(channel);
}

static void
restart(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	StreamSeen seen = {0};
	Outcome o = {0};
	int port = other.port;

	client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	OK(run_until(&seen.opened, 1), "a stream");
	test_server_stop(&other);
	OK(run_until(&seen.closed, 1), "ends with the other node");
	OK(seen.code != RPC_OK, "with an error");
	start_other(port);
	for (int i = 0; i < 200 && (o.done == 0 || o.code != RPC_OK); i++)
	{
		client_call(channel, "/t.T/Echo", bytes_cstr("x"), NULL, take_result,
					&o);
		run_until(&o.done, i + 1);
		run_for_ms(20);
	}
	EQ_U64(o.code, RPC_OK, "the channel finds it again");
	client_close(channel);
}

/* Callbacks come while the server stops, and channels may be closed later. */
static void
stop_with_calls(void)
{
	ClientChannel *channel = client_open(node, other_addr);
	ClientChannel *unused = client_open(node, other_addr);
	Outcome o = {.channel = channel};
	StreamSeen seen = {0};

	client_call(channel, "/t.T/Mute", bytes_empty(), NULL, take_result, &o);
	client_stream(channel, "/t.T/Echoes", NULL, &handler, &seen);
	run_until(&seen.opened, 1);
	stop_node();
	EQ_U64(o.done, 2, "calls end when the server stops, new ones too");
	EQ_U64(o.code, RPC_CANCELLED, "as cancelled");
	EQ_U64(seen.closed, 1, "and streams");
	client_close(channel);
	client_close(unused);
}

/* The node's own server goes on while it waits for another. */
static void
both_sides(void)
{
	char addr[64];
	ClientChannel *channel;
	Outcome o = {0};

	snprintf(addr, sizeof(addr), "127.0.0.1:%d", server_port(node));
	channel = client_open(node, addr);
	client_call(channel, "/grpc.health.v1.Health/Check", bytes_empty(), NULL,
				take_result, &o);
	OK(run_until(&o.done, 1), "a node can call itself");
	EQ_U64(o.code, RPC_OK, "and answer");
	client_close(channel);
}

/* ---- TLS ---- */

static char dir[] = "/tmp/test_client.XXXXXX";

static void
shell(const char *format, const char *a)
{
	char command[512];

	snprintf(command, sizeof(command), format, a);
	if (system(command) != 0)
	{
		printf("Bail out! failed: %s\n", command);
		exit(1);
	}
}

static TlsLook
read_files(Tls *tls)
{
	static char ca[64], cert[64], key[64];
	TlsSettings files = {ca, cert, key, ""};
	char said[256];

	snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
	snprintf(cert, sizeof(cert), "%s/server.crt", dir);
	snprintf(key, sizeof(key), "%s/server.key", dir);
	return tls_look(tls, &files, said, sizeof(said));
}

static void
with_tls(void)
{
	Tls *theirs = tls_new();
	Tls *ours = tls_new();
	ClientChannel *channel;
	Outcome o = {0};

	if (mkdtemp(dir) == NULL)
		abort();
	shell("scripts/certs %s >/dev/null", dir);
	OK(read_files(theirs) == TLS_NEW && read_files(ours) == TLS_NEW, "files");
	other.config.tls = theirs;
	start_other(0);
	start_node(ours);
	channel = client_open(node, other_addr);
	client_call(channel, "/t.T/Echo", bytes_cstr("x"), NULL, take_result, &o);
	OK(run_until(&o.done, 1), "a call over TLS");
	EQ_U64(o.code, RPC_OK, "with the node's own certificate");

	shell("rm %s/ca.*", dir);
	shell("scripts/certs --renew %s >/dev/null", dir);
	OK(read_files(theirs) == TLS_NEW, "the other node has another authority");
	test_server_stop(&other);
	start_other(0);
	client_close(channel);
	channel = client_open(node, other_addr);
	client_call(channel, "/t.T/Echo", bytes_cstr("x"), NULL, take_result, &o);
	OK(run_until(&o.done, 2), "which this one");
	EQ_U64(o.code, RPC_UNAVAILABLE, "does not know");
	OK(read_files(ours) == TLS_NEW, "until it has read it");
	client_call(channel, "/t.T/Echo", bytes_cstr("x"), NULL, take_result, &o);
	OK(run_until(&o.done, 3), "the same channel then");
	EQ_U64(o.code, RPC_OK, "is let in");
	client_close(channel);
	stop_node();
	test_server_stop(&other);
	tls_free(ours);
	tls_free(theirs);
	shell("rm -rf %s", dir);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as in every process of Postgres */
	setenv("http_proxy", "http://127.0.0.1:9", 1); /* is not to matter */
	grpc_init();
	start_other(0);
	start_node(NULL);
	unary();
	ends();
	streams();
	backpressure();
	unreachable();
	both_sides();
	restart();
	stop_with_calls();
	test_server_stop(&other);
	with_tls();
	grpc_shutdown();
	return unit_done();
}
