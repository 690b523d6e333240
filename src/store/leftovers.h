/*
 * leftovers.h
 *	  What peers that are gone have left behind: their logs and their keys.
 *
 * README.md, "What peers leave behind", says how it works.
 */
#ifndef TIKV_STORE_LEFTOVERS_H
#define TIKV_STORE_LEFTOVERS_H

#include "store/replicas.h"

extern void leftovers_init(Store *store);
extern void leftovers_free(Store *store);

/* Peers are loaded: go on with what was not finished. */
extern void leftovers_load(Store *store);

/*
 * Within a raft turn, whose transaction gets the rows; an error of the turn
 * from here on ends the process.  A peer that is destroyed, or keys of which
 * no region of this store has any once the turn is committed.
 */
extern void leftovers_add_peer(const Peer *peer);
extern void leftovers_add_keys(Store *store, const Region *region);

/* The same of keys that the peer's region had and the next one has not. */
extern void leftovers_add_rest(const Peer *peer, const Region *next);

/* The same: somebody else removes what is left within the region. */
extern void leftovers_take_over(Store *store, const Region *region);

/* Is a log of a former peer of the region still there? */
extern bool leftovers_have_log(const Store *store, uint64 region_id);

/* Run a slice if one is due; returns how many were run. */
extern int leftovers_run(Store *store);
extern int64 leftovers_due_us(const Store *store);

#endif /* TIKV_STORE_LEFTOVERS_H */
