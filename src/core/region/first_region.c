/*
 * first_region.c
 *	  Which store makes the cluster's first region, and who gives up its own.
 */
#include "core/region/first_region.h"

FirstRegionStep
first_region_step(const FirstRegionView *view)
{
	if (view->bootstrapped)
		return view->prepared ? FIRST_REGION_COMPARE : FIRST_REGION_SETTLED;
	if (view->joins)
		return FIRST_REGION_WAIT;
	return view->n_regions == 0 ? FIRST_REGION_PREPARE : FIRST_REGION_ASK;
}

bool
first_region_is_prepared(const Region *region, uint64_t store_id, uint64_t term,
						 uint64_t applied_index)
{
	return term == FIRST_LOG_TERM && applied_index == FIRST_LOG_INDEX &&
		region->start_key.len == 0 && region->end_key.len == 0 &&
		region->epoch.conf_ver == 1 && region->epoch.version == 1 &&
		region->n_peers == 1 && region->peers[0].store_id == store_id;
}
