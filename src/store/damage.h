/*
 * damage.h
 *	  What the store does where a disk has spoiled its tables: pass a block by,
 *	  answer the write that met a row, say so.
 */
#ifndef TIKV_STORE_DAMAGE_H
#define TIKV_STORE_DAMAGE_H

#include "store/txn_turn.h"

struct RaftTurn;

/*
 * The transaction is over.  True: the error was of a block where something new
 * was to be put, which goes elsewhere from now on; try again.
 */
extern bool damage_pass(Store *store, const ErrorData *error);

/* The same, but true: there is no use in trying again soon. */
extern bool damage_stalls(Store *store, const ErrorData *error);

/*
 * Inside PG_CATCH, before the process ends by the error: the same, so that the
 * next one need not meet it.  Or else, the effect that it met is one of a region
 * that applies nothing more, until the server starts anew; but for an error of
 * the disk that does not come again.  Does not return.
 */
extern void damage_end(struct RaftTurn *turn) pg_attribute_noreturn();

extern bool damage_stops(uint64 region_id);

/*
 * A snapshot is about to take the place of what it could not apply, or the peer
 * goes.
 */
extern void damage_let_go(uint64 region_id);

/* There are no such tables any more. */
extern void damage_forget(void);

/* Will it fail the same way until somebody mends the data? */
extern bool damage_is_lasting(int sqlstate);

/*
 * The running turn failed at an effect: mark the writes that have it.  How many
 * there are.
 */
extern int damage_blame_raw(WriteQueue *outbox, const RawModify *at);
extern int damage_blame_txn(WriteQueue *outbox, const TxnModify *at);

/* Answer the marked ones, which are undone, and take them out. */
extern void damage_answer(WriteQueue *batch);
extern void damage_answer_one(Write *write);

#endif /* TIKV_STORE_DAMAGE_H */
