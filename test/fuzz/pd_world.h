/*
 * pd_world.h
 *	  The whole of PD's service without its tables, its ports and Postgres.
 *
 * For fuzzing, and for test/modules/pd_test.
 *
 * Stands in for pd/group.c (a round is encoded and decoded, as a follower or
 * the next start would do it), for src/server (answers are looked at and
 * counted), for shared memory and for the few functions of the backend that
 * the service uses.  Time stands still but for what requests take.
 */
#ifndef TIKV_FUZZ_PD_WORLD_H
#define TIKV_FUZZ_PD_WORLD_H

#include "postgres.h"

#include "bus/board.h"
#include "bus/metrics.h"
#include "core/raft/empty_log.h"
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
};

struct HttpRequest
{
	const char *method;
	const char *uri;
	Bytes body;
	int answers;
	int status;
};

#define WORLD_CALLS 32

static Pd world;
static Server world_server = {&world};
static Call world_calls[WORLD_CALLS];
static bool world_lacks_memory;
static int world_yields;
static Account world_account;

/* Sees every message that is sent; NULL: nobody does. */
static void (*world_hears)(Call *call, Bytes message);

/* A message that leaves must be one that its reader understands. */
static void
look_at_answer(const Call *call, Bytes message)
{
	const PdMethod *method = &pd_methods[call->method];
	Arena arena;

	arena_init(&arena);
	CHECK(service_unpack(method->response, message, &arena) != NULL);
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
	return call->unread;
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

void
bus_answer(const BusRequest *request, BusCode code, int grpc_code, Bytes reply)
{
	(void) request;
	(void) code;
	(void) grpc_code;
	(void) reply;
	CHECK(false);
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

/* -------------------------------------------------- the group, of one member */

bool
group_is_sole(const Pd *pd)
{
	(void) pd;
	return true;
}

bool
group_may_serve(const Pd *pd)
{
	return pd->leading;
}

void
forward_request(Pd *pd, const struct PdMethod *method, Bytes bytes,
				const ReplyTo *to)
{
	(void) method;
	(void) bytes;
	pd_fail(pd, to, RPC_UNAVAILABLE, "not leader");
}

bool
forward_half_close(Pd *pd, const ReplyTo *to)
{
	(void) pd;
	(void) to;
	return false;
}

void
forward_closed(Pd *pd, Call *call)
{
	(void) pd;
	(void) call;
}

const char *
forward_leader_url(Pd *pd)
{
	(void) pd;
	return NULL;
}

bool
group_begin(Pd *pd, const char **why)
{
	(void) why;
	if (!pd->changing)
		proposal_init(&pd->proposal, &pd->arena);
	pd->changing = true;
	return true;
}

bool
group_change(Pd *pd, const PdChanges *changes, const char **why)
{
	(void) why;
	for (size_t i = 0; i < changes->n; i++)
	{
		ProposalItem item = record_encode(&changes->records[i],
										  pd->state.cluster_id, &pd->arena);

		proposal_add(&pd->proposal, &item);
	}
	for (size_t i = 0; i < changes->n; i++)
		pd_state_apply(&pd->state, &changes->records[i]);
	return true;
}

/* What was decided can be read again, and then means the same. */
bool
group_commit(Pd *pd)
{
	Proposal read;

	if (!pd->changing)
		return true;
	proposal_init(&read, &pd->arena);
	CHECK(proposal_decode(&read, proposal_encode(&pd->proposal)) == STATUS_OK);
	CHECK(read.n == pd->proposal.n);
	for (size_t i = 0; i < read.n; i++)
	{
		PdRecord record;
		ProposalItem again;

		if (read.items[i].removed)
			continue;
		CHECK(record_decode(read.items[i].key, read.items[i].value, &pd->arena,
							&record) == STATUS_OK);
		again = record_encode(&record, pd->state.cluster_id, &pd->arena);
		CHECK(bytes_eq(again.key, read.items[i].key));
	}
	pd->changing = false;
	pd->revision++;
	return true;
}

/* As finish_round in pd/worker.c. */
static void
world_round(void)
{
	lease_tick(&world);
	watch_tick(&world);
	region_tasks_tick(&world);
	orders_tick(&world);
	tso_before_commit(&world);
	CHECK(group_commit(&world));
	pd_flush_outbox(&world, true);
	tso_after_commit(&world);
	arena_reset(&world.arena);
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

/* Nothing is logged, and nothing may end the process. */
bool
errstart(int elevel, const char *domain)
{
	(void) domain;
	CHECK(elevel < ERROR);
	return false;
}

/* With assertions on the macros ask this, too. */
bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

int
errmsg(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

int
errmsg_internal(const char *fmt, ...)
{
	(void) fmt;
	return 0;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	(void) filename;
	(void) lineno;
	(void) funcname;
}

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

/* ------------------------------------------------------- begin and end */

static void *
raft_alloc(void *arg, size_t size)
{
	(void) arg;
	return malloc(size);
}

static void
raft_release(void *arg, void *p)
{
	(void) arg;
	free(p);
}

/* A sole member that leads. */
static void
world_raft(void)
{
	static const uint64_t applied_index = 5;
	RaftStorage storage = raft_empty_log(&applied_index);
	RaftAllocator allocator = {NULL, raft_alloc, raft_release};
	RaftConfig config;
	RaftReady ready;

	raft_config_init(&config, 1);
	config.hard_state.term = config.applied_term = config.truncated_term = 5;
	config.hard_state.commit = config.applied_index = config.truncated_index =
		applied_index;
	config.conf.voters.n = 1;
	config.conf.voters.id[0] = 1;
	CHECK(raft_create(&config, &storage, &allocator, (uint64) world_us,
					  &world.raft) == STATUS_OK);
	CHECK(raft_campaign(world.raft, (uint64) world_us) == STATUS_OK);
	CHECK(raft_ready(world.raft, &world.arena, (uint64) world_us, &ready));
	raft_advance(world.raft, &ready);
}

static void
world_change(PdChanges *changes)
{
	const char *why;

	CHECK(pd_change(&world, changes, &why));
}

/* A cluster that has just been made; with a store and a region if wanted. */
static void
world_begin(bool bootstrapped)
{
	PdChanges changes;
	Region region = {.id = 1,
					 .epoch = {1, 1},
					 .n_peers = 1,
					 .peers = {{.id = 2, .store_id = 1}}};
	PdStore store = {.id = 1,
					 .address = "127.0.0.1:20160",
					 .peer_address = "127.0.0.1:20170",
					 .status_address = "127.0.0.1:20180",
					 .version = "8.5.0",
					 .git_hash = "",
					 .deploy_path = ""};
	PdMember member = {.id = 1,
					   .name = "pd",
					   .client_url = "http://127.0.0.1:1",
					   .peer_url = "http://127.0.0.1:1",
					   .version = "8.5.0"};

	memset(&world, 0, sizeof(world));
	memset(&world_tso, 0, sizeof(world_tso));
	memset(world_calls, 0, sizeof(world_calls));
	world_us = 1000000;
	arena_init(&world.arena);
	world.outbox_tail = &world.outbox;
	world.tso_waits_tail = &world.tso_waits;
	world.waiting_tail = &world.waiting;
	world.next_watcher_us = PG_INT64_MAX;
	pd_state_init(&world.state);
	pd_state_loaded(&world.state);
	pd_changes_init(&changes, &world.arena);
	pd_changes_number(&changes, PD_RECORD_CLUSTER_ID, FUZZ_CLUSTER);
	keyspaces_first(1000, &changes);
	pd_state_set_member(&world.state, &member, &changes);
	world_change(&changes);
	if (bootstrapped)
	{
		pd_changes_init(&changes, &world.arena);
		CHECK(cluster_bootstrap(&world.state.cluster, FUZZ_CLUSTER, &store,
								&region, 1000, &changes)
				  .type == PD_OK);
		world_change(&changes);
	}
	schedule_init(&world.schedule);
	world_raft();
	world.leading = true;
	world.start_time = 1000;
	tso_lead(&world);
	world_round();
}

static void
world_end(void)
{
	world_round();
	tso_resign(&world);
	watch_end_all(&world);
	region_tasks_fail(&world, "the end");
	for (int i = 0; i < WORLD_CALLS; i++)
		CHECK(world_calls[i].holds == 0);
	schedule_free(&world.schedule);
	raft_destroy(world.raft);
	pd_state_free(&world.state);
	arena_free(&world.arena);
}

#endif /* TIKV_FUZZ_PD_WORLD_H */
