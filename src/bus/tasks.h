/*
 * tasks.h
 *	  How far the store's long work has come, for everybody to see.
 */
#ifndef TIKV_BUS_TASKS_H
#define TIKV_BUS_TASKS_H

#include "postgres.h"

typedef enum TaskCounter
{
	TASK_SWEEP_WAITING,	 /* blocks of the raw table to be looked at */
	TASK_SWEEP_REMOVED,	 /* expired rows removed since the store's start */
	TASK_RANGES_WAITING, /* deletions of ranges that are not finished */
	TASK_RANGES_REMOVED, /* rows that they removed since the store's start */
	TASK_GC_WAITING,	 /* 1: a round of garbage collection is at work */
	TASK_GC_REMOVED,	 /* rows that it removed since the store's start */
	TASK_GC_RESOLVED,	 /* locks that it ended since the store's start */
	TASK_GC_SAFE_POINT,	 /* up to which a whole pass has been made */
	TASK_GC_STEP,		 /* a GcStep: what it is at */
	TASK_GC_REASON,		 /* a GcReason: why the last round ended early */
	TASK_GC_BLOCKER,	 /* start_ts of the transaction that was in the way */
	TASK_GC_LOCK_FLOOR,	 /* older transactions take no locks any more */
	TASK_SNAPSHOTS_TO_MAKE,	   /* regions that are being read, or wait */
	TASK_SNAPSHOTS_SENT,	   /* since the store's start */
	TASK_SNAPSHOTS_TO_INSTALL, /* regions that are being replaced */
	TASK_SNAPSHOTS_INSTALLED,  /* since the store's start */
	TASK_LEFTOVERS_WAITING,	   /* ranges and logs of peers that are gone */
	TASK_LEFTOVERS_REMOVED,	   /* rows of theirs since the store's start */
	TASK_COMPACT_WAITING,	   /* blocks behind where a table's rows belong */
	TASK_COMPACT_REMOVED,	   /* blocks cut off since the store's start */
	TASK_COUNTERS
} TaskCounter;

typedef enum GcStep
{
	GC_STEP_IDLE,
	GC_STEP_PD,		 /* asks the placement driver */
	GC_STEP_LOCKS,	 /* ends the locks below the safe point */
	GC_STEP_VERSIONS /* deletes versions */
} GcStep;

typedef enum GcReason
{
	GC_REASON_NONE,
	GC_REASON_PD,		   /* no answer, or not one that helps */
	GC_REASON_REFUSED,	   /* a command: the region moved, space is short */
	GC_REASON_FAILED,	   /* a command, with an error */
	GC_REASON_MOVED,	   /* the region is led elsewhere */
	GC_REASON_COMMITTING,  /* async commit or 1PC below the safe point */
	GC_REASON_ALIVE,	   /* a transaction below the safe point */
	GC_REASON_CONTRADICTS, /* a lock and what its primary key says */
	GC_REASON_ELSEWHERE,   /* another store did not answer */
	GC_REASON_DAMAGED	   /* keys were passed by, or a lock is one of them */
} GcReason;

/* Words for people. */
extern const char *tasks_gc_step(uint64 step);
extern const char *tasks_gc_reason(uint64 reason);

/* The store starts: nothing was done yet. */
extern void tasks_reset(void);
extern void tasks_set(TaskCounter counter, uint64 value);

/* 0 without preload. */
extern uint64 tasks_get(TaskCounter counter);

#endif /* TIKV_BUS_TASKS_H */
