/*
 * slow.c
 *	  The slow log of a worker.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "bus/slow.h"
#include "guc.h"

#define LINES_PER_S 100

static int64 second_us; /* that `lines` belongs to */
static int lines;
static uint64 left_out; /* since the last line */

bool
slow_wanted(const SlowRequest *request)
{
	int threshold_ms = tikv_fdw_settings.slow_log_ms;

	if (threshold_ms < 0 ||
		slow_log_took_us(request) < (int64) threshold_ms * 1000)
		return false;
	metrics_add(VALUE_SLOW_REQUESTS, 1);
	if (request->answered_us - second_us >= INT64CONST(1000000))
	{
		second_us = request->answered_us;
		lines = 0;
	}
	if (lines < LINES_PER_S)
		return true;
	left_out++;
	return false;
}

void
slow_write(const SlowRequest *request)
{
	char text[SLOW_LOG_TEXT_SIZE];

	slow_log_text(request, text);
	lines++;
	if (left_out == 0)
		ereport(LOG,
				(errmsg_internal("%s: %s", worker_name(metrics_kind()), text)));
	else
		ereport(LOG,
				(errmsg_internal("%s: %s; %llu before it were not logged",
								 worker_name(metrics_kind()), text,
								 (unsigned long long) left_out)));
	left_out = 0;
}
