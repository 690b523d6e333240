/*
 * prewrite.h
 *	  What the files of prewrite share: a request and a key on its way.
 *
 * prewrite.c takes the request apart and adds the keys' outcomes up (8.1,
 * 8.7), prewrite_key.c meets the lock and writes the new one (8.2, 8.6),
 * prewrite_check.c looks at the key's history (8.3 to 8.5).
 */
#ifndef TIKV_TXN_PREWRITE_H
#define TIKV_TXN_PREWRITE_H

#include "core/txn/command.h"

/* A lock that becomes a Write record at the end, if 1PC lasts. */
typedef struct OnePcLock
{
	Bytes key;
	Lock lock;
	bool replaces_lock; /* a pessimistic one, to be deleted */
} OnePcLock;

typedef struct Prewrite
{
	TxnEnv *env;
	const PrewriteCommand *command;
	uint64_t generation; /* 0: not a flush */
	bool is_pessimistic;
	bool is_retry; /* look at CF write even where the lock is trusted */
	bool skip_constraint_check; /* optimistic: there is nothing to look at */
	uint64_t txn_size;
	uint64_t min_commit_ts;

	/* How it is to be committed; both false is 2PC, as after a fallback. */
	bool use_async_commit;
	bool try_one_pc;
	OnePcLock *one_pc_locks;
	size_t n_one_pc_locks;
} Prewrite;

typedef enum PrewriteLockState
{
	PREWRITE_NO_LOCK,
	PREWRITE_OWN_PESSIMISTIC, /* to be replaced */
	PREWRITE_OWN_LOCK		  /* prewritten before */
} PrewriteLockState;

typedef struct PrewriteKey
{
	Prewrite *request;
	const Mutation *mutation;
	PessimisticAction action;
	bool has_expected;
	uint64_t expected_for_update_ts;
	TxnError *error; /* where to say why not */

	PrewriteLockState lock_state;
	uint64_t own_min_commit_ts; /* OWN_LOCK: to be answered */
	uint64_t own_for_update_ts; /* OWN_PESSIMISTIC */
	bool is_shared;				/* the lock is a member of `container` */
	Lock container;
	bool is_amended;
	bool had_value; /* OWN_LOCK: of an earlier flush, with a long value */

	/* of the lock to be written */
	uint64_t ttl_ms;
	uint64_t min_commit_ts;
	LastChange last_change;
} PrewriteKey;

static inline bool
prewrite_needs_min_commit_ts(const Prewrite *request)
{
	return request->use_async_commit || request->try_one_pc;
}

/* Insert and CheckNotExists. */
static inline bool
prewrite_should_not_exist(const PrewriteKey *key)
{
	return key->mutation->op == MUTATION_INSERT ||
		key->mutation->op == MUTATION_CHECK_NOT_EXISTS;
}

/*
 * One key.  True with its min_commit_ts (0 in 2PC), or false with *key->error;
 * COMMIT_TS_TOO_LARGE means that the lock has been listed as one of 2PC.
 */
extern bool prewrite_key(PrewriteKey *key, uint64_t *min_commit_ts);

/* Fill in the parts that all errors about the key share; false. */
extern bool prewrite_fail(PrewriteKey *key, TxnErrorKind kind,
						  const char *text);

/* Constraints (8.3) and assertion (8.4), as far as they are due. */
extern bool prewrite_check(PrewriteKey *key);

/* The pessimistic lock is gone: go on without it, if that is safe (8.5). */
extern bool prewrite_amend(PrewriteKey *key);

#endif /* TIKV_TXN_PREWRITE_H */
