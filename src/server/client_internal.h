/*
 * client_internal.h
 *	  What the files of the client side share.
 */
#ifndef TIKV_SERVER_CLIENT_INTERNAL_H
#define TIKV_SERVER_CLIENT_INTERNAL_H

#include "server/client.h"
#include "server/internal.h"

struct ClientChannel
{
	Link link;		/* in channels of the server */
	Server *server; /* NULL once it has stopped */
	char *addr;
	grpc_channel *grpc;		 /* NULL: not needed yet */
	uint64_t tls_generation; /* that it was made with */
	Link calls;
	int refs; /* the owner's and those of calls */
};

typedef enum ClientOpKind
{
	CLIENT_OPEN,	/* stream: headers sent */
	CLIENT_HEADERS, /* stream: headers received */
	CLIENT_SEND,	/* stream: a message sent */
	CLIENT_CLOSE,	/* stream: half closed */
	CLIENT_RECV,	/* stream: a message, or its end */
	CLIENT_STATUS	/* unary: everything */
} ClientOpKind;

#define CLIENT_OPS 6

typedef struct ClientOp
{
	ClientCall *call;
	ClientOpKind kind;
} ClientOp;

struct ClientCall
{
	Link link; /* in calls of the channel */
	ClientChannel *channel;
	ClientCall *todo_next;
	ClientOp ops[CLIENT_OPS];
	grpc_call *grpc; /* NULL: not begun */
	grpc_slice path;
	grpc_metadata *headers;
	size_t n_headers;
	int64_t deadline_us;
	int pending; /* batches that gRPC has not finished */

	const ClientHandler *handler; /* NULL: unary */
	ClientDone done;
	void *user;

	bool in_todo;
	bool cancelled;
	bool cancel_sent;
	bool dropped; /* nobody wants to be told */
	bool told;
	bool sending;	/* headers, a message or the close on their way */
	bool receiving; /* CLIENT_RECV in flight */
	bool paused;
	bool read_end;
	bool half_closed;
	bool close_sent;
	bool status_done;

	SendItem *send_first; /* the first may be in flight */
	SendItem **send_tail;
	size_t send_bytes;

	/* filled by gRPC */
	grpc_byte_buffer *received;
	grpc_slice merged;
	bool has_merged;
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code code;
	grpc_slice text;
};

extern void client_drop_received(ClientCall *call);
extern void client_free_call(ClientCall *call);

/* ---- client_channel.c ---- */

/* gRPC's channel, made now if need be.  Entered. */
extern grpc_channel *client_grpc_channel(ClientChannel *channel);

#endif /* TIKV_SERVER_CLIENT_INTERNAL_H */
