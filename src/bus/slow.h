/*
 * slow.h
 *	  Whether a request is told of in the log as slow, and doing so.
 */
#ifndef TIKV_BUS_SLOW_H
#define TIKV_BUS_SLOW_H

#include "core/stats/slow_log.h"

/*
 * Was it slow by tikv.slow_log_threshold?  It is counted then, and true says
 * to log it: a stall makes thousands of requests slow at once, so a worker
 * writes only so many lines per second.
 */
extern bool slow_wanted(const SlowRequest *request);

/* Log it, and how many others were left out. */
extern void slow_write(const SlowRequest *request);

#endif /* TIKV_BUS_SLOW_H */
