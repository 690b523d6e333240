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
#include "core/base/share.h"
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
	BusTicket ticket;
} LongRead;

static LongRead long_reads[MAX_LONG_READS];

/* By connection: one that scans and scans leaves places to others. */
static Shares shares = {.limit = MAX_LONG_READS};

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
	return (int) shares.n;
}

/* There is one, as shares are not more than places. */
static int
free_place(void)
{
	int i = 0;

	while (long_reads[i].request != NULL)
		i++;
	return i;
}

void
long_reads_send(WorkerKind self, Request *request)
{
	WorkerKind reader = bus_least_busy(WORKER_READER, TIKV_MAX_READERS);
	size_t len = protobuf_c_message_get_packed_size(request->message);
	BusOrigin origin = {.source = request->source,
						.deadline_us = request->deadline_us};
	uint32 use = ++last_use & 0x7fffffff;
	BusTicket ticket;
	uint8 *bytes;
	int place;

	if (reader == WORKER_KINDS || !shares_admit(&shares, request->source))
	{
		service_busy(request, "scheduler is busy: too many long reads");
		return;
	}
	place = free_place();
	bytes = arena_alloc(request->arena, len);
	protobuf_c_message_pack(request->message, bytes);
	if (bus_send_for(self, reader, request->method->id, bytes_make(bytes, len),
					 LONG_READ_TAG | (uint64) use << 32 | (uint32) place,
					 &origin, &ticket) != BUS_OK)
	{
		service_busy(request, "scheduler is busy: too many long reads");
		return;
	}
	long_reads[place].request = request;
	long_reads[place].use = use;
	long_reads[place].ticket = ticket;
	shares_add(&shares, request->source);
	metrics_add(VALUE_LONG_READS, 1);
}

static void
free_it(LongRead *read)
{
	if (read->request != NULL)
		shares_remove(&shares, read->request->source);
	read->request = NULL;
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
	free_it(&long_reads[place]);
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

/*
 * The reader that has it hears of that in the middle, too.  An answer that is on
 * its way finds nobody.
 */
static void
withdraw(LongRead *read)
{
	Request *request = read->request;

	bus_withdraw(&read->ticket);
	free_it(read);
	request->fail(request, RPC_CANCELLED, "the client is gone");
}

/* Every round, as the end of a client is an event that wakes the worker. */
void
long_reads_tend(void)
{
	size_t left = shares.n;

	for (int i = 0; left > 0; i++)
	{
		Request *request = long_reads[i].request;

		if (request == NULL)
			continue;
		left--;
		if (request->abandoned != NULL && request->abandoned(request))
			withdraw(&long_reads[i]);
	}
}

void
long_reads_stop(const char *reason)
{
	for (int i = 0; i < MAX_LONG_READS; i++)
	{
		Request *request = long_reads[i].request;

		if (request == NULL)
			continue;
		bus_withdraw(&long_reads[i].ticket);
		free_it(&long_reads[i]);
		service_busy(request, reason);
	}
}
