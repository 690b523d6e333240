/*
 * scatter.h
 *	  Regions of a group apart: their peers and leaders on as many stores as
 *	  there are (tikv/pd pkg/schedule/scatter/region_scatterer.go).
 *
 * What counts is where the group's regions were sent, not what the stores
 * hold otherwise: a table's new regions are spread although balance is
 * content.  A group is forgotten after three minutes without a region.
 */
#ifndef TIKV_PD_CORE_SCATTER_H
#define TIKV_PD_CORE_SCATTER_H

#include "pd/core/schedule.h"

#define SCATTER_GROUP_US INT64_C(180000000)
#define SCATTER_MAX_GROUPS 64

typedef enum ScatterEnd
{
	SCATTER_STAYS, /* it is well where it is, or on its way already */
	SCATTER_BEGUN,
	SCATTER_REFUSED /* not now: *why */
} ScatterEnd;

/*
 * New peers take ids, which *changes saves: if that fails the operator is to
 * be cancelled.  The group may be empty, which is one as well.
 */
extern ScatterEnd scatter_region(Schedule *schedule, PdState *state,
								 uint64_t region_id, const char *group,
								 bool skip_store_limit, int64_t now_us,
								 PdChanges *changes, const char **why);

#endif /* TIKV_PD_CORE_SCATTER_H */
