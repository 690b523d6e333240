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

#include "storage/itemptr.h"
#include "storage/stored_key.h"

/* A row of a group: where it is, and what orders it. */
typedef struct GroupRow
{
	Bytes rest;
	int64 ts;	 /* 0 where keys have one row */
	int64 extra; /* the caller's */
	int64 era;	 /* likewise */
	ItemPointerData tid;
} GroupRow;

/* Rows that one pass has kept so far. */
typedef struct GroupPass GroupPass;

typedef struct GroupScan
{
	/* Bounds of the range that the group is met in. */
	StoredKey lower;
	StoredKey upper;
	bool reverse;		   /* greater rests first */
	bool newest;		   /* of each rest the row with the greatest ts only */
	uint32 limit;		   /* rows that can be emitted at most */
	MemoryContext context; /* reset for every pass */

	/*
	 * Give every row of the group to group_offer, but those that are not wanted;
	 * false ends the scan, without what the pass has kept.
	 */
	bool (*gather)(void *arg, GroupPass *pass);
	bool (*emit)(void *arg, const GroupRow *row); /* false stops */
	void *arg;
} GroupScan;

/*
 * The rows of a group in order, by rest and then by ts; false if emit or gather
 * said so.
 */
extern bool group_scan_run(const GroupScan *scan, Bytes prefix);

/* Consider a row; its rest is copied if it is kept. */
extern void group_offer(GroupPass *pass, const GroupRow *row);

#endif /* TIKV_STORAGE_GROUP_H */
