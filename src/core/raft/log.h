/*
 * log.h
 *	  A peer's log: what the driver has stored, and the tail kept in memory.
 *
 * Positions, never decreasing from left to right except that `last` may be cut
 * back to just above `commit`:
 *
 *	truncated <= applied <= commit <= last
 *	persisted <= stored <= last
 *
 * While a received snapshot waits to be installed, truncated and all to the
 * right of applied stand at its index or beyond, and applied lags behind.
 *
 * Entries above `stored` are only in memory; `stored` ones are in the driver's
 * log, where its own reads find them; `persisted` ones survive a crash.  The
 * tail in memory begins at `first`, at or before stored + 1.
 */
#ifndef TIKV_RAFT_LOG_H
#define TIKV_RAFT_LOG_H

#include "core/raft/raft_types.h"

/* What the driver was asked to store by one ready, until it is flushed. */
typedef struct RaftLogRecord
{
	uint64_t number;
	uint64_t last; /* entries up to here; lowered if they are cut */
	uint64_t term; /* of the hard state */
} RaftLogRecord;

typedef struct RaftLog
{
	RaftStorage storage;
	const RaftAllocator *alloc;

	uint64_t truncated_index;
	uint64_t truncated_term;
	uint64_t applied;
	uint64_t applied_term;
	uint64_t commit;
	uint64_t stored;
	uint64_t persisted;
	uint64_t persisted_term; /* the newest term known to be flushed */
	uint64_t conf_index;	 /* no conf change entry above it */
	uint64_t last_term;		 /* of the last entry; 0: ask the driver's log */

	RaftEntry *slots; /* the tail, a ring */
	size_t cap;		  /* a power of two */
	size_t head;
	size_t n;
	uint64_t first;		   /* index of slots[head], or where it will be */
	size_t bytes;		   /* of the tail */
	size_t unstored_bytes; /* of its part above stored */

	RaftLogRecord *records; /* readies not yet flushed, oldest first */
	size_t n_records;
	size_t cap_records;

	RaftSnapshot *snapshot; /* received, to be handed out */

	void **limbo; /* freed when the outstanding ready is done */
	size_t n_limbo;
	size_t cap_limbo;
	bool ready_out; /* a ready borrows from this log: */
	uint64_t lent;	/* entries up to here, unless they are replaced */
	const RaftSnapshot *snapshot_lent;

	/* it stores entries up to here; lowered like RaftLogRecord.last */
	uint64_t ready_last;
} RaftLog;

extern size_t raft_entry_bytes(const RaftEntry *e);

extern void raft_log_init(RaftLog *log, const RaftStorage *storage,
						  const RaftAllocator *alloc);
extern void raft_log_free(RaftLog *log);

static inline uint64_t
raft_log_last(const RaftLog *log)
{
	return log->first + log->n - 1;
}

/* NOT_FOUND: truncated or beyond the end; UNAVAILABLE: ask again later. */
extern Status raft_log_term(const RaftLog *log, uint64_t index,
							uint64_t *term) MUST_CHECK;

/* Needs no look at the driver's log, once that was asked at the start. */
extern uint64_t raft_log_last_term(const RaftLog *log);
extern bool raft_log_matches(const RaftLog *log, uint64_t index, uint64_t term);
extern bool raft_log_up_to_date(const RaftLog *log, uint64_t index,
								uint64_t term);
extern uint64_t raft_log_find_conflict(const RaftLog *log, uint64_t index,
									   uint64_t term, uint64_t *out_term);

extern bool raft_log_has_payload(const RaftLog *log, uint64_t index);
extern void raft_log_append(RaftLog *log, const RaftEntry *e);
extern void raft_log_cut(RaftLog *log, uint64_t from);
extern Status raft_log_slice(const RaftLog *log, uint64_t low, uint64_t high,
							 size_t max_bytes, Arena *arena, RaftEntry **out,
							 int *n) MUST_CHECK;

extern void raft_log_restore(RaftLog *log, const RaftSnapshot *snapshot);
extern void raft_log_drop_snapshot(RaftLog *log);
extern void raft_log_stored(RaftLog *log, uint64_t index);
extern void raft_log_compact(RaftLog *log, uint64_t index, uint64_t term);
extern void raft_log_release(RaftLog *log, uint64_t keep_from,
							 size_t cache_bytes);
extern void raft_log_trim(RaftLog *log, size_t spare);

extern void raft_log_record(RaftLog *log, uint64_t number, uint64_t last,
							uint64_t term);
extern void raft_log_flushed(RaftLog *log, uint64_t number);
extern void raft_log_lend(RaftLog *log);
extern void raft_log_ready_done(RaftLog *log);
extern void raft_log_trim_records(RaftLog *log);
extern void raft_log_free_entry(RaftLog *log, RaftEntry *e);
extern void raft_log_check(const RaftLog *log);

#endif /* TIKV_RAFT_LOG_H */
