/*
 * failpoint.h
 *	  Named places where a test may stop, delay, fail or kill a process.
 *
 * Put where the order of steps matters.  In builds without TIKV_FAILPOINTS
 * they are nothing at all; in the others (make FAILPOINTS=1) each costs a look
 * at one variable while none is set.  What is set stands in the file
 * tikv_failpoints of the data directory, which the workers read when it
 * changes: "name=action;name=action", an action being off, error, crash, stop
 * or delay(ms), and "3*crash" takes place at the third time only.
 */
#ifndef TIKV_BASE_FAILPOINT_H
#define TIKV_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef TIKV_FAILPOINTS

/* Replace all actions; false if the text is not understood (none is set). */
extern bool failpoints_set(const char *text);
extern bool failpoints_active;

/* Do what is set for this place; true if it is to fail. */
extern bool failpoint_hit(const char *name);

/* True if an error is to be raised here. */
#define FAILPOINT_ERROR(name) \
	(__builtin_expect(failpoints_active, false) && failpoint_hit(name))

#else

#define FAILPOINT_ERROR(name) false

#endif

#endif /* TIKV_BASE_FAILPOINT_H */
