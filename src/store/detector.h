/*
 * detector.h
 *	  Deadlocks across stores: one store holds the graph of waiting transactions
 *	  for all (txn-semantics 17).
 *
 * It is the one that leads the first region, the one of the empty key.  Others
 * tell it who waits for whom on a stream (deadlock.Deadlock/Detect), and are
 * told when that closed a cycle.  Source: tikv/tikv
 * src/server/lock_manager/deadlock.rs.
 */
#ifndef TIKV_STORE_DETECTOR_H
#define TIKV_STORE_DETECTOR_H

#include "store/store.h"

typedef struct Detector Detector;

extern void detector_start(Store *store);

/* Before the relay and the server stop. */
extern void detector_stop(Store *store);

/*
 * Does this store detect?  Whoever begins or ends to lead begins with an empty
 * graph.  Called before anything is asked of the graph, and now and then.
 */
extern bool detector_update(Store *store);

/* The service's methods, for the store's server. */
extern const RpcMethod detector_methods[];
extern const int detector_n_methods;

#endif /* TIKV_STORE_DETECTOR_H */
