/*
 * txn_wait.c
 *	  Waiting for the lock of a key.
 *
 * Who holds it decides how.  A session of this server is waited for by its
 * virtual transaction id, after queueing on the key's hash: two heavyweight
 * locks, as for a row, so that Postgres's deadlock detector sees the cycle,
 * whatever else it goes through, and lock_timeout, statement_timeout and
 * cancel work as ever.  Anybody else is waited for in the store, which knows
 * who waits for whom among the clients of the network.
 *
 * A cycle through both is not seen as a whole; tikv.lock_wait_timeout ends it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "bus/places.h"
#include "bus/sql_txns.h"
#include "guc.h"
#include "sqlapi/txn_internal.h"

/* Of advisory locks: SQL's own have 1 and 2 in this field. */
#define LOCKTAG_KEY_FIELD 0x7476

/* The store ends a wait after this time; then it is asked for again. */
#define STORE_WAIT_MS 1000

typedef struct LockWaiting
{
	TxnSession *session;
	LockInfo lock; /* what is waited for */
	int64 end_us;  /* PG_INT64_MAX: no limit */
	bool queued;   /* in the line of the lock's key */
	LOCKTAG tag;
} LockWaiting;

static void
add_context(void *arg)
{
	const LockWaiting *waiting = arg;

	errcontext(
		"%s was waiting for the lock of key %s, held by transaction %llu",
		waiting->session->function, txn_key_text(waiting->lock.key),
		(unsigned long long) waiting->lock.lock.start_ts);
}

static int64
left_ms(const LockWaiting *waiting)
{
	int64 left_us;

	if (waiting->end_us == PG_INT64_MAX)
		return PG_INT32_MAX;
	left_us = waiting->end_us - board_now_us();
	return left_us <= 0 ? 0 : (left_us + 999) / 1000;
}

/* The shorter one of the two that SQL knows; NOWAIT is over at once. */
static int64
lock_wait_end(const TxnSession *session)
{
	int64 ms = tikv_fdw_settings.lock_wait_timeout_ms;

	if (session->no_wait)
		return board_now_us();
	if (LockTimeout > 0 && (ms == 0 || LockTimeout < ms))
		ms = LockTimeout;
	return ms == 0 ? PG_INT64_MAX : board_now_us() + ms * 1000;
}

/* --------------------------------------------------------- a local session */

/* One line per key: who comes first is first to try again. */
static void
join_line(LockWaiting *waiting)
{
	uint64 hash = place_hash('L', waiting->lock.key);

	SET_LOCKTAG_ADVISORY(waiting->tag, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, LOCKTAG_KEY_FIELD);
	(void) LockAcquire(&waiting->tag, ExclusiveLock, false, false);
	waiting->queued = true;
}

static void
leave_line(LockWaiting *waiting)
{
	if (waiting->queued)
		(void) LockRelease(&waiting->tag, ExclusiveLock, false);
	waiting->queued = false;
}

/* The lock manager's own bound does the timing. */
static void
wait_for_session(LockWaiting *waiting, VirtualTransactionId vxid)
{
	int saved = LockTimeout;

	if (waiting->end_us != PG_INT64_MAX)
		LockTimeout = (int) Max(left_ms(waiting), 1);
	PG_TRY();
	{
		if (!waiting->queued)
			join_line(waiting);
		(void) VirtualXactLock(vxid, true);
	}
	PG_FINALLY();
	{
		LockTimeout = saved;
	}
	PG_END_TRY();
}

/* ------------------------------------------------------------ anybody else */

/* True if the lock was taken on the way. */
static bool
wait_in_store(LockWaiting *waiting, PessimisticLockCommand *command,
			  Backoff *backoff, Locker *locker)
{
	TxnSession *session = waiting->session;
	PessimisticLockCommand patient = *command;

	patient.wait_timeout_ms = Max(Min(left_ms(waiting), STORE_WAIT_MS), 1);
	session->patience = patience_begin();
	client_lock(&session->client, &patient, backoff, &session->arena, locker);
	return locker->outcome == LOCKER_OK;
}

/* ------------------------------------------------------------------ the lock */

static bool
time_is_up(const LockWaiting *waiting)
{
	return left_ms(waiting) == 0;
}

/* Wait for the holder named in locker->lock; true: the lock is ours. */
static bool
wait_once(LockWaiting *waiting, PessimisticLockCommand *command,
		  Backoff *backoff, Locker *locker)
{
	TxnSession *session = waiting->session;
	ErrorContextCallback callback = {.previous = error_context_stack,
									 .callback = add_context,
									 .arg = waiting};
	VirtualTransactionId vxid;
	volatile bool taken = false;
	int pid;

	waiting->lock.key = arena_copy(&session->arena, locker->lock.key);
	waiting->lock.lock.start_ts = locker->lock.lock.start_ts;
	if (session->no_wait)
		txn_report_locked(&waiting->lock);
	if (time_is_up(waiting))
		txn_report_lock_timeout(&waiting->lock);
	error_context_stack = &callback;
	sql_txn_wait(waiting->lock.key, waiting->lock.lock.start_ts);
	PG_TRY();
	{
		if (sql_txn_find(waiting->lock.lock.start_ts, &vxid, &pid))
			wait_for_session(waiting, vxid);
		else
			taken = wait_in_store(waiting, command, backoff, locker);
	}
	PG_FINALLY();
	{
		sql_txn_wait(bytes_empty(), 0);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	return taken;
}

/* A newer timestamp sees what the conflict was about. */
static void
step_forward(TxnSession *session, PessimisticLockCommand *command)
{
	command->for_update_ts = txn_advance_statement(session);
}

/*
 * A conflict that the store told of when it woke us may be about a rollback:
 * only one that is met without waiting is one.
 */
void
txn_lock_acquire(TxnSession *session, PessimisticLockCommand *command,
				 bool retry_conflicts, Locker *locker)
{
	LockWaiting waiting = {.session = session,
						   .end_us = lock_wait_end(session)};
	Backoff backoff;

	backoff_init(&backoff, BACKOFF_LOCK_MS, session->client.random++);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		session->patience = patience_begin();
		command->wait_timeout_ms = -1;
		client_lock(&session->client, command, &backoff, &session->arena,
					locker);
		if (locker->outcome == LOCKER_OK || locker->outcome == LOCKER_FAILED)
			break;
		session->counts.retries++;
		if (locker->outcome == LOCKER_CONFLICT)
		{
			if (!retry_conflicts)
				txn_report_conflict(&locker->result.error);
			step_forward(session, command);
			continue;
		}
		if (wait_once(&waiting, command, &backoff, locker))
			break;
		if (locker->outcome == LOCKER_FAILED)
			break;
	}
	leave_line(&waiting);
	if (locker->outcome == LOCKER_FAILED)
		txn_report(&locker->result);
}
