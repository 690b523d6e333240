/*
 * txn_internal.h
 *	  What the files txn_*.c share: the state of a session's transaction.
 */
#ifndef TIKV_SQLAPI_TXN_INTERNAL_H
#define TIKV_SQLAPI_TXN_INTERNAL_H

#include "core/client/client.h"
#include "read/txn_look.h"
#include "sqlapi/sqlapi.h"
#include "sqlapi/txn_session.h"
#include "bus/sql_commits.h"
#include "bus/versions.h"
#include "storage/grant_rows.h"
#include "storage/lock.h"

/* Statements whose timestamps are remembered: open cursors may go back. */
#define STATEMENTS_KEPT 32

typedef struct StatementTs
{
	CommandId command;
	uint64 ts;
} StatementTs;

/*
 * What is known of a transaction whose locks may be met again: it commits above
 * read_ts, or it is decided.
 */
typedef struct KnownTxn
{
	uint64 start_ts;
	bool decided;
	uint64 commit_ts; /* decided; 0: rolled back */
	uint64 read_ts;	  /* else: the greatest one that it was pushed above */
} KnownTxn;

struct TxnSession
{
	Client client;
	MemoryContext context; /* as long as the SQL transaction */
	MemBuffer *buffer;
	Arena arena; /* of one call */
	uint64 start_ts;
	uint64 for_update_ts; /* the greatest one of a lock; 0: none */
	bool pessimistic;
	bool repeatable_read;
	bool no_wait;  /* a lock of somebody else is an error at once */
	Bytes primary; /* of the first lock */
	uint64 n_locks;
	StatementTs statements[STATEMENTS_KEPT];
	int n_statements;
	KnownTxn *known;
	int n_known;
	int known_room;

	/* REPEATABLE READ: commits of keys and tables it may see one half of. */
	JointCommit *halves;
	int n_halves;
	bool halves_known; /* looked for */
	bool halves_lost;  /* some were gone by then */

	/* Keys whose lock was asked for and whose answer did not come. */
	Bytes *stray;
	int n_stray;
	int stray_room;

	/* The commit. */
	Committer committer;
	bool prewriting; /* locks may lie about */
	int grant;		 /* with committer.kind COMMIT_ONE_COMMIT */
	uint64 grant_generation;
	bool committed;		  /* whatever becomes of the SQL transaction */
	bool outcome_unknown; /* so nothing may be undone */
	bool finishing;		  /* what is sent need not be ... */
	bool progressed;	  /* ... but the store keeps answering */
	Patience patience;	  /* of the call */
	const char *function; /* the caller, for messages */
	TxnCounts counts;
};

/* ---- txn_session.c ---- */

extern uint64 txn_statement_ts(TxnSession *session);

/* A later one: what was committed up to now is seen from here on. */
extern uint64 txn_advance_statement(TxnSession *session);

/* Before changes of the buffer: a stage for every open savepoint. */
extern void txn_open_stages(TxnSession *session);
extern void txn_note_progress(TxnSession *session);

/* A call begins: its memory and its time. */
extern void txn_begin_call(TxnSession *session);

/* ---- txn_atomic.c ---- */

/* Is it to be tried? */
extern bool txn_atomic_wanted(void);

/*
 * At pre-commit: let the planned commit be one of Postgres, for keys and
 * tables.  False if it must go the other way; throws if it must not.
 */
extern bool txn_atomic_commit(TxnSession *session);

/* The SQL transaction has ended, either way. */
extern void txn_atomic_end(TxnSession *session);

/* For tikv.recent_commits. */
extern void txn_note_commit(TxnSession *session);

/* ---- txn_halves.c ---- */

/*
 * After a read at the session's start_ts: throws 40001 if it saw one half of
 * a commit whose tables the SQL transaction's snapshot shows otherwise.
 */
extern void txn_check_halves(TxnSession *session, const Bytes *keys, int n);
extern void txn_check_halves_in(TxnSession *session, Bytes lower, Bytes upper);

/* ---- txn_io.c ---- */

/* Packed, palloc'd; the request of a command to a region. */
extern Bytes txn_pack_request(const CachedRegion *region,
							  const TxnCommand *command, uint64 task_id,
							  Arena *arena);

extern void txn_io_init(ClientIo *io);

/* The session whose calls io carries out. */
extern void txn_io_use(TxnSession *session);
extern uint64 txn_timestamp(TxnSession *session);

/* A key as regions are bounded, palloc'd; below: as the bound of a range. */
extern Bytes txn_bound(Bytes key, bool below);
extern bool txn_find_region(Bytes key, bool below, BoardRegion *out);

typedef struct Route Route;

/* The same as route_find() has it. */
extern bool txn_find_route(Bytes key, bool below, const Patience *patience,
						   Route *route);

/* ---- txn_read.c ---- */

/* Read keys at a timestamp, past the buffer; values palloc'd. */
extern void txn_read_keys(TxnSession *session, const Bytes *keys, int n,
						  uint64 ts, TxnValue *values);

typedef struct TxnPage
{
	Bytes *keys;
	Bytes *values;
	int n;
	bool last;	/* nothing after it in its direction */
	Bytes next; /* else: the range's new bound on that side */
} TxnPage;

/* A page of a range, past the buffer; memory is CurrentMemoryContext. */
extern void txn_read_page(TxnSession *session, Bytes lower, Bytes upper,
						  bool reverse, bool key_only, uint32 limit, uint64 ts,
						  TxnPage *page);

/* Locks that need not stop a reader at ts, and those whose values it reads. */
extern void txn_fill_known(TxnSession *session, uint64 ts, ReadContext *read);

/* ---- txn_remote.c: the same of one region that another store leads ---- */

/* False if nothing was read: `lock` is in the way, or there is none: again. */
typedef struct RemoteRead
{
	bool blocked;
	LockInfo lock;
} RemoteRead;

extern bool txn_remote_keys(TxnSession *session, const Route *route,
							const Bytes *keys, int n, uint64 ts,
							TxnValue *values, RemoteRead *read);

/*
 * The first pairs of the range in the region; *more: there may be others in it.
 * With a lock in the way those before it, and true.
 */
extern bool txn_remote_page(TxnSession *session, const Route *route,
							const MvccScan *scan, uint64 ts, TxnPage *page,
							bool *more, RemoteRead *read);

/* ---- txn_wait.c ---- */

/*
 * Take pessimistic locks, waiting for whoever holds one; throws if the time is
 * up.  With retry_conflicts a newer commit moves the statement's timestamp and
 * command->for_update_ts forward, else it is an error.
 */
extern void txn_lock_acquire(TxnSession *session,
							 PessimisticLockCommand *command,
							 bool retry_conflicts, Locker *locker);

/* ---- locks.c ---- */

/*
 * The lock of a key, in memory or spilled, as the leader of its region has it;
 * false if there is none.
 */
extern bool txn_stored_lock(Bytes key, Arena *arena, Lock *lock);

/* ---- txn_report.c ---- */

extern char *txn_key_text(Bytes stored);
extern void txn_report(const ClientResult *result) pg_attribute_noreturn();
extern void txn_report_conflict(const TxnError *error) pg_attribute_noreturn();
extern void txn_report_exists(Bytes key) pg_attribute_noreturn();
extern void txn_report_locked(const LockInfo *lock) pg_attribute_noreturn();
extern void txn_report_lock_timeout(const LockInfo *lock)
	pg_attribute_noreturn();
extern void txn_report_read(TxnLookAnswer answer) pg_attribute_noreturn();

#endif /* TIKV_SQLAPI_TXN_INTERNAL_H */
