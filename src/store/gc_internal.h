/*
 * gc_internal.h
 *	  What the gc*.c files share: a round goes from one to the other.
 */
#ifndef TIKV_STORE_GC_INTERNAL_H
#define TIKV_STORE_GC_INTERNAL_H

#include "bus/tasks.h"
#include "store/txn_turn.h"

/* ---- gc.c: the round ---- */

extern int64 gc_round_interval_us(void);
extern void gc_end_round(Store *store, int64 wait_us);
extern void gc_give_up(Store *store, GcReason reason);

/* The next step is due after a rest. */
extern void gc_rest(Gc *gc);

extern void gc_set_cursor(Gc *gc, Bytes key);

/* Does this store lead the first region? */
extern bool gc_leads(Store *store);

/* False if there is none; else the cursor is at its begin. */
extern bool gc_go_to_next_region(Store *store);

/* Queue a command among the clients'. */
extern void gc_queue_job(Store *store, Peer *peer, int method,
						 const TxnCommand *command);

extern void gc_begin_resolving(Store *store, uint64 safe_point);
extern void gc_begin_deleting(Store *store, uint64 safe_point);

/* ---- gc_pd.c ---- */

extern void gc_ask_time(Store *store);
extern void gc_ask_state(Store *store);
extern void gc_move_gc_point(Store *store);
extern bool gc_waits_for_pd(const Gc *gc);

/* ---- gc_locks.c ---- */

/* Begin with the first region; ends with gc_move_gc_point. */
extern void gc_begin_scanning(Store *store);
extern void gc_scan_locks(Store *store);
extern void gc_ask_about_lock(Store *store);
extern void gc_after_scan(Store *store, const TxnAnswer *answer);
extern void gc_after_question(Store *store, const TxnAnswer *answer);

/* ---- gc_damage.c ---- */

/*
 * What of a region's range is to be looked at next, from the cursor on: no key
 * in it is known to be damaged.
 */
extern void gc_damage_bound(Gc *gc, KeyRange *range);

/* It was: the cursor is set to the damaged key behind it; false: there is none. */
extern bool gc_damage_begins_behind(Gc *gc);

/* A slice met a damaged row; false: the rest of its region is passed by. */
extern bool gc_damage_meet(Store *store);

/* Was anything passed by? */
extern bool gc_damage_is_known(const Gc *gc);

/* What was passed by long ago is tried again. */
extern void gc_damage_forget_old(Gc *gc);

/* What was passed by is told. */
extern void gc_damage_end_pass(const Gc *gc);

/* ---- gc_sleepers.c ---- */

typedef enum GcSleepersStep
{
	GC_SLEEPERS_NONE,  /* the region at the bound is to be scanned */
	GC_SLEEPERS_ASKED, /* go on when it is due */
	GC_SLEEPERS_PASSED /* up to *end there are no locks */
} GcSleepersStep;

/*
 * From a region's bound on: regions that sleep and have no locks.  *end is
 * valid until the next call.
 */
extern GcSleepersStep gc_pass_over_sleepers(Store *store, Bytes bound,
											Bytes *end);

/* A round begins: what was asked before is over. */
extern void gc_sleepers_forget(Store *store);

extern void gc_sleepers_free(Store *store);

#endif /* TIKV_STORE_GC_INTERNAL_H */
