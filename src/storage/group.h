/*
 * group.h
 *	  Rows of a group, that is of keys that share a full prefix, in order.
 *
 * The index does not order them, and a group may be of any size.  So its rows
 * are gone through in passes, each of which keeps the next ones in order and
 * drops the others: bounded memory, and a time that only grows badly for data
 * that nobody has.
 */
#ifndef TIKV_STORAGE_GROUP_H
#define TIKV_STORAGE_GROUP_H

#include "postgres.h"

#include "core/base/bytes.h"
#include "storage/itemptr.h"

#define GROUP_ROWS 1024

/* A row of a group: where it is, and what orders it. */
typedef struct GroupRow
{
	Bytes rest;
	int64 ts;	 /* 0 where keys have one row */
	int64 extra; /* the caller's */
	int64 era;	 /* likewise */
	ItemPointerData tid;
} GroupRow;

/* By rest, then by ts. */
typedef struct GroupOrder
{
	bool reverse;	   /* greater rests first */
	bool newest_first; /* greater ts first, and one row per rest matters */
} GroupOrder;

typedef struct GroupPass GroupPass;

/*
 * Begin a pass that keeps at most `capacity` rows behind `after` (NULL: from
 * the beginning; with newest_first, behind all rows of that rest), in the
 * current context, which must be reset before the next pass.
 */
extern GroupPass *group_pass_begin(int capacity, GroupOrder order,
								   const GroupRow *after);

/* Consider a row; its rest is copied if it is kept. */
extern void group_pass_offer(GroupPass *pass, const GroupRow *row);

/*
 * End the pass: rows in order, valid as long as the context; *more tells
 * whether there are others behind them.
 */
extern int group_pass_end(GroupPass *pass, GroupRow **rows, bool *more);

#endif /* TIKV_STORAGE_GROUP_H */
