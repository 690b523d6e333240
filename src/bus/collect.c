/*
 * collect.c
 *	  All there is to measure, as samples: what each worker counts.
 *
 * Names of TiKV are used where the meaning is TiKV's (tikv/tikv
 * src/server/metrics.rs, src/storage/metrics.rs,
 * src/server/lock_manager/metrics.rs, components/raftstore/src); what is our
 * own begins with tikv_fdw_.  TiKV is one process and we are several, so most
 * have a label `worker` more, over which panels sum.
 */
#include "postgres.h"

#include "bus/collect_internal.h"

/* ---------------------------------------------------------- shared pieces */

void
sample_begin(MetricSample *sample, const MetricFamily *family)
{
	memset(sample, 0, sizeof(*sample));
	sample->family = family;
	sample->suffix = "";
}

void
sample_label(MetricSample *sample, const char *name, const char *value)
{
	Assert(sample->n_labels < METRIC_MAX_LABELS);
	sample->labels[sample->n_labels].name = name;
	sample->labels[sample->n_labels].value = value;
	sample->n_labels++;
}

void
sample_emit(const MetricSink *sink, MetricSample *sample, double value)
{
	sample->value = value;
	sink->take(sink->arg, sample);
}

void
sample_worker(MetricSample *sample, WorkerKind kind)
{
	sample_label(sample, "worker", worker_name(kind) + strlen("tikv "));
}

bool
worker_has_metrics(WorkerKind kind, const WorkerMetrics **out)
{
	WorkerView view;

	*out = &tikv_shmem()->metrics->workers[kind];
	return worker_view(kind, &view) && view.pid != 0;
}

void
sample_histogram(const MetricSink *sink, const MetricSample *base,
				 const MetricBuckets *histogram, uint64 unit, double scale)
{
	MetricSample sample = *base;
	int le = sample.n_labels;
	char text[32] = "";
	uint64 count = 0;

	sample.suffix = "_bucket";
	sample_label(&sample, "le", text);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		count += pg_atomic_read_u64(unconstify(pg_atomic_uint64 *,
											   &histogram->buckets[i]));
		if (i < HISTOGRAM_BOUNDS)
			snprintf(text, sizeof(text), "%.10g",
					 (double) histogram_bound(i, unit) / scale);
		else
			strlcpy(text, "+Inf", sizeof(text));
		sample_emit(sink, &sample, (double) count);
	}
	sample.n_labels = le;
	sample.suffix = "_sum";
	sample_emit(sink, &sample,
				(double) pg_atomic_read_u64(unconstify(pg_atomic_uint64 *,
													   &histogram->sum)) /
					scale);
	sample.suffix = "_count";
	sample_emit(sink, &sample, (double) count);
}

/* ---------------------------------------------------- numbers of a worker */

/* Which workers have it. */
typedef enum Who
{
	OF_STORE = 1,
	OF_PD = 2,
	OF_SERVERS = 4,
	OF_STATUS = 8,
	OF_KV = OF_STORE | OF_SERVERS,
	OF_GRPC = OF_KV | OF_PD,
	OF_HTTP = OF_PD | OF_STATUS
} Who;

static Who
who_is(WorkerKind kind)
{
	if (kind == WORKER_STORE)
		return OF_STORE;
	if (kind == WORKER_PD)
		return OF_PD;
	return worker_is_server(kind) ? OF_SERVERS :
		worker_is_reader(kind)	  ? 0 :
									OF_STATUS;
}

typedef struct ValueFamily
{
	MetricFamily family;
	MetricValue value;
	int who;
	bool plain; /* no label: the store alone has it, as in TiKV */
} ValueFamily;

static const ValueFamily value_families[] = {
	{{"tikv_scheduler_contex_total", "Writes that wait for their turn.",
	  METRIC_GAUGE},
	 VALUE_QUEUED_WRITES,
	 OF_STORE,
	 true},
	{{"tikv_scheduler_writing_bytes",
	  "Bytes of the writes that wait for their turn.", METRIC_GAUGE},
	 VALUE_QUEUED_BYTES,
	 OF_STORE,
	 true},
	{{"tikv_fdw_lock_waiters", "Requests that wait for a lock.", METRIC_GAUGE},
	 VALUE_LOCK_WAITERS,
	 OF_STORE,
	 true},
	{{"tikv_fdw_turns_total",
	  "Writing transactions: turns of the store, rounds of PD.",
	  METRIC_COUNTER},
	 VALUE_TURNS,
	 OF_STORE | OF_PD,
	 false},
	{{"tikv_fdw_aborted_turns_total",
	  "Writing transactions that were rolled back.", METRIC_COUNTER},
	 VALUE_ABORTED_TURNS,
	 OF_STORE | OF_PD,
	 false},
	{{"tikv_fdw_blocked_turns_total",
	  "Turns of groups with several peers that found their tables locked.",
	  METRIC_COUNTER},
	 VALUE_BLOCKED_TURNS,
	 OF_STORE,
	 false},
	{{"tikv_fdw_regions_woken_total",
	  "Times that a sleeping peer of a region was woken.", METRIC_COUNTER},
	 VALUE_REGIONS_WOKEN,
	 OF_STORE,
	 false},
	{{"tikv_fdw_unreadable_blocks_total",
	  "Blocks of tables being compacted that could not be read.",
	  METRIC_COUNTER},
	 VALUE_UNREADABLE_BLOCKS,
	 OF_STORE,
	 false},
	{{"tikv_fdw_slow_requests_total",
	  "Requests that took longer than tikv.slow_log_threshold.",
	  METRIC_COUNTER},
	 VALUE_SLOW_REQUESTS,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_calls_total", "Unary calls begun.", METRIC_COUNTER},
	 VALUE_GRPC_CALLS,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_stream_messages_total", "Messages of streams received.",
	  METRIC_COUNTER},
	 VALUE_GRPC_MESSAGES,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_refused_total",
	  "Calls and commands refused because a bound was reached.",
	  METRIC_COUNTER},
	 VALUE_GRPC_REFUSED,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_connections_ended_total",
	  "Connections that were ended because they were floods.", METRIC_COUNTER},
	 VALUE_GRPC_ENDED,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_received_bytes_total", "Bytes of messages received.",
	  METRIC_COUNTER},
	 VALUE_GRPC_RECEIVED_BYTES,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_sent_bytes_total", "Bytes of messages sent.",
	  METRIC_COUNTER},
	 VALUE_GRPC_SENT_BYTES,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_streams", "Open streams.", METRIC_GAUGE},
	 VALUE_GRPC_STREAMS,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_calls_in_flight", "Unary calls not answered yet.",
	  METRIC_GAUGE},
	 VALUE_GRPC_IN_FLIGHT,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_grpc_unsent_bytes",
	  "Bytes of answers that clients have not taken yet.", METRIC_GAUGE},
	 VALUE_GRPC_UNSENT_BYTES,
	 OF_GRPC,
	 false},
	{{"tikv_fdw_request_memory_bytes",
	  "What requests and answers hold, bounded by tikv.memory_limit.",
	  METRIC_GAUGE},
	 VALUE_MEMORY_USED,
	 OF_KV,
	 false},
	{{"tikv_fdw_long_reads_total",
	  "Reads that were handed to a reader because they take long.",
	  METRIC_COUNTER},
	 VALUE_LONG_READS,
	 OF_KV,
	 false},
	{{"tikv_fdw_raft_messages_sent_total",
	  "Raft messages handed to streams to other nodes.", METRIC_COUNTER},
	 VALUE_RAFT_SENT,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_messages_received_total", "Raft messages of other nodes.",
	  METRIC_COUNTER},
	 VALUE_RAFT_RECEIVED,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_messages_dropped_total",
	  "Raft messages that could not be sent.", METRIC_COUNTER},
	 VALUE_RAFT_DROPPED,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_received_dropped_total",
	  "Raft messages of other nodes that came when too many waited.",
	  METRIC_COUNTER},
	 VALUE_RAFT_INBOX_DROPPED,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_stream_failures_total",
	  "Streams to other nodes that failed or could not be had.",
	  METRIC_COUNTER},
	 VALUE_RAFT_FAILURES,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_queued_bytes",
	  "Bytes of Raft messages that wait for other nodes.", METRIC_GAUGE},
	 VALUE_RAFT_QUEUED_BYTES,
	 OF_STORE,
	 false},
	{{"tikv_fdw_raft_cached_bytes",
	  "Bytes of stored Raft entries that are kept in memory.", METRIC_GAUGE},
	 VALUE_RAFT_CACHED_BYTES,
	 OF_STORE,
	 false},
	{{"tikv_fdw_http_requests_total", "HTTP requests.", METRIC_COUNTER},
	 VALUE_HTTP_REQUESTS,
	 OF_HTTP,
	 false},
};

static void
collect_values(const MetricSink *sink)
{
	for (int i = 0; i < (int) lengthof(value_families); i++)
	{
		const ValueFamily *of = &value_families[i];

		for (int kind = 0; kind < WORKER_KINDS; kind++)
		{
			const WorkerMetrics *metrics;
			MetricSample sample;

			if (!(who_is((WorkerKind) kind) & of->who) ||
				!worker_has_metrics((WorkerKind) kind, &metrics))
				continue;
			sample_begin(&sample, &of->family);
			if (!of->plain)
				sample_worker(&sample, (WorkerKind) kind);
			sample_emit(sink, &sample,
						(double) pg_atomic_read_u64(unconstify(
							pg_atomic_uint64 *, &metrics->values[of->value])));
		}
	}
}

/* ------------------------------------------------------------- histograms */

typedef struct HistogramFamily
{
	MetricFamily family;
	MetricHistogramId id;
	int who;
	uint64 unit;
	double scale;
} HistogramFamily;

#define SECONDS HISTOGRAM_UNIT_US, 1e6
#define NUMBERS 1, 1

static const HistogramFamily histogram_families[] = {
	{{"tikv_lock_manager_waiter_lifetime_duration",
	  "How long requests waited for a lock, in seconds.", METRIC_HISTOGRAM},
	 HISTOGRAM_LOCK_WAIT_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_raftstore_request_wait_time_duration_secs",
	  "How long writes waited for their turn, in seconds.", METRIC_HISTOGRAM},
	 HISTOGRAM_QUEUE_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_raftstore_append_log_duration_seconds",
	  "Entries of the log, from the commit of their rows to the flush.",
	  METRIC_HISTOGRAM},
	 HISTOGRAM_APPEND_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_raftstore_commit_log_duration_seconds",
	  "Writes of groups, from their proposal until a majority has them.",
	  METRIC_HISTOGRAM},
	 HISTOGRAM_RAFT_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_raftstore_apply_log_duration_seconds",
	  "Writes of groups, from a majority to the commit of their rows.",
	  METRIC_HISTOGRAM},
	 HISTOGRAM_APPLY_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_fdw_turn_duration_seconds",
	  "Turns of the store, from their begin to their commit.",
	  METRIC_HISTOGRAM},
	 HISTOGRAM_TURN_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_fdw_turn_commit_duration_seconds",
	  "What of a turn is writing rows, commit and flush.", METRIC_HISTOGRAM},
	 HISTOGRAM_COMMIT_US,
	 OF_STORE,
	 SECONDS},
	{{"tikv_fdw_turn_writes", "Writes in one turn.", METRIC_HISTOGRAM},
	 HISTOGRAM_TURN_WRITES,
	 OF_STORE,
	 NUMBERS},
	{{"tikv_fdw_read_round_requests", "Reads answered over one snapshot.",
	  METRIC_HISTOGRAM},
	 HISTOGRAM_READ_ROUND,
	 OF_KV,
	 NUMBERS},
};

static void
collect_histograms(const MetricSink *sink)
{
	for (int i = 0; i < (int) lengthof(histogram_families); i++)
	{
		const HistogramFamily *of = &histogram_families[i];

		for (int kind = 0; kind < WORKER_KINDS; kind++)
		{
			const WorkerMetrics *metrics;
			MetricSample sample;

			if (!(who_is((WorkerKind) kind) & of->who) ||
				!worker_has_metrics((WorkerKind) kind, &metrics))
				continue;
			sample_begin(&sample, &of->family);
			if (of->who != OF_STORE)
				sample_worker(&sample, (WorkerKind) kind);
			sample_histogram(sink, &sample, &metrics->histograms[of->id],
							 of->unit, of->scale);
		}
	}
}

void
metrics_collect(const MetricSink *sink)
{
	if (tikv_shmem() == NULL)
		return;
	collect_requests(sink);
	collect_values(sink);
	collect_histograms(sink);
	collect_node(sink);
}

typedef struct OfWorker
{
	const MetricSink *sink;
	const char *name;
} OfWorker;

static void
take_of_worker(void *arg, const MetricSample *sample)
{
	const OfWorker *of = arg;

	for (int i = 0; i < sample->n_labels; i++)
		if (strcmp(sample->labels[i].name, "worker") == 0 &&
			strcmp(sample->labels[i].value, of->name) == 0)
			of->sink->take(of->sink->arg, sample);
}

void
metrics_collect_worker(const MetricSink *sink, WorkerKind kind)
{
	OfWorker of = {sink, worker_name(kind) + strlen("tikv ")};
	MetricSink only = {take_of_worker, &of};

	if (tikv_shmem() == NULL)
		return;
	collect_requests(&only);
	collect_values(&only);
	collect_histograms(&only);
	collect_processes(&only);
}
