/*
 * lock_resolver.h
 *	  What to ask, and then to do, about a lock whose transaction may be dead.
 *
 * The client's side of txn-semantics 11 to 13 and 18, as a machine: it names
 * one command after the other and is told each answer.  A client sends the
 * commands to where their keys are, which may be in several regions; garbage
 * collection, which can't divide them, has them name one key each.  Source: tikv/client-go txnkv/txnlock/lock_resolver.go.
 */
#ifndef TIKV_TXN_LOCK_RESOLVER_H
#define TIKV_TXN_LOCK_RESOLVER_H

#include "core/txn/command.h"

typedef enum LockResolverStep
{
	LOCK_RESOLVER_RUN,	 /* run resolver->command, then come again */
	LOCK_RESOLVER_DONE,	 /* the lock is gone */
	LOCK_RESOLVER_ALIVE, /* its transaction lives: lock_ttl_ms */
	LOCK_RESOLVER_FAILED /* error: nothing more can be done here */
} LockResolverStep;

typedef enum LockResolverState
{
	LOCK_RESOLVER_ASKS_PRIMARY,
	LOCK_RESOLVER_ASKS_SECONDARIES,
	LOCK_RESOLVER_ENDS_LOCK
} LockResolverState;

typedef struct LockResolver
{
	LockInfo lock;
	uint64_t caller_start_ts; /* 0: not a reader */
	uint64_t current_ts;	  /* UINT64_MAX: every lock counts as expired */
	bool one_by_one;		  /* set after the begin: one key per command */
	Arena *arena;
	LockResolverState state;
	bool force_sync_commit;
	bool pushed; /* ALIVE: it will commit above caller_start_ts */
	TxnCommand command;
	const Bytes *keys; /* of an async commit, to be asked about or ended */
	size_t n_keys;
	size_t n_named;		  /* those up to here are in a command, or were */
	TxnStatusOf fate;	  /* as the primary tells */
	LockInfo primary;	  /* of an async commit */
	uint64_t lock_ttl_ms; /* ALIVE */
	TxnError error;		  /* FAILED */
} LockResolver;

/* The lock is borrowed; memory is the arena's.  The first command is set. */
extern void lock_resolver_begin(LockResolver *resolver, const LockInfo *lock,
								uint64_t caller_start_ts, uint64_t current_ts,
								Arena *arena);

/* The answer of resolver->command, which may be replaced by the next one. */
extern LockResolverStep lock_resolver_next(LockResolver *resolver,
										   const TxnAnswer *answer);

#endif /* TIKV_TXN_LOCK_RESOLVER_H */
