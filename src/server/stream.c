/*
 * stream.c
 *	  Calls with many messages: ordered sends, reads that can be paused.
 *
 * gRPC allows one send and one receive at a time, so messages queue here,
 * bounded in bytes; a handler that produces faster than its client reads is
 * told so.  Headers go out as soon as the stream opens, since some clients
 * wait for them before they send anything.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/share.h"
#include "server/internal.h"

#define MAX_STREAMS_DEFAULT 16384
#define MAX_QUEUED_BYTES ((size_t) 64 * 1024 * 1024)

/*
 * Silent streams cost little, and so a connection may have thousands; but not
 * what others need.
 */
void
stream_begin(Call *call)
{
	Server *server = call->server;
	Source *source = call->source;
	int most = server->config.max_streams;

	if (!share_admits(source->n_streams, server->counters.open_streams,
					  server->n_streamers,
					  most > 0 ? (size_t) most : MAX_STREAMS_DEFAULT))
	{
		server->counters.refused++;
		call_set_status(call, RPC_UNAVAILABLE, "too many streams");
		return;
	}
	server->n_streamers += source->n_streams++ == 0;
	server->counters.open_streams++;
	call->delivered = true;
	pump_todo(call);
}

/* One that began is over. */
void
stream_end(Call *call)
{
	Server *server = call->server;

	server->counters.open_streams--;
	server->n_streamers -= --call->source->n_streams == 0;
}

/* ---- sending ---- */

static void
free_item(Call *call, SendItem *item)
{
	call->send_bytes -= item->len;
	unsent_sub(call, item->len);
	grpc_byte_buffer_destroy(item->buffer);
	free(item);
}

static void
pop_item(Call *call)
{
	SendItem *item = call->send_first;

	call->send_first = item->next;
	if (call->send_first == NULL)
		call->send_tail = &call->send_first;
	free_item(call, item);
}

/*
 * Forget what is not being sent at this moment: gRPC still reads the first
 * item while an OP_SEND is in flight.
 */
void
stream_drop_queue(Call *call)
{
	bool keep_first = call->send_busy;

	if (call->send_first == NULL)
		return;
	if (!keep_first)
	{
		while (call->send_first != NULL)
			pop_item(call);
		return;
	}
	for (SendItem *item = call->send_first->next; item != NULL;)
	{
		SendItem *next = item->next;

		free_item(call, item);
		item = next;
	}
	call->send_first->next = NULL;
	call->send_tail = &call->send_first->next;
}

size_t
call_send_queued(const Call *call)
{
	return call->send_bytes + call->charged;
}

bool
call_can_send(const Call *call, size_t len)
{
	size_t queued = call_send_queued(call);

	if (call_is_done(call) || call->method->kind != RPC_STREAM)
		return false;
	if (len > call->server->config.max_reply)
		return false;
	return queued == 0 || queued + len <= MAX_QUEUED_BYTES;
}

static void
queue_buffer(Call *call, grpc_byte_buffer *buffer, size_t len)
{
	SendItem *item = malloc(sizeof(*item));

	CHECK(item != NULL);
	item->next = NULL;
	item->buffer = buffer;
	item->len = len;
	*call->send_tail = item;
	call->send_tail = &item->next;
	call->send_bytes += len;
	call->server->counters.sent_bytes += len;
	unsent_add(call, len);
	pump_todo(call);
}

bool
call_send(Call *call, size_t len, void (*pack)(void *arg, uint8_t *out),
		  void *arg)
{
	grpc_slice slice;

	if (!call_can_send(call, len))
		return false;
	slice = grpc_slice_malloc(len);
	pack(arg, GRPC_SLICE_START_PTR(slice));
	queue_buffer(call, grpc_raw_byte_buffer_create(&slice, 1), len);
	grpc_slice_unref(slice);
	return true;
}

bool
call_send_outbuf(Call *call, OutBuf *out)
{
	size_t len = out->len;

	if (!call_can_send(call, len))
		return false;
	queue_buffer(call, outbuf_take(out), len);
	return true;
}

bool
call_send_idle(Call *call)
{
	return !call_is_done(call) && call->send_first == NULL;
}

void
call_finish(Call *call, RpcCode code, const char *text)
{
	if (!call_is_done(call))
		call_set_status(call, code, text);
}

/* ---- receiving ---- */

void
call_pause(Call *call, bool pause)
{
	if (call->paused == pause)
		return;
	call->paused = pause;
	if (!pause && !call_is_done(call))
		pump_todo(call);
}

/*
 * The queue for more is joined before the handler runs, so that the stream
 * goes on even if the handler leaves by a longjmp.
 */
static void
received(Call *call)
{
	const CallHandler *handler = call->method->handler;
	Bytes message;

	call->receiving = false;
	call->read_end = call->received == NULL;
	if (call_is_done(call) || call->server->stopping)
		return;
	if (call->read_end)
	{
		if (handler->half_close != NULL &&
			!grpc_call_failed_before_recv_message(call->grpc))
			handler->half_close(call);
		return;
	}
	call->server->counters.messages++;
	pump_todo(call);
	if (call_received_bytes(call, &message))
		handler->message(call, message);
}

void
stream_event(Call *call, OpKind kind, bool success)
{
	if (kind == OP_RECV)
	{
		received(call);
		return;
	}
	call->sending = false;
	if (kind == OP_SEND)
	{
		call->send_busy = false;
		pop_item(call);
	}
	if (!success)
		stream_drop_queue(call);
	pump_todo(call);
}

/* ---- advancing ---- */

static void
open_stream(Call *call)
{
	grpc_op open = {.op = GRPC_OP_SEND_INITIAL_METADATA};
	grpc_op close = call_close_op(call);

	call->opened = true;
	call->sending = true;
	call_start(call, &open, 1, OP_OPEN);
	call_start(call, &close, 1, OP_CLOSE);
}

static void
refuse_stream(Call *call)
{
	grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};

	call->opened = true;
	ops[1] = call_status_op(call);
	ops[2] = call_close_op(call);
	call_start(call, ops, 3, OP_STATUS);
}

static void
receive(Call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	call_drop_received(call);
	op.data.recv_message.recv_message = &call->received;
	call->receiving = true;
	call_start(call, &op, 1, OP_RECV);
}

static void
send_first(Call *call)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	op.data.send_message.send_message = call->send_first->buffer;
	call->sending = true;
	call->send_busy = true;
	call->sending_us = server_now_us();
	call_start(call, &op, 1, OP_SEND);
}

static void
send_status(Call *call)
{
	grpc_op op = call_status_op(call);

	call_start(call, &op, 1, OP_STATUS);
}

void
stream_advance(Call *call)
{
	if (!call->opened)
	{
		if (call->answered)
		{
			refuse_stream(call);
			return;
		}
		open_stream(call);
	}
	if (!call->receiving && !call->read_end && !call->paused &&
		!call->answered && !unsent_holds_back(call))
		receive(call);
	if (call->sending || call->status_started)
		return;
	if (call->send_first != NULL)
		send_first(call);
	else if (call->answered)
		send_status(call);
}
