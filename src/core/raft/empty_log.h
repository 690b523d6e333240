/*
 * empty_log.h
 *	  The stored log of a sole-peer group: no entries.
 *
 * Everything up to the applied index is in the group's data, and the log
 * begins after it (raft.h, "sole").
 */
#ifndef TIKV_RAFT_EMPTY_LOG_H
#define TIKV_RAFT_EMPTY_LOG_H

#include "core/raft/raft_types.h"

/* `applied` must outlive the group; it is the driver's committed position. */
extern RaftStorage raft_empty_log(const uint64_t *applied);

/* The `snapshot` of a storage that never has one: UNAVAILABLE. */
extern Status raft_no_snapshot(void *arg, uint64_t to, uint64_t index,
							   Arena *arena, RaftSnapshot *out);

#endif /* TIKV_RAFT_EMPTY_LOG_H */
