/*
 * txn_turn.h
 *	  Transaction commands within a turn: what they read, what they leave.
 *
 * The folder's own header.  A TxnTurn is the transactional half of a running
 * turn; turn.c drives it together with the raw half.
 */
#ifndef TIKV_STORE_TXN_TURN_H
#define TIKV_STORE_TXN_TURN_H

#include "core/cmd/command.h"
#include "store/store.h"

#include "storage/txn_table.h"
#include "utils/snapshot.h"

/* What a command decided: kept until the turn has committed. */
typedef struct Decided
{
	TxnAnswer answer;
	TxnEffects effects;
	TxnCommand before; /* the command as it was: a turn may be tried again */
} Decided;

typedef struct TxnTurn
{
	Store *store;
	OpenTables *tables;
	Snapshot snapshot;
	MvccReader *base; /* made when a command first reads */
	TxnWriter *writer;
	const TxnModify *at; /* being written */
} TxnTurn;

/*
 * Must the write wait for the next turn, because it walks a range and this
 * turn has decided something already?
 */
extern bool txn_turn_must_wait(const TxnTurn *turn, const Write *write);

/*
 * Run the command of a write that may go on; its effects join the overlay.
 * *touched is set if rows of the region's group change.  False if the group
 * refused the proposal: the command left nothing.
 */
extern bool txn_turn_decide(TxnTurn *turn, Write *write);

/*
 * A command was decided: nothing new may appear below what is being collected.
 * Answers that leave nothing stand: a repetition of what has committed is told
 * so.  Memory is the request's.
 */
extern void txn_turn_refuse_collected(Store *store, Write *write);

/*
 * Its first half: write->decided is what the command answers and wants done,
 * which nothing has seen but its guards.
 */
extern void txn_turn_evaluate(TxnTurn *turn, Write *write);

/* The reader under the overlay: what is applied. */
extern MvccReader *txn_turn_base(TxnTurn *turn);

/* Write the rows; before the commit. */
extern void txn_turn_write(TxnTurn *turn);

/* After the commit: the lock table agrees with the tables, guards end. */
extern void txn_turn_published(TxnTurn *turn, const WriteQueue *outbox);

/*
 * The turn aborted: take back what a write has shown to others and restore
 * its command.
 */
extern void txn_turn_undo(Write *write);

/* After the commit, outside of it: answer, park, or queue the next slice. */
extern void txn_turn_reply(Store *store, Write *write);

/* BroadcastTxnStatus: what a client says of transactions that committed. */
extern void txn_turn_take_status(Store *store, Request *request);

/* ---- flashback.c: the state of a region while it is set back ---- */

/* True with an error if the garbage of its version is being collected. */
extern bool flashback_is_too_late(Write *write);

/*
 * Must the region enter the state first?  Then it does, with the running
 * turn, and the command goes on in the next.  *ok is false if the group
 * refused that.
 */
extern bool flashback_enters(Write *write, bool *ok);

/* Nothing may be written to a region that was not prepared. */
extern void flashback_check(Write *write);

/* After the last slice the region leaves the state. */
extern void flashback_finish(Write *write);

/*
 * The same in a group with several peers.  Is an entry due that begins or ends
 * the state?  Then the command is not run this time.
 */
extern bool flashback_next_admin(Write *write, CmdAdmin *admin);

/* After the last slice the command comes once more. */
extern void flashback_note_last(Write *write);

/* In the turn's transaction: the regions whose state it changed. */
extern void flashback_save(Store *store);

/* ---- lock_waits.c: those that wait for a lock ---- */

extern void lock_waits_start(Store *store);
extern void lock_waits_stop(Store *store, const char *reason);

/* The write's command met a lock and its request may wait. */
extern void lock_waits_park(Store *store, Write *write);

/* A turn is durable: whom do its releases wake? */
extern void lock_waits_released(Store *store, const TxnEffects *effects);

/* Carry out what is due; returns how many were woken. */
extern int lock_waits_run(Store *store);

/* Microseconds until lock_waits_run has something to do, at most `most`. */
extern int64 lock_waits_sleep_us(const Store *store, int64 most);

/* GetLockWaitInfo. */
extern void lock_waits_answer_info(Store *store, Request *request);

#endif /* TIKV_STORE_TXN_TURN_H */
