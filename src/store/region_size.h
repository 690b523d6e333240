/*
 * region_size.h
 *	  How large the regions of this store are, and splits by size.
 *
 * Every applied write counts.  What cannot be known so (after a split, a
 * snapshot, a start from an older version) is counted by the leader: a walk
 * through the region's rows in slices between turns, one region at a time.
 * The same walk finds the keys where a region that is too large is split.
 */
#ifndef TIKV_STORE_REGION_SIZE_H
#define TIKV_STORE_REGION_SIZE_H

#include "postgres.h"

#include "core/kv/raw.h"
#include "core/region/region.h"
#include "core/txn/effects.h"
#include "storage/tables.h"
#include "utils/snapshot.h"

typedef struct Peer Peer;
typedef struct Store Store;
typedef struct RegionSizes RegionSizes;

/* Of a peer; the size itself is in its GroupState. */
typedef struct PeerSize
{
	uint64 grown;	   /* bytes written since the last look */
	int64 guess_bytes; /* to be told while it is not known */
	int64 guess_keys;
	int64 next_us; /* no look before, monotonic */
	bool queued;
	bool unsaved; /* counted, and not stored */
} PeerSize;

/* A region that was counted while it was to be split. */
typedef struct PieceSize
{
	uint64 bytes;
	uint64 keys;
} PieceSize;

extern void region_sizes_init(Store *store);
extern void region_sizes_stop(Store *store);

/* A write of the region is in the running turn. */
extern void region_size_raw(Peer *peer, const RawModify *modifies, size_t n);
extern void region_size_txn(Peer *peer, const TxnModify *modifies, size_t n);

/* Rows of the store's regions are deleted behind their logs. */
extern void region_size_deleted(Store *store, const Bytes *keys, int n);

/* All that a region has may be gone: it is counted again. */
extern void region_size_forget(Peer *peer);

/* The peer begins to lead, or is there at the start. */
extern void region_size_consider(Peer *peer);

/* A piece was made of a region that is split into so many. */
extern void region_size_guess(Peer *piece, const Peer *parent, int n_pieces);
extern void region_size_known(Peer *peer, const PieceSize *size);

/* A split was not made, or was not all: look again whatever was written. */
extern void region_size_look_again(Peer *peer, bool at_once);

/* What is to be told of it, known or guessed. */
extern void region_size_told(const Peer *peer, uint64 *bytes, uint64 *keys);

/*
 * Are there keys of transactions, whose clients decode bounds?  In the turn's
 * tables, or between turns.
 */
extern bool region_sizes_look_for_versions(Store *store,
										   const OpenTables *tables,
										   Snapshot snapshot);
extern bool region_sizes_any_version(Store *store);

/* One slice, if one is due; returns how many were run. */
extern int region_sizes_run(Store *store);
extern int64 region_sizes_due_us(const Store *store);

#endif /* TIKV_STORE_REGION_SIZE_H */
