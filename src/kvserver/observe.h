/*
 * observe.h
 *	  What a KV worker counts of its requests, and its slow log.
 */
#ifndef TIKV_KVSERVER_OBSERVE_H
#define TIKV_KVSERVER_OBSERVE_H

#include "postgres.h"

#include "server/server.h"
#include "service/service.h"

/* BatchService.observe: a request over gRPC is about to be answered. */
extern void observe_request(void *arg, const Request *request,
							const ProtobufCMessage *reply, int code);

/* The same for one that came over the bus. */
extern void observe_bus(const Request *request, const ProtobufCMessage *reply);

/* Once per round of the worker's loop: what the server counts. */
extern void observe_server(Server *server);

#endif /* TIKV_KVSERVER_OBSERVE_H */
