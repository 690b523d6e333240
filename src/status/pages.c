/*
 * pages.c
 *	  Which page answers which path of the status port.
 *
 * Paths and answers are TiKV's (tikv/tikv src/server/status_server/mod.rs);
 * /health is our own: /status says no more than that somebody listens.
 */
#include "postgres.h"

#include "bus/collect.h"
#include "bus/shmem.h"
#include "core/stats/exposition.h"
#include "status/status.h"

void
page_say(StatusPage *page, int status, const char *text)
{
	page->status = status;
	page->type = TYPE_TEXT;
	page->body = bytes_cstr(text);
}

static void
page_metrics(StatusPage *page)
{
	Exposition out;
	MetricSink sink;

	exposition_init(&out, page->arena);
	sink = exposition_sink(&out);
	metrics_collect(&sink);
	page->type = EXPOSITION_TYPE;
	page->body = exposition_text(&out);
}

/* An empty body with 200, as TiKV has it: there is a process. */
static void
page_status(StatusPage *page)
{
	page->type = TYPE_TEXT;
}

/* What tikv_status() says of workers, of those that it says something of. */
static void
add_reasons(JsonWriter *json)
{
	WorkerView view;

	json_open(json, "reasons", '{');
	for (int kind = 0; kind < WORKER_KINDS; kind++)
		if (worker_view((WorkerKind) kind, &view) && view.registered &&
			worker_view_reason(&view)[0] != '\0')
			json_string(json, worker_name((WorkerKind) kind) + strlen("tikv "),
						worker_view_reason(&view));
	json_close(json, '}');
}

/*
 * Does the node serve clients?  The store and PD decide; each worker's state
 * is told.  503 is what a load balancer goes by, so it is about this
 * node alone: the death of others, by which groups have no leader, is among
 * the reasons, and does not take out the rest.
 */
static void
page_health(StatusPage *page)
{
	bool healthy = true;
	JsonWriter json;

	json_init(&json, page->arena);
	json_open(&json, NULL, '{');
	json_open(&json, "workers", '{');
	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		WorkerView view;

		if (!worker_view((WorkerKind) kind, &view) || !view.registered)
			continue;
		json_string(&json, worker_name((WorkerKind) kind) + strlen("tikv "),
					worker_state_name(view.state));
		if ((kind == WORKER_STORE || kind == WORKER_PD) &&
			view.state != WORKER_SERVING)
			healthy = false;
	}
	json_close(&json, '}');
	add_reasons(&json);
	json_bool(&json, "healthy", healthy);
	json_close(&json, '}');
	page->status = healthy ? HTTP_OK : HTTP_UNAVAILABLE;
	page->type = TYPE_JSON;
	page->body = json_text(&json);
}

typedef struct Route
{
	const char *name; /* the path's first segment */
	int segments;
	void (*page)(StatusPage *page);
} Route;

static const Route routes[] = {{"metrics", 1, page_metrics},
							   {"status", 1, page_status},
							   {"health", 1, page_health},
							   {"config", 1, page_config},
							   {"region", 2, page_region}};

static const Route *
find_route(const Url *url)
{
	const char *name = url->n_segments > 0 ? url_text(url, 0) : NULL;

	for (int i = 0; name != NULL && i < (int) lengthof(routes); i++)
		if (strcmp(routes[i].name, name) == 0 &&
			routes[i].segments == url->n_segments)
			return &routes[i];
	return NULL;
}

void
page_serve(StatusPage *page, const char *method, const char *uri)
{
	const Route *route;

	page->status = HTTP_OK;
	if (!url_parse(uri, page->arena, &page->url))
	{
		page_say(page, HTTP_BAD_REQUEST, "the URL cannot be read");
		return;
	}
	route = find_route(&page->url);
	if (route != NULL && strcmp(route->name, "config") == 0 &&
		strcmp(method, "POST") == 0)
		page_say(page, HTTP_NOT_IMPLEMENTED,
				 "settings are changed in Postgres, by ALTER SYSTEM");
	else if (route == NULL ||
			 (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
		page_say(page, HTTP_NOT_FOUND, "path not found");
	else
		route->page(page);
}
