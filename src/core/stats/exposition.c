/*
 * exposition.c
 *	  Samples as the text that Prometheus reads.
 *
 * A backslash and a line feed are escaped in help and in label values, a
 * double quote in label values alone (prometheus/docs,
 * content/docs/instrumenting/exposition_formats.md).
 */
#include "core/stats/exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_SIZE ((size_t) 16 * 1024)

void
exposition_init(Exposition *out, Arena *arena)
{
	memset(out, 0, sizeof(*out));
	out->arena = arena;
}

static void
put_bytes(Exposition *out, const char *text, size_t len)
{
	if (out->len + len > out->size)
	{
		size_t size = out->size == 0 ? FIRST_SIZE : out->size;
		char *grown;

		while (size < out->len + len)
			size *= 2;
		grown = arena_alloc(out->arena, size);
		if (out->len > 0)
			memcpy(grown, out->data, out->len);
		out->data = grown;
		out->size = size;
	}
	memcpy(out->data + out->len, text, len);
	out->len += len;
}

static void
put(Exposition *out, const char *text)
{
	put_bytes(out, text, strlen(text));
}

static void
put_escaped(Exposition *out, const char *text, bool quoted)
{
	for (; *text != '\0'; text++)
	{
		if (*text == '\\')
			put(out, "\\\\");
		else if (*text == '\n')
			put(out, "\\n");
		else if (*text == '"' && quoted)
			put(out, "\\\"");
		else
			put_bytes(out, text, 1);
	}
}

static const char *
type_name(MetricType type)
{
	switch (type)
	{
		case METRIC_COUNTER:
			return "counter";
		case METRIC_GAUGE:
			return "gauge";
		case METRIC_HISTOGRAM:
			return "histogram";
	}
	return "untyped";
}

static void
put_head(Exposition *out, const MetricFamily *family)
{
	put(out, "# HELP ");
	put(out, family->name);
	put(out, " ");
	put_escaped(out, family->help, false);
	put(out, "\n# TYPE ");
	put(out, family->name);
	put(out, " ");
	put(out, type_name(family->type));
	put(out, "\n");
	out->family = family;
}

static void
put_labels(Exposition *out, const MetricSample *sample)
{
	for (int i = 0; i < sample->n_labels; i++)
	{
		put(out, i == 0 ? "{" : ",");
		put(out, sample->labels[i].name);
		put(out, "=\"");
		put_escaped(out, sample->labels[i].value, true);
		put(out, "\"");
	}
	if (sample->n_labels > 0)
		put(out, "}");
}

void
metric_number(double value, char out[METRIC_NUMBER_SIZE])
{
	if (isnan(value))
		snprintf(out, METRIC_NUMBER_SIZE, "NaN");
	else if (isinf(value))
		snprintf(out, METRIC_NUMBER_SIZE, value > 0 ? "+Inf" : "-Inf");
	else
	{
		/* The short form unless it loses something. */
		snprintf(out, METRIC_NUMBER_SIZE, "%.15g", value);
		if (strtod(out, NULL) < value || strtod(out, NULL) > value)
			snprintf(out, METRIC_NUMBER_SIZE, "%.17g", value);
	}
}

static void
take(void *arg, const MetricSample *sample)
{
	Exposition *out = arg;
	char number[METRIC_NUMBER_SIZE];

	if (out->family != sample->family)
		put_head(out, sample->family);
	put(out, sample->family->name);
	put(out, sample->suffix);
	put_labels(out, sample);
	put(out, " ");
	metric_number(sample->value, number);
	put(out, number);
	put(out, "\n");
}

MetricSink
exposition_sink(Exposition *out)
{
	MetricSink sink = {take, out};

	return sink;
}

Bytes
exposition_text(const Exposition *out)
{
	return bytes_make(out->data, out->len);
}
