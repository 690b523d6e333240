/*
 * peer_message.h
 *	  What stores send each other: raft_serverpb.RaftMessage.
 *
 * A Raft message with the region, both peers and the sender's epoch, or a
 * message of the stores' own.  Source: pingcap/kvproto
 * proto/raft_serverpb.proto; raftstore-and-pd 6 and 18.
 */
#ifndef TIKV_CMD_PEER_MESSAGE_H
#define TIKV_CMD_PEER_MESSAGE_H

#include "core/cmd/command.h"

/* raft_serverpb.ExtraMessageType, those that are served. */
typedef enum ExtraType
{
	EXTRA_NONE = -1,
	EXTRA_REGION_WAKE_UP = 0,
	EXTRA_CHECK_STALE_PEER = 2,
	EXTRA_CHECK_STALE_PEER_RESPONSE = 3,
	EXTRA_HIBERNATE_REQUEST = 4,
	EXTRA_HIBERNATE_RESPONSE = 5,
	EXTRA_UNKNOWN = 1000, /* to be ignored */

	/* Ours, between stores; from.id is a store's start. */
	EXTRA_STORE_BEAT = 1001,	   /* it lives */
	EXTRA_LOG_ENDS_REQUEST = 1002, /* log_ends.h */
	EXTRA_LOG_ENDS_RESPONSE = 1003
} ExtraType;

/* disk_usage.DiskUsage. */
typedef enum DiskUsage
{
	DISK_NORMAL = 0,
	DISK_ALMOST_FULL = 1,
	DISK_ALREADY_FULL = 2
} DiskUsage;

typedef struct PeerMessage
{
	uint64_t region_id;
	RegionPeer from;
	RegionPeer to;
	RegionEpoch epoch; /* of the sender's region */
	bool is_tombstone; /* the receiver is to destroy itself */
	Bytes start_key;   /* of first messages: may the peer be created? */
	Bytes end_key;
	ExtraType extra;
	Bytes extra_context;  /* of our own */
	DiskUsage disk_usage; /* of the sender's store */
	bool has_raft;
	RaftMessage raft;
} PeerMessage;

extern Bytes peer_message_encode(const PeerMessage *m, Arena *arena);

/* Borrowed from the bytes, lists in the arena; any bytes may come. */
extern Status peer_message_decode(Bytes bytes, Arena *arena,
								  PeerMessage *out) MUST_CHECK;

/*
 * May a peer that does not exist be created by this message?  raftstore-and-pd
 * 18: votes, and heartbeats of a leader that knows nothing of it.
 */
extern bool peer_message_is_initial(const PeerMessage *m);

#endif /* TIKV_CMD_PEER_MESSAGE_H */
