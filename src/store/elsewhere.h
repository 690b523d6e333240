/*
 * elsewhere.h
 *	  What the store itself asks of regions that other stores lead.
 *
 * The heartbeats of SQL transactions, garbage collection's search for locks and
 * the detection of deadlocks go to the leader of a key, wherever that is: PD is
 * asked for the region and for the store's address, and the request leaves by
 * the relay.  Nothing waits; nothing is tried twice, since whoever asks will
 * ask again.
 */
#ifndef TIKV_STORE_ELSEWHERE_H
#define TIKV_STORE_ELSEWHERE_H

#include "store/store.h"

typedef struct Elsewhere Elsewhere;

/* Where a key is led; valid during the call that tells it. */
typedef struct Whereabouts
{
	Region region;
	RegionPeer leader;
	const char *address; /* its store's tikv.addr ... */
	const char
		*peer_address; /* ... and tikv.peer_addr, the store worker's own */
	Bytes reply;	   /* of elsewhere_ask: as it came, packed */
} Whereabouts;

/* NULL: nobody knows. */
typedef void (*WhereaboutsDone)(void *arg, const Whereabouts *where);

/*
 * The response, without a region error, and where it came from; NULL: there is
 * none, for whatever reason.  Both are valid during the call only.
 */
typedef void (*ElsewhereDone)(void *arg, const ProtobufCMessage *reply,
							  const Whereabouts *where);

extern void elsewhere_start(Store *store);

/* Whoever still waits is told that there is no answer. */
extern void elsewhere_stop(Store *store);

/*
 * Find the leader of the region of a bound (as regions have them).  Done is
 * called once, never from inside this function.  False: too many ask.
 */
extern bool elsewhere_find(Store *store, Bytes bound, WhereaboutsDone done,
						   void *arg);

/*
 * The same, and send it a message, whose Context is filled in; the message must
 * live until done is called.
 */
extern bool elsewhere_ask(Store *store, Bytes bound, int method,
						  ProtobufCMessage *message, ElsewhereDone done,
						  void *arg);

/* True if the answer of PD was for this. */
extern bool elsewhere_take_pd_answer(Store *store, const BusAnswer *answer);

#endif /* TIKV_STORE_ELSEWHERE_H */
