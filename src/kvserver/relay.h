/*
 * relay.h
 *	  Requests of this node that other stores answer.
 *
 * SQL sessions leave theirs on the bus (METHOD_RELAY); the worker itself may
 * have some, too.  They are sent as ordinary calls to the other store's
 * tikv.addr, by channels that are kept, and answered when that store does.
 */
#ifndef TIKV_KVSERVER_RELAY_H
#define TIKV_KVSERVER_RELAY_H

#include "postgres.h"

#include "bus/bus.h"
#include "server/client.h"

typedef struct Relay Relay;

extern Relay *relay_start(Server *server, MemoryContext context);

/*
 * Before the server stops: what is under way is dropped and answered with
 * BUS_LOST, what its owner wants to know of with CANCELLED.
 */
extern void relay_stop(Relay *relay);

/* Take over a METHOD_RELAY of the bus; answers by itself. */
extern void relay_take(Relay *relay, const BusRequest *bus);

/*
 * Ask a store: done is called once, never from inside this function, with what
 * client_call says.  False if too much is under way.
 */
extern bool relay_call(Relay *relay, const char *address, int method,
					   Bytes message, int timeout_ms, ClientDone done,
					   void *arg);

/*
 * How a call that failed is told over the bus: did the other store get the
 * request?  Only what gRPC says of a connection that never came about tells
 * that it did not.
 */
extern BusCode relay_bus_code(const ClientResult *result);

#endif /* TIKV_KVSERVER_RELAY_H */
