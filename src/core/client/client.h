/*
 * client.h
 *	  What a TiKV client does: find the region, send, wait, try again, and
 *	  commit over several regions.
 *
 * Pure: whatever it needs from the world is behind ClientIo, whose functions
 * may leave by a long jump (a cancelled query), so nothing here owns memory
 * but the arena that it is given and the region cache.
 * Sources: tikv/client-go internal/locate, txnkv/transaction, txnkv/txnlock.
 */
#ifndef TIKV_CLIENT_CLIENT_H
#define TIKV_CLIENT_CLIENT_H

#include "core/client/backoff.h"
#include "core/client/membuffer.h"
#include "core/client/region_cache.h"
#include "core/txn/command.h"

/* ---- the world ---- */

typedef enum SubmitOutcome
{
	SUBMIT_ANSWERED, /* `reply` */
	SUBMIT_UNSENT,	 /* nothing happened */
	SUBMIT_UNKNOWN	 /* it may yet be carried out */
} SubmitOutcome;

/* A region error, or the command's answer; all of it in the arena. */
typedef struct ClientReply
{
	RegionErrorKind region_error;
	RegionPeer leader;	   /* NOT_LEADER: id 0 if unknown */
	uint64_t backoff_ms;   /* SERVER_IS_BUSY: 0 if it did not say */
	const Region *current; /* EPOCH_NOT_MATCH: what there is instead */
	size_t n_current;
	const char *text; /* for people */
	TxnAnswer answer;
} ClientReply;

typedef struct ClientIo ClientIo;

struct ClientIo
{
	/* The region that holds the key; false: nobody knows one now. */
	bool (*locate)(ClientIo *io, Bytes key, Arena *arena, Region *region,
				   RegionPeer *leader);

	/* Send a command to a region's leader and wait. */
	SubmitOutcome (*submit)(ClientIo *io, const CachedRegion *region,
							const TxnCommand *command, bool is_retry,
							Arena *arena, ClientReply *reply);

	/* The next timestamp of the oracle. */
	bool (*timestamp)(ClientIo *io, uint64_t *ts);

	/* False: there is no more time. */
	bool (*sleep)(ClientIo *io, int64_t ms);
};

/* One request's keys and values; a client of the network takes 16 KiB. */
#define CLIENT_BATCH_BYTES ((size_t) 512 * 1024)
#define CLIENT_BATCH_KEYS 4096

/* What it takes in the log, where every lock names the primary key, too. */
#define CLIENT_BATCH_ENTRY ((size_t) 4 * 1024 * 1024)

typedef struct Client
{
	ClientIo *io;
	RegionCache cache;
	uint64_t random;
	size_t batch_bytes;
	size_t batch_keys;
	size_t batch_entry;
} Client;

extern void client_init(Client *client, ClientIo *io, uint64_t seed);
extern void client_free(Client *client);

/* ---- call.c: one command, wherever its keys are ---- */

typedef enum ClientOutcome
{
	CLIENT_OK,
	CLIENT_REFUSED, /* `error`: by the rules of transactions */
	CLIENT_REGION,	/* `region_error`: waiting would not help */
	CLIENT_GAVE_UP, /* no time left; what was sent last did nothing */
	CLIENT_UNKNOWN	/* no time left; it may yet be carried out */
} ClientOutcome;

typedef struct ClientResult
{
	ClientOutcome outcome;
	TxnError error;
	RegionErrorKind region_error; /* also of GAVE_UP: the last one met */
	const char *text;			  /* goes with it; may be NULL */
	bool one_request;			  /* the command went to one region, whole */
	bool fell_back;				  /* prewrite: some part is a plain one */
	TxnAnswer answer;			  /* of all parts together */
} ClientResult;

/*
 * Carry out a command, in as many requests as regions and bounds ask for, one
 * after the other; the first refusal ends it.  Parts may be carried out more
 * than once: TiKV's commands allow that.
 */
extern void client_run(Client *client, const TxnCommand *command,
					   Backoff *backoff, Arena *arena, ClientResult *result);

/* The keys that a command names. */
extern size_t client_n_keys(const TxnCommand *command);
extern Bytes client_key(const TxnCommand *command, size_t i);

/* ---- resolve.c: a lock is in the way ---- */

typedef enum ResolveOutcome
{
	RESOLVE_GONE,	/* try again */
	RESOLVE_ALIVE,	/* ttl_ms */
	RESOLVE_PUSHED, /* alive, but commits above the caller: read past it */
	RESOLVE_FAILED	/* `result` */
} ResolveOutcome;

typedef struct ClientResolve
{
	ResolveOutcome outcome;
	uint64_t ttl_ms;
	uint64_t start_ts; /* of the transaction */

	/*
	 * GONE: what became of it, which never changes, so that its other locks
	 * need no question; not told of pessimistic and shared locks.
	 */
	bool decided;
	uint64_t commit_ts; /* 0: rolled back */
	ClientResult result;
} ClientResolve;

/* caller_start_ts: the reader's timestamp; 0: of a writer. */
extern void client_resolve(Client *client, const LockInfo *lock,
						   uint64_t caller_start_ts, Backoff *backoff,
						   Arena *arena, ClientResolve *resolve);

/* ---- committer.c ---- */

typedef enum CommitKind
{
	COMMIT_NONE, /* nothing to commit */
	COMMIT_ONE_PC,
	COMMIT_ASYNC,
	COMMIT_TWO_PHASE,
	COMMIT_ONE_COMMIT /* of Postgres, for keys and tables (DESIGN 8) */
} CommitKind;

/* Bounds of an async commit, client-go's. */
#define ASYNC_COMMIT_MAX_KEYS 256
#define ASYNC_COMMIT_MAX_BYTES 4096

typedef struct Committer
{
	uint64_t start_ts;
	uint64_t for_update_ts; /* 0: optimistic */
	Bytes primary;			/* empty: to be chosen */
	uint64_t lock_ttl_ms;	/* 0: by size */
	uint64_t age_ms;		/* since start_ts, where a ttl begins */
	bool try_one_pc;
	bool try_async;

	/* By committer_plan: sorted by key. */
	Mutation *mutations;
	PessimisticAction *actions;
	Bytes *keys;
	size_t n;
	size_t bytes;

	/* By committer_run. */
	CommitKind kind;
	uint64_t commit_ts;
} Committer;

/* What the buffer says must be written. */
extern void committer_plan(Committer *committer, const MemBuffer *buffer,
						   Arena *arena);

/*
 * Prewrite, and commit the primary where that takes a step of its own.
 * CLIENT_OK: it is committed, for good.  CLIENT_UNKNOWN: it may or may not
 * be.  Else it is not, and committer_undo is to follow.
 */
extern void committer_run(Client *client, Committer *committer, Arena *arena,
						  ClientResult *result);

/*
 * The prewrite of a transaction that is to be committed as a whole by whoever
 * takes it: one phase or nothing.  False: there is nothing but checks in it.
 */
extern bool committer_whole(const Committer *committer, uint64_t floor_ts,
							Arena *arena, PrewriteCommand *prewrite);

/*
 * The locks that a prewrite met (result->answer.errors) are ended or waited
 * for; false: no use, and why is in *result.
 */
extern bool committer_clear_locks(Client *client, Backoff *backoff,
								  Arena *arena, ClientResult *result);

/*
 * After CLIENT_OK: the locks that are left become versions.  After a refusal:
 * they go.  Whoever meets one does it otherwise, so failures do not matter.
 */
extern void committer_finish(Client *client, const Committer *committer,
							 Arena *arena);
extern void committer_undo(Client *client, const Committer *committer,
						   Arena *arena);

/* ---- locker.c ---- */

typedef enum LockerOutcome
{
	LOCKER_OK,		 /* answer.results */
	LOCKER_BUSY,	 /* `lock` is held by somebody who lives */
	LOCKER_CONFLICT, /* something newer was committed: error */
	LOCKER_FAILED	 /* `result` */
} LockerOutcome;

typedef struct Locker
{
	LockerOutcome outcome;
	LockInfo lock;
	ClientResult result;
} Locker;

/*
 * Take pessimistic locks; locks of the dead are resolved on the way.  All of
 * them or (but for other regions) none; with wait_timeout_ms >= 0 the store
 * waits for one that is held.
 */
extern void client_lock(Client *client, const PessimisticLockCommand *command,
						Backoff *backoff, Arena *arena, Locker *locker);

#endif /* TIKV_CLIENT_CLIENT_H */
