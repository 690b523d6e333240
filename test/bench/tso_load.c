/*
 * tso_load.c
 *	  A load generator for PD's timestamps: streams that ask for a batch of
 *	  them, and for the next one when it is there, as TiKV's clients do.
 *
 * --pd HOST:PORT   PD (127.0.0.1:2379)
 * --streams N      at a time, each on a connection of its own (16)
 * --count N        timestamps per request (1)
 * --seconds N      to measure (5)
 *
 * Prints one line, as rpc_load does; its operations are requests.  Every
 * answer must lie above the stream's last one.
 */
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "load_measure.h"
#include "pdpb.pb-c.h"

#define LOGICAL_BITS 18

static const char *pd = "127.0.0.1:2379";
static long n_streams = 16;
static long count = 1;
static long seconds = 5;

static grpc_completion_queue *cq;
static uint64_t timestamps;

typedef struct TsoStream
{
	grpc_channel *channel;
	grpc_call *call;
	grpc_byte_buffer *request;
	grpc_byte_buffer *reply;
	grpc_metadata_array initial;
	int64_t sent_us;
	uint64_t last; /* newest timestamp */
	bool over;
} TsoStream;

static void
must(grpc_call_error error)
{
	if (error != GRPC_CALL_OK)
		abort();
}

static grpc_byte_buffer *
packed(const ProtobufCMessage *message)
{
	grpc_slice slice =
		grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
	grpc_byte_buffer *buffer;

	protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static grpc_slice
bytes_of(grpc_byte_buffer *buffer)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	grpc_byte_buffer_reader_init(&reader, buffer);
	slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	return slice;
}

/* A request and its answer, on an open stream. */
static void
ask(TsoStream *s, uint64_t cluster_id)
{
	Pdpb__RequestHeader header = PDPB__REQUEST_HEADER__INIT;
	Pdpb__TsoRequest message = PDPB__TSO_REQUEST__INIT;
	grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE},
					  {.op = GRPC_OP_RECV_MESSAGE}};

	header.cluster_id = cluster_id;
	message.header = &header;
	message.count = (uint32_t) count;
	s->request = packed(&message.base);
	s->reply = NULL;
	s->sent_us = now_us();
	ops[0].data.send_message.send_message = s->request;
	ops[1].data.recv_message.recv_message = &s->reply;
	must(grpc_call_start_batch(s->call, ops, 2, s, NULL));
}

static uint64_t
take(TsoStream *s)
{
	Pdpb__TsoResponse *answer;
	grpc_slice slice;
	uint64_t newest = 0;

	grpc_byte_buffer_destroy(s->request);
	if (s->reply == NULL)
	{
		count_error("the stream has ended");
		return 0;
	}
	slice = bytes_of(s->reply);
	answer = pdpb__tso_response__unpack(NULL, GRPC_SLICE_LENGTH(slice),
										GRPC_SLICE_START_PTR(slice));
	if (answer == NULL || answer->timestamp == NULL ||
		answer->count != (uint32_t) count)
		count_error("an answer without timestamps");
	else
		newest = (uint64_t) answer->timestamp->physical << LOGICAL_BITS |
			(uint64_t) answer->timestamp->logical;
	if (newest != 0 && newest < s->last + (uint64_t) count)
		count_error("a timestamp went backwards");
	if (answer != NULL)
		pdpb__tso_response__free_unpacked(answer, NULL);
	grpc_slice_unref(slice);
	grpc_byte_buffer_destroy(s->reply);
	return newest;
}

static void
open_stream(TsoStream *s)
{
	static grpc_arg own = {.type = GRPC_ARG_INTEGER,
						   .key = (char *) GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
						   .value.integer = 1};
	grpc_channel_args args = {1, &own};
	grpc_channel_credentials *creds = grpc_insecure_credentials_create();
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

	s->channel = grpc_channel_create(pd, creds, &args);
	grpc_channel_credentials_release(creds);
	s->call =
		grpc_channel_create_call(s->channel, NULL, 0, cq,
								 grpc_slice_from_static_string("/pdpb.PD/Tso"),
								 NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC),
								 NULL);
	must(grpc_call_start_batch(s->call, &op, 1, NULL, NULL));
	grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_metadata_array_init(&s->initial);
	op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
	op.data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	must(grpc_call_start_batch(s->call, &op, 1, NULL, NULL));
	grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static uint64_t
cluster_id(void)
{
	grpc_channel_credentials *creds = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create(pd, creds, NULL);
	Pdpb__GetMembersRequest message = PDPB__GET_MEMBERS_REQUEST__INIT;
	Pdpb__GetMembersResponse *answer;
	grpc_byte_buffer *reply = NULL;
	grpc_byte_buffer *request = packed(&message.base);
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
	grpc_call *call = grpc_channel_create_call(
		channel, NULL, 0, cq,
		grpc_slice_from_static_string("/pdpb.PD/GetMembers"), NULL,
		gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
					  {.op = GRPC_OP_SEND_MESSAGE},
					  {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
					  {.op = GRPC_OP_RECV_INITIAL_METADATA},
					  {.op = GRPC_OP_RECV_MESSAGE},
					  {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
	grpc_slice slice;
	uint64_t id;

	grpc_metadata_array_init(&initial);
	grpc_metadata_array_init(&trailing);
	ops[1].data.send_message.send_message = request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
	ops[4].data.recv_message.recv_message = &reply;
	ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
	ops[5].data.recv_status_on_client.status = &code;
	ops[5].data.recv_status_on_client.status_details = &text;
	must(grpc_call_start_batch(call, ops, 6, NULL, NULL));
	grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	if (code != GRPC_STATUS_OK || reply == NULL)
	{
		fprintf(stderr, "tso_load: GetMembers: status %d\n", (int) code);
		exit(1);
	}
	slice = bytes_of(reply);
	answer = pdpb__get_members_response__unpack(NULL, GRPC_SLICE_LENGTH(slice),
												GRPC_SLICE_START_PTR(slice));
	if (answer == NULL || answer->header == NULL)
		exit(1);
	id = answer->header->cluster_id;
	pdpb__get_members_response__free_unpacked(answer, NULL);
	grpc_slice_unref(slice);
	grpc_slice_unref(text);
	grpc_byte_buffer_destroy(reply);
	grpc_byte_buffer_destroy(request);
	grpc_call_unref(call);
	grpc_channel_destroy(channel);
	return id;
}

static void
run(TsoStream *streams, uint64_t id, int64_t until)
{
	long active = n_streams;

	for (long i = 0; i < n_streams; i++)
		ask(&streams[i], id);
	while (active > 0)
	{
		grpc_event event =
			grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC),
									   NULL);
		TsoStream *s = event.tag;
		int64_t now = now_us();

		s->last = take(s);
		if (s->last != 0)
		{
			count_one(now - s->sent_us);
			timestamps += (uint64_t) count;
		}
		if (s->last != 0 && now < until)
			ask(s, id);
		else
			active--;
	}
}

static bool
set_option(const char *name, const char *text)
{
	if (strcmp(name, "--pd") == 0)
		pd = text;
	else if (strcmp(name, "--streams") == 0)
		n_streams = atol(text);
	else if (strcmp(name, "--count") == 0)
		count = atol(text);
	else if (strcmp(name, "--seconds") == 0)
		seconds = atol(text);
	else
		return false;
	return true;
}

int
main(int argc, char **argv)
{
	TsoStream *streams;
	uint64_t id;
	int64_t begin;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !set_option(argv[i], argv[i + 1]))
		{
			fprintf(stderr, "tso_load: bad option %s\n", argv[i]);
			return 2;
		}
	grpc_init();
	cq = grpc_completion_queue_create_for_next(NULL);
	id = cluster_id();
	streams = calloc((size_t) n_streams, sizeof(*streams));
	for (long i = 0; i < n_streams; i++)
		open_stream(&streams[i]);
	begin = now_us();
	keep_time(begin, begin, begin + seconds * 1000000);
	run(streams, id, begin + seconds * 1000000);
	printf("mode=tso streams=%ld count=%ld ops_per_s=%.0f p50_us=%lld "
		   "p99_us=%lld timestamps_per_s=%.0f errors=%llu\n",
		   n_streams, count, (double) done / (double) seconds,
		   (long long) percentile(0.5), (long long) percentile(0.99),
		   (double) timestamps / (double) seconds, (unsigned long long) errors);
	return errors > 0;
}
