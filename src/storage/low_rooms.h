/*
 * low_rooms.h
 *	  Tables that are being made shorter: new rows go to their first blocks.
 *
 * Postgres lets the free space map choose, which leads anywhere in a long
 * table.  While the store compacts one (heap_compact.h), the rows that it
 * writes are aimed at the block of a mark (core/kv/compaction.h), or its end
 * would never be empty.  Known in the store's process alone.
 */
#ifndef TIKV_STORAGE_LOW_ROOMS_H
#define TIKV_STORAGE_LOW_ROOMS_H

#include "postgres.h"

#include "core/kv/compaction.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

/* Tables that this may be true of at a time. */
#define LOW_ROOMS_TABLES 3

/* The file that a table has now; another one after a rewrite. */
extern Oid heap_file(Relation heap);

/*
 * Rows of the table belong below `end` from now on: its mark, which is valid
 * until low_rooms_end.  The mark starts anew if there was one.
 */
extern RoomMark *low_rooms_begin(Relation heap, BlockNumber end);

/* NULL: there is none (any more), or the table was rewritten or cut. */
extern RoomMark *low_rooms_mark(Relation heap);
extern void low_rooms_end(Oid table);

/* Of all tables. */
extern void low_rooms_reset(void);

/*
 * How many blocks could not be read since the process began: their rows go
 * elsewhere, and the log has said so.
 */
extern uint64 low_rooms_unreadable(void);

/*
 * A row of so many bytes is about to be inserted: let Postgres try the block
 * first that has room for it, and return that.  InvalidBlockNumber: it is not
 * known, and Postgres does as it likes.  Looks at some blocks at most.
 */
extern BlockNumber low_rooms_aim(Relation heap, Size len);

/* A row is about to be replaced: the same if its page has no room for it. */
extern void low_rooms_aim_update(Relation heap, const ItemPointerData *old,
								 Size len);

/*
 * The same for some of n rows, whose lengths are asked for: returns how many
 * go there together, or all of them if the table is full.
 */
extern int low_rooms_aim_many(Relation heap, int n,
							  Size (*length)(void *arg, int i), void *arg);

#endif /* TIKV_STORAGE_LOW_ROOMS_H */
