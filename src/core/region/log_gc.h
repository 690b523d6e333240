/*
 * log_gc.h
 *	  How much of its log a leader gives up.
 *
 * What all peers have is of no use any more; and when the log is too long or
 * too large, the older half goes even if a peer still needs it, which then gets
 * a snapshot.  Source: tikv/tikv components/raftstore/src/store/fsm/peer.rs,
 * on_raft_gc_log_tick.
 */
#ifndef TIKV_REGION_LOG_GC_H
#define TIKV_REGION_LOG_GC_H

#include <stdint.h>

typedef struct LogGcLimits
{
	uint64_t threshold; /* raft-log-gc-threshold: fewer entries may wait */
	uint64_t count;		/* raft-log-gc-count-limit: entries applied */
	uint64_t bytes;		/* raft-log-gc-size-limit */
	int max_skips;		/* raft-log-reserve-max-ticks: how often they may */
} LogGcLimits;

/* A leader's log. */
typedef struct LogGcState
{
	uint64_t truncated;
	uint64_t last;
	uint64_t applied;
	uint64_t persisted;
	uint64_t replicated; /* what every peer has, learners too */
	uint64_t bytes;		 /* of the entries after truncated, about */
	int skipped;		 /* looks that gave up too little to be worth it */
} LogGcState;

/*
 * The new truncated index, or 0: leave it as it is.  Counts in *skipped.
 */
extern uint64_t log_gc_index(const LogGcLimits *limits, LogGcState *state);

/* The bytes that are left when the log begins behind `truncated`. */
extern uint64_t log_gc_bytes_left(const LogGcState *state, uint64_t truncated);

#endif /* TIKV_REGION_LOG_GC_H */
