/*
 * tasks.h
 *	  How far the store's long work has come, for everybody to see.
 */
#ifndef TIKV_BUS_TASKS_H
#define TIKV_BUS_TASKS_H

#include "postgres.h"

typedef enum TaskCounter
{
	TASK_SWEEP_WAITING,		/* blocks of the raw table to be looked at */
	TASK_SWEEP_REMOVED,		/* expired rows removed since the store's start */
	TASK_RANGES_WAITING,	/* deletions of ranges that are not finished */
	TASK_RANGES_REMOVED,	/* rows that they removed since the store's start */
	TASK_GC_WAITING,		/* 1: a round of garbage collection is at work */
	TASK_GC_REMOVED,		/* rows that it removed since the store's start */
	TASK_GC_RESOLVED,		/* locks that it ended since the store's start */
	TASK_GC_SAFE_POINT,		/* up to which a whole pass has been made */
	TASK_SNAPSHOTS_TO_MAKE, /* regions that are being read, or wait */
	TASK_SNAPSHOTS_SENT,	/* since the store's start */
	TASK_SNAPSHOTS_TO_INSTALL, /* regions that are being replaced */
	TASK_SNAPSHOTS_INSTALLED,  /* since the store's start */
	TASK_COUNTERS
} TaskCounter;

/* The store starts: nothing was done yet. */
extern void tasks_reset(void);
extern void tasks_set(TaskCounter counter, uint64 value);

/* 0 without preload. */
extern uint64 tasks_get(TaskCounter counter);

#endif /* TIKV_BUS_TASKS_H */
