/*
 * table_cut.h
 *	  The store is about to cut the end of a table: others wait a moment.
 *
 * A table is cut under a lock that no other goes with, and who waits for no lock
 * would tell its client that the table is locked, or commit keys and tables one
 * after the other.  So the store says first that it wants the lock, for some
 * milliseconds; who begins to use tables meanwhile waits, which also lets it
 * have the lock where somebody always reads.
 *
 * Who has looked before the store said so and asks for its lock afterwards is
 * refused all the same.  So cuts are counted: it looks again, and waits then.
 */
#ifndef TIKV_BUS_TABLE_CUT_H
#define TIKV_BUS_TABLE_CUT_H

#include "bus/shmem.h"

/*
 * The store wants a table, or has it, for so long at most; nobody waits longer,
 * whatever becomes of it.  It does not wait for itself.
 */
extern void table_cut_begin(int64 most_us);

/* After the lock is given back. */
extern void table_cut_end(void);

/* Before tables are locked.  Says which cut was the last to begin. */
extern uint64 table_cut_wait(void);

/*
 * After a table was found to be locked: has another cut begun since, which may
 * have been why?  Then begin again with table_cut_wait.
 */
extern bool table_cut_since(uint64 last);

#endif /* TIKV_BUS_TABLE_CUT_H */
