/*
 * collect.h
 *	  All there is to measure, as samples: what /metrics and the view
 *	  tikv.metrics show.
 */
#ifndef TIKV_BUS_COLLECT_H
#define TIKV_BUS_COLLECT_H

#include "bus/shmem.h"
#include "core/stats/sample.h"

/*
 * Hand every sample to the sink, family by family.  Reads shared memory, /proc
 * and file systems, no table.
 */
extern void metrics_collect(const MetricSink *sink);

/* Only what has this worker's label: cheap, however many regions there are. */
extern void metrics_collect_worker(const MetricSink *sink, WorkerKind kind);

#endif /* TIKV_BUS_COLLECT_H */
