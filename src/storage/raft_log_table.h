/*
 * raft_log_table.h
 *	  The logs of groups with several peers: tikv_internal.raft_log.
 *
 * Direct heap and btree access within the turn's transaction.  What is read
 * is what the snapshot shows: entries of the running turn are still in the
 * core's memory.  Everything about a stored log goes through these functions,
 * so that a file could take the table's place.
 */
#ifndef TIKV_STORAGE_RAFT_LOG_TABLE_H
#define TIKV_STORAGE_RAFT_LOG_TABLE_H

#include "storage/tables.h"

#include "core/raft/raft_types.h"
#include "utils/snapshot.h"

/* Index and term of the last row; false if there is none. */
extern bool log_table_last(const OpenTables *tables, Snapshot snapshot,
						   uint64 region_id, uint64 *index, uint64 *term);

/* Is a later entry stored than this one?  Reads the whole table. */
extern bool log_table_goes_beyond(uint64 region_id, uint64 index);

/* How large the entries of [from, ...) are, as they are stored. */
extern uint64 log_table_bytes(const OpenTables *tables, Snapshot snapshot,
							  uint64 region_id, uint64 from);

extern bool log_table_term(const OpenTables *tables, Snapshot snapshot,
						   uint64 region_id, uint64 index, uint64 *term);

/*
 * Entries of [low, high) from `low` on without a gap: at least one, then as
 * many as stay within max_bytes; 0 if the first one is missing.  Everything
 * lives in the arena.
 */
extern int log_table_read(const OpenTables *tables, Snapshot snapshot,
						  uint64 region_id, uint64 low, uint64 high,
						  size_t max_bytes, Arena *arena, RaftEntry **out);

extern void log_table_append(const OpenTables *tables, uint64 region_id,
							 const RaftEntry *entries, int n);

/*
 * Delete the rows of [from, to), at most `max` of them; returns how many there
 * were.
 */
extern int log_table_delete(const OpenTables *tables, Snapshot snapshot,
							uint64 region_id, uint64 from, uint64 to, int max);

#endif /* TIKV_STORAGE_RAFT_LOG_TABLE_H */
