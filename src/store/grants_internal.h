/*
 * grants_internal.h
 *	  What grants.c and grant_latches.c share.
 */
#ifndef TIKV_STORE_GRANTS_INTERNAL_H
#define TIKV_STORE_GRANTS_INTERNAL_H

#include "store/grants.h"

#include "bus/grants.h"

/*
 * For each region with keys of a request for a grant, NULL if there is none;
 * stops at the first that does not return NULL.
 */
extern const char *grants_each_peer(Store *store, const Write *write,
									const char *(*act)(void *arg, Peer *peer),
									void *arg);

/* A grant is live from now on; it has ended, and is free. */
extern void grants_latch(Store *store, int grant);
extern void grants_unlatch(Store *store, int grant);

/* Its regions have one more change that their logs do not tell of. */
extern void grants_count_end(Store *store, int grant, bool committed);

/* The transaction is not in progress any more. */
extern void grants_finish(Store *store, int grant);

#endif /* TIKV_STORE_GRANTS_INTERNAL_H */
