/*
 * transport_internal.h
 *	  What the files of the transport share.
 */
#ifndef TIKV_TRANSPORT_INTERNAL_H
#define TIKV_TRANSPORT_INTERNAL_H

#include "server/client.h"
#include "transport/reconnect.h"
#include "transport/batch_queue.h"
#include "transport/fence.h"
#include "transport/transport.h"

typedef enum RemoteState
{
	REMOTE_IDLE,	  /* nothing to send, or not begun */
	REMOTE_RESOLVING, /* `resolve` was called */
	REMOTE_RESOLVED,  /* it has an address and no stream */
	REMOTE_STREAMING, /* it has a stream, perhaps not accepted yet */
	REMOTE_BACKOFF	  /* it failed a moment ago */
} RemoteState;

/* A node that messages go to. */
typedef struct Remote
{
	struct Remote *next;
	Transport *transport;
	uint64_t id;
	RemoteState state;
	int64_t since_us; /* of the state */
	char *addr;
	ClientChannel *channel;
	ClientCall *stream;
	int64_t opened_us; /* 0: not accepted yet */
	BatchQueue queue;
	Reconnect reconnect;
	struct SnapshotOut *snapshots; /* on their way, or waiting */
	bool forgotten;				   /* to be freed by transport_run */
} Remote;

/* A stream that messages come from. */
typedef struct Inbound
{
	struct Inbound *next;
	struct Inbound *prev;
	Transport *transport; /* NULL once that has stopped */
	Call *call;
	SenderEnvelope sender;
} Inbound;

struct Transport
{
	TransportConfig config;
	uint64_t start; /* of this node: FENCE_START */
	Remote *remotes;
	int n_remotes;	 /* that are not forgotten */
	Inbound inbound; /* head of the list */
	struct SnapshotIn *snapshots_in;
	Fence fence;
	bool paused;
	TransportStats stats;
};

/* ---- inbound.c ---- */

extern void inbound_init(Transport *t);
extern void inbound_stop(Transport *t);

/*
 * Who sends, if he may; else the call was failed.  For every kind of stream
 * between nodes; a newer start of the sender ends his older streams.
 */
extern bool inbound_admit(Transport *t, Call *call, SenderEnvelope *out);

/* ---- snapshot_in.c ---- */

extern const CallHandler snapshot_stream;
extern void snapshot_in_stop(Transport *t);

/* ---- snapshot_out.c ---- */

/* The node has an address: begin those that wait. */
extern void snapshot_out_begin(Remote *remote);

/* It cannot be reached, or is forgotten: of those that wait, or of all. */
extern void snapshot_out_fail(Remote *remote, bool all, const char *text);
extern bool snapshot_out_waits(const Remote *remote);

/* ---- remote.c ---- */

extern Remote *remote_get(Transport *t, uint64_t id, bool make);

/* It is freed by transport_run: whoever calls may yet have it in hand. */
extern void remote_forget(Remote *remote);
extern void remote_run(Remote *remote, int64_t now_us);
extern void remote_free(Remote *remote);

/* The headers of a stream to a node. */
#define ENVELOPE_HEADERS 4

typedef struct EnvelopeHeaders
{
	ClientHeader headers[ENVELOPE_HEADERS];
	char text[ENVELOPE_HEADERS][24];
} EnvelopeHeaders;

extern void envelope_headers(const Transport *t, uint64_t to_id,
							 EnvelopeHeaders *out);

#endif /* TIKV_TRANSPORT_INTERNAL_H */
