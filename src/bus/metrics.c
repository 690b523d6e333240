/*
 * metrics.c
 *	  Counters of the workers in shared memory: their place and their start.
 *
 * Rows are given out one by one, so that what no request has touched is no
 * memory.  A reader trusts n_rows: a row's name is written before it counts.
 */
#include "postgres.h"

#include "storage/shmem.h"

#include "bus/metrics.h"

WorkerMetrics *metrics_mine;
static WorkerKind mine;

Size
metrics_shmem_size(void)
{
	return sizeof(MetricsShared);
}

static void
zero_values(WorkerMetrics *part)
{
	for (int i = 0; i < METRIC_VALUES; i++)
		pg_atomic_init_u64(&part->values[i], 0);
	for (int i = 0; i < METRIC_HISTOGRAMS; i++)
	{
		for (int k = 0; k < HISTOGRAM_BUCKETS; k++)
			pg_atomic_init_u64(&part->histograms[i].buckets[k], 0);
		pg_atomic_init_u64(&part->histograms[i].sum, 0);
	}
}

void
metrics_shmem_init(TikvShmem *shmem, bool found)
{
	bool exists;

	shmem->metrics =
		ShmemInitStruct("tikv_fdw metrics", metrics_shmem_size(), &exists);
	if (found)
		return;
	pg_atomic_init_u64(&shmem->metrics->sql_reads, 0);
	for (int i = 0; i < WORKER_KINDS; i++)
	{
		zero_values(&shmem->metrics->workers[i]);
		pg_atomic_init_u32(&shmem->metrics->workers[i].n_rows, 0);
	}
}

void
metrics_begin(WorkerKind kind)
{
	TikvShmem *shmem = tikv_shmem();

	if (shmem == NULL)
		return;
	mine = kind;
	metrics_mine = &shmem->metrics->workers[kind];
	pg_atomic_write_u32(&metrics_mine->n_rows, 0);
	zero_values(metrics_mine);
}

WorkerKind
metrics_kind(void)
{
	return mine;
}

static void
zero_row(MetricRequests *row)
{
	for (int i = 0; i < METRIC_RESULTS; i++)
		pg_atomic_init_u64(&row->results[i], 0);
	pg_atomic_init_u64(&row->busy, 0);
	pg_atomic_init_u64(&row->over_bus, 0);
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		pg_atomic_init_u64(&row->duration.buckets[i], 0);
	pg_atomic_init_u64(&row->duration.sum, 0);
}

MetricRequests *
metrics_row(const char *name, bool executed)
{
	MetricRequests *row;
	uint32 n;

	if (metrics_mine == NULL)
		return NULL;
	n = pg_atomic_read_u32(&metrics_mine->n_rows);
	if (n == METRIC_ROWS)
		return NULL;
	row = &metrics_mine->rows[n];
	zero_row(row);
	strlcpy(row->name, name, sizeof(row->name));
	row->executed = executed;
	pg_write_barrier();
	pg_atomic_write_u32(&metrics_mine->n_rows, n + 1);
	return row;
}

void
metrics_count_sql_read(void)
{
	TikvShmem *shmem = tikv_shmem();

	if (shmem != NULL)
		pg_atomic_fetch_add_u64(&shmem->metrics->sql_reads, 1);
}

static const char *const result_names[METRIC_RESULTS] = {
	[RESULT_OK] = "ok",
	[RESULT_ERROR] = "error",
	[RESULT_NOT_LEADER] = "not_leader",
	[RESULT_REGION_NOT_FOUND] = "region_not_found",
	[RESULT_KEY_NOT_IN_REGION] = "key_not_in_region",
	[RESULT_EPOCH_NOT_MATCH] = "epoch_not_match",
	[RESULT_SERVER_IS_BUSY] = "server_is_busy",
	[RESULT_STALE_COMMAND] = "stale_command",
	[RESULT_UNDETERMINED] = "undetermined_result",
	[RESULT_STORE_NOT_MATCH] = "store_not_match",
	[RESULT_RAFT_ENTRY_TOO_LARGE] = "raft_entry_too_large",
	[RESULT_DISK_FULL] = "disk_full",
	[RESULT_REGION_ERROR] = "region_error",
	[RESULT_FAILED] = "failed",
};

const char *
metric_result_name(MetricResult result)
{
	return result_names[result];
}
