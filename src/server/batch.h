/*
 * batch.h
 *	  tikvpb.Tikv/BatchCommands: many commands over one stream, answered in
 *	  any order.
 *
 * Each command becomes a Request with its own done/fail; answers of a stream
 * gather until batch_flush, which sends one BatchCommandsResponse per stream
 * that has some.  The worker calls it once per round of its loop.
 */
#ifndef TIKV_SERVER_BATCH_H
#define TIKV_SERVER_BATCH_H

#include "server/server.h"
#include "service/service.h"

typedef struct BatchService
{
	/* Take over a request; it answers through done or fail, maybe at once. */
	void (*submit)(void *arg, Request *request);
	void *arg;
	uint64_t (*store_id)(void *arg); /* for health_feedback */

	/*
	 * Told of every request before it is answered: by this message, or (NULL)
	 * by a gRPC status.  Its own message is NULL if it could not be read.
	 * May be NULL.
	 */
	void (*observe)(void *arg, const Request *request,
					const ProtobufCMessage *reply, int code);
	int max_inflight; /* commands per stream; more: ServerIsBusy */
} BatchService;

/* The handler to put into RpcMethod for METHOD_BATCH_COMMANDS. */
extern const CallHandler batch_handler;

/* Must be called before the first stream opens; kept for the process. */
extern void batch_configure(const BatchService *service);
extern void batch_flush(void);

/* The handler of every unary KV method: unpack, submit, pack the answer. */
extern const CallHandler unary_handler;

#endif /* TIKV_SERVER_BATCH_H */
