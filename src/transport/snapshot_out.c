/*
 * snapshot_out.c
 *	  Snapshots to other nodes: tikvpb.Tikv.Snapshot, the sending side.
 *
 * Each has a connection of its own, so that heartbeats do not queue behind it.
 * Two pieces are on their way at a time, which is all the memory it takes.
 */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/failpoint.h"
#include "service/wire.h"
#include "transport/transport_internal.h"

#define SNAPSHOT "/tikvpb.Tikv/Snapshot"

/* TiKV's are 1 MiB; smaller ones let other work in between. */
#define PIECE_BYTES ((size_t) 256 * 1024)

/* As TiKV: so long, and as if a megabyte took a second. */
#define TIMEOUT_MS INT64_C(600000)
#define MS_PER_MB 1000

/* Of one node; who makes snapshots has a bound of his own. */
#define MAX_WAITING 64

#define FIELD_MESSAGE 1
#define FIELD_DATA 2

typedef struct SnapshotOut
{
	struct SnapshotOut *next;
	Remote *remote;
	SnapshotSource source;
	uint64_t offset;
	ClientChannel *channel; /* NULL: waits for the address */
	ClientCall *stream;
	bool finished; /* all was handed over */
	bool failed;   /* `read` has */
	size_t len;
	uint8_t message[];
} SnapshotOut;

static void
unlink_snapshot(SnapshotOut *s)
{
	SnapshotOut **at = &s->remote->snapshots;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

/* Tell and forget; the remote may be gone when this returns. */
static void
end(SnapshotOut *s, bool ok, const char *text)
{
	TransportStats *stats = &s->remote->transport->stats;

	unlink_snapshot(s);
	if (ok)
		stats->snapshots_sent++;
	else
		stats->snapshots_failed++;
	if (s->stream != NULL)
		client_drop(s->stream);
	if (s->channel != NULL)
		client_close(s->channel);
	s->source.done(s->source.arg, ok, text);
	free(s);
}

bool
transport_send_snapshot(Transport *t, uint64_t to_id, Bytes raft_message,
						const SnapshotSource *source)
{
	Remote *remote = remote_get(t, to_id, true);
	SnapshotOut *s;
	int n = 0;

	if (remote == NULL)
		return false;
	if (remote->state == REMOTE_BACKOFF &&
		reconnect_is_over(&remote->reconnect, server_now_us()))
		remote->state = REMOTE_IDLE;
	for (s = remote->snapshots; s != NULL; s = s->next)
		n++;
	if (remote->state == REMOTE_BACKOFF || n >= MAX_WAITING)
		return false;
	s = calloc(1, sizeof(*s) + raft_message.len);
	CHECK(s != NULL);
	s->remote = remote;
	s->source = *source;
	s->len = raft_message.len;
	memcpy(s->message, raft_message.data, raft_message.len);
	s->next = remote->snapshots;
	remote->snapshots = s;
	return true;
}

bool
snapshot_out_waits(const Remote *remote)
{
	for (const SnapshotOut *s = remote->snapshots; s != NULL; s = s->next)
		if (s->channel == NULL)
			return true;
	return false;
}

/* A callback may send another one, which then waits; it is failed as well. */
void
snapshot_out_fail(Remote *remote, bool all, const char *text)
{
	SnapshotOut *s = remote->snapshots;

	while (s != NULL)
		if (all || s->channel == NULL)
		{
			end(s, false, text);
			s = remote->snapshots;
		}
		else
			s = s->next;
}

/* ---- the stream ---- */

typedef struct Chunk
{
	SnapshotOut *snapshot;
	uint32_t field;
	size_t len; /* of the field */
} Chunk;

static size_t
chunk_len(const Chunk *c)
{
	return wire_varint_len(wire_key(c->field, WIRE_BYTES)) +
		wire_varint_len(c->len) + c->len;
}

static void
pack_chunk(void *arg, uint8_t *out)
{
	const Chunk *c = arg;
	SnapshotOut *s = c->snapshot;

	out = wire_write_varint(out, wire_key(c->field, WIRE_BYTES));
	out = wire_write_varint(out, c->len);
	if (c->field == FIELD_MESSAGE)
		memcpy(out, s->message, s->len);
	else if (!s->source.read(s->source.arg, s->offset, out, c->len))
	{
		memset(out, 0, c->len);
		s->failed = true;
	}
}

static bool
send_chunk(SnapshotOut *s, uint32_t field, size_t len)
{
	Chunk chunk = {s, field, len};

	return client_send(s->stream, chunk_len(&chunk), pack_chunk, &chunk) &&
		!s->failed;
}

/* Keep two pieces on their way. */
static void
send_more(SnapshotOut *s)
{
	while (s->offset < s->source.size &&
		   client_send_queued(s->stream) < 2 * PIECE_BYTES)
	{
		uint64_t left = s->source.size - s->offset;
		size_t len = left < PIECE_BYTES ? (size_t) left : PIECE_BYTES;

		FAILPOINT_PASS("transport_snapshot_piece");
		if (!send_chunk(s, FIELD_DATA, len))
		{
			/* The last callback still comes, and ends it. */
			client_cancel(s->stream);
			return;
		}
		s->offset += len;
	}
	if (s->offset == s->source.size && !s->finished)
	{
		s->finished = true;
		FAILPOINT_PASS("transport_snapshot_end");
		client_half_close(s->stream);
	}
}

/* The answer has nothing in it. */
static void
on_message(ClientCall *call, Bytes message)
{
	(void) call, (void) message;
}

static void
on_drained(ClientCall *call)
{
	SnapshotOut *s = client_user(call);

	if (!s->finished && !s->failed)
		send_more(s);
}

static void
on_closed(ClientCall *call, const ClientResult *result)
{
	SnapshotOut *s = client_user(call);

	s->stream = NULL;
	if (s->failed)
		end(s, false, "the snapshot cannot be read");
	else
		end(s, result->code == RPC_OK && s->finished, result->text);
}

static const ClientHandler handler = {.message = on_message,
									  .drained = on_drained,
									  .closed = on_closed};

static void
begin(SnapshotOut *s)
{
	Remote *remote = s->remote;
	Transport *t = remote->transport;
	EnvelopeHeaders envelope;
	ClientOptions options = {.headers = envelope.headers,
							 .n_headers = ENVELOPE_HEADERS};

	options.timeout_ms =
		TIMEOUT_MS + (int64_t) (s->source.size >> 20) * MS_PER_MB;
	envelope_headers(t, remote->id, &envelope);
	s->channel = client_open(t->config.server, remote->addr);
	s->stream = client_stream(s->channel, SNAPSHOT, &options, &handler, s);
	if (send_chunk(s, FIELD_MESSAGE, s->len))
		send_more(s);
	else
		client_cancel(s->stream);
}

void
snapshot_out_begin(Remote *remote)
{
	for (SnapshotOut *s = remote->snapshots; s != NULL; s = s->next)
		if (s->channel == NULL)
			begin(s);
}
