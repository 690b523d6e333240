/*
 * call.c
 *	  One call: how it begins, what a handler may ask of it, how it ends.
 *
 * Here is what unary calls and streams have in common, and the whole of unary
 * calls.  A unary call usually costs two gRPC batches: the posted request,
 * which brings the message with it, and one that sends headers, message and
 * status and waits for the client's side.  Only a call that is not answered
 * soon gets a batch of its own that tells when the client goes away.
 */
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/share.h"
#include "server/inflate.h"
#include "server/internal.h"

#define POOL_MAX 1024
#define POSTED_AT_MOST 256
#define STATUS_TEXT_MAX 1024

/* ---- memory ---- */

static Call *
new_call(Server *server, ServerMethod *method)
{
	Call *call = server->pool;
	grpc_metadata_array metadata;

	if (call != NULL)
	{
		server->pool = call->todo_next;
		server->n_pool--;
		metadata = call->metadata;
		metadata.count = 0;
	}
	else
	{
		call = malloc(sizeof(*call));
		CHECK(call != NULL);
		grpc_metadata_array_init(&metadata);
	}
	memset(call, 0, sizeof(*call));
	call->metadata = metadata;
	call->server = server;
	call->method = method;
	call->refs = 1;
	call->deadline_us = INT64_MAX;
	call->send_tail = &call->send_first;
	link_init(&call->link);
	return call;
}

static void
free_call(Call *call)
{
	grpc_metadata_array_destroy(&call->metadata);
	free(call);
}

static void
recycle_call(Call *call)
{
	Server *server = call->server;

	link_remove(&call->link);
	if (server == NULL || server->n_pool >= POOL_MAX)
	{
		free_call(call);
		return;
	}
	call->todo_next = server->pool;
	server->pool = call;
	server->n_pool++;
}

void
call_drop_pool(Server *server)
{
	while (server->pool != NULL)
	{
		Call *call = server->pool;

		server->pool = call->todo_next;
		free_call(call);
	}
}

/* The server goes away; who still holds a call may use it harmlessly. */
void
call_forget_held(Server *server)
{
	while (!link_empty(&server->held))
	{
		Call *call = (Call *) server->held.next;

		link_remove(&call->link);
		call->server = NULL;
	}
}

void
call_hold(Call *call)
{
	call->refs++;
}

void
call_release(Call *call)
{
	CHECK(call->refs > 0);
	if (--call->refs == 0)
		recycle_call(call);
}

static void
drop_details(Call *call)
{
	if (call->details == NULL)
		return;
	grpc_call_details_destroy(call->details);
	free(call->details);
	call->details = NULL;
}

/* gRPC has nothing more to say about this call.  Entered. */
static void
dispose_call(Call *call)
{
	Server *server = call->server;

	call_drop_received(call);
	stream_drop_queue(call);
	drop_details(call);
	if (call->reply != NULL)
		grpc_byte_buffer_destroy(call->reply);
	unsent_sub(call, call->reply_bytes);
	call->reply_bytes = 0;
	waste_note(call);
	source_release(call->source);
	call->source = NULL;
	if (call->has_text)
		grpc_slice_unref(call->text);
	call->reply = NULL;
	call->has_text = false;
	grpc_call_unref(call->grpc);
	call->grpc = NULL;
	server->n_live--;
	link_move_to(&server->held, &call->link);
	call_release(call);
}

/* ---- operations ---- */

void *
call_tag(Call *call, OpKind kind)
{
	return (void *) ((uintptr_t) call | (uintptr_t) kind);
}

void
call_start(Call *call, const grpc_op *ops, size_t n_ops, OpKind kind)
{
	call->pending++;
	CHECK(grpc_call_start_batch(call->grpc, ops, n_ops, call_tag(call, kind),
								NULL) == GRPC_CALL_OK);
}

static void
ask_for_more(Server *server, ServerMethod *method)
{
	if (method->is_short)
		return;
	method->is_short = true;
	method->short_next = server->short_methods;
	server->short_methods = method;
}

void
call_post(Server *server, ServerMethod *method)
{
	Call *call = new_call(server, method);
	void *tag = call_tag(call, OP_NEW);
	grpc_call_error rc;

	method->posted++;
	server->n_posted++;
	if (method->registered != NULL)
		rc =
			grpc_server_request_registered_call(server->grpc,
												method->registered, &call->grpc,
												&call->grpc_deadline,
												&call->metadata,
												method->kind == RPC_UNARY ?
													&call->received :
													NULL,
												server->cq, server->cq, tag);
	else
	{
		call->details = malloc(sizeof(*call->details));
		CHECK(call->details != NULL);
		grpc_call_details_init(call->details);
		rc = grpc_server_request_call(server->grpc, &call->grpc, call->details,
									  &call->metadata, server->cq, server->cq,
									  tag);
	}
	CHECK(rc == GRPC_CALL_OK);
}

/* The bytes of a message that is not compressed, in one piece. */
static Bytes
plain_bytes(Call *call)
{
	grpc_byte_buffer_reader reader;
	grpc_slice *slice;
	grpc_byte_buffer *buffer = call->received;

	if (grpc_byte_buffer_length(buffer) == 0 ||
		!grpc_byte_buffer_reader_init(&reader, buffer))
		return bytes_empty();
	if (buffer->data.raw.slice_buffer.count == 1 &&
		grpc_byte_buffer_reader_peek(&reader, &slice))
	{
		grpc_byte_buffer_reader_destroy(&reader);
		return bytes_make(GRPC_SLICE_START_PTR(*slice),
						  GRPC_SLICE_LENGTH(*slice));
	}
	call->merged = grpc_byte_buffer_reader_readall(&reader);
	call->has_merged = true;
	grpc_byte_buffer_reader_destroy(&reader);
	return bytes_make(GRPC_SLICE_START_PTR(call->merged),
					  GRPC_SLICE_LENGTH(call->merged));
}

/* Make a compressed message long; false if the call was failed instead. */
static bool
inflate_received(Call *call)
{
	size_t max = call->server->config.max_message;

	switch (inflate_message(call->received, max, &call->merged))
	{
		case INFLATE_OK:
			call->has_merged = true;
			return true;
		case INFLATE_TOO_LARGE:
			call_fail(call, RPC_RESOURCE_EXHAUSTED,
					  "the message is larger than the limit once inflated");
			break;
		case INFLATE_BAD:
			call_fail(call, RPC_INTERNAL, "the message cannot be inflated");
			break;
	}
	return false;
}

bool
call_received_bytes(Call *call, Bytes *out)
{
	call->server->counters.received_bytes +=
		grpc_byte_buffer_length(call->received);
	if (call->received->data.raw.compression == GRPC_COMPRESS_NONE)
	{
		*out = plain_bytes(call);
		return true;
	}
	if (!inflate_received(call))
		return false;
	*out = bytes_make(GRPC_SLICE_START_PTR(call->merged),
					  GRPC_SLICE_LENGTH(call->merged));
	return true;
}

void
call_drop_received(Call *call)
{
	if (call->has_merged)
		grpc_slice_unref(call->merged);
	if (call->received != NULL)
		grpc_byte_buffer_destroy(call->received);
	call->has_merged = false;
	call->received = NULL;
}

/* ---- beginning ---- */

static int64_t
deadline_us_of(gpr_timespec t)
{
	if (gpr_time_cmp(t, gpr_inf_future(t.clock_type)) == 0)
		return INT64_MAX;
	t = gpr_convert_clock_type(t, GPR_CLOCK_MONOTONIC);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Is the path one of those that are left out by intent? */
static bool
path_is_known(Server *server, Bytes path)
{
	for (int i = 0; i < server->config.n_methods; i++)
		if (bytes_eq(bytes_cstr(server->config.methods[i].path), path))
			return true;
	return false;
}

static void
refuse_unknown(Call *call)
{
	const grpc_slice *slice = &call->details->method;
	Bytes path =
		bytes_make(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
	char text[300];

	snprintf(text, sizeof(text), "%s %.*s",
			 path_is_known(call->server, path) ? "not implemented:" :
												 "unknown method",
			 path.len > 256 ? 256 : (int) path.len, (const char *) path.data);
	call_set_status(call, RPC_UNIMPLEMENTED, text);
}

const char *
call_refusal(const Call *call)
{
	if (call->crowded)
		return "scheduler is busy: too many calls are in flight";
	if (!unsent_refuses(call))
		return NULL;
	unsent_make_room(call->server);
	return "scheduler is busy: requests and answers hold too much memory";
}

static void
begin_unary(Call *call)
{
	Bytes message;
	Server *server = call->server;
	Source *source = call->source;

	server->counters.calls++;
	if (call->received == NULL)
	{
		call->unread = true;
		call_set_status(call, RPC_INTERNAL, "the request message is missing");
		return;
	}
	call->crowded =
		!share_admits(source->n_calls, server->counters.inflight,
					  server->n_callers, (size_t) server->config.max_calls);
	if (!call->method->unbounded && !call->method->handler->refuses_itself &&
		call_refusal(call) != NULL)
	{
		server->counters.refused++;
		call_set_status(call,
						call->crowded ? RPC_UNAVAILABLE :
										RPC_RESOURCE_EXHAUSTED,
						"server is busy");
		return;
	}
	server->counters.inflight++;
	server->n_callers += source->n_calls++ == 0;
	call->counted = true;
	call->delivered = true;
	link_move_to(&server->fresh, &call->link);
	if (call_received_bytes(call, &message))
		call->method->handler->message(call, message);
}

static Source *
source_of(Call *call)
{
	char *peer = grpc_call_get_peer(call->grpc);
	Source *source = source_get(peer == NULL ? "" : peer);

	gpr_free(peer);
	return source;
}

static void
begin(Call *call)
{
	Server *server = call->server;
	char text[STATUS_TEXT_MAX];

	call->source = source_of(call);
	call->life = call->source->life;
	server->n_live++;
	link_move_to(&server->live, &call->link);
	call->received_us = server_now_us();
	call->deadline_us =
		deadline_us_of(call->details != NULL ? call->details->deadline :
											   call->grpc_deadline);
	if (server->stopping)
		call_set_status(call, RPC_UNAVAILABLE, "server is stopping");
	else if (server->config.tls != NULL &&
			 !tls_grpc_admits(call, text, sizeof(text)))
		call_set_status(call, RPC_UNAUTHENTICATED, text);
	else if (call->details != NULL)
		refuse_unknown(call);
	else if (call->method->kind == RPC_STREAM)
		stream_begin(call);
	else
		begin_unary(call);
}

/*
 * A method that runs out of posted requests between two polls is a hot one:
 * it gets more, so that gRPC need not queue its calls.
 */
static void
new_event(Call *call, bool success)
{
	Server *server = call->server;
	ServerMethod *method = call->method;

	server->n_posted--;
	if (--method->posted == 0 && method->target < POSTED_AT_MOST)
		method->target *= 2;
	ask_for_more(server, method);
	if (success)
	{
		begin(call);
		return;
	}
	drop_details(call);
	call_release(call);
}

/* ---- ending ---- */

bool
call_is_done(const Call *call)
{
	return call->server == NULL || call->gone || call->answered;
}

static void
stop_counting(Call *call)
{
	Server *server = call->server;

	if (!call->counted)
		return;
	call->counted = false;
	server->counters.inflight--;
	server->n_callers -= --call->source->n_calls == 0;
}

void
call_set_status(Call *call, RpcCode code, const char *text)
{
	call->answered = true;
	call->code = code;
	if (text != NULL && text[0] != '\0')
	{
		call->text =
			grpc_slice_from_copied_buffer(text, strnlen(text, STATUS_TEXT_MAX));
		call->has_text = true;
	}
	stop_counting(call);
	if (call->method->kind == RPC_UNARY)
		link_move_to(&call->server->live, &call->link);
	pump_todo(call);
}

static void
tell_closed(Call *call)
{
	const CallHandler *handler = call->method->handler;

	if (call->told)
		return;
	call->told = true;
	stop_counting(call);
	if (!call->delivered)
		return;
	if (call->method->kind == RPC_STREAM)
		stream_end(call);
	if (handler->closed != NULL)
		handler->closed(call);
}

void
call_event(Call *call, OpKind kind, bool success)
{
	if (kind == OP_NEW)
	{
		new_event(call, success);
		return;
	}
	call->pending--;
	if (kind == OP_CLOSE)
		call->gone = true;
	else if (kind == OP_STATUS)
	{
		call->status_done = true;
		call->server->n_replying--;
	}
	else
		stream_event(call, kind, success);
	if (!call->gone && !call->status_done)
		return;
	tell_closed(call);
	if (call->pending == 0)
		pump_todo(call);
}

/* ---- advancing: the only place that starts operations of a call ---- */

grpc_op
call_status_op(Call *call)
{
	grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

	op.data.send_status_from_server.status = (grpc_status_code) call->code;
	op.data.send_status_from_server.status_details =
		call->has_text ? &call->text : NULL;
	call->status_started = true;
	call->server->n_replying++;
	return op;
}

grpc_op
call_close_op(Call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

	op.data.recv_close_on_server.cancelled = &call->cancelled;
	call->close_started = true;
	return op;
}

static void
answer_unary(Call *call)
{
	grpc_op ops[4];
	size_t n = 0;

	ops[n++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
	if (call->reply != NULL)
	{
		ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
		ops[n++].data.send_message.send_message = call->reply;
	}
	call->sending_us = server_now_us();
	ops[n++] = call_status_op(call);
	if (!call->close_started)
		ops[n++] = call_close_op(call);
	call_start(call, ops, n, OP_STATUS);
}

static void
advance_unary(Call *call)
{
	if (call->answered && !call->status_started)
		answer_unary(call);
	else if (call->watch && !call->answered && !call->close_started)
	{
		grpc_op op = call_close_op(call);

		call_start(call, &op, 1, OP_CLOSE);
	}
}

void
call_advance(Call *call)
{
	if (call->gone || call->status_done)
	{
		if (call->pending == 0)
			dispose_call(call);
	}
	else if (call->method->kind == RPC_STREAM)
		stream_advance(call);
	else
		advance_unary(call);
}

/* ---- what handlers use ---- */

Server *
call_server(Call *call)
{
	return call->server;
}

int
call_method(Call *call)
{
	return call->method->id;
}

uint64_t
call_source(const Call *call)
{
	return call->source == NULL ? 0 : call->source->id;
}

void
call_set_user(Call *call, void *user)
{
	call->user = user;
}

void *
call_user(Call *call)
{
	return call->user;
}

bool
call_over(Call *call)
{
	return call->server == NULL || call->gone || call->told ||
		(call->deadline_us != INT64_MAX &&
		 call->deadline_us <= server_now_us());
}

int64_t
call_deadline_left_us(Call *call)
{
	int64_t left;

	if (call->deadline_us == INT64_MAX)
		return INT64_MAX;
	left = call->deadline_us - server_now_us();
	return left > 0 ? left : 0;
}

Bytes
call_metadata(Call *call, const char *key)
{
	if (call->grpc == NULL)
		return bytes_empty();
	for (size_t i = 0; i < call->metadata.count; i++)
	{
		const grpc_metadata *m = &call->metadata.metadata[i];

		if (grpc_slice_str_cmp(m->key, key) == 0)
			return bytes_make(GRPC_SLICE_START_PTR(m->value),
							  GRPC_SLICE_LENGTH(m->value));
	}
	return bytes_empty();
}

void
call_reply(Call *call, size_t len, void (*pack)(void *arg, uint8_t *out),
		   void *arg)
{
	grpc_slice slice;

	if (call_is_done(call) || call->method->kind != RPC_UNARY)
		return;
	if (len > call->server->config.max_reply)
	{
		char text[128];

		unsent_too_large(text, sizeof(text), len,
						 call->server->config.max_reply);
		call_fail(call, RPC_RESOURCE_EXHAUSTED, text);
		return;
	}
	slice = grpc_slice_malloc(len);
	pack(arg, GRPC_SLICE_START_PTR(slice));
	call->reply = grpc_raw_byte_buffer_create(&slice, 1);
	call->reply_bytes = len;
	call->server->counters.sent_bytes += len;
	unsent_add(call, len);
	grpc_slice_unref(slice);
	call_set_status(call, RPC_OK, NULL);
}

static void
pack_bytes(void *arg, uint8_t *out)
{
	const Bytes *b = arg;

	if (b->len > 0)
		memcpy(out, b->data, b->len);
}

void
call_reply_bytes(Call *call, Bytes message)
{
	call_reply(call, message.len, pack_bytes, &message);
}

bool
call_send_bytes(Call *call, Bytes message)
{
	return call_send(call, message.len, pack_bytes, &message);
}

void
call_fail(Call *call, RpcCode code, const char *text)
{
	if (call_is_done(call))
		return;
	stream_drop_queue(call);
	call_set_status(call, code, text);
}
