/*
 * long_reads.h
 *	  Reads that take long are done by a `tikv reader`, for the worker that
 *	  got them.
 *
 * Nobody knows beforehand how long a read takes: a scan of a million keys may
 * find three.  So each begins where it arrived, and one that is not done after
 * a moment is begun again in a reader.  Its answer comes back packed and is
 * passed on as it is.  A connection has its share of what may be with the
 * readers, which read for connections in turns; what nobody waits for any more,
 * or comes too late, is not begun there.
 */
#ifndef TIKV_KVSERVER_LONG_READS_H
#define TIKV_KVSERVER_LONG_READS_H

#include "postgres.h"

#include "bus/bus.h"
#include "kvserver/dispatch.h"

/* Is there a reader to hand over to? */
extern bool long_reads_possible(void);

/* Hand over a read of this worker, or say that there are too many. */
extern void long_reads_send(WorkerKind self, Request *request);

/* Is this the answer to one?  Then it was dealt with. */
extern bool long_reads_take(Dispatch *dispatch, const BusAnswer *answer);

/* In every round: withdraw those that nobody waits for any more. */
extern void long_reads_tend(void);

/* How many are with the readers. */
extern int long_reads_count(void);

/* Answer those that are with readers; the worker ends or begins anew. */
extern void long_reads_stop(const char *reason);

#endif /* TIKV_KVSERVER_LONG_READS_H */
