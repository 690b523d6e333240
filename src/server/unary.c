/*
 * unary.c
 *	  The handler of every unary KV method: unpack, submit, pack the answer.
 */
#include "server/internal.h"
#include "server/submit.h"

/* Lives in its own memory, together with the message. */
typedef struct UnaryRequest
{
	Request request;
	Call *call;
	RequestMemory *memory;
} UnaryRequest;

static void
end_request(UnaryRequest *unary)
{
	call_release(unary->call);
	request_memory_release(unary->memory);
}

static void
pack_reply(void *arg, uint8_t *out)
{
	protobuf_c_message_pack(arg, out);
}

static void
unary_done(Request *request, const ProtobufCMessage *reply)
{
	UnaryRequest *unary = request->owner;

	submit_observe(request, reply, RPC_OK);
	if (!call_is_done(unary->call))
		call_reply(unary->call, protobuf_c_message_get_packed_size(reply),
				   pack_reply, (void *) reply);
	end_request(unary);
}

static void
unary_done_packed(Request *request, Bytes reply)
{
	UnaryRequest *unary = request->owner;

	submit_observe(request, NULL, RPC_OK);
	if (!call_is_done(unary->call))
		call_reply_bytes(unary->call, reply);
	end_request(unary);
}

static void
unary_fail(Request *request, int code, const char *text)
{
	UnaryRequest *unary = request->owner;

	submit_observe(request, NULL, code);
	call_fail(unary->call, (RpcCode) code, text);
	end_request(unary);
}

static bool
unary_abandoned(Request *request)
{
	UnaryRequest *unary = request->owner;

	return call_over(unary->call);
}

static void
refuse(Call *call, const ServiceMethod *method, const char *reason)
{
	call->server->counters.refused++;
	if (service_has_region_error(method))
		call_reply_bytes(call, submit_busy_response(reason));
	else
		call_fail(call, RPC_UNAVAILABLE, reason);
}

static void
unary_message(Call *call, Bytes bytes)
{
	const ServiceMethod *method = service_method(call_method(call));
	RequestMemory *memory;
	UnaryRequest *unary;
	ProtobufCMessage *message;
	const char *refusal;

	if (method == NULL)
	{
		call_fail(call, RPC_UNIMPLEMENTED, "not implemented");
		return;
	}
	refusal = call_refusal(call);
	if (refusal != NULL)
	{
		refuse(call, method, refusal);
		return;
	}
	memory = request_memory_get(call->source);
	message = service_unpack(method->request, bytes, &memory->arena);
	if (message == NULL)
	{
		request_memory_release(memory);
		call_fail(call, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	unary = arena_zalloc(&memory->arena, sizeof(*unary));
	unary->call = call;
	unary->memory = memory;
	unary->request.method = method;
	unary->request.message = message;
	unary->request.arena = &memory->arena;
	unary->request.received_us = call->received_us;
	unary->request.deadline_us = call->deadline_us;
	unary->request.source = call->source->id;
	unary->request.done = unary_done;
	unary->request.done_packed = unary_done_packed;
	unary->request.fail = unary_fail;
	unary->request.abandoned = unary_abandoned;
	unary->request.owner = unary;
	call_hold(call);
	submit_request(&unary->request);
}

const CallHandler unary_handler = {.message = unary_message,
								   .refuses_itself = true};
