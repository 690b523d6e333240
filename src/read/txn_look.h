/*
 * txn_look.h
 *	  The look at the locks that a read at a timestamp takes before its
 *	  snapshot (DESIGN 4, txn-semantics 23.1 and 24).
 *
 * max_ts first, the locks in memory next, the snapshot last: a lock that was
 * missed has then been released visibly, or its transaction commits above the
 * read's timestamp.
 */
#ifndef TIKV_READ_TXN_LOOK_H
#define TIKV_READ_TXN_LOOK_H

#include "postgres.h"

#include "read/read.h"
#include "service/txn.h"

/* How far above PD's timestamps one may be; TiKV's drift bound. */
#define TXN_MAX_DRIFT_MS UINT64CONST(60000)

typedef enum TxnLookAnswer
{
	TXN_LOOK_OK,
	TXN_LOOK_NOT_YET,	 /* the lock table is being rebuilt */
	TXN_LOOK_TOO_MANY,	 /* more locks in the range than memory for them */
	TXN_LOOK_TS_DOUBTED, /* far above what is known of PD, which is asked */
	TXN_LOOK_TS_TOO_NEW	 /* far above any timestamp PD has handed out */
} TxnLookAnswer;

/* The text that goes with an answer that is not OK. */
extern const char *txn_look_text(TxnLookAnswer answer);

/*
 * TXN_LOOK_TS_TOO_NEW for a timestamp that nobody can have got from PD: taking
 * it for real would push max_ts, and with it every later async commit, into the
 * future.  TiKV allows the same drift of a minute, and asks PD again, too,
 * before it refuses one (tikv/tikv components/concurrency_manager).  UINT64_MAX
 * is fine.
 */
extern TxnLookAnswer txn_judge_ts(uint64 ts);

/* What a client is told of it; one that is doubted is to be sent again. */
extern RegionError txn_ts_error(TxnLookAnswer answer, uint64 region_id);

/*
 * After the snapshot: may what the read would see have been collected?  Then
 * *safe_point is from where on reads are whole.
 */
extern bool txn_read_is_collected(const TxnRequest *txn, uint64 *safe_point);

/*
 * Raise max_ts to the read's timestamp and find the locks that matter to it.
 * Memory is the request's arena.  The round, which will read, must not have
 * begun: this is checked.
 */
extern TxnLookAnswer txn_look(const ReadRound *round, const Request *request,
							  const TxnRequest *txn, const Region *region,
							  TxnLook *look);

/*
 * The same for the locks of lock_spill, through a reader that was opened with
 * `spilled`, after the snapshot; merges them into *look.
 */
extern TxnLookAnswer txn_look_spilled(const Request *request,
									  const TxnRequest *txn,
									  const Region *region, MvccReader *reader,
									  TxnLook *look);

#endif /* TIKV_READ_TXN_LOOK_H */
