/*
 * worker.c
 *	  The `tikv pd` process: its start, its loop, its end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/board.h"
#include "guc.h"
#include "miscadmin.h"
#include "pd/pd.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "transport/transport.h"
#include "utils/memutils.h"
#include "worker_common.h"
#include "worker_tls.h"

PGDLLEXPORT void tikv_pd_main(Datum arg);

#define CHECK_INTERVAL_US INT64CONST(1000000)
#define MAX_EVENTS_PER_ROUND 4096
#define MAX_BUS_PER_ROUND 1024
#define MAX_MESSAGE_BYTES ((size_t) 150 << 20)
#define MAX_UNARY_CALLS 16384
#define STOP_MS 500
#define RETRY_MS 100

#define MAX_HTTP_PER_ROUND 256
#define MAX_HTTP_BODY ((size_t) 4 << 20)
#define MAX_HTTP_BODIES ((size_t) 64 << 20)
#define MAX_HTTP_ANSWERS ((size_t) 256 << 20)
#define SMALL_HTTP ((size_t) 64 << 10)
#define HTTP_PATIENCE_MS 10000
#define MAX_HTTP_CONNECTIONS 512
#define HTTP_IDLE_S 120

static void
cannot_listen(const char *setting, const char *error)
{
	worker_report(WORKER_PD, WORKER_DOWN, error, "");
	ereport(FATAL,
			(errcode(ERRCODE_CONNECTION_EXCEPTION),
			 errmsg("%s cannot listen on %s: %s", worker_name(WORKER_PD),
					setting, error),
			 errhint("Free the port or change %s; the worker tries again.",
					 setting)));
}

/*
 * Without TLS it has no port of its own: it gets what speaks HTTP on
 * tikv.pd_addr.
 */
static HttpServer *
start_http(Tls *tls)
{
	HttpConfig config = {0};
	char error[256];
	HttpServer *http;

	if (tls != NULL && tikv_fdw_settings.pd_http_addr[0] == '\0')
		return NULL;
	config.tls = tls;
	config.addr = tls != NULL ? tikv_fdw_settings.pd_http_addr : NULL;
	config.wake_fd = worker_wake_fd(WORKER_PD);
	config.max_body = MAX_HTTP_BODY;
	config.max_bodies = pd_http_bound(MAX_HTTP_BODIES, worker_memory_limit());
	config.max_answers = pd_http_bound(MAX_HTTP_ANSWERS, worker_memory_limit());
	config.small = SMALL_HTTP;
	config.patience_ms = HTTP_PATIENCE_MS;
	config.max_connections = MAX_HTTP_CONNECTIONS;
	config.idle_s = HTTP_IDLE_S;
	http = http_start(&config, error, sizeof(error));
	if (http == NULL)
		cannot_listen("tikv.pd_http_addr", error);
	return http;
}

static Server *
start_server(Pd *pd)
{
	ServerConfig config = {0};
	char error[256];
	Server *server;

	config.addr = tikv_fdw_settings.pd_addr;
	config.methods = pd_rpc_methods();
	config.n_methods = pd_n_methods;
	config.wake_fd = worker_wake_fd(WORKER_PD);
	config.parent_fd = postmaster_alive_fds[POSTMASTER_FD_WATCH];
	config.max_message = MAX_MESSAGE_BYTES;
	config.max_calls = MAX_UNARY_CALLS;
	config.max_memory = worker_memory_limit();
	config.http = pd->tls != NULL ? NULL : pd->http;
	config.tls = pd->tls;
	config.peer_methods = transport_methods;
	config.n_peer_methods = transport_n_methods;
	config.arg = pd;
	server = server_start(&config, error, sizeof(error));
	if (server == NULL)
		cannot_listen("tikv.pd_addr", error);
	worker_tls_warn(WORKER_PD, pd->tls, "tikv.pd_addr",
					tikv_fdw_settings.pd_addr);
	server_set_serving(server, true);
	return server;
}

/* One at least, so that what comes another way cannot keep it out. */
static bool
may_take(const Pd *pd, int n, int most)
{
	return n == 0 || (n < most && !pd_round_is_full(pd));
}

static int
take_bus(Pd *pd)
{
	BusRequest request;
	int n = 0;

	while (may_take(pd, n, MAX_BUS_PER_ROUND) && bus_take(WORKER_PD, &request))
	{
		const PdMethod *method = pd_bus_method(request.method);
		ReplyTo to = {.bus = request};

		if (method == NULL)
			pd_fail(pd, &to, RPC_UNIMPLEMENTED, "no such method");
		else
			pd_serve(pd, method, request.bytes, &to);
		n++;
	}
	return n;
}

/* What this node's store says to its orders: progress is seen elsewhere. */
static void
take_bus_replies(void)
{
	BusAnswer answer;

	while (bus_take_reply(WORKER_PD, &answer))
		if (answer.reply.bytes.data != NULL)
			pfree((void *) answer.reply.bytes.data);
}

static int
take_http(Pd *pd)
{
	HttpRequest *request;
	int n = 0;

	if (pd->http == NULL)
		return 0;
	while (may_take(pd, n, MAX_HTTP_PER_ROUND) &&
		   (request = http_take(pd->http)) != NULL)
	{
		http_serve(pd, request);
		n++;
	}
	return n;
}

static bool
finish_round(Pd *pd)
{
	bool wrote;

	if (!pd_finish_round(pd, &wrote))
		return false;
	if (wrote)
		pgstat_report_stat(false);
	return true;
}

/* While the catalogs are locked the extension cannot be told to be gone. */
static bool
extension_is_ours(const TableOids *ours)
{
	TableOids now;
	TablesAnswer answer;

	StartTransactionCommand();
	answer = tables_resolve_nowait(&now);
	CommitTransactionCommand();
	return answer == TABLES_LOCKED ||
		(answer == TABLES_OK && now.extension == ours->extension);
}

/*
 * tikv_status() says why changes are refused, as long as there are such, and
 * why a member cannot answer.
 */
static void
report_refusals(const Pd *pd, char *told, Size size)
{
	const char *reason = pd->reason;

	if (reason[0] == '\0' && pd->raft == NULL && !pd->may_found)
		reason = tikv_fdw_settings.pd_endpoints[0] != '\0' ?
			"passes requests on to tikv.pd_endpoints" :
			"waits for its place in the cluster of tikv.join";
	if (strcmp(told, reason) == 0)
		return;
	strlcpy(told, reason, size);
	worker_report(WORKER_PD, WORKER_SERVING, told, NULL);
}

/* tikv_status() says while nothing can be decided, for want of a leader. */
static void
report_leader(Pd *pd)
{
	int64 now = board_now_us();
	bool leaderless;

	if (pd->raft == NULL || raft_hears_leader(pd->raft))
		pd->heard_us = now;
	leaderless = now - pd->heard_us > LEADERLESS_US;
	if (leaderless == pd->leaderless)
		return;
	pd->leaderless = leaderless;
	worker_note(
		WORKER_PD, WORKER_NOTE_LEADER,
		leaderless ?
			"no leader of the placement driver is known: is a majority of its members up?" :
			"");
}

static void
sleep_round(Pd *pd, int64 next_check_us)
{
	int64 now = board_now_us();
	int64 wait = Max(next_check_us - now, 1);
	int64 tso = tso_sleep_us(pd);
	int64 lease =
		Max(leases_next_expiry(&pd->state.leases), pd->lease_retry_us);
	int64 others[] = {tso,
					  group_sleep_us(pd),
					  forward_sleep_us(pd),
					  join_sleep_us(pd),
					  region_tasks_sleep_us(pd),
					  watch_sleep_us(pd)};

	if (pd->leading)
	{
		int64 next = Min(lease, pd->next_watcher_us);

		if (pd->state.cluster.bootstrapped && schedule_hurries(&pd->schedule))
			next = Min(next, schedule_next_us(&pd->schedule));
		wait = Min(wait, Max(next - now, 1));
	}
	for (int i = 0; i < (int) lengthof(others); i++)
		if (others[i] >= 0)
			wait = Min(wait, others[i]);
	worker_sleep_begin(WORKER_PD);
	if (!bus_pending(WORKER_PD))
		server_wait(pd->server, wait);
	worker_sleep_end(WORKER_PD);
}

/* Why the node must not serve until its settings are changed, if so. */
static char misplaced[256];

/* Grows at the commit of every CREATE EXTENSION. */
static uint64
extension_generation(void)
{
	return pg_atomic_read_u64(&tikv_shmem()->extension_generation);
}

/* Serve until asked to stop, the extension goes, or a round is lost. */
static const char *
serve(Pd *pd, const TableOids *tables)
{
	int64 next_check_us = board_now_us() + CHECK_INTERVAL_US;
	uint64 generation = extension_generation();
	char told[sizeof(pd->reason)] = "";

	pd->heard_us = board_now_us();
	while (!worker_should_stop())
	{
		int done;

		worker_handle_interrupts();
		group_clock(pd);
		done = server_poll(pd->server, MAX_EVENTS_PER_ROUND);
		done += take_bus(pd);
		take_bus_replies();
		done += take_http(pd);
		if (!finish_round(pd))
			return "a change could not be saved, see the server's log";
		if (pd->fenced[0] != '\0' && group_uncount_start(pd))
		{
			strlcpy(misplaced, pd->fenced, sizeof(misplaced));
			worker_fence(WORKER_PD);
			return misplaced;
		}
		if (join_verdict(pd, misplaced, sizeof(misplaced)))
			return misplaced[0] != '\0' ? misplaced : "joins another cluster";
		report_refusals(pd, told, sizeof(told));
		report_leader(pd);
		observe_round(pd);
		if (board_now_us() >= next_check_us ||
			generation != extension_generation())
		{
			generation = extension_generation();
			next_check_us = board_now_us() + CHECK_INTERVAL_US;
			if (!extension_is_ours(tables))
				return "the extension was dropped";
			if (!worker_tls_tick(pd->tls))
				return "TLS was switched on or off";
			pd->reason[0] = '\0';
		}
		if (done == 0)
			sleep_round(pd, next_check_us);
	}
	return "the worker is stopping";
}

static void
bring_down(Pd *pd, const char *reason)
{
	worker_report(WORKER_PD, WORKER_STOPPING, reason, "");
	worker_note(WORKER_PD, WORKER_NOTE_LEADER, "");
	server_set_serving(pd->server, false);
	pd_stop(pd);
	server_stop(pd->server, STOP_MS);
	pd->server = NULL;
	if (pd->http != NULL)
		http_stop(pd->http);
	pd->http = NULL;
	group_stop(pd);
	bus_worker_reset(WORKER_PD);
}

/* One life: from the extension's creation to its drop, or to a stop. */
static void
run_pd(Pd *pd)
{
	TableOids tables;

	worker_wait_for_extension(WORKER_PD, &tables);
	if (worker_should_stop() || !worker_tls_start(WORKER_PD, &pd->tls))
		return;
	if (misplaced[0] != '\0')
	{
		worker_report(WORKER_PD, WORKER_WAITING, misplaced, "");
		worker_sleep(WORKER_PD, RETRY_MS);
		return;
	}
	if (!pd_start(pd))
	{
		if (pd->fenced[0] != '\0')
		{
			strlcpy(misplaced, pd->fenced, sizeof(misplaced));
			worker_fence(WORKER_PD);
			return;
		}
		worker_report(WORKER_PD, WORKER_WAITING, pd->reason, "");
		worker_sleep(WORKER_PD, RETRY_MS);
		return;
	}
	pd->start_time = (int64) time(NULL);
	pd_set_bounds(pd, worker_memory_limit());
	pd->http = start_http(pd->tls);
	pd->server = start_server(pd);
	worker_report(WORKER_PD, WORKER_SERVING, "",
				  worker_tls_address(pd->tls, tikv_fdw_settings.pd_addr));
	forward_start(pd);
	pd_note_local_regions(pd);
	bring_down(pd, serve(pd, &tables));
}

void
tikv_pd_main(Datum arg)
{
	Pd *pd;

	(void) arg;
	worker_startup(WORKER_PD);
	pd = MemoryContextAllocZero(TopMemoryContext, sizeof(Pd));
	while (!worker_should_stop())
	{
		pd_init(pd);
		arena_charge(&pd->arena, server_memory_account());
		run_pd(pd);
		pd_free(pd);
	}
	proc_exit(1);
}
