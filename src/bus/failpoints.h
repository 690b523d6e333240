/*
 * failpoints.h
 *	  Failpoints of a server: read from its data directory, raised as errors.
 *
 * core/base/failpoint.h says what they are.
 */
#ifndef TIKV_BUS_FAILPOINTS_H
#define TIKV_BUS_FAILPOINTS_H

#include "core/base/failpoint.h"

/* Raise an error here if a test asked for one. */
#define FAILPOINT(name)                          \
	do                                           \
	{                                            \
		if (FAILPOINT_ERROR(name))               \
			elog(ERROR, "failpoint %s", (name)); \
	} while (0)

/* As if the disk were full. */
#define FAILPOINT_DISK_FULL(name)                                 \
	do                                                            \
	{                                                             \
		if (FAILPOINT_ERROR(name))                                \
			ereport(ERROR,                                        \
					(errcode(ERRCODE_DISK_FULL),                  \
					 errmsg("failpoint %s: disk full", (name)))); \
	} while (0)

#ifdef TIKV_FAILPOINTS

/* What tests have set by now; called in the loops of workers. */
extern void failpoints_read(void);

#define FAILPOINTS_READ() failpoints_read()

#else

#define FAILPOINTS_READ() ((void) 0)

#endif

#endif /* TIKV_BUS_FAILPOINTS_H */
