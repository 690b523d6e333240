/*
 * snapshot_check.h
 *	  Is a snapshot that comes from another store what it says it is?
 *
 * Fed with the bytes in the order in which they come, in pieces of any size.
 * Everything that could go wrong while it is installed is found here: by then
 * the old data is gone.  Memory is bounded by the largest block.
 */
#ifndef TIKV_SNAPSHOT_CHECK_H
#define TIKV_SNAPSHOT_CHECK_H

#include "core/mvcc/reader.h"
#include "core/snapshot/snapshot_info.h"
#include "core/snapshot/snapshot_file.h"

/*
 * The user keys of a region (DESIGN 2): bounds are encoded for transactional
 * keys and in API V2, else as they are.
 */
typedef struct SnapshotRanges
{
	KeyRange raw;
	KeyRange txn;
	bool no_txn; /* the bounds are no encoded keys: there can be none */
} SnapshotRanges;

/* Bounds are borrowed from the region, or live in the arena. */
extern SnapshotRanges snapshot_ranges(const Region *region, ApiVersion api,
									  Arena *arena);

typedef struct SnapshotChecker
{
	Arena arena; /* of the region's bounds */
	Arena scratch;
	SnapshotInfo data;
	ApiVersion api;
	SnapshotRanges ranges;
	size_t max_key;
	uint8_t *buffer; /* of a block that has not come to its end */
	size_t len;
	size_t room;
	SnapshotBlockKind kind; /* of the last block */
	uint64_t size;
	uint32_t checksum;
	uint64_t records;
	const char *bad; /* not NULL: why it is refused */
} SnapshotChecker;

/* `data` is copied. */
extern void snapshot_check_init(SnapshotChecker *c, const SnapshotInfo *data,
								ApiVersion api, size_t max_key);
extern void snapshot_check_free(SnapshotChecker *c);

/* False: it is bad, and stays so. */
extern bool snapshot_check_bytes(SnapshotChecker *c, Bytes bytes);

/* All has come: is it whole? */
extern bool snapshot_check_end(SnapshotChecker *c);

#endif /* TIKV_SNAPSHOT_CHECK_H */
