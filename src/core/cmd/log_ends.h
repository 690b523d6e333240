/*
 * log_ends.h
 *	  Where the logs of peers end: a question from store to store, and its
 *	  answer.
 *
 * If the logs of all of a region's peers end at one index, and they have applied
 * all of it and have no locks, the region has none: an entry behind it that is
 * committed would be with a majority.  So what a sleeping group holds can be
 * learned without waking it, and by a store without a peer of it (log_poll.h).
 * Both have the same form; the answer has those of the regions that it knows.
 */
#ifndef TIKV_CMD_LOG_ENDS_H
#define TIKV_CMD_LOG_ENDS_H

#include "core/region/region.h"

/* Regions in a question. */
#define LOG_ENDS_MAX 256

typedef struct LogEnd
{
	uint64_t region_id;
	RegionEpoch epoch; /* the question's, and only of this one it is answered */
	uint64_t index;	   /* of the answer; the question has 0 */
	bool has_locks;	   /* so has the answer; of any age */
} LogEnd;

typedef struct LogEnds
{
	uint64_t question; /* the answer has it, too */
	uint64_t ts;	   /* max_ts is raised to this before anybody looks */
	int n;
	LogEnd ends[LOG_ENDS_MAX];
} LogEnds;

extern Bytes log_ends_encode(const LogEnds *ends, Arena *arena);

/* STATUS_INVALID: no such message, or one with more regions. */
extern Status log_ends_decode(Bytes bytes, LogEnds *out) MUST_CHECK;

/* What a store knows of its own peer. */
typedef struct LogSight
{
	RegionEpoch epoch;
	bool asleep;
	bool has_locks;
	uint64_t last_index;
	uint64_t applied_index;
} LogSight;

/*
 * Answer for one region.  False if it is not to be named: something is under
 * way around it, or it has become another one.
 */
extern bool log_end_answer(LogEnd *end, const LogSight *sight) MUST_CHECK;

#endif /* TIKV_CMD_LOG_ENDS_H */
