/*
 * submit.h
 *	  What unary calls and BatchCommands share on the way to the service.
 */
#ifndef TIKV_SERVER_SUBMIT_H
#define TIKV_SERVER_SUBMIT_H

#include "kvrpcpb.pb-c.h"
#include "server/batch.h"
#include "server/source.h"

/*
 * The memory of one request, or of neighbours in a BatchCommandsRequest:
 * freed when the last of them is answered, and kept for the next.
 */
typedef struct RequestMemory
{
	Arena arena;
	Source *source; /* whose account it counts to */
	int refs;
	struct RequestMemory *next; /* in the pool */
} RequestMemory;

/* An empty one, with one reference. */
extern RequestMemory *request_memory_get(Source *source);
extern void request_memory_release(RequestMemory *memory);

/* Hand a request to the worker, unless it can be answered right here. */
extern void submit_request(Request *request);

extern int submit_max_inflight(void);

/* The request is about to be answered so; reply NULL: by a status. */
extern void submit_observe(const Request *request,
						   const ProtobufCMessage *reply, int code);

/*
 * The response whose region error says ServerIsBusy, with this reason, of any
 * method that service_has_region_error; valid until the next call.
 */
extern Bytes submit_busy_response(const char *reason);

/* How this store feels, with the next sequence number. */
extern void submit_feedback(Kvrpcpb__HealthFeedback *out);

#endif /* TIKV_SERVER_SUBMIT_H */
