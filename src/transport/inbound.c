/*
 * inbound.c
 *	  Streams that messages come from.
 *
 * The first message of a stream is the moment at which its metadata is looked
 * at; a stream without messages does no harm.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/failpoint.h"
#include "transport/transport_internal.h"

#define METHOD_RAFT 1
#define METHOD_BATCH_RAFT 2
#define METHOD_SNAPSHOT 3

void
inbound_init(Transport *t)
{
	t->inbound.next = t->inbound.prev = &t->inbound;
}

static void
unlink_inbound(Inbound *in)
{
	in->next->prev = in->prev;
	in->prev->next = in->next;
	in->next = in->prev = in;
}

void
inbound_stop(Transport *t)
{
	while (t->inbound.next != &t->inbound)
	{
		Inbound *in = t->inbound.next;

		unlink_inbound(in);
		in->transport = NULL;
		call_fail(in->call, RPC_UNAVAILABLE, "the node is stopping");
	}
}

/* ---- who may come in ---- */

static bool
refuse(Transport *t, Call *call, RpcCode code, const char *text)
{
	t->stats.refused++;
	call_fail(call, code, text);
	return false;
}

static bool
read_envelope(Call *call, SenderEnvelope *out)
{
	return envelope_number(call_metadata(call, ENVELOPE_CLUSTER),
						   &out->cluster_id) &&
		envelope_number(call_metadata(call, ENVELOPE_FROM), &out->from_id) &&
		envelope_number(call_metadata(call, ENVELOPE_TO), &out->to_id) &&
		envelope_number(call_metadata(call, ENVELOPE_START), &out->start);
}

/* The sender has started again: what its earlier life sent is over. */
static void
end_older(Transport *t, const SenderEnvelope *newer)
{
	for (Inbound *in = t->inbound.next; in != &t->inbound; in = in->next)
		if (in->sender.from_id == newer->from_id &&
			in->sender.start != newer->start)
		{
			t->stats.refused++;
			call_fail(in->call, RPC_FAILED_PRECONDITION,
					  "a newer start of this node" FENCE_SEEN);
		}
}

static bool
pass_fence(Transport *t, Call *call, const SenderEnvelope *sender)
{
	char text[160];
	uint64_t seen;

	switch (fence_check(&t->fence, sender->from_id, sender->start))
	{
		case FENCE_SAME:
			return true;
		case FENCE_NEWER:
			end_older(t, sender);
			return true;
		case FENCE_FULL:
			return refuse(t, call, RPC_RESOURCE_EXHAUSTED, "too many nodes");
		case FENCE_OLD:
			break;
	}
	seen = FENCE_SEQ(fence_seen(&t->fence, sender->from_id));
	if (seen == FENCE_SEQ(sender->start))
		snprintf(text, sizeof(text),
				 "another start %" PRIu64 " of node %" PRIu64 FENCE_SEEN, seen,
				 sender->from_id);
	else
		snprintf(text, sizeof(text),
				 "a newer start of node %" PRIu64 FENCE_SEEN ": %" PRIu64
				 ", not %" PRIu64,
				 sender->from_id, seen, FENCE_SEQ(sender->start));
	return refuse(t, call, RPC_FAILED_PRECONDITION, text);
}

/*
 * UNKNOWN for a wrong receiver is TiKV's answer, too (tikv/tikv,
 * src/server/service/kv.rs): the sender asks for the address again.
 */
bool
inbound_admit(Transport *t, Call *call, SenderEnvelope *out)
{
	char text[160];

	if (!read_envelope(call, out))
		return refuse(t, call, RPC_INVALID_ARGUMENT,
					  "the stream does not say who sends");
	if (out->cluster_id != t->config.cluster_id)
	{
		snprintf(text, sizeof(text),
				 "mismatched cluster id: %" PRIu64 ", not %" PRIu64,
				 t->config.cluster_id, out->cluster_id);
		return refuse(t, call, RPC_FAILED_PRECONDITION, text);
	}
	if (out->to_id != t->config.self_id)
	{
		snprintf(text, sizeof(text), "this is node %" PRIu64 ", not %" PRIu64,
				 t->config.self_id, out->to_id);
		return refuse(t, call, RPC_UNKNOWN, text);
	}
	return pass_fence(t, call, out);
}

/* ---- messages ---- */

/* The first message of a stream. */
static Inbound *
begin(Call *call)
{
	Transport *t = server_attached(call_server(call));
	SenderEnvelope sender;
	Inbound *in;

	if (t == NULL)
	{
		call_fail(call, RPC_UNAVAILABLE, "the node is not ready");
		return NULL;
	}
	if (!inbound_admit(t, call, &sender))
		return NULL;
	FAILPOINT_PASS("transport_admitted");
	in = calloc(1, sizeof(*in));
	CHECK(in != NULL);
	in->transport = t;
	in->call = call;
	in->sender = sender;
	in->prev = &t->inbound;
	in->next = t->inbound.next;
	in->next->prev = in;
	t->inbound.next = in;
	call_set_user(call, in);
	if (t->paused)
		call_pause(call, true);
	return in;
}

static void
tell(void *arg, Bytes message)
{
	Transport *t = arg;

	t->stats.received++;
	t->config.on_message(t->config.arg, message);
}

static void
take_batch(Inbound *in, Bytes message)
{
	Transport *t = in->transport;
	uint64_t wall_ms;

	if (!batch_each(message, tell, t, &wall_ms))
		call_fail(in->call, RPC_INVALID_ARGUMENT, "malformed BatchRaftMessage");
	else if (t->config.on_clock != NULL && wall_ms != 0 &&
			 wall_ms <= INT64_MAX / 2)
		t->config.on_clock(t->config.arg, in->sender.from_id,
						   (int64_t) wall_ms);
}

static void
message_of_stream(Call *call, Bytes message)
{
	Inbound *in = call_user(call);

	if (in == NULL)
		in = begin(call);
	if (in == NULL || in->transport == NULL)
		return;
	FAILPOINT_PASS("transport_received");
	in->transport->stats.received_bytes += message.len;
	if (call_method(call) == METHOD_RAFT)
		tell(in->transport, message);
	else
		take_batch(in, message);
}

/* A stream is only ever ended by an error; some clients end it nicely. */
static void
half_close(Call *call)
{
	call_finish(call, RPC_OK, NULL);
}

static void
closed(Call *call)
{
	Inbound *in = call_user(call);

	if (in == NULL)
		return;
	unlink_inbound(in);
	free(in);
	call_set_user(call, NULL);
}

static const CallHandler raft_stream = {.message = message_of_stream,
										.half_close = half_close,
										.closed = closed};

const RpcMethod transport_methods[] = {
	{"/tikvpb.Tikv/Raft", RPC_STREAM, METHOD_RAFT, &raft_stream},
	{"/tikvpb.Tikv/BatchRaft", RPC_STREAM, METHOD_BATCH_RAFT, &raft_stream},
	{"/tikvpb.Tikv/Snapshot", RPC_STREAM, METHOD_SNAPSHOT, &snapshot_stream},
};
const int transport_n_methods =
	sizeof(transport_methods) / sizeof(transport_methods[0]);

void
transport_pause(Transport *t, bool pause)
{
	if (t->paused == pause)
		return;
	t->paused = pause;
	for (Inbound *in = t->inbound.next; in != &t->inbound; in = in->next)
		call_pause(in->call, pause);
}
