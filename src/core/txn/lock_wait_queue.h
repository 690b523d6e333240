/*
 * lock_wait_queue.h
 *	  The parts of a LockWait: queues by key, waiters, what they wait for.
 *
 * Internal to lock_wait.c and lock_wait_queue.c.  A waiter is in its queue
 * and in the heap of deadlines until something is decided about it; then it
 * is in the list of what is ready to be handed out.
 */
#ifndef TIKV_TXN_LOCK_WAIT_QUEUE_H
#define TIKV_TXN_LOCK_WAIT_QUEUE_H

#include "core/base/chain_table.h"
#include "core/base/heap.h"
#include "core/txn/lock_wait.h"

typedef struct WaitQueue
{
	ChainLink link; /* by key */
	uint8_t *key;
	size_t key_len;
	uint64_t key_hash; /* as deadlocks name it */
	Heap waiters;

	/* The lock that was last seen on the key, encoded. */
	uint8_t *lock;
	size_t lock_len;
	uint64_t lock_ttl_ms;

	/*
	 * A wake-up in normal mode leaves the key free, and nobody may lock it:
	 * so those who were there at that moment are woken too, a little later.
	 */
	uint64_t wake_ups; /* in normal mode */
	HeapNode notify;
	int64_t notify_us;
	uint64_t conflict_ts; /* of the newest release */
	uint64_t conflict_commit_ts;
} WaitQueue;

/* What a deadlock error is made of, until it has been handed out. */
typedef struct Report
{
	Arena arena;
	TxnError error;
} Report;

typedef struct Waiter
{
	ChainLink link; /* by token */
	void *token;
	WaitQueue *queue; /* NULL: ready */
	HeapNode in_queue;
	HeapNode in_deadlines;
	uint64_t start_ts;
	uint64_t sequence;		/* of arrival, among equals */
	uint64_t wake_ups_seen; /* by its queue, when it came */
	int64_t since_us;
	int64_t deadline_us;
	int64_t updated_us; /* when its blocker last changed; 0 never */
	bool is_first_lock;
	bool allow_conflict;
	bool is_shared;
	uint8_t *tag;
	size_t tag_len;

	/* Whom it waits for: several, if members of a shared lock. */
	uint64_t *wait_for;
	size_t n_wait_for;

	/* ready: what to hand out */
	struct Waiter *next_ready;
	LockWaitEventKind kind;
	uint64_t conflict_ts;
	uint64_t conflict_commit_ts;
	Report *report;
} Waiter;

struct LockWait
{
	LockWaitConfig config;
	ChainTable queues;
	ChainTable waiters;
	Heap deadlines;
	Heap notifies;
	Waiter *ready;
	Waiter **ready_end;
	uint64_t sequence;
	Deadlocks *deadlocks;
	void (*send)(void *arg, DeadlockRequestKind kind,
				 const WaitForEntry *entry);
	void *send_arg;

	/* What the event handed out last points to. */
	Arena arena;
	Report *handed_out;
};

extern WaitQueue *wait_queue_find(const LockWait *wait, Bytes key);
extern WaitQueue *wait_queue_make(LockWait *wait, Bytes key);

/* The waiter that a release wakes; NULL if there is none. */
extern Waiter *wait_queue_head(const WaitQueue *queue);

/* Remember the lock that is on the key now. */
extern void wait_queue_note_lock(LockWait *wait, WaitQueue *queue,
								 const LockInfo *info);

/* A queue without waiters is freed. */
extern void wait_queue_drop_if_empty(LockWait *wait, WaitQueue *queue);

/* In no queue yet. */
extern Waiter *waiter_make(LockWait *wait, const LockWaitRequest *request,
						   int64_t now_us, int64_t deadline_us);
extern Waiter *waiter_find(const LockWait *wait, const void *token);
extern void waiter_free(LockWait *wait, Waiter *waiter);
extern void waiter_join(LockWait *wait, Waiter *waiter, WaitQueue *queue);

/* The queue may be empty then, which the caller sees to. */
extern void waiter_leave(LockWait *wait, Waiter *waiter);

/* Decided: it leaves its queue, and is handed out in its turn. */
extern void waiter_make_ready(LockWait *wait, Waiter *waiter,
							  LockWaitEventKind kind);

/* The transactions that hold the lock, the waiter's own left out. */
extern void waiter_set_blockers(Waiter *waiter, const Lock *lock);
extern bool waiter_has_blockers(const Waiter *waiter, const Lock *lock);
extern bool waiter_waits_for(const Waiter *waiter, uint64_t txn);

/* Tell the graph whom it waits for; a report if that closes a cycle. */
extern Report *waiter_detect(LockWait *wait, const Waiter *waiter,
							 int64_t now_us);

/* The graph forgets that it waits on this key. */
extern void waiter_forget_edges(LockWait *wait, const Waiter *waiter);

/* The error for a waiter: the chain that was found, and its own edge. */
extern Report *wait_report_make(const WaitForEntry *entry,
								const DeadlockFound *found);
extern void wait_report_free(Report *report);

#endif /* TIKV_TXN_LOCK_WAIT_QUEUE_H */
