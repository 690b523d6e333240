/*
 * backoff.h
 *	  How long a client waits before it tries again, and when it gives up.
 *
 * One class per reason, each with a base, a cap and a jitter; each wait of a
 * class is twice as long as the one before.  A budget bounds the sum.  Waits
 * for a busy server are counted apart, since they say nothing about progress.
 * Source: tikv/client-go config/retry/config.go.
 */
#ifndef TIKV_CLIENT_BACKOFF_H
#define TIKV_CLIENT_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

typedef enum BackoffClass
{
	BACKOFF_REGION_MISS, /* the cache was wrong */
	BACKOFF_SCHEDULING,	 /* no leader yet */
	BACKOFF_RPC,		 /* the store did not answer */
	BACKOFF_SERVER_BUSY,
	BACKOFF_DISK_FULL,
	BACKOFF_STALE_COMMAND,
	BACKOFF_MAX_TS_NOT_SYNCED,
	BACKOFF_TXN_LOCK,	   /* a write met a lock */
	BACKOFF_TXN_LOCK_FAST, /* a read did */
	BACKOFF_TXN_NOT_FOUND, /* a primary that was not written yet */
	BACKOFF_PD,
	BACKOFF_CLASSES
} BackoffClass;

typedef struct Backoff
{
	int64_t budget_ms;
	int64_t slept_ms; /* those of a busy server aside */
	int64_t busy_ms;
	int attempts[BACKOFF_CLASSES];
	uint64_t random;
	BackoffClass last; /* why it gave up */
} Backoff;

/* Budgets of client-go, in milliseconds. */
#define BACKOFF_READ_MS INT64_C(20000)
#define BACKOFF_PREWRITE_MS INT64_C(40000)
#define BACKOFF_COMMIT_MS INT64_C(40000)
#define BACKOFF_CLEANUP_MS INT64_C(20000)
#define BACKOFF_LOCK_MS INT64_C(20000)
#define BACKOFF_BUSY_MS INT64_C(600000)

extern void backoff_init(Backoff *backoff, int64_t budget_ms, uint64_t seed);

/* The next wait; false if the budget is spent. */
extern bool backoff_next(Backoff *backoff, BackoffClass reason,
						 int64_t *sleep_ms);

#endif /* TIKV_CLIENT_BACKOFF_H */
