/*
 * rpc_client.h
 *	  A blocking gRPC client on the C core, for tests.
 *
 * Every function waits until its operation is done.  Messages received are
 * malloc'd copies that the caller frees.
 */
#ifndef TIKV_TEST_RPC_CLIENT_H
#define TIKV_TEST_RPC_CLIENT_H

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"

typedef struct RpcClient
{
	grpc_channel *channel;
	grpc_completion_queue *cq;
} RpcClient;

typedef struct RpcStream
{
	RpcClient *client;
	grpc_call *call;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
	bool has_headers;
	char status_text[512];
} RpcStream;

typedef struct RpcMessage
{
	bool present;
	uint8_t *data;
	size_t len;
} RpcMessage;

/* Takes the credentials over. */
static inline RpcClient
rpc_connect_as(int port, const grpc_channel_args *args,
			   grpc_channel_credentials *creds)
{
	RpcClient client;
	char target[64];

	snprintf(target, sizeof(target), "127.0.0.1:%d", port);
	client.channel = grpc_channel_create(target, creds, args);
	client.cq = grpc_completion_queue_create_for_pluck(NULL);
	grpc_channel_credentials_release(creds);
	return client;
}

static inline RpcClient
rpc_connect(int port, const grpc_channel_args *args)
{
	return rpc_connect_as(port, args, grpc_insecure_credentials_create());
}

/* Over a connection that no other client of this process shares. */
static inline RpcClient
rpc_connect_alone(int port)
{
	grpc_arg alone = {.type = GRPC_ARG_INTEGER,
					  .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
					  .value.integer = 1};
	grpc_channel_args args = {1, &alone};

	return rpc_connect(port, &args);
}

static inline void
rpc_disconnect(RpcClient *client)
{
	grpc_channel_destroy(client->channel);
	grpc_completion_queue_shutdown(client->cq);
	grpc_completion_queue_destroy(client->cq);
}

static inline gpr_timespec
rpc_after_ms(int ms)
{
	if (ms < 0)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
						gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* Run a batch to its end; false if it failed. */
static inline bool
rpc_batch(RpcStream *s, grpc_op *ops, size_t n)
{
	grpc_event event;

	if (grpc_call_start_batch(s->call, ops, n, ops, NULL) != GRPC_CALL_OK)
		abort();
	event =
		grpc_completion_queue_pluck(s->client->cq, ops, rpc_after_ms(-1), NULL);
	return event.success != 0;
}

static inline grpc_byte_buffer *
rpc_buffer(Bytes message)
{
	grpc_slice slice =
		grpc_slice_from_copied_buffer((const char *) message.data, message.len);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	return buffer;
}

static inline RpcMessage
rpc_message(grpc_byte_buffer *buffer)
{
	RpcMessage m = {false, NULL, 0};
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	if (buffer == NULL)
		return m;
	grpc_byte_buffer_reader_init(&reader, buffer);
	slice = grpc_byte_buffer_reader_readall(&reader);
	m.present = true;
	m.len = GRPC_SLICE_LENGTH(slice);
	m.data = malloc(m.len + 1);
	memcpy(m.data, GRPC_SLICE_START_PTR(slice), m.len);
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(buffer);
	return m;
}

/* Start a call: headers go out.  `metadata` may be NULL. */
static inline RpcStream
rpc_open(RpcClient *client, const char *path, int timeout_ms,
		 grpc_metadata *metadata, size_t n_metadata)
{
	RpcStream s = {.client = client};
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
	grpc_slice method = grpc_slice_from_copied_string(path);

	s.call =
		grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
								 client->cq, method, NULL,
								 rpc_after_ms(timeout_ms), NULL);
	grpc_slice_unref(method);
	grpc_metadata_array_init(&s.initial);
	grpc_metadata_array_init(&s.trailing);
	op.data.send_initial_metadata.count = n_metadata;
	op.data.send_initial_metadata.metadata = metadata;
	rpc_batch(&s, &op, 1);
	return s;
}

static inline bool
rpc_send(RpcStream *s, Bytes message)
{
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	grpc_byte_buffer *buffer = rpc_buffer(message);
	bool ok;

	op.data.send_message.send_message = buffer;
	ok = rpc_batch(s, &op, 1);
	grpc_byte_buffer_destroy(buffer);
	return ok;
}

static inline bool
rpc_half_close(RpcStream *s)
{
	grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

	return rpc_batch(s, &op, 1);
}

/* Wait for the response headers. */
static inline bool
rpc_headers(RpcStream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};

	s->has_headers = true;
	op.data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	return rpc_batch(s, &op, 1);
}

/* The next message; present is false at the end of the stream. */
static inline RpcMessage
rpc_recv(RpcStream *s)
{
	grpc_byte_buffer *buffer = NULL;
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	if (!s->has_headers)
		rpc_headers(s);
	op.data.recv_message.recv_message = &buffer;
	rpc_batch(s, &op, 1);
	return rpc_message(buffer);
}

/* Wait for the end; returns the status code, its text is in status_text. */
static inline int
rpc_status(RpcStream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

	if (!s->has_headers)
		rpc_headers(s);
	op.data.recv_status_on_client.trailing_metadata = &s->trailing;
	op.data.recv_status_on_client.status = &s->code;
	op.data.recv_status_on_client.status_details = &s->text;
	rpc_batch(s, &op, 1);
	snprintf(s->status_text, sizeof(s->status_text), "%.*s",
			 (int) GRPC_SLICE_LENGTH(s->text),
			 (char *) GRPC_SLICE_START_PTR(s->text));
	grpc_slice_unref(s->text);
	return (int) s->code;
}

static inline void
rpc_close(RpcStream *s)
{
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_call_unref(s->call);
}

/* Give it up. */
static inline void
rpc_cancel(RpcStream *s)
{
	grpc_call_cancel(s->call, NULL);
	rpc_status(s);
	rpc_close(s);
}

/* A whole unary call; *reply may be NULL. */
static inline int
rpc_unary(RpcClient *client, const char *path, Bytes request, int timeout_ms,
		  RpcMessage *reply, char *text, size_t textlen)
{
	RpcStream s = rpc_open(client, path, timeout_ms, NULL, 0);
	RpcMessage m;
	int code;

	rpc_send(&s, request);
	rpc_half_close(&s);
	rpc_headers(&s);
	m = rpc_recv(&s);
	code = rpc_status(&s);
	if (text != NULL)
		snprintf(text, textlen, "%s", s.status_text);
	if (reply != NULL)
		*reply = m;
	else
		free(m.data);
	rpc_close(&s);
	return code;
}

#endif /* TIKV_TEST_RPC_CLIENT_H */
