/*
 * hibernate.h
 *	  Groups with several peers that have nothing to do sleep.
 *
 * A group that has been idle for a while, and whose peers all have everything,
 * is not ticked and sends no heartbeats (TiKV's hibernate regions:
 * raftstore-and-pd 11).  The leader asks, the followers fall asleep and say so,
 * and when all have said so the leader does, too.  Anything that happens to a
 * peer wakes it.  That a leader is still there is then not known from its
 * heartbeats but from its store's: stores that share sleeping groups tell each
 * other twice a second that they live, one message whatever the number of
 * groups.  When a store falls silent, or has started anew, the groups that are
 * shared with it wake up.
 */
#ifndef TIKV_STORE_HIBERNATE_H
#define TIKV_STORE_HIBERNATE_H

#include "postgres.h"

#include "core/cmd/peer_message.h"

typedef struct Peer Peer;
typedef struct Store Store;
typedef struct Sleepers Sleepers;

typedef struct PeerSleep
{
	bool asleep;
	bool wanted;	   /* the leader has asked, and was the last to speak */
	int idle_ticks;	   /* in a row, with nothing but heartbeats */
	int silent_ticks;  /* ... and without those */
	int still_ticks;   /* in a row, with a log that did not grow */
	uint64 still_at;   /* ... which ended here */
	uint32 agreed;	   /* by place in the region's peers */
	int64 asked_us;	   /* when the peers were asked last */
	int64 since_us;	   /* it sleeps */
	int64 alone_us;	   /* since when it knows no leader; 0: it knows one */
	int64 pd_asked_us; /* whether it is still in the region */
} PeerSleep;

extern void hibernate_init(Store *store);

/* Before its tick: may it fall asleep?  True if it sleeps now. */
extern bool hibernate_tick(Peer *peer, int64 now_us);

/* Something happens to it. */
extern void peer_wake(Peer *peer);

/* A message of ours to another store, about no region of its own. */
extern void store_message_send(Store *store, uint64 to, ExtraType type,
							   Bytes context);

/* Messages that are the stores' own; true if it was one of these. */
extern bool hibernate_take_store_message(Store *store, const PeerMessage *m);
extern void hibernate_take_message(Peer *peer, const PeerMessage *m);

/* Tell other stores that this one lives; notice which ones do not. */
extern void hibernate_run(Store *store, int64 now_us);
extern int64 hibernate_due_us(const Store *store);

/* ---- stale_peer.c ---- */

/* It has not heard of a leader for long: is it still in the region? */
extern void stale_peer_tick(Peer *peer, int64 now_us);

/* How many regions have none for so long, in tikv_status(). */
extern void leaderless_show(const Store *store);

typedef struct BusAnswer BusAnswer;
extern bool stale_peer_take_pd_answer(Store *store, const BusAnswer *answer);

#endif /* TIKV_STORE_HIBERNATE_H */
