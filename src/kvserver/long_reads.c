/*
 * long_reads.c
 *	  Reads that take long are done by a `tikv reader`, for the worker that
 *	  got them.
 *
 * A read can be done again at any time, so whatever happens to a reader, the
 * worst is that its requests are told to come again.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "core/base/rpc_code.h"
#include "guc.h"
#include "kvserver/long_reads.h"

/* At the readers at a time, of this worker. */
#define MAX_LONG_READS 256

/* Tags of the worker's other messages do not have this bit. */
#define LONG_READ_TAG (UINT64CONST(1) << 63)

/* A shorter answer may be an error, which is counted as one. */
#define MAY_BE_ERROR_BYTES 4096

typedef struct LongRead
{
	Request *request; /* NULL: free */
	uint32 use;
} LongRead;

static LongRead long_reads[MAX_LONG_READS];
static int n_long_reads;

/* Never starts over: late answers of the worker's former life are none. */
static uint32 last_use;

bool
long_reads_possible(void)
{
	return bus_least_busy(WORKER_READER, TIKV_MAX_READERS) != WORKER_KINDS;
}

int
long_reads_count(void)
{
	return n_long_reads;
}

static int
free_place(void)
{
	for (int i = 0; i < MAX_LONG_READS; i++)
		if (long_reads[i].request == NULL)
			return i;
	return -1;
}

void
long_reads_send(WorkerKind self, Request *request)
{
	WorkerKind reader = bus_least_busy(WORKER_READER, TIKV_MAX_READERS);
	size_t len = protobuf_c_message_get_packed_size(request->message);
	int place = free_place();
	uint32 use = ++last_use & 0x7fffffff;
	uint8 *bytes;

	if (reader == WORKER_KINDS || place < 0)
	{
		service_busy(request, "scheduler is busy: too many long reads");
		return;
	}
	bytes = arena_alloc(request->arena, len);
	protobuf_c_message_pack(request->message, bytes);
	if (bus_send(self, reader, request->method->id, bytes_make(bytes, len),
				 LONG_READ_TAG | (uint64) use << 32 | (uint32) place) != BUS_OK)
	{
		service_busy(request, "scheduler is busy: too many long reads");
		return;
	}
	long_reads[place].request = request;
	long_reads[place].use = use;
	n_long_reads++;
	metrics_add(VALUE_LONG_READS, 1);
}

static Request *
take_request(uint64 tag)
{
	uint32 place = (uint32) tag;
	uint32 use = (uint32) (tag >> 32) & 0x7fffffff;
	Request *request;

	if (place >= MAX_LONG_READS || long_reads[place].use != use)
		return NULL;
	request = long_reads[place].request;
	if (request != NULL)
		n_long_reads--;
	long_reads[place].request = NULL;
	return request;
}

static void
answer_ok(Request *request, Bytes bytes)
{
	ProtobufCMessage *message;

	if (bytes.len > MAY_BE_ERROR_BYTES)
	{
		request->done_packed(request, bytes);
		return;
	}
	message = service_unpack(request->method->response, bytes, request->arena);
	if (message != NULL)
		request->done(request, message);
	else
		request->fail(request, RPC_INTERNAL,
					  "the reader's answer is not readable");
}

/*
 * An answer that is too large for the bus is the one case in which the worker
 * reads it all itself; when the reader has gone, others may be there.
 */
static void
take_answer(Dispatch *dispatch, Request *request, const BusReply *reply)
{
	if (reply->code == BUS_OK)
		answer_ok(request, reply->bytes);
	else if (reply->code == BUS_ERROR &&
			 reply->grpc_code == RPC_RESOURCE_EXHAUSTED)
	{
		request->stays = true;
		dispatch_submit(dispatch, request);
	}
	else if (reply->code == BUS_ERROR)
		request->fail(request, reply->grpc_code,
					  arena_printf(request->arena, "%.*s",
								   (int) reply->bytes.len,
								   (const char *) reply->bytes.data));
	else
		service_busy(request, "the reader went away");
}

bool
long_reads_take(Dispatch *dispatch, const BusAnswer *answer)
{
	Request *request;

	if (!(answer->tag & LONG_READ_TAG))
		return false;
	request = take_request(answer->tag);
	if (request != NULL)
		take_answer(dispatch, request, &answer->reply);
	return true;
}

void
long_reads_stop(const char *reason)
{
	for (int i = 0; i < MAX_LONG_READS; i++)
	{
		Request *request = long_reads[i].request;

		long_reads[i].request = NULL;
		if (request != NULL)
			service_busy(request, reason);
	}
	n_long_reads = 0;
}
