/*
 * test_transport.c
 *	  Nodes that send each other Raft messages: order, batches, bounds, nodes
 *	  that vanish and come back, and those that are not let in.
 */
#include <grpc/grpc.h>
#include <signal.h>

#include "server/client.h"
#include "transport/fence.h"

#include "node_kit.h"
#include "unit.h"

static Node *a = &nodes[1];
static Node *b = &nodes[2];

static void
two_nodes(void)
{
	TransportStats stats;

	OK(kit_start(a, NULL) && kit_start(b, NULL), "two nodes start");
	OK(kit_send(a, 2, 0, 10), "a message is queued");
	OK(kit_until(&b->messages, 1), "and arrives");
	EQ_U64(b->bytes, 10, "as it was");
	EQ_U64(b->clock_of, 1, "with the time");
	OK(b->clock_ms / 1000 - time(NULL) >= -5 &&
		   b->clock_ms / 1000 - time(NULL) <= 1,
	   "that its sender's clock shows");
	EQ_U64(a->resolves, 1, "its address was asked for");
	for (uint32_t i = 1; i < 20000; i++)
	{
		if (!kit_send(a, 2, i, 100))
			OK(false, "another is queued");
		if (i % 1000 == 0)
			kit_round();
	}
	OK(kit_until(&b->messages, 20000), "twenty thousand arrive");
	EQ_U64(b->disordered, 0, "in order");
	kit_for_ms(20);
	stats = kit_stats(a);
	EQ_U64(stats.sent, 20000, "all are counted as sent");
	OK(stats.sent_batches < 1000, "in batches");
	EQ_U64(stats.connects, 1, "over one stream");
	EQ_U64(stats.streams_out, 1, "which is there");
	EQ_U64(kit_stats(b).streams_in, 1, "on both sides");
	EQ_U64(stats.queued_bytes, 0, "nothing waits");
	OK(kit_send(b, 1, 0, 10), "and the other way");
	OK(kit_until(&a->messages, 1), "it comes, too");
	b->next = 0;
	OK(kit_send(a, 2, 0, 9 << 20), "a large one");
	OK(kit_until(&b->messages, 20001), "arrives");
	EQ_U64(b->disordered, 0, "unharmed");
}

/* Neither the sender's memory nor the receiver's grows without a bound. */
static void
bounds(void)
{
	uint32_t n = 0;
	int before = b->messages;
	uint64_t dropped = kit_stats(a).dropped;

	transport_pause(b->transport, true);
	b->next = 0;
	while (n < 1000 && kit_send(a, 2, n, 1 << 20))
	{
		n++;
		kit_round();
	}
	OK(n >= 32 && n < 100, "a node that does not read is sent so much");
	EQ_U64(kit_stats(a).dropped, dropped + 1, "the rest is dropped");
	EQ_U64(a->unreachable, 0, "which does not mean unreachable");
	transport_pause(b->transport, false);
	OK(kit_until(&b->messages, before + (int) n), "then it reads it all");
	EQ_U64(b->disordered, 0, "in order");
}

static void
comes_back(void)
{
	int before;

	kit_stop(b);
	OK(kit_until(&a->unreachable, 1), "a node that stops is unreachable");
	OK(!kit_send(a, 2, 0, 10), "at once nothing is taken for it");
	before = a->unreachable;
	kit_for_ms(100);
	OK(kit_send(a, 2, 0, 10), "after a moment it is tried again");
	OK(kit_until(&a->unreachable, before + 1), "in vain");
	OK(kit_start(b, NULL), "it is back");
	before = b->messages;
	for (int i = 0; i < 500 && b->messages == before; i++)
	{
		kit_send(a, 2, 0, 10);
		kit_for_ms(10);
	}
	OK(b->messages > before, "and is found");
	kit_for_ms(20);
	OK(a->resolves > 2, "the address was asked for again");
	/* Its answer may be on its way yet. */
	for (int i = 0; i < 500 && kit_stats(a).connects < 2; i++)
		kit_for_ms(10);
	OK(kit_stats(a).failures >= 2 && kit_stats(a).connects >= 2,
	   "all of which is counted");
}

static void
addresses(void)
{
	int before = a->unreachable;

	OK(kit_send(a, 9, 0, 10), "to a node that nobody knows");
	OK(kit_until(&a->unreachable, before + 1), "it is unreachable");
	a->answer_later = true;
	OK(kit_send(a, 3, 0, 10), "an address that takes its time");
	kit_for_ms(20);
	EQ_U64(a->asked, 3, "was asked for");
	OK(kit_start(&nodes[3], NULL), "the node starts");
	transport_resolved(a->transport, 3, nodes[3].addr);
	transport_resolved(a->transport, 3, "127.0.0.1:1");
	transport_resolved(a->transport, 4, "127.0.0.1:1");
	OK(kit_until(&nodes[3].messages, 1), "the first answer counts");
	a->answer_later = false;
	transport_forget(a->transport, 3);
	kit_for_ms(20);
	EQ_U64(kit_stats(&nodes[3]).streams_in, 0,
		   "a forgotten node's stream ends");
	EQ_U64(a->unreachable, before + 1, "of which nobody is told");
	OK(kit_send(a, 3, 1, 10), "it can be sent to again");
	OK(kit_until(&nodes[3].messages, 2), "over a new stream");
	transport_forget(a->transport, 3);
	transport_forget(a->transport, 3);
	kit_stop(&nodes[3]);
	a->answer_never = true;
	before = a->unreachable;
	OK(kit_send(a, 4, 0, 10), "an address that never comes");
	OK(kit_until(&a->unreachable, before + 1), "is given up");
	a->answer_never = false;
}

/* Messages can name any store, and some are answered. */
static void
made_up_nodes(void)
{
	Node *late = &nodes[3];
	int before = a->unreachable;

	for (uint64_t id = 1; id <= 5 * TRANSPORT_NODES_MAX; id++)
	{
		kit_send(a, 1000000 + id, 0, 10);
		kit_round();
	}
	OK(kit_until(&a->unreachable, before + TRANSPORT_NODES_MAX),
	   "very many nodes that nobody knows");
	*late = (Node){.port = late->port};
	OK(kit_start(late, NULL) && kit_send(a, 3, 0, 10),
	   "leave room for one that there is");
	OK(kit_until(&late->messages, 1), "which is reached");
	before = b->messages;
	OK(kit_send(a, 2, 0, 10) && kit_until(&b->messages, before + 1),
	   "one with a stream keeps it");
	transport_forget(a->transport, 3);
	kit_stop(late);
}

/* ---- who is not let in ---- */

static void
of_another_cluster(void)
{
	Node *c = &nodes[3];
	int before = b->messages;

	*c = (Node){.cluster_id = 78, .port = 0};
	OK(kit_start(c, NULL), "a node of another cluster");
	kit_send(c, 2, 0, 10);
	OK(kit_until(&c->refused, 1), "is refused");
	OK(strstr(c->refused_text, "mismatched cluster id: 77, not 78") != NULL,
	   "and told why");
	kit_for_ms(20);
	EQ_U64(b->messages, before, "nothing of it is taken");
	OK(kit_stats(b).refused > 0, "it is counted");
	kit_stop(c);
}

static void
wrong_receiver(void)
{
	Node *c = &nodes[3];
	char right[64];
	int before = b->messages;

	*c = (Node){.port = 0};
	OK(kit_start(c, NULL), "a third node");
	snprintf(right, sizeof(right), "%s", b->addr);
	snprintf(b->addr, sizeof(b->addr), "%s", c->addr);
	kit_send(c, 2, 0, 10);
	OK(kit_until(&c->unreachable, 1), "sent to the wrong place it fails");
	EQ_U64(c->refused, 0, "but not for good");
	snprintf(b->addr, sizeof(b->addr), "%s", right);
	for (int i = 0; i < 500 && b->messages == before; i++)
	{
		kit_send(c, 2, 0, 10);
		kit_for_ms(10);
	}
	OK(b->messages > before, "the right place is found");
	EQ_U64(c->messages, 0, "nothing went astray");
}

/* nodes[3] is known to b with start_seq 1. */
static void
clones(void)
{
	Node *c = &nodes[3];
	Node *clone = &nodes[4];
	TransportConfig config;
	int before;

	/* Started as node 4, it says that it is node 3 and has started more often. */
	*clone = (Node){.start_seq = 4};
	config = kit_transport_config(clone);
	config.self_id = 3;
	config.cluster_id = 77;
	OK(kit_start(clone, &config), "a copy that started later");
	before = b->messages;
	kit_send(clone, 2, 0, 10);
	OK(kit_until(&b->messages, before + 1), "is listened to");
	OK(kit_until(&c->refused, 1), "the earlier one is thrown out");
	before = b->messages;
	for (int i = 0; i < 20 && c->refused < 2; i++)
	{
		kit_send(c, 2, 0, 10);
		kit_for_ms(20);
	}
	OK(c->refused >= 2, "and not let in again");
	OK(strstr(c->refused_text, "a newer start of node 3 was seen: 5, not 1") !=
		   NULL,
	   "it is told why");
	EQ_U64(b->messages, before, "nothing of it is taken");
	kit_stop(clone);
	kit_stop(c);
}

/* ---- strangers ---- */

/* How a stream with these headers and one message ends. */
static Ended
stream(const char *path, const ClientHeader *headers, int n, Bytes message)
{
	ClientOptions options = {headers, n, 2000};

	return kit_stream(a, b, path, &options, &message, 1);
}

static void
strangers(void)
{
	ClientHeader good[] = {{ENVELOPE_CLUSTER, "77"},
						   {ENVELOPE_FROM, "50"},
						   {ENVELOPE_TO, "2"},
						   {ENVELOPE_START, "1"}};
	ClientHeader odd[] = {{ENVELOPE_CLUSTER, "77"},
						  {ENVELOPE_FROM, "-1"},
						  {ENVELOPE_TO, "2"},
						  {ENVELOPE_START, "1"}};
	const char *batch = "/tikvpb.Tikv/BatchRaft";
	int before = b->messages;
	TransportConfig config;
	Ended ended;

	ended = stream(batch, NULL, 0, bytes_cstr("x"));
	EQ_U64(ended.code, RPC_INVALID_ARGUMENT, "who says nothing");
	ended = stream(batch, good, 3, bytes_cstr("x"));
	EQ_U64(ended.code, RPC_INVALID_ARGUMENT, "or too little");
	ended = stream(batch, odd, 4, bytes_cstr("x"));
	EQ_U64(ended.code, RPC_INVALID_ARGUMENT, "or nonsense, is not let in");
	ended = stream(batch, good, 4, bytes_make("\x0a\x07x", 3));
	EQ_U64(ended.code, RPC_INVALID_ARGUMENT, "bytes that are no batch");
	EQ_STR(ended.text, "malformed BatchRaftMessage", "end the stream");
	EQ_U64(b->messages, before, "nothing of that is taken");
	ended = stream(batch, good, 4, bytes_make("\x0a\x01x\x0a\x01y", 6));
	EQ_U64(ended.code, RPC_OK, "a stream may be ended nicely");
	EQ_U64(b->messages, before + 2, "when its messages were taken");
	ended = stream("/tikvpb.Tikv/Raft", good, 4, bytes_cstr("one"));
	EQ_U64(ended.code, RPC_OK, "the old kind of stream");
	EQ_U64(b->messages, before + 3, "is served, too");
	transport_stop(b->transport);
	b->transport = NULL;
	ended = stream(batch, good, 4, bytes_make("\x0a\x01x", 3));
	EQ_U64(ended.code, RPC_UNAVAILABLE, "a node that is not ready says so");
	config = kit_transport_config(b);
	b->transport = transport_start(&config);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	grpc_init();
	two_nodes();
	bounds();
	comes_back();
	addresses();
	made_up_nodes();
	of_another_cluster();
	wrong_receiver();
	clones();
	strangers();
	kit_send(a, 2, 0, 10); /* on its way when the node stops */
	kit_stop(a);
	kit_stop(b);
	grpc_shutdown();
	return unit_done();
}
