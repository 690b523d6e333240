/*
 * pd_calls.h
 *	  What stands in for the server, shared memory and Postgres's memory under
 *	  PD's files: answers are looked at and counted.
 *
 * Time stands still but for what requests take.  pd_world.h has PD's service
 * upon it, pd_member.h a member among others.
 */
#ifndef TIKV_FUZZ_PD_CALLS_H
#define TIKV_FUZZ_PD_CALLS_H

#include "postgres.h"

#include "bus/board.h"
#include "bus/collect.h"
#include "bus/metrics.h"
#include "guc.h"
#include "pd/convert.h"
#include "pd/http_ask.h"
#include "pd/pd.h"
#include "pd/record_codec.h"
#include "pd/tso_local.h"
#include "utils/memutils.h"

#include "messages.h"

/* ------------------------------------------------------ calls and answers */

struct Server
{
	void *arg;
};

struct Call
{
	int method;
	bool over;
	bool ended; /* the client sends no more */
	int holds;
	int answers;
	int code;	   /* that it ended with */
	size_t unread; /* bytes that its client has not read */
	bool sated;	   /* its client has its share of the memory */
	size_t charged;
	void *user;
};

struct HttpRequest
{
	const char *method;
	const char *uri;
	Bytes body;
	bool left; /* its client has */
	int answers;
	int status;
	char text[256]; /* of the answer, its beginning */
};

#define WORLD_CALLS 32
#define WORLD_UNREAD ((size_t) 64 << 20) /* the most of a call */

static Pd world;
static Server world_server = {&world};
static Call world_calls[WORLD_CALLS];
static bool world_lacks_memory;
static int world_yields;
static Account world_account;

/* Sees every message that is sent; NULL: nobody does. */
static void (*world_hears)(Call *call, Bytes message);

/* What another member answered is passed on as it came. */
static bool world_passes_on;

static inline int
method_of(const char *path)
{
	int method = 0;

	while (strcmp(pd_methods[method].path, path) != 0)
		method++;
	return method;
}

/* A message that leaves must be one that its reader understands. */
static void
look_at_answer(const Call *call, Bytes message)
{
	const PdMethod *method = &pd_methods[call->method];
	Arena arena;

	arena_init(&arena);
	CHECK(service_unpack(method->response, message, &arena) != NULL ||
		  world_passes_on);
	arena_free(&arena);
}

Server *
call_server(Call *call)
{
	(void) call;
	return &world_server;
}

void *
server_arg(Server *server)
{
	return server->arg;
}

int
call_method(Call *call)
{
	return call->method;
}

/* Each call has a connection of its own. */
uint64_t
call_source(const Call *call)
{
	return (uint64_t) (call - world_calls) + 1;
}

void
call_hold(Call *call)
{
	call->holds++;
}

void
call_release(Call *call)
{
	CHECK(call->holds > 0);
	call->holds--;
}

void
call_set_user(Call *call, void *user)
{
	call->user = user;
}

void *
call_user(Call *call)
{
	return call->user;
}

bool
call_over(Call *call)
{
	return call->over;
}

void
call_reply_bytes(Call *call, Bytes message)
{
	CHECK(pd_methods[call->method].kind == RPC_UNARY && call->answers == 0);
	look_at_answer(call, message);
	if (world_hears != NULL)
		world_hears(call, message);
	call->answers++;
	call->over = true;
}

bool
call_send_bytes(Call *call, Bytes message)
{
	CHECK(pd_methods[call->method].kind == RPC_STREAM);
	if (call->over)
		return false;
	look_at_answer(call, message);
	if (world_hears != NULL)
		world_hears(call, message);
	call->answers++;
	return true;
}

size_t
call_send_queued(const Call *call)
{
	return call->unread + call->charged;
}

bool
call_can_send(const Call *call, size_t len)
{
	size_t queued = call_send_queued(call);

	return !call->over && (queued == 0 || queued + len <= WORLD_UNREAD);
}

void
call_charge(Call *call, size_t n)
{
	CHECK(call->holds > 0);
	call->charged += n;
}

void
call_uncharge(Call *call, size_t n)
{
	CHECK(call->holds > 0 && n <= call->charged);
	call->charged -= n;
}

bool
call_admits(const Call *call)
{
	return !world_lacks_memory && !call->sated;
}

bool
call_admits_unasked(const Call *call)
{
	return call_admits(call);
}

void
server_yield(Server *server)
{
	(void) server;
	world_yields++;
}

bool
server_memory_is_short(void)
{
	return world_lacks_memory;
}

Account *
server_memory_account(void)
{
	return &world_account;
}

void
call_fail(Call *call, RpcCode code, const char *text)
{
	CHECK(code != RPC_OK && text != NULL);
	CHECK(pd_methods[call->method].kind == RPC_STREAM || call->answers == 0);
	call->answers++;
	call->over = true;
	call->code = code;
}

void
call_finish(Call *call, RpcCode code, const char *text)
{
	CHECK(text != NULL || code == RPC_OK);
	call->over = true;
	call->code = code;
}

const char *
http_method(const HttpRequest *request)
{
	return request->method;
}

const char *
http_uri(const HttpRequest *request)
{
	return request->uri;
}

Bytes
http_body(const HttpRequest *request)
{
	return request->body;
}

bool
http_has_left(const HttpRequest *request)
{
	return request->left;
}

void
http_answer(HttpRequest *request, int status, const char *type, Bytes body)
{
	Arena arena;

	CHECK(request->answers == 0 && type != NULL);
	CHECK(status >= 200 && status < 600);
	arena_init(&arena);
	CHECK(body.len == 0 || strcmp(type, HTTP_JSON) != 0 ||
		  json_parse(body, &arena) != NULL);
	arena_free(&arena);
	request->answers++;
	request->status = status;
	snprintf(request->text, sizeof(request->text), "%.*s", (int) body.len,
			 body.len > 0 ? (const char *) body.data : "");
}

BusCode
bus_send(WorkerKind self, WorkerKind to, int method, Bytes request, uint64 tag)
{
	(void) self;
	(void) to;
	(void) method;
	(void) request;
	(void) tag;
	return BUS_OK;
}

/* One sample, so that a page of them is not empty. */
void
metrics_collect_worker(const MetricSink *sink, WorkerKind kind)
{
	static const MetricFamily family = {"world", "Of the world.", METRIC_GAUGE};
	MetricSample sample = {.family = &family, .suffix = "", .value = kind};

	sink->take(sink->arg, &sample);
}

/* -------------------------------------------------------- shared memory */

static TsoShared world_tso;
static TikvShmem world_shmem = {.tso = &world_tso};
static int64 world_us;

TikvSettings tikv_fdw_settings = {.pd_addr = "127.0.0.1:2379",
								  .pd_advertise_addr = "",
								  .addr = "127.0.0.1:20160",
								  .gc_life_time_s = 600};
WorkerMetrics *metrics_mine = NULL;

TikvShmem *
tikv_shmem(void)
{
	return &world_shmem;
}

int64
board_now_us(void)
{
	return world_us;
}

void
board_store(BoardStore *out)
{
	memset(out, 0, sizeof(*out));
}

bool
board_walk_next(BoardWalk *walk, BoardRegion *out)
{
	(void) walk;
	(void) out;
	return false;
}

void
worker_wake(WorkerKind kind)
{
	(void) kind;
}

void
observe_reply(const ReplyTo *to, bool failed)
{
	(void) to;
	(void) failed;
}

/* ------------------------------------------------------------- Postgres */

MemoryContext TopMemoryContext = NULL;
MemoryContext CurrentMemoryContext = NULL;

static void *
allocate(Size size)
{
	void *p = calloc(1, size > 0 ? size : 1);

	CHECK(p != NULL);
	return p;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	(void) context;
	return allocate(size);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	(void) context;
	return allocate(size);
}

void *
palloc(Size size)
{
	return allocate(size);
}

void *
palloc0(Size size)
{
	return allocate(size);
}

void
pfree(void *p)
{
	free(p);
}

#endif /* TIKV_FUZZ_PD_CALLS_H */
