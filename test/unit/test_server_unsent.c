/*
 * test_server_unsent.c
 *	  Clients that ask and do not read: what they cost is counted and bounded,
 *	  and the server recovers when they read or go away.
 */
#include "server/batch.h"

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "rpc_client.h"
#include "rpc_server.h"
#include "server/tikv_methods.h"
#include "tikvpb.pb-c.h"
#include "unit.h"

#define MIB ((size_t) 1024 * 1024)
#define MAX_REPLY (4 * MIB)
#define MAX_UNSENT (8 * MIB)
#define N_UNREAD 3
#define N_MORE 20

/* ---- the service: as many bytes as the message says ---- */

static atomic_long n_messages;
static atomic_long unsent;
static atomic_bool overloaded;

static void
pack_zeros(void *arg, uint8_t *out)
{
	memset(out, 0, *(size_t *) arg);
}

static size_t
size_asked(Bytes message)
{
	char text[32] = {0};

	memcpy(text, message.data, message.len < 31 ? message.len : 31);
	return strtoull(text, NULL, 10);
}

static void
big_message(Call *call, Bytes message)
{
	size_t len = size_asked(message);

	call_reply(call, len, pack_zeros, &len);
}

static void
stream_message(Call *call, Bytes message)
{
	size_t len = size_asked(message);

	atomic_fetch_add(&n_messages, 1);
	if (!call_send(call, len, pack_zeros, &len))
		call_fail(call, RPC_RESOURCE_EXHAUSTED, "not sent");
}

static const CallHandler big = {.message = big_message};
static const CallHandler stream = {.message = stream_message};

/* A RawGet answers as many bytes as its key says; "wait" waits. */
static Request *waiting;
static atomic_long n_waiting;
static atomic_long n_abandoned;

static void
submit(void *arg, Request *request)
{
	const Kvrpcpb__RawGetRequest *get =
		(const Kvrpcpb__RawGetRequest *) request->message;
	Kvrpcpb__RawGetResponse reply = KVRPCPB__RAW_GET_RESPONSE__INIT;

	(void) arg;
	if (get->key.len == 4 && memcmp(get->key.data, "wait", 4) == 0)
	{
		request->next = waiting;
		waiting = request;
		atomic_fetch_add(&n_waiting, 1);
		return;
	}
	reply.value.len = size_asked(bytes_make(get->key.data, get->key.len));
	reply.value.data = arena_zalloc(request->arena, reply.value.len + 1);
	request->done(request, &reply.base);
}

/* On the server's thread, once per round. */
static void
look(TestServer *t)
{
	atomic_store(&unsent, (long) server_unsent_bytes(t->server));
	atomic_store(&overloaded, server_is_overloaded(t->server));
	for (Request **at = &waiting; *at != NULL;)
	{
		Request *request = *at;

		if (!request->abandoned(request))
		{
			at = &request->next;
			continue;
		}
		*at = request->next;
		request->fail(request, RPC_CANCELLED, "the client is gone");
		atomic_fetch_add(&n_abandoned, 1);
	}
}

static TestServer t;

static bool
unsent_becomes(long least, long most)
{
	for (int i = 0; i < 5000; i++)
	{
		long now;

		server_wake(t.server);
		poll(NULL, 0, 1);
		now = atomic_load(&unsent);
		if (now >= least && now <= most)
			return true;
	}
	printf("# it is %ld\n", atomic_load(&unsent));
	return false;
}

/* ---- clients ---- */

static RpcStream
ask(RpcClient *client, const char *path, Bytes message)
{
	RpcStream s = rpc_open(client, path, -1, NULL, 0);

	rpc_send(&s, message);
	return s;
}

static RpcStream
ask_big(RpcClient *client)
{
	RpcStream s = ask(client, "/test.T/Big", bytes_cstr("3000000"));

	rpc_half_close(&s);
	return s;
}

static size_t
pack_get(uint8_t *out, const char *key)
{
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;

	get.key.data = (uint8_t *) key;
	get.key.len = strlen(key);
	return kvrpcpb__raw_get_request__pack(&get, out);
}

static bool
is_busy(const Kvrpcpb__RawGetResponse *reply)
{
	return reply != NULL && reply->region_error != NULL &&
		reply->region_error->server_is_busy != NULL &&
		reply->region_error->message[0] != '\0';
}

static bool
get_is_busy(RpcClient *client)
{
	uint8_t buf[64];
	Kvrpcpb__RawGetResponse *reply;
	RpcMessage m;
	bool busy;

	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/RawGet",
					 bytes_make(buf, pack_get(buf, "5")), 5000, &m, NULL, 0),
		   0, "RawGet gets an answer");
	reply = kvrpcpb__raw_get_response__unpack(NULL, m.len, m.data);
	busy = is_busy(reply);
	if (reply != NULL)
		kvrpcpb__raw_get_response__free_unpacked(reply, NULL);
	free(m.data);
	return busy;
}

static RpcStream
batch_get(RpcClient *client, const char *key)
{
	Tikvpb__BatchCommandsRequest message = TIKVPB__BATCH_COMMANDS_REQUEST__INIT;
	Tikvpb__BatchCommandsRequest__Request member =
		TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__INIT;
	Tikvpb__BatchCommandsRequest__Request *list = &member;
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;
	uint64_t id = 1;
	uint8_t buf[256];

	get.key.data = (uint8_t *) key;
	get.key.len = strlen(key);
	member.cmd_case = TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__CMD_RAW_GET;
	member.rawget = &get;
	message.n_requests = 1;
	message.requests = &list;
	message.n_request_ids = 1;
	message.request_ids = &id;
	return ask(client, "/tikvpb.Tikv/BatchCommands",
			   bytes_make(buf, protobuf_c_message_pack(&message.base, buf)));
}

static bool
batch_is_busy(RpcClient *client)
{
	RpcStream s = batch_get(client, "5");
	RpcMessage m = rpc_recv(&s);
	Tikvpb__BatchCommandsResponse *reply =
		tikvpb__batch_commands_response__unpack(NULL, m.len, m.data);
	bool answered = reply != NULL && reply->n_responses == 1 &&
		reply->responses[0]->cmd_case ==
			TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_RAW_GET;
	bool busy = answered && is_busy(reply->responses[0]->rawget);

	OK(answered, "a command of a batch gets an answer");
	if (reply != NULL)
		tikvpb__batch_commands_response__free_unpacked(reply, NULL);
	free(m.data);
	rpc_cancel(&s);
	return busy;
}

/* ---- tests ---- */

static void
test_too_large(RpcClient *client)
{
	char text[256];
	RpcMessage m;
	RpcStream s;

	EQ_U64(rpc_unary(client, "/test.T/Big", bytes_cstr("4194304"), 20000, &m,
					 NULL, 0),
		   0, "an answer of the largest size is sent");
	EQ_U64(m.len, MAX_REPLY, "as it is");
	free(m.data);
	EQ_U64(rpc_unary(client, "/test.T/Big", bytes_cstr("4194305"), 20000, NULL,
					 text, sizeof(text)),
		   RPC_RESOURCE_EXHAUSTED, "one byte more is refused");
	EQ_STR(text, "the answer has 4194305 bytes, more than the limit of 4194304",
		   "with the size and the limit");
	EQ_U64(rpc_unary(client, "/test.T/Big", bytes_cstr("4294967301"), 20000,
					 NULL, text, sizeof(text)),
		   RPC_RESOURCE_EXHAUSTED, "so is one that does not fit 32 bits");
	s = ask(client, "/test.T/Stream", bytes_cstr("4194305"));
	EQ_U64(rpc_status(&s), RPC_RESOURCE_EXHAUSTED, "a stream cannot send it");
	EQ_STR(s.status_text, "not sent", "and its handler knows");
	rpc_close(&s);
	s = batch_get(client, "4194304");
	EQ_U64(rpc_status(&s), RPC_RESOURCE_EXHAUSTED, "nor can a batch");
	OK(strstr(s.status_text, "more than the limit of 4194304") != NULL,
	   "which says so");
	rpc_close(&s);
	OK(unsent_becomes(0, 0), "nothing of it remains");
}

static void
test_refusal(RpcClient *reader)
{
	RpcStream more[N_MORE];
	char text[256];

	OK(unsent_becomes((long) MAX_UNSENT + 1, LONG_MAX),
	   "what nobody reads is counted");
	OK(atomic_load(&overloaded), "it is too much");
	for (int i = 0; i < N_MORE; i++)
		more[i] = ask_big(reader);
	EQ_U64(rpc_unary(reader, "/test.T/Big", bytes_cstr("1"), 5000, NULL, text,
					 sizeof(text)),
		   RPC_RESOURCE_EXHAUSTED, "other calls are refused");
	EQ_STR(text, "server is busy", "and told why");
	OK(get_is_busy(reader), "which says that the server is busy");
	OK(batch_is_busy(reader), "which says so, too");
	EQ_U64(rpc_unary(reader, "/grpc.health.v1.Health/Check", bytes_empty(),
					 5000, NULL, NULL, 0),
		   0, "health checks are answered");
	OK(unsent_becomes((long) MAX_UNSENT + 1, N_UNREAD * 3000000L + 65536),
	   "more calls do not make it more");
	for (int i = 0; i < N_MORE; i++)
	{
		if (rpc_status(&more[i]) != RPC_RESOURCE_EXHAUSTED)
			OK(false, "each of them is refused");
		rpc_close(&more[i]);
	}
}

static void
test_recovery(RpcClient *lazy, RpcClient *reader)
{
	RpcStream unread[N_UNREAD];
	size_t got = 0;

	for (int i = 0; i < N_UNREAD; i++)
		unread[i] = ask_big(lazy);
	test_refusal(reader);
	for (int i = 0; i < N_UNREAD; i++)
	{
		RpcMessage m = rpc_recv(&unread[i]);

		got += m.len;
		free(m.data);
		rpc_status(&unread[i]);
		rpc_close(&unread[i]);
	}
	EQ_U64(got, N_UNREAD * 3000000, "the client reads and gets it all");
	OK(unsent_becomes(0, 0), "nothing is held any more");
	OK(!get_is_busy(reader), "which is not that the server is busy");
	OK(!batch_is_busy(reader), "nor is this one");
}

static void
test_gone(RpcClient *lazy, RpcClient *reader)
{
	RpcStream unread[N_UNREAD];
	RpcStream batch;

	for (int i = 0; i < N_UNREAD - 1; i++)
		unread[i] = ask_big(lazy);
	batch = batch_get(lazy, "3000000");
	unread[N_UNREAD - 1] = ask(lazy, "/test.T/Stream", bytes_cstr("3000000"));
	OK(unsent_becomes((long) MAX_UNSENT + 1, LONG_MAX),
	   "unary calls, a stream and a batch are not read");
	for (int i = 0; i < N_UNREAD; i++)
		rpc_cancel(&unread[i]);
	rpc_cancel(&batch);
	OK(unsent_becomes(0, 0), "they are cancelled: nothing is held");
	OK(!get_is_busy(reader), "and all is well");
}

static void
test_hold_back(RpcClient *lazy, RpcClient *reader)
{
	RpcStream owing = ask(lazy, "/test.T/Stream", bytes_cstr("3000000"));
	RpcStream unread[N_UNREAD];
	RpcStream other;
	RpcMessage m;
	long before;

	OK(unsent_becomes(1000000, 3000000), "a stream owes its client a message");
	for (int i = 0; i < N_UNREAD; i++)
		unread[i] = ask_big(lazy);
	OK(unsent_becomes((long) MAX_UNSENT + 1, LONG_MAX), "others owe more");

	/* The read that was under way brings one message, the next waits. */
	rpc_send(&owing, bytes_cstr("1"));
	rpc_send(&owing, bytes_cstr("1"));
	other = ask(reader, "/test.T/Stream", bytes_cstr("7"));
	m = rpc_recv(&other);
	EQ_U64(m.len, 7, "a stream that owes nothing is read");
	free(m.data);
	poll(NULL, 0, 50);
	before = atomic_load(&n_messages);
	rpc_send(&owing, bytes_cstr("1"));
	poll(NULL, 0, 100);
	EQ_U64(atomic_load(&n_messages), before, "one that does is not");
	for (int i = 0; i < N_UNREAD; i++)
		rpc_cancel(&unread[i]);
	OK(test_wait_for(&n_messages, before + 2), "below half it is read again");
	rpc_cancel(&owing);
	rpc_cancel(&other);
	OK(unsent_becomes(0, 0), "all is given back");
}

/* The status of a call whose answer is not to come, at least not whole. */
static int
status_of_unread(RpcStream *s)
{
	RpcMessage m = rpc_recv(s);

	EQ_U64(m.len, 0, "its answer does not come");
	free(m.data);
	return rpc_status(s);
}

/*
 * Where others are refused, who does not read is not waited for.  The reader is
 * refused while there is no room, which is what has it made.
 */
static void
test_makes_room(RpcClient *lazy, RpcClient *reader)
{
	RpcStream unread[N_UNREAD - 1];
	RpcStream stream = ask(lazy, "/test.T/Stream", bytes_cstr("3000000"));
	RpcStream small = ask(reader, "/test.T/Stream", bytes_cstr("7"));
	RpcMessage m = rpc_recv(&small);
	bool busy = true;

	free(m.data);
	for (int i = 0; i < N_UNREAD - 1; i++)
		unread[i] = ask_big(lazy);
	OK(unsent_becomes((long) MAX_UNSENT + 1, LONG_MAX), "nobody reads");
	for (int i = 0; i < 500 && busy; i++)
	{
		poll(NULL, 0, 20);
		busy = get_is_busy(reader);
	}
	OK(!busy, "others are served again");
	OK(unsent_becomes(0, 0), "since nothing is held for who does not read");
	for (int i = 0; i < N_UNREAD - 1; i++)
	{
		EQ_U64(status_of_unread(&unread[i]), RPC_UNAVAILABLE,
			   "its call has ended");
		rpc_close(&unread[i]);
	}
	EQ_U64(status_of_unread(&stream), RPC_UNAVAILABLE, "and its stream");
	OK(strstr(stream.status_text, "not read for long") != NULL,
	   "it is told why");
	rpc_close(&stream);
	rpc_send(&small, bytes_cstr("8"));
	m = rpc_recv(&small);
	EQ_U64(m.len, 8, "a stream that is read goes on");
	free(m.data);
	rpc_cancel(&small);
}

static void
test_abandoned(RpcClient *client)
{
	uint8_t buf[64];
	RpcStream unary = ask(client, "/tikvpb.Tikv/RawGet",
						  bytes_make(buf, pack_get(buf, "wait")));
	RpcStream batch;

	rpc_half_close(&unary);
	batch = batch_get(client, "wait");
	OK(test_wait_for(&n_waiting, 2), "a call and a command wait");
	EQ_U64(atomic_load(&n_abandoned), 0, "their clients are there");
	rpc_cancel(&unary);
	OK(test_wait_for(&n_abandoned, 1), "a cancelled call is abandoned");
	rpc_cancel(&batch);
	OK(test_wait_for(&n_abandoned, 2), "so is a command of a closed stream");
}

int
main(void)
{
	static const RpcMethod more[] = {
		{"/test.T/Big", RPC_UNARY, 1001, &big},
		{"/test.T/Stream", RPC_STREAM, 1002, &stream},
	};
	BatchService service = {.submit = submit, .max_inflight = 100};
	RpcMethod *methods = calloc((size_t) tikv_n_methods + 2, sizeof(*methods));
	grpc_arg limits[] = {
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		 .value.integer = -1},
		{.type = GRPC_ARG_INTEGER, /* a window that does not grow */
		 .key = (char *) GRPC_ARG_HTTP2_BDP_PROBE,
		 .value.integer = 0},
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
		 .value.integer = 1},
	};
	grpc_channel_args args = {3, limits};
	RpcClient lazy;
	RpcClient reader;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memcpy(methods, tikv_methods, (size_t) tikv_n_methods * sizeof(*methods));
	memcpy(methods + tikv_n_methods, more, sizeof(more));
	grpc_init();
	batch_configure(&service);
	t.config.max_reply = MAX_REPLY;
	t.config.max_unsent = MAX_UNSENT;
	atomic_store(&t.round, look);
	OK(test_server_start(&t, methods, tikv_n_methods + 2), "the server starts");
	lazy = rpc_connect(t.port, &args);
	reader = rpc_connect(t.port, &args);
	test_too_large(&reader);
	test_recovery(&lazy, &reader);
	test_gone(&lazy, &reader);
	test_hold_back(&lazy, &reader);
	test_abandoned(&reader);
	rpc_disconnect(&lazy);
	rpc_disconnect(&reader);
	test_server_stop(&t);

	/* One that has no patience. */
	t.config.unread_ms = 1;
	OK(test_server_start(&t, methods, tikv_n_methods + 2), "another starts");
	lazy = rpc_connect(t.port, &args);
	reader = rpc_connect(t.port, &args);
	test_makes_room(&lazy, &reader);
	rpc_disconnect(&lazy);
	rpc_disconnect(&reader);
	test_server_stop(&t);
	free(methods);
	grpc_shutdown();
	return unit_done();
}
