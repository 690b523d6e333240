/*
 * transport.h
 *	  Raft messages between nodes: one stream to each node that is talked to.
 *
 * A Transport moves encoded raft_serverpb.RaftMessages from one node to
 * another and knows nothing of what is in them, so the store's regions and
 * PD's group use the same code, each on the loop of its own worker.  Messages
 * may be lost or, around a reconnect, come twice; those of one stream come in
 * order.  Raft asks for no more.
 *
 * Everything is called on the worker's thread, and every callback comes from
 * server_poll or transport_run.  Builds without Postgres and without gRPC.
 */
#ifndef TIKV_TRANSPORT_TRANSPORT_H
#define TIKV_TRANSPORT_TRANSPORT_H

#include "core/base/bytes.h"
#include "core/base/rpc_code.h"
#include "server/server.h"

typedef struct Transport Transport;

/*
 * Nodes that are sent to; a cluster has far fewer.  Of more, whose ids somebody
 * made up, those that could not be reached for the longest are forgotten.
 */
#define TRANSPORT_NODES_MAX 1024

typedef struct TransportConfig
{
	Server *server;		 /* it outlives the transport */
	uint64_t cluster_id; /* of both sides */
	uint64_t self_id;	 /* store id, or member id */
	uint64_t start_seq;	 /* grows at every start of this node: see fence.h */

	/*
	 * Find out where a node is reached: transport_resolved is to follow, from
	 * inside or later.
	 */
	void (*resolve)(void *arg, uint64_t id);

	/* A message for this node; valid only during the call. */
	void (*on_message)(void *arg, Bytes raft_message);

	/* What the clock of a node shows, with its messages; may be NULL. */
	void (*on_clock)(void *arg, uint64_t id, int64_t wall_ms);

	/* What was sent lately may be lost. */
	void (*on_unreachable)(void *arg, uint64_t id);

	/*
	 * Another node refuses this one for good: of another cluster, or a newer
	 * start of this node was seen (a clone).  May be NULL.
	 */
	void (*on_refused)(void *arg, uint64_t id, const char *text);
	void *arg;

	/*
	 * Snapshots of other nodes; NULL: none are taken.  begin answers what the
	 * other two get, or NULL with a reason.  data: false if it cannot be
	 * kept.  end is called exactly once after a begin: with `complete` if the
	 * sender seems to have ended, and is then true if size and checksum are
	 * right and the message was taken.
	 */
	void *(*snapshot_begin)(void *arg, uint64_t from_id, Bytes raft_message,
							const char **why);
	bool (*snapshot_data)(void *snapshot, Bytes data);
	bool (*snapshot_end)(void *snapshot, bool complete);

	size_t max_queue; /* bytes waiting for one node; 0: 32 MiB */
	size_t max_batch; /* bytes of one message on the wire; 0: 512 KiB */
} TransportConfig;

/* What is read of the configuration is copied. */
extern Transport *transport_start(const TransportConfig *config);

/* Before server_stop; no callback follows but those that end snapshots. */
extern void transport_stop(Transport *t);

/*
 * Queue a message, which is copied.  False if it was dropped: too much waits
 * for this node, or it was not reachable a moment ago, or it has no address.
 * Sent with others of this round by transport_run.
 */
extern bool transport_send(Transport *t, uint64_t to_id, Bytes raft_message);

/* Once per round of the worker's loop, before it sleeps. */
extern void transport_run(Transport *t);

/* The answer to `resolve`; NULL: unknown, or gone. */
extern void transport_resolved(Transport *t, uint64_t id, const char *addr);

/* The node is no more: forget its stream, its address and its start. */
extern void transport_forget(Transport *t, uint64_t id);

/*
 * Starts, as nodes say them on their streams (fence.h): this node's; the newest
 * of another one that was seen, 0 for none; and one that is known from
 * elsewhere, so that an older one is refused though it was not seen here.
 */
extern uint64_t transport_own_start(const Transport *t);
extern uint64_t transport_seen_start(const Transport *t, uint64_t id);
extern void transport_know_start(Transport *t, uint64_t id, uint64_t start);

/* Stop (true) or go on (false) taking messages of other nodes. */
extern void transport_pause(Transport *t, bool pause);

/*
 * A snapshot to be sent: the message first, then `size` bytes.  read: false
 * ends it, as broken.  done is called exactly once, also by transport_stop, never from
 * inside transport_send_snapshot.
 */
typedef struct SnapshotSource
{
	uint64_t size;
	bool (*read)(void *arg, uint64_t offset, uint8_t *out, size_t len);
	void (*done)(void *arg, bool ok, const char *text);
	void *arg;
} SnapshotSource;

/* False: it was not begun, and `done` will not be called. */
extern bool transport_send_snapshot(Transport *t, uint64_t to_id,
									Bytes raft_message,
									const SnapshotSource *source);

typedef struct TransportStats
{
	uint64_t sent; /* messages */
	uint64_t sent_batches;
	uint64_t sent_bytes;
	uint64_t dropped;
	uint64_t received; /* messages */
	uint64_t received_bytes;
	uint64_t connects; /* streams that the other side accepted */
	uint64_t failures; /* streams and attempts that failed */
	uint64_t refused;  /* streams of others that were not let in */
	uint64_t snapshots_sent;
	uint64_t snapshots_failed;
	uint64_t snapshots_received;
	uint64_t queued_bytes;
	uint64_t streams_out; /* at the moment */
	uint64_t streams_in;
} TransportStats;

extern void transport_stats(const Transport *t, TransportStats *out);

/*
 * The server side: Raft, BatchRaft and Snapshot of tikvpb.Tikv, for
 * ServerConfig.peer_methods.  Until transport_start they are UNAVAILABLE.
 */
extern const RpcMethod transport_methods[];
extern const int transport_n_methods;

#endif /* TIKV_TRANSPORT_TRANSPORT_H */
