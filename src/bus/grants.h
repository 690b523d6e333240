/*
 * grants.h
 *	  Grants in shared memory: key-value writes that a backend makes under its
 *	  own transaction id, so that they commit with its tables (DESIGN 8).
 *
 * The store makes a grant and frees it; the backend notes where it has
 * written rows that the store remembers by address, and says when its
 * transaction has ended.  A grant outlives the store's process: the next one
 * finds its keys here, and latches them before it serves.  After a crash of
 * the server there are none, since no transaction is in progress.
 *
 * Nothing revokes a grant but the end of its transaction.
 */
#ifndef TIKV_BUS_GRANTS_H
#define TIKV_BUS_GRANTS_H

#include "bus/shmem.h"
#include "core/base/bytes.h"
#include "storage/itemptr.h"

/* So much of keys and locks may one grant hold. */
#define GRANT_BYTES_MAX ((Size) 1 << 20)

typedef enum GrantState
{
	GRANT_FREE,
	GRANT_FILLING, /* the store is at it: it was not granted */
	GRANT_LIVE,
	GRANT_ENDED /* says the backend */
} GrantState;

/* Where the transaction's own lock on the key was. */
typedef enum GrantKeyLock
{
	GRANT_LOCK_NONE,
	GRANT_LOCK_MEMORY,
	GRANT_LOCK_SLOT,
	GRANT_LOCK_SPILLED
} GrantKeyLock;

/* A key of a grant; key and guard follow it, in this order. */
typedef struct GrantKey
{
	uint32 key_len;
	uint32 guard_len; /* of the encoded lock; 0: the key has no guard */
	uint64 min_commit_ts;
	uint8 lock; /* GrantKeyLock */
	bool use_one_pc;

	/* GRANT_LOCK_SLOT: its row; by the backend: where that is now. */
	uint64 slot;
	Oid file; /* the relfilenode; invalid: not written */
	ItemPointerData row;
} GrantKey;

typedef struct GrantView
{
	GrantState state;
	uint64 generation;
	TransactionId xid;
	uint64 start_ts;
	uint64 commit_ts;
	uint32 n_keys;
} GrantView;

/* ---- the store ---- */

/* How much room a key takes; summed up for grant_take. */
extern Size grant_key_size(Bytes key, Bytes guard);

/* A free grant with so much room, FILLING; -1 if there is none. */
extern int grant_take(TransactionId xid, uint64 start_ts, uint64 commit_ts,
					  Size bytes);
extern void grant_add_key(int grant, const GrantKey *from, Bytes key,
						  Bytes guard);
extern uint64 grant_set_live(int grant); /* its generation */
extern void grant_free(int grant);

/* Free those that no reply can have told of.  The first act of a store. */
extern void grants_reset_filling(void);

/* What a backend has noted, its sqlstate; 0: nothing. */
extern int grant_error(int grant, const char **message);

/* Has a backend said that it is done, since the last call? */
extern bool grants_take_news(void);
extern bool grants_have_news(void);

/* ---- both ---- */

extern int grants_n(void);
extern void grant_view(int grant, GrantView *out);

/* The keys in order; `at` begins as 0.  NULL at the end. */
extern GrantKey *grant_next_key(int grant, Size *at);

static inline Bytes
grant_key_bytes(const GrantKey *key)
{
	return bytes_make((const uint8 *) (key + 1), key->key_len);
}

static inline Bytes
grant_guard_bytes(const GrantKey *key)
{
	return bytes_make((const uint8 *) (key + 1) + key->key_len, key->guard_len);
}

/* ---- the backend ---- */

/* Its rows cannot be written: for the store, which finds out about it. */
extern void grant_note_error(int grant, int sqlstate, const char *message);

/* Its transaction has ended: wakes the store.  An old generation: nothing. */
extern void grant_end(int grant, uint64 generation);

extern Size grants_shmem_size(void);
extern void grants_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_GRANTS_H */
