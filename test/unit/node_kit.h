/*
 * node_kit.h
 *	  Nodes with servers and transports, all driven by the test's own thread.
 *
 * A round polls every node once; nodes talk over real sockets.
 */
#ifndef TIKV_TEST_NODE_KIT_H
#define TIKV_TEST_NODE_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "server/server.h"
#include "transport/transport.h"

#define KIT_NODES 4

typedef struct Node
{
	uint64_t id;
	uint64_t start_seq;
	uint64_t cluster_id;
	Server *server; /* NULL: down */
	Transport *transport;
	int wake_fd;
	char addr[64]; /* where others reach it */
	int port;	   /* kept over a restart */

	/* what happened */
	int messages;
	int64_t clock_ms; /* of who sent the last ones */
	uint64_t clock_of;
	size_t bytes;
	uint32_t next; /* messages begin with a number that counts */
	int disordered;
	int unreachable;
	int refused;
	char refused_text[256];
	int resolves;
	bool answer_nobody; /* to `resolve` */
	bool answer_never;
	bool answer_later;
	uint64_t asked; /* and not answered */
} Node;

static Node nodes[KIT_NODES + 1];

static inline int64_t
kit_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static inline void
kit_resolve(void *arg, uint64_t id)
{
	Node *node = arg;

	node->resolves++;
	node->asked = id;
	if (node->answer_never || node->answer_later)
		return;
	transport_resolved(node->transport, id,
					   node->answer_nobody || id > KIT_NODES ? NULL :
															   nodes[id].addr);
}

static inline void
kit_message(void *arg, Bytes message)
{
	Node *node = arg;
	uint32_t number;

	node->messages++;
	node->bytes += message.len;
	if (message.len < sizeof(number))
		return;
	memcpy(&number, message.data, sizeof(number));
	if (number != node->next)
		node->disordered++;
	node->next = number + 1;
}

static inline void
kit_clock(void *arg, uint64_t id, int64_t wall_ms)
{
	Node *node = arg;

	node->clock_of = id;
	node->clock_ms = wall_ms;
}

static inline void
kit_unreachable(void *arg, uint64_t id)
{
	(void) id;
	((Node *) arg)->unreachable++;
}

static inline void
kit_refused(void *arg, uint64_t id, const char *text)
{
	Node *node = arg;

	(void) id;
	node->refused++;
	snprintf(node->refused_text, sizeof(node->refused_text), "%s", text);
}

static inline TransportConfig
kit_transport_config(Node *node)
{
	return (TransportConfig){.server = node->server,
							 .cluster_id = node->cluster_id,
							 .self_id = node->id,
							 .start_seq = node->start_seq,
							 .resolve = kit_resolve,
							 .on_message = kit_message,
							 .on_clock = kit_clock,
							 .on_unreachable = kit_unreachable,
							 .on_refused = kit_refused,
							 .arg = node};
}

/* Start a node; again: with its next start_seq, at the same address. */
static inline bool
kit_start(Node *node, const TransportConfig *config)
{
	ServerConfig server = {.addr = "127.0.0.1:0",
						   .parent_fd = -1,
						   .max_message = 64 << 20,
						   .max_calls = 10,
						   .peer_methods = transport_methods,
						   .n_peer_methods = transport_n_methods};
	char peer_addr[64];
	char err[256];
	TransportConfig own;

	snprintf(peer_addr, sizeof(peer_addr), "127.0.0.1:%d", node->port);
	server.peer_addr = peer_addr;
	node->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server.wake_fd = node->wake_fd;
	node->id = (uint64_t) (node - nodes);
	if (node->cluster_id == 0)
		node->cluster_id = 77;
	node->start_seq++;
	node->server = server_start(&server, err, sizeof(err));
	if (node->server == NULL)
	{
		printf("# %s\n", err);
		return false;
	}
	node->port = server_peer_port(node->server);
	snprintf(node->addr, sizeof(node->addr), "127.0.0.1:%d", node->port);
	own = kit_transport_config(node);
	if (config != NULL)
	{
		own = *config;
		own.server = node->server;
		own.start_seq = node->start_seq;
	}
	node->transport = transport_start(&own);
	return true;
}

static inline void
kit_stop(Node *node)
{
	transport_stop(node->transport);
	server_stop(node->server, 5000);
	close(node->wake_fd);
	node->server = NULL;
}

static inline void
kit_round(void)
{
	for (int i = 1; i <= KIT_NODES; i++)
	{
		Node *node = &nodes[i];

		if (node->server == NULL)
			continue;
		server_poll(node->server, 1000);
		if (node->transport != NULL)
			transport_run(node->transport);
		server_wait(node->server, 0);
	}
}

/* Rounds until *value is at least so much; false after 10 seconds. */
static inline bool
kit_until(const int *value, int least)
{
	int64_t end = kit_now_us() + 10000000;

	while (*value < least)
	{
		if (kit_now_us() > end)
			return false;
		kit_round();
	}
	return true;
}

static inline void
kit_for_ms(int ms)
{
	int64_t end = kit_now_us() + (int64_t) ms * 1000;

	while (kit_now_us() < end)
		kit_round();
}

static inline TransportStats
kit_stats(const Node *node)
{
	TransportStats stats;

	transport_stats(node->transport, &stats);
	return stats;
}

/* One numbered message of this size. */
static inline bool
kit_send(Node *from, uint64_t to, uint32_t number, size_t len)
{
	uint8_t *message = calloc(1, len < sizeof(number) ? sizeof(number) : len);
	bool queued;

	memcpy(message, &number, sizeof(number));
	queued = transport_send(from->transport, to, bytes_make(message, len));
	free(message);
	return queued;
}

/* How a stream of a stranger ended. */
typedef struct Ended
{
	int n;
	RpcCode code;
	char text[256];
} Ended;

static inline void
kit_answer(ClientCall *call, Bytes message)
{
	(void) call, (void) message;
}

static inline void
kit_closed(ClientCall *call, const ClientResult *result)
{
	Ended *ended = client_user(call);

	ended->n++;
	ended->code = result->code;
	snprintf(ended->text, sizeof(ended->text), "%s", result->text);
}

/* Send messages to a node of the kit, and wait for the end. */
static inline Ended
kit_stream(Node *from, const Node *to, const char *path,
		   const ClientOptions *options, const Bytes *messages, int n)
{
	static const ClientHandler handler = {.message = kit_answer,
										  .closed = kit_closed};
	ClientChannel *channel = client_open(from->server, to->addr);
	Ended ended = {0};
	ClientCall *call = client_stream(channel, path, options, &handler, &ended);

	for (int i = 0; i < n; i++)
		client_send_bytes(call, messages[i]);
	client_half_close(call);
	kit_until(&ended.n, 1);
	client_close(channel);
	return ended;
}

#endif /* TIKV_TEST_NODE_KIT_H */
