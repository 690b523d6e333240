/*
 * service.c
 *	  One request from its bytes to its answer.
 *
 * Header rules (tikv/pd server/grpc_service.go and what clients test): the
 * header is always there with the cluster id; header.error is absent on
 * success and the only thing besides the header on failure; a wrong cluster
 * id is a gRPC status, FAILED_PRECONDITION.
 */
#include "postgres.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "bus/board.h"
#include "bus/failpoints.h"
#include "core/base/check.h"
#include "pd/convert.h"
#include "pd/pd.h"
#include "service/service.h"
#include "utils/memutils.h"

/* What HTTP calls RPC_UNAVAILABLE. */
#define HTTP_UNAVAILABLE 503

/* Methods that the bus carries, from METHOD_PD_FIRST on. */
static const char *const bus_paths[] = {
	"/pdpb.PD/GetMembers",
	"/pdpb.PD/GetAllStores",
	"/pdpb.PD/AllocID",
	"/pdpb.PD/IsBootstrapped",
	"/pdpb.PD/Bootstrap",
	"/pdpb.PD/PutStore",
	"/pdpb.PD/StoreHeartbeat",
	"/pdpb.PD/RegionHeartbeat",
	"/pdpb.PD/GetRegion",
	"/pdpb.PD/Tso",
	"/pdpb.PD/GetGCState",
	"/pdpb.PD/AdvanceTxnSafePoint",
	"/pdpb.PD/AdvanceGCSafePoint",
	"/keyspacepb.Keyspace/GetAllKeyspaces",
	"/pdpb.PD/AskBatchSplit",
	"/pdpb.PD/ReportBatchSplit",
	"/pdpb.PD/SetGCBarrier",
	"/pdpb.PD/DeleteGCBarrier",
	PD_OWN_SERVICE "CreateKeyspace",
	PD_OWN_SERVICE "Leave",
	"/etcdserverpb.KV/Txn",
	"/pdpb.PD/GetRegionByID",
	"/pdpb.PD/GetPrevRegion",
	"/pdpb.PD/ScanRegions",
};

const PdMethod *
pd_bus_method(int id)
{
	static const PdMethod *found[lengthof(bus_paths)];
	int at = id - METHOD_PD_FIRST;

	if (at < 0 || at >= (int) lengthof(bus_paths))
		return NULL;
	for (int i = 0; found[at] == NULL && i < pd_n_methods; i++)
		if (strcmp(pd_methods[i].path, bus_paths[at]) == 0)
			found[at] = &pd_methods[i];
	return found[at];
}

/* ---- gRPC's side ---- */

static void ask_init(PdAsk *ask, Pd *pd, const ReplyTo *to);
static void set_header(PdAsk *ask, ProtobufCMessage *response);

static void
on_message(Call *call, Bytes message)
{
	const PdMethod *method = &pd_methods[call_method(call)];
	ReplyTo to = {.call = call, .stream = method->kind == RPC_STREAM};

	if (pd_admits(call, method))
		pd_serve(server_arg(call_server(call)), method, message, &to);
	else
		call_fail(call, RPC_UNAVAILABLE, "server is busy");
}

/* The one answer of a method that only listens. */
static void
answer_last(Pd *pd, const PdMethod *method, const ReplyTo *to)
{
	PdAsk ask;
	ProtobufCMessage *response;

	ask_init(&ask, pd, to);
	response = arena_alloc(ask.arena, method->response->sizeof_message);
	method->response->message_init(response);
	set_header(&ask, response);
	pd_reply(pd, to, response);
}

static void
on_half_close(Call *call)
{
	const PdMethod *method = &pd_methods[call_method(call)];
	Pd *pd = server_arg(call_server(call));
	ReplyTo to = {.call = call, .stream = true};

	if (pd->forward != NULL && forward_half_close(pd, &to))
		return;
	if (method->flags & PD_PUSHES)
		return;
	if (method->flags & PD_ANSWERS_LAST)
		answer_last(pd, method, &to);
	tso_half_close(pd, &to);
}

static void
on_closed(Call *call)
{
	Pd *pd = server_arg(call_server(call));

	watch_forget(pd, call);
	forward_closed(pd, call);
}

static const CallHandler unary_calls = {.message = on_message};
static const CallHandler stream_calls = {.message = on_message,
										 .half_close = on_half_close,
										 .closed = on_closed};

const RpcMethod *
pd_rpc_methods(void)
{
	static RpcMethod *methods;

	if (methods == NULL)
		methods = MemoryContextAllocZero(TopMemoryContext,
										 pd_n_methods * sizeof(RpcMethod));
	for (int i = 0; i < pd_n_methods; i++)
	{
		methods[i].path = pd_methods[i].path;
		methods[i].kind = pd_methods[i].kind;
		methods[i].id = i;
		methods[i].handler = pd_methods[i].request == NULL ? NULL :
			pd_methods[i].kind == RPC_STREAM			   ? &stream_calls :
															 &unary_calls;
	}
	return methods;
}

/* ---- answers ---- */

static void
send_now(const Reply *reply)
{
	const ReplyTo *to = &reply->to;

	FAILPOINT_PASS("pd_before_reply");
	if (to->asked != NULL && reply->kind != REPLY_FINISH)
		observe_reply(to, reply->kind == REPLY_FAIL);
	if (to->http != NULL)
	{
		if (reply->kind == REPLY_HTTP)
			http_answer(to->http, reply->code, reply->text, reply->bytes);
		else
			http_answer(to->http, HTTP_UNAVAILABLE, "text/plain",
						bytes_cstr(reply->text));
		return;
	}
	if (reply->kind == REPLY_STORE)
	{
		/* Lost when the bus is full; it is told again. */
		if (bus_send(WORKER_PD, WORKER_STORE, METHOD_STORE_ORDER, reply->bytes,
					 METHOD_STORE_ORDER) != BUS_OK)
			elog(DEBUG1, "tikv pd: an order did not reach the store");
		return;
	}
	if (to->call == NULL)
	{
		bus_answer(&to->bus, reply->kind == REPLY_FAIL ? BUS_ERROR : BUS_OK,
				   reply->code,
				   reply->kind == REPLY_FAIL ? bytes_cstr(reply->text) :
											   reply->bytes);
		return;
	}
	if (reply->kind == REPLY_FAIL)
		call_fail(to->call, (RpcCode) reply->code, reply->text);
	else if (reply->kind == REPLY_FINISH)
		call_finish(to->call, (RpcCode) reply->code, reply->text);
	else if (!to->stream)
		call_reply_bytes(to->call, reply->bytes);
	else if (!call_send_bytes(to->call, reply->bytes))
		call_fail(to->call, RPC_RESOURCE_EXHAUSTED,
				  "too many responses wait to be read");
}

/* The state holds what was proposed and may yet be lost. */
static bool
in_doubt(const Pd *pd)
{
	return pd->leading && pd->decided_index > pd->saved.applied_index;
}

/*
 * Timestamps lie below a bound that a quorum has; a stream's answers all leave
 * at once, so they keep their order.  Those of other streams keep it by waiting
 * behind each other.  An error may be final for who gets it, as is that of a
 * store whose start is not the newest one, and waits for what it shows.
 */
static bool
has_to_wait(const Pd *pd, const ReplyTo *to)
{
	int flags = to->asked != NULL ? to->asked->flags : 0;

	if (flags & PD_TSO)
		return false;
	if (pd->changing)
		return true;
	if ((flags & PD_AT_ONCE) && !to->error)
		return to->stream && (pd->waiting != NULL || pd->outbox != NULL);
	return pd->waiting != NULL || in_doubt(pd);
}

static void
put_reply(Pd *pd, const Reply *reply)
{
	Reply *kept;

	if (!has_to_wait(pd, &reply->to))
	{
		send_now(reply);
		return;
	}
	kept = arena_alloc(&pd->arena, sizeof(*kept));
	*kept = *reply;
	kept->next = NULL;
	if (kept->to.call != NULL)
		call_hold(kept->to.call);
	*pd->outbox_tail = kept;
	pd->outbox_tail = &kept->next;
}

void
pd_reply(Pd *pd, const ReplyTo *to, const ProtobufCMessage *message)
{
	Reply reply = {.to = *to, .kind = REPLY_MESSAGE};

	reply.bytes = pack_message(message, &pd->arena);
	put_reply(pd, &reply);
}

void
pd_reply_bytes(Pd *pd, const ReplyTo *to, Bytes message)
{
	Reply reply = {.to = *to, .kind = REPLY_MESSAGE};

	reply.bytes = arena_copy(&pd->arena, message);
	put_reply(pd, &reply);
}

void
pd_fail(Pd *pd, const ReplyTo *to, int code, const char *text)
{
	Reply reply = {.to = *to, .kind = REPLY_FAIL, .code = code, .text = text};

	put_reply(pd, &reply);
}

void
pd_tell_store(Pd *pd, Bytes order)
{
	Reply reply = {.kind = REPLY_STORE, .bytes = order};

	put_reply(pd, &reply);
}

void
pd_reply_http(Pd *pd, const ReplyTo *to, int status, const char *type,
			  Bytes body)
{
	Reply reply = {.to = *to,
				   .kind = REPLY_HTTP,
				   .bytes = body,
				   .code = status};

	reply.text = type;
	put_reply(pd, &reply);
}

void
pd_finish(Pd *pd, const ReplyTo *to)
{
	pd_finish_with(pd, to, RPC_OK, "");
}

void
pd_finish_with(Pd *pd, const ReplyTo *to, int code, const char *text)
{
	Reply reply = {.to = *to, .kind = REPLY_FINISH, .code = code, .text = text};

	put_reply(pd, &reply);
}

void
pd_flush_outbox(Pd *pd, bool committed)
{
	for (Reply *reply = pd->outbox; reply != NULL; reply = reply->next)
	{
		if (!committed && reply->kind == REPLY_STORE)
			continue;
		if (!committed)
		{
			reply->kind = REPLY_FAIL;
			reply->code = RPC_UNAVAILABLE;
			reply->text = "the change could not be saved";
		}
		send_now(reply);
		if (reply->to.call != NULL)
			call_release(reply->to.call);
	}
	pd->outbox = NULL;
	pd->outbox_tail = &pd->outbox;
}

/* ---- answers that wait for a quorum ---- */

static const uint8_t *
copy_bytes(const void *data, size_t len)
{
	uint8_t *out = malloc(len + 1);

	CHECK(out != NULL);
	if (len > 0)
		memcpy(out, data, len);
	out[len] = '\0';
	return out;
}

static size_t
waiting_bytes(const Reply *reply)
{
	return sizeof(*reply) + reply->bytes.len;
}

static void
free_waiting(Reply *reply)
{
	if (reply->to.call != NULL)
		call_release(reply->to.call);
	free((void *) reply->bytes.data);
	if (reply->kind != REPLY_HTTP)
		free((void *) reply->text);
	free(reply);
}

static void
wait_for_entry(Pd *pd, Reply *reply)
{
	reply->index = pd->proposed_index;
	reply->next = NULL;
	pd_charge(&reply->to, waiting_bytes(reply));
	*pd->waiting_tail = reply;
	pd->waiting_tail = &reply->next;
}

/* A stream may have as much waiting as it may have unread. */
static bool
may_wait(const Reply *reply)
{
	return !reply->to.stream || reply->kind != REPLY_MESSAGE ||
		call_can_send(reply->to.call, waiting_bytes(reply));
}

void
pd_keep_outbox(Pd *pd)
{
	if (group_is_sole(pd) && !in_doubt(pd))
		return;
	for (Reply *reply = pd->outbox; reply != NULL; reply = reply->next)
	{
		Reply *kept;

		if (!may_wait(reply))
		{
			call_fail(reply->to.call, RPC_UNAVAILABLE,
					  "too many responses wait for a quorum");
			call_release(reply->to.call);
			continue;
		}
		kept = malloc(sizeof(*kept));
		CHECK(kept != NULL);
		*kept = *reply;
		kept->bytes.data = copy_bytes(reply->bytes.data, reply->bytes.len);
		if (reply->text != NULL && reply->kind != REPLY_HTTP)
			kept->text =
				(const char *) copy_bytes(reply->text, strlen(reply->text));
		wait_for_entry(pd, kept);
	}
	pd->outbox = NULL;
	pd->outbox_tail = &pd->outbox;
}

static Reply *
pop_waiting(Pd *pd)
{
	Reply *reply = pd->waiting;

	pd->waiting = reply->next;
	if (pd->waiting == NULL)
		pd->waiting_tail = &pd->waiting;
	pd_uncharge(&reply->to, waiting_bytes(reply));
	return reply;
}

void
pd_flush_waiting(Pd *pd)
{
	while (pd->waiting != NULL && pd->leading &&
		   pd->waiting->index <= pd->saved.applied_index)
	{
		Reply *reply = pop_waiting(pd);

		send_now(reply);
		free_waiting(reply);
	}
}

void
pd_fail_waiting(Pd *pd, const char *text)
{
	while (pd->waiting != NULL)
	{
		Reply *reply = pop_waiting(pd);
		Reply failed = *reply;

		failed.kind = REPLY_FAIL;
		failed.code = RPC_UNAVAILABLE;
		failed.text = text;
		if (reply->kind != REPLY_STORE)
			send_now(&failed);
		free_waiting(reply);
	}
}

/* ---- headers ---- */

bool
pd_check_cluster(Pd *pd, const ReplyTo *to, bool has_header, uint64 cluster_id)
{
	if (has_header && cluster_id == pd->state.cluster_id)
		return true;
	if (to->call == NULL && cluster_id == 0)
		return true;
	pd_fail(pd, to, RPC_FAILED_PRECONDITION,
			arena_printf(&pd->arena,
						 "mismatch cluster id, need %" PRIu64
						 " but got %" PRIu64,
						 pd->state.cluster_id, cluster_id));
	return false;
}

/* Field 1 of a message if it is of that type, else NULL. */
static void *
header_place(const ProtobufCMessage *message,
			 const ProtobufCMessageDescriptor *type)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(message->descriptor, 1);

	if (field == NULL || field->descriptor != type)
		return NULL;
	return (uint8_t *) message + field->offset;
}

static bool
check_header(Pd *pd, const PdMethod *method, const ReplyTo *to,
			 const ProtobufCMessage *request)
{
	Pdpb__RequestHeader **header;

	if (method->flags & PD_ANY_CLUSTER)
		return true;
	header = header_place(request, &pdpb__request_header__descriptor);
	if (header == NULL || *header == NULL)
		return pd_check_cluster(pd, to, false, 0);
	return pd_check_cluster(pd, to, true, (*header)->cluster_id);
}

static void
set_header(PdAsk *ask, ProtobufCMessage *response)
{
	Pdpb__ResponseHeader **place =
		header_place(response, &pdpb__response_header__descriptor);
	Pdpb__ResponseHeader *header;

	if (place == NULL)
		return;
	header = NEW_MESSAGE(ask->arena, Pdpb__ResponseHeader,
						 pdpb__response_header__init);
	header->cluster_id = ask->pd->state.cluster_id;
	if (ask->error.type != PD_OK)
	{
		header->error = NEW_MESSAGE(ask->arena, Pdpb__Error, pdpb__error__init);
		header->error->type = (Pdpb__ErrorType) ask->error.type;
		header->error->message = (char *) ask->error.text;
	}
	*place = header;
}

/* ---- one request ---- */

static void
ask_init(PdAsk *ask, Pd *pd, const ReplyTo *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += FAILPOINT_CLOCK_S;
	memset(ask, 0, sizeof(*ask));
	ask->pd = pd;
	ask->to = to;
	ask->arena = &pd->arena;
	ask->code = RPC_OK;
	ask->most = pd->arena.allocated + pd->max_answer;
	ask->now = now.tv_sec;
	ask->now_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
	pd_changes_init(&ask->changes, ask->arena);
}

bool
pd_change(Pd *pd, PdChanges *changes, const char **why)
{
	int64 revision = pd->state.kv.revision;

	pd_state_mirror_safe_point(&pd->state, changes);
	if (changes->n == 0)
		return true;
	if (!group_begin(pd, why) || !group_change(pd, changes, why))
		return false;
	pd->deciding = true;
	FAILPOINT_PASS("pd_changed");
	watch_notify(pd, revision, changes);
	return true;
}

/* What the handler decided takes effect, or the request fails whole. */
static bool
take_effect(PdAsk *ask)
{
	const char *why;

	if (ask->error.type != PD_OK || ask->code != RPC_OK)
		return true;
	if (ask->changes.n > 0 && !pd_change(ask->pd, &ask->changes, &why))
	{
		ask->code = RPC_UNAVAILABLE;
		ask->text = why;
		return false;
	}
	if (ask->heard != NULL)
	{
		cluster_note_region(&ask->pd->state.cluster, ask->heard);
		orders_heard(ask->pd, ask->heard->meta.id);
	}
	return true;
}

static void
answer(PdAsk *ask, const PdMethod *method, const ReplyTo *to,
	   ProtobufCMessage *response)
{
	KvError error;

	if (ask->code != RPC_OK)
	{
		pd_fail(ask->pd, to, ask->code, ask->text);
		return;
	}
	/* A requester on the bus waits for an answer to every message. */
	if (ask->silent && to->call != NULL)
		return;
	if (ask->error.type != PD_OK && (method->flags & PD_KEEPS_PAYLOAD) == 0)
		method->response->message_init(response);
	set_header(ask, response);
	error = pd_check_size(ask, response);
	if (error.code == RPC_OK)
		pd_reply(ask->pd, to, response);
	else
		pd_fail(ask->pd, to, error.code, error.text);
}

/* What a member answers that does not lead, once it knows the members. */
static bool
is_for_any(const Pd *pd, const PdMethod *method)
{
	return (method->flags & PD_ANY_MEMBER) != 0 && pd->raft != NULL &&
		pd->state.members.n > 0;
}

static void
serve(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *from)
{
	ReplyTo timed = *from;
	const ReplyTo *to = &timed;
	PdAsk ask;
	ProtobufCMessage *request;
	ProtobufCMessage *response;

	timed.asked = method;
	timed.asked_us = board_now_us();
	if (!group_may_serve(pd) && !is_for_any(pd, method))
	{
		forward_request(pd, method, bytes, to);
		return;
	}
	if (method->flags & PD_TSO)
	{
		tso_request(pd, method, bytes, to);
		return;
	}
	ask_init(&ask, pd, to);
	request = service_unpack(method->request, bytes, ask.arena);
	if (request == NULL)
	{
		pd_fail(pd, to, RPC_INVALID_ARGUMENT, "malformed request message");
		return;
	}
	if (!check_header(pd, method, to, request))
		return;
	response = arena_alloc(ask.arena, method->response->sizeof_message);
	method->response->message_init(response);
	if ((method->flags & PD_BOOTSTRAPPED) && !pd->state.cluster.bootstrapped)
		ask.error =
			pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	else
		method->handler(&ask, request, response);
	(void) take_effect(&ask);
	timed.error = ask.error.type != PD_OK;
	answer(&ask, method, to, response);
}

void
pd_serve(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *from)
{
	serve(pd, method, bytes, from);
	if (pd_round_is_full(pd) && pd->server != NULL)
		server_yield(pd->server);
}
