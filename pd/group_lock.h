/*
 * group_lock.h
 *	  PD's tables are locked without waiting for anybody.
 *
 * Rows are locked before a change is taken over, so that what another session
 * has locked refuses that change and nothing else.  What cannot be locked
 * ahead, a key that another session has inserted and not committed, costs the
 * round after a short wait.
 */
#ifndef TIKV_PD_GROUP_LOCK_H
#define TIKV_PD_GROUP_LOCK_H

#include "pd/pd.h"

/*
 * Until the transaction ends: the tables, the row that every round updates
 * (if it exists), those of the records that exist.  False, with pd->reason
 * set, if another session is in the way; the last two need SPI.
 */
extern bool group_lock_tables(Pd *pd);
extern bool group_lock_row(Pd *pd, bool exists);
extern bool group_lock_records(Pd *pd, const ProposalItem *items, size_t n);

/*
 * From here to the end of the transaction statements that wait for a lock
 * fail soon.  The timeout comes as SIGINT, which means nothing to this process
 * otherwise: call the second when the statements are over.
 */
extern void group_limit_patience(void);
extern void group_end_patience(void);

#endif /* TIKV_PD_GROUP_LOCK_H */
