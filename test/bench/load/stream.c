/*
 * stream.c
 *	  A load of BatchCommands.
 */
#include "answer.h"
#include "channels.h"
#include "measure.h"
#include "options.h"
#include "request.h"
#include "service/wire.h"
#include "stream.h"

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
	s->request = buffer_of(batch_request(s, n));
	op.data.send_message.send_message = s->request;
	s->sending = true;
	start_ops(s->call, &op, 1, &s->tags[STREAM_SEND]);
}

static void
stream_recv(Stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	s->reply = NULL;
	op.data.recv_message.recv_message = &s->reply;
	start_ops(s->call, &op, 1, &s->tags[STREAM_RECV]);
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
	s->call = create_call(channel, cq, "/tikvpb.Tikv/BatchCommands",
						  gpr_inf_future(GPR_CLOCK_MONOTONIC));
	open[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	start_ops(s->call, open, 2, &s->tags[STREAM_OPEN]);
	status.data.recv_status_on_client.trailing_metadata = &s->trailing;
	status.data.recv_status_on_client.status = &s->code;
	status.data.recv_status_on_client.status_details = &s->text;
	start_ops(s->call, &status, 1, &s->tags[STREAM_STATUS]);
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
		hold = slice_of(s->reply);
		stream_answers(s, slice_bytes(hold));
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

void
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
		StreamTag *tag = next_event(cq).tag;
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

void
fill_stream(void)
{
	Stream s = {.mode = fill_mode, .last_key = (uint64_t) opt.keys};
	bool open = true;

	stream_init_tasks(&s, 0);
	stream_open(&s, channels[0]);
	while (open)
	{
		StreamTag *tag = next_event(cq).tag;

		open = stream_event(&s, tag->op, true);
	}
	drain_queue();
	stream_close(&s);
	if (!s.cancelled || errors > 0)
		exit(1);
}
