/*
 * exposition.h
 *	  Samples as the text that Prometheus reads (text format 0.0.4).
 */
#ifndef TIKV_STATS_EXPOSITION_H
#define TIKV_STATS_EXPOSITION_H

#include "core/base/arena.h"
#include "core/stats/sample.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct Exposition
{
	Arena *arena;
	char *data;
	size_t len;
	size_t size;
	const MetricFamily *family; /* whose head is written */
} Exposition;

extern void exposition_init(Exposition *out, Arena *arena);

/* A sink that writes into it. */
extern MetricSink exposition_sink(Exposition *out);

/* What was written; the arena's. */
extern Bytes exposition_text(const Exposition *out);

/* A number as this format and JSON's readers take it back unchanged. */
#define METRIC_NUMBER_SIZE 32
extern void metric_number(double value, char out[METRIC_NUMBER_SIZE]);

#endif /* TIKV_STATS_EXPOSITION_H */
