/*
 * stalled.h
 *	  Rows that cannot be read and stand in the way of the store's long work:
 *	  what it could not do is said in tikv_status().
 *
 * Each such work goes round what it cannot do, tries it again rarely, and says
 * here how much that is; the log has where.
 */
#ifndef TIKV_STORE_STALLED_H
#define TIKV_STORE_STALLED_H

#include "postgres.h"

typedef enum StalledWork
{
	STALLED_RANGES,	  /* deletions of ranges that do not end */
	STALLED_GC,		  /* keys that garbage collection passes by */
	STALLED_EXPIRED,  /* places where expired rows stay */
	STALLED_LEFT,	  /* rows of peers that are gone */
	STALLED_INSTALLS, /* snapshots, whose old rows stay */
	STALLED_MAKING,	  /* regions led here of which no snapshot can be made */
	STALLED_WORKS
} StalledWork;

/* How soon what is damaged is tried again: somebody may have mended it. */
#define DAMAGED_RETRY_US INT64CONST(60000000)

/* So many are known now; 0: none. */
extern void stalled_note(StalledWork of, uint64 n);

/* The store starts: nothing is known. */
extern void stalled_reset(void);

#endif /* TIKV_STORE_STALLED_H */
