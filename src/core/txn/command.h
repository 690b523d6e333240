/*
 * command.h
 *	  The transaction commands: what each is given and what it answers.
 *
 * A command is a pure function from (environment, command) to an answer and
 * effects.  One file per command; the decision tables of txn-semantics are
 * their specification.  TXN_OK with effects is a success that must be made
 * durable before it is answered; errors are answered without effects unless
 * a table says otherwise.
 */
#ifndef TIKV_TXN_COMMAND_H
#define TIKV_TXN_COMMAND_H

#include "core/txn/env.h"

/* Bounds of one slice of a command over a range (txn-semantics 27). */
#define TXN_SLICE_KEYS 256
#define TXN_SLICE_BYTES ((size_t) 32 * 1024)

typedef enum TxnCommandKind
{
	TXN_CMD_PREWRITE,
	TXN_CMD_COMMIT,
	TXN_CMD_BATCH_ROLLBACK,
	TXN_CMD_CLEANUP,
	TXN_CMD_CHECK_TXN_STATUS,
	TXN_CMD_CHECK_SECONDARY_LOCKS,
	TXN_CMD_RESOLVE_LOCK,
	TXN_CMD_TXN_HEART_BEAT,
	TXN_CMD_PESSIMISTIC_LOCK,
	TXN_CMD_PESSIMISTIC_ROLLBACK,
	TXN_CMD_SCAN_LOCK,
	TXN_CMD_FLUSH,
	TXN_CMD_FLASHBACK_ROLLBACK_LOCKS, /* PrepareFlashbackToVersion */
	TXN_CMD_FLASHBACK_WRITE,		  /* FlashbackToVersion */
	TXN_CMD_DELETE_RANGE,			  /* KvDeleteRange, UnsafeDestroyRange */
	TXN_CMD_GC						  /* a slice of garbage collection */
} TxnCommandKind;

/* ---- prewrite.c: KvPrewrite (8) and KvFlush (20) ---- */

typedef enum PessimisticAction
{
	SKIP_PESSIMISTIC_CHECK = 0,
	DO_PESSIMISTIC_CHECK = 1,
	DO_CONSTRAINT_CHECK = 2
} PessimisticAction;

typedef struct ForUpdateTsConstraint
{
	uint32_t index; /* of the mutation */
	uint64_t expected_for_update_ts;
} ForUpdateTsConstraint;

typedef struct PrewriteCommand
{
	const Mutation *mutations;
	size_t n_mutations;
	Bytes primary;
	uint64_t start_ts;
	uint64_t lock_ttl_ms;
	bool skip_constraint_check;
	const PessimisticAction *actions; /* for_update_ts != 0 */
	size_t n_actions;
	uint64_t txn_size;
	uint64_t for_update_ts; /* 0: optimistic */
	uint64_t min_commit_ts;
	bool use_async_commit;
	const Bytes *secondaries;
	size_t n_secondaries;
	bool try_one_pc;
	uint64_t max_commit_ts; /* 0: no limit */
	AssertionLevel assertion_level;
	const ForUpdateTsConstraint *constraints;
	size_t n_constraints;
	uint64_t generation; /* TXN_CMD_FLUSH: > 0; else without meaning */
} PrewriteCommand;

/* ---- commit.c: KvCommit (9) ---- */

typedef struct CommitCommand
{
	const Bytes *keys;
	size_t n_keys;
	uint64_t start_ts;
	uint64_t commit_ts;
} CommitCommand;

/* ---- rollback.c: KvBatchRollback, KvCleanup (10) ---- */

typedef struct BatchRollbackCommand
{
	const Bytes *keys;
	size_t n_keys;
	uint64_t start_ts;
} BatchRollbackCommand;

typedef struct CleanupCommand
{
	Bytes key;
	uint64_t start_ts;
	uint64_t current_ts; /* 0: whatever the lock's ttl */
} CleanupCommand;

/* ---- check_txn_status.c (11) ---- */

typedef struct CheckTxnStatusCommand
{
	Bytes primary_key;
	uint64_t lock_ts;
	uint64_t caller_start_ts;
	uint64_t current_ts;
	bool rollback_if_not_exist;
	bool force_sync_commit;
	bool resolving_pessimistic_lock;
	bool verify_is_primary;
} CheckTxnStatusCommand;

/* kvrpcpb.Action. */
typedef enum TxnStatusAction
{
	ACTION_NO_ACTION = 0,
	ACTION_TTL_EXPIRE_ROLLBACK = 1,
	ACTION_LOCK_NOT_EXIST_ROLLBACK = 2,
	ACTION_MIN_COMMIT_TS_PUSHED = 3,
	ACTION_TTL_EXPIRE_PESSIMISTIC_ROLLBACK = 4,
	ACTION_LOCK_NOT_EXIST_DO_NOTHING = 5
} TxnStatusAction;

/* ---- check_secondary_locks.c (12) ---- */

typedef struct CheckSecondaryLocksCommand
{
	const Bytes *keys;
	size_t n_keys;
	uint64_t start_ts;
} CheckSecondaryLocksCommand;

/* ---- resolve_lock.c (13) ---- */

typedef struct TxnStatusOf
{
	uint64_t start_ts;
	uint64_t commit_ts; /* 0: roll back */
} TxnStatusOf;

typedef struct ResolveLockCommand
{
	const TxnStatusOf *txns; /* sorted by start_ts; lite: exactly one */
	size_t n_txns;
	const Bytes *keys; /* lite: only these */
	size_t n_keys;	   /* 0: scan the region's locks */
	Bytes cursor;	   /* full form: where the next slice begins */
} ResolveLockCommand;

/* ---- txn_heart_beat.c (14) ---- */

typedef struct TxnHeartBeatCommand
{
	Bytes primary_key;
	uint64_t start_ts;
	uint64_t advise_lock_ttl_ms;
	uint64_t min_commit_ts;
} TxnHeartBeatCommand;

/* ---- pessimistic_lock.c (15) ---- */

typedef struct PessimisticLockCommand
{
	const Mutation *mutations;
	size_t n_mutations;
	Bytes primary;
	uint64_t start_ts;
	uint64_t lock_ttl_ms;
	uint64_t for_update_ts;
	bool is_first_lock;
	int64_t wait_timeout_ms; /* < 0 no wait, 0 the default */
	bool return_values;
	uint64_t min_commit_ts;
	bool check_existence;
	bool lock_only_if_exists;
	bool allow_lock_with_conflict; /* WakeUpModeForceLock */
	bool resumed;				   /* run again after a wake-up (16) */
} PessimisticLockCommand;

typedef enum PessimisticLockResultKind
{
	LOCK_RESULT_NORMAL,
	LOCK_RESULT_LOCKED_WITH_CONFLICT,
	LOCK_RESULT_FAILED
} PessimisticLockResultKind;

typedef struct PessimisticLockResult
{
	PessimisticLockResultKind kind;
	bool exists;
	Bytes value;
	uint64_t locked_with_conflict_ts;
} PessimisticLockResult;

/* ---- pessimistic_rollback.c (18) ---- */

typedef struct PessimisticRollbackCommand
{
	const Bytes *keys;
	size_t n_keys; /* 0: scan the region's locks */
	uint64_t start_ts;
	uint64_t for_update_ts;
	Bytes cursor;
} PessimisticRollbackCommand;

/* ---- scan_lock.c (19) ---- */

typedef struct ScanLockCommand
{
	uint64_t max_ts;
	KeyRange range;
	uint32_t limit; /* 0: no limit */
} ScanLockCommand;

/* ---- flashback.c (22) ---- */

typedef struct FlashbackCommand
{
	uint64_t version;
	KeyRange range;
	uint64_t start_ts;
	uint64_t commit_ts; /* FLASHBACK_WRITE */
	Bytes cursor;
	Bytes first_key; /* FLASHBACK_WRITE: that is locked, once it is known */
	int phase;		 /* the command's own */
	bool entered;	 /* the driver's own: the region is in the state */
	bool finishing;	 /* ... and all is written: it is to leave it */
} FlashbackCommand;

/* ---- delete_range.c (21) ---- */

typedef struct DeleteRangeCommand
{
	KeyRange range;
	bool notify_only;  /* replicate, delete nothing */
	bool whole_bounds; /* UnsafeDestroyRange: no bound may be empty */
	Bytes cursor;
	int phase; /* the command's own */
} DeleteRangeCommand;

/* ---- gc.c (25) ---- */

typedef struct GcCommand
{
	uint64_t safe_point;
	KeyRange range;
	Bytes cursor;
} GcCommand;

typedef struct TxnCommand
{
	TxnCommandKind kind;
	union
	{
		PrewriteCommand prewrite; /* and FLUSH */
		CommitCommand commit;
		BatchRollbackCommand batch_rollback;
		CleanupCommand cleanup;
		CheckTxnStatusCommand check_txn_status;
		CheckSecondaryLocksCommand check_secondary_locks;
		ResolveLockCommand resolve_lock;
		TxnHeartBeatCommand txn_heart_beat;
		PessimisticLockCommand pessimistic_lock;
		PessimisticRollbackCommand pessimistic_rollback;
		ScanLockCommand scan_lock;
		FlashbackCommand flashback;
		DeleteRangeCommand delete_range;
		GcCommand gc;
	};
} TxnCommand;

/*
 * What a command answers; which fields mean something is the command's.
 * Zeroed before the command runs.  Memory is the command's arena.
 */
typedef struct TxnAnswer
{
	/* Most commands fail with one error; prewrite and flush collect. */
	TxnError *errors;
	size_t n_errors;

	/*
	 * A command over a range did a slice: run it again (its cursor has been
	 * advanced) after this slice's effects are durable.
	 */
	bool more;

	/*
	 * Effects that go with an error (a secondary check that rolled back, a
	 * shared container turned SHRINK_ONLY): keep them.  Otherwise the driver
	 * drops the effects of a command that answers errors.
	 */
	bool keep_effects;

	/*
	 * PessimisticLock met a lock and the request may wait: errors[0] is
	 * KEY_IS_LOCKED and the driver may park the command.
	 */
	bool may_wait;

	/* prewrite, flush */
	uint64_t min_commit_ts;
	uint64_t one_pc_commit_ts;

	/* commit, cleanup, check_txn_status, check_secondary_locks */
	uint64_t commit_ts;

	/* check_txn_status, txn_heart_beat */
	TxnStatusAction action;
	uint64_t lock_ttl_ms;
	bool has_lock;
	LockInfo lock;

	/* check_secondary_locks, scan_lock */
	LockInfo *locks;
	size_t n_locks;

	/* pessimistic_lock: one per mutation when it succeeded */
	PessimisticLockResult *results;
	size_t n_results;
} TxnAnswer;

extern void txn_prewrite(TxnEnv *env, const PrewriteCommand *command,
						 TxnAnswer *answer);
extern void txn_flush(TxnEnv *env, const PrewriteCommand *command,
					  TxnAnswer *answer);
extern void txn_commit(TxnEnv *env, const CommitCommand *command,
					   TxnAnswer *answer);
extern void txn_batch_rollback(TxnEnv *env, const BatchRollbackCommand *command,
							   TxnAnswer *answer);
extern void txn_cleanup(TxnEnv *env, const CleanupCommand *command,
						TxnAnswer *answer);
extern void txn_check_txn_status(TxnEnv *env,
								 const CheckTxnStatusCommand *command,
								 TxnAnswer *answer);
extern void txn_check_secondary_locks(TxnEnv *env,
									  const CheckSecondaryLocksCommand *command,
									  TxnAnswer *answer);
extern void txn_resolve_lock(TxnEnv *env, ResolveLockCommand *command,
							 TxnAnswer *answer);
extern void txn_heart_beat(TxnEnv *env, const TxnHeartBeatCommand *command,
						   TxnAnswer *answer);
extern void txn_pessimistic_lock(TxnEnv *env,
								 const PessimisticLockCommand *command,
								 TxnAnswer *answer);
extern void txn_pessimistic_rollback(TxnEnv *env,
									 PessimisticRollbackCommand *command,
									 TxnAnswer *answer);
extern void txn_scan_lock(TxnEnv *env, const ScanLockCommand *command,
						  TxnAnswer *answer);
extern void txn_flashback_rollback_locks(TxnEnv *env, FlashbackCommand *command,
										 TxnAnswer *answer);
extern void txn_flashback_write(TxnEnv *env, FlashbackCommand *command,
								TxnAnswer *answer);
extern void txn_delete_range(TxnEnv *env, DeleteRangeCommand *command,
							 TxnAnswer *answer);
extern void txn_gc(TxnEnv *env, GcCommand *command, TxnAnswer *answer);

/* execute.c: the one of the above that the kind names. */
extern void txn_execute(TxnEnv *env, TxnCommand *command, TxnAnswer *answer);

/*
 * Between two slices: what the command carries from one to the next lies in
 * env->arena and is copied to one that lasts as long as the command.
 */
extern void txn_command_keep(TxnCommand *command, Arena *arena);

/*
 * True for commands that walk ranges: they run only over what is durable, as
 * the first of a turn (scans do not see the turn's overlay).
 */
extern bool txn_needs_clean_overlay(const TxnCommand *command);

/*
 * The keys that a command may change or depends on, in the arena.  False if it
 * walks a range, or names none.
 */
extern bool txn_command_keys(const TxnCommand *command, Arena *arena,
							 Bytes **keys, size_t *n);

/* ---- actions.c: shared by the rollback family (7, 10.1) ---- */

/* One more error of the answer, zeroed but for its kind. */
extern TxnError *txn_add_error(TxnEnv *env, TxnAnswer *answer,
							   TxnErrorKind kind);

/*
 * Before the next key of a list: false, with an error, if what the command has
 * read and listed so far takes more memory than it may.  A key may be named
 * any number of times, and each time its lock or value is read anew.
 */
extern bool txn_may_go_on(TxnEnv *env, TxnAnswer *answer);

/* The lock's report, key as given. */
extern void txn_lock_info(Bytes key, const Lock *lock, LockInfo *info);

/* ts's milliseconds (txn-semantics 1.3). */
static inline uint64_t
txn_physical(uint64_t ts)
{
	return ts >> 18;
}

/* When the lock's transaction may be taken for dead, in milliseconds. */
extern uint64_t txn_lock_expiry(const Lock *lock);

/*
 * The transaction's own lock in what lies on a key: the lock itself, or its
 * member of a shared container; NULL if there is none.
 */
extern Lock *txn_own_lock(Lock *lock, uint64_t start_ts);

/*
 * Take the transaction's own lock away; commit_ts 0 is a rollback.  A shared
 * container loses a member (*lock is changed) and is deleted, and its waiters
 * woken, with the last one.
 */
extern void txn_unlock(TxnEnv *env, Bytes key, Lock *lock, uint64_t start_ts,
					   uint64_t commit_ts);

/* MakeRollback, CollapsePrev, MarkOnMismatch and RollbackLock of section 7. */
extern void txn_make_rollback(TxnEnv *env, Bytes key, uint64_t start_ts,
							  bool is_protected, const CommitRecord *record);
extern void txn_collapse_prev(TxnEnv *env, Bytes key, uint64_t start_ts);
extern void txn_mark_on_mismatch(TxnEnv *env, Bytes key, const Lock *lock,
								 uint64_t start_ts, bool is_protected);

/*
 * Roll the transaction's own lock back, which must be there.  The answer is 0,
 * or the commit_ts of a commit record that it left beside the lock: then the
 * transaction is committed, and only the lock is deleted.
 */
extern uint64_t txn_rollback_lock(TxnEnv *env, Bytes key, Lock *lock,
								  uint64_t start_ts, bool collapse);

/* cleanup() of 10.1.  False with the reason in *error, which is zeroed. */
extern bool txn_cleanup_key(TxnEnv *env, Bytes key, uint64_t start_ts,
							uint64_t current_ts, bool is_protected,
							TxnError *error);

/*
 * commit_key.c: KvCommit of one key (9); its caller has compared the two
 * timestamps.  False with the reason in *error, which is zeroed.  Like
 * txn_cleanup_key it sees what env->reader shows: who handles several
 * transactions on one key lays a PendingReader over it.
 */
extern bool txn_commit_key(TxnEnv *env, Bytes key, uint64_t start_ts,
						   uint64_t commit_ts, TxnError *error);

#endif /* TIKV_TXN_COMMAND_H */
