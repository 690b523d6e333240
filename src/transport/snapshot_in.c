/*
 * snapshot_in.c
 *	  Snapshots of other nodes: tikvpb.Tikv.Snapshot, the receiving side.
 *
 * The first chunk has the message and nothing else, the others have data and
 * nothing else, and none is empty (raftstore-and-pd 13).  What is done with
 * them is the owner's; here is only that he is told of the end exactly once.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/failpoint.h"
#include "service/wire.h"
#include "transport/transport_internal.h"

#define FIELD_MESSAGE 1
#define FIELD_DATA 2

typedef struct SnapshotIn
{
	struct SnapshotIn *next;
	Transport *transport; /* NULL once that has stopped */
	Call *call;
	void *snapshot; /* NULL: it has ended */
} SnapshotIn;

/* ---- chunks ---- */

typedef struct Chunk
{
	bool has_message;
	bool has_data;
	Bytes message;
	Bytes data;
} Chunk;

static bool
parse(Bytes bytes, Chunk *out)
{
	WireReader r = wire_reader(bytes);
	WireField f;

	memset(out, 0, sizeof(*out));
	while (wire_read_field(&r, &f))
	{
		if (f.number == FIELD_MESSAGE && f.type == WIRE_BYTES)
		{
			out->has_message = true;
			out->message = f.bytes;
		}
		else if (f.number == FIELD_DATA && f.type == WIRE_BYTES)
		{
			out->has_data = f.bytes.len > 0;
			out->data = f.bytes;
		}
	}
	return !r.bad && out->has_message != out->has_data;
}

/* ---- the end ---- */

static bool
end(SnapshotIn *in, bool complete)
{
	void *snapshot = in->snapshot;

	in->snapshot = NULL;
	return snapshot != NULL && in->transport != NULL &&
		in->transport->config.snapshot_end(snapshot, complete);
}

static void
unlink_snapshot(SnapshotIn *in)
{
	SnapshotIn **at = &in->transport->snapshots_in;

	while (*at != in)
		at = &(*at)->next;
	*at = in->next;
}

static void
fail(SnapshotIn *in, RpcCode code, const char *text)
{
	call_fail(in->call, code, text);
	(void) end(in, false);
}

void
snapshot_in_stop(Transport *t)
{
	while (t->snapshots_in != NULL)
	{
		SnapshotIn *in = t->snapshots_in;

		fail(in, RPC_UNAVAILABLE, "the node is stopping");
		unlink_snapshot(in);
		in->transport = NULL;
	}
}

/* ---- the stream ---- */

static void
begin(Transport *t, Call *call, Bytes message)
{
	SenderEnvelope sender;
	const char *why = "no snapshots are taken";
	SnapshotIn *in;
	void *snapshot = NULL;

	if (!inbound_admit(t, call, &sender))
		return;
	if (t->config.snapshot_begin != NULL)
		snapshot = t->config.snapshot_begin(t->config.arg, sender.from_id,
											message, &why);
	if (snapshot == NULL)
	{
		call_fail(call, RPC_RESOURCE_EXHAUSTED, why);
		return;
	}
	in = calloc(1, sizeof(*in));
	CHECK(in != NULL);
	in->transport = t;
	in->call = call;
	in->snapshot = snapshot;
	in->next = t->snapshots_in;
	t->snapshots_in = in;
	call_set_user(call, in);
}

static void
on_message(Call *call, Bytes bytes)
{
	Transport *t = server_attached(call_server(call));
	SnapshotIn *in = call_user(call);
	Chunk chunk;

	if (t == NULL || (in != NULL && in->snapshot == NULL))
	{
		call_fail(call, RPC_UNAVAILABLE, "the node is not ready");
		return;
	}
	if (!parse(bytes, &chunk) || chunk.has_message != (in == NULL))
	{
		if (in == NULL)
			call_fail(call, RPC_INVALID_ARGUMENT, "malformed SnapshotChunk");
		else
			fail(in, RPC_INVALID_ARGUMENT, "malformed SnapshotChunk");
		return;
	}
	t->stats.received_bytes += bytes.len;
	if (in == NULL)
		begin(t, call, chunk.message);
	else if (!t->config.snapshot_data(in->snapshot, chunk.data))
		fail(in, RPC_INTERNAL, "the snapshot cannot be kept");
}

static void
on_half_close(Call *call)
{
	SnapshotIn *in = call_user(call);

	if (in == NULL || in->snapshot == NULL)
		call_finish(call, RPC_INVALID_ARGUMENT, "there was no snapshot");
	else if (end(in, true))
	{
		FAILPOINT_PASS("transport_snapshot_kept");
		in->transport->stats.snapshots_received++;
		call_send_bytes(call, bytes_empty());
		call_finish(call, RPC_OK, NULL);
	}
	else
		call_finish(call, RPC_INTERNAL, "the snapshot is not good");
}

static void
on_closed(Call *call)
{
	SnapshotIn *in = call_user(call);

	if (in == NULL)
		return;
	(void) end(in, false);
	if (in->transport != NULL)
		unlink_snapshot(in);
	free(in);
	call_set_user(call, NULL);
}

const CallHandler snapshot_stream = {.message = on_message,
									 .half_close = on_half_close,
									 .closed = on_closed};
