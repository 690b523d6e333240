/*
 * effects.h
 *	  What a command wants done, once its turn is durable.
 *
 * A command function changes nothing: it lists rows to put and delete, locks
 * that live in memory only, guards it has published, what it released and
 * what it learned.  All or nothing: a command that answers an error may have
 * effects only where its table says so.
 */
#ifndef TIKV_TXN_EFFECTS_H
#define TIKV_TXN_EFFECTS_H

#include "core/mvcc/reader.h"

typedef enum TxnCf
{
	TXN_CF_LOCK,
	TXN_CF_WRITE,
	TXN_CF_VALUE /* CF default */
} TxnCf;

typedef struct TxnModify
{
	TxnCf cf;
	bool is_delete;
	bool memory_only;	/* LOCK: an in-memory pessimistic lock, no row */
	Bytes key;			/* user key */
	uint64_t ts;		/* WRITE: commit_ts; VALUE: start_ts; LOCK: 0 */
	uint64_t region_id; /* memory_only: whose memory it counts to */
	Bytes bytes;		/* encoded Lock or Write record, or the value */
	const Lock *lock;	/* LOCK put: the record decoded, in the arena */
	WriteRecord write;	/* WRITE put: the record decoded */
} TxnModify;

/* A lock that ended: whoever waits for it may go on (txn-semantics 16). */
typedef struct TxnReleased
{
	Bytes key;
	uint64_t start_ts;
	uint64_t commit_ts; /* 0: rolled back */
	bool pessimistic;	/* what kind of lock it was */
} TxnReleased;

/* For the transaction status cache. */
typedef struct TxnKnown
{
	uint64_t start_ts;
	uint64_t commit_ts;
} TxnKnown;

/* A guard in the memory lock table that ends with the turn. */
typedef struct TxnGuard
{
	Bytes key;
	uint64_t start_ts;
} TxnGuard;

typedef struct TxnEffects
{
	Arena *arena; /* of the turn: outlives the command */
	TxnModify *modifies;
	size_t n_modifies;
	size_t modifies_room;
	TxnReleased *released;
	size_t n_released;
	size_t released_room;
	TxnKnown *known;
	size_t n_known;
	size_t known_room;
	TxnGuard *guards;
	size_t n_guards;
	size_t guards_room;
	size_t bytes; /* of keys and values, for the 32 KiB slices */
	bool one_pc;  /* the flag of the raft command */
} TxnEffects;

extern void effects_init(TxnEffects *effects, Arena *arena);

/* Drop everything that was listed (not the guards: see env.h). */
extern void effects_clear(TxnEffects *effects);

/* Keys are copied by reference: they must live as long as the arena. */
extern void effects_put_lock(TxnEffects *effects, Bytes key, const Lock *lock);
extern void effects_put_memory_lock(TxnEffects *effects, Bytes key,
									const Lock *lock);
extern void effects_delete_lock(TxnEffects *effects, Bytes key);
extern void effects_put_write(TxnEffects *effects, Bytes key,
							  uint64_t commit_ts, const WriteRecord *write);
extern void effects_delete_write(TxnEffects *effects, Bytes key,
								 uint64_t commit_ts);
extern void effects_put_value(TxnEffects *effects, Bytes key, uint64_t start_ts,
							  Bytes value);
extern void effects_delete_value(TxnEffects *effects, Bytes key,
								 uint64_t start_ts);

/*
 * Of keys that were written several times by one transaction the last lock or
 * record counts: delete the values that it does not need.
 */
extern void effects_drop_orphans(TxnEffects *effects, Arena *scratch);

/* Delete the lock and wake its waiters; commit_ts 0 is a rollback. */
extern void effects_release(TxnEffects *effects, Bytes key, const Lock *lock,
							uint64_t commit_ts);

/* As effects_release without deleting (a shared container lost a member). */
extern void effects_note_released(TxnEffects *effects, Bytes key,
								  uint64_t start_ts, uint64_t commit_ts,
								  bool pessimistic);
extern void effects_know(TxnEffects *effects, uint64_t start_ts,
						 uint64_t commit_ts);
extern void effects_guard(TxnEffects *effects, Bytes key, uint64_t start_ts);

#endif /* TIKV_TXN_EFFECTS_H */
