/*
 * txn_session.h
 *	  The key-value transaction that belongs to the current SQL transaction.
 *
 * What SQL functions and foreign tables share.  It begins when a key is first
 * touched, its writes are buffered in this process, savepoints are honoured,
 * and it commits with the SQL transaction.  Isolation is that of the SQL
 * transaction (DESIGN 8):
 *
 *		READ COMMITTED	reads at the statement's timestamp
 *		REPEATABLE READ	reads at start_ts; a key that was committed since
 *						cannot be written (40001)
 *		SERIALIZABLE	refused (0A000)
 *
 * With tikv.txn_mode pessimistic a write locks its key at once, which may
 * wait.  All functions throw; keys are *stored* keys (txn_stored_key), and
 * what is returned is palloc'd in CurrentMemoryContext.  Needs the columns of
 * nothing: there is no per-key bookkeeping for the caller to do.
 *
 * A statement sees its own writes at once, unlike those to tables: who scans
 * and writes in one statement reads what it needs first.
 */
#ifndef TIKV_SQLAPI_TXN_SESSION_H
#define TIKV_SQLAPI_TXN_SESSION_H

#include "postgres.h"

#include "core/base/bytes.h"

typedef struct TxnSession TxnSession;

/*
 * The current transaction, begun if need be.  `function` names the caller in
 * errors ("tikv_txn_put()"); with `writes` it is refused where SQL may not
 * write.
 */
extern TxnSession *txn_session(const char *function, bool writes);

/* Between SQL's keys and stored ones; as sql_stored_key of raw keys. */
extern Bytes txn_stored_key(Bytes key);
extern Bytes txn_stored_end(Bytes end);
extern Bytes txn_user_key(Bytes stored);

/* Throws if the key is longer than tikv.max_key_size allows. */
extern void txn_check_key(Bytes key);

/* ---- reads ---- */

extern uint64 txn_start_ts(const TxnSession *session);

/* What reads of this statement see: commits up to this timestamp. */
extern uint64 txn_read_ts(TxnSession *session);

/* False if the key does not exist. */
extern bool txn_get(TxnSession *session, Bytes key, Bytes *value);

typedef struct TxnValue
{
	bool found;
	Bytes value;
} TxnValue;

/* values[i] is that of keys[i]; one snapshot for all. */
extern void txn_batch_get(TxnSession *session, const Bytes *keys, int n,
						  TxnValue *values);

/*
 * A cursor over [lower, upper), upper empty being the end; reverse walks it
 * downwards.  Between calls nothing is held.  Own memory, in
 * CurrentMemoryContext of the begin; key and value are valid until the next
 * call.
 */
typedef struct TxnScan TxnScan;

extern TxnScan *txn_scan_begin(TxnSession *session, Bytes lower, Bytes upper,
							   bool reverse, bool key_only);
extern bool txn_scan_next(TxnScan *scan, Bytes *key, Bytes *value);
extern void txn_scan_end(TxnScan *scan);

/* For EXPLAIN ANALYZE: keys and requests so far, those included that waited. */
typedef struct TxnCounts
{
	uint64 requests;	   /* over the bus */
	uint64 rounds;		   /* of reads */
	uint64 keys_read;	   /* from the tables */
	uint64 locks_resolved; /* of others */
	uint64 retries;
} TxnCounts;

extern TxnCounts txn_counts(const TxnSession *session);

/* ---- writes ---- */

/* key = value, whatever was there. */
extern void txn_put(TxnSession *session, Bytes key, Bytes value);
extern void txn_put_many(TxnSession *session, const Bytes *keys,
						 const Bytes *values, int n);

/* Throws unique_violation (23505) if the key exists. */
extern void txn_insert(TxnSession *session, Bytes key, Bytes value);

/*
 * Insert those that do not exist; inserted[i] tells which (may be NULL: then
 * the first that exists is a unique_violation).
 */
extern void txn_insert_many(TxnSession *session, const Bytes *keys,
							const Bytes *values, int n, bool *inserted);

/* No error if there is none. */
extern void txn_delete(TxnSession *session, Bytes key);
extern void txn_delete_many(TxnSession *session, const Bytes *keys, int n);

/*
 * As SELECT FOR UPDATE: nobody else writes the keys before this transaction
 * ends.  Also what they have now, which in READ COMMITTED may be newer than
 * the statement's timestamp; values may be NULL.  With tikv.txn_mode
 * optimistic the commit fails if somebody did.
 */
extern void txn_lock_many(TxnSession *session, const Bytes *keys, int n,
						  TxnValue *values);

/* The same as FOR UPDATE NOWAIT: an error if somebody holds a lock of one. */
extern void txn_lock_now(TxnSession *session, const Bytes *keys, int n,
						 TxnValue *values);
extern bool txn_lock(TxnSession *session, Bytes key, Bytes *value);

#endif /* TIKV_SQLAPI_TXN_SESSION_H */
