/*
 * places.h
 *	  Where the current row of a recently used raw key lies: hash -> TID.
 *
 * The lookup of a hot key by index walks all its dead versions, for minutes
 * if somebody holds an old snapshot.  The store is the only writer, so it can
 * remember where the newest row is.  The cache may be wrong in any way: a
 * user fetches the TID, and only if the row is visible to its own fresh
 * snapshot and carries the key is it the answer (a key has one visible row);
 * otherwise the index is asked.  One atomic word per place, no locks.
 */
#ifndef TIKV_BUS_PLACES_H
#define TIKV_BUS_PLACES_H

#include "bus/shmem.h"
#include "core/base/bytes.h"
#include "storage/itemptr.h"

/* So many places of a key may be known: the newest and older ones. */
#define PLACE_WAYS 4

/* Any process of the server gets the same hash. */
extern uint64 place_hash(uint8 cf, Bytes key);

/*
 * Where rows of this key may be, the newest first; returns their number.  A
 * reader whose snapshot is a moment older than the newest row needs the one
 * before it.
 */
extern int place_find(uint64 hash, ItemPointerData places[PLACE_WAYS]);

/*
 * The same of many keys, from whose hashes on what comes next is fetched from
 * memory: of each the newest place, invalid if none is known.
 */
extern void place_hash_many(uint8 cf, const Bytes *keys, int n, uint64 *hashes);
extern void place_find_many(const uint64 *hashes, int n,
							ItemPointerData *newest);

/* Places of this key will be set soon: have them fetched from memory. */
extern void place_prefetch(uint64 hash);

/* The newest row is there now; what was newest becomes the one before. */
extern void place_set(uint64 hash, const ItemPointerData *tid);
extern void place_forget(uint64 hash);
extern void place_clear(void);

extern Size places_shmem_size(void);
extern void places_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_PLACES_H */
