/*
 * grant_rows.h
 *	  The rows of a grant: decided by the store, written by the backend under
 *	  its own transaction id (DESIGN 8, step 4).
 */
#ifndef TIKV_STORAGE_GRANT_ROWS_H
#define TIKV_STORAGE_GRANT_ROWS_H

#include "storage/txn_table.h"

#include "bus/grants.h"
#include "core/base/arena.h"

/* What the store answers to a request for a grant. */
typedef enum GrantVerdict
{
	GRANT_GIVEN,
	GRANT_NOT_ALONE, /* some key is not in a region that is this store's only */
	GRANT_NOT_YET,	 /* but may be in a moment */
	GRANT_TOO_LARGE	 /* for the memory of locks or grants */
} GrantVerdict;

typedef struct GrantAnswer
{
	GrantVerdict verdict;
	const char *reason; /* why not; for people */
	int grant;
	uint64 generation;
	uint64 commit_ts;
	TxnModify *rows;
	size_t n_rows;
} GrantAnswer;

/* No message of kvrpcpb begins like one: see grant_answer_decode. */
extern Bytes grant_answer_encode(const GrantAnswer *answer, Arena *arena);

/* False if the bytes are another answer: a PrewriteResponse. */
extern bool grant_answer_decode(Bytes bytes, Arena *arena, GrantAnswer *answer);

/*
 * Write the rows, with tables that were opened for writing before the grant
 * was asked for, and a registered snapshot that was taken after it was given.
 * Notes in the grant where slots of lock_slot are now.
 */
extern void grant_rows_write(const OpenTables *tables, Snapshot snapshot,
							 const GrantAnswer *answer);

/* The store: where the row of a slot was at the time of the grant. */
extern ItemPointerData grant_slot_row(const LockPool *pool, uint64 slot);

/* The store, once the grant's transaction has committed: the lock is gone. */
extern void grant_lock_ended(LockPool *pool, const GrantKey *key);

#endif /* TIKV_STORAGE_GRANT_ROWS_H */
