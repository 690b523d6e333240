/*
 * observe.c
 *	  What a KV worker counts of its requests, and its slow log.
 *
 * Runs once per request, just before the answer is packed, so it costs a look
 * at the clock and some additions to memory of its own; names and fields are
 * looked up once per method.
 */
#include "postgres.h"

#include "bus/metrics.h"
#include "bus/slow.h"
#include "core/base/rpc_code.h"
#include "core/stats/names.h"
#include "errorpb.pb-c.h"
#include "kvserver/dispatch.h"
#include "kvserver/observe.h"
#include "service/messages.h"
#include "worker_common.h"

#define MAX_METHODS 64

/* A method's counters, and where its response has its errors. */
typedef struct Observed
{
	MetricRequests *row;
	int region_error; /* offsets; -1: none */
	int error;
	bool error_is_text;
	int n_errors; /* of a list of errors */
	bool known;
} Observed;

static Observed observed[MAX_METHODS];

/* ----------------------------------------------------------------- methods */

static const ProtobufCFieldDescriptor *
field_named(const ProtobufCMessageDescriptor *type, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(type, name);

	return field != NULL && field->label != PROTOBUF_C_LABEL_REPEATED ? field :
																		NULL;
}

/* What counts a method that is no RPC. */
static const char *
method_label(const ServiceMethod *method)
{
	if (method->path != NULL)
		return method->path;
	if (method->id == METHOD_SQL_INSERT)
		return "sql_insert";
	if (method->id == METHOD_SQL_GRANT)
		return "sql_grant";
	return method->id == METHOD_SQL_BATCH_INSERT ? "sql_batch_insert" : "empty";
}

static void
learn(Observed *of, const ServiceMethod *method)
{
	const ProtobufCFieldDescriptor *region_error =
		field_named(method->response, "region_error");
	const ProtobufCFieldDescriptor *error =
		field_named(method->response, "error");
	const ProtobufCFieldDescriptor *errors;
	char name[METRIC_NAME_SIZE];

	of->known = true;
	metric_rpc_name(method_label(method), name, sizeof(name));
	of->row = metrics_row(name,
						  metrics_kind() == WORKER_STORE ||
							  method->kind == SERVICE_READ ||
							  method->kind == SERVICE_INFO);
	of->region_error =
		region_error != NULL && region_error->type == PROTOBUF_C_TYPE_MESSAGE ?
		(int) region_error->offset :
		-1;
	of->error = -1;
	if (error != NULL &&
		(error->type == PROTOBUF_C_TYPE_MESSAGE ||
		 error->type == PROTOBUF_C_TYPE_STRING))
		of->error = (int) error->offset;
	of->error_is_text = error != NULL && error->type == PROTOBUF_C_TYPE_STRING;
	errors = protobuf_c_message_descriptor_get_field_by_name(method->response,
															 "errors");
	of->n_errors =
		errors != NULL && errors->label == PROTOBUF_C_LABEL_REPEATED ?
		(int) errors->quantifier_offset :
		-1;
}

static Observed *
observed_method(const ServiceMethod *method)
{
	ptrdiff_t at = method - service_methods;
	Observed *of;

	if (at < 0 || at >= MAX_METHODS)
		return NULL;
	of = &observed[at];
	if (!of->known)
		learn(of, method);
	return of->row == NULL ? NULL : of;
}

/* ----------------------------------------------------------------- results */

static MetricResult
region_error_result(const Errorpb__Error *error)
{
	if (error->not_leader != NULL)
		return RESULT_NOT_LEADER;
	if (error->region_not_found != NULL)
		return RESULT_REGION_NOT_FOUND;
	if (error->key_not_in_region != NULL)
		return RESULT_KEY_NOT_IN_REGION;
	if (error->epoch_not_match != NULL)
		return RESULT_EPOCH_NOT_MATCH;
	if (error->server_is_busy != NULL)
		return RESULT_SERVER_IS_BUSY;
	if (error->stale_command != NULL)
		return RESULT_STALE_COMMAND;
	if (error->undetermined_result != NULL)
		return RESULT_UNDETERMINED;
	if (error->store_not_match != NULL)
		return RESULT_STORE_NOT_MATCH;
	if (error->raft_entry_too_large != NULL)
		return RESULT_RAFT_ENTRY_TOO_LARGE;
	if (error->disk_full != NULL)
		return RESULT_DISK_FULL;
	return RESULT_REGION_ERROR;
}

static const void *
pointer_at(const ProtobufCMessage *message, int offset)
{
	return offset < 0 ? NULL :
						*(void *const *) ((const uint8 *) message + offset);
}

static MetricResult
result_of(const Observed *of, const ProtobufCMessage *reply, int code)
{
	const Errorpb__Error *region_error;
	const char *error;

	if (reply == NULL)
		return code == RPC_OK ? RESULT_OK : RESULT_FAILED;
	region_error = pointer_at(reply, of->region_error);
	if (region_error != NULL)
		return region_error_result(region_error);
	error = pointer_at(reply, of->error);
	if (error != NULL && (!of->error_is_text || error[0] != '\0'))
		return RESULT_ERROR;
	if (of->n_errors >= 0 &&
		*(const size_t *) ((const uint8 *) reply + of->n_errors) > 0)
		return RESULT_ERROR;
	return RESULT_OK;
}

/* ---------------------------------------------------------------- slow log */

/* The first key that a message names, itself or in its first part. */
static bool
first_key(const ProtobufCMessage *message, int depth, Bytes *out)
{
	static const char *const names[] = {"key",		   "start_key",	  "keys",
										"mutations",   "pairs",		  "ranges",
										"primary_key", "primary_lock"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
															names[i]);
		const void *place;

		if (field == NULL)
			continue;
		place = (const uint8 *) message + field->offset;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
		{
			if (*(const size_t *) ((const uint8 *) message +
								   field->quantifier_offset) == 0)
				continue;
			place = *(void *const *) place;
		}
		if (field->type == PROTOBUF_C_TYPE_BYTES)
		{
			const ProtobufCBinaryData *data = place;

			*out = bytes_make(data->data, data->len);
			return true;
		}
		if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth > 0 &&
			field->label == PROTOBUF_C_LABEL_REPEATED)
			return first_key(*(ProtobufCMessage *const *) place, depth - 1,
							 out);
	}
	return false;
}

static void
log_slow(const Request *request, const char *name, MetricResult result,
		 int64 now_us)
{
	SlowRequest slow = {.method = name,
						.result = metric_result_name(result),
						.received_us = request->received_us,
						.begun_us = request->begun_us,
						.decided_us = request->decided_us,
						.durable_us = request->durable_us,
						.waited_us = request->waited_us,
						.answered_us = now_us};
	const Kvrpcpb__Context *context;

	if (!slow_wanted(&slow))
		return;
	context = service_context(request->message);
	if (context != NULL)
		slow.region_id = context->region_id;
	slow.has_key = first_key(request->message, 1, &slow.key);
	slow_write(&slow);
}

/* ------------------------------------------------------------ observations */

void
observe_request(void *arg, const Request *request,
				const ProtobufCMessage *reply, int code)
{
	Observed *of = observed_method(request->method);
	int64 now_us;
	MetricResult result;

	(void) arg;
	if (of == NULL || request->message == NULL)
		return;
	now_us = dispatch_now_us();
	result = result_of(of, reply, code);
	metric_add(&of->row->results[result], 1);
	if (result == RESULT_SERVER_IS_BUSY)
		metric_add(&of->row->busy, 1);
	metric_observe(&of->row->duration,
				   (uint64) Max(now_us - request->received_us, 0),
				   HISTOGRAM_UNIT_US);

	/* The store tells more of what was passed on to it. */
	if (of->row->executed || result == RESULT_FAILED)
		log_slow(request, of->row->name, result, now_us);
}

void
observe_bus(const Request *request, const ProtobufCMessage *reply)
{
	Observed *of = observed_method(request->method);
	MetricResult result;

	if (of == NULL || request->message == NULL)
		return;
	result = result_of(of, reply, RPC_UNKNOWN);
	metric_add(&of->row->over_bus, 1);
	if (result == RESULT_SERVER_IS_BUSY)
		metric_add(&of->row->busy, 1);
	log_slow(request, of->row->name, result, dispatch_now_us());
}

void
observe_server(Server *server)
{
	ServerCounters counters;

	server_counters(server, &counters);
	worker_count_server(&counters, server_unsent_bytes(server));
	metrics_set(VALUE_MEMORY_USED, server_memory_used());
}
