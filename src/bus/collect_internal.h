/*
 * collect_internal.h
 *	  What the files collect_*.c share; for this folder only.
 */
#ifndef TIKV_BUS_COLLECT_INTERNAL_H
#define TIKV_BUS_COLLECT_INTERNAL_H

#include "bus/collect.h"
#include "bus/metrics.h"

/* Put a sample together, label by label, and hand it over. */
extern void sample_begin(MetricSample *sample, const MetricFamily *family);
extern void sample_label(MetricSample *sample, const char *name,
						 const char *value);
extern void sample_emit(const MetricSink *sink, MetricSample *sample,
						double value);

/* "store" of "tikv store": the label `worker`. */
extern void sample_worker(MetricSample *sample, WorkerKind kind);

/* Does this worker run, so that its numbers mean something? */
extern bool worker_has_metrics(WorkerKind kind, const WorkerMetrics **out);

/* The buckets, sum and count of a histogram; values are unit / scale. */
extern void sample_histogram(const MetricSink *sink, const MetricSample *base,
							 const MetricBuckets *histogram, uint64 unit,
							 double scale);

/* ---- collect_requests.c ---- */
extern void collect_requests(const MetricSink *sink);

/* ---- collect_node.c ---- */
extern void collect_node(const MetricSink *sink);
extern void collect_processes(const MetricSink *sink);

#endif /* TIKV_BUS_COLLECT_INTERNAL_H */
