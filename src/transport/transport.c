/*
 * transport.c
 *	  Raft messages between nodes: one stream to each node that is talked to.
 */
#include "transport/transport.h"

#include <stdlib.h>
#include <sys/random.h>

#include "core/base/check.h"
#include "transport/transport_internal.h"

#define MAX_QUEUE_DEFAULT ((size_t) 32 * 1024 * 1024)
#define MAX_BATCH_DEFAULT ((size_t) 512 * 1024)

/*
 * Another one in each process.  Nothing depends on it being random but that a
 * copy of this node is told from it.
 */
static uint64_t
life(void)
{
	static uint64_t id;

	if (id == 0 && getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uint64_t) server_now_us();
	return id;
}

Transport *
transport_start(const TransportConfig *config)
{
	Transport *t = calloc(1, sizeof(*t));

	CHECK(t != NULL);
	t->config = *config;
	t->start = FENCE_START(config->start_seq, life());
	if (t->config.max_queue == 0)
		t->config.max_queue = MAX_QUEUE_DEFAULT;
	if (t->config.max_batch == 0)
		t->config.max_batch = MAX_BATCH_DEFAULT;
	inbound_init(t);
	server_attach(config->server, t);
	return t;
}

static void
free_remotes(Transport *t, bool all)
{
	Remote **at = &t->remotes;

	while (*at != NULL)
	{
		Remote *remote = *at;

		if (!all && !remote->forgotten)
		{
			at = &remote->next;
			continue;
		}
		*at = remote->next;
		remote_free(remote);
	}
}

void
transport_stop(Transport *t)
{
	server_attach(t->config.server, NULL);
	inbound_stop(t);
	snapshot_in_stop(t);
	free_remotes(t, true);
	fence_free(&t->fence);
	free(t);
}

bool
transport_send(Transport *t, uint64_t to_id, Bytes raft_message)
{
	Remote *remote = remote_get(t, to_id, true);

	if (remote != NULL && remote->state == REMOTE_BACKOFF &&
		reconnect_is_over(&remote->reconnect, server_now_us()))
		remote->state = REMOTE_IDLE;
	if (remote != NULL && remote->state != REMOTE_BACKOFF &&
		batch_queue_push(&remote->queue, raft_message))
		return true;
	t->stats.dropped++;
	return false;
}

void
transport_run(Transport *t)
{
	int64_t now_us = server_now_us();
	bool forgotten = false;

	for (Remote *r = t->remotes; r != NULL; r = r->next)
	{
		if (!r->forgotten)
			remote_run(r, now_us);
		forgotten |= r->forgotten;
	}
	if (forgotten)
		free_remotes(t, false);
}

void
transport_forget(Transport *t, uint64_t id)
{
	Remote *remote = remote_get(t, id, false);

	if (remote != NULL)
		remote_forget(remote);
	fence_forget(&t->fence, id);
}

uint64_t
transport_own_start(const Transport *t)
{
	return t->start;
}

uint64_t
transport_seen_start(const Transport *t, uint64_t id)
{
	return fence_seen(&t->fence, id);
}

void
transport_know_start(Transport *t, uint64_t id, uint64_t start)
{
	(void) fence_check(&t->fence, id, start);
}

void
transport_stats(const Transport *t, TransportStats *out)
{
	*out = t->stats;
	for (const Remote *r = t->remotes; r != NULL; r = r->next)
	{
		out->queued_bytes += r->queue.bytes;
		if (r->stream != NULL)
		{
			out->queued_bytes += client_send_queued(r->stream);
			out->streams_out += r->opened_us != 0;
		}
	}
	for (const Inbound *in = t->inbound.next; in != &t->inbound; in = in->next)
		out->streams_in++;
}
