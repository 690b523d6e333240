/*
 * collect_node.c
 *	  Samples of what the node has: workers, regions, locks, long work, the
 *	  bus, disks, transaction ids.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "storage/lwlock.h"

#include "bus/board.h"
#include "bus/collect_internal.h"
#include "bus/lock_table.h"
#include "bus/process_stats.h"
#include "bus/slot.h"
#include "bus/versions.h"
#include "core/base/version.h"

/* One family with one label of some values. */
static void
put(const MetricSink *sink, const MetricFamily *family, const char *label,
	const char *name, double value)
{
	MetricSample sample;

	sample_begin(&sample, family);
	if (label != NULL)
		sample_label(&sample, label, name);
	sample_emit(sink, &sample, value);
}

/* ---------------------------------------------------------------- workers */

static void
collect_serving(const MetricSink *sink)
{
	static const MetricFamily family =
		{"tikv_fdw_worker_serving",
		 "1 while the worker serves; tikv_status() says why it does not.",
		 METRIC_GAUGE};

	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		MetricSample sample;
		WorkerView view;

		if (!worker_view((WorkerKind) kind, &view) || !view.registered)
			continue;
		sample_begin(&sample, &family);
		sample_worker(&sample, (WorkerKind) kind);
		sample_emit(sink, &sample, view.state == WORKER_SERVING);
	}
}

typedef struct ProcessFamily
{
	MetricFamily family;
	double (*value)(const ProcessStats *stats);
} ProcessFamily;

static double
cpu_seconds(const ProcessStats *stats)
{
	return stats->cpu_seconds;
}

static double
resident_bytes(const ProcessStats *stats)
{
	return (double) stats->resident_bytes;
}

static double
virtual_bytes(const ProcessStats *stats)
{
	return (double) stats->virtual_bytes;
}

static double
start_seconds(const ProcessStats *stats)
{
	return stats->start_seconds;
}

static double
threads(const ProcessStats *stats)
{
	return (double) stats->threads;
}

static double
open_fds(const ProcessStats *stats)
{
	return (double) stats->open_fds;
}

static double
max_fds(const ProcessStats *stats)
{
	return (double) stats->max_fds;
}

static const ProcessFamily process_families[] = {
	{{"process_cpu_seconds_total", "Processor time of the worker.",
	  METRIC_COUNTER},
	 cpu_seconds},
	{{"process_resident_memory_bytes",
	  "Memory that the worker has touched, shared memory included.",
	  METRIC_GAUGE},
	 resident_bytes},
	{{"process_virtual_memory_bytes", "Address space of the worker.",
	  METRIC_GAUGE},
	 virtual_bytes},
	{{"process_start_time_seconds", "When the worker started, unix time.",
	  METRIC_GAUGE},
	 start_seconds},
	{{"process_threads", "Threads of the worker.", METRIC_GAUGE}, threads},
	{{"process_open_fds", "Open file descriptors of the worker.", METRIC_GAUGE},
	 open_fds},
	{{"process_max_fds", "How many it may open.", METRIC_GAUGE}, max_fds},
};

void
collect_processes(const MetricSink *sink)
{
	ProcessStats stats[WORKER_KINDS];
	bool known[WORKER_KINDS];

	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		WorkerView view;

		known[kind] = worker_view((WorkerKind) kind, &view) && view.pid != 0 &&
			process_stats(view.pid, &stats[kind]);
	}
	for (int i = 0; i < (int) lengthof(process_families); i++)
		for (int kind = 0; kind < WORKER_KINDS; kind++)
		{
			MetricSample sample;

			if (!known[kind])
				continue;
			sample_begin(&sample, &process_families[i].family);
			sample_worker(&sample, (WorkerKind) kind);
			sample_emit(sink, &sample, process_families[i].value(&stats[kind]));
		}
}

/* The value is the start, as in TiKV: whoever watches it sees a restart. */
static void
collect_info(const MetricSink *sink)
{
	static const MetricFamily family = {"tikv_server_info",
										"When the store started, unix time.",
										METRIC_GAUGE};
	MetricSample sample;
	ProcessStats stats;
	WorkerView view;

	if (!worker_view(WORKER_STORE, &view) || view.pid == 0 ||
		!process_stats(view.pid, &stats))
		return;
	sample_begin(&sample, &family);
	sample_label(&sample, "version", CLUSTER_VERSION);
	sample_label(&sample, "hash", "");
	sample_emit(sink, &sample, stats.start_seconds);
}

/* ---------------------------------------------------------- regions, locks */

static void
collect_regions(const MetricSink *sink)
{
	static const MetricFamily
		family = {"tikv_raftstore_region_count", "Regions of this store.",
				  METRIC_GAUGE},
		size = {"tikv_fdw_region_approximate_size",
				"What the regions of this store hold, about.", METRIC_GAUGE};
	BoardRegion *region = palloc(sizeof(*region));
	BoardWalk *walk = palloc0(sizeof(*walk));
	int n = 0;
	int leaders = 0;
	double bytes = 0;
	double keys = 0;

	while (board_walk_next(walk, region))
	{
		BoardRaft raft;

		n++;
		leaders += region->is_leader;
		if (!board_raft(region->region.id, &raft))
			continue;
		bytes += (double) raft.approximate_size;
		keys += (double) raft.approximate_keys;
	}
	put(sink, &family, "type", "region", n);
	put(sink, &family, "type", "leader", leaders);
	put(sink, &size, "type", "bytes", bytes);
	put(sink, &size, "type", "keys", keys);
	pfree(region);
	pfree(walk);
}

static void
collect_locks(const MetricSink *sink)
{
	static const MetricFamily
		locks =
			{"tikv_fdw_locks",
			 "Locks of transactions: rows, memory only, guards, in the overflow.",
			 METRIC_GAUGE},
		bytes = {"tikv_fdw_lock_memory_bytes", "Shared memory for locks.",
				 METRIC_GAUGE};
	LockTableStats stats;

	lock_table_stats(&stats);
	put(sink, &locks, "kind", "durable",
		(double) (stats.locks - stats.memory_locks));
	put(sink, &locks, "kind", "memory", (double) stats.memory_locks);
	put(sink, &locks, "kind", "guard", (double) stats.guards);
	put(sink, &locks, "kind", "spilled", (double) stats.spilled);
	put(sink, &bytes, "type", "used", (double) stats.bytes_used);
	put(sink, &bytes, "type", "total", (double) stats.bytes_total);
}

/* -------------------------------------------------------------- long work */

typedef struct Task
{
	const char *name;
	TaskCounter counter;
} Task;

static void
collect_tasks(const MetricSink *sink)
{
	static const MetricFamily
		waiting = {"tikv_fdw_task_waiting",
				   "Long work that is left, as in tikv.tasks.", METRIC_GAUGE},
		removed =
			{"tikv_fdw_task_removed_total",
			 "Rows or locks removed, snapshots sent or installed, blocks cut off.",
			 METRIC_COUNTER},
		safe_point = {"tikv_gcworker_autogc_safe_point",
					  "Up to which garbage has been collected.", METRIC_GAUGE};
	static const Task left[] = {{"delete_ranges", TASK_RANGES_WAITING},
								{"expire", TASK_SWEEP_WAITING},
								{"collect_garbage", TASK_GC_WAITING},
								{"send_snapshots", TASK_SNAPSHOTS_TO_MAKE},
								{"install_snapshots",
								 TASK_SNAPSHOTS_TO_INSTALL},
								{"compact_tables", TASK_COMPACT_WAITING}};
	static const Task done[] = {{"delete_ranges", TASK_RANGES_REMOVED},
								{"expire", TASK_SWEEP_REMOVED},
								{"collect_garbage", TASK_GC_REMOVED},
								{"resolve_locks", TASK_GC_RESOLVED},
								{"send_snapshots", TASK_SNAPSHOTS_SENT},
								{"install_snapshots", TASK_SNAPSHOTS_INSTALLED},
								{"compact_tables", TASK_COMPACT_REMOVED}};

	for (int i = 0; i < (int) lengthof(left); i++)
		put(sink, &waiting, "task", left[i].name,
			(double) tasks_get(left[i].counter));
	for (int i = 0; i < (int) lengthof(done); i++)
		put(sink, &removed, "task", done[i].name,
			(double) tasks_get(done[i].counter));
	put(sink, &safe_point, NULL, NULL, (double) tasks_get(TASK_GC_SAFE_POINT));
}

static void
collect_bus(const MetricSink *sink)
{
	static const MetricFamily used = {"tikv_fdw_bus_slots_used",
									  "Requests on their way to a worker.",
									  METRIC_GAUGE},
							  total = {"tikv_fdw_bus_slots",
									   "As many may be, tikv.bus_slots.",
									   METRIC_GAUGE};
	BusShared *bus = tikv_shmem()->bus;
	uint32 in_use[WORKER_KINDS];

	SpinLockAcquire(&bus->free_mutex);
	memcpy(in_use, bus->used, sizeof(in_use));
	SpinLockRelease(&bus->free_mutex);
	for (int kind = 0; kind < WORKER_KINDS; kind++)
	{
		MetricSample sample;
		WorkerView view;

		if (kind == WORKER_STATUS || !worker_view((WorkerKind) kind, &view) ||
			!view.registered)
			continue;
		sample_begin(&sample, &used);
		sample_worker(&sample, (WorkerKind) kind);
		sample_emit(sink, &sample, in_use[kind]);
	}
	put(sink, &total, NULL, NULL, bus->n_slots);
}

/* ---------------------------------------------------------------- Postgres */

static void
collect_disks(const MetricSink *sink)
{
	static const MetricFamily store = {"tikv_store_size_bytes",
									   "The file system of the data directory.",
									   METRIC_GAUGE},
							  wal = {"tikv_fdw_wal_size_bytes",
									 "The file system of the WAL.",
									 METRIC_GAUGE};
	const char *const paths[] = {DataDir, XLOGDIR};
	const MetricFamily *const families[] = {&store, &wal};

	for (int i = 0; i < (int) lengthof(paths); i++)
	{
		uint64 available;
		uint64 capacity;
		uint64 used;

		if (!disk_space(paths[i], &available, &capacity, &used))
			continue;
		put(sink, families[i], "type", "capacity", (double) capacity);
		put(sink, families[i], "type", "available", (double) available);
		put(sink, families[i], "type", "used", (double) used);
	}
}

/* Modulo 2^32, as transaction ids are compared. */
static void
collect_xids(const MetricSink *sink)
{
	static const MetricFamily
		age = {"tikv_fdw_xid_age",
			   "Transaction ids since the oldest that is not frozen.",
			   METRIC_GAUGE},
		left = {"tikv_fdw_xids_left",
				"Transaction ids until Postgres refuses to give out more.",
				METRIC_GAUGE};
	TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
	TransactionId oldest;
	TransactionId stop;

	LWLockAcquire(XidGenLock, LW_SHARED);
	oldest = ShmemVariableCache->oldestXid;
	stop = ShmemVariableCache->xidStopLimit;
	LWLockRelease(XidGenLock);
	put(sink, &age, NULL, NULL, (double) (int32) (next - oldest));
	put(sink, &left, NULL, NULL, (double) (int32) (stop - next));
}

void
collect_node(const MetricSink *sink)
{
	collect_info(sink);
	collect_serving(sink);
	collect_regions(sink);
	collect_locks(sink);
	collect_tasks(sink);
	collect_bus(sink);
	collect_disks(sink);
	collect_xids(sink);
	collect_processes(sink);
}
