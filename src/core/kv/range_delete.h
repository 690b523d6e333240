/*
 * range_delete.h
 *	  Deletions of ranges that take many turns.
 *
 * Each that is accepted begins a new era, which rows written from then on
 * carry; it removes rows of its range that are of an older one.  So a key
 * written again while the deletion is on its way stays, in whatever order the
 * two meet, and after a restart, too.
 */
#ifndef TIKV_KV_RANGE_DELETE_H
#define TIKV_KV_RANGE_DELETE_H

#include "core/kv/raw.h"

typedef struct RangeDelete
{
	int64_t era; /* the one that it began */
	RawCf cf;
	Bytes next;	 /* what lies before it in the range is done */
	Bytes upper; /* exclusive; empty is +infinity */
	bool done;
} RangeDelete;

/*
 * Was a row of this era in the way of one of the deletions, even if its turn
 * has not come yet?
 */
extern bool range_delete_covers(const RangeDelete *items, int n, RawCf cf,
								Bytes key, int64_t era);

/*
 * Does the newer of two delete all that the older one still has to?  What lies
 * before its own place was deleted by it already.
 */
extern bool range_delete_replaces(const RangeDelete *newer,
								  const RangeDelete *older);

/* One slice of a deletion, which looks at a bounded number of rows. */
typedef struct RangeDeleteSlice
{
	const RangeDelete *item;
	Arena *arena;
	uint32_t max; /* rows that it looks at */

	/* the result */
	Bytes *keys; /* to be deleted; `max` of them have room */
	uint32_t n_keys;
	uint32_t looked;
	Bytes next; /* where the next slice begins */
	bool done;	/* there is nothing behind it */
} RangeDeleteSlice;

/*
 * Look through the next rows.  The reader must not hide expired rows, which
 * are to be deleted as well.
 */
extern void range_delete_look(RangeDeleteSlice *slice, RawReader *reader);

#endif /* TIKV_KV_RANGE_DELETE_H */
