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
#include "load/measure.h"
#include "test/tools/tikv_client.h"

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
	s->request = pack(&message.base);
	s->reply = NULL;
	s->sent_us = now_us();
	ops[0].data.send_message.send_message = s->request;
	ops[1].data.recv_message.recv_message = &s->reply;
	start_ops(s->call, ops, 2, s);
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
	slice = slice_of(s->reply);
	answer = pdpb__tso_response__unpack(NULL, GRPC_SLICE_LENGTH(slice),
										GRPC_SLICE_START_PTR(slice));
	if (answer == NULL || answer->timestamp == NULL ||
		answer->count != (uint32_t) count)
		count_error("an answer without timestamps");
	else
		newest = timestamp_of(answer->timestamp);
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
	grpc_channel_credentials *creds = make_credentials();
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};

	s->channel = grpc_channel_create(pd, creds, &args);
	grpc_channel_credentials_release(creds);
	s->call = create_call(s->channel, cq, "/pdpb.PD/Tso",
						  gpr_inf_future(GPR_CLOCK_MONOTONIC));
	start_ops(s->call, &op, 1, NULL);
	next_event(cq);
	grpc_metadata_array_init(&s->initial);
	op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
	op.data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	start_ops(s->call, &op, 1, NULL);
	next_event(cq);
}

static void
run(TsoStream *streams, uint64_t id, int64_t until)
{
	long active = n_streams;

	for (long i = 0; i < n_streams; i++)
		ask(&streams[i], id);
	while (active > 0)
	{
		TsoStream *s = next_event(cq).tag;
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
	Client client;
	int64_t begin;

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !set_option(argv[i], argv[i + 1]))
		{
			fprintf(stderr, "tso_load: bad option %s\n", argv[i]);
			return 2;
		}
	grpc_init();
	cq = grpc_completion_queue_create_for_next(NULL);
	client = (Client){.queue = cq, .pd = open_channel(pd)};
	fetch_cluster_id(&client);
	streams = calloc((size_t) n_streams, sizeof(*streams));
	for (long i = 0; i < n_streams; i++)
		open_stream(&streams[i]);
	begin = now_us();
	keep_time(begin, begin, begin + seconds * 1000000);
	run(streams, client.cluster_id, begin + seconds * 1000000);
	printf("mode=tso streams=%ld count=%ld ops_per_s=%.0f p50_us=%lld "
		   "p99_us=%lld timestamps_per_s=%.0f errors=%llu\n",
		   n_streams, count, (double) done / (double) seconds,
		   (long long) percentile(0.5), (long long) percentile(0.99),
		   (double) timestamps / (double) seconds, (unsigned long long) errors);
	return errors > 0;
}
