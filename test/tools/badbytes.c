/*
 * badbytes.c
 *	  Send well-formed gRPC calls with bad messages to a server.
 *
 * usage: badbytes --target host:port --seed N --calls N METHOD...
 *
 * METHOD is a path such as /tikvpb.Tikv/RawPut, unary or stream.  Every call
 * carries one message: pure noise, fields of a protobuf with random tags and
 * lengths, or such fields nested deeply.  Any status is a good answer as long
 * as there is one: a call that nobody answers, or a server that is gone
 * afterwards, is the failure.  Prints how often each status came.
 */
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALL_TIMEOUT_S 20
#define MESSAGE_MAX 4096
#define MAX_DEPTH 200
#define N_STATUS 17

static uint64_t random_state;

/* xorshift64: the same seed sends the same bytes everywhere. */
static uint32_t
random_u32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 16);
}

static size_t
put_varint(uint8_t *out, uint64_t value)
{
	size_t n = 0;

	while (value >= 0x80)
	{
		out[n++] = (uint8_t) (value | 0x80);
		value >>= 7;
	}
	out[n++] = (uint8_t) value;
	return n;
}

static size_t
make_noise(uint8_t *out)
{
	size_t len = random_u32() % 300;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t) random_u32();
	return len;
}

/* Lengths that are right, a little wrong, and absurd. */
static uint64_t
random_length(void)
{
	switch (random_u32() % 4)
	{
		case 0:
			return random_u32() % 16;
		case 1:
			return random_u32() % 300;
		case 2:
			return random_u32();
		default:
			return UINT64_MAX - random_u32() % 4;
	}
}

static size_t
make_fields(uint8_t *out)
{
	size_t len = 0;
	uint32_t n = random_u32() % 30;

	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t wire_type = random_u32() % 6;

		len += put_varint(out + len, (random_u32() % 45) << 3 | wire_type);
		if (wire_type == 2)
			len += put_varint(out + len, random_length());
		else
			len += put_varint(out + len,
							  (uint64_t) random_u32() << 32 | random_u32());
	}
	return len;
}

/* Messages within messages, built from the innermost outwards. */
static size_t
make_nested(uint8_t *out)
{
	uint8_t inner[MESSAGE_MAX];
	uint32_t field = 1 + random_u32() % 5;
	int depth = 1 + (int) (random_u32() % MAX_DEPTH);
	size_t len = make_noise(out);

	for (int i = 0; i < depth && len < MESSAGE_MAX - 16; i++)
	{
		size_t head;

		memcpy(inner, out, len);
		head = put_varint(out, field << 3 | 2);
		head += put_varint(out + head, len);
		memcpy(out + head, inner, len);
		len += head;
	}
	return len;
}

static size_t
make_message(uint8_t *out)
{
	switch (random_u32() % 3)
	{
		case 0:
			return make_noise(out);
		case 1:
			return make_fields(out);
		default:
			return make_nested(out);
	}
}

/* Send one message, half-close, take everything until the status. */
static grpc_status_code
call_once(grpc_channel *channel, grpc_completion_queue *queue,
		  const char *method)
{
	gpr_timespec deadline =
		gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					 gpr_time_from_seconds(CALL_TIMEOUT_S, GPR_TIMESPAN));
	grpc_call *call =
		grpc_channel_create_call(channel, NULL, 0, queue,
								 grpc_slice_from_static_string(method), NULL,
								 deadline, NULL);
	uint8_t bytes[MESSAGE_MAX];
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *) bytes,
													 make_message(bytes));
	grpc_byte_buffer *sent = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_byte_buffer *received = NULL;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code status = GRPC_STATUS_UNKNOWN;
	grpc_slice details;
	grpc_op ops[6];

	grpc_slice_unref(slice);
	grpc_metadata_array_init(&initial);
	grpc_metadata_array_init(&trailing);
	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = sent;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &received;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
	ops[5].data.recv_status_on_client.status = &status;
	ops[5].data.recv_status_on_client.status_details = &details;
	grpc_call_start_batch(call, ops, 5, (void *) 1, NULL);
	grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);

	/* A server stream such as Watch may go on for ever: cancel it. */
	if (received != NULL)
	{
		grpc_byte_buffer_destroy(received);
		grpc_call_cancel(call, NULL);
	}
	grpc_call_start_batch(call, ops + 5, 1, (void *) 2, NULL);
	grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);

	grpc_byte_buffer_destroy(sent);
	grpc_metadata_array_destroy(&initial);
	grpc_metadata_array_destroy(&trailing);
	grpc_slice_unref(details);
	grpc_call_unref(call);
	return status;
}

static int
usage(void)
{
	fputs("usage: badbytes --target host:port --seed N --calls N METHOD...\n",
		  stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	grpc_channel_credentials *credentials;
	grpc_completion_queue *queue;
	grpc_channel *channel;
	long counts[N_STATUS] = {0};
	long n_calls;

	if (argc < 8 || strcmp(argv[1], "--target") != 0 ||
		strcmp(argv[3], "--seed") != 0 || strcmp(argv[5], "--calls") != 0)
		return usage();
	random_state = strtoull(argv[4], NULL, 10) * 2654435761u + 1;
	n_calls = strtol(argv[6], NULL, 10);

	grpc_init();
	queue = grpc_completion_queue_create_for_next(NULL);
	credentials = grpc_insecure_credentials_create();
	channel = grpc_channel_create(argv[2], credentials, NULL);
	for (long i = 0; i < n_calls; i++)
	{
		grpc_status_code status =
			call_once(channel, queue, argv[7 + i % (argc - 7)]);

		counts[status < N_STATUS ? status : GRPC_STATUS_UNKNOWN]++;
	}
	for (int i = 0; i < N_STATUS; i++)
		if (counts[i] > 0)
			printf("status %2d: %ld\n", i, counts[i]);
	fflush(stdout);

	/* UNAVAILABLE: the server went away; DEADLINE_EXCEEDED: it hangs. */
	_exit(counts[GRPC_STATUS_UNAVAILABLE] > 0 ||
		  counts[GRPC_STATUS_DEADLINE_EXCEEDED] > 0);
}
