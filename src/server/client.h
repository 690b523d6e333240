/*
 * client.h
 *	  Calls from a worker to other nodes, driven by its server's loop.
 *
 * A channel and its calls share the completion queue of the worker's Server:
 * server_poll hands what arrived to the callbacks below, on the worker's own
 * thread, and server_wait sleeps for both sides.  Nothing here blocks.  As
 * with the server's own calls gRPC is entered only by the pump, so a callback
 * may do whatever it likes, throw included.
 */
#ifndef TIKV_SERVER_CLIENT_H
#define TIKV_SERVER_CLIENT_H

#include "core/base/bytes.h"
#include "core/base/rpc_code.h"
#include "server/server.h"

typedef struct ClientChannel ClientChannel;

/*
 * One call to another node.  It may be used until it is over: until its last
 * callback (`done`, `closed`) has returned, or client_drop was called.
 */
typedef struct ClientCall ClientCall;

/*
 * A channel to "host:port"; a connection is made when the first call needs
 * one, and made again by itself.  With TLS on the server, TLS with the same
 * certificates, renewed for connections that begin later.
 */
extern ClientChannel *client_open(Server *server, const char *addr);

/*
 * The owner is done with it: calls that are in progress are cancelled, which
 * their callbacks are told later.  Once the server has stopped, this is all
 * that may be done with a channel.
 */
extern void client_close(ClientChannel *channel);

extern const char *client_address(const ClientChannel *channel);

typedef struct ClientHeader
{
	const char *key; /* lower case */
	const char *value;
} ClientHeader;

typedef struct ClientOptions
{
	const ClientHeader *headers; /* copied */
	int n_headers;
	int64_t timeout_ms; /* <= 0: none */
} ClientOptions;

/* How a call ended; bytes are valid during the callback. */
typedef struct ClientResult
{
	RpcCode code; /* any of gRPC's, also those that RpcCode has no name for */
	const char *text;
	bool has_reply; /* unary, with code RPC_OK: always */
	Bytes reply;
} ClientResult;

typedef void (*ClientDone)(void *arg, const ClientResult *result);

/*
 * A unary call.  `done` is called exactly once, never from inside this
 * function: with the answer, with an error, with DEADLINE_EXCEEDED, or with
 * CANCELLED when the channel is closed or the server stops.  Unless
 * client_drop comes first.  options may be NULL.
 */
extern ClientCall *client_call(ClientChannel *channel, const char *path,
							   Bytes request, const ClientOptions *options,
							   ClientDone done, void *arg);

typedef struct ClientHandler
{
	/* The other side has accepted the stream.  May be NULL. */
	void (*opened)(ClientCall *call);

	/* A message; valid only during the callback. */
	void (*message)(ClientCall *call, Bytes message);

	/* All that was queued is on its way: more may be built.  May be NULL. */
	void (*drained)(ClientCall *call);

	/* The last callback, exactly once unless client_drop comes first. */
	void (*closed)(ClientCall *call, const ClientResult *result);
} ClientHandler;

/* Open a stream: the client, the server or both stream. */
extern ClientCall *client_stream(ClientChannel *channel, const char *path,
								 const ClientOptions *options,
								 const ClientHandler *handler, void *user);

extern void *client_user(const ClientCall *call);

/*
 * Queue one message; `pack` writes exactly len bytes.  False if the stream is
 * over or half closed, or more than its bound (64 MiB) waits to be sent.
 */
extern bool client_send(ClientCall *call, size_t len,
						void (*pack)(void *arg, uint8_t *out), void *arg);
extern bool client_send_bytes(ClientCall *call, Bytes message);

/* Bytes queued and not yet taken by gRPC. */
extern size_t client_send_queued(const ClientCall *call);

/* No more messages come from this side, after those that are queued. */
extern void client_half_close(ClientCall *call);

/* Stop (true) or go on (false) taking messages, for backpressure. */
extern void client_pause(ClientCall *call, bool pause);

/* End the call; the last callback still comes, with CANCELLED. */
extern void client_cancel(ClientCall *call);

/* End the call and forget it: no callback any more. */
extern void client_drop(ClientCall *call);

#endif /* TIKV_SERVER_CLIENT_H */
