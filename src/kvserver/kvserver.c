/*
 * kvserver.c
 *	  The KV service of a worker: gRPC and bus, one Dispatch.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/bus.h"
#include "guc.h"
#include "kvserver/kvserver.h"
#include "kvserver/observe.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "server/batch.h"
#include "server/tikv_methods.h"
#include "transport/transport.h"
#include "worker_tls.h"

/* TiKV's raft-entry-max-size, and room for what surrounds it. */
#define MAX_ENTRY_BYTES ((size_t) 8 << 20)

/* Of keys and values in one answer; Java's client takes 512 MiB. */
#define MAX_REPLY_BYTES ((size_t) 256 << 20)
#define MAX_MESSAGE_BYTES ((size_t) 64 << 20)
#define MAX_UNARY_CALLS 16384
#define MAX_BATCH_INFLIGHT 16384
#define STOP_MS 500
#define BUS_REQUESTS_PER_ROUND 1024

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
	limits->cluster_id = cluster_id;
	limits->api = api;
	limits->max_key_size = (size_t) tikv_fdw_settings.max_key_size;
	limits->max_entry_size = MAX_ENTRY_BYTES;
	limits->max_reply_size = MAX_REPLY_BYTES;
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
	config.max_calls = MAX_UNARY_CALLS;
	config.tls = tls;
	config.arg = dispatch;
	if (self == WORKER_STORE)
	{
		config.peer_addr = tikv_fdw_settings.peer_addr;
		config.peer_methods = transport_methods;
		config.n_peer_methods = transport_n_methods;
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
bus_call_end(BusCall *call)
{
	Arena arena = call->arena;

	arena_free(&arena);
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
	bus_answer(&call->bus, BUS_OK, RPC_OK, bytes_make(bytes, len));
	bus_call_end(call);
}

static void
bus_fail(Request *request, int code, const char *text)
{
	BusCall *call = request->owner;

	observe_bus(request, NULL);
	bus_answer(&call->bus, BUS_ERROR, code, bytes_cstr(text));
	bus_call_end(call);
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

	if (method == NULL)
	{
		refuse_bus(bus, RPC_UNIMPLEMENTED, "no such method on this worker");
		return;
	}
	arena_init(&arena);
	call = arena_zalloc(&arena, sizeof(BusCall));
	call->bus = *bus;
	call->request.method = method;
	call->request.message = service_unpack(method->request, bus->bytes, &arena);
	call->request.received_us = dispatch_now_us();
	call->request.deadline_us = INT64_MAX;
	call->request.done = bus_done;
	call->request.fail = bus_fail;
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
