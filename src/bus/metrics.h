/*
 * metrics.h
 *	  Counters of the workers in shared memory.
 *
 * Each worker has a part of its own and is the only one to write it, so a
 * count is a load and a store without a lock prefix and no line of the cache
 * is fought over.  Everybody may read; collect.h turns all of it into
 * samples.  A part begins at zero with its process.
 */
#ifndef TIKV_BUS_METRICS_H
#define TIKV_BUS_METRICS_H

#include "bus/shmem.h"
#include "core/stats/histogram.h"

/* Single numbers of a worker: counters, then what it has at the moment. */
typedef enum MetricValue
{
	VALUE_GRPC_CALLS,
	VALUE_GRPC_MESSAGES,
	VALUE_GRPC_REFUSED,
	VALUE_GRPC_ENDED, /* connections */
	VALUE_GRPC_RECEIVED_BYTES,
	VALUE_GRPC_SENT_BYTES,
	VALUE_HTTP_REQUESTS,
	VALUE_SLOW_REQUESTS,
	VALUE_TURNS, /* writing transactions: the store's turns, PD's rounds */
	VALUE_ABORTED_TURNS,
	VALUE_BLOCKED_TURNS,
	VALUE_REGIONS_WOKEN,
	VALUE_UNREADABLE_BLOCKS, /* low_rooms.h */
	VALUE_GRPC_STREAMS,
	VALUE_GRPC_IN_FLIGHT,
	VALUE_GRPC_UNSENT_BYTES,
	VALUE_MEMORY_USED,
	VALUE_LONG_READS,
	VALUE_QUEUED_WRITES,
	VALUE_QUEUED_BYTES,
	VALUE_LOCK_WAITERS,
	VALUE_RAFT_SENT, /* messages between nodes */
	VALUE_RAFT_RECEIVED,
	VALUE_RAFT_DROPPED,
	VALUE_RAFT_FAILURES, /* of streams */
	VALUE_RAFT_QUEUED_BYTES,
	VALUE_RAFT_INBOX_DROPPED,
	VALUE_RAFT_CACHED_BYTES,
	METRIC_VALUES
} MetricValue;

typedef enum MetricHistogramId
{
	HISTOGRAM_READ_ROUND,  /* requests answered over one snapshot */
	HISTOGRAM_TURN_WRITES, /* writes in one transaction */
	HISTOGRAM_TURN_US,
	HISTOGRAM_COMMIT_US, /* rows, commit and flush of a turn */
	HISTOGRAM_LOCK_WAIT_US,
	HISTOGRAM_QUEUE_US,	 /* of a write, before its turn begins */
	HISTOGRAM_APPEND_US, /* of log rows, from their commit to their flush */
	HISTOGRAM_RAFT_US,	 /* of a write, from its proposal to a majority */
	HISTOGRAM_APPLY_US,	 /* of a write, from there to its rows' commit */
	METRIC_HISTOGRAMS
} MetricHistogramId;

typedef struct MetricBuckets
{
	pg_atomic_uint64 buckets[HISTOGRAM_BUCKETS];
	pg_atomic_uint64 sum;
} MetricBuckets;

/*
 * How a request ended.  Region errors are told apart as far as they are a
 * single node's.
 */
typedef enum MetricResult
{
	RESULT_OK,
	RESULT_ERROR, /* in the answer: a key error, PD's header */
	RESULT_NOT_LEADER,
	RESULT_REGION_NOT_FOUND,
	RESULT_KEY_NOT_IN_REGION,
	RESULT_EPOCH_NOT_MATCH,
	RESULT_SERVER_IS_BUSY,
	RESULT_STALE_COMMAND,
	RESULT_UNDETERMINED,
	RESULT_STORE_NOT_MATCH,
	RESULT_RAFT_ENTRY_TOO_LARGE,
	RESULT_DISK_FULL,
	RESULT_REGION_ERROR, /* any other */
	RESULT_FAILED,		 /* a gRPC status */
	METRIC_RESULTS
} MetricResult;

#define METRIC_NAME_SIZE 64

/* Requests of one method. */
typedef struct MetricRequests
{
	char name[METRIC_NAME_SIZE];
	bool executed; /* here, and not only passed on to the store */
	pg_atomic_uint64 results[METRIC_RESULTS]; /* over gRPC */
	pg_atomic_uint64 busy;	   /* ... and the bus: ServerIsBusy */
	pg_atomic_uint64 over_bus; /* requests that came so */
	MetricBuckets duration;	   /* of those over gRPC, in us */
} MetricRequests;

#define METRIC_ROWS 192

typedef struct WorkerMetrics
{
	pg_atomic_uint64 values[METRIC_VALUES];
	MetricBuckets histograms[METRIC_HISTOGRAMS];
	pg_atomic_uint32 n_rows;
	MetricRequests rows[METRIC_ROWS]; /* in the order of their first use */
} WorkerMetrics;

struct MetricsShared
{
	pg_atomic_uint64 sql_reads; /* by all sessions: those do contend */
	WorkerMetrics workers[WORKER_KINDS];
};

/* ---- the worker that writes ---- */

/* This process's part; NULL in others, whose counts go nowhere. */
extern WorkerMetrics *metrics_mine;

/* The process is this worker from now on: zero its part. */
extern void metrics_begin(WorkerKind kind);

/* Which that is. */
extern WorkerKind metrics_kind(void);

/*
 * The row of a method, made at first; for the process to keep.  NULL if it is
 * no worker, or has too many.
 */
extern MetricRequests *metrics_row(const char *name, bool executed);

/* There is one writer, so this need not be one step. */
static inline void
metric_add(pg_atomic_uint64 *counter, uint64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

static inline void
metric_observe(MetricBuckets *histogram, uint64 value, uint64 unit)
{
	metric_add(&histogram->buckets[histogram_bucket(value, unit)], 1);
	metric_add(&histogram->sum, value);
}

static inline void
metrics_add(MetricValue value, uint64 n)
{
	if (metrics_mine != NULL)
		metric_add(&metrics_mine->values[value], n);
}

static inline void
metrics_set(MetricValue value, uint64 n)
{
	if (metrics_mine != NULL)
		pg_atomic_write_u64(&metrics_mine->values[value], n);
}

static inline void
metrics_count_size(MetricHistogramId id, uint64 size)
{
	if (metrics_mine != NULL)
		metric_observe(&metrics_mine->histograms[id], size, 1);
}

static inline void
metrics_time(MetricHistogramId id, int64 us)
{
	if (metrics_mine != NULL)
		metric_observe(&metrics_mine->histograms[id], (uint64) Max(us, 0),
					   HISTOGRAM_UNIT_US);
}

/* ---- SQL sessions ---- */

/* A round of reads by a SQL function. */
extern void metrics_count_sql_read(void);

/* "server_is_busy" ... */
extern const char *metric_result_name(MetricResult result);

extern Size metrics_shmem_size(void);
extern void metrics_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_METRICS_H */
