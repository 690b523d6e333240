/*
 * batch.c
 *	  tikvpb.Tikv/BatchCommands: many commands over one stream, answered in
 *	  any order.
 *
 * The envelope is read and written by hand: a command's message is unpacked
 * straight from the received bytes, and its answer is packed straight into
 * the bytes that leave, while `done` runs.  Answers gather per stream until
 * batch_flush, and while an earlier message is still being sent, so that a
 * busy stream sends few large messages instead of many small ones.
 *
 * What a stream may hold is bounded: commands in flight by the service's
 * max_inflight, answers in bytes by first reading no more and at last ending
 * the stream.  An Empty that may not wait, by these bounds or its own
 * (empty.h), is answered before its time: its answer has no place for an error.
 */
#include "server/batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "server/empty.h"
#include "server/envelope.h"
#include "server/internal.h"
#include "server/submit.h"
#include "service/wire.h"
#include "tikvpb.pb-c.h"

/* Neighbours share memory until it has grown to this. */
#define SHARED_MEMORY_MAX ((size_t) 32 * 1024)

/* Answers: a message of this size does not wait for the one before it. */
#define MESSAGE_BYTES ((size_t) 1024 * 1024)
#define PAUSE_BYTES ((size_t) 8 * 1024 * 1024)
#define QUEUE_BYTES ((size_t) 48 * 1024 * 1024)
#define GIVE_UP_BYTES ((size_t) 256 * 1024 * 1024)

/* What a message has besides its answers, and its ids, at most. */
#define ENVELOPE_BYTES ((size_t) 256)
#define ID_BYTES_MAX ((size_t) 10)

#define FEEDBACK_EVERY_US 1000000

/* Fields of BatchCommandsResponse. */
#define FIELD_RESPONSES 1
#define FIELD_IDS 2
#define FIELD_FEEDBACK 4

typedef struct BatchStream
{
	Link link;		  /* in `dirty` when something is to be done */
	Link open_link;	  /* in `open_streams` */
	Call *call;		  /* NULL when closed */
	int inflight;	  /* commands not answered yet */
	bool over;		  /* ended by us or by the client */
	bool half_closed; /* the client sends no more */
	bool paused;
	bool want_feedback;
	int64_t feedback_at_us; /* when it was sent last */
	OutBuf out;				/* Responses packed so far */
	size_t counted;			/* bytes of it the server knows of */
	uint64_t *ids;			/* their request ids */
	size_t n_ids;
	size_t cap_ids;
} BatchStream;

/* One command in flight; lives in its memory. */
typedef struct Command
{
	Request request;
	BatchStream *stream;
	RequestMemory *memory;
	uint64_t id;
} Command;

static Link dirty = {&dirty, &dirty};
static Link open_streams = {&open_streams, &open_streams};
static Envelope envelope;

/* ---- streams ---- */

static BatchStream *
stream_of(Call *call)
{
	BatchStream *stream = call_user(call);

	if (stream != NULL)
		return stream;
	stream = calloc(1, sizeof(*stream));
	CHECK(stream != NULL);
	link_init(&stream->link);
	link_init(&stream->open_link);
	link_move_to(&open_streams, &stream->open_link);
	outbuf_init(&stream->out);
	stream->call = call;
	call_set_user(call, stream);
	return stream;
}

static void
mark_dirty(BatchStream *stream)
{
	if (link_empty(&stream->link))
		link_move_to(&dirty, &stream->link);
}

static void
free_if_unused(BatchStream *stream)
{
	if (stream->call != NULL || stream->inflight > 0)
		return;
	link_remove(&stream->link);
	outbuf_free(&stream->out);
	free(stream->ids);
	free(stream);
}

/* Tell the server how much has gathered here. */
static void
count_gathered(BatchStream *stream, size_t len)
{
	if (len > stream->counted)
		unsent_add(stream->call, len - stream->counted);
	else
		unsent_sub(stream->call, stream->counted - len);
	stream->counted = len;
}

/* Nobody will read what has gathered. */
static void
drop_gathered(BatchStream *stream)
{
	count_gathered(stream, 0);
	outbuf_free(&stream->out);
	free(stream->ids);
	stream->ids = NULL;
	stream->n_ids = stream->cap_ids = 0;
}

static void
end_stream(BatchStream *stream, RpcCode code, const char *text)
{
	if (stream->over)
		return;
	stream->over = true;
	link_remove(&stream->link);
	drop_gathered(stream);
	call_fail(stream->call, code, text);
}

/* ---- answers ---- */

static void
add_id(BatchStream *stream, uint64_t id)
{
	if (stream->n_ids == stream->cap_ids)
	{
		stream->cap_ids = stream->cap_ids == 0 ? 64 : 2 * stream->cap_ids;
		stream->ids =
			realloc(stream->ids, stream->cap_ids * sizeof(*stream->ids));
		CHECK(stream->ids != NULL);
	}
	stream->ids[stream->n_ids++] = id;
}

static void flush_stream(BatchStream *stream, int64_t now_us);

/*
 * After an answer was added: large messages leave at once, a client that
 * does not read is not read from, and at last given up.
 */
static void
after_answer(BatchStream *stream)
{
	size_t waiting = stream->out.len + call_send_queued(stream->call);

	mark_dirty(stream);
	count_gathered(stream, stream->out.len);
	if (waiting >= PAUSE_BYTES && !stream->paused)
	{
		stream->paused = true;
		call_pause(stream->call, true);
	}
	if (stream->out.len >= MESSAGE_BYTES && waiting <= QUEUE_BYTES)
		flush_stream(stream, server_now_us());
	else if (stream->out.len > GIVE_UP_BYTES)
		end_stream(stream, RPC_RESOURCE_EXHAUSTED,
				   "the client does not read its answers");
}

/*
 * The Response of one command: its tag, and the tag of the member that has
 * the command's number.  The caller writes exactly len bytes to the result
 * and calls after_answer.
 */
static uint8_t *
begin_answer(BatchStream *stream, uint64_t id, int member, size_t len)
{
	uint64_t key = wire_key((uint32_t) member, WIRE_BYTES);
	size_t inner = wire_varint_len(key) + wire_varint_len(len) + len;
	uint8_t *p =
		outbuf_reserve(&stream->out, 1 + wire_varint_len(inner) + inner);

	add_id(stream, id);
	*p++ = (uint8_t) wire_key(FIELD_RESPONSES, WIRE_BYTES);
	p = wire_write_varint(p, inner);
	p = wire_write_varint(p, key);
	return wire_write_varint(p, len);
}

/*
 * Will a message of the server's size hold one more answer?  What has
 * gathered leaves first if it would not.  False if the stream has ended.
 */
static bool
make_room(BatchStream *stream, size_t len)
{
	size_t limit = stream->call->server->config.max_reply;
	char text[128];

	if (len > limit || limit - len < ENVELOPE_BYTES)
	{
		unsent_too_large(text, sizeof(text), len, limit);
		end_stream(stream, RPC_RESOURCE_EXHAUSTED, text);
	}
	else if (stream->n_ids > 0 &&
			 stream->out.len + stream->n_ids * ID_BYTES_MAX >
				 limit - len - ENVELOPE_BYTES)
		flush_stream(stream, server_now_us());
	return !stream->over;
}

static void
answer(BatchStream *stream, uint64_t id, int member,
	   const ProtobufCMessage *reply)
{
	size_t len = protobuf_c_message_get_packed_size(reply);

	if (!make_room(stream, len))
		return;
	protobuf_c_message_pack(reply, begin_answer(stream, id, member, len));
	after_answer(stream);
}

/* An empty Response tells the client that we do not know the command. */
static void
answer_nothing(BatchStream *stream, uint64_t id)
{
	uint8_t *p = outbuf_reserve(&stream->out, 2);

	add_id(stream, id);
	p[0] = (uint8_t) wire_key(FIELD_RESPONSES, WIRE_BYTES);
	p[1] = 0;
	after_answer(stream);
}

/* Where busy cannot be said, clients take an empty Response for an error. */
static void
answer_busy(BatchStream *stream, uint64_t id, const ServiceMethod *method,
			const char *reason)
{
	Bytes response = submit_busy_response(reason);

	stream->call->server->counters.refused++;
	if (!service_has_region_error(method))
	{
		answer_nothing(stream, id);
		return;
	}
	memcpy(begin_answer(stream, id, method->id, response.len), response.data,
		   response.len);
	after_answer(stream);
}

/* ---- commands in flight ---- */

static void
one_less(BatchStream *stream)
{
	stream->inflight--;
	if (stream->half_closed && !stream->over)
		mark_dirty(stream);
	free_if_unused(stream);
}

static void
end_command(Command *command)
{
	BatchStream *stream = command->stream;

	request_memory_release(command->memory);
	one_less(stream);
}

static void
command_done(Request *request, const ProtobufCMessage *reply)
{
	Command *command = request->owner;
	BatchStream *stream = command->stream;

	submit_observe(request, reply, RPC_OK);
	if (!stream->over)
		answer(stream, command->id, request->method->id, reply);
	end_command(command);
}

static void
command_done_packed(Request *request, Bytes reply)
{
	Command *command = request->owner;
	BatchStream *stream = command->stream;

	submit_observe(request, NULL, RPC_OK);
	if (!stream->over && make_room(stream, reply.len))
	{
		memcpy(begin_answer(stream, command->id, request->method->id,
							reply.len),
			   reply.data, reply.len);
		after_answer(stream);
	}
	end_command(command);
}

/*
 * What the protocol of a command cannot express: a write of a transaction whose
 * outcome is unknown is the usual case.  TiKV never answers such a command
 * (tikv/tikv src/server/service/kv.rs, response_batch_commands_request), for
 * which its client waits until its time is up.  By an empty Response client-go
 * knows at once that the call has failed, which it takes for a failed call of
 * its own: it sends it again as a retry, or says "undetermined" of a commit
 * (FromBatchCommandsResponse in tikvrpc/tikvrpc.go).  The others of the stream
 * have nothing to do with it.  As in TiKV only who is wrong here altogether
 * loses the stream: by its cluster id, or by bytes that are no command.
 */
static bool
fails_alone(int code)
{
	return code != RPC_INVALID_ARGUMENT;
}

static void
command_fail(Request *request, int code, const char *text)
{
	Command *command = request->owner;
	BatchStream *stream = command->stream;

	submit_observe(request, NULL, code);
	if (!stream->over && fails_alone(code))
		answer_nothing(stream, command->id);
	else
		end_stream(stream, (RpcCode) code, text);
	end_command(command);
}

static bool
command_abandoned(Request *request)
{
	Command *command = request->owner;

	return command->stream->over || call_over(command->stream->call);
}

static void
answer_empty(const EmptyCommand *empty)
{
	BatchStream *stream = empty->stream;
	Tikvpb__BatchCommandsEmptyRequest message =
		TIKVPB__BATCH_COMMANDS_EMPTY_REQUEST__INIT;
	Tikvpb__BatchCommandsEmptyResponse reply =
		TIKVPB__BATCH_COMMANDS_EMPTY_RESPONSE__INIT;
	Request request = {.method = service_method(METHOD_EMPTY),
					   .message = &message.base,
					   .received_us = empty->received_us};

	message.test_id = reply.test_id = empty->test_id;
	submit_observe(&request, &reply.base, RPC_OK);
	if (!stream->over)
		answer(stream, empty->id, METHOD_EMPTY, &reply.base);
}

static void
run_empty(BatchStream *stream, uint64_t id, Bytes body, int64_t now_us)
{
	EmptyCommand empty = {.stream = stream, .id = id, .received_us = now_us};

	if (!empty_parse(body, &empty))
		end_stream(stream, RPC_INVALID_ARGUMENT, "malformed command");
	else if (empty.delay_ms > 0 && stream->inflight < submit_max_inflight() &&
			 !unsent_refuses(stream->call) &&
			 empty_wait(&empty, stream->call->source))
		stream->inflight++;
	else
		answer_empty(&empty);
}

static Command *
new_command(BatchStream *stream, const ServiceMethod *method, uint64_t id,
			RequestMemory *memory)
{
	Command *command = arena_zalloc(&memory->arena, sizeof(*command));

	memory->refs++;
	stream->inflight++;
	command->stream = stream;
	command->memory = memory;
	command->id = id;
	command->request.method = method;
	command->request.arena = &memory->arena;
	command->request.deadline_us = INT64_MAX;
	command->request.source = stream->call->source->id;
	command->request.done = command_done;
	command->request.done_packed = command_done_packed;
	command->request.fail = command_fail;
	command->request.abandoned = command_abandoned;
	command->request.owner = command;
	return command;
}

static void
run_command(BatchStream *stream, uint64_t id, Bytes bytes,
			RequestMemory *memory, int64_t now_us)
{
	const ServiceMethod *method;
	Command *command;
	const char *refusal;
	Bytes body;

	if (!envelope_parse_command(bytes, &method, &body))
	{
		end_stream(stream, RPC_INVALID_ARGUMENT, "malformed command");
		return;
	}
	if (method == NULL)
	{
		answer_nothing(stream, id);
		return;
	}
	if (method->id == METHOD_EMPTY)
	{
		run_empty(stream, id, body, now_us);
		return;
	}
	if (stream->inflight >= submit_max_inflight())
	{
		answer_busy(stream, id, method, "too many commands in flight");
		return;
	}
	refusal = call_refusal(stream->call);
	if (refusal != NULL)
	{
		answer_busy(stream, id, method, refusal);
		return;
	}
	command = new_command(stream, method, id, memory);
	command->request.received_us = now_us;
	command->request.message =
		service_unpack(method->request, body, &memory->arena);
	if (command->request.message == NULL)
	{
		command_fail(&command->request, RPC_INVALID_ARGUMENT,
					 "malformed command");
		return;
	}
	if (method->id == METHOD_GET_HEALTH_FEEDBACK)
		stream->want_feedback = true;
	submit_request(&command->request);
}

/* ---- messages of the client ---- */

static void
batch_message(Call *call, Bytes message)
{
	BatchStream *stream = stream_of(call);
	int64_t now_us = server_now_us();
	RequestMemory *memory;

	if (!envelope_parse(&envelope, message))
	{
		end_stream(stream, RPC_INVALID_ARGUMENT,
				   "malformed BatchCommandsRequest");
		return;
	}
	memory = request_memory_get(call->source);
	for (size_t i = 0; i < envelope.n_commands && !stream->over; i++)
	{
		if (memory->arena.allocated > SHARED_MEMORY_MAX)
		{
			request_memory_release(memory);
			memory = request_memory_get(call->source);
		}
		run_command(stream, envelope.ids[i], envelope.commands[i], memory,
					now_us);
	}
	request_memory_release(memory);
}

/* ---- sending ---- */

static void
pack_ids(BatchStream *stream)
{
	size_t len = 0;
	uint8_t *p;

	for (size_t i = 0; i < stream->n_ids; i++)
		len += wire_varint_len(stream->ids[i]);
	p = outbuf_reserve(&stream->out, 1 + wire_varint_len(len) + len);
	*p++ = (uint8_t) wire_key(FIELD_IDS, WIRE_BYTES);
	p = wire_write_varint(p, len);
	for (size_t i = 0; i < stream->n_ids; i++)
		p = wire_write_varint(p, stream->ids[i]);
	stream->n_ids = 0;
}

static void
pack_feedback(BatchStream *stream, int64_t now_us)
{
	Kvrpcpb__HealthFeedback feedback;
	size_t len;
	uint8_t *p;

	if (!stream->want_feedback && stream->feedback_at_us != 0 &&
		now_us - stream->feedback_at_us < FEEDBACK_EVERY_US)
		return;
	stream->want_feedback = false;
	stream->feedback_at_us = now_us;
	submit_feedback(&feedback);
	len = kvrpcpb__health_feedback__get_packed_size(&feedback);
	p = outbuf_reserve(&stream->out, 1 + wire_varint_len(len) + len);
	*p++ = (uint8_t) wire_key(FIELD_FEEDBACK, WIRE_BYTES);
	kvrpcpb__health_feedback__pack(&feedback, wire_write_varint(p, len));
}

/* Send what has gathered as one message. */
static void
flush_stream(BatchStream *stream, int64_t now_us)
{
	pack_ids(stream);
	pack_feedback(stream, now_us);
	count_gathered(stream, 0); /* from here on the call counts it */
	if (!call_send_outbuf(stream->call, &stream->out))
		end_stream(stream, RPC_RESOURCE_EXHAUSTED,
				   "the client does not read its answers");
}

/*
 * Do what is due for a stream; it leaves the list unless something remains
 * that a later round must see to.
 */
static void
tend_stream(BatchStream *stream, int64_t now_us)
{
	if (stream->n_ids > 0 && call_send_idle(stream->call))
		flush_stream(stream, now_us);
	if (stream->over || stream->n_ids > 0)
		return;
	if (stream->paused)
	{
		if (call_send_queued(stream->call) >= PAUSE_BYTES)
			return;
		stream->paused = false;
		call_pause(stream->call, false);
	}
	link_remove(&stream->link);
	if (stream->half_closed && stream->inflight == 0)
	{
		stream->over = true;
		call_finish(stream->call, RPC_OK, NULL);
	}
}

static void
answer_due(int64_t now_us)
{
	EmptyCommand empty;

	while (empty_take(now_us, &empty))
	{
		answer_empty(&empty);
		one_less(empty.stream);
	}
}

/* No server sleeps past the next moment at which an Empty is due. */
static void
wake_for_delays(void)
{
	if (empty_next_us() == INT64_MAX)
		return;
	for (Link *l = open_streams.next; l != &open_streams; l = l->next)
	{
		BatchStream *stream =
			(BatchStream *) ((char *) l - offsetof(BatchStream, open_link));

		server_wake_at(call_server(stream->call), empty_next_us());
	}
}

void
batch_flush(void)
{
	int64_t now_us;

	if (link_empty(&dirty) && empty_next_us() == INT64_MAX)
		return;
	now_us = server_now_us();
	answer_due(now_us);
	for (Link *l = dirty.next, *next; l != &dirty; l = next)
	{
		next = l->next;
		tend_stream((BatchStream *) l, now_us);
	}
	wake_for_delays();
}

/* ---- the handler ---- */

static void
batch_half_close(Call *call)
{
	BatchStream *stream = stream_of(call);

	stream->half_closed = true;
	mark_dirty(stream);
}

static void
batch_closed(Call *call)
{
	BatchStream *stream = call_user(call);

	if (stream == NULL)
		return;
	call_set_user(call, NULL);
	drop_gathered(stream);
	link_remove(&stream->link);
	link_remove(&stream->open_link);
	stream->over = true;
	stream->call = NULL;
	free_if_unused(stream);
}

const CallHandler batch_handler = {
	.message = batch_message,
	.half_close = batch_half_close,
	.closed = batch_closed,
};
