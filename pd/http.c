/*
 * http.c
 *	  PD's HTTP interface: which handler answers which path.
 *
 * Paths, fields and texts are those of tikv/pd (server/api/router.go,
 * server/apiv2); what tools and clients read of them is compared in
 * test/compat.  A handler decides over the same state as the RPCs and its
 * changes join the same rounds.
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "bus/board.h"
#include "bus/failpoints.h"
#include "bus/metrics.h"
#include "pd/http_ask.h"

#define API_ROOT "/pd/api/"

static const HttpRoute *const all_routes[] =
	{http_member_routes, http_cluster_routes, http_schedule_routes,
	 http_store_routes,	 http_region_routes,  http_stats_routes,
	 http_task_routes,	 http_config_routes,  http_keyspace_routes};

/* ---- what handlers share ---- */

void
http_say(HttpAsk *ask, int status, const char *text)
{
	json_init(&ask->json, ask->arena);
	json_string(&ask->json, NULL, text);
	ask->status = status;
}

bool
http_failed(HttpAsk *ask, PdError error)
{
	int status = HTTP_INTERNAL;

	if (error.type == PD_OK)
		return false;
	if (error.type == PD_STORE_TOMBSTONE)
		status = HTTP_GONE;
	else if (error.type == PD_INVALID_VALUE)
		status = HTTP_BAD_REQUEST;
	else if (error.type == PD_ENTRY_NOT_FOUND)
		status = HTTP_NOT_FOUND;
	http_say(ask, status, error.text);
	return true;
}

const JsonValue *
http_object(HttpAsk *ask)
{
	const JsonValue *value = json_parse(ask->body, ask->arena);

	if (value != NULL && value->type == JSON_OBJECT)
		return value;
	http_say(ask, HTTP_BAD_REQUEST, "the body must be a JSON object");
	return NULL;
}

bool
http_pairs(HttpAsk *ask, const JsonValue *object, bool nulls, Pair **out,
		   size_t *n)
{
	*n = 0;
	*out = NULL;
	if (object == NULL || object->type == JSON_NULL)
		return true;
	if (object->type != JSON_OBJECT)
		return false;
	*out = arena_alloc(ask->arena, object->n * sizeof(Pair));
	for (const JsonValue *value = object->first; value != NULL;
		 value = value->next)
	{
		bool null = value->type == JSON_NULL;

		if (value->type != JSON_STRING && !(null && nulls))
			return false;
		(*out)[*n].key = value->key;
		(*out)[(*n)++].value = null ? NULL : value->text;
	}
	return true;
}

const char *
http_time(int64 ns, Arena *arena)
{
	time_t seconds = (time_t) (ns / 1000000000);
	struct tm tm;
	char date[40];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_printf(arena, "%s.%09dZ", date, (int) (ns % 1000000000));
}

const char *
http_duration(int64 seconds, Arena *arena)
{
	int64 hours = seconds / 3600;
	int64 minutes = seconds / 60 % 60;

	if (hours > 0)
		return arena_printf(arena, "%lldh%lldm%llds", (long long) hours,
							(long long) minutes, (long long) (seconds % 60));
	if (minutes > 0)
		return arena_printf(arena, "%lldm%llds", (long long) minutes,
							(long long) (seconds % 60));
	return arena_printf(arena, "%llds", (long long) seconds);
}

const char *
http_size(uint64 bytes, Arena *arena)
{
	static const char *const units[] = {"B",   "KiB", "MiB", "GiB",
										"TiB", "PiB", "EiB"};
	double size = (double) bytes;
	int unit = 0;

	while (size >= 1024.0 && unit < (int) lengthof(units) - 1)
	{
		size /= 1024.0;
		unit++;
	}
	return arena_printf(arena, "%.4g%s", size, units[unit]);
}

/* ---- routes ---- */

/* Is this path the route's?  Both begin after /pd/api/. */
static bool
matches(const HttpRoute *route, const Url *url)
{
	const char *at = route->path;
	int segment = 2;

	while (*at != '\0')
	{
		size_t len = strcspn(at, "/");
		const char *text = url_text(url, segment);

		if (segment >= url->n_segments)
			return false;
		if ((len != 2 || strncmp(at, "{}", 2) != 0) &&
			(text == NULL || strlen(text) != len ||
			 strncmp(at, text, len) != 0))
			return false;
		segment++;
		at += len;
		at += *at == '/' ? 1 : 0;
	}
	return segment == url->n_segments;
}

/* NULL with *known: the path is there, but not for this method. */
static const HttpRoute *
find_route(const Url *url, const char *method, bool *known)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

	*known = false;
	if (url->n_segments < 2 || url_text(url, 0) == NULL ||
		strcmp(url_text(url, 0), "pd") != 0 || url_text(url, 1) == NULL ||
		strcmp(url_text(url, 1), "api") != 0)
		return NULL;
	for (int i = 0; i < (int) lengthof(all_routes); i++)
		for (const HttpRoute *route = all_routes[i]; route->path != NULL;
			 route++)
		{
			if (!matches(route, url))
				continue;
			*known = true;
			if (strcmp(route->method, wanted) == 0)
				return route;
		}
	return NULL;
}

/*
 * With TLS members do not know where another one serves HTTPS, so nobody is
 * sent to the leader.  What every member knows is answered while it hears one.
 */
static bool
answers_itself(const Pd *pd, const HttpRoute *wanted)
{
	const HttpRoute *route = http_member_routes;

	while (route->path != NULL && route != wanted)
		route++;
	return route == wanted && pd->tls != NULL && pd_leader(pd) != NULL;
}

static void
say_who_leads(HttpAsk *ask)
{
	const char *url = forward_leader_url(ask->pd);

	http_say(
		ask, HTTP_UNAVAILABLE,
		url == NULL ?
			"no leader" :
			arena_printf(ask->arena,
						 "this member does not lead, and where the leader "
						 "serves HTTPS is not known here: its gRPC address "
						 "is %s, ask it at its tikv.pd_http_addr",
						 url));
}

/* tikv/pd's older names of two pages, without /api/v1, which tiup asks for. */
static void
use_new_name(Url *url)
{
	const char *name = url->n_segments == 2 ? url_text(url, 1) : NULL;

	if (name == NULL || !bytes_eq(url->segments[0], bytes_cstr("pd")) ||
		(strcmp(name, "ping") != 0 && strcmp(name, "health") != 0))
		return;
	url->segments[3] = url->segments[1];
	url->segments[1] = bytes_cstr("api");
	url->segments[2] = bytes_cstr("v1");
	url->n_segments = 4;
}

static void
dispatch(HttpAsk *ask, const char *method)
{
	bool known;
	const HttpRoute *route;

	use_new_name(&ask->url);
	route = find_route(&ask->url, method, &known);
	if (route == NULL)
		http_say(ask, known ? HTTP_METHOD_NOT_ALLOWED : HTTP_NOT_FOUND,
				 known ? "method not allowed" : HTTP_NO_SUCH_PAGE);
	else if (!group_may_serve(ask->pd) && !answers_itself(ask->pd, route))
		say_who_leads(ask);
	else if (route->bootstrapped && !ask->pd->state.cluster.bootstrapped)
		http_say(ask, HTTP_INTERNAL,
				 "[PD:cluster:ErrNotBootstrapped]TiKV cluster not "
				 "bootstrapped, please start TiKV first");
	else
		route->handler(ask);
}

/* Another member leads: the client is to ask it. */
static bool
redirect(Pd *pd, HttpRequest *request)
{
	const char *url = forward_leader_url(pd);
	ReplyTo to = {.http = request};

	if (group_may_serve(pd) || url == NULL || pd->tls != NULL)
		return false;
	pd_reply_http(pd, &to, HTTP_REDIRECT, "text/plain",
				  bytes_cstr(arena_printf(&pd->arena, "%s%s", url,
										  http_uri(request))));
	return true;
}

/* What was decided is not done if it cannot be kept, or answered. */
static void
settle(HttpAsk *ask)
{
	const char *why = PD_ANSWER_TOO_LARGE;

	if (!ask->json.full &&
		(ask->status != HTTP_OK || ask->changes.n == 0 ||
		 pd_change(ask->pd, &ask->changes, &why)))
		return;
	http_say(ask, HTTP_UNAVAILABLE, why);

	/* Its ids were not saved. */
	if (ask->operator_of != 0)
		(void) schedule_cancel(&ask->pd->schedule, ask->operator_of,
							   board_now_us());
}

void
http_serve(Pd *pd, HttpRequest *request)
{
	ReplyTo to = {.http = request};
	HttpAsk ask = {.pd = pd, .arena = &pd->arena, .to = &to, .status = HTTP_OK};
	struct timespec now;

	metrics_add(VALUE_HTTP_REQUESTS, 1);
	if (http_serve_metrics(pd, request) || redirect(pd, request))
		return;
	if (server_memory_is_short())
	{
		pd_reply_http(pd, &to, HTTP_UNAVAILABLE, "text/plain",
					  bytes_cstr("server is busy"));
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += FAILPOINT_CLOCK_S;
	ask.now = now.tv_sec;
	ask.now_ns = (int64) now.tv_sec * 1000000000 + now.tv_nsec;
	ask.body = http_body(request);
	pd_changes_init(&ask.changes, ask.arena);
	json_init(&ask.json, ask.arena);
	ask.json.most = ask.arena->allocated + pd->max_answer;
	if (!url_parse(http_uri(request), ask.arena, &ask.url))
		http_say(&ask, HTTP_BAD_REQUEST, "the URL cannot be read");
	else
		dispatch(&ask, http_method(request));
	if (ask.later)
		return;
	settle(&ask);
	pd_reply_http(pd, &to, ask.status, HTTP_JSON, json_text(&ask.json));
}
