/*
 * region.h
 *	  What a region is, and whether a request may touch it.
 *
 * One function, region_check, answers for every RPC, at propose and at read:
 * right store, known region, right peer, leader, term, epoch.  One table,
 * region_epoch_rule, says which halves of the epoch a command compares, and
 * the same function serves propose and apply, so that they cannot differ.
 */
#ifndef TIKV_REGION_REGION_H
#define TIKV_REGION_REGION_H

#include "core/base/arena.h"
#include "core/base/status.h"

typedef enum PeerRole
{
	PEER_VOTER = 0,
	PEER_LEARNER = 1,
	PEER_INCOMING_VOTER = 2,
	PEER_DEMOTING_VOTER = 3
} PeerRole;

typedef struct RegionPeer
{
	uint64_t id;
	uint64_t store_id;
	PeerRole role;
} RegionPeer;

typedef struct RegionEpoch
{
	uint64_t conf_ver;
	uint64_t version;
} RegionEpoch;

#define REGION_MAX_PEERS 16

/*
 * The longest bound of a region: the encoded form of the largest key, and some
 * room.  Every store must be able to show it to its readers.
 */
#define REGION_MAX_BOUND 10240

typedef struct Region
{
	uint64_t id;
	Bytes start_key; /* inclusive, in the encoded key space */
	Bytes end_key;	 /* exclusive; empty is +infinity */
	RegionEpoch epoch;
	uint64_t flashback_start_ts; /* of the one that is under way; 0: none */
	int n_peers;
	RegionPeer peers[REGION_MAX_PEERS];
} Region;

/* What this store knows of the region's leadership when it checks. */
typedef struct RegionState
{
	const Region *region;
	RegionPeer self;   /* the peer on this store */
	RegionPeer leader; /* id 0: unknown */
	uint64_t term;
	bool is_leader;
} RegionState;

/* The addressing part of kvrpcpb.Context. */
typedef struct RequestContext
{
	uint64_t region_id;
	RegionEpoch epoch;
	uint64_t peer_id;
	uint64_t peer_store_id;
	uint64_t term;		 /* 0: not checked */
	uint64_t cluster_id; /* 0: not checked; checked by the service */
	bool has_epoch;
	bool has_peer;
	bool replica_read;
	bool indexed; /* ReadIndex was done: a follower may answer */
	bool stale_read;
	int api_version;		   /* kvrpcpb.APIVersion */
	int disk_full_opt;		   /* kvrpcpb.DiskFullOpt */
	uint64_t max_execution_ms; /* 0: none */
	bool flashback;			   /* a step of a flashback */
	uint64_t read_ts;		   /* of a read at a timestamp; 0: no such read */
} RequestContext;

/* The variants of errorpb.Error that this server produces. */
typedef enum RegionErrorKind
{
	REGION_OK = 0,
	REGION_NOT_LEADER,
	REGION_NOT_FOUND,
	REGION_KEY_NOT_IN_REGION,
	REGION_EPOCH_NOT_MATCH,
	REGION_SERVER_IS_BUSY,
	REGION_STALE_COMMAND,
	REGION_UNDETERMINED, /* a write that may yet be carried out */
	REGION_STORE_NOT_MATCH,
	REGION_ENTRY_TOO_LARGE,
	REGION_DISK_FULL,
	REGION_MISMATCH_PEER_ID,
	REGION_READ_INDEX_NOT_READY,
	REGION_DATA_IS_NOT_READY,
	REGION_MAX_TS_NOT_SYNCED,
	REGION_FLASHBACK_IN_PROGRESS,
	REGION_FLASHBACK_NOT_PREPARED,
	REGION_MESSAGE_ONLY /* only errorpb.Error.message */
} RegionErrorKind;

typedef struct RegionError
{
	RegionErrorKind kind;
	uint64_t region_id;
	uint64_t expected;	   /* what the request named (store, peer) */
	uint64_t actual;	   /* what is so here (store, peer), entry size */
	RegionPeer leader;	   /* NOT_LEADER: the hint, id 0 if unknown */
	Bytes key;			   /* KEY_NOT_IN_REGION; borrowed from the request */
	const Region *current; /* EPOCH_NOT_MATCH, KEY_NOT_IN_REGION */

	/* EPOCH_NOT_MATCH: what was split off it since, to its left */
	const Region *const *siblings;
	int n_siblings;

	/*
	 * SERVER_IS_BUSY, DISK_FULL, UNDETERMINED, MESSAGE_ONLY; ENTRY_TOO_LARGE if
	 * it is no entry
	 */
	const char *reason;
	uint64_t backoff_ms;	/* SERVER_IS_BUSY */
	const uint64_t *stores; /* DISK_FULL: whose it is; NULL: `actual` */
	int n_stores;
} RegionError;

/* Which command's epoch rule applies (raftstore-and-pd 1.1). */
typedef enum EpochRule
{
	EPOCH_DATA,			/* reads and writes: version */
	EPOCH_CONF_CHANGE,	/* ChangePeer(V2), BatchSwitchWitness: conf_ver */
	EPOCH_RANGE_CHANGE, /* split, merge, flashback: both */
	EPOCH_NONE			/* CompactLog, TransferLeader ... */
} EpochRule;

extern bool region_epoch_matches(RegionEpoch request, RegionEpoch current,
								 EpochRule rule);

/* True if start <= key < end, end empty meaning +infinity. */
extern bool region_contains(const Region *region, Bytes key);

/* Keys from start to end, as of regions. */
typedef struct RegionRange
{
	Bytes start;
	Bytes end;
} RegionRange;

extern bool region_ranges_overlap(RegionRange a, RegionRange b);

/*
 * What of a range lies outside of another one: up to two ranges, whose bounds
 * are borrowed from the two.  Returns how many.
 */
extern int region_range_without(RegionRange range, RegionRange taken,
								RegionRange rest[2]);

/*
 * Check a request's context in TiKV's order: store, region, peer, leader,
 * term, epoch, flashback.  `state` is NULL when this store has no such region.  Returns
 * true if the request may go on; else fills *error, which borrows from the
 * arguments.  Source: tikv/tikv components/raftstore/src/store/fsm/peer.rs.
 */
extern bool region_check(uint64_t store_id, const RegionState *state,
						 const RequestContext *ctx, EpochRule rule,
						 RegionError *error);

/* As region_check, for one key after it; the kind is KEY_NOT_IN_REGION. */
extern bool region_check_key(const Region *region, Bytes key,
							 RegionError *error);

#endif /* TIKV_REGION_REGION_H */
