/*
 * grpc_call.h
 *	  Unary calls and their messages on the gRPC C core, for the programs of
 *	  tests and benchmarks.
 *
 * A call may go on beside others: whoever started it waits on its queue.
 */
#ifndef TIKV_TEST_GRPC_CALL_H
#define TIKV_TEST_GRPC_CALL_H

#include <errno.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

static inline void
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* A message of these bytes; takes over the slice. */
static inline grpc_byte_buffer *
buffer_of(grpc_slice slice)
{
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

	grpc_slice_unref(slice);
	return buffer;
}

/* The bytes of a message, the caller's to unref. */
static inline grpc_slice
slice_of(grpc_byte_buffer *buffer)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	if (!grpc_byte_buffer_reader_init(&reader, buffer))
		die("unreadable answer");
	slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	return slice;
}

static inline grpc_byte_buffer *
pack(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	grpc_slice slice = grpc_slice_malloc(len);

	protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
	return buffer_of(slice);
}

static inline ProtobufCMessage *
unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
	grpc_slice slice = slice_of(buffer);
	ProtobufCMessage *message =
		protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice),
								  GRPC_SLICE_START_PTR(slice));

	if (message == NULL)
		die("answer is not a %s", type->name);
	grpc_slice_unref(slice);
	return message;
}

static inline void
start_ops(grpc_call *call, const grpc_op *ops, size_t n, void *tag)
{
	if (grpc_call_start_batch(call, ops, n, tag, NULL) != GRPC_CALL_OK)
		die("a call cannot go on");
}

static inline grpc_event
next_event(grpc_completion_queue *queue)
{
	return grpc_completion_queue_next(queue,
									  gpr_inf_future(GPR_CLOCK_MONOTONIC),
									  NULL);
}

/* A call of a method by its path, yet without operations. */
static inline grpc_call *
create_call(grpc_channel *channel, grpc_completion_queue *queue,
			const char *path, gpr_timespec deadline)
{
	return grpc_channel_create_call(channel, NULL, 0, queue,
									grpc_slice_from_static_string(path), NULL,
									deadline, NULL);
}

/* All zeros at first; may be started again when it has ended. */
typedef struct UnaryCall
{
	grpc_call *call;
	grpc_byte_buffer *request;
	grpc_byte_buffer *reply; /* NULL: none came */
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code status;
	grpc_slice text; /* of the status */
} UnaryCall;

/* Takes over call and request.  The tag comes once, when the status is there. */
static inline void
unary_start(UnaryCall *u, grpc_call *call, grpc_byte_buffer *request, void *tag)
{
	grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
					  {.op = GRPC_OP_SEND_MESSAGE},
					  {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
					  {.op = GRPC_OP_RECV_INITIAL_METADATA},
					  {.op = GRPC_OP_RECV_MESSAGE},
					  {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};

	u->call = call;
	u->request = request;
	u->reply = NULL;
	u->initial.count = 0;
	u->trailing.count = 0;
	ops[1].data.send_message.send_message = request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &u->initial;
	ops[4].data.recv_message.recv_message = &u->reply;
	ops[5].data.recv_status_on_client.trailing_metadata = &u->trailing;
	ops[5].data.recv_status_on_client.status = &u->status;
	ops[5].data.recv_status_on_client.status_details = &u->text;
	start_ops(call, ops, 6, tag);
}

/* Let go of what the answered call holds, but not of room to start it again. */
static inline void
unary_end(UnaryCall *u)
{
	if (u->reply != NULL)
		grpc_byte_buffer_destroy(u->reply);
	grpc_byte_buffer_destroy(u->request);
	grpc_slice_unref(u->text);
	grpc_call_unref(u->call);
}

static inline void
unary_free(UnaryCall *u)
{
	grpc_metadata_array_destroy(&u->initial);
	grpc_metadata_array_destroy(&u->trailing);
}

#endif /* TIKV_TEST_GRPC_CALL_H */
