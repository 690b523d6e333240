/*
 * snapshot_info.h
 *	  What a Raft snapshot says of its file: raft_serverpb.RaftSnapshotData.
 *
 * TiKV's envelope with a version of our own, since TiKV's files are RocksDB
 * tables: theirs is 2 (tikv/tikv components/raftstore/src/store/snap.rs).
 * Source of the numbers: pingcap/kvproto proto/raft_serverpb.proto.
 */
#ifndef TIKV_SNAPSHOT_INFO_H
#define TIKV_SNAPSHOT_INFO_H

#include "core/base/arena.h"
#include "core/base/status.h"
#include "core/region/region.h"

#define SNAPSHOT_INFO_VERSION 1001

typedef struct SnapshotInfo
{
	Region region;
	uint64_t size;	   /* of the file */
	uint32_t checksum; /* CRC-32 of the file */

	/* Versions below it may be missing, whatever the receiver knows; or 0. */
	uint64_t gc_safe_point;
} SnapshotInfo;

extern Bytes snapshot_info_encode(const SnapshotInfo *data, Arena *arena);

/*
 * Bounds are borrowed from the bytes; any bytes may come.  INVALID: no such
 * message, or of another kind of store.
 */
extern Status snapshot_info_decode(Bytes bytes, SnapshotInfo *out) MUST_CHECK;

#endif /* TIKV_SNAPSHOT_INFO_H */
