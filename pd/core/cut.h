/*
 * cut.h
 *	  Splits that somebody wants at given keys: which are made already, and
 *	  what the leaders of regions are told to make the others.
 *
 * Keys are bounds as regions have them, in order and each once (cut_sort).
 */
#ifndef TIKV_PD_CORE_CUT_H
#define TIKV_PD_CORE_CUT_H

#include "pd/core/operator.h"

/* A leader is told of so many keys and bytes at once. */
#define CUT_ORDER_KEYS 512
#define CUT_ORDER_BYTES ((size_t) 256 << 10)

/* Returns how many are left. */
extern size_t cut_sort(Bytes *keys, size_t n);

/* The regions that begin at one of the keys, in ids[n]; how many. */
extern size_t cut_done(const RegionTree *tree, const Bytes *keys, size_t n,
					   uint64_t *ids);

/*
 * The orders for all other keys, one at most for a region: what does not fit
 * is told when that is done.  None for regions whose leader is not known or
 * that are in a joint state.  Orders are the arena's, their keys the caller's.
 */
extern size_t cut_orders(const RegionTree *tree, const Bytes *keys, size_t n,
						 Arena *arena, Order **orders);

#endif /* TIKV_PD_CORE_CUT_H */
