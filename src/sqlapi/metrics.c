/*
 * metrics.c
 *	  The view tikv.metrics: what /metrics shows, as rows.
 */
#include "postgres.h"

#include "bus/collect.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(tikv_metrics);

static Datum
labels_jsonb(const MetricSample *sample)
{
	StringInfoData json;
	Datum result;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < sample->n_labels; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		escape_json(&json, sample->labels[i].name);
		appendStringInfoChar(&json, ':');
		escape_json(&json, sample->labels[i].value);
	}
	appendStringInfoChar(&json, '}');
	result = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	pfree(json.data);
	return result;
}

static void
put_sample(void *arg, const MetricSample *sample)
{
	ReturnSetInfo *result = arg;
	Datum values[3];
	bool nulls[3] = {false};
	char *name = psprintf("%s%s", sample->family->name, sample->suffix);

	values[0] = CStringGetTextDatum(name);
	values[1] = labels_jsonb(sample);
	values[2] = Float8GetDatum(sample->value);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	pfree(name);
}

Datum
tikv_metrics(PG_FUNCTION_ARGS)
{
	MetricSink sink = {put_sample, fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	metrics_collect(&sink);
	return (Datum) 0;
}
