/*
 * sample.h
 *	  One measured value with its name and labels, on its way to whoever
 *	  shows it.
 *
 * Whoever walks over the counters hands each value to a sink; the text for
 * Prometheus is one, the rows of a view are another.  All values of a family
 * come one after the other.
 */
#ifndef TIKV_STATS_SAMPLE_H
#define TIKV_STATS_SAMPLE_H

typedef enum MetricType
{
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM
} MetricType;

typedef struct MetricFamily
{
	const char *name;
	const char *help;
	MetricType type;
} MetricFamily;

typedef struct MetricLabel
{
	const char *name;
	const char *value;
} MetricLabel;

#define METRIC_MAX_LABELS 4

/* Everything lives only during the call of the sink. */
typedef struct MetricSample
{
	const MetricFamily *family;
	const char *suffix; /* of the name: "", "_bucket", "_sum", "_count" */
	MetricLabel labels[METRIC_MAX_LABELS];
	int n_labels;
	double value;
} MetricSample;

typedef struct MetricSink
{
	void (*take)(void *arg, const MetricSample *sample);
	void *arg;
} MetricSink;

#endif /* TIKV_STATS_SAMPLE_H */
