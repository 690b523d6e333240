/*
 * submit.c
 *	  What unary calls and BatchCommands share on the way to the service.
 */
#include "server/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/later.h"
#include "errorpb.pb-c.h"
#include "service/wire.h"

/* Arenas keep one block each when pooled: 8 KiB. */
#define POOL_MAX 256

/* As service_busy says. */
#define BUSY_BACKOFF_MS 100

/* Slow scores run from 1, healthy, to 100; clients avoid stores above 80. */
#define SLOW_SCORE_HEALTHY 1

static BatchService service;
static RequestMemory *pool;
static int n_pool;

void
batch_configure(const BatchService *from)
{
	service = *from;
}

int
submit_max_inflight(void)
{
	return service.max_inflight;
}

void
submit_observe(const Request *request, const ProtobufCMessage *reply, int code)
{
	if (service.observe != NULL)
		service.observe(service.arg, request, reply, code);
}

RequestMemory *
request_memory_get(Source *source)
{
	RequestMemory *memory = pool;

	if (memory != NULL)
	{
		pool = memory->next;
		n_pool--;
	}
	else
	{
		memory = malloc(sizeof(*memory));
		CHECK(memory != NULL);
		arena_init(&memory->arena);
	}
	memory->refs = 1;
	memory->source = source;
	source_hold(source);
	arena_charge(&memory->arena, &source->account);
	return memory;
}

static void
give_back(void *arg)
{
	RequestMemory *memory = arg;

	arena_reset(&memory->arena);
	arena_charge(&memory->arena, NULL);
	source_release(memory->source);
	memory->source = NULL;
	if (n_pool >= POOL_MAX)
	{
		arena_free(&memory->arena);
		free(memory);
		return;
	}
	memory->next = pool;
	pool = memory;
	n_pool++;
}

void
request_memory_release(RequestMemory *memory)
{
	CHECK(memory->refs > 0);
	if (--memory->refs == 0)
		later_free(give_back, memory);
}

/* A region error is in field 1, whatever the response. */
Bytes
submit_busy_response(const char *reason)
{
	static uint8_t response[512];
	Errorpb__ServerIsBusy busy = ERRORPB__SERVER_IS_BUSY__INIT;
	Errorpb__Error error = ERRORPB__ERROR__INIT;
	char message[128];
	uint8_t *p = response;
	size_t len;

	snprintf(message, sizeof(message), "server is busy: %s", reason);
	busy.reason = (char *) reason;
	busy.backoff_ms = BUSY_BACKOFF_MS;
	error.message = message;
	error.server_is_busy = &busy;
	len = errorpb__error__get_packed_size(&error);
	CHECK(len + 8 <= sizeof(response));
	*p++ = (uint8_t) wire_key(1, WIRE_BYTES);
	p = wire_write_varint(p, len);
	p += errorpb__error__pack(&error, p);
	return bytes_make(response, (size_t) (p - response));
}

/*
 * Clients keep the newest by number, over restarts and over the workers of a
 * store, hence numbers that follow the clock.
 */
void
submit_feedback(Kvrpcpb__HealthFeedback *out)
{
	static uint64_t last;
	struct timespec ts;
	uint64_t now_ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	now_ms = (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
	last = now_ms > last ? now_ms : last + 1;
	kvrpcpb__health_feedback__init(out);
	out->store_id =
		service.store_id == NULL ? 0 : service.store_id(service.arg);
	out->feedback_seq_no = last;
	out->slow_score = SLOW_SCORE_HEALTHY;
}

static void
answer_feedback(Request *request)
{
	Kvrpcpb__HealthFeedback feedback;
	Kvrpcpb__GetHealthFeedbackResponse reply;

	submit_feedback(&feedback);
	kvrpcpb__get_health_feedback_response__init(&reply);
	reply.health_feedback = &feedback;
	request->done(request, &reply.base);
}

void
submit_request(Request *request)
{
	if (request->method->id == METHOD_GET_HEALTH_FEEDBACK)
		answer_feedback(request);
	else
		service.submit(service.arg, request);
}
