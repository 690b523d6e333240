/*
 * region_tree.h
 *	  The regions that the Placement Driver knows, by start key and by id.
 *
 * Regions in the tree never overlap; there may be holes between them.  Keys
 * are opaque bytes in the encoded key space and are only ever compared.  Two
 * sorted arrays of pointers serve both orders: regions come and go only by
 * splits and merges, so that moving the tail of an array is rare, and a scan
 * is a walk over neighbours.
 */
#ifndef TIKV_PD_CORE_REGION_TREE_H
#define TIKV_PD_CORE_REGION_TREE_H

#include "core/region/region.h"

typedef struct DownPeer
{
	RegionPeer peer;
	uint64_t down_seconds;
} DownPeer;

/* Parts of a region, as its leader cut it for readers; in one block. */
typedef struct PdBuckets
{
	uint64_t version;
	size_t n_keys;
	Bytes *keys;  /* bounds, those of the region with them */
	size_t bytes; /* of the block */
} PdBuckets;

/* One region as its leader last described it. */
typedef struct PdRegion
{
	Region meta;
	RegionPeer leader; /* id 0: unknown */
	uint64_t term;	   /* 0: not reported */
	size_t n_down;
	DownPeer *down;
	size_t n_pending;
	RegionPeer *pending;
	uint64_t approximate_size; /* MiB */
	uint64_t approximate_keys;
	uint64_t bytes_written; /* of the last heartbeat's interval */
	uint64_t bytes_read;
	uint64_t keys_written;
	uint64_t keys_read;
	uint64_t cpu_usage;
	PdBuckets *buckets; /* of the tree, NULL if none were reported */
} PdRegion;

typedef struct RegionTree
{
	PdRegion **by_key; /* the tree owns the regions */
	PdRegion **by_id;
	size_t n;
	size_t size;		 /* of both arrays */
	size_t bucket_bytes; /* of all regions' buckets */
} RegionTree;

extern void region_tree_init(RegionTree *tree);
extern void region_tree_free(RegionTree *tree);

extern const PdRegion *region_tree_get(const RegionTree *tree, uint64_t id);

/* The region whose range holds the key, or NULL. */
extern const PdRegion *region_tree_find(const RegionTree *tree, Bytes key);

/*
 * The region that ends where the one holding the key begins; NULL if the key
 * is in a hole, in the first region, or after a hole.
 */
extern const PdRegion *region_tree_prev(const RegionTree *tree, Bytes key);

/*
 * The regions that have a key in [start, end) (end empty is +infinity), in
 * order, as positions first .. first + n - 1 of by_key; returns n.
 */
extern size_t region_tree_overlaps(const RegionTree *tree, Bytes start,
								   Bytes end, size_t *first);

/*
 * Copy a region into the tree, in place of the one with its id, whose buckets
 * it gets, and of all that it overlaps.
 */
extern void region_tree_put(RegionTree *tree, const PdRegion *region);
extern void region_tree_remove(RegionTree *tree, uint64_t id);

/*
 * Keep the buckets of a region unless newer ones are known; they stay with it
 * until it goes.  If all regions' would take more than `most` bytes this one
 * has none: whoever asks takes it whole.  False: there is no such region.
 */
extern bool region_tree_set_buckets(RegionTree *tree, uint64_t id,
									const PdBuckets *buckets, size_t most);

typedef struct PdKeyRange
{
	Bytes start;
	Bytes end; /* empty is +infinity */
} PdKeyRange;

/*
 * The regions of a range in order, at most limit (0: all); the array is the
 * arena's, the regions are the tree's.  *complete tells whether the regions
 * cover the range without a hole, as far as the limit let them.
 */
extern size_t region_tree_scan(const RegionTree *tree, PdKeyRange range,
							   size_t limit, Arena *arena,
							   const PdRegion ***out, bool *complete);

/*
 * The same over ranges that are in order and do not overlap (else
 * STATUS_INVALID), without naming a region twice.
 */
extern MUST_CHECK Status region_tree_batch_scan(const RegionTree *tree,
												const PdKeyRange *ranges,
												size_t n_ranges, size_t limit,
												Arena *arena,
												const PdRegion ***out,
												size_t *n_out, bool *complete);

#endif /* TIKV_PD_CORE_REGION_TREE_H */
