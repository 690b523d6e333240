/*
 * types.h
 *	  What transaction commands are made of: mutations, errors, lock infos.
 *
 * Names are kvrpcpb's.  Bytes are borrowed from the request or live in the
 * command's arena.
 */
#ifndef TIKV_TXN_TYPES_H
#define TIKV_TXN_TYPES_H

#include "core/codec/lock.h"

/* kvrpcpb.Op, with its numbers. */
typedef enum MutationOp
{
	MUTATION_PUT = 0,
	MUTATION_DELETE = 1,
	MUTATION_LOCK = 2,
	MUTATION_ROLLBACK = 3, /* never in a request that is carried out */
	MUTATION_INSERT = 4,
	MUTATION_PESSIMISTIC_LOCK = 5,
	MUTATION_CHECK_NOT_EXISTS = 6,
	MUTATION_SHARED_LOCK = 7,
	MUTATION_SHARED_PESSIMISTIC_LOCK = 8
} MutationOp;

/* kvrpcpb.Assertion. */
typedef enum Assertion
{
	ASSERTION_NONE = 0,
	ASSERTION_EXIST = 1,
	ASSERTION_NOT_EXIST = 2
} Assertion;

/* kvrpcpb.AssertionLevel. */
typedef enum AssertionLevel
{
	ASSERTION_LEVEL_OFF = 0,
	ASSERTION_LEVEL_FAST = 1,
	ASSERTION_LEVEL_STRICT = 2
} AssertionLevel;

typedef struct Mutation
{
	MutationOp op;
	Bytes key;
	Bytes value;
	Assertion assertion;
} Mutation;

/* A lock as clients are told of it (kvrpcpb.LockInfo). */
typedef struct LockInfo
{
	Bytes key; /* raw key */
	Lock lock;
	uint64_t ttl_ms; /* as reported: may differ from the lock's */
	uint64_t duration_to_last_update_ms; /* of a lock wait, 0: not known */
} LockInfo;

/* kvrpcpb.WriteConflict.Reason. */
typedef enum ConflictReason
{
	CONFLICT_UNKNOWN = 0,
	CONFLICT_OPTIMISTIC = 1,
	CONFLICT_PESSIMISTIC_RETRY = 2,
	CONFLICT_SELF_ROLLED_BACK = 3,
	CONFLICT_RC_CHECK_TS = 4,
	CONFLICT_LAZY_UNIQUENESS_CHECK = 5
} ConflictReason;

typedef enum TxnErrorKind
{
	TXN_OK = 0,
	TXN_KEY_IS_LOCKED,		 /* lock */
	TXN_WRITE_CONFLICT,		 /* start_ts, conflict_*, key, primary, reason */
	TXN_ALREADY_EXIST,		 /* key, existing_start_ts */
	TXN_DEADLOCK,			 /* conflict_ts = lock_ts, key, chain */
	TXN_COMMIT_TS_EXPIRED,	 /* start_ts, commit_ts, key, min_commit_ts */
	TXN_TXN_NOT_FOUND,		 /* start_ts, key = primary */
	TXN_COMMIT_TS_TOO_LARGE, /* min_commit_ts */
	TXN_ASSERTION_FAILED,	 /* start_ts, key, assertion, existing_* */
	TXN_PRIMARY_MISMATCH,	 /* lock */
	TXN_LOCK_NOT_FOUND,		 /* start_ts, commit_ts, key */
	TXN_COMMITTED,			 /* start_ts, commit_ts, key */
	TXN_PESSIMISTIC_LOCK_NOT_FOUND,	  /* start_ts, key, text */
	TXN_PESSIMISTIC_LOCK_ROLLED_BACK, /* start_ts, key */
	TXN_LOCK_TYPE_NOT_MATCH,		  /* start_ts, key */
	TXN_INVALID_TXN_TSO,			  /* start_ts, commit_ts */
	TXN_KEY_TOO_LARGE,		   /* existing_start_ts = size, commit_ts = limit */
	TXN_LOCK_IF_EXISTS_FAILED, /* start_ts, key */
	TXN_DEFAULT_NOT_FOUND,	   /* key, start_ts */
	TXN_GENERATION_OUT_OF_ORDER, /* inside the core: Flush ignores it */
	TXN_MAX_TS_NOT_SYNCED,		 /* a region error */
	TXN_FLASHBACK_IN_PROGRESS,	 /* a region error */
	TXN_FLASHBACK_NOT_PREPARED,	 /* a region error */
	TXN_ABORT					 /* anything else: text */
} TxnErrorKind;

/* One edge of a wait chain (deadlock.WaitForEntry). */
typedef struct WaitForEntry
{
	uint64_t txn;
	uint64_t wait_for_txn;
	uint64_t key_hash;
	Bytes key;
	Bytes resource_group_tag;
} WaitForEntry;

typedef struct TxnError
{
	TxnErrorKind kind;
	Bytes key;
	Bytes primary;
	uint64_t start_ts;
	uint64_t commit_ts;
	uint64_t min_commit_ts;
	uint64_t conflict_ts; /* start_ts of the other transaction */
	uint64_t conflict_commit_ts;
	ConflictReason reason;
	Assertion assertion;
	uint64_t existing_start_ts;
	uint64_t existing_commit_ts;
	LockInfo lock;
	uint64_t deadlock_key_hash;
	const WaitForEntry *wait_chain;
	size_t n_wait_chain;
	const char *text; /* TXN_ABORT and where noted; static or in the arena */
} TxnError;

#endif /* TIKV_TXN_TYPES_H */
