/*
 * state_table.h
 *	  The store's own small tables: who it is, which regions it has, how far
 *	  each Raft group has come.
 */
#ifndef TIKV_STORAGE_STATE_TABLE_H
#define TIKV_STORAGE_STATE_TABLE_H

#include "storage/tables.h"

#include "core/kv/api_version.h"
#include "core/region/region.h"
#include "storage/identity.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"

#define STORAGE_FORMAT 1 /* what this library can serve */

/* tikv_internal.store_meta, one row. */
typedef struct StoreMeta
{
	uint64 cluster_id; /* 0: no ident yet */
	uint64 store_id;
	ApiVersion api; /* of the data */
	int storage_format;
	int64 start_seq; /* grows at every start */
	DataIdentity identity;
	int64 claim_word; /* of a start that PD may not know yet; else 0 */
} StoreMeta;

extern void store_meta_load(StoreMeta *out);
extern void store_meta_save(const StoreMeta *meta);

/* The same over the row that was loaded: an error if it is gone meanwhile. */
extern void store_meta_update(const StoreMeta *meta);

/* raft_serverpb.PeerState. */
typedef enum PeerState
{
	PEER_STATE_NORMAL = 0,
	PEER_STATE_APPLYING = 1, /* a snapshot is half installed */
	PEER_STATE_TOMBSTONE = 2 /* destroyed; remembered, lest it come back */
} PeerState;

/*
 * tikv_internal.region: descriptors and states of the peers on this store.  A
 * peer that waits for its first snapshot has a region without peers.
 */
typedef struct RegionRow
{
	Region region; /* of a tombstone as it was in the end */
	uint64 peer_id;
	PeerState state;
} RegionRow;

extern int region_table_load(RegionRow **out); /* palloc'd, keys too */
extern void region_table_save(const Region *region, uint64 peer_id,
							  PeerState state);
extern void region_table_remove(uint64 region_id);

/* tikv_internal.raft_state: one row per group, rewritten every writing turn. */
typedef struct GroupState
{
	uint64 region_id;
	uint64 term;
	uint64 vote;
	uint64 commit_index;
	uint64 applied_index;
	uint64 applied_term;
	uint64 truncated_index;
	uint64 truncated_term;
	int64 approximate_size; /* of the region's rows; -1: not known */
	int64 approximate_keys;
	ItemPointerData place; /* the row, remembered by its TID */
} GroupState;

extern bool group_state_load(uint64 region_id, GroupState *out);
extern void group_state_insert(GroupState *state);
extern void group_state_remove(uint64 region_id);

/*
 * Rewrite the row in place (HOT) through open tables, in the turn's
 * transaction.  The new place is in state->place; if the turn aborts, the
 * caller loads the state again.
 */
extern void group_state_update(const OpenTables *tables, Snapshot snapshot,
							   GroupState *state);

#endif /* TIKV_STORAGE_STATE_TABLE_H */
