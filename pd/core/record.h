/*
 * record.h
 *	  What the Placement Driver replicates: records, and lists of changes.
 *
 * Every decision of PD is a list of changes (records put or removed).  The
 * list is proposed, saved and applied as one; nothing durable changes in any
 * other way, so that a restart or a follower arrives at the same state by
 * applying the same records.  How a record becomes a key and a value is
 * pd/record_codec.c; the state that records make up is state.h.
 */
#ifndef TIKV_PD_CORE_RECORD_H
#define TIKV_PD_CORE_RECORD_H

#include "pd/core/region_tree.h"

/* pdpb.ErrorType, by its published numbers. */
typedef enum PdErrorType
{
	PD_OK = 0,
	PD_UNKNOWN = 1,
	PD_NOT_BOOTSTRAPPED = 2,
	PD_STORE_TOMBSTONE = 3,
	PD_ALREADY_BOOTSTRAPPED = 4,
	PD_INCOMPATIBLE_VERSION = 5,
	PD_REGION_NOT_FOUND = 6,
	PD_GLOBAL_CONFIG_NOT_FOUND = 7,
	PD_DUPLICATED_ENTRY = 8,
	PD_ENTRY_NOT_FOUND = 9,
	PD_INVALID_VALUE = 10,
	PD_DATA_COMPACTED = 11,
	PD_REGIONS_NOT_CONTAIN_ALL_KEY_RANGE = 12,

	/* Ours: told as gRPC's status of that name, never in a header. */
	PD_RESOURCE_EXHAUSTED = 1000
} PdErrorType;

/* The answer of a decision; text is static or the arena's, NULL with PD_OK. */
typedef struct PdError
{
	PdErrorType type;
	const char *text;
} PdError;

static inline PdError
pd_error(PdErrorType type, const char *text)
{
	PdError error = {type, text};

	return error;
}

static inline PdError
pd_ok(void)
{
	return pd_error(PD_OK, NULL);
}

/* With a text made by printf in the arena. */
extern PdError pd_errorf(Arena *arena, PdErrorType type, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* metapb.StoreState and metapb.NodeState, by their published numbers. */
typedef enum StoreState
{
	STORE_UP = 0,
	STORE_OFFLINE = 1,
	STORE_TOMBSTONE = 2
} StoreState;

typedef enum NodeState
{
	NODE_PREPARING = 0,
	NODE_SERVING = 1,
	NODE_REMOVING = 2,
	NODE_REMOVED = 3
} NodeState;

typedef struct Pair
{
	const char *key;
	const char *value;
} Pair;

typedef struct PdStore
{
	uint64_t id;
	const char *address;
	const char *peer_address;
	const char *status_address;
	const char *version;
	const char *git_hash;
	const char *deploy_path;
	StoreState state;
	NodeState node_state;
	int64_t start_timestamp;  /* unix seconds */
	int64_t last_heartbeat;	  /* unix nanoseconds; not replicated */
	int64_t heard_us;		  /* the same, monotonic; 0: not yet */
	uint64_t min_resolved_ts; /* as it reports; not replicated */
	bool physically_destroyed;
	size_t n_labels;
	Pair *labels;
	Bytes stats; /* last StoreStats as it came; not replicated */
} PdStore;

typedef struct PdMember
{
	uint64_t id;
	const char *name;
	const char *client_url;
	const char *peer_url;
	const char *version; /* of the software, as announced */
	bool leaving;		 /* it asked to be no member any more */
	uint64_t start;		 /* its newest, see transport/fence.h; 0: not yet */
} PdMember;

/* A keyspace; state is keyspacepb.KeyspaceState's number, 0 is enabled. */
typedef struct Keyspace
{
	uint32_t id;
	const char *name;
	int state;
	int64_t created_at; /* unix seconds */
	int64_t state_changed_at;
	size_t n_config;
	Pair *config;
} Keyspace;

/* A GC barrier holds the txn safe point back until it expires. */
typedef struct GcBarrier
{
	const char *id;
	uint64_t ts;
	int64_t expires_at; /* unix seconds; INT64_MAX: never */
} GcBarrier;

/* A key of the store that etcd's clients see, with its revisions. */
typedef struct KvItem
{
	Bytes key;
	Bytes value;
	int64_t create_revision;
	int64_t mod_revision;
	int64_t version; /* changes since it was made; 0: removed */
	int64_t lease;	 /* 0: none */
} KvItem;

/* How long keys live when nobody keeps them alive. */
typedef struct Lease
{
	int64_t id;
	int64_t ttl;	   /* seconds */
	int64_t expire_us; /* by the driver's clock; not replicated */
} Lease;

typedef enum PdRecordKind
{
	PD_RECORD_CLUSTER_ID,	   /* number */
	PD_RECORD_MEMBER,		   /* member: the sole one, or the leader */
	PD_RECORD_PEER,			   /* member: each; removed: number is the id */
	PD_RECORD_ALLOC_ID,		   /* number: saved end of the counter */
	PD_RECORD_TIMESTAMP,	   /* number: saved bound of the TSO, ms */
	PD_RECORD_CLUSTER,		   /* number: max peer count; "bootstrapped" */
	PD_RECORD_BOOTSTRAP_TIME,  /* number: unix nanoseconds */
	PD_RECORD_STORE,		   /* store; removed: number is the id */
	PD_RECORD_REGION,		   /* region; removed: number is the id */
	PD_RECORD_GC_SAFE_POINT,   /* number */
	PD_RECORD_TXN_SAFE_POINT,  /* number */
	PD_RECORD_GC_BARRIER,	   /* barrier; removed: its id alone */
	PD_RECORD_GLOBAL_BARRIER,  /* the same */
	PD_RECORD_KEYSPACE,		   /* keyspace */
	PD_RECORD_EXTERNAL_TS,	   /* number */
	PD_RECORD_MIN_RESOLVED_TS, /* number: of all stores together */
	PD_RECORD_KEYSPACE_ID,	   /* number: the newest id handed out */
	PD_RECORD_KV,			   /* kv; removed: its key and mod_revision */
	PD_RECORD_KV_REVISION,	   /* number: of the newest change of a key */
	PD_RECORD_KV_COMPACTED,	   /* number: what is older is forgotten */
	PD_RECORD_LEASE			   /* lease; removed: its id */
} PdRecordKind;

typedef struct PdRecord
{
	PdRecordKind kind;
	bool removed;
	uint64_t number;
	const PdStore *store;
	const PdRegion *region; /* meta and nothing else is replicated */
	const PdMember *member;
	const Keyspace *keyspace;
	GcBarrier barrier;
	const KvItem *kv;
	Lease lease;
} PdRecord;

/*
 * Changes in order.  Records live in the arena, but may point into the state
 * they were decided over: encode them before applying them.
 */
typedef struct PdChanges
{
	Arena *arena;
	PdRecord *records;
	size_t n;
	size_t size;
} PdChanges;

extern void pd_changes_init(PdChanges *changes, Arena *arena);
extern void pd_changes_add(PdChanges *changes, const PdRecord *record);
extern void pd_changes_number(PdChanges *changes, PdRecordKind kind,
							  uint64_t number);
extern void pd_changes_barrier(PdChanges *changes, PdRecordKind kind,
							   const GcBarrier *barrier, bool removed);

/* The largest number of labels or config items that a record may hold. */
#define PD_MAX_PAIRS 256

#endif /* TIKV_PD_CORE_RECORD_H */
