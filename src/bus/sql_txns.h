/*
 * sql_txns.h
 *	  The key-value transactions of SQL sessions on this node, for everybody
 *	  to see.
 *
 * Three ask: a session that meets a lock, since a holder in this server can be
 * waited for by its virtual transaction id, which Postgres's deadlock detector
 * understands; the store, which keeps the primary lock of a transaction alive
 * while its session lives (a session that idles in a transaction runs no
 * timer); and the view tikv.transactions.
 */
#ifndef TIKV_BUS_SQL_TXNS_H
#define TIKV_BUS_SQL_TXNS_H

#include "bus/shmem.h"
#include "core/base/bytes.h"
#include "storage/lock.h"

/* The longest key as it is stored: tikv.max_key_size and a keyspace. */
#define SQL_TXN_KEY_MAX 8200

/* So much of a key that is waited for is kept. */
#define SQL_TXN_WAIT_MAX 256

/* A lock of a waiting session lives so long past its last heartbeat. */
#define SQL_TXN_TTL_MS 20000

typedef enum SqlTxnPhase
{
	SQL_TXN_OPEN,
	SQL_TXN_COMMITTING
} SqlTxnPhase;

/* How the last commit of a session went; core/client's CommitKind in order. */
typedef struct SqlTxnView
{
	int pid;
	VirtualTransactionId vxid;
	uint64 start_ts;
	uint64 for_update_ts;
	TimestampTz since; /* to be shown */
	int64 since_us;	   /* board_now_us, since that may be set */
	SqlTxnPhase phase;
	bool pessimistic;
	bool repeatable_read;
	uint64 n_writes; /* keys in the buffer */
	uint64 n_locks;
	uint64 beats;	  /* of its primary lock, by the store */
	uint64 waits_for; /* start_ts of who holds what it wants; 0: nobody */
	TimestampTz waits_since;
	uint32 wait_len; /* of the key, cut where it gets long */
	uint8 wait_key[SQL_TXN_WAIT_MAX];
	uint32 primary_len;
	uint8 primary[SQL_TXN_KEY_MAX];
} SqlTxnView;

typedef struct SqlTxnShared SqlTxnShared;

/* ---- a session ---- */

/* Its transaction begins; the slot is the process's until it exits. */
extern void sql_txn_begin(uint64 start_ts, bool pessimistic,
						  bool repeatable_read);
extern void sql_txn_end(void);
extern void sql_txn_progress(SqlTxnPhase phase, uint64 for_update_ts,
							 uint64 n_writes, uint64 n_locks);

/* The key whose lock is to be kept alive; empty: none any more. */
extern void sql_txn_set_primary(Bytes primary);

/* It waits for the lock of a key, held by that transaction; 0: no longer. */
extern void sql_txn_wait(Bytes key, uint64 holder);

/* The session whose transaction this is; false if it is none of this server. */
extern bool sql_txn_find(uint64 start_ts, VirtualTransactionId *vxid, int *pid);

/* ---- others ---- */

extern int sql_txn_slots(void);

/* False if the slot is free. */
extern bool sql_txn_view(int slot, SqlTxnView *out);

/* The oldest start_ts; UINT64_MAX if there is none. */
extern uint64 sql_txn_oldest(void);

/* For how long the transaction of this start_ts runs; 0: there is none. */
extern int64 sql_txn_age_ms(uint64 start_ts);

/* The store has sent a heartbeat. */
extern void sql_txn_beat(int slot, uint64 start_ts);

extern Size sql_txns_shmem_size(void);
extern void sql_txns_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_SQL_TXNS_H */
