/*
 * table_cut.h
 *	  The store is about to cut the end of a table: readers wait a moment.
 *
 * A table is cut under a lock that no reader's goes with, and readers that wait
 * for no lock would tell their clients that the table is locked.  So the store
 * says first that it wants the lock, for some milliseconds; who begins to read
 * meanwhile waits, which also lets it have the lock where somebody always reads.
 */
#ifndef TIKV_BUS_TABLE_CUT_H
#define TIKV_BUS_TABLE_CUT_H

#include "bus/shmem.h"

/*
 * The store wants a table, or has it, for so long at most; nobody waits longer,
 * whatever becomes of it.  It does not wait for itself.
 */
extern void table_cut_begin(int64 most_us);
extern void table_cut_end(void);

/* Before tables are locked for a read. */
extern void table_cut_wait(void);

#endif /* TIKV_BUS_TABLE_CUT_H */
