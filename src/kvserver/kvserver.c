/*
 * kvserver.c
 *	  The KV service of a worker: gRPC and bus, one Dispatch.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "bus/metrics.h"
#include "core/base/check.h"
#include "core/base/later.h"
#include "guc.h"
#include "kvserver/kvserver.h"
#include "kvserver/observe.h"
#include "kvserver/relay.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "server/batch.h"
#include "server/tikv_methods.h"
#include "transport/transport.h"
#include "worker_common.h"
#include "worker_tls.h"

/* Of keys and values in one answer; Java's client takes 512 MiB. */
#define MAX_REPLY_BYTES ((size_t) 256 << 20)
/* ... and no more than this part of the memory that all may hold. */
#define REPLY_SHARE 8
#define MAX_MESSAGE_BYTES ((size_t) 64 << 20)
#define MAX_BATCH_INFLIGHT 16384
#define STOP_MS 500
#define BUS_REQUESTS_PER_ROUND 1024
#define RETRY_MS 100

/* A reader waits this long for room for its answer, and looks this often. */
#define ROOM_WAIT_MS 5000
#define ROOM_LOOK_MS 2

static uint64_t
our_store_id(void *arg)
{
	BoardStore store;

	(void) arg;
	board_store(&store);
	return store.store_id;
}

void
kvserver_limits(RawLimits *limits, uint64 cluster_id, ApiVersion api)
{
	size_t memory = worker_memory_limit();

	limits->cluster_id = cluster_id;
	limits->api = api;
	limits->max_key_size = (size_t) tikv_fdw_settings.max_key_size;
	limits->max_entry_size = SERVICE_MAX_ENTRY_BYTES;
	limits->max_reply_size = MAX_REPLY_BYTES;
	if (memory > 0)
		limits->max_reply_size = Min(MAX_REPLY_BYTES, memory / REPLY_SHARE);
}

bool
kvserver_wait_for_store(WorkerKind self, const TableOids *tables,
						BoardStore *board)
{
	while (!worker_should_stop())
	{
		board_store(board);
		if (board->generation != 0 && board->store_id != 0 &&
			board->extension_oid == tables->extension)
			return true;
		worker_report(self, WORKER_WAITING, "waiting for the store to serve",
					  "");
		worker_sleep(self, RETRY_MS);
		worker_handle_interrupts();
	}
	return false;
}

/* Beside what every worker serves: what goes on among stores. */
static const RpcMethod *
store_methods(const Dispatch *dispatch, int *n)
{
	static RpcMethod all[16];

	*n = transport_n_methods + dispatch->n_more_methods;
	CHECK(*n <= (int) lengthof(all));
	memcpy(all, transport_methods, transport_n_methods * sizeof(all[0]));
	if (dispatch->n_more_methods > 0)
		memcpy(all + transport_n_methods, dispatch->more_methods,
			   dispatch->n_more_methods * sizeof(all[0]));
	return all;
}

Server *
kvserver_start(WorkerKind self, Dispatch *dispatch, Tls *tls)
{
	ServerConfig config = {0};
	BatchService batch = {0};
	char error[256];
	Server *server;

	batch.submit = dispatch_submit;
	batch.arg = dispatch;
	batch.store_id = our_store_id;
	batch.observe = observe_request;
	batch.max_inflight = MAX_BATCH_INFLIGHT;
	batch_configure(&batch);
	config.addr = tikv_fdw_settings.addr;
	config.shared_port = tikv_server_workers() > 0;
	config.methods = tikv_methods;
	config.n_methods = tikv_n_methods;
	config.wake_fd = worker_wake_fd(self);
	config.parent_fd = postmaster_alive_fds[POSTMASTER_FD_WATCH];
	config.max_message = MAX_MESSAGE_BYTES;
	config.max_calls = KVSERVER_MAX_CALLS;
	config.max_memory = worker_memory_limit();
	config.tls = tls;
	config.arg = dispatch;
	if (self == WORKER_STORE)
	{
		config.peer_addr = tikv_fdw_settings.peer_addr;
		config.peer_methods = store_methods(dispatch, &config.n_peer_methods);
	}
	server = server_start(&config, error, sizeof(error));
	if (server == NULL)
	{
		worker_report(self, WORKER_DOWN, error, "");
		ereport(
			FATAL,
			(errcode(ERRCODE_CONNECTION_EXCEPTION),
			 errmsg("%s cannot listen: %s", worker_name(self), error),
			 errhint(
				 "Free the port or change tikv.addr or tikv.peer_addr; the worker tries again.")));
	}
	server_set_serving(server, true);
	worker_tls_warn(self, tls, "tikv.addr", tikv_fdw_settings.addr);
	if (self == WORKER_STORE)
		worker_tls_warn(self, tls, "tikv.peer_addr",
						tikv_fdw_settings.peer_addr);
	worker_report(self, WORKER_SERVING, "",
				  worker_tls_address(tls, tikv_fdw_settings.addr));
	return server;
}

void
kvserver_stop(Server *server)
{
	server_set_serving(server, false);
	server_stop(server, STOP_MS);
}

/* ------------------------------------------------------------------- bus */

/* A request that came over the bus, with what its answer needs. */
typedef struct BusCall
{
	Request request;
	BusRequest bus;
	Arena arena;
} BusCall;

static void
free_bus_call(void *arg)
{
	Arena arena = ((BusCall *) arg)->arena;

	arena_free(&arena);
}

static void
bus_call_end(BusCall *call)
{
	later_free(free_bus_call, call);
}

/*
 * A reader's answer, which may be long: what has room in the bus in principle
 * waits for it, since nothing else waits for the reader.
 */
static void
answer_with_patience(const BusCall *call, Bytes bytes)
{
	int waited_ms = 0;

	if (bytes.len > bus_answer_limit())
	{
		bus_answer(&call->bus, BUS_ERROR, RPC_RESOURCE_EXHAUSTED,
				   bytes_cstr("the answer does not fit into tikv.bus_memory"));
		return;
	}
	while (!bus_try_answer(&call->bus, bytes))
	{
		if (waited_ms >= ROOM_WAIT_MS || worker_should_stop() ||
			bus_is_withdrawn(&call->bus))
		{
			bus_answer(&call->bus, BUS_BUSY, 0, bytes_empty());
			return;
		}
		pg_usleep(ROOM_LOOK_MS * 1000L);
		waited_ms += ROOM_LOOK_MS;
	}
}

static void
bus_done_packed(Request *request, Bytes bytes)
{
	BusCall *call = request->owner;

	if (worker_is_reader(metrics_kind()))
		answer_with_patience(call, bytes);
	else
		bus_answer(&call->bus, BUS_OK, RPC_OK, bytes);
	bus_call_end(call);
}

static void
bus_done(Request *request, const ProtobufCMessage *reply)
{
	BusCall *call = request->owner;
	size_t len;
	uint8 *bytes;

	observe_bus(request, reply);
	len = protobuf_c_message_get_packed_size(reply);
	bytes = arena_alloc(&call->arena, len);
	protobuf_c_message_pack(reply, bytes);
	bus_done_packed(request, bytes_make(bytes, len));
}

static void
bus_fail(Request *request, int code, const char *text)
{
	BusCall *call = request->owner;

	observe_bus(request, NULL);
	bus_answer(&call->bus, BUS_ERROR, code, bytes_cstr(text));
	bus_call_end(call);
}

/* Of a reader's: the worker that sent it says so. */
static bool
bus_abandoned(Request *request)
{
	BusCall *call = request->owner;

	return bus_is_withdrawn(&call->bus);
}

static void
refuse_bus(const BusRequest *request, RpcCode code, const char *text)
{
	bus_answer(request, BUS_ERROR, code, bytes_cstr(text));
}

static void
take_one(const BusRequest *bus, Dispatch *dispatch)
{
	const ServiceMethod *method = service_method(bus->method);
	Arena arena;
	BusCall *call;

	if (bus->method == METHOD_RELAY && dispatch->relay != NULL)
	{
		relay_take(dispatch->relay, bus);
		return;
	}
	if (method == NULL)
	{
		refuse_bus(bus, RPC_UNIMPLEMENTED, "no such method on this worker");
		return;
	}
	arena_init(&arena);
	arena_charge(&arena, server_memory_account());
	call = arena_zalloc(&arena, sizeof(BusCall));
	call->bus = *bus;
	call->request.method = method;
	call->request.message = service_unpack(method->request, bus->bytes, &arena);
	call->request.received_us = dispatch_now_us();
	call->request.deadline_us = bus->origin.deadline_us;
	call->request.done = bus_done;
	call->request.done_packed = bus_done_packed;
	call->request.fail = bus_fail;
	call->request.source = bus->origin.source;
	if (worker_is_reader(metrics_kind()))
		call->request.abandoned = bus_abandoned;
	call->request.over_bus = true;
	call->request.owner = call;
	call->request.arena = &call->arena;
	call->arena = arena;
	if (call->request.message == NULL)
		bus_fail(&call->request, RPC_INVALID_ARGUMENT,
				 "the request is not readable");
	else
		dispatch_submit(dispatch, &call->request);
}

int
kvserver_take_bus(WorkerKind self, Dispatch *dispatch)
{
	BusRequest bus;
	int n = 0;

	while (n < BUS_REQUESTS_PER_ROUND && bus_take(self, &bus))
	{
		take_one(&bus, dispatch);
		n++;
	}
	return n;
}

/* ----------------------------------------------------------------- sleep */

void
kvserver_sleep(WorkerKind self, Server *server, int64 timeout_us)
{
	worker_sleep_begin(self);
	if (!bus_pending(self) && timeout_us != 0)
		server_wait(server, timeout_us);
	worker_sleep_end(self);
}
