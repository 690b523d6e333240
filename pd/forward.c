/*
 * forward.c
 *	  To the leader with what this member cannot answer.
 *
 * This node's store and its SQL sessions ask their own `tikv pd` over the bus
 * and never learn who leads: here their requests go on to the leader, again
 * and again if it changes, until their time is up.  Timestamps that are asked
 * for together travel together, heartbeats of regions share one stream, whose
 * orders come back over the bus.  Clients of other members go to the leader
 * themselves ("not leader" tells them), unless they ask to be passed on
 * (metadata pd-forwarded-host, client-contract 1.15) or talk etcd, whose every
 * member answers.
 *
 * With tikv.pd_endpoints all this is what `tikv pd` does, and the leader is of
 * an external Placement Driver.
 */
#include "postgres.h"

#include <stdlib.h>

#include "bus/board.h"
#include "core/base/check.h"
#include "guc.h"
#include "pd/convert.h"
#include "pd/forward.h"
#include "service/service.h"

/* How long a requester on the bus is kept waiting for a leader. */
#define BUS_PATIENCE_US INT64CONST(9000000)
#define BUS_TIMEOUT_MS 3000
#define MAX_FORWARDS 16384

const ClientHeader forward_header = {FORWARDED_KEY, "1"};

/* ---- requests ---- */

/* On its way there is one more copy of the request. */
static size_t
held_bytes(const Forwarded *f)
{
	return sizeof(*f) + 2 * f->len;
}

Forwarded *
forward_new(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forwarded *f = calloc(1, offsetof(Forwarded, bytes) + bytes.len + 1);

	CHECK(f != NULL);
	f->pd = pd;
	f->to = *to;
	f->method = method;
	f->until_us = board_now_us() + BUS_PATIENCE_US;
	f->len = bytes.len;
	if (bytes.len > 0)
		memcpy(f->bytes, bytes.data, bytes.len);
	if (to->call != NULL)
		call_hold(to->call);
	pd->forward->n_calls++;
	pd_charge(&f->to, held_bytes(f));
	return f;
}

void
forward_free(Forwarded *f)
{
	f->pd->forward->n_calls--;
	pd_uncharge(&f->to, held_bytes(f));
	if (f->to.call != NULL)
		call_release(f->to.call);
	free(f);
}

static void
unlink_call(Forward *fw, Forwarded *f)
{
	Forwarded **place = &fw->calls;

	while (*place != f)
		place = &(*place)->next;
	*place = f->next;
}

void
forward_refuse(Forwarded *f, int code, const char *text)
{
	pd_fail(f->pd, &f->to, code, text);
	forward_free(f);
}

/*
 * What is under way when another leader is found is cut off here.  To its client
 * "cancelled" is what itself has done; unavailable is what it may send again.
 */
void
forward_fail(Pd *pd, const ReplyTo *to, const ClientResult *result)
{
	if (result->code == RPC_CANCELLED)
		pd_fail(pd, to, RPC_UNAVAILABLE,
				"the leader of the placement driver has changed");
	else
		pd_fail(pd, to, result->code, arena_strdup(&pd->arena, result->text));
}

/* Our own processes leave out what they need not know: the cluster's id. */
Bytes
forward_with_header(Pd *pd, const PdMethod *method, Bytes bytes)
{
	ProtobufCMessage *message =
		service_unpack(method->request, bytes, &pd->arena);
	const ProtobufCFieldDescriptor *field;
	Pdpb__RequestHeader **header;

	if (message == NULL)
		return bytes;
	field = protobuf_c_message_descriptor_get_field(message->descriptor, 1);
	if (field == NULL || field->descriptor != &pdpb__request_header__descriptor)
		return bytes;
	header = (Pdpb__RequestHeader **) ((uint8_t *) message + field->offset);
	if (*header == NULL)
		*header = NEW_MESSAGE(&pd->arena, Pdpb__RequestHeader,
							  pdpb__request_header__init);
	if ((*header)->cluster_id == 0)
		(*header)->cluster_id = pd->state.cluster_id;
	if (method->flags & PD_NAMES_SENDER)
		(*header)->sender_id = pd->saved.member_id;
	return pack_message(message, &pd->arena);
}

/*
 * What our own processes ask may be asked again: the leader changed, or did
 * not answer in time.
 */
static bool
may_retry(const Forwarded *f, RpcCode code)
{
	return f->to.call == NULL && board_now_us() < f->until_us &&
		(code == RPC_UNAVAILABLE || code == RPC_CANCELLED ||
		 code == RPC_DEADLINE_EXCEEDED);
}

static void
on_done(void *arg, const ClientResult *result)
{
	Forwarded *f = arg;
	Pd *pd = f->pd;

	f->call = NULL;
	if (may_retry(f, result->code))
	{
		f->not_before_us = board_now_us() + FORWARD_RETRY_US;
		return;
	}
	unlink_call(pd->forward, f);
	if (result->code == RPC_OK)
		pd_reply_bytes(pd, &f->to, result->reply);
	else
		forward_fail(pd, &f->to, result);
	forward_free(f);
}

/*
 * Our own processes' calls are tried again, a client's waits at the leader as
 * long as it would there: the end of its time is the client's.
 */
static int64
timeout_of(const Forwarded *f)
{
	int64 left_us;

	if (f->to.call == NULL)
		return BUS_TIMEOUT_MS;
	left_us = call_deadline_left_us(f->to.call);
	return left_us == PG_INT64_MAX ? 0 : Max(left_us / 1000, 1);
}

static void
send_call(Forward *fw, Forwarded *f)
{
	ClientOptions options = {.headers = &forward_header,
							 .n_headers = 1,
							 .timeout_ms = timeout_of(f)};

	f->call = client_call(fw->channel, f->method->path,
						  bytes_make(f->bytes, f->len), &options, on_done, f);
}

static void
send_calls(Pd *pd)
{
	Forward *fw = pd->forward;
	int64 now = board_now_us();
	Forwarded *next;

	for (Forwarded *f = fw->calls; f != NULL; f = next)
	{
		next = f->next;
		if (f->to.call != NULL && call_over(f->to.call))
		{
			unlink_call(fw, f);
			if (f->call != NULL)
				client_drop(f->call);
			forward_refuse(f, RPC_CANCELLED, "the client is gone");
			continue;
		}
		if (f->call != NULL)
			continue;
		if (now >= f->until_us)
		{
			unlink_call(fw, f);
			forward_refuse(f, RPC_UNAVAILABLE,
						   "no leader of the placement driver");
		}
		else if (fw->channel != NULL && now >= f->not_before_us)
			send_call(fw, f);
	}
}

/* ---- what comes in ---- */

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Clients that know members go to the leader themselves. */
static bool
passes_on(const PdMethod *method, const ReplyTo *to)
{
	if (to->call == NULL)
		return true;
	if (call_metadata(to->call, FORWARDED_KEY).data != NULL)
		return false;
	return call_metadata(to->call, "pd-forwarded-host").data != NULL ||
		starts_with(method->path, "/etcdserverpb.") ||
		starts_with(method->path, "/meta_storagepb.") ||
		starts_with(method->path, PD_OWN_SERVICE) ||
		tikv_fdw_settings.pd_endpoints[0] != '\0';
}

void
forward_request(Pd *pd, const PdMethod *method, Bytes bytes, const ReplyTo *to)
{
	Forward *fw = pd->forward;
	Forwarded *f;

	if (fw == NULL || !passes_on(method, to) ||
		(to->call != NULL && fw->channel == NULL))
		pd_fail(pd, to, RPC_UNAVAILABLE, "not leader");
	else if (fw->n_calls >= MAX_FORWARDS)
		pd_fail(pd, to, RPC_UNAVAILABLE, "too many requests wait");
	else if (method->kind == RPC_STREAM && to->call != NULL)
		forward_stream(pd, method, bytes, to);
	else if (method->request == &pdpb__tso_request__descriptor)
		forward_tso(pd, method, bytes, to);
	else if (method->request == &pdpb__region_heartbeat_request__descriptor)
		forward_beat(pd, method, bytes, to);
	else
	{
		if (to->call == NULL)
			bytes = forward_with_header(pd, method, bytes);
		f = forward_new(pd, method, bytes, to);
		f->next = fw->calls;
		fw->calls = f;
	}
}

/* ---- a round ---- */

/*
 * Requests that came before this member led.  What they change belongs to the
 * round that settles it, so it must not have been settled yet.
 */
void
forward_serve(Pd *pd)
{
	Forward *fw = pd->forward;
	Forwarded *f;

	if (fw == NULL)
		return;
	while (group_may_serve(pd) && (f = fw->calls) != NULL && f->call == NULL)
	{
		fw->calls = f->next;
		pd_serve(pd, f->method, bytes_make(f->bytes, f->len), &f->to);
		forward_free(f);
	}
	while (group_may_serve(pd) && (f = fw->tso_wanted) != NULL)
	{
		Pdpb__TsoRequest request = PDPB__TSO_REQUEST__INIT;

		fw->tso_wanted = f->next;
		if (fw->tso_wanted == NULL)
			fw->tso_wanted_tail = &fw->tso_wanted;
		request.count = f->count;
		pd_serve(pd, f->method, pack_message(&request.base, &pd->arena),
				 &f->to);
		forward_free(f);
	}
}

void
forward_tick(Pd *pd)
{
	if (pd->forward == NULL)
		return;
	forward_count_pipes(pd->forward);
	forward_find_leader(pd);
	if (group_may_serve(pd))
		return;
	send_calls(pd);
	forward_send_tso(pd);
	if (pd->forward->channel != NULL)
		forward_tell_regions(pd);
}

int64
forward_sleep_us(const Pd *pd)
{
	const Forward *fw = pd->forward;

	if (fw == NULL)
		return -1;
	if (group_may_serve(pd) &&
		(fw->tso_wanted != NULL ||
		 (fw->calls != NULL && fw->calls->call == NULL)))
		return 1;
	if (fw->calls != NULL || fw->tso_wanted != NULL)
		return FORWARD_RETRY_US / 2;
	if (pd->leading)
		return -1;
	return fw->channel == NULL ? FORWARD_ASK_US : -1;
}

/* ---- start and stop ---- */

void
forward_start(Pd *pd)
{
	Forward *fw = calloc(1, sizeof(*fw));

	CHECK(fw != NULL);
	fw->tso_wanted_tail = &fw->tso_wanted;
	fw->tso_sent_tail = &fw->tso_sent;
	pd->forward = fw;
}

void
forward_stop(Pd *pd)
{
	Forward *fw = pd->forward;

	if (fw == NULL)
		return;
	forward_forget_streams(fw);
	while (fw->calls != NULL)
	{
		Forwarded *f = fw->calls;

		fw->calls = f->next;
		if (f->call != NULL)
			client_drop(f->call);
		forward_refuse(f, RPC_UNAVAILABLE, "the placement driver stops");
	}
	while (fw->tso_wanted != NULL)
	{
		Forwarded *f = fw->tso_wanted;

		fw->tso_wanted = f->next;
		forward_refuse(f, RPC_UNAVAILABLE, "the placement driver stops");
	}
	forward_drop_pipes(fw);
	if (fw->asking != NULL)
		client_drop(fw->asking);
	if (fw->asked != NULL)
		client_close(fw->asked);
	if (fw->channel != NULL)
		client_close(fw->channel);
	free(fw);
	pd->forward = NULL;
}
