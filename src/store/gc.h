/*
 * gc.h
 *	  Garbage collection of old versions (txn-semantics 25), as the store
 *	  drives it.
 *
 * The folder's own header.  A round: ask PD for a timestamp and move the txn
 * safe point to tikv.gc_life_time before it, as far as barriers allow; end the
 * locks below it, in all regions; move the GC safe point; delete what nobody
 * can read any more, region by region, in slices.
 *
 * Groups that sleep are not woken for it: a round would be after them all the
 * time where there are thousands.
 *
 * The whole round is the business of one store, the one that leads the first
 * region, and it asks other stores for the locks of regions that they lead.  The
 * others, and with tikv.gc_life_time = 0 all of them (TiDB moves the points
 * then, and any client may), only delete, each in the regions that it leads.
 * Between rounds every store looks at PD's points every ten seconds, as TiKV
 * does.
 */
#ifndef TIKV_STORE_GC_H
#define TIKV_STORE_GC_H

#include "postgres.h"

#include "bus/bus.h"
#include "core/txn/lock_resolver.h"

typedef struct Store Store;
struct Write;

typedef enum GcPhase
{
	GC_IDLE,
	GC_ASKS_TIME,		/* PD: a timestamp */
	GC_MOVES_TXN_POINT, /* PD: AdvanceTxnSafePoint */
	GC_SCANS_LOCKS,		/* a slice of the region's locks */
	GC_RESOLVES,		/* one of them after the other */
	GC_MOVES_GC_POINT,	/* PD: AdvanceGCSafePoint */
	GC_ASKS_STATE,		/* PD: GetGCState */
	GC_DELETES			/* slices of the region's versions */
} GcPhase;

typedef struct GcJob GcJob;
typedef struct GcSleepers GcSleepers;

/* Keys that are passed by (gc_damage.c). */
#define GC_DAMAGED_KEYS 1024

typedef struct GcDamage
{
	Bytes keys[GC_DAMAGED_KEYS];
	int n;
	uint64 n_regions;  /* whose rest was passed by, in this pass */
	const Bytes *next; /* behind the running slice; NULL: none */
	int64 since_us;	   /* when the first was met, monotonic */
	int64 told_us;	   /* when a region was last logged, monotonic; 0: never */
} GcDamage;

typedef struct Gc
{
	GcPhase phase;
	GcJob *job;			/* the command that is queued; NULL: none */
	Arena arena;		/* of a step: the job, what it found */
	int64 due_us;		/* of the next look or step, monotonic */
	int64 round_us;		/* of the next round, monotonic */
	bool looks;			/* what runs is a look and no round */
	int life_time_s;	/* the setting that due_us goes by */
	int64 step_us;		/* when the running step began, monotonic */
	uint64 safe_point;	/* of this round */
	uint64 lock_floor;	/* transactions that began below take no locks */
	uint64 region_id;	/* that is being worked on */
	MemoryContext keep; /* where the cursor lives */
	Bytes cursor;		/* in the region */

	GcDamage damage;

	/* The search for locks goes by keys: regions move meanwhile. */
	Bytes bound;	 /* where the region begins, as regions are bounded */
	Bytes bound_end; /* ... and ends, of the one that was asked last */
	bool away;		 /* a question is with another store */

	GcSleepers *sleepers; /* what is asked about groups that sleep */

	/* Regions that it has come to lead may hold garbage. */
	uint64 led; /* a sum over the regions and terms */

	/* For SQL transactions of this node; 0: none is set. */
	uint64 barrier_ts;
	int64 barrier_us; /* when it was set last */

	LockResolver resolver; /* the lock that is being ended */
	LockInfo *locks;	   /* found by the last scan */
	size_t n_locks;
	size_t next_lock;

	uint64 collected;	   /* safe point of the last whole pass */
	int64 pass_us;		   /* when that ended, monotonic */
	uint64 pass_slices;	   /* that it took */
	uint64 garbage;		   /* records written since it began */
	uint64 newest_ts;	   /* of all that were written */
	uint64 pass_garbage;   /* those before the running pass */
	uint64 running_slices; /* of the running pass */

	uint64 deleted;	 /* rows, since the start */
	uint64 resolved; /* locks, since the start */
} Gc;

extern void gc_init(Store *store);
extern void gc_free(Store *store);

/* What a command of a turn leaves behind counts towards the next pass. */
extern void gc_note(Store *store, const TxnEffects *effects);

/* So many versions were written by a grant. */
extern void gc_note_commit(Store *store, uint64 n, uint64 commit_ts);

/*
 * What PD knows at the start of the store: earlier lives may have ended the
 * locks below the one and deleted versions below the other.
 */
extern void gc_know(Store *store, uint64 txn_safe_point, uint64 gc_safe_point);

/*
 * May a command of a transaction that began then leave locks or versions?  Not
 * once the locks of its time are being ended: its rollback may have been
 * collected, and a write that it should collide with.
 */
extern bool gc_allows_write(const Store *store, const TxnCommand *command,
							uint64 *start_ts);

/* A region got its leader here: what its last one knew of PD's points counts. */
extern void gc_look_soon(Store *store);

/* Take a step if one is due; returns the number of steps. */
extern int gc_run(Store *store);

/* True if the answer of PD was for garbage collection. */
extern bool gc_take_pd_answer(Store *store, const BusAnswer *answer);

/* ---- gc_sleepers.c ---- */

typedef struct PeerMessage PeerMessage;

/* Messages of other stores; true if it was one of these. */
extern bool gc_sleepers_take_message(Store *store, const PeerMessage *m);

/* True if the answer of PD was for this. */
extern bool gc_sleepers_take_pd_answer(Store *store, const BusAnswer *answer);

/* ---- gc_barrier.c ---- */

/*
 * A barrier at PD for the oldest SQL transaction of this node, as long as it is
 * open; other stores may be those who move the safe points.
 */
extern void gc_barrier_run(Store *store);
extern bool gc_barrier_take_pd_answer(Store *store, const BusAnswer *answer);

#endif /* TIKV_STORE_GC_H */
