/*
 * split_check.h
 *	  How large a region is, and where it is to be split.
 *
 * The rows of a region are told table by table, each in the order of its keys,
 * and come together as buckets: so many bytes from this key on.  In the end the
 * buckets of all tables, in the order of their keys, say where a piece is full.
 * A bucket begins with a key's first row, so no key is cut in two; how exact
 * the pieces are depends on the buckets, not on the region.  When a piece is full and when
 * nothing is to be split are TiKV's rules: tikv/tikv
 * components/raftstore/src/coprocessor/split_check/size.rs and keys.rs.
 */
#ifndef TIKV_REGION_SPLIT_CHECK_H
#define TIKV_REGION_SPLIT_CHECK_H

#include "core/base/arena.h"
#include "core/base/bytes.h"

typedef struct SplitLimits
{
	uint64_t split_size; /* of a piece, in bytes; 0: never for its size */
	uint64_t max_size;	 /* of a region that stays whole */
	uint64_t split_keys;
	uint64_t max_keys;
	int max_splits; /* keys of one command */
} SplitLimits;

typedef struct SplitBucket
{
	Bytes from; /* the first key, as a bound; in the check's arena */
	uint64_t bytes;
	uint64_t keys;
} SplitBucket;

typedef struct SplitCheck
{
	Arena *arena;
	SplitLimits limits;
	uint64_t bucket_bytes; /* a bucket is closed when it has so many, */
	uint64_t bucket_keys;  /* or so many */
	SplitBucket *buckets;
	int n;
	int room;
	bool open; /* the last bucket still grows */
	uint64_t bytes;
	uint64_t keys;
} SplitCheck;

/* Buckets that are kept at most; beyond, neighbours become one. */
#define SPLIT_MAX_BUCKETS 4096

extern void split_check_init(SplitCheck *check, const SplitLimits *limits,
							 Arena *arena);

/* The next rows are of another table. */
extern void split_check_next_table(SplitCheck *check);

/*
 * Does a row of a new key begin a new bucket?  Then split_check_begin is
 * called with the key in the form of bounds, before the row is added.
 */
extern bool split_check_wants_key(const SplitCheck *check);
extern void split_check_begin(SplitCheck *check, Bytes bound);
extern void split_check_add(SplitCheck *check, uint64_t bytes, uint64_t keys);

/*
 * All rows were told: where to split a region with this start, in order; 0 if
 * it is not large enough.  Keys are in the arena.
 */
extern int split_check_keys(SplitCheck *check, Bytes start_key, Bytes **keys);

/*
 * Is a region of this size worth the look?  It was so large that a split may
 * be due when it was last counted, or has grown by a sixteenth of a piece since.
 */
extern bool split_is_due(const SplitLimits *limits, uint64_t bytes,
						 uint64_t keys, uint64_t grown);

#endif /* TIKV_REGION_SPLIT_CHECK_H */
