/*
 * heir.h
 *	  Who shall lead where a leader has to go.
 *
 * Its leader hands a region to no store whose disk is full, and one whose disk
 * is nearly so refuses writes: a store that says it is busy comes last.
 */
#ifndef TIKV_PD_CORE_HEIR_H
#define TIKV_PD_CORE_HEIR_H

#include "pd/core/operator.h"

/*
 * A voter that stays one by the operator, and is in reach; the next one behind
 * the peer `after` (0: the first).  NULL: there is no other.
 */
extern const RegionPeer *heir_find(const PdRegion *region, const Operator *op,
								   const PlacementStores *stores,
								   uint64_t after);

/* Plan the change of roles, and the transfer for it; false: nobody can lead. */
extern bool heir_plan_roles(const PdRegion *region,
							const PlacementStores *stores, Operator *op);

/*
 * The operator's transfer was told in vain so often: it goes to somebody else,
 * if it does not matter to whom.  If there is nobody, and the store is busy, the
 * operator ends: what is known now may make another plan.
 */
extern void heir_try_other(const PdRegion *region,
						   const PlacementStores *stores, Operator *op);

#endif /* TIKV_PD_CORE_HEIR_H */
