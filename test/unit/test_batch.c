/*
 * test_batch.c
 *	  BatchCommands and unary KV calls over a service that the test plays.
 */
#include "server/batch.h"

#include "errorpb.pb-c.h"
#include "kvrpcpb.pb-c.h"
#include "rpc_client.h"
#include "rpc_server.h"
#include "server/tikv_methods.h"
#include "service/raw.h"
#include "tikvpb.pb-c.h"
#include "unit.h"

#define STORE_ID 77
#define MAX_INFLIGHT 50

/* ---- the service: RawGet answers its key, in ways that the key chooses ---- */

static Request *waiting;
static atomic_long n_waiting;
static atomic_long n_abandoned;
static atomic_long n_released;

#define BIG ((size_t) 2 * 1024 * 1024)

/* A key that begins with "big" has a value of 2 MiB, others their own bytes. */
static void
answer_get(Request *request)
{
	const Kvrpcpb__RawGetRequest *get =
		(const Kvrpcpb__RawGetRequest *) request->message;
	Kvrpcpb__RawGetResponse reply = KVRPCPB__RAW_GET_RESPONSE__INIT;

	reply.value.len = get->key.len;
	if (get->key.len >= 3 && memcmp(get->key.data, "big", 3) == 0)
		reply.value.len = BIG;
	reply.value.data = arena_zalloc(request->arena, reply.value.len);
	memcpy(reply.value.data, get->key.data, get->key.len);
	request->done(request, &reply.base);
}

static bool
key_begins(const Request *request, const char *with)
{
	const Kvrpcpb__RawGetRequest *get =
		(const Kvrpcpb__RawGetRequest *) request->message;

	return request->method->id == METHOD_RAW_GET &&
		get->key.len >= strlen(with) &&
		memcmp(get->key.data, with, strlen(with)) == 0;
}

static void
submit(void *arg, Request *request)
{
	Kvrpcpb__RawPutResponse put = KVRPCPB__RAW_PUT_RESPONSE__INIT;

	(void) arg;
	if (key_begins(request, "wait"))
	{
		request->next = waiting;
		waiting = request;
		atomic_fetch_add(&n_waiting, 1);
	}
	else if (key_begins(request, "cluster"))
		request->fail(request, RPC_INVALID_ARGUMENT, "cluster id mismatch");
	else if (key_begins(request, "unbuilt"))
		request->fail(request, RPC_UNIMPLEMENTED, "not implemented");
	else if (request->method->id == METHOD_RAW_GET)
		answer_get(request);
	else if (request->method->id == METHOD_RAW_PUT)
		request->done(request, &put.base);
	else if (request->method->id == METHOD_KV_PREWRITE)
		service_unknown(request, "the store is stopping");
	else if (request->method->id == METHOD_BROADCAST_TXN_STATUS)
		service_busy(request, "the worker is stopping");
	else
		request->fail(request, RPC_UNIMPLEMENTED, "not implemented");
}

static atomic_long n_observed;
static atomic_long n_observed_failed;
static atomic_int last_code;

static void
observe(void *arg, const Request *request, const ProtobufCMessage *reply,
		int code)
{
	(void) arg;
	if (reply == NULL)
	{
		atomic_store(&last_code, code);
		atomic_fetch_add(&n_observed_failed, 1);
	}
	else if (request->method->response == reply->descriptor &&
			 request->method->request == request->message->descriptor)
		atomic_fetch_add(&n_observed, 1);
}

static uint64_t
store_id(void *arg)
{
	(void) arg;
	return STORE_ID;
}

/* Newest first, on the server's thread. */
static void
answer_waiting(TestServer *t)
{
	atomic_store(&t->round, NULL);
	while (waiting != NULL)
	{
		Request *request = waiting;

		waiting = request->next;
		if (request->abandoned(request))
			atomic_fetch_add(&n_abandoned, 1);
		answer_get(request);
		atomic_fetch_sub(&n_waiting, 1);
	}
	atomic_fetch_add(&n_released, 1);
}

static TestServer t;

static void
release_waiting(void)
{
	long before = atomic_load(&n_released);

	atomic_store(&t.round, answer_waiting);
	server_wake(t.server);
	test_wait_for(&n_released, before + 1);
}

/* ---- a client of BatchCommands ---- */

typedef Tikvpb__BatchCommandsRequest__Request Member;
typedef Tikvpb__BatchCommandsResponse Answers;

#define MAX_MEMBERS 300

typedef struct Batch
{
	Tikvpb__BatchCommandsRequest message;
	Member members[MAX_MEMBERS];
	Member *list[MAX_MEMBERS];
	uint64_t ids[MAX_MEMBERS];
	Kvrpcpb__RawGetRequest gets[MAX_MEMBERS];
	Tikvpb__BatchCommandsEmptyRequest empties[MAX_MEMBERS];
} Batch;

static Batch batch;

static void
batch_begin(void)
{
	tikvpb__batch_commands_request__init(&batch.message);
	batch.message.requests = batch.list;
	batch.message.request_ids = batch.ids;
}

static Member *
batch_add(uint64_t id)
{
	size_t i = batch.message.n_requests++;

	tikvpb__batch_commands_request__request__init(&batch.members[i]);
	batch.list[i] = &batch.members[i];
	batch.ids[i] = id;
	batch.message.n_request_ids++;
	return &batch.members[i];
}

static void
batch_get(uint64_t id, const char *key)
{
	size_t i = batch.message.n_requests;
	Member *m = batch_add(id);

	kvrpcpb__raw_get_request__init(&batch.gets[i]);
	batch.gets[i].key.data = (uint8_t *) key;
	batch.gets[i].key.len = strlen(key);
	m->cmd_case = TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__CMD_RAW_GET;
	m->rawget = &batch.gets[i];
}

static void
batch_empty(uint64_t id, uint64_t test_id, uint64_t delay)
{
	size_t i = batch.message.n_requests;
	Member *m = batch_add(id);

	tikvpb__batch_commands_empty_request__init(&batch.empties[i]);
	batch.empties[i].test_id = test_id;
	batch.empties[i].delay_time = delay;
	m->cmd_case = TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__CMD_EMPTY;
	m->empty = &batch.empties[i];
}

static void
batch_send(RpcStream *s)
{
	size_t len = protobuf_c_message_get_packed_size(&batch.message.base);
	uint8_t *buf = malloc(len + 1);

	protobuf_c_message_pack(&batch.message.base, buf);
	rpc_send(s, bytes_make(buf, len));
	free(buf);
}

/* One BatchCommandsResponse; NULL at the end of the stream. */
static Answers *
batch_recv(RpcStream *s)
{
	RpcMessage m = rpc_recv(s);
	Answers *a;

	if (!m.present)
		return NULL;
	a = tikvpb__batch_commands_response__unpack(NULL, m.len, m.data);
	free(m.data);
	return a;
}

static void
free_answers(Answers *a)
{
	if (a != NULL)
		tikvpb__batch_commands_response__free_unpacked(a, NULL);
}

static RpcStream
open_stream(RpcClient *client)
{
	return rpc_open(client, "/tikvpb.Tikv/BatchCommands", -1, NULL, 0);
}

static bool
is_value(const Answers *a, size_t i, const char *value)
{
	const Tikvpb__BatchCommandsResponse__Response *r = a->responses[i];

	return r->cmd_case ==
		TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_RAW_GET &&
		r->rawget->value.len == strlen(value) &&
		memcmp(r->rawget->value.data, value, strlen(value)) == 0;
}

/* ---- tests ---- */

static void
test_gets(RpcClient *client)
{
	RpcStream s = open_stream(client);
	char keys[128][16];
	bool seen[128] = {false};
	size_t got = 0;
	bool good = true;

	batch_begin();
	for (int i = 0; i < 128; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "key%d", i);
		batch_get(1000000 + (uint64_t) i * 3, keys[i]);
	}
	batch_send(&s);
	while (got < 128)
	{
		Answers *a = batch_recv(&s);

		good = good && a != NULL && a->n_responses == a->n_request_ids;
		for (size_t i = 0; good && i < a->n_responses; i++)
		{
			size_t n = (size_t) (a->request_ids[i] - 1000000) / 3;

			good = n < 128 && !seen[n] && is_value(a, i, keys[n]);
			seen[n] = true;
			got++;
		}
		free_answers(a);
		if (!good)
			break;
	}
	OK(good && got == 128, "128 gets are answered, each once");
	EQ_U64(n_observed, 128, "and observed, each once");
	rpc_cancel(&s);
}

static void
test_order(RpcClient *client)
{
	RpcStream s = open_stream(client);
	Answers *a;

	batch_begin();
	batch_get(1, "wait1");
	batch_get(2, "quick");
	batch_get(3, "wait2");
	batch_send(&s);
	a = batch_recv(&s);
	OK(a != NULL && a->n_responses == 1 && a->request_ids[0] == 2,
	   "a command that waits does not hold up the others");
	free_answers(a);
	release_waiting();
	a = batch_recv(&s);
	OK(a != NULL && a->n_responses == 2 && a->request_ids[0] == 3 &&
		   a->request_ids[1] == 1 && is_value(a, 0, "wait2") &&
		   is_value(a, 1, "wait1"),
	   "answers leave in the order in which they come");
	free_answers(a);
	rpc_cancel(&s);
}

static void
test_unknown(RpcClient *client)
{
	Kvrpcpb__CommitRequest commit = KVRPCPB__COMMIT_REQUEST__INIT;
	RpcStream s = open_stream(client);
	Answers *a;
	Member *m;

	batch_begin();
	(void) batch_add(1);
	m = batch_add(2);
	m->cmd_case = TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__CMD_COMMIT;
	m->commit = &commit;
	batch_get(3, "unbuilt");
	batch_get(4, "k");
	batch_send(&s);
	a = batch_recv(&s);
	OK(a != NULL && a->n_responses == 4, "no command is dropped silently");
	if (a != NULL && a->n_responses == 4)
		for (size_t i = 0; i < 3; i++)
			EQ_U64(a->responses[i]->cmd_case, 0,
				   "an unknown command gets an empty response");
	OK(a != NULL && is_value(a, 3, "k"), "and the known one its answer");
	free_answers(a);
	rpc_cancel(&s);
}

static void
test_empty(RpcClient *client)
{
	RpcStream s = open_stream(client);
	Answers *a;
	int64_t begin = test_now_us();

	batch_begin();
	batch_empty(1, 11, 150);
	batch_empty(2, 12, 50);
	batch_empty(3, 13, 0);
	batch_send(&s);
	for (int i = 3; i > 0; i--)
	{
		a = batch_recv(&s);
		OK(a != NULL && a->n_responses == 1 &&
			   a->request_ids[0] == (uint64_t) i &&
			   a->responses[0]->cmd_case ==
				   TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_EMPTY &&
			   a->responses[0]->empty->test_id == (uint64_t) i + 10,
		   "Empty is answered after its delay");
		free_answers(a);
	}
	OK(test_now_us() - begin >= 149000, "and not before");
	rpc_cancel(&s);
}

static void
test_feedback(RpcClient *client)
{
	Kvrpcpb__GetHealthFeedbackRequest get =
		KVRPCPB__GET_HEALTH_FEEDBACK_REQUEST__INIT;
	RpcStream s = open_stream(client);
	Answers *a;
	Member *m;
	uint64_t seq;

	batch_begin();
	batch_get(1, "a");
	batch_send(&s);
	a = batch_recv(&s);
	OK(a != NULL && a->health_feedback != NULL,
	   "health feedback comes at first");
	seq = a->health_feedback->feedback_seq_no;
	EQ_U64(a->health_feedback->store_id, STORE_ID, "with the store's id");
	EQ_U64(a->health_feedback->slow_score, 1, "and a good score");
	OK(seq / 1000 > 1700000000, "numbered from the unix time in ms");
	free_answers(a);

	batch_begin();
	batch_get(2, "a");
	batch_send(&s);
	a = batch_recv(&s);
	OK(a != NULL && a->health_feedback == NULL, "it does not come every time");
	free_answers(a);

	batch_begin();
	m = batch_add(3);
	m->cmd_case =
		TIKVPB__BATCH_COMMANDS_REQUEST__REQUEST__CMD_GET_HEALTH_FEEDBACK;
	m->gethealthfeedback = &get;
	batch_send(&s);
	a = batch_recv(&s);
	OK(a != NULL && a->health_feedback != NULL &&
		   a->health_feedback->feedback_seq_no > seq,
	   "but when asked for, with a larger number");
	OK(a != NULL && a->n_responses == 1 &&
		   a->responses[0]->cmd_case ==
			   TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_GET_HEALTH_FEEDBACK &&
		   a->responses[0]->gethealthfeedback->health_feedback->store_id ==
			   STORE_ID,
	   "and in the answer itself");
	free_answers(a);
	rpc_cancel(&s);
}

static void
test_busy(RpcClient *client)
{
	RpcStream s = open_stream(client);
	size_t busy = 0;
	size_t good = 0;
	Answers *a;

	batch_begin();
	for (uint64_t i = 0; i < MAX_INFLIGHT + 10; i++)
		batch_get(i + 1, "wait");
	batch_empty(1000, 5, 10000);
	batch_send(&s);
	a = batch_recv(&s);
	for (size_t i = 0; a != NULL && i < a->n_responses; i++)
	{
		Tikvpb__BatchCommandsResponse__Response *r = a->responses[i];

		if (r->cmd_case ==
			TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_RAW_GET)
			busy += r->rawget->region_error != NULL &&
				r->rawget->region_error->server_is_busy != NULL &&
				r->rawget->region_error->message[0] != '\0';
		else
			good += r->empty->test_id == 5;
	}
	EQ_U64(busy, 10, "commands over the bound get ServerIsBusy");
	EQ_U64(good, 1, "Empty over the bound does not wait");
	free_answers(a);
	release_waiting();
	for (good = 0; good < MAX_INFLIGHT;)
	{
		a = batch_recv(&s);
		if (a == NULL)
			break;
		for (size_t i = 0; i < a->n_responses; i++)
			good += is_value(a, i, "wait");
		free_answers(a);
	}
	EQ_U64(good, MAX_INFLIGHT, "those under it are answered");
	rpc_cancel(&s);
}

static void
test_cluster_id(RpcClient *client)
{
	RpcStream s = open_stream(client);

	batch_begin();
	batch_get(1, "wait");
	batch_get(2, "cluster");
	batch_get(3, "after");
	batch_send(&s);
	EQ_U64(rpc_status(&s), RPC_INVALID_ARGUMENT,
		   "a wrong cluster id ends the stream");
	EQ_STR(s.status_text, "cluster id mismatch", "and says so");
	EQ_U64(last_code, RPC_INVALID_ARGUMENT, "the status is observed");
	rpc_close(&s);
	OK(test_wait_for(&n_waiting, 1), "another command is still waiting");
	release_waiting();
	EQ_U64(n_abandoned, 1, "it knows that nobody waits for it");
}

/* Its response has no place for a region error. */
static void
test_busy_broadcast(RpcClient *client)
{
	/* one command, of number 40 and without content, and its id */
	static const uint8_t message[] = {0x0a, 3, 0xc2, 0x02, 0, 0x10, 7};
	RpcStream s = open_stream(client);
	Answers *a;

	batch_begin();
	batch_get(1, "wait");
	batch_send(&s);
	OK(test_wait_for(&n_waiting, 1), "a command waits");
	rpc_send(&s, bytes_make(message, sizeof(message)));
	a = batch_recv(&s);
	OK(a != NULL && a->n_responses == 1 && a->request_ids[0] == 7 &&
		   a->responses[0]->cmd_case ==
			   TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD__NOT_SET,
	   "a busy store answers BroadcastTxnStatus by an empty response");
	free_answers(a);
	EQ_U64(last_code, RPC_UNAVAILABLE, "which is observed as unavailable");
	release_waiting();
	a = batch_recv(&s);
	OK(a != NULL && is_value(a, 0, "wait"), "and the stream goes on");
	free_answers(a);
	rpc_cancel(&s);
}

/* Nor has a transaction's for an outcome that nobody knows. */
static void
test_unknown_write(RpcClient *client)
{
	/* a prewrite, without content, and its id */
	static const uint8_t message[] = {0x0a, 2, 0x1a, 0, 0x10, 7};
	RpcStream s = open_stream(client);
	Answers *a;

	batch_begin();
	batch_get(1, "wait");
	batch_send(&s);
	OK(test_wait_for(&n_waiting, 1), "a command waits");
	rpc_send(&s, bytes_make(message, sizeof(message)));
	a = batch_recv(&s);
	OK(a != NULL && a->n_responses == 1 && a->request_ids[0] == 7 &&
		   a->responses[0]->cmd_case ==
			   TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD__NOT_SET,
	   "a write whose outcome is unknown is answered by an empty response");
	free_answers(a);
	EQ_U64(last_code, RPC_UNAVAILABLE, "which is observed as unavailable");
	release_waiting();
	a = batch_recv(&s);
	OK(a != NULL && is_value(a, 0, "wait"), "what was beside it is answered");
	free_answers(a);
	rpc_cancel(&s);
}

static int
status_for_bytes(RpcClient *client, Bytes bytes)
{
	RpcStream s = open_stream(client);
	int code;

	rpc_send(&s, bytes);
	code = rpc_status(&s);
	rpc_close(&s);
	return code;
}

static void
test_bad_bytes(RpcClient *client)
{
	static const uint8_t truncated[] = {0x0a, 0x05, 0x6a};
	static const uint8_t no_ids[] = {0x0a, 0x02, 0x6a, 0x00};
	static const uint8_t only_ids[] = {0x12, 0x01, 0x07};
	static const uint8_t bad_command[] = {0x0a, 0x02, 0x6a, 0x09, 0x10, 0x01};
	static const uint8_t bad_key[] = {0x0a, 0x05, 0x6a, 0x03, 0x12,
									  0x70, 0x61, 0x10, 0x01};
	static const uint8_t group[] = {0x0b, 0x0c};
	uint8_t *many = calloc(1, 2 * 70000);

	EQ_U64(status_for_bytes(client, bytes_make(truncated, sizeof(truncated))),
		   RPC_INVALID_ARGUMENT, "a truncated message is refused");
	EQ_U64(status_for_bytes(client, bytes_make(no_ids, sizeof(no_ids))),
		   RPC_INVALID_ARGUMENT, "commands without ids are refused");
	EQ_U64(status_for_bytes(client, bytes_make(only_ids, sizeof(only_ids))),
		   RPC_INVALID_ARGUMENT, "ids without commands are refused");
	EQ_U64(status_for_bytes(client,
							bytes_make(bad_command, sizeof(bad_command))),
		   RPC_INVALID_ARGUMENT,
		   "a command that overruns its frame is refused");
	EQ_U64(status_for_bytes(client, bytes_make(bad_key, sizeof(bad_key))),
		   RPC_INVALID_ARGUMENT,
		   "a field that overruns its command is refused");
	EQ_U64(status_for_bytes(client, bytes_make(group, sizeof(group))),
		   RPC_INVALID_ARGUMENT, "groups are refused");
	for (int i = 0; i < 70000; i++)
		many[2 * i] = 0x0a;
	EQ_U64(status_for_bytes(client, bytes_make(many, 2 * 70000)),
		   RPC_INVALID_ARGUMENT, "an absurd number of commands is refused");
	free(many);
}

/* Any bytes at all: the server lives and answers the next good message. */
static void
test_random_bytes(RpcClient *client)
{
	uint64_t seed = 88172645463325252ULL;
	size_t len;
	uint8_t *buf;

	batch_begin();
	for (uint64_t i = 0; i < 20; i++)
		batch_get(i, "some key of a get");
	len = protobuf_c_message_get_packed_size(&batch.message.base);
	buf = malloc(len);
	for (int round = 0; round < 400; round++)
	{
		RpcStream s = open_stream(client);

		protobuf_c_message_pack(&batch.message.base, buf);
		for (int flips = 0; flips < 1 + round % 8; flips++)
		{
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			buf[seed % len] = (uint8_t) (seed >> 32);
		}
		rpc_send(&s, bytes_make(buf, round % 3 == 0 ? seed % len : len));
		rpc_half_close(&s);
		for (Answers *a; (a = batch_recv(&s)) != NULL;)
			free_answers(a);
		rpc_status(&s);
		rpc_close(&s);
	}
	free(buf);
	release_waiting();
	OK(true, "400 damaged messages did no harm");
}

static void
test_half_close(RpcClient *client)
{
	RpcStream s = open_stream(client);
	Answers *a;

	batch_begin();
	batch_get(1, "wait");
	batch_send(&s);
	rpc_half_close(&s);
	OK(test_wait_for(&n_waiting, 1), "the client half-closes while one waits");
	release_waiting();
	a = batch_recv(&s);
	OK(a != NULL && is_value(a, 0, "wait"), "it still gets its answer");
	free_answers(a);
	OK(batch_recv(&s) == NULL, "then the stream ends");
	EQ_U64(rpc_status(&s), 0, "with OK");
	rpc_close(&s);
}

/* 60 MiB of answers to one message, of which the client reads nothing yet. */
static void
test_large_answers(RpcClient *client)
{
	RpcStream s = open_stream(client);
	size_t got = 0;

	batch_begin();
	for (uint64_t id = 0; id < 30; id++)
		batch_get(id, "big");
	batch_get(30, "small");
	batch_send(&s);
	poll(NULL, 0, 100);
	while (got < 31)
	{
		Answers *a = batch_recv(&s);

		if (a == NULL)
			break;
		for (size_t i = 0; i < a->n_responses; i++)
			got += a->responses[i]->rawget->value.len == BIG ||
				is_value(a, i, "small");
		free_answers(a);
	}
	EQ_U64(got, 31, "large answers all arrive");
	batch_begin();
	batch_get(31, "again");
	batch_send(&s);
	free_answers(batch_recv(&s));
	OK(true, "and the stream goes on reading");
	rpc_cancel(&s);
}

static void
test_unary(RpcClient *client)
{
	Kvrpcpb__RawGetRequest get = KVRPCPB__RAW_GET_REQUEST__INIT;
	uint8_t buf[64];
	size_t len;
	RpcMessage m;
	Kvrpcpb__RawGetResponse *reply;
	char text[256];
	long observed = n_observed;
	long failed = n_observed_failed;

	get.key.data = (uint8_t *) "a key";
	get.key.len = 5;
	len = kvrpcpb__raw_get_request__pack(&get, buf);
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/RawGet", bytes_make(buf, len), 5000,
					 &m, NULL, 0),
		   0, "a unary RawGet is answered");
	reply = kvrpcpb__raw_get_response__unpack(NULL, m.len, m.data);
	OK(reply != NULL && reply->value.len == 5, "with its value");
	if (reply != NULL)
		kvrpcpb__raw_get_response__free_unpacked(reply, NULL);
	free(m.data);

	get.key.data = (uint8_t *) "cluster";
	get.key.len = 7;
	len = kvrpcpb__raw_get_request__pack(&get, buf);
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/RawGet", bytes_make(buf, len), 5000,
					 NULL, text, sizeof(text)),
		   RPC_INVALID_ARGUMENT, "a failed one gets its status");
	EQ_STR(text, "cluster id mismatch", "and text");
	EQ_U64(n_observed, observed + 1, "the good one was observed");
	EQ_U64(n_observed_failed, failed + 1, "so was the bad one");
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/RawGet", bytes_make("\x12\x70", 2),
					 5000, NULL, NULL, 0),
		   RPC_INVALID_ARGUMENT, "a malformed one is refused");
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/RawScan", bytes_empty(), 5000, NULL,
					 NULL, 0),
		   RPC_UNIMPLEMENTED, "what the service refuses is");
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/GetLockWaitHistory", bytes_empty(),
					 5000, NULL, text, sizeof(text)),
		   RPC_UNIMPLEMENTED, "a method that is not built: UNIMPLEMENTED");
	EQ_STR(text, "not implemented: /tikvpb.Tikv/GetLockWaitHistory",
		   "by intent");
	EQ_U64(rpc_unary(client, "/tikvpb.Tikv/GetHealthFeedback", bytes_empty(),
					 5000, NULL, NULL, 0),
		   0, "GetHealthFeedback is answered");
}

static void
test_all_methods(RpcClient *client)
{
	int served = 0;

	EQ_U64(tikv_n_methods, 76,
		   "all 72 methods, VersionedKv and our own are listed");
	for (int i = 0; i < tikv_n_methods; i++)
	{
		const RpcMethod *m = &tikv_methods[i];

		served += m->handler != NULL;
		if (m->handler == NULL &&
			rpc_unary(client, m->path, bytes_empty(), 5000, NULL, NULL, 0) !=
				RPC_UNIMPLEMENTED)
			OK(false, m->path);
		if (m->handler == &unary_handler &&
			(service_method(m->id) == NULL ||
			 strcmp(service_method(m->id)->path, m->path) != 0))
			OK(false, m->path);
	}
	EQ_U64(served, 44, "those that are built have a handler");
}

int
main(void)
{
	BatchService service = {.submit = submit,
							.store_id = store_id,
							.observe = observe,
							.max_inflight = MAX_INFLIGHT};
	grpc_arg unlimited = {.type = GRPC_ARG_INTEGER,
						  .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
						  .value.integer = -1};
	grpc_channel_args args = {1, &unlimited};
	RpcClient client;

	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	batch_configure(&service);
	OK(test_server_start(&t, tikv_methods, tikv_n_methods),
	   "the server starts");
	client = rpc_connect(t.port, &args);
	test_gets(&client);
	test_order(&client);
	test_unknown(&client);
	test_empty(&client);
	test_feedback(&client);
	test_busy(&client);
	test_busy_broadcast(&client);
	test_unknown_write(&client);
	test_cluster_id(&client);
	test_bad_bytes(&client);
	test_random_bytes(&client);
	test_half_close(&client);
	test_large_answers(&client);
	test_unary(&client);
	test_all_methods(&client);
	rpc_disconnect(&client);
	test_server_stop(&t);
	grpc_shutdown();
	return unit_done();
}
