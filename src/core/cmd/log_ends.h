/*
 * log_ends.h
 *	  Where the logs of peers end: a question from store to store, and its
 *	  answer.
 *
 * A store that knows a region's log up to an index, and that no replica has
 * more, knows all that is committed: an entry behind it would be with a
 * majority.  So what a sleeping group holds can be learned without waking it.
 * Both have the same form; the answer has those of the ends that are so.
 */
#ifndef TIKV_CMD_LOG_ENDS_H
#define TIKV_CMD_LOG_ENDS_H

#include "core/base/arena.h"
#include "core/base/status.h"

/* Regions in a question. */
#define LOG_ENDS_MAX 256

typedef struct LogEnd
{
	uint64_t region_id;
	uint64_t index;
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

#endif /* TIKV_CMD_LOG_ENDS_H */
