/*
 * grants.h
 *	  Grants as the store makes and ends them: keys that a SQL backend writes
 *	  under its own transaction id, together with its tables (DESIGN 8).
 *
 * The folder's own header.  README.md, "Grants", has the protocol.
 */
#ifndef TIKV_STORE_GRANTS_H
#define TIKV_STORE_GRANTS_H

#include "store/txn_turn.h"

typedef struct Grants Grants;

/* What a write holds latches by: hashes of its keys, or its whole region. */
typedef struct GrantHold
{
	bool ranged;
	uint64 region_id; /* ranged; 0: all regions */
	uint64 *hashes;
	size_t n;
} GrantHold;

/* A request for a grant. */
typedef struct GrantWish
{
	TransactionId xid;
	int grant; /* -1: none was taken */
	bool live;
	Bytes answer; /* empty: an error, in the write's decision */
} GrantWish;

extern void grants_init(Store *store);
extern void grants_stop(Store *store, const char *reason);

/*
 * Grants that outlived the store's predecessor: their guards and latches are
 * as they were.  While the lock table is rebuilt, before the locks are loaded
 * under this snapshot.
 */
extern void grants_restore(Store *store, Snapshot snapshot);

/*
 * What of them is over by now, at once: who asks the new store first is told
 * the value, not of a lock that nobody holds.
 */
extern void grants_end_over(Store *store);

/* Of a METHOD_SQL_GRANT. */
extern GrantWish *grants_wish(Request *request);

/* Its turn is durable: the backend may write. */
extern void grants_reply(Write *write);

/*
 * May a write of a sole-peer group be decided now?  If not, it waits for
 * grants on its keys (or in its region) to end, or was answered.
 */
extern bool grants_admit(Store *store, Write *write);

/* Is this write a request for a grant?  Then it is decided here. */
extern bool grants_decide(TxnTurn *turn, Write *write);

/* The turn was aborted: nothing was given. */
extern void grants_undo(Store *store, Write *write);

/* Between turns: end what has ended; returns how many ended. */
extern int grants_run(Store *store);
extern int64 grants_sleep_us(const Store *store, int64 most);

/*
 * May a peer get company now?  If not, no grant is given in its region until
 * it was asked again, and answered yes.
 */
extern bool grants_make_way(Store *store, Peer *peer);

/* No order waits for the region's grants any more: others may begin. */
extern void grants_order_gone(Store *store, Peer *peer);
extern bool grants_stand_in_way(const Peer *peer);

/* In a turn that writes: the group's index tells of grants that committed. */
extern void grants_advance(Store *store);

#endif /* TIKV_STORE_GRANTS_H */
