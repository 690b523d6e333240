/*
 * service.h
 *	  The table of RPCs, and one request whatever way it came.
 *
 * A request is a method number and a decoded protobuf message.  It comes
 * from a unary call, from inside BatchCommands, from a SQL backend or a
 * server worker over the bus; its owner is told by `done` or `fail`, exactly
 * once.  The folder turns messages into plain commands and results into
 * messages; it knows neither Postgres tables nor gRPC.
 */
#ifndef TIKV_SERVICE_SERVICE_H
#define TIKV_SERVICE_SERVICE_H

#include <protobuf-c/protobuf-c.h>

#include "core/base/arena.h"
#include "core/base/fair.h"
#include "core/kv/raw.h"
#include "core/region/region.h"

/*
 * Method numbers.  Those inside BatchCommands use their oneof field number
 * there (tikvpb.BatchCommandsRequest.Request); the others begin at 300.
 */
typedef enum MethodId
{
	METHOD_KV_GET = 1,
	METHOD_KV_SCAN = 2,
	METHOD_KV_PREWRITE = 3,
	METHOD_KV_COMMIT = 4,
	METHOD_KV_CLEANUP = 6,
	METHOD_KV_BATCH_GET = 7,
	METHOD_KV_BATCH_ROLLBACK = 8,
	METHOD_KV_SCAN_LOCK = 9,
	METHOD_KV_RESOLVE_LOCK = 10,
	METHOD_KV_DELETE_RANGE = 12,
	METHOD_RAW_GET = 13,
	METHOD_RAW_BATCH_GET = 14,
	METHOD_RAW_PUT = 15,
	METHOD_RAW_BATCH_PUT = 16,
	METHOD_RAW_DELETE = 17,
	METHOD_RAW_BATCH_DELETE = 18,
	METHOD_RAW_SCAN = 19,
	METHOD_KV_PESSIMISTIC_LOCK = 23,
	METHOD_KV_PESSIMISTIC_ROLLBACK = 24,
	METHOD_KV_CHECK_TXN_STATUS = 25,
	METHOD_KV_TXN_HEART_BEAT = 26,
	METHOD_KV_CHECK_SECONDARY_LOCKS = 33,
	METHOD_KV_FLASHBACK_TO_VERSION = 35,
	METHOD_KV_PREPARE_FLASHBACK = 36,
	METHOD_KV_FLUSH = 37,
	METHOD_KV_BUFFER_BATCH_GET = 38,
	METHOD_RAW_DELETE_RANGE = 20,
	METHOD_RAW_BATCH_SCAN = 21,
	METHOD_RAW_COPROCESSOR = 34,
	METHOD_GET_HEALTH_FEEDBACK = 39,
	METHOD_BROADCAST_TXN_STATUS = 40,
	METHOD_EMPTY = 255,
	METHOD_BATCH_COMMANDS = 300,
	METHOD_GET_STORE_SAFE_TS = 301,
	METHOD_UNSAFE_DESTROY_RANGE = 302,
	METHOD_MVCC_GET_BY_KEY = 303,
	METHOD_MVCC_GET_BY_START_TS = 304,
	METHOD_GET_LOCK_WAIT_INFO = 305,
	METHOD_GET_LOCK_WAIT_HISTORY = 306,
	METHOD_SPLIT_REGION = 307,
	METHOD_RAW_GET_KEY_TTL = 310,
	METHOD_RAW_CAS = 311,
	METHOD_RAW_CHECKSUM = 312,

	/* bus only: tikv_insert(), a RawPutRequest that fails if the key exists */
	METHOD_SQL_INSERT = 400,

	/*
	 * Among stores and on the bus: a change of peers or a transfer of
	 * leadership that SQL orders, a raft_cmdpb.RaftCmdRequest for the region's
	 * leader.  Its header names the peer that is meant and, in uuid, the
	 * cluster (8 bytes, big-endian); that of the response has a region error,
	 * or none if the order is in the log.
	 */
	METHOD_STORE_ADMIN = 401,
	/* the same of a RawBatchPutRequest: all or, if any key exists, none */
	METHOD_SQL_BATCH_INSERT = 402,

	/* PD to its node's store: a pdpb.RegionHeartbeatResponse to be obeyed */
	METHOD_STORE_ORDER = 403,

	/*
	 * bus only: a PrewriteRequest of keys in any of the store's regions that
	 * its sender writes itself, under the transaction id in Context.task_id;
	 * the answer is grant_rows.h's, or a PrewriteResponse with an error
	 */
	METHOD_SQL_GRANT = 404,

	/* bus only: a request for another store, in relay.h's envelope */
	METHOD_RELAY = 405,

	/*
	 * Among stores: what SQL shows of the locks and versions of a region that
	 * another store leads, without a snapshot, a safe point or a timestamp.
	 * Both answer the first keys of the range in the region, at most `limit`,
	 * or fewer where they are long; none: there are no others.
	 * A ScanLockRequest whose max_version is not looked at ...
	 */
	METHOD_STORE_LOCKS = 406,

	/*
	 * ... and a ScanRequest of start_key, end_key and limit alone; the value of
	 * a pair of the ScanResponse is a packed MvccInfo.
	 */
	METHOD_STORE_VERSIONS = 407,

	/* pdpb.PD as far as the store and SQL ask it over the bus */
	METHOD_PD_FIRST = 500,
	METHOD_PD_GET_MEMBERS = METHOD_PD_FIRST,
	METHOD_PD_GET_ALL_STORES,
	METHOD_PD_ALLOC_ID,
	METHOD_PD_IS_BOOTSTRAPPED,
	METHOD_PD_BOOTSTRAP,
	METHOD_PD_PUT_STORE,
	METHOD_PD_STORE_HEARTBEAT,
	METHOD_PD_REGION_HEARTBEAT,
	METHOD_PD_GET_REGION,
	METHOD_PD_TSO,
	METHOD_PD_GET_GC_STATE,
	METHOD_PD_ADVANCE_TXN_SAFE_POINT,
	METHOD_PD_ADVANCE_GC_SAFE_POINT,
	METHOD_PD_GET_ALL_KEYSPACES,
	METHOD_PD_ASK_BATCH_SPLIT,
	METHOD_PD_REPORT_BATCH_SPLIT,
	METHOD_PD_SET_GC_BARRIER,
	METHOD_PD_DELETE_GC_BARRIER,
	METHOD_PD_CREATE_KEYSPACE,
	METHOD_PD_LEAVE,
	METHOD_PD_ETCD_TXN,
	METHOD_PD_GET_REGION_BY_ID,
	METHOD_PD_GET_PREV_REGION,
	METHOD_PD_SCAN_REGIONS
} MethodId;

/* One write in the log, at most: TiKV's raft-entry-max-size. */
#define SERVICE_MAX_ENTRY_BYTES ((size_t) 8 << 20)

typedef enum ServiceKind
{
	SERVICE_READ,  /* answered by whoever got it */
	SERVICE_WRITE, /* goes to the store's turn */
	SERVICE_STORE, /* answered by the store from its memory */
	SERVICE_INFO   /* answered from shared state, at once */
} ServiceKind;

typedef struct ServiceMethod
{
	int id;
	const char *path; /* "/tikvpb.Tikv/RawGet" */
	ServiceKind kind;
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	bool in_batch; /* also a member of BatchCommands */
} ServiceMethod;

extern const ServiceMethod service_methods[];
extern const int service_n_methods;

/* NULL if there is no such method. */
extern const ServiceMethod *service_method(int id);

/*
 * Has the method's response a region error, in field 1?  Of the others field 1
 * is something else (GetStoreSafeTS, Empty), or there is no field at all.
 */
extern bool service_has_region_error(const ServiceMethod *method);

typedef struct Request Request;

struct Request
{
	const ServiceMethod *method;
	const ProtobufCMessage *message; /* decoded; lives until done/fail */
	Arena *arena;		 /* for whatever lives as long as the request */
	int64_t received_us; /* monotonic */
	int64_t deadline_us; /* monotonic; INT64_MAX: none */

	/* For the slow log, monotonic; 0: it has not come so far. */
	int64_t begun_us;	/* its turn, or its round of reads */
	int64_t decided_us; /* that was decided */
	int64_t durable_us; /* ... and committed */
	int64_t waited_us;	/* in all, for locks */

	/* The answer; the reply is valid only during the call. */
	void (*done)(Request *request, const ProtobufCMessage *reply);

	/* As done, with the packed bytes of a response that is no error. */
	void (*done_packed)(Request *request, Bytes reply);

	/* Not answerable in the protocol: a gRPC status (an RpcCode). */
	void (*fail)(Request *request, int code, const char *text);

	/* True if nobody waits for the answer any more.  May be NULL. */
	bool (*abandoned)(Request *request);

	bool stays;	  /* a read that may take as long as it takes */
	bool indexed; /* a read whose index is applied here (ReadIndex) */

	uint64_t source; /* connection or process that it came from; 0: ours */
	bool over_bus;	 /* holds a slot of the bus until it is answered */
	void *owner;	 /* for done and fail */
	FairLink link;	 /* for the queue of reads */
	Request *next;	 /* for any other queue it is in */
};

/* protobuf-c's allocator over an arena: unpack without single frees. */
extern ProtobufCAllocator service_allocator(Arena *arena);

/*
 * Unpack with bounds; NULL if the bytes are not such a message.
 */
extern ProtobufCMessage *service_unpack(const ProtobufCMessageDescriptor *type,
										Bytes bytes, Arena *arena);

/*
 * A field of a message that is itself a message or a string, by its name;
 * NULL if it is not set (a string is empty then), or the type has no such field.
 */
extern const void *service_field(const ProtobufCMessage *message,
								 const char *name);

#endif /* TIKV_SERVICE_SERVICE_H */
