/*
 * test_server_memory.c
 *	  What requests and answers hold is counted by connection and bounded: one
 *	  client that floods is refused while another is still served.
 */
#include "server/batch.h"

#include "core/base/check.h"
#include "held_puts.h"
#include "server/empty.h"
#include "server/tikv_methods.h"
#include "service/wire.h"
#include "tikvpb.pb-c.h"

#define MIB ((size_t) 1024 * 1024)
#define MAX_MEMORY (64 * MIB)
#define ADMITTED (MAX_MEMORY / 4 * 3) /* see unsent_configure */
#define N_FLOOD 100
#define N_OTHER 40

/* ---- the service ---- */

static atomic_long n_sources;
static atomic_long memory;
static atomic_long most;
static uint64_t sources[8];

static void
note_source(uint64_t id)
{
	long n = atomic_load(&n_sources);

	for (long i = 0; i < n; i++)
		if (sources[i] == id)
			return;
	sources[n] = id;
	atomic_store(&n_sources, n + 1);
}

static void
submit(void *arg, Request *request)
{
	(void) arg;
	note_source(request->source);
	hold_put(request);
}

/* ---- a handler that keeps something for each call until it is let go ---- */

#define KEPT MIB

static Call *kept[N_FLOOD + N_OTHER];
static atomic_long n_kept;
static atomic_bool let_go;

static void
keep_message(Call *call, Bytes message)
{
	(void) message;
	call_hold(call);
	call_charge(call, KEPT - 100);
	call_charge(call, 100);
	kept[atomic_fetch_add(&n_kept, 1)] = call;
}

static const CallHandler keeper = {.message = keep_message};

static void
let_calls_go(void)
{
	while (atomic_load(&n_kept) > 0)
	{
		Call *call = kept[atomic_fetch_sub(&n_kept, 1) - 1];

		call_uncharge(call, 100);
		call_reply_bytes(call, bytes_empty());
		call_uncharge(call, KEPT - 100);
		call_release(call);
	}
	atomic_store(&let_go, false);
}

/* On the server's thread, once per round. */
static void
look(TestServer *t)
{
	long now = (long) server_memory_used();

	(void) t;
	if (atomic_load(&let_go))
		let_calls_go();
	atomic_store(&memory, now);
	if (now > atomic_load(&most))
		atomic_store(&most, now);
	answer_puts();
}

static TestServer t;

static long
memory_now(void)
{
	for (int i = 0; i < 20; i++)
	{
		server_wake(t.server);
		poll(NULL, 0, 1);
	}
	return atomic_load(&memory);
}

/* What remains once answers that are on their way have gone out. */
static long
memory_left(void)
{
	long now = memory_now();

	for (int i = 0; i < 500 && now > 0; i++)
		now = memory_now();
	return now;
}

/* ---- clients ---- */

static RpcStream
put_a_megabyte(RpcClient *client)
{
	static uint8_t value[1024 * 1024];
	Kvrpcpb__RawPutRequest put = KVRPCPB__RAW_PUT_REQUEST__INIT;
	uint8_t *bytes = malloc(sizeof(value) + 64);
	RpcStream s;
	size_t len;

	put.key.data = (uint8_t *) "k";
	put.key.len = 1;
	put.value.data = value;
	put.value.len = sizeof(value);
	len = kvrpcpb__raw_put_request__pack(&put, bytes);
	s = send_put(client, bytes_make(bytes, len));
	free(bytes);
	return s;
}

static RpcStream
open_stream(RpcClient *client)
{
	return rpc_open(client, "/tikvpb.Tikv/BatchCommands", -1, NULL, 0);
}

/* Wait until no more of them come in. */
static long
held(long least)
{
	long before;

	test_wait_for(&n_waiting, least);
	do
	{
		before = atomic_load(&n_waiting);
		poll(NULL, 0, 100);
	} while (atomic_load(&n_waiting) != before);
	return before;
}

/* ---- refusals ---- */

static bool
says_busy(const ServiceMethod *method, const RpcMessage *m)
{
	ProtobufCMessage *reply =
		protobuf_c_message_unpack(method->response, NULL, m->len, m->data);
	const Errorpb__Error *error =
		reply == NULL ? NULL : service_field(reply, "region_error");
	bool busy = error != NULL && error->server_is_busy != NULL;

	if (reply != NULL)
		protobuf_c_message_free_unpacked(reply, NULL);
	return busy;
}

/* Every response can be read by who has asked, and says that it is refused. */
static void
test_refusals(RpcClient *client)
{
	int n_failed = 0;

	for (int i = 0; i < tikv_n_methods; i++)
	{
		const RpcMethod *m = &tikv_methods[i];
		const ServiceMethod *method = service_method(m->id);
		RpcMessage reply;
		int code;

		if (m->handler != &unary_handler)
			continue;
		code = rpc_unary(client, m->path, bytes_empty(), 5000, &reply, NULL, 0);
		n_failed += code == RPC_UNAVAILABLE;
		if (code == RPC_UNAVAILABLE ? service_has_region_error(method) :
									  !says_busy(method, &reply))
			OK(false, m->path);
		free(reply.data);
	}
	EQ_U64(
		n_failed, 3,
		"GetStoreSafeTS, BroadcastTxnStatus and Order are refused by a status");
}

static void
test_refused_broadcast(RpcClient *client)
{
	/* one command, of number 40 and without content, and its id */
	static const uint8_t message[] = {0x0a, 3, 0xc2, 0x02, 0, 0x10, 7};
	RpcStream s = open_stream(client);
	Tikvpb__BatchCommandsResponse *all;
	RpcMessage m;

	rpc_send(&s, bytes_make(message, sizeof(message)));
	m = rpc_recv(&s);
	all = tikvpb__batch_commands_response__unpack(NULL, m.len, m.data);
	OK(all != NULL && all->n_responses == 1 && all->request_ids[0] == 7 &&
		   all->responses[0]->cmd_case ==
			   TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD__NOT_SET,
	   "where busy has no place a command is not answered as done");
	tikvpb__batch_commands_response__free_unpacked(all, NULL);
	free(m.data);
	rpc_cancel(&s);
}

static void
test_flood(RpcClient *flood, RpcClient *other)
{
	RpcStream floods[N_FLOOD];
	RpcStream others[N_OTHER];
	long by_flood;
	long by_other;

	for (int i = 0; i < N_FLOOD; i++)
		floods[i] = put_a_megabyte(flood);
	by_flood = held(1);
	OK(by_flood >= (long) (ADMITTED / 2 / MIB) - 1 &&
		   by_flood <= (long) (ADMITTED / 2 / MIB) + 1,
	   "one connection gets half of the memory");
	printf("# it holds %ld requests\n", by_flood);

	for (int i = 0; i < N_OTHER; i++)
		others[i] = put_a_megabyte(other);
	by_other = held(by_flood + 1) - by_flood;
	OK(by_other >= (long) (ADMITTED / 3 / MIB) - 1,
	   "another one still has its share");
	printf("# it holds %ld requests\n", by_other);
	EQ_U64(atomic_load(&n_sources), 2, "the requests know where they are from");
	OK(memory_now() > (long) (30 * MIB), "what is held is counted");
	OK(atomic_load(&most) <= (long) ADMITTED + 2 * (long) MIB,
	   "and is within the limit");
	test_refusals(flood);
	test_refused_broadcast(flood);

	atomic_store(&release, true);
	server_wake(t.server);
	EQ_U64(count_busy(floods, N_FLOOD), N_FLOOD - by_flood,
		   "the rest of the flood was refused");
	EQ_U64(count_busy(others, N_OTHER), N_OTHER - by_other,
		   "and of the other's what was over its share");
	EQ_U64(memory_left(), 0, "answered, nothing is held any more");
}

static void
test_recovery(RpcClient *flood)
{
	RpcStream again = put_a_megabyte(flood);

	OK(!ends_busy(&again), "and who flooded is served again");
}

/* What handlers keep counts to the client, also once it has gone. */

static RpcStream
call_keeper(RpcClient *client)
{
	RpcStream s = rpc_open(client, "/test.T/Keep", -1, NULL, 0);

	rpc_send(&s, bytes_cstr("x"));
	rpc_half_close(&s);
	return s;
}

static long
kept_become(long least)
{
	(void) test_wait_for(&n_kept, least);
	(void) memory_now();
	return atomic_load(&n_kept);
}

static void
test_charges(RpcClient *flood, RpcClient *other)
{
	RpcStream floods[N_FLOOD];
	RpcStream theirs;
	long most = (long) (ADMITTED / 2 / KEPT);
	long n;

	for (int i = 0; i < N_FLOOD; i++)
		floods[i] = call_keeper(flood);
	n = kept_become(most);
	OK(n >= most && n <= most + 1,
	   "what is kept for one client is half of all");
	theirs = call_keeper(other);
	EQ_U64(kept_become(n + 1), n + 1, "another one is served");
	for (int i = 0; i < N_FLOOD; i++)
		rpc_cancel(&floods[i]);
	OK(memory_now() > n * (long) KEPT, "it counts until it is let go");
	floods[0] = call_keeper(flood);
	EQ_U64(rpc_status(&floods[0]), RPC_RESOURCE_EXHAUSTED,
		   "to the same client");
	rpc_close(&floods[0]);
	atomic_store(&let_go, true);
	server_wake(t.server);
	free(rpc_recv(&theirs).data);
	EQ_U64(rpc_status(&theirs), RPC_OK, "the other one gets its answer");
	rpc_close(&theirs);
	EQ_U64(memory_left(), 0, "and nothing is held any more");
}

/* ---- Empty ---- */

#define DELAY_MS 1000

static uint8_t *
write_bytes_field(uint8_t *p, uint32_t number, const uint8_t *data, size_t len)
{
	p = wire_write_varint(p, wire_key(number, WIRE_BYTES));
	p = wire_write_varint(p, len);
	memcpy(p, data, len);
	return p + len;
}

static uint8_t *
write_number_field(uint8_t *p, uint32_t number, uint64_t value)
{
	p = wire_write_varint(p, wire_key(number, WIRE_VARINT));
	return wire_write_varint(p, value);
}

/* One BatchCommandsRequest of n Empties, with a field that nobody knows. */
static void
send_empties(RpcStream *s, int n, uint64_t delay_ms, size_t unknown)
{
	size_t room = 64 + unknown;
	uint8_t *body = malloc(room);
	uint8_t *command = malloc(room);
	uint8_t *message = malloc((size_t) n * room);
	uint8_t *nothing = calloc(1, unknown + 1);
	uint8_t *end = message;

	for (int i = 0; i < n; i++)
	{
		uint8_t *p = write_number_field(body, 1, (uint64_t) i);

		p = write_number_field(p, 2, delay_ms);
		p = write_bytes_field(p, 3, nothing, unknown);
		p = write_bytes_field(command, METHOD_EMPTY, body, (size_t) (p - body));
		end = write_bytes_field(end, 1, command, (size_t) (p - command));
		end = write_number_field(end, 2, (uint64_t) i);
	}
	rpc_send(s, bytes_make(message, (size_t) (end - message)));
	free(body);
	free(command);
	free(message);
	free(nothing);
}

/* Take one message; how many answers of Empty are in it? */
static size_t
take_empties(RpcStream *s)
{
	RpcMessage m = rpc_recv(s);
	Tikvpb__BatchCommandsResponse *all =
		tikvpb__batch_commands_response__unpack(NULL, m.len, m.data);
	size_t n = 0;

	CHECK(all != NULL);
	for (size_t i = 0; i < all->n_responses; i++)
		n += all->responses[i]->cmd_case ==
				TIKVPB__BATCH_COMMANDS_RESPONSE__RESPONSE__CMD_EMPTY &&
			all->responses[i]->empty->test_id == all->request_ids[i];
	tikvpb__batch_commands_response__free_unpacked(all, NULL);
	free(m.data);
	return n;
}

/* What waits is a number, whatever came with it. */
static void
test_large_empties(RpcClient *client, RpcClient *other)
{
	RpcStream s = open_stream(client);
	RpcStream after;
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		send_empties(&s, 1, DELAY_MS, 24 * MIB);
	send_empties(&s, 1, 0, 0);
	EQ_U64(take_empties(&s), 1, "two long Empties wait");
	OK(memory_now() <= 4096, "and hold next to nothing");
	after = put_a_megabyte(other);
	OK(!ends_busy(&after), "so another client is served");
	while (n < 2)
		n += take_empties(&s);
	EQ_U64(n, 2, "they are answered at their time");
	EQ_U64(memory_left(), 0, "and hold nothing any more");
	rpc_cancel(&s);
}

/* More than may wait are answered early. */
static void
test_many_empties(RpcClient *client)
{
	RpcStream s[] = {open_stream(client), open_stream(client)};
	size_t early = 0;
	size_t late = 0;
	int64_t begin = test_now_us();

	send_empties(&s[0], 900, DELAY_MS, 0);
	send_empties(&s[0], 1, 0, 0);
	EQ_U64(take_empties(&s[0]), 1, "many Empties wait");
	send_empties(&s[1], 900, DELAY_MS, 0);
	while (early < 1800 - EMPTY_MAX_OF_SOURCE)
		early += take_empties(&s[1]);
	OK(test_now_us() - begin < DELAY_MS * 1000,
	   "Empties beyond what a connection may have waiting are answered early");
	EQ_U64(early, 1800 - EMPTY_MAX_OF_SOURCE, "those and no others");
	while (late < 900)
		late += take_empties(&s[0]);
	while (late < EMPTY_MAX_OF_SOURCE)
		late += take_empties(&s[1]);
	OK(test_now_us() - begin >= DELAY_MS * 1000, "the others at their time");
	EQ_U64(memory_left(), 0, "and then none waits");
	rpc_cancel(&s[0]);
	rpc_cancel(&s[1]);
}

int
main(void)
{
	static const RpcMethod keep = {"/test.T/Keep", RPC_UNARY, 1001, &keeper};
	BatchService service = {.submit = submit, .max_inflight = 1000};
	RpcMethod *methods = calloc((size_t) tikv_n_methods + 1, sizeof(*methods));
	RpcClient flood;
	RpcClient other;

	setvbuf(stdout, NULL, _IOLBF, 0);
	grpc_init();
	batch_configure(&service);
	t.config.max_memory = MAX_MEMORY;
	atomic_store(&t.round, look);
	memcpy(methods, tikv_methods, (size_t) tikv_n_methods * sizeof(*methods));
	methods[tikv_n_methods] = keep;
	OK(test_server_start(&t, methods, tikv_n_methods + 1), "the server runs");
	flood = rpc_connect_alone(t.port);
	other = rpc_connect_alone(t.port);
	test_flood(&flood, &other);
	test_recovery(&flood);
	test_charges(&flood, &other);
	test_large_empties(&flood, &other);
	test_many_empties(&other);
	rpc_disconnect(&flood);
	rpc_disconnect(&other);
	test_server_stop(&t);
	free(methods);
	grpc_shutdown();
	return unit_done();
}
