/*
 * gc_state.h
 *	  Which versions may be collected: txn safe point, GC safe point, and the
 *	  barriers that hold them back.
 *
 * Rules (tikv/pd pkg/gc/gc_state_manager.go): neither point ever decreases;
 * gc <= txn; an advance of the txn safe point stops at the lowest barrier
 * that has not expired; a barrier once seen expired is removed, so that a
 * clock set back cannot revive it.  All keyspaces share one state ("unified
 * GC").  The older RPCs are mapped onto the same state.
 *
 * One rule is ours: no point goes beyond the newest timestamp.  All that begins
 * behind a point is refused, and no timestamp would ever be before it again.
 */
#ifndef TIKV_PD_CORE_GC_STATE_H
#define TIKV_PD_CORE_GC_STATE_H

#include "pd/core/record.h"

#define GC_NEVER INT64_MAX
#define GC_MAX_BARRIERS 10000
#define GC_MAX_BARRIER_ID 1024

/* The barrier id by which old GC workers name themselves. */
#define GC_WORKER_ID "gc_worker"

/*
 * What barriers of the stores themselves begin with (src/store/gc_barrier.c),
 * and how many there may be beyond the bound, one for each store: clients that
 * have set all of theirs keep no SQL transaction from its own.
 */
#define GC_OWN_PREFIX "tikv_fdw/sql/"
#define GC_OWN_BARRIERS 4096

/* The service of backup tools, whose safe point is a global barrier. */
#define GC_NATIVE_BR_ID "native_br"

/* Barriers by id; the set owns the ids. */
typedef struct BarrierSet
{
	GcBarrier *items;
	size_t n;
	size_t size;
} BarrierSet;

typedef struct GcState
{
	uint64_t txn_safe_point;
	uint64_t gc_safe_point;
	BarrierSet barriers;
	BarrierSet globals;
} GcState;

extern void gc_state_init(GcState *gc);
extern void gc_state_free(GcState *gc);

/* When it is: unix seconds, and the newest timestamp that was given out. */
typedef struct GcTime
{
	int64_t now;
	uint64_t newest;
} GcTime;

/* True for the records of this state, which it then has taken over. */
extern bool gc_state_apply(GcState *gc, const PdRecord *record);

extern bool gc_barrier_is_own(const char *id);

/* Seconds that are left of a barrier at `now`; GC_NEVER stays. */
extern int64_t gc_barrier_ttl(const GcBarrier *barrier, int64_t now);

typedef struct GcAdvance
{
	uint64_t old_point;
	uint64_t new_point;
	const GcBarrier *blocker; /* what held it back; valid until applied */
	const char *blocker_text; /* "" if nothing did */
} GcAdvance;

/*
 * The decisions: each adds its changes, which the caller applies.  `now` is
 * in unix seconds.
 */
extern PdError gc_advance_txn_safe_point(const GcState *gc, uint64_t target,
										 GcTime when, PdChanges *changes,
										 GcAdvance *out);
extern PdError gc_advance_gc_safe_point(const GcState *gc, uint64_t target,
										PdChanges *changes, GcAdvance *out);

/*
 * The old UpdateGCSafePoint, which knew no txn safe point: raises both, as
 * far as barriers allow; a lower value changes nothing.  *point is the GC safe
 * point that holds afterwards.
 */
extern PdError gc_update_safe_point(const GcState *gc, uint64_t target,
									GcTime when, PdChanges *changes,
									uint64_t *point);

/*
 * Points beyond all timestamps, which older releases took, come back to the
 * newest: what was before it may have been collected.  False: there is none.
 */
extern bool gc_mend_safe_points(const GcState *gc, uint64_t newest,
								PdChanges *changes);

/* Set or remove a barrier; `kind` says whether it is a global one. */
extern PdError gc_set_barrier(const GcState *gc, PdRecordKind kind,
							  const char *id, uint64_t ts, int64_t ttl_seconds,
							  int64_t now, PdChanges *changes, GcBarrier *out);
extern PdError gc_delete_barrier(const GcState *gc, PdRecordKind kind,
								 const char *id, PdChanges *changes,
								 const GcBarrier **deleted);

typedef struct GcService
{
	const char *id;
	uint64_t min_safe_point;
	int64_t ttl_seconds; /* that the one of `id` has left */
} GcService;

/*
 * The old UpdateServiceGCSafePoint: a service's safe point is a barrier.  The
 * caller learns from min_safe_point whether its value was accepted.
 */
extern PdError gc_update_service(const GcState *gc, const char *id,
								 int64_t ttl_seconds, uint64_t safe_point,
								 GcTime when, PdChanges *changes,
								 GcService *out);

#endif /* TIKV_PD_CORE_GC_STATE_H */
