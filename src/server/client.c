/*
 * client.c
 *	  Calls to other nodes on the completion queue of the worker's server.
 *
 * A unary call is one batch of all six operations.  A stream has one batch
 * for each thing that happens by itself: headers in, a message in, a message
 * out, the status.  The status is told last, when everything that came
 * before it has been handed over.
 *
 * Events of a call carry the address of one of its `ops` with OP_CLIENT in
 * the low bits, so that the pump can tell them from the server's.
 */
#include <grpc/byte_buffer_reader.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "server/client.h"
#include "server/client_internal.h"

#define MAX_QUEUED_BYTES ((size_t) 64 * 1024 * 1024)
#define RESULT_TEXT_MAX 512

/* ---- channels ---- */

ClientChannel *
client_open(Server *server, const char *addr)
{
	ClientChannel *channel = calloc(1, sizeof(*channel));

	CHECK(channel != NULL);
	channel->server = server;
	channel->addr = strdup(addr);
	CHECK(channel->addr != NULL);
	channel->refs = 1;
	link_init(&channel->link);
	link_init(&channel->calls);
	link_move_to(&server->channels, &channel->link);
	return channel;
}

static void
release_channel(ClientChannel *channel)
{
	Server *server = channel->server;

	if (--channel->refs > 0)
		return;
	link_remove(&channel->link);
	if (channel->grpc != NULL)
	{
		server_enter(server);
		grpc_channel_destroy(channel->grpc);
		server_leave(server);
	}
	free(channel->addr);
	free(channel);
}

static void
cancel_all(ClientChannel *channel)
{
	for (Link *l = channel->calls.next; l != &channel->calls; l = l->next)
		client_cancel((ClientCall *) l);
}

void
client_close(ClientChannel *channel)
{
	cancel_all(channel);
	release_channel(channel);
}

const char *
client_address(const ClientChannel *channel)
{
	return channel->addr;
}

/* ---- the list of calls that want something from gRPC ---- */

static void
want(ClientCall *call)
{
	Server *server = call->channel->server;

	if (call->in_todo)
		return;
	call->in_todo = true;
	call->todo_next = NULL;
	*server->client_tail = call;
	server->client_tail = &call->todo_next;
}

/* ---- begin ---- */

static ClientCall *
new_call(ClientChannel *channel, const char *path, const ClientOptions *options)
{
	ClientCall *call = calloc(1, sizeof(*call));

	CHECK(call != NULL && channel->server != NULL);
	call->channel = channel;
	channel->refs++;
	link_init(&call->link);
	link_move_to(&channel->calls, &call->link);
	call->send_tail = &call->send_first;
	call->deadline_us = INT64_MAX;
	call->code = GRPC_STATUS_UNKNOWN;
	call->path = grpc_slice_from_copied_string(path);
	call->text = grpc_empty_slice();
	grpc_metadata_array_init(&call->initial);
	grpc_metadata_array_init(&call->trailing);
	for (int i = 0; i < CLIENT_OPS; i++)
		call->ops[i] = (ClientOp){call, (ClientOpKind) i};
	if (options != NULL && options->timeout_ms > 0)
		call->deadline_us = server_now_us() + options->timeout_ms * 1000;
	if (options != NULL && options->n_headers > 0)
	{
		call->headers =
			calloc((size_t) options->n_headers, sizeof(*call->headers));
		CHECK(call->headers != NULL);
		call->n_headers = (size_t) options->n_headers;
		for (int i = 0; i < options->n_headers; i++)
		{
			call->headers[i].key =
				grpc_slice_from_copied_string(options->headers[i].key);
			call->headers[i].value =
				grpc_slice_from_copied_string(options->headers[i].value);
		}
	}
	call->cancelled = channel->server->stopping;
	channel->server->n_client_calls++;
	want(call);
	return call;
}

static void
queue_message(ClientCall *call, grpc_slice slice)
{
	SendItem *item = malloc(sizeof(*item));

	CHECK(item != NULL);
	item->next = NULL;
	item->buffer = grpc_raw_byte_buffer_create(&slice, 1);
	item->len = GRPC_SLICE_LENGTH(slice);
	*call->send_tail = item;
	call->send_tail = &item->next;
	call->send_bytes += item->len;
	grpc_slice_unref(slice);
	want(call);
}

ClientCall *
client_call(ClientChannel *channel, const char *path, Bytes request,
			const ClientOptions *options, ClientDone done, void *arg)
{
	ClientCall *call = new_call(channel, path, options);

	call->done = done;
	call->user = arg;
	queue_message(call,
				  grpc_slice_from_copied_buffer((const char *) request.data,
												request.len));
	return call;
}

ClientCall *
client_stream(ClientChannel *channel, const char *path,
			  const ClientOptions *options, const ClientHandler *handler,
			  void *user)
{
	ClientCall *call = new_call(channel, path, options);

	call->handler = handler;
	call->user = user;
	return call;
}

/* ---- what the caller may ask ---- */

void *
client_user(const ClientCall *call)
{
	return call->user;
}

bool
client_send(ClientCall *call, size_t len, void (*pack)(void *arg, uint8_t *out),
			void *arg)
{
	grpc_slice slice;

	if (call->half_closed || call->cancelled || call->status_done ||
		(call->send_bytes > 0 && call->send_bytes + len > MAX_QUEUED_BYTES))
		return false;
	slice = grpc_slice_malloc(len);
	pack(arg, GRPC_SLICE_START_PTR(slice));
	queue_message(call, slice);
	return true;
}

static void
pack_bytes(void *arg, uint8_t *out)
{
	const Bytes *b = arg;

	if (b->len > 0)
		memcpy(out, b->data, b->len);
}

bool
client_send_bytes(ClientCall *call, Bytes message)
{
	return client_send(call, message.len, pack_bytes, &message);
}

size_t
client_send_queued(const ClientCall *call)
{
	return call->send_bytes;
}

void
client_half_close(ClientCall *call)
{
	call->half_closed = true;
	want(call);
}

void
client_pause(ClientCall *call, bool pause)
{
	call->paused = pause;
	want(call);
}

void
client_cancel(ClientCall *call)
{
	call->cancelled = true;
	want(call);
}

void
client_drop(ClientCall *call)
{
	call->dropped = true;
	client_cancel(call);
}

/* ---- operations ---- */

static void
start(ClientCall *call, const grpc_op *ops, size_t n, ClientOpKind kind)
{
	void *tag = (void *) ((uintptr_t) &call->ops[kind] | OP_CLIENT);

	call->pending++;
	CHECK(grpc_call_start_batch(call->grpc, ops, n, tag, NULL) == GRPC_CALL_OK);
}

static grpc_op
op_headers_out(ClientCall *call)
{
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

	op.data.send_initial_metadata.count = call->n_headers;
	op.data.send_initial_metadata.metadata = call->headers;
	return op;
}

static grpc_op
op_headers_in(ClientCall *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};

	op.data.recv_initial_metadata.recv_initial_metadata = &call->initial;
	return op;
}

static grpc_op
op_message_out(ClientCall *call)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	op.data.send_message.send_message = call->send_first->buffer;
	return op;
}

static grpc_op
op_message_in(ClientCall *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	op.data.recv_message.recv_message = &call->received;
	return op;
}

static grpc_op
op_status(ClientCall *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

	op.data.recv_status_on_client.trailing_metadata = &call->trailing;
	op.data.recv_status_on_client.status = &call->code;
	op.data.recv_status_on_client.status_details = &call->text;
	return op;
}

static gpr_timespec
deadline_of(const ClientCall *call)
{
	if (call->deadline_us == INT64_MAX)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return (gpr_timespec){.tv_sec = call->deadline_us / 1000000,
						  .tv_nsec =
							  (int32_t) (call->deadline_us % 1000000) * 1000,
						  .clock_type = GPR_CLOCK_MONOTONIC};
}

static void
begin_unary(ClientCall *call)
{
	grpc_op ops[] = {op_headers_out(call),
					 op_message_out(call),
					 {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
					 op_headers_in(call),
					 op_message_in(call),
					 op_status(call)};

	start(call, ops, sizeof(ops) / sizeof(ops[0]), CLIENT_STATUS);
}

static void
begin_stream(ClientCall *call)
{
	grpc_op out = op_headers_out(call);
	grpc_op in = op_headers_in(call);
	grpc_op status = op_status(call);

	call->sending = true;
	start(call, &out, 1, CLIENT_OPEN);
	start(call, &in, 1, CLIENT_HEADERS);
	start(call, &status, 1, CLIENT_STATUS);
}

static void
send_cancel(ClientCall *call)
{
	if (!call->cancelled || call->cancel_sent)
		return;
	call->cancel_sent = true;
	grpc_call_cancel(call->grpc, NULL);
}

/* One that is cancelled already must not reach the other side. */
static void
begin(ClientCall *call)
{
	Server *server = call->channel->server;

	call->grpc =
		grpc_channel_create_call(client_grpc_channel(call->channel), NULL,
								 GRPC_PROPAGATE_DEFAULTS, server->cq,
								 call->path, NULL, deadline_of(call), NULL);
	CHECK(call->grpc != NULL);
	send_cancel(call);
	if (call->handler == NULL)
		begin_unary(call);
	else
		begin_stream(call);
}

/* What a stream may do at this moment. */
static void
advance_stream(ClientCall *call)
{
	grpc_op op;

	if (!call->receiving && !call->read_end &&
		(!call->paused || call->status_done))
	{
		client_drop_received(call);
		op = op_message_in(call);
		call->receiving = true;
		start(call, &op, 1, CLIENT_RECV);
	}
	if (call->sending || call->status_done)
		return;
	if (call->send_first != NULL)
	{
		op = op_message_out(call);
		call->sending = true;
		start(call, &op, 1, CLIENT_SEND);
	}
	else if (call->half_closed && !call->close_sent)
	{
		op = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
		call->close_sent = true;
		call->sending = true;
		start(call, &op, 1, CLIENT_CLOSE);
	}
}

static bool
is_over(const ClientCall *call)
{
	return call->status_done && call->pending == 0 &&
		(call->read_end || call->handler == NULL);
}

/* Start what is due; free what is over.  Entered, never under a callback. */
static void
advance(ClientCall *call)
{
	if (call->grpc == NULL)
		begin(call);
	send_cancel(call);
	if (call->handler != NULL && !is_over(call))
		advance_stream(call);
	if (is_over(call) && (call->told || call->dropped))
		client_free_call(call);
}

void
client_start_todo(Server *server)
{
	while (server->client_todo != NULL)
	{
		ClientCall *call = server->client_todo;

		server->client_todo = call->todo_next;
		if (server->client_todo == NULL)
			server->client_tail = &server->client_todo;
		call->in_todo = false;
		advance(call);
	}
}

/* ---- events ---- */

static void
pop_sent(ClientCall *call)
{
	SendItem *item = call->send_first;

	call->send_first = item->next;
	if (call->send_first == NULL)
		call->send_tail = &call->send_first;
	call->send_bytes -= item->len;
	grpc_byte_buffer_destroy(item->buffer);
	free(item);
}

/* The bytes of a message in one piece, until client_drop_received. */
static Bytes
received_bytes(ClientCall *call)
{
	grpc_byte_buffer_reader reader;

	if (!grpc_byte_buffer_reader_init(&reader, call->received))
		return bytes_empty();
	call->merged = grpc_byte_buffer_reader_readall(&reader);
	call->has_merged = true;
	grpc_byte_buffer_reader_destroy(&reader);
	return bytes_make(GRPC_SLICE_START_PTR(call->merged),
					  GRPC_SLICE_LENGTH(call->merged));
}

/* None was asked for, and what it grows to has no bound. */
static bool
is_compressed(const ClientCall *call)
{
	return call->received->data.raw.compression != GRPC_COMPRESS_NONE;
}

static void
tell_message(ClientCall *call)
{
	call->receiving = false;
	call->read_end = call->received == NULL;
	if (call->read_end || call->dropped || call->cancelled)
		return;
	if (is_compressed(call))
		client_cancel(call);
	else
		call->handler->message(call, received_bytes(call));
}

static void
tell_sent(ClientCall *call, bool success)
{
	call->sending = false;
	pop_sent(call);
	if (success && call->send_first == NULL && !call->dropped &&
		!call->cancelled && call->handler->drained != NULL)
		call->handler->drained(call);
}

/*
 * How it ended, once nothing more can come.  The flag is set first: the
 * callback may leave by a longjmp.
 */
static void
tell_end(ClientCall *call)
{
	ClientResult result = {.code = (RpcCode) call->code};
	char text[RESULT_TEXT_MAX];
	int len = GRPC_SLICE_LENGTH(call->text) > RESULT_TEXT_MAX ?
		RESULT_TEXT_MAX :
		(int) GRPC_SLICE_LENGTH(call->text);

	if (call->told || call->dropped)
		return;
	call->told = true;
	snprintf(text, sizeof(text), "%.*s", len,
			 (const char *) GRPC_SLICE_START_PTR(call->text));
	result.text = text;
	if (call->handler != NULL)
	{
		call->handler->closed(call, &result);
		return;
	}
	if (call->received != NULL && !is_compressed(call))
	{
		result.has_reply = true;
		result.reply = received_bytes(call);
	}
	else if (result.code == RPC_OK)
	{
		result.code = RPC_INTERNAL;
		result.text = "the answer has no message that can be read";
	}
	call->done(call->user, &result);
}

void
client_event(void *tag, bool success)
{
	ClientOp *op = tag;
	ClientCall *call = op->call;

	call->pending--;
	want(call);
	switch (op->kind)
	{
		case CLIENT_OPEN:
		case CLIENT_CLOSE:
			call->sending = false;
			break;
		case CLIENT_HEADERS:
			if (success && !call->dropped && !call->cancelled &&
				call->handler->opened != NULL)
				call->handler->opened(call);
			break;
		case CLIENT_SEND:
			tell_sent(call, success);
			break;
		case CLIENT_RECV:
			tell_message(call);
			break;
		case CLIENT_STATUS:
			call->status_done = true;
			break;
	}
	if (is_over(call))
		tell_end(call);
}

/* ---- end ---- */

void
client_drop_received(ClientCall *call)
{
	if (call->has_merged)
		grpc_slice_unref(call->merged);
	if (call->received != NULL)
		grpc_byte_buffer_destroy(call->received);
	call->has_merged = false;
	call->received = NULL;
}

static void
free_headers(ClientCall *call)
{
	for (size_t i = 0; i < call->n_headers; i++)
	{
		grpc_slice_unref(call->headers[i].key);
		grpc_slice_unref(call->headers[i].value);
	}
	free(call->headers);
}

void
client_free_call(ClientCall *call)
{
	ClientChannel *channel = call->channel;

	channel->server->n_client_calls--;
	link_remove(&call->link);
	client_drop_received(call);
	while (call->send_first != NULL)
		pop_sent(call);
	free_headers(call);
	grpc_metadata_array_destroy(&call->initial);
	grpc_metadata_array_destroy(&call->trailing);
	grpc_slice_unref(call->path);
	grpc_slice_unref(call->text);
	grpc_call_unref(call->grpc);
	free(call);
	release_channel(channel);
}

void
client_cancel_all(Server *server)
{
	for (Link *l = server->channels.next; l != &server->channels; l = l->next)
		cancel_all((ClientChannel *) l);
}

/*
 * The server goes away and no call is left; whoever owns a channel may still
 * close it.
 */
void
client_forget_channels(Server *server)
{
	while (!link_empty(&server->channels))
	{
		ClientChannel *channel = (ClientChannel *) server->channels.next;

		link_remove(&channel->link);
		if (channel->grpc != NULL)
			grpc_channel_destroy(channel->grpc);
		channel->grpc = NULL;
		channel->server = NULL;
	}
}
