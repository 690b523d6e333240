/*
 * server_worker.c
 *	  The `tikv server` process: more cores for gRPC.
 *
 * It shares tikv.addr with the store (SO_REUSEPORT), answers reads from the
 * tables itself, and sends writes to the store over the bus.  It writes
 * nothing and holds no region state of its own: all it knows is the board.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/board.h"
#include "bus/bus.h"
#include "guc.h"
#include "kvserver/kvserver.h"
#include "kvserver/long_reads.h"
#include "kvserver/observe.h"
#include "server/batch.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "worker_common.h"
#include "worker_tls.h"

PGDLLEXPORT void tikv_server_main(Datum arg);

#define MAX_EVENTS_PER_ROUND 4096
#define CHECK_INTERVAL_US INT64CONST(1000000)

/* Writes at the store; a tag is a slot's index and the use it is put to. */
#define FORWARD_SLOTS 4096

#define PACKED_MIN ((size_t) 64 * 1024)

/* Of one connection, while those of others wait. */
#define FORWARDS_IN_TURN 16

/*
 * Never starts over while the process lives: an answer that comes late, in
 * the worker's next life, must not be taken for another write's.
 */
static uint32 last_use;

typedef struct ForwardSlot
{
	Request *request;
	uint32 use;
} ForwardSlot;

typedef struct ServerWorker
{
	WorkerKind self;
	TableOids tables;
	uint64 generation; /* of the board when it began to serve */
	Server *server;
	Tls *tls; /* NULL: off */
	Dispatch dispatch;
	ForwardSlot slots[FORWARD_SLOTS];
	uint32 free_slots[FORWARD_SLOTS];
	int n_free;
	MemoryContext context;
	uint8 *packed; /* the request that is being sent */
	size_t packed_size;
	FairQueue waiting; /* requests that the bus has no room for, by source */
	int64 next_check_us;
} ServerWorker;

/* ---------------------------------------------------------------- writes */

/* Room for one packed request; it is tried again while the bus is full. */
static uint8 *
packing_room(ServerWorker *worker, size_t len)
{
	if (len > worker->packed_size)
	{
		if (worker->packed != NULL)
			pfree(worker->packed);
		worker->packed_size = Max(len, PACKED_MIN);
		worker->packed =
			MemoryContextAllocHuge(worker->context, worker->packed_size);
	}
	return worker->packed;
}

/* Send a request to the store; false if the bus has no room for it now. */
static bool
send_to_store(ServerWorker *worker, Request *request)
{
	size_t len = protobuf_c_message_get_packed_size(request->message);
	BusOrigin origin = {.source = request->source,
						.deadline_us = request->deadline_us};
	uint8 *bytes;
	uint32 use;
	uint32 index;
	ForwardSlot *slot;

	if (worker->n_free == 0)
		return false;
	use = ++last_use & 0x7fffffff;
	index = worker->free_slots[worker->n_free - 1];
	slot = &worker->slots[index];
	bytes = packing_room(worker, len);
	protobuf_c_message_pack(request->message, bytes);
	if (bus_send_for(worker->self, WORKER_STORE, request->method->id,
					 bytes_make(bytes, len), ((uint64) use << 32) | index,
					 &origin, NULL) != BUS_OK)
		return false;
	worker->n_free--;
	slot->request = request;
	slot->use = use;
	return true;
}

static Request *
request_of(FairLink *link)
{
	return (Request *) ((char *) link - offsetof(Request, link));
}

/*
 * Send what waits, in the sources' turns, as long as the bus takes it.  Each
 * answer makes room for more; if none of ours is on its way, nothing tells of
 * room, and what waits is refused.
 */
static void
send_waiting(ServerWorker *worker)
{
	FairLink *link;

	while ((link = fair_peek(&worker->waiting)) != NULL)
	{
		if (!send_to_store(worker, request_of(link)))
			break;
		(void) fair_pop(&worker->waiting);
	}
	while (worker->n_free == FORWARD_SLOTS &&
		   (link = fair_pop(&worker->waiting)) != NULL)
		service_busy(request_of(link),
					 "scheduler is busy: the bus to the store is full");
}

static void
forward(void *arg, Request *request)
{
	ServerWorker *worker = arg;

	if (!fair_admits(&worker->waiting, request->source, 1, FORWARD_SLOTS,
					 FORWARD_SLOTS))
	{
		service_busy(request, "scheduler is busy: too many writes wait");
		return;
	}
	fair_push(&worker->waiting, request->source, &request->link, 1);
}

static void
forward_raw(void *arg, Request *request, RawCommand *command)
{
	(void) command;
	forward(arg, request);
}

static void
forward_txn(void *arg, Request *request, TxnRequest *txn)
{
	(void) txn;
	forward(arg, request);
}

static void
hand_over(void *arg, Request *request)
{
	ServerWorker *worker = arg;

	long_reads_send(worker->self, request);
}

static Request *
take_forwarded(ServerWorker *worker, uint64 tag)
{
	uint32 index = (uint32) tag;
	ForwardSlot *slot;
	Request *request;

	if (index >= FORWARD_SLOTS)
		return NULL;
	slot = &worker->slots[index];
	if (slot->request == NULL || slot->use != (uint32) (tag >> 32))
		return NULL;
	request = slot->request;
	slot->request = NULL;
	worker->free_slots[worker->n_free++] = index;
	return request;
}

static void
answer_forwarded(Request *request, const BusReply *reply)
{
	ProtobufCMessage *message;

	switch (reply->code)
	{
		case BUS_OK:
			message = service_unpack(request->method->response, reply->bytes,
									 request->arena);
			if (message != NULL)
				request->done(request, message);
			else
				request->fail(request, RPC_INTERNAL,
							  "the store's answer is not readable");
			break;
		case BUS_ERROR:
			request->fail(request, reply->grpc_code,
						  arena_printf(request->arena, "%.*s",
									   (int) reply->bytes.len,
									   (const char *) reply->bytes.data));
			break;
		case BUS_LOST:
			service_unknown(request, "the store went away");
			break;
		default:
			service_busy(request, "the store does not serve");
			break;
	}
}

static int
take_answers(ServerWorker *worker)
{
	BusAnswer answer;
	int n = 0;

	while (bus_take_reply(worker->self, &answer))
	{
		Request *request;

		if (!long_reads_take(&worker->dispatch, &answer))
		{
			request = take_forwarded(worker, answer.tag);
			if (request != NULL)
				answer_forwarded(request, &answer.reply);
		}
		if (answer.reply.bytes.data != NULL)
			pfree((void *) answer.reply.bytes.data);
		n++;
	}
	return n;
}

/* ------------------------------------------------------------------ life */

static void
worker_init(ServerWorker *worker, WorkerKind self, MemoryContext context)
{
	memset(worker, 0, sizeof(*worker));
	worker->self = self;
	for (int i = 0; i < FORWARD_SLOTS; i++)
		worker->free_slots[worker->n_free++] = (uint32) i;
	worker->context = context;
	fair_init(&worker->waiting, FORWARDS_IN_TURN);
	dispatch_init(&worker->dispatch, context);
	worker->dispatch.write = forward_raw;
	worker->dispatch.write_txn = forward_txn;
	worker->dispatch.ask_store = forward;
	worker->dispatch.hand_over = hand_over;
	worker->dispatch.ask_index = forward;
	worker->dispatch.arg = worker;
}

/*
 * Serving goes on as long as the store's board is the one we began with, and
 * TLS as it was.
 */
static bool
still_current(ServerWorker *worker)
{
	BoardStore board;
	int64 now_us = dispatch_now_us();

	if (now_us < worker->next_check_us)
		return true;
	worker->next_check_us = now_us + CHECK_INTERVAL_US;
	board_store(&board);
	return board.generation == worker->generation &&
		worker_tls_tick(worker->tls);
}

static void
serve(ServerWorker *worker)
{
	while (!worker_should_stop() && still_current(worker))
	{
		int done;

		worker_handle_interrupts();
		done = server_poll(worker->server, MAX_EVENTS_PER_ROUND);
		done += dispatch_run_reads(&worker->dispatch);
		done += take_answers(worker);
		send_waiting(worker);
		batch_flush();
		observe_server(worker->server);
		if (done == 0)
			kvserver_sleep(worker->self, worker->server,
						   Max(worker->next_check_us - dispatch_now_us(), 1));
	}
}

static void
refuse_forwarded(ServerWorker *worker)
{
	FairLink *link;

	while ((link = fair_pop(&worker->waiting)) != NULL)
		service_busy(request_of(link), "the worker is stopping");
	fair_free(&worker->waiting);
	for (int i = 0; i < FORWARD_SLOTS; i++)
		if (worker->slots[i].request != NULL)
			service_unknown(worker->slots[i].request, "the worker is stopping");
}

static void
run_worker(ServerWorker *worker)
{
	BoardStore board;

	worker_wait_for_extension(worker->self, &worker->tables);
	if (worker_should_stop() || !worker_tls_start(worker->self, &worker->tls) ||
		!kvserver_wait_for_store(worker->self, &worker->tables, &board))
		return;
	worker->generation = board.generation;
	worker->dispatch.tables = worker->tables;
	kvserver_limits(&worker->dispatch.limits, board.cluster_id, board.api);
	worker->server =
		kvserver_start(worker->self, &worker->dispatch, worker->tls);
	serve(worker);
	worker_report(worker->self, WORKER_STOPPING, "", "");
	dispatch_stop(&worker->dispatch, "the worker is stopping");
	refuse_forwarded(worker);
	batch_flush();
	kvserver_stop(worker->server);
	bus_worker_reset(worker->self);
}

void
tikv_server_main(Datum arg)
{
	WorkerKind self = WORKER_SERVER + DatumGetInt32(arg);

	worker_startup(self);
	while (!worker_should_stop())
	{
		MemoryContext life =
			AllocSetContextCreate(TopMemoryContext, "tikv server",
								  ALLOCSET_DEFAULT_SIZES);
		ServerWorker *worker = MemoryContextAlloc(life, sizeof(ServerWorker));

		worker_init(worker, self, life);
		run_worker(worker);
		MemoryContextDelete(life);
	}
	proc_exit(1);
}
