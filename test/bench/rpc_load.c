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
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "kvrpcpb.pb-c.h"
#include "load_request.h"
#include "pdpb.pb-c.h"
#include "service/service.h"

static grpc_completion_queue *cq;
static grpc_channel **channels;
static Bytes
buffer_bytes(grpc_byte_buffer *buffer, grpc_slice *hold)
{
	grpc_byte_buffer_reader reader;

	grpc_byte_buffer_reader_init(&reader, buffer);
	*hold = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	return bytes_make(GRPC_SLICE_START_PTR(*hold), GRPC_SLICE_LENGTH(*hold));
}

static grpc_byte_buffer *
take_slice(grpc_slice slice)
{
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	return buffer;
}

static void
start(grpc_call *call, grpc_op *ops, size_t n, void *tag)
{
	if (grpc_call_start_batch(call, ops, n, tag, NULL) != GRPC_CALL_OK)
		abort();
}

/* ---- unary ---- */

typedef struct Unary
{
	Task task;
	grpc_call *call;
	grpc_channel *channel;
	void **registered; /* by step */
	grpc_byte_buffer *request;
	grpc_byte_buffer *reply;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
} Unary;

/* Send the next request of the task. */
static void
unary_send(Unary *u)
{
	grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
					  {.op = GRPC_OP_SEND_MESSAGE},
					  {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
					  {.op = GRPC_OP_RECV_INITIAL_METADATA},
					  {.op = GRPC_OP_RECV_MESSAGE},
					  {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
	size_t len = task_write(&u->task);

	u->call =
		grpc_channel_create_registered_call(u->channel, NULL, 0, cq,
											u->registered[task_step(&u->task)],
											gpr_inf_future(GPR_CLOCK_MONOTONIC),
											NULL);
	u->request =
		take_slice(grpc_slice_from_copied_buffer((char *) scratch, len));
	u->reply = NULL;
	u->initial.count = 0;
	u->trailing.count = 0;
	ops[1].data.send_message.send_message = u->request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
	ops[4].data.recv_message.recv_message = &u->reply;
	ops[5].data.recv_status_on_client.trailing_metadata = &u->trailing;
	ops[5].data.recv_status_on_client.status = &u->code;
	ops[5].data.recv_status_on_client.status_details = &u->text;
	start(u->call, ops, 6, u);
}

static void
unary_begin(Unary *u)
{
	task_begin(&u->task, mode);
	unary_send(u);
}

/* Take the answer; true if the task is over. */
static bool
unary_answer(Unary *u)
{
	bool over = true;
	grpc_slice hold;

	if (u->code != GRPC_STATUS_OK || u->reply == NULL)
	{
		char text[300];

		snprintf(text, sizeof(text), "status %d: %.*s", (int) u->code,
				 (int) GRPC_SLICE_LENGTH(u->text),
				 (char *) GRPC_SLICE_START_PTR(u->text));
		count_error(text);
	}
	else if (task_step(&u->task) == STEP_EMPTY)
		count_one(now_us() - u->task.begin_us);
	else
	{
		over = task_answer(&u->task, buffer_bytes(u->reply, &hold));
		grpc_slice_unref(hold);
		if (over)
			count_one(now_us() - u->task.begin_us);
	}
	if (u->reply != NULL)
		grpc_byte_buffer_destroy(u->reply);
	grpc_byte_buffer_destroy(u->request);
	grpc_slice_unref(u->text);
	grpc_call_unref(u->call);
	return over;
}

/* The handles of the mode's methods on a connection, by step. */
static void **
register_steps(grpc_channel *channel)
{
	void **handles = calloc(N_STEPS, sizeof(*handles));

	for (int i = 0; i < MAX_STEPS && mode->steps[i] != STEP_END; i++)
		handles[mode->steps[i]] =
			grpc_channel_register_call(channel, step_path(mode->steps[i]), NULL,
									   NULL);
	return handles;
}

static Unary *
open_unaries(void)
{
	Unary *calls = calloc((size_t) opt.inflight, sizeof(*calls));

	for (long i = 0; i < opt.inflight; i++)
	{
		Unary *u = &calls[i];

		u->task.number = i;
		u->channel = channels[i % opt.connections];
		u->registered = i < opt.connections ?
			register_steps(u->channel) :
			calls[i - opt.connections].registered;
		grpc_metadata_array_init(&u->initial);
		grpc_metadata_array_init(&u->trailing);
		unary_begin(u);
	}
	return calls;
}

static void
close_unaries(Unary *calls)
{
	for (long i = 0; i < opt.inflight; i++)
	{
		if (i < opt.connections)
			free(calls[i].registered);
		grpc_metadata_array_destroy(&calls[i].initial);
		grpc_metadata_array_destroy(&calls[i].trailing);
	}
	free(calls);
}

/* Is there another task to begin? */
static bool
goes_on(int64_t now, int64_t until)
{
	return filling ? fill_next < (uint64_t) opt.keys : now < until;
}

/* A transaction that has begun is brought to its end, whatever the time. */
static void
run_unary(int64_t warm_until, int64_t until)
{
	Unary *calls = open_unaries();
	long active = opt.inflight;

	while (active > 0)
	{
		grpc_event e =
			grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC),
									   NULL);
		Unary *u = e.tag;
		int64_t now = now_us();

		if (!filling)
			keep_time(now, warm_until, until);
		if (!unary_answer(u))
			unary_send(u);
		else if (goes_on(now, until))
			unary_begin(u);
		else
			active--;
	}
	close_unaries(calls);
}

/* ---- streams ---- */

typedef enum StreamOp
{
	STREAM_OPEN,
	STREAM_SEND,
	STREAM_RECV,
	STREAM_STATUS
} StreamOp;

typedef struct Stream Stream;

typedef struct StreamTag
{
	Stream *stream;
	StreamOp op;
} StreamTag;

struct Stream
{
	grpc_call *call;
	StreamTag tags[4];
	grpc_byte_buffer *request;
	grpc_byte_buffer *reply;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
	const Mode *mode;
	bool sending;
	bool over;
	bool cancelled;
	Task *tasks;
	long n_tasks;
	/* Tasks that wait for nothing: to be begun, or to be gone on with. */
	long *idle;
	long n_idle;
	long *ready;
	long n_ready;
	uint64_t next_key; /* of a fill; UINT64_MAX: random */
	uint64_t last_key;
};

/* Room for a message, kept from one to the next. */
typedef struct Room
{
	uint8_t *data;
	size_t len;
	size_t size;
} Room;

static Room message_room;
static Room ids_room;

static uint8_t *
room_for(Room *room, size_t more)
{
	if (room->len + more > room->size)
	{
		room->size = 2 * (room->len + more);
		room->data = realloc(room->data, room->size);
	}
	return room->data + room->len;
}

/* The next task to send something: what has begun goes first. */
static long
next_task(Stream *s)
{
	long id;

	if (s->n_ready > 0)
		return s->ready[--s->n_ready];
	id = s->idle[--s->n_idle];
	task_begin(&s->tasks[id], s->mode);
	if (s->next_key != UINT64_MAX)
		s->tasks[id].key = s->next_key++;
	return id;
}

/* BatchCommandsRequest.Request: one member, with the request in it. */
static void
add_command(Task *t)
{
	uint64_t key = wire_key((uint32_t) step_method(task_step(t)), WIRE_BYTES);
	size_t body = task_write(t);
	size_t inner = wire_varint_len(key) + wire_varint_len(body) + body;
	uint8_t *p = room_for(&message_room, bytes_size(inner));

	message_room.len += bytes_size(inner);
	p = wire_write_varint(p, wire_key(1, WIRE_BYTES));
	p = wire_write_varint(p, inner);
	p = wire_write_varint(p, key);
	p = wire_write_varint(p, body);
	memcpy(p, scratch, body);
}

/* A BatchCommandsRequest of n commands: 1 requests, 2 ids. */
static grpc_slice
batch_request(Stream *s, long n)
{
	message_room.len = 0;
	ids_room.len = 0;
	while (n-- > 0)
	{
		long id = next_task(s);
		uint8_t *p = room_for(&ids_room, 10);

		ids_room.len =
			(size_t) (wire_write_varint(p, (uint64_t) id) - ids_room.data);
		add_command(&s->tasks[id]);
	}
	put_bytes(room_for(&message_room, bytes_size(ids_room.len)), 2,
			  ids_room.data, ids_room.len);
	message_room.len += bytes_size(ids_room.len);
	return grpc_slice_from_copied_buffer((char *) message_room.data,
										 message_room.len);
}

/* How many commands may be sent now; at the end what has begun goes on. */
static long
stream_wants(const Stream *s, bool more)
{
	long idle = s->n_idle;

	if (s->next_key != UINT64_MAX &&
		s->last_key - s->next_key < (uint64_t) idle)
		idle = (long) (s->last_key - s->next_key);
	if (s->n_ready + (more ? idle : 0) >= opt.batch)
		return opt.batch;
	if (!more || s->next_key == s->last_key)
		return s->n_ready;
	return s->next_key == UINT64_MAX || idle == s->n_idle ? 0 : idle;
}

static bool
stream_is_done(const Stream *s, bool more)
{
	return s->n_idle == s->n_tasks && (!more || s->next_key == s->last_key);
}

static void
stream_send(Stream *s, bool more)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	long n = s->sending || s->over || s->cancelled ? 0 : stream_wants(s, more);

	if (!s->cancelled && stream_is_done(s, more))
	{
		s->cancelled = true;
		grpc_call_cancel(s->call, NULL);
	}
	if (n == 0)
		return;
	s->request = take_slice(batch_request(s, n));
	op.data.send_message.send_message = s->request;
	s->sending = true;
	start(s->call, &op, 1, &s->tags[STREAM_SEND]);
}

static void
stream_recv(Stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	s->reply = NULL;
	op.data.recv_message.recv_message = &s->reply;
	start(s->call, &op, 1, &s->tags[STREAM_RECV]);
}

static void
stream_init_tasks(Stream *s, long first)
{
	s->n_tasks = opt.inflight / opt.connections;
	s->tasks = calloc((size_t) s->n_tasks, sizeof(Task));
	s->idle = calloc((size_t) s->n_tasks, sizeof(long));
	s->ready = calloc((size_t) s->n_tasks, sizeof(long));
	s->n_idle = s->n_tasks;
	for (long i = 0; i < s->n_tasks; i++)
	{
		s->tasks[i].number = first + i;
		s->idle[i] = i;
	}
}

static void
stream_open(Stream *s, grpc_channel *channel)
{
	grpc_op open[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
					   {.op = GRPC_OP_RECV_INITIAL_METADATA}};
	grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

	for (int i = 0; i < 4; i++)
		s->tags[i] = (StreamTag){s, (StreamOp) i};
	grpc_metadata_array_init(&s->initial);
	grpc_metadata_array_init(&s->trailing);
	s->call = grpc_channel_create_call(
		channel, NULL, 0, cq,
		grpc_slice_from_static_string("/tikvpb.Tikv/BatchCommands"), NULL,
		gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	open[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	start(s->call, open, 2, &s->tags[STREAM_OPEN]);
	status.data.recv_status_on_client.trailing_metadata = &s->trailing;
	status.data.recv_status_on_client.status = &s->code;
	status.data.recv_status_on_client.status_details = &s->text;
	start(s->call, &status, 1, &s->tags[STREAM_STATUS]);
	stream_recv(s);
	stream_send(s, true);
}

static void
stream_close(Stream *s)
{
	grpc_slice_unref(s->text);
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	free(s->tasks);
	free(s->idle);
	free(s->ready);
	grpc_call_unref(s->call);
}

/* One answer, for the task of this id. */
static void
stream_answer(Stream *s, uint64_t id, Bytes response, int64_t now)
{
	WireReader r = wire_reader(response);
	WireField member;

	if (id >= (uint64_t) s->n_tasks || !wire_read_field(&r, &member))
		count_error("a response without a command or a member");
	else if (!task_answer(&s->tasks[id], member.bytes))
		s->ready[s->n_ready++] = (long) id;
	else
	{
		count_one(now - s->tasks[id].begin_us);
		s->idle[s->n_idle++] = (long) id;
	}
}

/* BatchCommandsResponse: 1 responses, and after them 2 their request ids. */
static void
stream_answers(Stream *s, Bytes message)
{
	WireReader r = wire_reader(message);
	WireReader responses = r;
	WireField f;
	WireField response;
	int64_t now = now_us();

	while (wire_read_field(&r, &f))
	{
		WireReader ids = wire_reader(f.bytes);
		uint64_t id;

		if (f.number != 2 || f.type != WIRE_BYTES)
			continue;
		while (ids.next != ids.end && wire_read_varint(&ids, &id))
			if (wire_read_field(&responses, &response) && response.number == 1)
				stream_answer(s, id, response.bytes, now);
			else
				count_error("more ids than responses");
	}
	if (r.bad)
		count_error("malformed BatchCommandsResponse");
}

/* Handle one event; false when the stream has ended. */
static bool
stream_event(Stream *s, StreamOp op, bool more)
{
	grpc_slice hold;

	if (op == STREAM_SEND)
	{
		grpc_byte_buffer_destroy(s->request);
		s->sending = false;
	}
	else if (op == STREAM_RECV && s->reply != NULL)
	{
		stream_answers(s, buffer_bytes(s->reply, &hold));
		grpc_slice_unref(hold);
		grpc_byte_buffer_destroy(s->reply);
		stream_recv(s);
	}
	else if (op == STREAM_STATUS)
	{
		s->over = true;
		if (s->code != GRPC_STATUS_CANCELLED)
			fprintf(stderr, "stream ended: %d %.*s\n", (int) s->code,
					(int) GRPC_SLICE_LENGTH(s->text),
					(char *) GRPC_SLICE_START_PTR(s->text));
		return false;
	}
	stream_send(s, more);
	return true;
}

static void
drain_queue(void)
{
	gpr_timespec soon = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
									 gpr_time_from_millis(50, GPR_TIMESPAN));

	while (grpc_completion_queue_next(cq, soon, NULL).type == GRPC_OP_COMPLETE)
		;
}

static void
run_streams(int64_t warm_until, int64_t until)
{
	Stream *streams = calloc((size_t) opt.connections, sizeof(*streams));
	long active = opt.connections;

	for (long i = 0; i < opt.connections; i++)
	{
		streams[i].mode = mode;
		streams[i].next_key = UINT64_MAX;
		stream_init_tasks(&streams[i], i * (opt.inflight / opt.connections));
		stream_open(&streams[i], channels[i]);
	}
	while (active > 0)
	{
		grpc_event e =
			grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC),
									   NULL);
		StreamTag *tag = e.tag;
		int64_t now = now_us();

		keep_time(now, warm_until, until);
		if (!stream_event(tag->stream, tag->op, now < until))
			active--;
	}
	drain_queue();
	for (long i = 0; i < opt.connections; i++)
		stream_close(&streams[i]);
	free(streams);
}

/* Write every key once, in order; etcd has no stream for it. */
static void
fill_unary(void)
{
	const Mode *measured = mode;

	mode = fill_mode;
	filling = true;
	run_unary(0, 0);
	filling = false;
	mode = measured;
	if (errors > 0)
		exit(1);
}

static void
fill_stream(void)
{
	Stream s = {.mode = fill_mode, .last_key = (uint64_t) opt.keys};
	bool open = true;

	stream_init_tasks(&s, 0);
	stream_open(&s, channels[0]);
	while (open)
	{
		grpc_event e =
			grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC),
									   NULL);

		open = stream_event(&s, ((StreamTag *) e.tag)->op, true);
	}
	drain_queue();
	stream_close(&s);
	if (!s.cancelled || errors > 0)
		exit(1);
}

/* ---- the region ---- */

static Bytes
blocking_call(grpc_channel *channel, const char *path,
			  const ProtobufCMessage *m, grpc_slice *hold)
{
	Unary u = {.channel = channel};
	grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(m));
	grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
					  {.op = GRPC_OP_SEND_MESSAGE},
					  {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
					  {.op = GRPC_OP_RECV_INITIAL_METADATA},
					  {.op = GRPC_OP_RECV_MESSAGE},
					  {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};

	protobuf_c_message_pack(m, GRPC_SLICE_START_PTR(slice));
	u.request = take_slice(slice);
	u.call =
		grpc_channel_create_call(channel, NULL, 0, cq,
								 grpc_slice_from_static_string(path), NULL,
								 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_metadata_array_init(&u.initial);
	grpc_metadata_array_init(&u.trailing);
	ops[1].data.send_message.send_message = u.request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u.initial;
	ops[4].data.recv_message.recv_message = &u.reply;
	ops[5].data.recv_status_on_client.trailing_metadata = &u.trailing;
	ops[5].data.recv_status_on_client.status = &u.code;
	ops[5].data.recv_status_on_client.status_details = &u.text;
	start(u.call, ops, 6, &u);
	grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	if (u.code != GRPC_STATUS_OK || u.reply == NULL)
	{
		fprintf(stderr, "%s: status %d: %.*s\n", path, (int) u.code,
				(int) GRPC_SLICE_LENGTH(u.text),
				(char *) GRPC_SLICE_START_PTR(u.text));
		exit(1);
	}
	grpc_byte_buffer_destroy(u.request);
	grpc_slice_unref(u.text);
	grpc_call_unref(u.call);
	grpc_metadata_array_destroy(&u.initial);
	grpc_metadata_array_destroy(&u.trailing);
	return buffer_bytes(u.reply, hold);
}

static char *
read_file(const char *folder, const char *name)
{
	char path[4096];
	char *text = calloc(1, 65536);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "r");
	if (file == NULL || fread(text, 1, 65535, file) == 0)
	{
		fprintf(stderr, "rpc_load: cannot read %s\n", path);
		exit(1);
	}
	fclose(file);
	return text;
}

static grpc_channel_credentials *
make_credentials(void)
{
	grpc_ssl_pem_key_cert_pair pair;
	grpc_channel_credentials *creds;
	char *ca;

	if (opt.tls == NULL)
		return grpc_insecure_credentials_create();
	ca = read_file(opt.tls, "ca.crt");
	pair.cert_chain = read_file(opt.tls, "client.crt");
	pair.private_key = read_file(opt.tls, "client.key");
	creds = grpc_ssl_credentials_create(ca, &pair, NULL, NULL);
	free(ca);
	free((char *) pair.cert_chain);
	free((char *) pair.private_key);
	return creds;
}

#define TS_LOGICAL_BITS 18
#define TS_BATCH 100000
#define MAX_TS_PER_S 2000000 /* several times what one core answers */

static uint64_t
ask_cluster_id(grpc_channel *channel)
{
	Pdpb__GetMembersRequest request = PDPB__GET_MEMBERS_REQUEST__INIT;
	Pdpb__GetMembersResponse *reply;
	grpc_slice hold;
	Bytes b =
		blocking_call(channel, "/pdpb.PD/GetMembers", &request.base, &hold);

	reply = pdpb__get_members_response__unpack(NULL, b.len, b.data);
	if (reply == NULL || reply->header == NULL)
	{
		fprintf(stderr, "GetMembers: no header\n");
		exit(1);
	}
	return reply->header->cluster_id;
}

/* A batch of timestamps, the answer naming the last one. */
static void
ask_timestamps(grpc_channel *channel, Pdpb__RequestHeader *header,
			   TsRange *range)
{
	Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;
	Pdpb__TsoResponse *reply;
	grpc_slice hold;
	Bytes b;

	request.header = header;
	request.count = TS_BATCH;
	b = blocking_call(channel, "/pdpb.PD/Tso", &request.base, &hold);
	reply = pdpb__tso_response__unpack(NULL, b.len, b.data);
	if (reply == NULL || reply->timestamp == NULL || reply->count != TS_BATCH)
	{
		fprintf(stderr, "Tso: no timestamps\n");
		exit(1);
	}
	range->end = ((uint64_t) reply->timestamp->physical << TS_LOGICAL_BITS |
				  (uint64_t) reply->timestamp->logical) +
		1;
	range->next = range->end - TS_BATCH;
	grpc_slice_unref(hold);
}

/* More than any load takes in its time. */
static void
ask_all_timestamps(grpc_channel *channel, Pdpb__RequestHeader *header)
{
	long wanted = 2 * opt.keys + (opt.seconds + opt.warmup) * MAX_TS_PER_S;

	n_ts_ranges = (size_t) (wanted / TS_BATCH + 1);
	ts_ranges = calloc(n_ts_ranges, sizeof(*ts_ranges));
	for (size_t i = 0; i < n_ts_ranges; i++)
		ask_timestamps(channel, header, &ts_ranges[i]);
}

/* Fill in the context from the region that holds the first key. */
static void
ask_pd(Kvrpcpb__Context *ctx)
{
	grpc_channel_credentials *creds = make_credentials();
	grpc_channel *channel = grpc_channel_create(opt.pd, creds, NULL);
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Pdpb__GetRegionResponse *reply;
	uint8_t key[4096];
	grpc_slice hold;
	Bytes b;

	write_key(key, 0);
	header.cluster_id = ask_cluster_id(channel);
	request.header = &header;
	request.region_key.data = key;
	request.region_key.len = (size_t) opt.key_size;
	b = blocking_call(channel, "/pdpb.PD/GetRegion", &request.base, &hold);
	reply = pdpb__get_region_response__unpack(NULL, b.len, b.data);
	if (reply == NULL || reply->region == NULL || reply->leader == NULL)
	{
		fprintf(stderr, "GetRegion: no region or no leader\n");
		exit(1);
	}
	ctx->region_id = reply->region->id;
	ctx->region_epoch = reply->region->region_epoch;
	ctx->peer = reply->leader;
	ctx->cluster_id = header.cluster_id;
	if (mode->transactional)
		ask_all_timestamps(channel, &header);
	grpc_channel_credentials_release(creds);
}

static void
make_context(void)
{
	Kvrpcpb__Context ctx = KVRPCPB__CONTEXT__INIT;
	Metapb__RegionEpoch epoch = METAPB__REGION_EPOCH__INIT;
	Metapb__Peer peer = METAPB__PEER__INIT;

	epoch.conf_ver = 1;
	epoch.version = 1;
	peer.id = 2;
	peer.store_id = 1;
	ctx.region_id = 1;
	ctx.region_epoch = &epoch;
	ctx.peer = &peer;
	if (opt.pd != NULL)
		ask_pd(&ctx);
	context_len = kvrpcpb__context__get_packed_size(&ctx);
	if (context_len > sizeof(context))
		abort();
	kvrpcpb__context__pack(&ctx, context);
}

/* ---- splits ---- */

#define MAX_SPLIT_KEYS 64 /* of one SplitRegion, as the store takes them */
#define SPLIT_RETRY_US 100000
#define SPLIT_PATIENCE_US 60000000

/* What is split next: the region that holds the last key, and its leader. */
typedef struct SplitTarget
{
	grpc_channel *pd;
	grpc_channel *store; /* NULL: PD is to be asked */
	uint64_t cluster_id;
	uint64_t region_id;
	Metapb__RegionEpoch epoch;
	Metapb__Peer leader;
	uint64_t next; /* key to split at */
} SplitTarget;

/* The number behind the last key. */
static uint64_t
split_end(void)
{
	return (uint64_t) opt.first + (uint64_t) opt.keys;
}

static grpc_channel *
open_store(const SplitTarget *target)
{
	grpc_channel_credentials *creds = make_credentials();
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetStoreRequest request = PDPB__GET_STORE_REQUEST__INIT;
	Pdpb__GetStoreResponse *reply;
	grpc_channel *channel;
	grpc_slice hold;
	Bytes b;

	header.cluster_id = target->cluster_id;
	request.header = &header;
	request.store_id = target->leader.store_id;
	b = blocking_call(target->pd, "/pdpb.PD/GetStore", &request.base, &hold);
	reply = pdpb__get_store_response__unpack(NULL, b.len, b.data);
	if (reply == NULL || reply->store == NULL)
	{
		fprintf(stderr, "GetStore: no store\n");
		exit(1);
	}
	channel = grpc_channel_create(reply->store->address, creds, NULL);
	pdpb__get_store_response__free_unpacked(reply, NULL);
	grpc_slice_unref(hold);
	grpc_channel_credentials_release(creds);
	return channel;
}

/* Where a region begins already nothing is split. */
static void
skip_bounds(SplitTarget *target, const ProtobufCBinaryData *start)
{
	uint8_t key[4096];

	for (; target->next < split_end(); target->next++)
	{
		write_key(key, target->next);
		if (bytes_cmp(bytes_make(key, (size_t) opt.key_size),
					  bytes_make(start->data, start->len)) > 0)
			return;
	}
}

static void
find_target(SplitTarget *target)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__GetRegionRequest request = PDPB__GET_REGION_REQUEST__INIT;
	Pdpb__GetRegionResponse *reply;
	uint8_t key[4096];
	grpc_slice hold;
	Bytes b;

	write_key(key, split_end() - 1);
	header.cluster_id = target->cluster_id;
	request.header = &header;
	request.region_key.data = key;
	request.region_key.len = (size_t) opt.key_size;
	b = blocking_call(target->pd, "/pdpb.PD/GetRegion", &request.base, &hold);
	reply = pdpb__get_region_response__unpack(NULL, b.len, b.data);
	if (reply == NULL || reply->region == NULL || reply->leader == NULL ||
		reply->region->region_epoch == NULL)
	{
		fprintf(stderr, "GetRegion: no region or no leader\n");
		exit(1);
	}
	target->region_id = reply->region->id;
	target->epoch = *reply->region->region_epoch;
	target->leader = *reply->leader;
	target->store = open_store(target);
	skip_bounds(target, &reply->region->start_key);
	pdpb__get_region_response__free_unpacked(reply, NULL);
	grpc_slice_unref(hold);
}

/* The next keys, of those up to the last one. */
static size_t
write_split_keys(uint64_t first, uint8_t *room, ProtobufCBinaryData *keys)
{
	size_t n = 0;

	for (uint64_t k = first; k < split_end() && n < (size_t) opt.batch; k++)
	{
		keys[n].data = room + n * (size_t) opt.key_size;
		keys[n].len = (size_t) opt.key_size;
		write_key(keys[n].data, k);
		n++;
	}
	return n;
}

/* False: the region is not as it was known, or cannot be split now. */
static bool
split_once(SplitTarget *target)
{
	Kvrpcpb__SplitRegionRequest request = KVRPCPB__SPLIT_REGION_REQUEST__INIT;
	Kvrpcpb__SplitRegionResponse *reply;
	Kvrpcpb__Context ctx = KVRPCPB__CONTEXT__INIT;
	ProtobufCBinaryData keys[MAX_SPLIT_KEYS];
	uint8_t *room = malloc((size_t) opt.batch * (size_t) opt.key_size);
	grpc_slice hold;
	bool ok;
	Bytes b;

	ctx.region_id = target->region_id;
	ctx.region_epoch = &target->epoch;
	ctx.peer = &target->leader;
	request.context = &ctx;
	request.is_raw_kv = 1;
	request.split_keys = keys;
	request.n_split_keys = write_split_keys(target->next, room, keys);
	b = blocking_call(target->store, "/tikvpb.Tikv/SplitRegion", &request.base,
					  &hold);
	reply = kvrpcpb__split_region_response__unpack(NULL, b.len, b.data);
	ok = reply != NULL && reply->region_error == NULL && reply->n_regions > 0 &&
		reply->regions[reply->n_regions - 1]->region_epoch != NULL;
	if (ok)
	{
		const Metapb__Region *last = reply->regions[reply->n_regions - 1];

		target->epoch = *last->region_epoch;
		skip_bounds(target, &last->start_key);
	}
	else if (reply != NULL && reply->region_error != NULL)
		fprintf(stderr, "SplitRegion: %s\n", reply->region_error->message);
	if (reply != NULL)
		kvrpcpb__split_region_response__free_unpacked(reply, NULL);
	grpc_slice_unref(hold);
	free(room);
	return ok;
}

/* The last piece keeps id and leader: PD is asked once, if all goes well. */
static void
split_all(void)
{
	grpc_channel_credentials *creds = make_credentials();
	SplitTarget target = {.pd = grpc_channel_create(opt.pd, creds, NULL)};
	int64_t began = now_us();
	int64_t progress = began;
	uint64_t splits = 0;

	target.cluster_id = ask_cluster_id(target.pd);
	target.next = (uint64_t) opt.first + 1;
	find_target(&target);
	while (target.next < split_end())
	{
		uint64_t before = target.next;

		if (split_once(&target))
		{
			splits += target.next - before;
			progress = now_us();
			continue;
		}
		if (now_us() > progress + SPLIT_PATIENCE_US)
		{
			fprintf(stderr, "rpc_load: the regions are not split\n");
			exit(1);
		}
		usleep(SPLIT_RETRY_US);
		grpc_channel_destroy(target.store);
		find_target(&target);
	}
	printf("mode=split splits=%llu seconds=%.2f\n", (unsigned long long) splits,
		   (double) (now_us() - began) / 1e6);
	grpc_channel_destroy(target.store);
	grpc_channel_destroy(target.pd);
	grpc_channel_credentials_release(creds);
}

/* ---- main ---- */

static bool
set_option(const char *name, const char *text)
{
	struct
	{
		const char *name;
		const char **text;
		long *number;
	} known[] = {
		{"--addr", &opt.addr, NULL},
		{"--mode", &opt.mode, NULL},
		{"--method", &opt.method, NULL},
		{"--pd", &opt.pd, NULL},
		{"--tls", &opt.tls, NULL},
		{"--server-pid", &server_pids, NULL},
		{"--inflight", NULL, &opt.inflight},
		{"--batch", NULL, &opt.batch},
		{"--connections", NULL, &opt.connections},
		{"--seconds", NULL, &opt.seconds},
		{"--warmup", NULL, &opt.warmup},
		{"--keys", NULL, &opt.keys},
		{"--first", NULL, &opt.first},
		{"--key-size", NULL, &opt.key_size},
		{"--value-size", NULL, &opt.value_size},
		{"--hot", NULL, &opt.hot},
		{"--fill", NULL, &opt.fill},
		{"--limit", NULL, &opt.limit},
		{"--ttl", NULL, &opt.ttl},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].text != NULL)
			*known[i].text = text;
		else
			*known[i].number = atol(text);
		return true;
	}
	return false;
}

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
connect_all(void)
{
	grpc_channel_credentials *creds = make_credentials();
	grpc_arg list[] = {
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
		 .value.integer = 1},
		{.type = GRPC_ARG_INTEGER,
		 .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
		 .value.integer = -1},
	};
	grpc_channel_args args = {2, list};

	cq = grpc_completion_queue_create_for_next(NULL);
	channels = calloc((size_t) opt.connections, sizeof(*channels));
	for (long i = 0; i < opt.connections; i++)
		channels[i] = grpc_channel_create(opt.addr, creds, &args);
	grpc_channel_credentials_release(creds);
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
	scratch = malloc(scratch_size());
	value = malloc((size_t) opt.value_size + 1);
	memset(value, 'v', (size_t) opt.value_size + 1);
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
