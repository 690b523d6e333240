/*
 * collect_requests.c
 *	  Samples of requests, by method.
 */
#include "postgres.h"

#include "bus/collect_internal.h"

static uint64
count_of(const pg_atomic_uint64 *counter)
{
	return pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, counter));
}

static uint64
over_grpc(const MetricRequests *row)
{
	uint64 n = 0;

	for (int i = 0; i < METRIC_RESULTS; i++)
		n += count_of(&row->results[i]);
	return n;
}

static bool
is_kv(WorkerKind kind)
{
	return kind == WORKER_STORE || worker_is_server(kind);
}

/* Call a function for every row of the workers that `wanted` names. */
static void
each_row(const MetricSink *sink, const MetricFamily *family,
		 bool (*wanted)(WorkerKind kind),
		 void (*show)(const MetricSink *sink, const MetricSample *base,
					  WorkerKind kind, const MetricRequests *row))
{
	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		const WorkerMetrics *metrics;
		uint32 n;

		if (!wanted((WorkerKind) kind) ||
			!worker_has_metrics((WorkerKind) kind, &metrics))
			continue;
		n = pg_atomic_read_u32(unconstify(pg_atomic_uint32 *,
										  &metrics->n_rows));
		pg_read_barrier();
		for (uint32 i = 0; i < n; i++)
		{
			MetricSample sample;

			sample_begin(&sample, family);
			sample_label(&sample, "type", metrics->rows[i].name);
			sample_worker(&sample, (WorkerKind) kind);
			show(sink, &sample, (WorkerKind) kind, &metrics->rows[i]);
		}
	}
}

static bool
is_pd(WorkerKind kind)
{
	return kind == WORKER_PD;
}

static bool
is_store(WorkerKind kind)
{
	return kind == WORKER_STORE;
}

static bool
is_any(WorkerKind kind)
{
	return kind != WORKER_STATUS;
}

static void
show_duration(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
			  const MetricRequests *row)
{
	(void) kind;
	if (over_grpc(row) > 0)
		sample_histogram(sink, base, &row->duration, HISTOGRAM_UNIT_US, 1e6);
}

static void
show_failed(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
			const MetricRequests *row)
{
	MetricSample sample = *base;

	(void) kind;
	sample_emit(sink, &sample, (double) count_of(&row->results[RESULT_FAILED]));
}

/* What a server passes on is counted by the store that carries it out. */
static void
show_commands(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
			  const MetricRequests *row)
{
	MetricSample sample = *base;

	(void) kind;
	if (row->executed)
		sample_emit(sink, &sample,
					(double) (over_grpc(row) + count_of(&row->over_bus)));
}

static void
show_busy(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
		  const MetricRequests *row)
{
	MetricSample sample = *base;

	(void) kind;
	sample_emit(sink, &sample, (double) count_of(&row->busy));
}

static void
show_results(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
			 const MetricRequests *row)
{
	(void) kind;
	for (int i = 0; i < METRIC_RESULTS; i++)
	{
		MetricSample sample = *base;
		uint64 n = count_of(&row->results[i]);

		if (n == 0 && i != RESULT_OK)
			continue;
		sample_label(&sample, "result", metric_result_name((MetricResult) i));
		sample_emit(sink, &sample, (double) n);
	}
}

static void
show_bus(const MetricSink *sink, const MetricSample *base, WorkerKind kind,
		 const MetricRequests *row)
{
	MetricSample sample = *base;
	uint64 n = count_of(&row->over_bus);

	(void) kind;
	if (n > 0)
		sample_emit(sink, &sample, (double) n);
}

static void
collect_sql(const MetricSink *sink)
{
	static const MetricFamily family = {"tikv_fdw_sql_reads_total",
										"Rounds of reads by SQL functions.",
										METRIC_COUNTER};
	MetricSample sample;

	sample_begin(&sample, &family);
	sample_emit(sink, &sample,
				(double) count_of(&tikv_shmem()->metrics->sql_reads));
}

void
collect_requests(const MetricSink *sink)
{
	static const MetricFamily
		duration = {"tikv_grpc_msg_duration_seconds",
					"Requests of KV clients, from the message to its answer.",
					METRIC_HISTOGRAM},
		failed = {"tikv_grpc_msg_fail_total",
				  "Requests of KV clients that ended with a gRPC status.",
				  METRIC_COUNTER},
		commands = {"tikv_storage_command_total",
					"Commands, from clients and from SQL.", METRIC_COUNTER},
		busy = {"tikv_scheduler_too_busy_total",
				"Commands that the store answered with ServerIsBusy.",
				METRIC_COUNTER},
		pd = {"tikv_fdw_pd_request_duration_seconds",
			  "Requests to the Placement Driver.", METRIC_HISTOGRAM},
		results = {"tikv_fdw_requests_total",
				   "Requests over gRPC, by how they ended.", METRIC_COUNTER},
		bus = {"tikv_fdw_bus_requests_total",
			   "Requests that SQL sessions and other workers sent.",
			   METRIC_COUNTER};

	each_row(sink, &duration, is_kv, show_duration);
	each_row(sink, &failed, is_kv, show_failed);
	each_row(sink, &commands, is_kv, show_commands);
	each_row(sink, &busy, is_store, show_busy);
	each_row(sink, &pd, is_pd, show_duration);
	each_row(sink, &results, is_any, show_results);
	each_row(sink, &bus, is_any, show_bus);
	collect_sql(sink);
}
