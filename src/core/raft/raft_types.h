/*
 * raft_types.h
 *	  What goes in and out of a Raft group: entries, messages, states.
 *
 * Plain structs with the numbers and meanings of eraftpb, so that a driver
 * converts field by field and the core needs no protobuf.  Sources:
 * pingcap/kvproto proto/eraftpb.proto for numbers, tikv/raft-rs and
 * etcd-io/raft for meanings.
 */
#ifndef TIKV_RAFT_TYPES_H
#define TIKV_RAFT_TYPES_H

#include "core/base/arena.h"
#include "core/base/bytes.h"
#include "core/base/status.h"

#define RAFT_NONE 0						  /* no peer, no leader, no vote */
#define RAFT_LAST_NUMBER (UINT64_MAX / 4) /* of terms and indexes of messages */
#define RAFT_MAX_PEERS 16 /* of one group: voters, both halves, learners */

typedef enum RaftEntryType
{
	RAFT_ENTRY_NORMAL = 0,
	RAFT_ENTRY_CONF_CHANGE = 1,
	RAFT_ENTRY_CONF_CHANGE_V2 = 2
} RaftEntryType;

/*
 * A log entry.  An empty NORMAL entry is the one a new leader begins its term
 * with; an empty CONF_CHANGE_V2 entry leaves a joint configuration.  `payload`
 * is the driver's own form of a proposal, opaque here and never on the wire;
 * raft_takes_payload says when it may stand in for `data`.
 */
typedef struct RaftEntry
{
	RaftEntryType type;
	uint64_t term;
	uint64_t index;
	Bytes data;
	Bytes context;
	void *payload;
	size_t payload_size; /* counts against the byte limits like data */
} RaftEntry;

typedef struct RaftHardState
{
	uint64_t term;
	uint64_t vote;
	uint64_t commit;
} RaftHardState;

typedef struct RaftIdSet
{
	int n;
	uint64_t id[RAFT_MAX_PEERS]; /* ascending, no duplicates */
} RaftIdSet;

/* A configuration; joint when voters_outgoing is not empty. */
typedef struct RaftConfState
{
	RaftIdSet voters;
	RaftIdSet learners;
	RaftIdSet voters_outgoing;
	RaftIdSet learners_next; /* voters_outgoing that become learners */
	bool auto_leave;
} RaftConfState;

typedef struct RaftSnapshotMeta
{
	RaftConfState conf;
	uint64_t index;
	uint64_t term;
} RaftSnapshotMeta;

typedef struct RaftSnapshot
{
	RaftSnapshotMeta meta;
	Bytes data; /* the driver's description of the contents */
} RaftSnapshot;

typedef enum RaftMessageType
{
	RAFT_MSG_HUP = 0,	  /* local, never stepped */
	RAFT_MSG_BEAT = 1,	  /* local */
	RAFT_MSG_PROPOSE = 2, /* local: proposals are not forwarded */
	RAFT_MSG_APPEND = 3,
	RAFT_MSG_APPEND_RESPONSE = 4,
	RAFT_MSG_REQUEST_VOTE = 5,
	RAFT_MSG_REQUEST_VOTE_RESPONSE = 6,
	RAFT_MSG_SNAPSHOT = 7,
	RAFT_MSG_HEARTBEAT = 8,
	RAFT_MSG_HEARTBEAT_RESPONSE = 9,
	RAFT_MSG_UNREACHABLE = 10,	/* local: raft_report_unreachable */
	RAFT_MSG_SNAP_STATUS = 11,	/* local: raft_report_snapshot */
	RAFT_MSG_CHECK_QUORUM = 12, /* local */
	RAFT_MSG_TRANSFER_LEADER = 13,
	RAFT_MSG_TIMEOUT_NOW = 14,
	RAFT_MSG_READ_INDEX = 15,
	RAFT_MSG_READ_INDEX_RESP = 16,
	RAFT_MSG_REQUEST_PRE_VOTE = 17,
	RAFT_MSG_REQUEST_PRE_VOTE_RESPONSE = 18
} RaftMessageType;

/*
 * A message.  READ_INDEX and READ_INDEX_RESP carry the reader's context as the
 * data of their single entry, as raft-rs does.  The context of heartbeats,
 * their responses, TIMEOUT_NOW and vote requests belongs to the core.
 */
typedef struct RaftMessage
{
	RaftMessageType type;
	uint64_t to;
	uint64_t from;
	uint64_t term;
	uint64_t log_term;
	uint64_t index;
	uint64_t commit;
	uint64_t commit_term;
	const RaftEntry *entries;
	int n_entries;
	const RaftSnapshot *snapshot; /* SNAPSHOT only */

	/*
	 * In answers to appends, snapshots and heartbeats: the snapshot that the
	 * peer has not installed yet, 0 if there is none.  raft-rs looks at it in
	 * refused appends alone.
	 */
	uint64_t request_snapshot;
	bool reject;
	uint64_t reject_hint;
	Bytes context;
	int64_t priority;
} RaftMessage;

/* eraftpb.ConfChangeType */
typedef enum RaftConfChangeType
{
	RAFT_CONF_ADD_NODE = 0,
	RAFT_CONF_REMOVE_NODE = 1,
	RAFT_CONF_ADD_LEARNER = 2
} RaftConfChangeType;

/* eraftpb.ConfChangeTransition */
typedef enum RaftConfTransition
{
	RAFT_CONF_AUTO = 0, /* simple if it can be, else joint with auto leave */
	RAFT_CONF_IMPLICIT = 1, /* joint, left by the leader by itself */
	RAFT_CONF_EXPLICIT = 2	/* joint, left by an empty change */
} RaftConfTransition;

typedef struct RaftConfChangeSingle
{
	RaftConfChangeType type;
	uint64_t id;
} RaftConfChangeSingle;

/* No changes at all (and AUTO) means: leave the joint configuration. */
typedef struct RaftConfChange
{
	RaftConfTransition transition;
	int n;
	RaftConfChangeSingle changes[RAFT_MAX_PEERS];
} RaftConfChange;

typedef enum RaftRole
{
	RAFT_FOLLOWER = 0,
	RAFT_CANDIDATE = 1,
	RAFT_LEADER = 2,
	RAFT_PRE_CANDIDATE = 3
} RaftRole;

/* A read that may go on once the state machine has applied `index`. */
typedef struct RaftReadState
{
	uint64_t index;
	Bytes context; /* as given to raft_read_index */
} RaftReadState;

/* The group's own memory; what a ready hands out comes from an Arena. */
typedef struct RaftAllocator
{
	void *arg;
	void *(*alloc)(void *arg, size_t size); /* never NULL */
	void (*free)(void *arg, void *p);
} RaftAllocator;

/*
 * The stored log, read synchronously.  It shows what the driver committed for
 * the readies it has advanced.  Indexes at or below the truncated one are
 * never asked for.
 */
typedef struct RaftStorage
{
	void *arg;

	/*
	 * Entries from `low` up to but not including `high`, in the arena: at
	 * least one, then as many as stay within max_bytes.
	 */
	Status (*entries)(void *arg, uint64_t low, uint64_t high, size_t max_bytes,
					  Arena *arena, RaftEntry **out, int *n);
	Status (*term)(void *arg, uint64_t index, uint64_t *term);
	uint64_t (*last_index)(void *arg); /* the truncated one if empty */

	/*
	 * A snapshot for peer `to`, at index >= `index`.  UNAVAILABLE means that
	 * one is being made: asked again at the peer's next heartbeat response.
	 */
	Status (*snapshot)(void *arg, uint64_t to, uint64_t index, Arena *arena,
					   RaftSnapshot *out);

	/*
	 * May entries be read now for a follower that lags?  False: it is asked
	 * again for the next ready.  NULL: always.  Entries to apply are not asked
	 * for.
	 */
	bool (*may_read)(void *arg);
} RaftStorage;

#endif /* TIKV_RAFT_TYPES_H */
