/*
 * rpc_code.h
 *	  gRPC status codes, for those who answer requests without knowing gRPC.
 */
#ifndef TIKV_BASE_RPC_CODE_H
#define TIKV_BASE_RPC_CODE_H

/* The codes that we answer with; numbers as published by the grpc project. */
typedef enum RpcCode
{
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_DATA_LOSS = 15,
	RPC_UNAUTHENTICATED = 16
} RpcCode;

#endif /* TIKV_BASE_RPC_CODE_H */
