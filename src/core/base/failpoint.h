/*
 * failpoint.h
 *	  Named places where a test may stop, delay, fail or kill a process.
 *
 * Put where the order of steps matters.  In builds without TIKV_FAILPOINTS
 * they are nothing at all; in the others (make FAILPOINTS=1) each costs a look
 * at one variable while none is set.  What is set stands in the file
 * tikv_failpoints of the data directory, which the workers read when it
 * changes: "name=action;name=action", an action being off, count, error, crash,
 * stop or delay(ms).  "3*crash" takes place at the third time only,
 * "once:crash" once in all lives of all processes of the data directory, and
 * the name "*" is every place.  "clock=seconds" is no place: it is added to
 * what this server takes for the time of day.
 *
 * test/faults/failpoints/points.txt lists the places with their meaning;
 * tools/check_failpoints.sh compares it with the sources.
 */
#ifndef TIKV_BASE_FAILPOINT_H
#define TIKV_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef TIKV_FAILPOINTS

/* What the data directory knows of them; both may be NULL. */
typedef struct FailpointHost
{
	/* True for the first who asks for this name. */
	bool (*claim)(const char *name);

	/* It was passed; what: NULL, or what is about to take place. */
	void (*note)(const char *name, const char *what);
} FailpointHost;

extern void failpoints_host(const FailpointHost *host);

/* Replace all actions; false if the text is not understood (none is set). */
extern bool failpoints_set(const char *text);
extern bool failpoints_active;

/* Do what is set for this place; true if it is to fail. */
extern bool failpoint_hit(const char *name);

/* What "clock" adds to the time of day. */
extern long failpoint_clock_s;

/* True if an error is to be raised here. */
#define FAILPOINT_ERROR(name) \
	(__builtin_expect(failpoints_active, false) && failpoint_hit(name))

#define FAILPOINT_CLOCK_S failpoint_clock_s

#else

#define FAILPOINT_ERROR(name) false
#define FAILPOINT_CLOCK_S 0

#endif

/* A place where nothing can be raised: "error" means nothing. */
#define FAILPOINT_PASS(name)          \
	do                                \
	{                                 \
		(void) FAILPOINT_ERROR(name); \
	} while (0)

#endif /* TIKV_BASE_FAILPOINT_H */
