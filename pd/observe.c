/*
 * observe.c
 *	  What PD counts of its requests, and its slow log.
 */
#include "postgres.h"

#include "bus/board.h"
#include "bus/metrics.h"
#include "bus/slow.h"
#include "pd/pd.h"
#include "worker_common.h"

#define MAX_METHODS 256

/* The method's counters; found by its place in the table, made at first. */
static MetricRequests *
row_of(const PdMethod *method)
{
	static MetricRequests *rows[MAX_METHODS];
	ptrdiff_t at = method - pd_methods;

	if (at < 0 || at >= MAX_METHODS)
		return NULL;
	if (rows[at] == NULL)
		rows[at] = metrics_row(method->path + 1, true);
	return rows[at];
}

static MetricResult
result_of(const ReplyTo *to, bool failed)
{
	if (failed)
		return RESULT_FAILED;
	return to->error ? RESULT_ERROR : RESULT_OK;
}

void
observe_reply(const ReplyTo *to, bool failed)
{
	MetricRequests *row = row_of(to->asked);
	MetricResult result = result_of(to, failed);
	SlowRequest slow = {.received_us = to->asked_us,
						.begun_us = to->asked_us,
						.answered_us = board_now_us(),
						.result = metric_result_name(result)};

	if (row == NULL)
		return;
	slow.method = row->name;
	if (to->call == NULL)
		metric_add(&row->over_bus, 1);
	else
	{
		metric_add(&row->results[result], 1);
		metric_observe(&row->duration,
					   (uint64) Max(slow.answered_us - slow.received_us, 0),
					   HISTOGRAM_UNIT_US);
	}
	if (slow_wanted(&slow))
		slow_write(&slow);
}

void
observe_round(const Pd *pd)
{
	ServerCounters counters;

	server_counters(pd->server, &counters);
	worker_count_server(&counters, server_unsent_bytes(pd->server));
}
