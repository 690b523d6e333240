/*
 * places.h
 *	  Where the current row of a recently used raw key lies: hash -> TID.
 *
 * The lookup of a hot key by index walks all its dead versions, for minutes
 * if somebody holds an old snapshot.  The store is the only writer, so it can
 * remember where the newest row is.  The cache may be wrong in any way: a
 * user fetches the TID, and only if the row is visible to its own fresh
 * snapshot and carries the key is it the answer (a key has one visible row);
 * otherwise the index is asked.  One atomic word per entry, no locks.
 */
#ifndef TIKV_BUS_PLACES_H
#define TIKV_BUS_PLACES_H

#include "bus/shmem.h"
#include "core/base/bytes.h"
#include "storage/itemptr.h"

extern uint64 place_hash(uint8 cf, Bytes key);
extern bool place_find(uint64 hash, ItemPointer tid);
extern void place_set(uint64 hash, const ItemPointerData *tid);
extern void place_forget(uint64 hash);
extern void place_clear(void);

extern Size places_shmem_size(void);
extern void places_shmem_init(TikvShmem *shmem, bool found);

#endif							/* TIKV_BUS_PLACES_H */
