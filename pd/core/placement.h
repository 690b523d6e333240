/*
 * placement.h
 *	  Which stores shall hold a region, and in which role.
 *
 * The rule of DESIGN 6: with n stores and at most m replicas a region has
 * min(n, m) peers; voters are the largest odd number of them, and the one that
 * may be left over is a learner, which becomes a voter when the next store
 * arrives.  So two stores are one voter and one learner, and a second store
 * never makes the first one less available.  A store that is short of disk
 * space votes only where no other one could.
 */
#ifndef TIKV_PD_CORE_PLACEMENT_H
#define TIKV_PD_CORE_PLACEMENT_H

#include "pd/core/cluster.h"
#include "pd/core/operator.h"

/* Times are of the driver's monotonic clock. */
typedef struct PlacementClock
{
	int64_t now_us;
	int64_t since_us;	   /* nobody was listened to before */
	int64_t disconnect_us; /* silent that long: nothing new is placed there */
	int64_t max_down_us;   /* silent that long: its peers are replaced */
} PlacementClock;

/* A store that is Up, as the rule sees it. */
typedef struct PlacementStore
{
	uint64_t id;
	bool alive; /* heard of lately */
	bool lost;	/* not heard of for so long that it is replaced */
	bool low;	/* of disk space: it gets no new peers */
	bool busy;	/* it says so, as one without space: nor leaders */
	size_t peers;
	size_t leaders;
} PlacementStore;

struct PlacementStores
{
	PlacementStore *stores; /* by id */
	size_t n;
	uint32_t max_replicas;
};

/* The stores that may hold regions, with what they hold; in the arena. */
extern PlacementStores placement_stores(const Cluster *cluster,
										const PlacementClock *clock,
										Arena *arena);

extern PlacementStore *placement_find(const PlacementStores *stores,
									  uint64_t id);

/* How many voters and learners a region shall have with n stores. */
extern void placement_count(size_t n, uint32_t max_replicas, int *voters,
							int *learners);

/*
 * The plan for a region.  It equals the region if nothing is to be done, and
 * falls short of the rule as far as there are no stores for it.
 */
extern void placement_plan(const PlacementStores *stores,
						   const PdRegion *region, const PlacementClock *clock,
						   RegionPlan *out);

#endif /* TIKV_PD_CORE_PLACEMENT_H */
