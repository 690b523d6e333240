/*
 * remote.c
 *	  One node that messages go to: its address, its stream, its failures.
 *
 * The address is asked for whenever a stream is to begin, since a node may
 * have moved; who answers keeps what it knows.  When a stream ends, everything
 * that waits is dropped: Raft sends again, and what is old helps nobody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/failpoint.h"
#include "transport/transport_internal.h"

#define RESOLVE_TIMEOUT_US 5000000
#define CONNECT_TIMEOUT_US 5000000

/* A stream that lived so long has worked. */
#define WORKED_US 1000000

/*
 * Bytes that gRPC has been given and not taken over: enough that it never
 * waits for us, and all the rest stays where batches still grow.
 */
#define MAX_HANDED_OVER(t) (2 * (t)->config.max_batch)

#define BATCH_RAFT "/tikvpb.Tikv/BatchRaft"

void
remote_forget(Remote *remote)
{
	remote->forgotten = true;
	remote->transport->n_remotes--;
}

/* Nothing would be lost with it but how often it failed. */
static bool
is_idle(const Remote *remote)
{
	return !remote->forgotten && remote->snapshots == NULL &&
		remote->queue.first == NULL &&
		(remote->state == REMOTE_IDLE || remote->state == REMOTE_BACKOFF);
}

/* False if all are in use. */
static bool
forget_oldest(Transport *t)
{
	Remote *oldest = NULL;

	for (Remote *r = t->remotes; r != NULL; r = r->next)
		if (is_idle(r) && (oldest == NULL || r->since_us < oldest->since_us))
			oldest = r;
	if (oldest == NULL)
		return false;
	remote_forget(oldest);
	return true;
}

Remote *
remote_get(Transport *t, uint64_t id, bool make)
{
	Remote *remote;

	for (remote = t->remotes; remote != NULL; remote = remote->next)
		if (remote->id == id && !remote->forgotten)
			return remote;
	if (!make || (t->n_remotes >= TRANSPORT_NODES_MAX && !forget_oldest(t)))
		return NULL;
	remote = calloc(1, sizeof(*remote));
	CHECK(remote != NULL);
	remote->transport = t;
	remote->id = id;
	batch_queue_init(&remote->queue, t->config.max_queue, t->config.max_batch);
	reconnect_init(&remote->reconnect,
				   t->config.self_id * 31 + id + (uint64_t) server_now_us());
	remote->next = t->remotes;
	t->remotes = remote;
	t->n_remotes++;
	return remote;
}

static void
enter(Remote *remote, RemoteState state, int64_t now_us)
{
	remote->state = state;
	remote->since_us = now_us;
}

static void
close_stream(Remote *remote)
{
	if (remote->stream != NULL)
		client_drop(remote->stream);
	if (remote->channel != NULL)
		client_close(remote->channel);
	remote->stream = NULL;
	remote->channel = NULL;
	remote->opened_us = 0;
	free(remote->addr);
	remote->addr = NULL;
}

void
remote_free(Remote *remote)
{
	snapshot_out_fail(remote, true, "the node is gone");
	close_stream(remote);
	batch_queue_clear(&remote->queue);
	free(remote);
}

/* Give up for a while.  The last thing to be done with it in a callback. */
static void
fail(Remote *remote, int64_t now_us)
{
	Transport *t = remote->transport;

	if (remote->opened_us != 0 && now_us - remote->opened_us > WORKED_US)
		reconnect_worked(&remote->reconnect);
	reconnect_failed(&remote->reconnect, now_us);
	close_stream(remote);
	t->stats.dropped += (uint64_t) batch_queue_clear(&remote->queue);
	t->stats.failures++;
	enter(remote, REMOTE_BACKOFF, now_us);
	snapshot_out_fail(remote, false, "the node cannot be reached");
	t->config.on_unreachable(t->config.arg, remote->id);
}

/* ---- the address ---- */

static void
resolve(Remote *remote, int64_t now_us)
{
	Transport *t = remote->transport;

	enter(remote, REMOTE_RESOLVING, now_us);
	t->config.resolve(t->config.arg, remote->id);
}

void
transport_resolved(Transport *t, uint64_t id, const char *addr)
{
	Remote *remote = remote_get(t, id, false);

	if (remote == NULL || remote->state != REMOTE_RESOLVING)
		return;
	if (addr == NULL || addr[0] == '\0')
	{
		fail(remote, server_now_us());
		return;
	}
	remote->addr = strdup(addr);
	CHECK(remote->addr != NULL);
	enter(remote, REMOTE_RESOLVED, server_now_us());

	/* It is used by the next transport_run, which may not be called soon. */
	server_wake_at(t->config.server, 0);
}

/* ---- the stream ---- */

static void
on_opened(ClientCall *call)
{
	Remote *remote = client_user(call);

	FAILPOINT_PASS("transport_opened");
	remote->opened_us = server_now_us();
	remote->transport->stats.connects++;
}

/* Nothing is ever said on such a stream but its end. */
static void
on_message(ClientCall *call, Bytes message)
{
	(void) call, (void) message;
}

static void
on_closed(ClientCall *call, const ClientResult *result)
{
	Remote *remote = client_user(call);
	Transport *t = remote->transport;
	uint64_t id = remote->id;

	remote->stream = NULL;
	fail(remote, server_now_us());
	if (result->code == RPC_FAILED_PRECONDITION && t->config.on_refused != NULL)
		t->config.on_refused(t->config.arg, id, result->text);
}

static const ClientHandler handler = {.opened = on_opened,
									  .message = on_message,
									  .closed = on_closed};

void
envelope_headers(const Transport *t, uint64_t to_id, EnvelopeHeaders *out)
{
	static const char *const keys[ENVELOPE_HEADERS] = {ENVELOPE_CLUSTER,
													   ENVELOPE_FROM,
													   ENVELOPE_TO,
													   ENVELOPE_START};
	const uint64_t values[ENVELOPE_HEADERS] = {t->config.cluster_id,
											   t->config.self_id, to_id,
											   t->start};

	for (int i = 0; i < ENVELOPE_HEADERS; i++)
	{
		snprintf(out->text[i], sizeof(out->text[i]), "%" PRIu64, values[i]);
		out->headers[i] = (ClientHeader){keys[i], out->text[i]};
	}
}

static void
open_stream(Remote *remote, int64_t now_us)
{
	Transport *t = remote->transport;
	EnvelopeHeaders envelope;
	ClientOptions options = {.headers = envelope.headers,
							 .n_headers = ENVELOPE_HEADERS};

	FAILPOINT_PASS("transport_open");
	envelope_headers(t, remote->id, &envelope);
	remote->channel = client_open(t->config.server, remote->addr);
	remote->stream =
		client_stream(remote->channel, BATCH_RAFT, &options, &handler, remote);
	enter(remote, REMOTE_STREAMING, now_us);
}

static uint64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t) (ts.tv_sec + FAILPOINT_CLOCK_S) * 1000 +
		(uint64_t) ts.tv_nsec / 1000000;
}

static void
send_batches(Remote *remote)
{
	Transport *t = remote->transport;
	MessageBatch *batch;

	while (client_send_queued(remote->stream) < MAX_HANDED_OVER(t) &&
		   (batch = batch_queue_take(&remote->queue)) != NULL)
	{
		bool taken;

		batch = batch_stamp(batch, wall_ms());
		taken = client_send_bytes(remote->stream,
								  bytes_make(batch->bytes, batch->len));
		FAILPOINT_PASS("transport_sent");
		if (taken)
		{
			t->stats.sent += (uint64_t) batch->n_messages;
			t->stats.sent_batches++;
			t->stats.sent_bytes += batch->len;
		}
		else
			t->stats.dropped += (uint64_t) batch->n_messages;
		free(batch);
	}
}

/* ---- a round ---- */

static void
give_up_after(Remote *remote, int64_t timeout_us, int64_t now_us)
{
	int64_t end_us = remote->since_us + timeout_us;

	if (now_us >= end_us)
		fail(remote, now_us);
	else
		server_wake_at(remote->transport->config.server, end_us);
}

void
remote_run(Remote *remote, int64_t now_us)
{
	if (remote->state == REMOTE_IDLE &&
		(remote->queue.first != NULL || snapshot_out_waits(remote)))
		resolve(remote, now_us);
	if (remote->state == REMOTE_RESOLVED)
		open_stream(remote, now_us);
	if (remote->state == REMOTE_RESOLVING)
		give_up_after(remote, RESOLVE_TIMEOUT_US, now_us);
	if (remote->state != REMOTE_STREAMING)
		return;
	snapshot_out_begin(remote);
	send_batches(remote);
	if (remote->opened_us == 0)
		give_up_after(remote, CONNECT_TIMEOUT_US, now_us);
}
