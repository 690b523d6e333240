/*
 * lock_wait.h
 *	  Who waits for which lock, and whom a release wakes (txn-semantics 16).
 *
 * A pure machine: time is an argument, what it decides comes out as events.
 * The driver parks a pessimistic lock request under a token, tells it of
 * releases and of new holders, and carries the events out.
 * Source: tikv/tikv src/storage/lock_manager/lock_waiting_queue.rs,
 * src/server/lock_manager/waiter_manager.rs.
 */
#ifndef TIKV_TXN_LOCK_WAIT_H
#define TIKV_TXN_LOCK_WAIT_H

#include "core/txn/deadlock.h"

typedef struct LockWaitConfig
{
	int64_t wake_up_delay_us;	/* 20 ms in TiKV */
	int64_t default_timeout_us; /* wait_for_lock_timeout, 1 s: the ceiling */
	size_t max_waiters;			/* beyond it lock_wait_park answers busy */
	size_t max_deadlock_bytes;	/* of the graph; 0: LOCK_WAIT_GRAPH_BYTES */
} LockWaitConfig;

#define LOCK_WAIT_GRAPH_BYTES ((size_t) 64 * 1024 * 1024)

typedef struct LockWait LockWait;

typedef struct LockWaitRequest
{
	void *token; /* the driver's; unique among those parked */
	Bytes key;	 /* copied */
	uint64_t start_ts;
	uint64_t for_update_ts;
	bool is_first_lock;	 /* holds nothing: no deadlock detection */
	bool allow_conflict; /* force-lock: resumed in the store, not answered */
	bool is_shared;
	int64_t wait_timeout_ms; /* 0: the default; cut at the ceiling */
	int64_t deadline_us;	 /* of a request parked again: keep it; else 0 */
	LockInfo blocker;		 /* copied */
	Bytes resource_group_tag;
} LockWaitRequest;

typedef enum LockWaitEventKind
{
	LOCK_WAIT_CONFLICT, /* answer WriteConflict PessimisticRetry */
	LOCK_WAIT_RESUME,	/* run the command again, resumed, allow conflict */
	LOCK_WAIT_TIMEOUT,	/* answer KeyIsLocked with `blocker` */
	LOCK_WAIT_DEADLOCK	/* answer `error` (TXN_DEADLOCK) */
} LockWaitEventKind;

typedef struct LockWaitEvent
{
	LockWaitEventKind kind;
	void *token;
	int64_t deadline_us;		 /* RESUME: for parking again */
	uint64_t conflict_ts;		 /* CONFLICT: the releaser's start_ts ... */
	uint64_t conflict_commit_ts; /* ... and commit_ts or 0 */
	LockInfo blocker;			 /* TIMEOUT; valid until the next call */
	TxnError error;				 /* DEADLOCK; valid until the next call */
} LockWaitEvent;

typedef enum LockWaitAnswer
{
	LOCK_WAIT_PARKED,
	LOCK_WAIT_BUSY, /* too many waiters */
	LOCK_WAIT_NOW	/* decided at once: *event */
} LockWaitAnswer;

extern LockWait *lock_wait_new(const LockWaitConfig *config);
extern void lock_wait_free(LockWait *wait);

extern LockWaitAnswer lock_wait_park(LockWait *wait,
									 const LockWaitRequest *request,
									 int64_t now_us, LockWaitEvent *event);

/* A lock ended; commit_ts 0 is a rollback. */
extern void lock_wait_released(LockWait *wait, Bytes key, uint64_t start_ts,
							   uint64_t commit_ts, int64_t now_us);

/* A key with waiters has a new holder. */
extern void lock_wait_acquired(LockWait *wait, const LockInfo *lock,
							   int64_t now_us);

/* The request left for other reasons (client gone, store stops). */
extern void lock_wait_cancel(LockWait *wait, void *token);

/* What is due; false if nothing is.  Call until it answers false. */
extern bool lock_wait_next(LockWait *wait, int64_t now_us,
						   LockWaitEvent *event);

/* When lock_wait_next may next have something; INT64_MAX: never. */
extern int64_t lock_wait_deadline(const LockWait *wait);

/* Waiters, those included whose event has not been taken. */
extern size_t lock_wait_count(const LockWait *wait);

/*
 * Deadlocks are found in the graph of this node, as long as it leads the
 * detection or is alone; the graph, for what other nodes report.
 */
extern Deadlocks *lock_wait_deadlocks(LockWait *wait);

/*
 * Another node leads the detection: what is to be told it goes to `send`
 * (deadlock.DeadlockRequest), the answers come back by lock_wait_deadlock.
 * NULL: this node does.
 */
typedef enum DeadlockRequestKind
{
	DEADLOCK_DETECT = 0,
	DEADLOCK_CLEAN_UP_WAIT_FOR = 1
} DeadlockRequestKind;

extern void lock_wait_detect_by(LockWait *wait,
								void (*send)(void *arg,
											 DeadlockRequestKind kind,
											 const WaitForEntry *entry),
								void *arg);

/* The leader found that `entry` closes a cycle; nobody waits: nothing. */
extern void lock_wait_deadlock(LockWait *wait, const WaitForEntry *entry,
							   const DeadlockFound *found);

/* For GetLockWaitInfo and views; borrowed, valid during the call. */
typedef struct LockWaitView
{
	uint64_t txn;
	uint64_t wait_for_txn;
	Bytes key;
	uint64_t key_hash; /* as deadlocks name it */
	Bytes resource_group_tag;
	int64_t since_us;
} LockWaitView;

extern void lock_wait_each(const LockWait *wait,
						   void (*emit)(void *arg, const LockWaitView *view),
						   void *arg);

#endif /* TIKV_TXN_LOCK_WAIT_H */
