/*
 * command.h
 *	  What stands in a region's log: raft_cmdpb.RaftCmdRequest, written from a
 *	  turn's effects and read back when they are applied.
 *
 * Keys and values are in TiKV's own encodings (DESIGN 3 rule 7).  Effects of
 * raw requests carry a flag of ours, since in API V1 their keys look like
 * anything; their values carry expiry as TiKV's API V1TTL and V2 have it.  An
 * era (core/kv/range_delete.h) is a store's own count and not in the log.
 *
 * Decoded byte strings are borrowed from the bytes or live in the arena.  Any
 * bytes may be decoded; what is no command is STATUS_INVALID.  Sources:
 * pingcap/kvproto proto/raft_cmdpb.proto; tikv/tikv components/api_version.
 */
#ifndef TIKV_CMD_COMMAND_H
#define TIKV_CMD_COMMAND_H

#include "core/codec/memcomparable.h"
#include "core/codec/proto.h"
#include "core/kv/api_version.h"
#include "core/kv/raw.h"
#include "core/raft/raft_types.h"
#include "core/region/region.h"
#include "core/txn/effects.h"

/* Of RaftRequestHeader.flags. */
#define CMD_FLAG_ONE_PC UINT64_C(0x1)
#define CMD_FLAG_RAW UINT64_C(0x100) /* ours */
#define CMD_FLAG_GC UINT64_C(0x200)	 /* ours: flag_data is a safe point */

typedef struct CmdHeader
{
	uint64_t region_id;
	RegionPeer peer; /* that proposed it */
	RegionEpoch epoch;
	uint64_t term;
	uint64_t flags;

	/*
	 * Not 0: the command removes versions below it, so who applies the command
	 * must not serve reads of earlier than that.  With CMD_FLAG_GC in the log.
	 */
	uint64_t gc_safe_point;
} CmdHeader;

/* raft_cmdpb.AdminCmdType, those that are served. */
typedef enum CmdAdminType
{
	CMD_ADMIN_NONE = 0,
	CMD_ADMIN_CHANGE_PEER = 1,
	CMD_ADMIN_COMPACT_LOG = 3,
	CMD_ADMIN_TRANSFER_LEADER = 4,
	CMD_ADMIN_BATCH_SPLIT = 10,
	CMD_ADMIN_CHANGE_PEER_V2 = 11,
	CMD_ADMIN_PREPARE_FLASHBACK = 12,
	CMD_ADMIN_FINISH_FLASHBACK = 13
} CmdAdminType;

typedef struct CmdChangePeer
{
	RaftConfChangeType type;
	RegionPeer peer;
} CmdChangePeer;

typedef struct CmdSplit
{
	Bytes split_key;
	uint64_t region_id;
	int n_peers;
	uint64_t peer_ids[REGION_MAX_PEERS]; /* in the order of the region's */
} CmdSplit;

#define CMD_MAX_SPLITS 64

typedef struct CmdAdmin
{
	CmdAdminType type;
	int n_changes; /* V2 without any: leave the joint configuration */
	CmdChangePeer changes[REGION_MAX_PEERS];
	CmdSplit *splits;
	int n_splits;
	bool right_derive; /* the old id keeps the rightmost piece */
	uint64_t compact_index;
	uint64_t compact_term;
	RegionPeer transfer_to;
	uint64_t flashback_start_ts; /* PREPARE_FLASHBACK */
} CmdAdmin;

typedef struct CmdRange
{
	RawCf cf;
	Bytes lower;
	Bytes upper; /* empty: +infinity */
} CmdRange;

typedef struct Command
{
	CmdHeader header;
	CmdAdmin *admin; /* NULL: data */

	/* data: raw or transactional, by the flag; keys are user keys */
	RawModify *raw;
	size_t n_raw;
	CmdRange *ranges; /* of raw keys */
	size_t n_ranges;
	TxnModify *txn;
	size_t n_txn;
} Command;

/* What a modification takes in the log beside its key and value, at most. */
#define CMD_REQUEST_ROOM ((size_t) 48)

/*
 * What a raw modification takes in the log, at most: of small ones it is their
 * number that counts.
 */
static inline size_t
cmd_raw_room(const RawModify *modify, ApiVersion api)
{
	size_t key = modify->key.len;

	return (api == API_V2 ? memcomparable_len(key) : key) + modify->value.len +
		CMD_REQUEST_ROOM;
}

/* Also used without modifies: an entry that only takes its place. */
extern Bytes cmd_encode_raw(const CmdHeader *header, const RawModify *modifies,
							size_t n, ApiVersion api, Arena *arena);
extern Bytes cmd_encode_raw_range(const CmdHeader *header,
								  const CmdRange *range, ApiVersion api,
								  Arena *arena);

/* Locks that live in memory only are left out. */
extern Bytes cmd_encode_txn(const CmdHeader *header, const TxnModify *modifies,
							size_t n, Arena *arena);
extern Bytes cmd_encode_admin(const CmdHeader *header, const CmdAdmin *admin,
							  Arena *arena);

extern Status cmd_decode(Bytes bytes, ApiVersion api, Arena *arena,
						 Command *out) MUST_CHECK;

/* Which halves of the epoch it compares, when proposed and when applied. */
extern EpochRule cmd_epoch_rule(const Command *command);

/* True if all keys lie in the region; else one that does not. */
extern bool cmd_in_region(const Command *command, const Region *region,
						  ApiVersion api, Bytes *outside);

/* ---- admin.c: within the folder, and for tests ---- */

extern void cmd_admin_put(ProtoWriter *w, const CmdAdmin *admin);
extern Status cmd_admin_decode(Bytes bytes, Arena *arena,
							   CmdAdmin *out) MUST_CHECK;
extern void cmd_peer_put(ProtoWriter *w, uint32_t field,
						 const RegionPeer *peer);
extern Status cmd_peer_decode(Bytes bytes, RegionPeer *out) MUST_CHECK;
extern void cmd_epoch_put(ProtoWriter *w, uint32_t field,
						  const RegionEpoch *epoch);
extern Status cmd_epoch_decode(Bytes bytes, RegionEpoch *out) MUST_CHECK;

/* metapb.Region; what is decoded borrows its keys from the bytes. */
extern void cmd_region_put(ProtoWriter *w, uint32_t field,
						   const Region *region);

/* INVALID also if it has numbers that no table can hold. */
extern Status cmd_region_decode(Bytes bytes, Region *out) MUST_CHECK;

/* Of a region, a peer or a store: what is stored is SQL's bigint. */
static inline bool
cmd_is_id(uint64_t id)
{
	return id != 0 && id <= INT64_MAX;
}

#endif /* TIKV_CMD_COMMAND_H */
