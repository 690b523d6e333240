/*
 * board.h
 *	  What every process may know about the regions of this store without
 *	  asking it: range, epoch, term, leader, lease, applied index.
 *
 * The store writes, everybody reads: each entry is a seqlock, and a global
 * generation voids all leases at once (the store's first act on start).  A
 * reader looks before and after it takes its snapshot (DESIGN 4).
 */
#ifndef TIKV_BUS_BOARD_H
#define TIKV_BUS_BOARD_H

#include "bus/shmem.h"
#include "core/kv/api_version.h"
#include "core/region/region.h"
#if PG_VERSION_NUM >= 160000
#include "storage/relfilelocator.h"
typedef RelFileLocator RelFileNode;
#else
#include "storage/relfilenode.h"
#endif

#define BOARD_KEY_MAX REGION_MAX_BOUND

/* Bytes of bounds for each region there may be; short ones leave room. */
#define BOARD_KEY_ROOM 512

typedef struct BoardStore
{
	uint64 generation; /* 0: nothing served yet */
	uint64 cluster_id;
	uint64 store_id;
	Oid extension_oid;	  /* the extension whose tables are served */
	ApiVersion api;		  /* of the data */
	RelFileNode raw_node; /* the raw table's file, for the place cache */
} BoardStore;

/* A private copy of one entry; the Region's keys point into `keys`. */
typedef struct BoardRegion
{
	uint64 generation; /* of the board when copied */
	uint64 sequence;   /* of the entry when copied */
	int index;		   /* of the entry */
	Region region;
	RegionPeer self;
	RegionPeer leader;
	uint64 term;
	bool is_leader;
	int64 lease_end_us; /* CLOCK_MONOTONIC_RAW; PG_INT64_MAX: no end */
	uint64 applied_index;
	uint64 safe_ts;
	uint8 keys[2 * BOARD_KEY_MAX];
} BoardRegion;

/* How a peer of a region stands; what only its leader knows is 0 elsewhere. */
typedef struct BoardPeer
{
	RegionPeer peer;
	uint64 match; /* the last entry that it is known to have */
	int state;	  /* RaftProgressState; -1: not known here */
	bool active;  /* has answered lately */
} BoardPeer;

/* The Raft group of a region, for people; told now and then. */
typedef struct BoardRaft
{
	uint64 region_id;
	uint64 peer_id; /* on this store */
	int role;		/* RaftRole */
	uint64 term;
	uint64 leader;
	uint64 last_index;
	uint64 commit_index;
	uint64 applied_index;
	uint64 truncated_index;
	int64 lease_end_us;
	bool has_log;			 /* entries are rows: there are several peers */
	bool asleep;			 /* hibernates */
	uint64 approximate_size; /* of the region, in bytes */
	uint64 approximate_keys;
	int n_peers;
	BoardPeer peers[REGION_MAX_PEERS];
} BoardRaft;

/* ---- readers ---- */
extern bool board_raft(uint64 region_id, BoardRaft *out);
extern void board_store(BoardStore *out);
extern bool board_find(uint64 region_id, BoardRegion *out);

/* The region whose range holds the (encoded) key. */
extern bool board_find_key(Bytes key, BoardRegion *out);

/*
 * The region that holds the keys just below the bound (empty: +infinity), for
 * walking backwards: start < bound <= end.
 */
extern bool board_find_below(Bytes bound, BoardRegion *out);

/*
 * All regions in the order of their keys, one after the other; for views.  Not
 * as of one moment: what is split meanwhile may come whole or in pieces.
 */
typedef struct BoardWalk
{
	bool started; /* false at first */
	size_t len;	  /* of the last region's start key */
	uint8 key[BOARD_KEY_MAX];
} BoardWalk;

extern bool board_walk_next(BoardWalk *walk, BoardRegion *out);

/*
 * The look after the snapshot: same generation, epoch, term, leadership and
 * state of flashback, and the lease still good at now_us.
 */
extern bool board_still_valid(const BoardRegion *seen, int64 now_us);

/*
 * The same for a read whose index is applied here (ReadIndex): it needs the
 * same peer and range, and neither leadership nor a lease.
 */
extern bool board_same_region(const BoardRegion *seen);

/* CLOCK_MONOTONIC_RAW in microseconds. */
extern int64 board_now_us(void);

/* ---- the store ---- */

/* Start of a store: new generation, no regions, no lease is good any more. */
extern uint64 board_reset(void);
extern void board_publish_store(const BoardStore *store);

/*
 * Insert or replace an entry.  False if the board is full: it holds
 * tikv.max_regions regions, and BOARD_KEY_ROOM bytes of keys for each.  Then
 * the region has no entry any more.
 */
extern bool board_publish(const BoardRegion *entry);

/* Bytes of bounds that it holds together. */
extern size_t board_key_room(void);
extern void board_publish_applied(uint64 region_id, uint64 applied_index);
extern void board_remove(uint64 region_id);
extern void board_publish_raft(const BoardRaft *raft);

/* ---- the concurrency manager's max_ts: atomic, only ever raised ---- */
extern void board_raise_max_ts(uint64 ts);
extern uint64 board_max_ts(void);

/*
 * ---- the GC safe point: versions below it may be gone ----
 *
 * The store raises it before it deletes anything.  So a read looks after its
 * snapshot was taken: if that misses a version, this is not below it.
 */
extern void board_raise_gc_safe_point(uint64 ts);
extern uint64 board_gc_safe_point(void);

/*
 * ---- deletions of ranges: how many were ever begun, and how many are over ----
 *
 * The store counts one as begun before it commits it, and as over after its
 * last row is gone.  A read asks which are over before its snapshot is taken
 * and which were begun after it: if that is the same number, the snapshot shows
 * none on its way.  What a start of the store finds goes into the count.
 */
extern void board_range_begins(void);
extern void board_ranges_end(uint64 n);
extern void board_ranges_found(uint64 n);
extern uint64 board_ranges_begun(void);
extern uint64 board_ranges_over(void);

extern Size board_shmem_size(void);
extern void board_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_BOARD_H */
