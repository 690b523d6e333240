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
#include "core/kv/raw.h"
#include "core/region/region.h"

/*
 * Method numbers.  Those inside BatchCommands use their oneof field number
 * there (tikvpb.BatchCommandsRequest.Request); the others begin at 300.
 */
typedef enum MethodId
{
	METHOD_RAW_GET = 13,
	METHOD_RAW_BATCH_GET = 14,
	METHOD_RAW_PUT = 15,
	METHOD_RAW_BATCH_PUT = 16,
	METHOD_RAW_DELETE = 17,
	METHOD_RAW_BATCH_DELETE = 18,
	METHOD_RAW_SCAN = 19,
	METHOD_GET_HEALTH_FEEDBACK = 39,
	METHOD_EMPTY = 255,
	METHOD_BATCH_COMMANDS = 300,
	METHOD_GET_STORE_SAFE_TS = 301,

	/* bus only: tikv_insert(), a RawPutRequest that fails if the key exists */
	METHOD_SQL_INSERT = 400,

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
	METHOD_PD_GET_ALL_KEYSPACES,
	METHOD_PD_CREATE_KEYSPACE
} MethodId;

typedef enum ServiceKind
{
	SERVICE_READ,  /* answered by whoever got it */
	SERVICE_WRITE, /* goes to the store's turn */
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

typedef struct Request Request;

struct Request
{
	const ServiceMethod *method;
	const ProtobufCMessage *message; /* decoded; lives until done/fail */
	Arena *arena;		 /* for whatever lives as long as the request */
	int64_t received_us; /* monotonic */
	int64_t deadline_us; /* monotonic; INT64_MAX: none */

	/* The answer; the reply is valid only during the call. */
	void (*done)(Request *request, const ProtobufCMessage *reply);

	/* Not answerable in the protocol: a gRPC status (an RpcCode). */
	void (*fail)(Request *request, int code, const char *text);

	/* True if nobody waits for the answer any more.  May be NULL. */
	bool (*abandoned)(Request *request);

	void *owner;   /* for done and fail */
	Request *next; /* for the queue it is in */
};

/* protobuf-c's allocator over an arena: unpack without single frees. */
extern ProtobufCAllocator service_allocator(Arena *arena);

/*
 * Unpack with bounds; NULL if the bytes are not such a message.
 */
extern ProtobufCMessage *service_unpack(const ProtobufCMessageDescriptor *type,
										Bytes bytes, Arena *arena);

#endif /* TIKV_SERVICE_SERVICE_H */
