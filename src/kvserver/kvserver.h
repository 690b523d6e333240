/*
 * kvserver.h
 *	  The KV service of a worker: the gRPC server on tikv.addr and the bus,
 *	  both feeding one Dispatch.
 */
#ifndef TIKV_KVSERVER_KVSERVER_H
#define TIKV_KVSERVER_KVSERVER_H

#include "postgres.h"

#include "bus/board.h"
#include "bus/shmem.h"
#include "kvserver/dispatch.h"
#include "server/server.h"

/* Unary calls that one worker has in flight at most. */
#define KVSERVER_MAX_CALLS 16384

/*
 * Listen on tikv.addr, the store on tikv.peer_addr, too, with TLS unless tls is
 * NULL.  Throws if an address can't be used: the message names it and what
 * the system said.
 */
extern Server *kvserver_start(WorkerKind self, Dispatch *dispatch, Tls *tls);
extern void kvserver_stop(Server *server);

/*
 * Wait until the store serves the extension that we found; false if the
 * worker should stop.
 */
extern bool kvserver_wait_for_store(WorkerKind self, const TableOids *tables,
									BoardStore *board);

/* Requests that came over the bus; returns how many were taken. */
extern int kvserver_take_bus(WorkerKind self, Dispatch *dispatch);

/* Sleep until there is something to do, at most timeout_us. */
extern void kvserver_sleep(WorkerKind self, Server *server, int64 timeout_us);

/* What requests are checked against, from the settings and the ident. */
extern void kvserver_limits(RawLimits *limits, uint64 cluster_id,
							ApiVersion api);

#endif /* TIKV_KVSERVER_KVSERVER_H */
