/*
 * deadlock.h
 *	  Who waits for whom, and whether one more edge closes a cycle
 *	  (txn-semantics 17).
 *
 * A pure machine: time is an argument.  One node of the cluster, the leader
 * of the first region, holds the graph for all; becoming leader begins with
 * an empty one.  An edge lives for a time after it was last reported, so what
 * a lost node left behind goes away by itself.  Memory is bounded: an edge
 * for which there is no room is not kept, and its waiter times out.
 * Source: tikv/tikv src/server/lock_manager/deadlock.rs.
 */
#ifndef TIKV_TXN_DEADLOCK_H
#define TIKV_TXN_DEADLOCK_H

#include "core/txn/types.h"

typedef struct Deadlocks Deadlocks;

typedef struct DeadlockFound
{
	uint64_t key_hash;		   /* of the first key of the closing edge */
	const WaitForEntry *chain; /* without the edge that was asked about */
	size_t n_chain;
} DeadlockFound;

extern Deadlocks *deadlocks_new(int64_t ttl_us, size_t max_bytes);
extern void deadlocks_free(Deadlocks *deadlocks);

/*
 * `entry` waits from now on, or still.  True if that closes a cycle: then the
 * edge is not kept, and *found lives in the arena.
 */
extern bool deadlocks_detect(Deadlocks *deadlocks, const WaitForEntry *entry,
							 int64_t now_us, Arena *arena,
							 DeadlockFound *found);

/* The transaction waits no more for the other because of this key. */
extern void deadlocks_clean_up_wait_for(Deadlocks *deadlocks, uint64_t txn,
										uint64_t wait_for_txn,
										uint64_t key_hash);

/* The transaction waits for nobody. */
extern void deadlocks_clean_up(Deadlocks *deadlocks, uint64_t txn);

/* The node became leader, or ceased to be. */
extern void deadlocks_clear(Deadlocks *deadlocks);

/* Every edge that counts still, by the oldest of its keys; in no order. */
extern void deadlocks_each(const Deadlocks *deadlocks, int64_t now_us,
						   Arena *arena,
						   void (*emit)(void *arg, const WaitForEntry *entry),
						   void *arg);

/* Edges kept, those out of date included. */
extern size_t deadlocks_count(const Deadlocks *deadlocks);
extern size_t deadlocks_bytes(const Deadlocks *deadlocks);

#endif /* TIKV_TXN_DEADLOCK_H */
