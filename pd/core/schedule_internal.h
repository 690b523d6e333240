/*
 * schedule_internal.h
 *	  What the files of scheduling share.
 */
#ifndef TIKV_PD_CORE_SCHEDULE_INTERNAL_H
#define TIKV_PD_CORE_SCHEDULE_INTERNAL_H

#include "pd/core/schedule.h"

extern size_t schedule_count(const Schedule *schedule, OperatorKind kind);
extern bool schedule_has_room(const Schedule *schedule, const Operator *op);
extern void schedule_end(Schedule *schedule, Operator *op, int64_t now_us);
extern void schedule_recount(Schedule *schedule, const PdState *state,
							 int64_t now_us);

/* Begin what it takes to bring the region to the plan; false: nothing. */
extern bool schedule_plan(Schedule *schedule, PdState *state,
						  const RegionPlan *plan, const PdRegion *region,
						  const char *desc, OperatorKind kind, int64_t now_us,
						  PdChanges *changes);

/* balance.c: leaders and peers evenly over the stores. */
extern void schedule_balance(Schedule *schedule, PdState *state, int64_t now_us,
							 PdChanges *changes);

/* scatter.c */
extern void scatter_forget(Schedule *schedule);

#endif /* TIKV_PD_CORE_SCHEDULE_INTERNAL_H */
