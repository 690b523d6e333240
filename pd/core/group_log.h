/*
 * group_log.h
 *	  The log of PD's group in memory: all that is stored and not truncated.
 *
 * PD's log is short, since it is truncated by the thousand, so the whole of it
 * is held here and the table is read only at start.  It shows what the driver
 * has committed.
 */
#ifndef TIKV_PD_CORE_GROUP_LOG_H
#define TIKV_PD_CORE_GROUP_LOG_H

#include "core/raft/raft_types.h"

typedef struct GroupLog
{
	RaftEntry *entries; /* from truncated_index + 1 on */
	size_t n;
	size_t size;
	size_t bytes;
	uint64_t truncated_index;
	uint64_t truncated_term;
} GroupLog;

extern void group_log_init(GroupLog *log);
extern void group_log_free(GroupLog *log);

/* Forget all entries; the log begins behind this one. */
extern void group_log_reset(GroupLog *log, uint64_t index, uint64_t term);

/* Replace the end of the log from entries[0].index on; copied. */
extern void group_log_replace(GroupLog *log, const RaftEntry *entries, int n);

/* Forget entries up to this index, which must be in the log. */
extern void group_log_compact(GroupLog *log, uint64_t index);

static inline uint64_t
group_log_last(const GroupLog *log)
{
	return log->truncated_index + log->n;
}

/* NOT_FOUND: not in the log; the truncated one's term is known. */
extern Status group_log_term(const GroupLog *log, uint64_t index,
							 uint64_t *term) MUST_CHECK;

/* For Raft; the snapshot is the driver's to add. */
extern RaftStorage group_log_storage(GroupLog *log);

#endif /* TIKV_PD_CORE_GROUP_LOG_H */
