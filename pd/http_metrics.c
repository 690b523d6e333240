/*
 * http_metrics.c
 *	  HTTP: what Prometheus scrapes of a PD.
 *
 * Any member answers for its own process.  All that the node counts is on the
 * status port; here is the worker's part, so that who scrapes both ports counts
 * nothing twice but this.
 */
#include "postgres.h"

#include "bus/collect.h"
#include "core/stats/exposition.h"
#include "pd/http_ask.h"

#define PATH "/metrics"

static bool
is_metrics(const HttpRequest *request)
{
	const char *method = http_method(request);
	const char *uri = http_uri(request);
	size_t len = strcspn(uri, "?");

	return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) &&
		len == strlen(PATH) && strncmp(uri, PATH, len) == 0;
}

bool
http_serve_metrics(Pd *pd, HttpRequest *request)
{
	ReplyTo to = {.http = request};
	Exposition out;
	MetricSink sink;

	if (!is_metrics(request))
		return false;
	exposition_init(&out, &pd->arena);
	sink = exposition_sink(&out);
	metrics_collect_worker(&sink, WORKER_PD);
	pd_reply_http(pd, &to, HTTP_OK, EXPOSITION_TYPE, exposition_text(&out));
	return true;
}
