/*
 * server.c
 *	  Starts and stops a gRPC server and keeps its settings.
 *
 * What happens between is in pump.c (events), call.c and stream.c (calls).
 * The arguments given to gRPC follow what TiKV's clients do: they ping every
 * ten seconds with or without a call, keep streams open for hours, and send
 * values as large as a Raft entry may be.
 */
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/check.h"
#include "server/internal.h"

#define MAX_STREAMS_PER_CONNECTION 4096
#define MAX_METADATA_BYTES (64 * 1024)
#define POSTED_AT_FIRST 8

/*
 * What all connections together may buffer, in multiples of the largest
 * message.  Far beyond what clients need, but not beyond the machine.
 */
#define QUOTA_MESSAGES 8
#define QUOTA_MIN_BYTES ((size_t) 512 * 1024 * 1024)

/*
 * What is read from a socket at once, and taken apart before anything else is
 * looked at: see warden.c.
 */
#define MAX_READ_BYTES (64 * 1024)

/* A client whose machine has vanished is noticed, without troubling others. */
#define KEEPALIVE_MS 60000
#define KEEPALIVE_TIMEOUT_MS 20000

int64_t
server_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
server_enter(Server *server)
{
	sigset_t all;

	if (server->entered++ > 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &server->saved_mask);
	server_note_progress(server, 1);
}

void
server_leave(Server *server)
{
	if (--server->entered > 0)
		return;
	server_note_progress(server, 1);
	pthread_sigmask(SIG_SETMASK, &server->saved_mask, NULL);
}

/*
 * gRPC writes a line to stderr for every damaged header that a stranger sends.
 * What matters is reported by its return values; only a failed assertion,
 * after which gRPC aborts, must still be readable.
 */
static void
keep_quiet(gpr_log_func_args *args)
{
	if (strncmp(args->message, "assertion failed", 16) == 0)
		fprintf(stderr, "gRPC: %s:%d: %s\n", args->file, args->line,
				args->message);
}

static grpc_arg
int_arg(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER,
					  .key = (char *) key,
					  .value.integer = value};
}

static grpc_resource_quota *
create_quota(const ServerConfig *config)
{
	grpc_resource_quota *quota = grpc_resource_quota_create("tikv");
	size_t bytes = QUOTA_MIN_BYTES;

	if (config->max_message > SIZE_MAX / QUOTA_MESSAGES)
		bytes = SIZE_MAX;
	else if (config->max_message * QUOTA_MESSAGES > bytes)
		bytes = config->max_message * QUOTA_MESSAGES;
	grpc_resource_quota_resize(quota, bytes);
	return quota;
}

static grpc_server *
create_grpc_server(const ServerConfig *config)
{
	grpc_resource_quota *quota = create_quota(config);
	grpc_server *server;
	int max_message =
		config->max_message > INT_MAX ? -1 : (int) config->max_message;
	grpc_arg args[] = {
		int_arg(GRPC_ARG_ALLOW_REUSEPORT, config->shared_port),
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max_message),
		int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),

		int_arg("grpc.experimental.tcp_max_read_chunk_size", MAX_READ_BYTES),

		/* inflate.c does it within a bound. */
		int_arg("grpc.per_message_decompression", 0),
		int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, MAX_STREAMS_PER_CONNECTION),
		int_arg(GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES),
		int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
		int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 0),
		int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
		int_arg(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0),
		{.type = GRPC_ARG_POINTER,
		 .key = (char *) GRPC_ARG_RESOURCE_QUOTA,
		 .value.pointer = {quota, grpc_resource_quota_arg_vtable()}},
	};
	grpc_channel_args list = {.num_args = sizeof(args) / sizeof(args[0]),
							  .args = args};

	server = grpc_server_create(&list, NULL);
	grpc_resource_quota_unref(quota);
	return server;
}

/* ---- methods ---- */

static void
add_method(Server *server, const RpcMethod *from, bool unbounded)
{
	ServerMethod *method;

	if (from->handler == NULL)
		return;
	method = &server->methods[server->n_methods++];
	method->path = from->path;
	method->kind = from->kind;
	method->id = from->id;
	method->handler = from->handler;
	method->unbounded = unbounded;
	method->target = POSTED_AT_FIRST;
	method->registered = grpc_server_register_method(
		server->grpc, from->path, NULL,
		from->kind == RPC_UNARY ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER :
								  GRPC_SRM_PAYLOAD_NONE,
		0);
	CHECK(method->registered != NULL);
}

static void
add_methods(Server *server)
{
	const ServerConfig *config = &server->config;
	int n = config->n_methods + config->n_peer_methods + health_n_methods + 1;

	server->methods = calloc((size_t) n, sizeof(*server->methods));
	CHECK(server->methods != NULL);
	for (int i = 0; i < config->n_methods; i++)
		add_method(server, &config->methods[i], false);
	for (int i = 0; i < config->n_peer_methods; i++)
		add_method(server, &config->peer_methods[i], false);
	for (int i = 0; i < health_n_methods; i++)
		add_method(server, &health_methods[i], true);

	/* The last one takes every path that gRPC does not know. */
	server->methods[server->n_methods].kind = RPC_UNARY;
	server->methods[server->n_methods].target = POSTED_AT_FIRST;
	server->n_methods++;
}

static void
post_all(Server *server)
{
	for (int i = 0; i < server->n_methods; i++)
		while (server->methods[i].posted < server->methods[i].target)
			call_post(server, &server->methods[i]);
}

/* ---- start ---- */

static Server *
new_server(const ServerConfig *config)
{
	Server *server = calloc(1, sizeof(*server));

	CHECK(server != NULL);
	server->config = *config;
	unsent_configure(server);
	server->serving = true;
	server->wake_at_us = INT64_MAX;
	server->todo_tail = &server->todo;
	link_init(&server->live);
	link_init(&server->fresh);
	link_init(&server->held);
	link_init(&server->health_watchers);
	link_init(&server->channels);
	server->client_tail = &server->client_todo;
	return server;
}

/* One port of gRPC's own; 0 with err set if it cannot be had. */
static int
listen_at(Server *server, const char *addr, bool shared, TlsListener *listener,
		  char *err, size_t errlen)
{
	grpc_server_credentials *creds = tls_grpc_credentials(server, listener);
	int port = grpc_server_add_http2_port(server->grpc, addr, creds);

	grpc_server_credentials_release(creds);
	if (port == 0 && address_probe(addr, shared, err, errlen))
		snprintf(err, errlen, "could not listen on \"%s\"", addr);
	return port;
}

static bool
bind_ports(Server *server, char *err, size_t errlen)
{
	const ServerConfig *config = &server->config;

	if (config->http != NULL)
	{
		server->porter = porter_new(config->addr, config->http, config->wake_fd,
									&server->port, err, errlen);
		if (server->porter == NULL)
			return false;
	}
	else
		server->port = listen_at(server, config->addr, config->shared_port,
								 &server->listeners[0], err, errlen);
	if (server->port == 0 || config->peer_addr == NULL)
		return server->port != 0;
	server->peer_port = listen_at(server, config->peer_addr, false,
								  &server->listeners[1], err, errlen);
	return server->peer_port != 0;
}

static void
free_server(Server *server)
{
	call_drop_pool(server);
	free(server->methods);
	free(server);
}

/* Give everything of gRPC back; its queues must be empty. */
static void
destroy_grpc(Server *server)
{
	if (server->porter != NULL)
		porter_free(server->porter);
	grpc_server_destroy(server->grpc);
	if (server->waker != NULL)
		waker_stop(server->waker);
	if (server->warden != NULL)
		warden_stop(server->warden);
	grpc_completion_queue_shutdown(server->cq);
	while (grpc_completion_queue_next(server->cq,
									  gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
			   .type != GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(server->cq);
	grpc_shutdown();
}

/* gRPC insists on a shutdown even of a server that never started. */
static void
abandon_start(Server *server)
{
	grpc_server_shutdown_and_notify(server->grpc, server->cq, server);
	grpc_completion_queue_next(server->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC),
							   NULL);
	destroy_grpc(server);
	server_leave(server);
	free_server(server);
}

Server *
server_start(const ServerConfig *config, char *err, size_t errlen)
{
	Server *server;
	const char *problem = NULL;

	if (!address_probe(config->addr, config->shared_port, err, errlen))
		return NULL;
	if (config->peer_addr != NULL &&
		!address_probe(config->peer_addr, false, err, errlen))
		return NULL;
	server = new_server(config);
	server_enter(server);
	if (getenv("GRPC_VERBOSITY") == NULL)
		gpr_set_log_function(keep_quiet);
	grpc_init();
	server->cq = grpc_completion_queue_create_for_next(NULL);
	server->grpc = create_grpc_server(config);
	grpc_server_register_completion_queue(server->grpc, server->cq, NULL);
	add_methods(server);
	if (!bind_ports(server, err, errlen))
	{
		abandon_start(server);
		return NULL;
	}
	server->waker =
		waker_start(server->cq, config->wake_fd, config->parent_fd, &problem);
	if (server->waker == NULL)
	{
		snprintf(err, errlen, "could not start the waker thread: %s", problem);
		abandon_start(server);
		return NULL;
	}
	server->warden = warden_start(&server->progress, server->port,
								  server->peer_port, config->max_message);
	if (server->warden == NULL)
	{
		snprintf(err, errlen, "could not start the warden thread");
		abandon_start(server);
		return NULL;
	}
	grpc_server_start(server->grpc);
	if (server->porter != NULL && !porter_start(server->porter))
	{
		snprintf(err, errlen, "could not start the thread that listens");
		abandon_start(server);
		return NULL;
	}
	post_all(server);
	server_leave(server);
	return server;
}

/* ---- stop ---- */

/* Handle events until `done` or until the moment given. */
static bool
drain_until(Server *server, bool (*done)(const Server *server), int64_t end_us)
{
	while (!done(server))
	{
		int64_t left = end_us - server_now_us();

		if (left <= 0)
			return false;
		if (server_poll(server, INT_MAX) == 0)
			server_wait(server, left < 1000 ? left : 1000);
	}
	return true;
}

static bool
no_reply_on_its_way(const Server *server)
{
	return server->n_replying == 0 && server->todo == NULL;
}

static bool
all_over(const Server *server)
{
	return server->stopped && server->n_live == 0 && server->n_posted == 0 &&
		server->todo == NULL && server->n_client_calls == 0;
}

void
server_stop(Server *server, int timeout_ms)
{
	int64_t now = server_now_us();
	int64_t timeout_us = (int64_t) timeout_ms * 1000;

	server->stopping = true;
	server_enter(server);
	if (server->porter != NULL)
		porter_stop(server->porter);
	server->porter = NULL;
	grpc_server_shutdown_and_notify(server->grpc, server->cq, server);
	server_leave(server);

	/* Answers that were given should still reach the client. */
	drain_until(server, no_reply_on_its_way, now + timeout_us / 4);
	server_enter(server);
	grpc_server_cancel_all_calls(server->grpc);
	client_cancel_all(server);
	server_leave(server);
	if (!drain_until(server, all_over, now + timeout_us))
		return; /* the process ends; better leak than hang */

	server_enter(server);
	client_forget_channels(server);
	destroy_grpc(server);
	server_leave(server);
	call_forget_held(server);
	free_server(server);
}

/* ---- small things ---- */

int
server_port(Server *server)
{
	return server->port;
}

int
server_peer_port(Server *server)
{
	return server->peer_port;
}

void
server_attach(Server *server, void *peer)
{
	server->attached = peer;
}

void *
server_attached(Server *server)
{
	return server->attached;
}

void
server_set_serving(Server *server, bool serving)
{
	if (server->serving == serving)
		return;
	server->serving = serving;
	health_changed(server);
}

void *
server_arg(Server *server)
{
	return server->config.arg;
}

void
server_counters(Server *server, ServerCounters *out)
{
	*out = server->counters;
	warden_ended(server->warden, out);
}
