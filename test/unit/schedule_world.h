/*
 * schedule_world.h
 *	  A leader of PD that knows stores and schedules, for tests that let it run.
 */
#ifndef TIKV_TEST_SCHEDULE_WORLD_H
#define TIKV_TEST_SCHEDULE_WORLD_H

#include "schedule_kit.h"

static PdState state;
static Schedule schedule;
static PdChanges changes;
static int64_t now;

/* A new one, with stores from 1 on. */
static void
begin(int n_stores)
{
	pd_state_free(&state);
	schedule_free(&schedule);
	state.cluster.bootstrapped = true;
	state.cluster.max_peer_count = 3;
	now = MINUTE;
	schedule_lead(&schedule, now);
	for (int id = 1; id <= n_stores; id++)
		kit_store(&state.cluster, (uint64_t) id, STORE_UP, now);
	pd_changes_init(&changes, &kit_arena);
}

static void
apply(void)
{
	pd_state_apply_all(&state, &changes);
	pd_changes_init(&changes, &kit_arena);
}

#endif /* TIKV_TEST_SCHEDULE_WORLD_H */
