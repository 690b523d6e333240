/*
 * worker.c
 *	  The `tikv status` process: its start, its loop, its end.
 *
 * It owns nothing and nobody depends on it: it shows counters and states that
 * the others leave in shared memory.  It sleeps until somebody asks, the store
 * stops or starts, or a signal comes.  Its library links libmicrohttpd and not
 * gRPC, which is most of what the other workers weigh.
 */
#include "postgres.h"

#include "access/xact.h"
#include "bus/board.h"
#include "bus/metrics.h"
#include "guc.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/http.h"
#include "status/status.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "worker_common.h"
#include "worker_tls.h"

PGDLLEXPORT void tikv_status_main(Datum arg);

/* Pages are read by few, and any request is small. */
#define MAX_BODY ((size_t) 64 * 1024)
#define MAX_CONNECTIONS 64
#define IDLE_S 120

/* The extension is looked for at most so often, and at least. */
#define CHECK_INTERVAL_US INT64CONST(1000000)
#define IDLE_CHECK_US INT64CONST(60000000)

/* A port in use is tried again. */
#define RETRY_MS 1000

typedef struct StatusWorker
{
	TableOids tables;
	HttpServer *http;
	Tls *tls;			   /* NULL: off */
	MemoryContext context; /* of one page */
	Arena arena;
	int64 checked_us;
	char told[256]; /* why it cannot listen, when it was logged */
} StatusWorker;

/* ------------------------------------------------------------------- pages */

/*
 * A page that throws is answered with what was wrong; the counters and this
 * process live on.
 */
static void
answer(StatusWorker *status, HttpRequest *request)
{
	StatusPage page = {.arena = &status->arena, .type = TYPE_TEXT};

	metrics_add(VALUE_HTTP_REQUESTS, 1);
	MemoryContextSwitchTo(status->context);
	PG_TRY();
	{
		page_serve(&page, http_method(request), http_uri(request));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(status->context);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		page_say(&page, HTTP_INTERNAL, "the page failed, see the server's log");
	}
	PG_END_TRY();
	http_answer(request, page.status, page.type, page.body);
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextReset(status->context);
	arena_reset(&status->arena);
}

static void
answer_all(StatusWorker *status)
{
	HttpRequest *request;

	while (!worker_should_stop() && (request = http_take(status->http)) != NULL)
		answer(status, request);
}

/* -------------------------------------------------------------------- life */

/* While the catalogs are locked the extension cannot be told to be gone. */
static bool
extension_is_ours(const StatusWorker *status)
{
	TableOids now;
	TablesAnswer answer;

	StartTransactionCommand();
	answer = tables_resolve_nowait(&now);
	CommitTransactionCommand();
	return answer == TABLES_LOCKED ||
		(answer == TABLES_OK && now.extension == status->tables.extension);
}

static HttpServer *
listen_for_requests(StatusWorker *status)
{
	HttpConfig config = {0};
	char error[200];
	char reason[sizeof(status->told)];
	HttpServer *http;

	config.addr = tikv_fdw_settings.status_addr;
	config.wake_fd = worker_wake_fd(WORKER_STATUS);
	config.max_body = MAX_BODY;
	config.max_connections = MAX_CONNECTIONS;
	config.idle_s = IDLE_S;
	config.tls = status->tls;
	http = http_start(&config, error, sizeof(error));
	if (http != NULL)
	{
		status->told[0] = '\0';
		return http;
	}
	snprintf(reason, sizeof(reason), "cannot listen on tikv.status_addr: %s",
			 error);
	worker_report(WORKER_STATUS, WORKER_WAITING, reason, "");
	pgstat_report_activity(STATE_IDLE, reason);
	if (strcmp(reason, status->told) != 0)
		ereport(
			LOG,
			(errmsg("%s %s", worker_name(WORKER_STATUS), reason),
			 errhint(
				 "Free the port or change tikv.status_addr; the worker tries again.")));
	strlcpy(status->told, reason, sizeof(status->told));
	return NULL;
}

/*
 * Every wake-up may be the store's, which stops when the extension goes; but
 * a look at the catalogs per request would be too much.  Returns how long to
 * sleep, or -1: the extension is gone, or TLS was switched on or off.
 */
static int64
check_extension(StatusWorker *status)
{
	int64 now_us = board_now_us();

	if (now_us - status->checked_us < CHECK_INTERVAL_US)
		return status->checked_us + CHECK_INTERVAL_US - now_us;
	status->checked_us = now_us;
	if (!extension_is_ours(status) || !worker_tls_tick(status->tls))
		return -1;

	/* Renewed certificates come without a signal. */
	return status->tls != NULL ? CHECK_INTERVAL_US : IDLE_CHECK_US;
}

static void
serve(StatusWorker *status)
{
	while (!worker_should_stop())
	{
		int64 sleep_us;

		worker_handle_interrupts();
		answer_all(status);
		sleep_us = check_extension(status);
		if (sleep_us < 0)
			return;
		if (!worker_should_stop())
			worker_sleep(WORKER_STATUS, sleep_us / 1000 + 1);
	}
}

/* One life: from the extension's creation to its drop, or to a stop. */
static void
run_status(StatusWorker *status)
{
	worker_wait_for_extension(WORKER_STATUS, &status->tables);
	if (worker_should_stop() || !worker_tls_start(WORKER_STATUS, &status->tls))
		return;
	status->http = listen_for_requests(status);
	if (status->http == NULL)
	{
		worker_sleep(WORKER_STATUS, RETRY_MS);
		return;
	}
	status->checked_us = board_now_us();
	worker_report(WORKER_STATUS, WORKER_SERVING, "",
				  worker_tls_address(status->tls,
									 tikv_fdw_settings.status_addr));
	worker_tls_warn(WORKER_STATUS, status->tls, "tikv.status_addr",
					tikv_fdw_settings.status_addr);
	pgstat_report_activity(STATE_IDLE, "");
	serve(status);
	worker_report(WORKER_STATUS, WORKER_STOPPING, "", "");
	http_stop(status->http);
	status->http = NULL;
}

void
tikv_status_main(Datum arg)
{
	StatusWorker *status;

	(void) arg;
	worker_startup(WORKER_STATUS);
	status = MemoryContextAllocZero(TopMemoryContext, sizeof(StatusWorker));
	arena_init(&status->arena);
	status->context = AllocSetContextCreate(TopMemoryContext, "tikv page",
											ALLOCSET_DEFAULT_SIZES);
	while (!worker_should_stop())
		run_status(status);
	proc_exit(1);
}
