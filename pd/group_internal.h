/*
 * group_internal.h
 *	  Between the files of PD's Raft group.
 */
#ifndef TIKV_PD_GROUP_INTERNAL_H
#define TIKV_PD_GROUP_INTERNAL_H

#include "pd/pd.h"

/* ---- group_start.c ---- */

/* The state as the tables have it; inside a transaction. */
extern void group_load_state(Pd *pd);

/* The leader, as it is configured now; the id stays. */
extern void group_describe_leader(Pd *pd, PdChanges *changes);

/* Safe points that no timestamp has reached are not believed: see gc_state.h. */
extern void group_mend_safe_points(Pd *pd, PdChanges *changes);

/* ---- group_ready.c ---- */

typedef enum GroupReady
{
	READY_DONE,
	READY_LATER, /* the tables cannot be had now */
	READY_LOST
} GroupReady;

/* The round's changes as an entry of the group. */
extern Status group_propose(Pd *pd);

/* What the next ready asks for; `open`: the transaction is. */
extern GroupReady group_run_ready(Pd *pd, bool open);

/* Cut what everybody has long had.  False: the round was lost. */
extern bool group_cut_log(Pd *pd);

#endif /* TIKV_PD_GROUP_INTERNAL_H */
