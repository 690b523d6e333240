/*
 * group_table.h
 *	  The tables of PD's group: its row, its log, its records.
 *
 * All of it inside the transaction that group_table_begin opened; failures are
 * errors of Postgres.
 */
#ifndef TIKV_PD_GROUP_TABLE_H
#define TIKV_PD_GROUP_TABLE_H

#include "pd/pd.h"

/* False, with pd->reason set, if a table cannot be locked at once. */
extern bool group_table_begin(Pd *pd);
extern void group_table_end(void);

/* A row of a member that asks for its place counts as none. */
extern void group_table_load_row(GroupRow *row);
extern void group_table_write_row(const GroupRow *row, bool exists);
extern void group_table_remove_row(void);

/* All records, into the state. */
extern void group_table_load_records(PdState *state, Arena *arena);

/* All records as the bytes of a proposal. */
extern Bytes group_table_read_all(Arena *arena);
extern void group_table_write_item(const ProposalItem *item);
extern void group_table_clear_records(void);

/* Entries behind log->truncated_index. */
extern void group_table_load_log(GroupLog *log, Arena *arena);

/* Replace the end of the log from entries[0].index on. */
extern void group_table_write_log(const RaftEntry *entries, int n,
								  uint64 last_index, Arena *arena);

/* Remove entries up to this index; PG_UINT64_MAX: all. */
extern void group_table_cut_log(uint64 index);

#endif /* TIKV_PD_GROUP_TABLE_H */
