/*
 * background.h
 *	  Long work of the store, done in slices: deletions of ranges, the removal
 *	  of rows that have expired, and the compaction of tables (compactor.h).
 *
 * A slice is a turn of its own, so an error in one fails no client's write.
 * It is small (some milliseconds), and slices take turns with what waits.
 */
#ifndef TIKV_STORE_BACKGROUND_H
#define TIKV_STORE_BACKGROUND_H

#include "postgres.h"

#include "core/kv/common_clock.h"
#include "core/kv/expiry_map.h"
#include "core/kv/range_delete.h"
#include "core/kv/steady_clock.h"
#include "storage/raw_table.h"
#include "store/compactor.h"

/* After a slice that could not run: locked tables, an error, no space. */
#define BACKGROUND_RETRY_US INT64CONST(1000000)

/*
 * Deletions that may be on their way at once; more are told to wait.  A
 * replica takes what the leader has accepted, however far behind it is: with
 * as many as RANGE_DELETES_FULL, and those of one ready more, its groups apply
 * no other one, and nothing behind it, until slices have carried out half of
 * them.
 */
#define RANGE_DELETES_MAX 64
#define RANGE_DELETES_FULL 4096

typedef struct RangeWork
{
	struct Write *waiter; /* NULL: nobody waits */
	int64 stalled_us; /* when it met a damaged row, monotonic; 0: it did not */
} RangeWork;

typedef struct RangeDeletes
{
	RangeDelete *items; /* oldest first */
	RangeWork *works;	/* of each */
	int room;			/* of both */
	int n;
	int n_stalled;	 /* readers know of them, and one is tried now and then */
	int64 retry_us;	 /* when that is, monotonic */
	bool stall_told; /* in the log, since the last one was mended */
	int n_new;		 /* the last of them: accepted by the running turn */
	int64 era;		 /* the newest one, of the running turn, too */
	int64 kept;	  /* era of a finished one whose row is still there; 0: none */
	int64 due_us; /* when the next slice may run, monotonic */
	uint64 removed; /* rows since the start */
} RangeDeletes;

typedef struct Sweeper
{
	bool enabled;
	ExpiryMap map; /* in segments of SWEEP_BLOCKS */
	SteadyClock clock;
	CommonClock others; /* what other stores' clocks show */
	Oid file;			/* of the table that the map is about */
	int64 due_us;		/* when to look again, monotonic */
	int64 told_us;		/* when progress was told, monotonic */
	int full_slices;	/* in a row: it is behind */

	/* The segment has a damaged row: it is looked at block by block. */
	bool careful;
	uint32 segment;
	uint32 block;	/* the next one, of the segment */
	int64 earliest; /* of those that were looked at */
	bool unread;	/* one was passed by */
	uint64 removed; /* rows since the start */
} Sweeper;

typedef struct Store Store;

extern void background_init(Store *store);
extern void background_free(Store *store);

/* Load what an earlier life of the store left to do.  Needs a transaction. */
extern void background_load(Store *store);

/* Run one slice if one is due; returns the number of slices run. */
extern int background_run(Store *store);

/* When background_run wants to be called, monotonic. */
extern int64 background_due_us(const Store *store);

/* The store stops: answer who still waits. */
extern void background_stop(Store *store, const char *reason);

/*
 * For slices: delete keys in the running turn.  Every replica does so by
 * itself, and it is no part of a region's log.
 */
extern void background_delete(Store *store, RawCf cf, const Bytes *keys, int n);

/* ---- range_delete.c: part of the turns of clients ---- */

/* Accept a deletion of the write's; false if too many are on their way. */
extern bool range_delete_accept(Store *store, struct Write *write);

/*
 * The same for a command that is applied, which cannot be refused; returns the
 * era that it begins.
 */
extern int64 range_delete_begin(Store *store, RawCf cf, Bytes lower,
								Bytes upper);

/* In the turn's transaction: store what it accepted. */
extern void range_delete_save_new(Store *store);

/* The turn has committed, or was undone. */
extern void range_delete_committed(Store *store);
extern void range_delete_aborted(Store *store);

/* May no other one be accepted?  Those that damaged rows stall are few. */
extern bool range_delete_is_full(const Store *store);

/* Those that slices carry out. */
extern int range_delete_n_running(const Store *store);

/* The accepted deletion is durable: its write waits for the last slice. */
extern void range_delete_wait(Store *store, struct Write *write);

extern void range_delete_run(Store *store);
extern void range_delete_load(Store *store);
extern void range_delete_stop(Store *store, const char *reason);

/* ---- sweeper.c ---- */

extern void sweeper_run(Store *store);

/* RawExpiryWatch; arg is the Store. */
extern void sweeper_note(void *arg, BlockNumber block, int64 expires_at);

#endif /* TIKV_STORE_BACKGROUND_H */
