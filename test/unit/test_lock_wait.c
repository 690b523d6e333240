/*
 * test_lock_wait.c
 *	  Waiting for locks: who is woken, when, and with what (txn-semantics
 *	  15.4, 16, 17).
 *
 * What comes out at a moment is written into one line: the token with C for a
 * conflict, R for a resumed request, T for a timeout, D for a deadlock.
 */
#include "core/txn/lock_wait.h"

#include <stdlib.h>

#include "core/base/fingerprint.h"
#include "unit.h"

#define MS 1000

static LockWait *wait_;
static char line[512];
static LockWaitEvent last;
static LockWaitEvent now_event;
static char tokens[64];

static const LockWaitConfig usual = {.wake_up_delay_us = 20 * MS,
									 .default_timeout_us = 1000 * MS,
									 .max_waiters = 100};

static void
begin(void)
{
	wait_ = lock_wait_new(&usual);
}

static void
end(void)
{
	lock_wait_free(wait_);
}

static LockInfo
lock_of(const char *key, uint64_t start_ts)
{
	LockInfo info = {.key = bytes_cstr(key), .ttl_ms = 3000};

	info.lock.type = LOCK_TYPE_PESSIMISTIC;
	info.lock.primary = bytes_cstr("primary");
	info.lock.start_ts = start_ts;
	info.lock.ttl_ms = 3000;
	return info;
}

/* A request of the transaction; its start_ts is its token too. */
static LockWaitRequest
request_of(const char *key, uint64_t start_ts, uint64_t blocker)
{
	LockWaitRequest r = {.token = &tokens[start_ts],
						 .key = bytes_cstr(key),
						 .start_ts = start_ts,
						 .for_update_ts = start_ts,
						 .resource_group_tag = bytes_cstr("tag"),
						 .blocker = lock_of(key, blocker)};

	return r;
}

static LockWaitAnswer
park(const char *key, uint64_t start_ts, uint64_t blocker, int64_t now_us)
{
	LockWaitRequest r = request_of(key, start_ts, blocker);

	return lock_wait_park(wait_, &r, now_us, &now_event);
}

static LockWaitAnswer
park_force(const char *key, uint64_t start_ts, uint64_t blocker, int64_t now_us)
{
	LockWaitRequest r = request_of(key, start_ts, blocker);

	r.allow_conflict = true;
	return lock_wait_park(wait_, &r, now_us, &now_event);
}

static LockWaitAnswer
park_shared(const char *key, uint64_t start_ts, uint64_t blocker,
			int64_t now_us)
{
	LockWaitRequest r = request_of(key, start_ts, blocker);

	r.is_shared = true;
	return lock_wait_park(wait_, &r, now_us, &now_event);
}

static uint64_t
number(const void *token)
{
	return (uint64_t) ((const char *) token - tokens);
}

static const char *
due(int64_t now_us)
{
	static const char letter[] = "CRTD";
	LockWaitEvent event;

	line[0] = '\0';
	while (lock_wait_next(wait_, now_us, &event))
	{
		size_t len = strlen(line);

		last = event;
		snprintf(line + len, sizeof(line) - len, "%s%" PRIu64 "%c",
				 len == 0 ? "" : " ", number(event.token), letter[event.kind]);
		if (event.kind == LOCK_WAIT_TIMEOUT || event.kind == LOCK_WAIT_DEADLOCK)
			break; /* what it points to lives until the next call */
	}
	return line;
}

static void
release(const char *key, uint64_t start_ts, uint64_t commit_ts, int64_t now_us)
{
	lock_wait_released(wait_, bytes_cstr(key), start_ts, commit_ts, now_us);
}

static void
timeouts(void)
{
	LockWaitRequest r = request_of("k", 1, 9);

	begin();
	r.wait_timeout_ms = -1;
	EQ_U64(lock_wait_park(wait_, &r, 0, &now_event), LOCK_WAIT_NOW,
		   "txn-semantics 15.4 row 1: no wait, no queue");
	OK(now_event.kind == LOCK_WAIT_TIMEOUT &&
		   now_event.blocker.lock.start_ts == 9 &&
		   now_event.blocker.duration_to_last_update_ms == 0 &&
		   now_event.token == &tokens[1],
	   "txn-semantics 15.4 row 1: KeyIsLocked at once");
	r.wait_timeout_ms = 0;
	EQ_U64(lock_wait_park(wait_, &r, 0, &now_event), LOCK_WAIT_PARKED,
		   "parked");
	EQ_U64(lock_wait_deadline(wait_), 1000 * MS,
		   "txn-semantics 15.4 row 2: 0 is the default");
	r = request_of("k", 2, 9);
	r.wait_timeout_ms = 300;
	lock_wait_park(wait_, &r, 0, &now_event);
	EQ_U64(lock_wait_deadline(wait_), 300 * MS,
		   "txn-semantics 15.4 row 3: as long as asked");
	r = request_of("k", 3, 9);
	r.wait_timeout_ms = INT64_MAX;
	lock_wait_park(wait_, &r, 500 * MS, &now_event);
	EQ_STR(due(300 * MS - 1), "", "nothing is due before");
	EQ_STR(due(300 * MS), "2T", "the first times out");
	OK(last.blocker.lock.start_ts == 9 && last.blocker.ttl_ms == 3000 &&
		   bytes_eq(last.blocker.key, bytes_cstr("k")) &&
		   bytes_eq(last.blocker.lock.primary, bytes_cstr("primary")),
	   "with the lock that it waited for");
	EQ_STR(due(1000 * MS), "1T", "the one with the default");
	EQ_STR(due(1500 * MS - 1), "", "txn-semantics 15.4 row 3: the ceiling");
	EQ_STR(due(1500 * MS), "3T", "txn-semantics 15.4 row 3: cuts forever");
	EQ_U64(lock_wait_deadline(wait_), INT64_MAX, "nobody waits");
	EQ_U64(lock_wait_count(wait_), 0, "nobody is left");
	end();
}

static void
how_long_ago_the_lock_changed(void)
{
	LockInfo lock = lock_of("k", 8);

	begin();
	park("k", 1, 9, 0);
	due(1000 * MS);
	EQ_U64(last.blocker.duration_to_last_update_ms, 0,
		   "0: the lock never changed");
	park("k", 1, 9, 0);
	lock_wait_acquired(wait_, &lock, 400 * MS);
	due(1000 * MS);
	EQ_U64(last.blocker.duration_to_last_update_ms, 600,
		   "milliseconds since a new holder came");
	EQ_U64(last.blocker.lock.start_ts, 8, "the newest lock known");
	park("k", 1, 9, 0);
	lock_wait_acquired(wait_, &lock, 1000 * MS - 1);
	due(1000 * MS);
	EQ_U64(last.blocker.duration_to_last_update_ms, 1, "at least one");
	park("k", 1, 8, 0);
	lock.lock.ttl_ms = lock.ttl_ms = 9000;
	lock_wait_acquired(wait_, &lock, 900 * MS);
	due(1000 * MS);
	OK(last.blocker.duration_to_last_update_ms == 0 &&
		   last.blocker.ttl_ms == 9000,
	   "a holder that prolongs its lock is no news, but its lock is told");
	park("k", 5, 7, 0);
	park("k", 6, 8, 100);
	due(1000 * MS);
	EQ_U64(last.blocker.lock.start_ts, 8,
		   "a later waiter's lock is news to an earlier one");
	end();
}

static void
normal_mode(void)
{
	begin();
	park("k", 30, 9, 0);
	park("k", 20, 9, 1);
	park("k", 40, 9, 2);
	park("other", 10, 9, 3);
	release("k", 9, 50, 100 * MS);
	EQ_U64(lock_wait_deadline(wait_), 0, "something is ready at once");
	EQ_STR(due(100 * MS), "20C",
		   "txn-semantics 16 row 1: the smallest start_ts; "
		   "txn-semantics 28 row 12");
	OK(last.conflict_ts == 9 && last.conflict_commit_ts == 50,
	   "txn-semantics 28 row 12: a conflict with who released");
	EQ_U64(lock_wait_deadline(wait_), 120 * MS,
		   "txn-semantics 16 row 1: the others later");
	park("k", 50, 20, 105 * MS);
	EQ_STR(due(120 * MS - 1), "", "txn-semantics 16 row 1: not before");
	EQ_STR(due(120 * MS), "30C 40C",
		   "txn-semantics 16 row 1: those who were there, in order");
	OK(last.conflict_ts == 9 && last.conflict_commit_ts == 50,
	   "with the same conflict");
	EQ_U64(lock_wait_count(wait_), 2,
		   "txn-semantics 16 row 1: who came later stays");
	release("k", 20, 0, 130 * MS);
	EQ_STR(due(130 * MS), "50C", "a rollback wakes too");
	OK(last.conflict_ts == 20 && last.conflict_commit_ts == 0,
	   "txn-semantics 16 row 1: commit_ts 0 for a rollback");
	EQ_U64(lock_wait_deadline(wait_), 3 + 1000 * MS,
		   "txn-semantics 16 row 1: nothing is delayed for an empty queue");
	release("nobody", 1, 2, 0);
	EQ_STR(due(130 * MS), "", "a release that nobody waits for");
	end();
}

static void
later_wake_ups(void)
{
	begin();
	park("k", 20, 9, 0);
	park("k", 30, 9, 0);
	park("k", 40, 9, 0);
	release("k", 9, 50, 100 * MS);
	release("k", 20, 60, 110 * MS);
	EQ_STR(due(110 * MS), "20C 30C", "each release wakes one");
	EQ_STR(due(129 * MS), "",
		   "txn-semantics 16 row 1: a further wake prolongs the delay");
	EQ_STR(due(130 * MS), "40C", "txn-semantics 16 row 1: and then it ends");
	OK(last.conflict_ts == 20 && last.conflict_commit_ts == 60,
	   "txn-semantics 16 row 1: the newest release is named");

	/* The walk ends at who came later, so older ones behind it stay. */
	park("k", 20, 9, 200 * MS);
	park("k", 40, 9, 200 * MS);
	release("k", 9, 70, 200 * MS);
	park("k", 30, 20, 201 * MS);
	EQ_STR(due(200 * MS), "20C", "one is woken");
	EQ_STR(due(230 * MS), "",
		   "txn-semantics 16 row 1: the walk ends at who came later");
	EQ_U64(lock_wait_count(wait_), 2, "the older one behind it stays");
	end();
}

static void
force_mode(void)
{
	LockWaitRequest r;

	begin();
	park_force("k", 20, 9, 0);
	park("k", 30, 9, 0);
	release("k", 9, 50, 100 * MS);
	EQ_STR(due(100 * MS), "20R",
		   "txn-semantics 16 row 2: the request runs again");
	EQ_U64(last.deadline_us, 1000 * MS, "its deadline is kept");
	EQ_U64(lock_wait_deadline(wait_), 1000 * MS,
		   "txn-semantics 16 row 2: nobody else is notified");
	r = request_of("k", 20, 7);
	r.allow_conflict = true;
	r.deadline_us = last.deadline_us;
	EQ_U64(lock_wait_park(wait_, &r, 200 * MS, &now_event), LOCK_WAIT_PARKED,
		   "txn-semantics 16 row 2: it may wait again");
	EQ_STR(due(999 * MS), "", "not beyond");
	EQ_STR(due(1000 * MS), "30T", "the two");
	EQ_STR(due(1000 * MS), "20T",
		   "txn-semantics 16 row 2: with the same deadline");
	EQ_U64(last.blocker.duration_to_last_update_ms, 800,
		   "its blocker changed when it waited again");
	EQ_U64(lock_wait_park(wait_, &r, 1000 * MS, &now_event), LOCK_WAIT_NOW,
		   "too late to wait again");
	OK(now_event.kind == LOCK_WAIT_TIMEOUT &&
		   now_event.blocker.duration_to_last_update_ms == 1,
	   "is a timeout");

	park("k", 20, 9, 0);
	park("k", 30, 9, 0);
	park_force("k", 40, 9, 0);
	park("k", 50, 9, 0);
	release("k", 9, 60, 100 * MS);
	EQ_STR(due(100 * MS), "20C", "a normal head");
	EQ_STR(due(120 * MS), "30C 40R",
		   "txn-semantics 16 row 2: the delayed walk resumes one and stops");
	EQ_U64(lock_wait_count(wait_), 1, "the one behind it stays");
	end();
}

static void
shared_waiters(void)
{
	begin();
	park_shared("k", 20, 9, 0);
	park_shared("k", 30, 9, 0);
	park("k", 40, 9, 0);
	park_shared("k", 50, 9, 0);
	release("k", 9, 60, 100 * MS);
	EQ_STR(due(100 * MS), "20C 30C",
		   "txn-semantics 16 row 3: shared ones at the head wake together");
	EQ_STR(due(120 * MS), "40C 50C", "the others after the delay");
	park("k", 20, 9, 0);
	park_shared("k", 30, 9, 0);
	release("k", 9, 60, 100 * MS);
	EQ_STR(due(100 * MS), "20C",
		   "txn-semantics 16 row 3: an exclusive head wakes alone");
	end();
}

static void
leaving(void)
{
	begin();
	park("k", 20, 9, 0);
	park("k", 30, 9, 0);
	lock_wait_cancel(wait_, &tokens[20]);
	lock_wait_cancel(wait_, &tokens[20]);
	release("k", 9, 50, 10 * MS);
	park("j", 21, 9, 0);
	park("j", 22, 9, 0);
	release("j", 9, 50, 10 * MS);
	EQ_U64(lock_wait_count(wait_), 3, "two are ready, one waits");
	lock_wait_cancel(wait_, &tokens[30]);
	EQ_STR(due(10 * MS), "21C", "what is ready can still be cancelled");
	lock_wait_cancel(wait_, &tokens[22]);
	EQ_U64(lock_wait_count(wait_), 0, "nobody is left");
	EQ_U64(lock_wait_deadline(wait_), INT64_MAX, "nothing will be due");
	park("k", 20, 9, 0);
	release("k", 9, 50, 0);
	lock_wait_cancel(wait_, &tokens[20]);
	park("k", 30, 9, 0);
	release("k", 9, 50, 0);
	EQ_STR(due(0), "30C", "the list of the ready is sound after a cancel");
	end();
}

static void
too_many(void)
{
	LockWaitConfig config = usual;

	config.max_waiters = 2;
	wait_ = lock_wait_new(&config);
	park("k", 1, 9, 0);
	park("k", 2, 9, 0);
	EQ_U64(park("k", 3, 9, 0), LOCK_WAIT_BUSY, "a full queue is busy at once");
	lock_wait_cancel(wait_, &tokens[1]);
	EQ_U64(park("k", 3, 9, 0), LOCK_WAIT_PARKED, "until somebody leaves");
	end();
}

/* 1 holds a, 2 holds b. */
static void
deadlocks(void)
{
	const TxnError *error = &now_event.error;

	begin();
	EQ_U64(park("b", 1, 2, 0), LOCK_WAIT_PARKED, "1 waits for 2");
	EQ_U64(park("a", 2, 1, 5), LOCK_WAIT_NOW, "2 for 1");
	OK(now_event.kind == LOCK_WAIT_DEADLOCK && now_event.token == &tokens[2],
	   "txn-semantics 17: the one who closes the cycle hears of it");
	OK(error->kind == TXN_DEADLOCK && error->start_ts == 2 &&
		   error->conflict_ts == 1 && bytes_eq(error->key, bytes_cstr("a")) &&
		   error->deadlock_key_hash == fingerprint64(bytes_cstr("b")),
	   "txn-semantics 17: lock_ts, lock_key, deadlock_key_hash");
	OK(error->n_wait_chain == 2 && error->wait_chain[0].txn == 1 &&
		   error->wait_chain[0].wait_for_txn == 2 &&
		   error->wait_chain[1].txn == 2 &&
		   error->wait_chain[1].wait_for_txn == 1 &&
		   bytes_eq(error->wait_chain[1].key, bytes_cstr("a")) &&
		   error->wait_chain[1].key_hash == fingerprint64(bytes_cstr("a")) &&
		   bytes_eq(error->wait_chain[1].resource_group_tag, bytes_cstr("tag")),
	   "txn-semantics 17: the whole chain, its own edge the last");
	EQ_U64(lock_wait_count(wait_), 1, "2 does not wait");
	release("b", 2, 0, 10);
	EQ_STR(due(10), "1C", "1 goes on when 2 rolls back");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0,
		   "txn-semantics 17: a wake-up removes the edge");
	EQ_U64(park("a", 2, 1, 20), LOCK_WAIT_PARKED, "so 2 may wait for 1 now");
	EQ_STR(due(20 + 1000 * MS), "2T", "until it times out");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0,
		   "txn-semantics 17: a timeout removes the edge");
	end();
}

static void
no_detection(void)
{
	LockWaitRequest r = request_of("b", 1, 2);

	begin();
	r.is_first_lock = true;
	lock_wait_park(wait_, &r, 0, &now_event);
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0,
		   "txn-semantics 17: who holds nothing closes no cycle");
	EQ_U64(park("a", 2, 1, 5), LOCK_WAIT_PARKED, "so there is no deadlock");
	EQ_U64(park("c", 3, 3, 5), LOCK_WAIT_PARKED, "nobody waits for himself");
	end();
}

static void
new_holders(void)
{
	LockInfo lock = lock_of("b", 3);

	begin();
	park_force("b", 1, 2, 0);
	park("b", 4, 2, 0);
	lock_wait_acquired(wait_, &lock, 10);
	EQ_U64(park("a", 2, 1, 20), LOCK_WAIT_PARKED,
		   "1 does not wait for 2 any more");
	EQ_U64(park("a", 3, 1, 20), LOCK_WAIT_NOW,
		   "txn-semantics 17: in force mode it waits for the new holder");
	EQ_U64(now_event.kind, LOCK_WAIT_DEADLOCK, "which is a deadlock");
	EQ_U64(park("c", 2, 4, 20), LOCK_WAIT_PARKED,
		   "in normal mode a new holder is no edge yet");
	end();

	/* The new holder is one that waits for the waiter. */
	begin();
	park_force("b", 1, 2, 0);
	park("a", 3, 1, 0);
	lock_wait_acquired(wait_, &lock, 10);
	EQ_STR(due(10), "1D", "txn-semantics 16: a new holder may close the cycle");
	OK(last.error.n_wait_chain == 2 && last.error.conflict_ts == 3 &&
		   last.error.wait_chain[0].txn == 3 &&
		   last.error.wait_chain[1].txn == 1,
	   "with its chain");
	EQ_U64(lock_wait_count(wait_), 1, "the other waits on");
	lock = lock_of("nobody", 3);
	lock_wait_acquired(wait_, &lock, 10);
	EQ_STR(due(10), "", "a lock that nobody waits for");
	end();
}

static void
blocked_by_members(void)
{
	Lock members[3];
	LockWaitRequest r = request_of("k", 1, 0);

	begin();
	memset(members, 0, sizeof(members));
	for (size_t i = 0; i < 3; i++)
	{
		members[i].type = LOCK_TYPE_PESSIMISTIC;
		members[i].primary = bytes_cstr("p");
		members[i].start_ts = 2 + i;
	}
	r.blocker.lock.type = LOCK_TYPE_SHARED;
	r.blocker.lock.members = members;
	r.blocker.lock.n_members = 3;
	EQ_U64(lock_wait_park(wait_, &r, 0, &now_event), LOCK_WAIT_PARKED,
		   "an exclusive request behind a shared lock");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 3,
		   "txn-semantics 17: an edge for each member");
	EQ_U64(park("a", 3, 1, 0), LOCK_WAIT_NOW, "a member that waits for it");
	release("k", 2, 0, 10);
	EQ_STR(due(10), "1C", "a member that leaves wakes it");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0,
		   "and all its edges go");

	/* The last of three edges closes a cycle: the others go with it. */
	park("a", 4, 1, 20);
	EQ_U64(lock_wait_park(wait_, &r, 20, &now_event), LOCK_WAIT_NOW,
		   "a member waits for the requester");
	EQ_U64(now_event.error.conflict_ts, 4, "the member is named");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 1,
		   "txn-semantics 17: edges that were reported before are removed");
	end();
}

static char sent[256];

static void
send(void *arg, DeadlockRequestKind kind, const WaitForEntry *entry)
{
	size_t len = strlen(sent);

	OK(arg == &sent && entry->key_hash == fingerprint64(entry->key),
	   "entries are complete");
	snprintf(sent + len, sizeof(sent) - len, "%s%" PRIu64 ">%" PRIu64,
			 kind == DEADLOCK_DETECT ? "+" : "-", entry->txn,
			 entry->wait_for_txn);
}

static void
another_node_leads(void)
{
	WaitForEntry chain = {.txn = 2, .wait_for_txn = 1, .key_hash = 77};
	WaitForEntry entry = {.txn = 1,
						  .wait_for_txn = 2,
						  .key_hash = fingerprint64(bytes_cstr("b")),
						  .key = bytes_cstr("b")};
	DeadlockFound found = {.key_hash = 77, .chain = &chain, .n_chain = 1};

	begin();
	lock_wait_detect_by(wait_, send, &sent);
	EQ_U64(park("b", 1, 2, 0), LOCK_WAIT_PARKED, "parked");
	EQ_STR(sent, "+1>2", "txn-semantics 17: the leader is asked");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0,
		   "this node keeps no graph");
	entry.wait_for_txn = 3;
	lock_wait_deadlock(wait_, &entry, &found);
	EQ_STR(due(0), "", "an answer about another edge is too late");
	entry.wait_for_txn = 2;
	lock_wait_deadlock(wait_, &entry, &found);
	EQ_STR(due(0), "1D", "txn-semantics 17: its answer ends the wait");
	OK(last.error.deadlock_key_hash == 77 && last.error.n_wait_chain == 2 &&
		   last.error.wait_chain[1].txn == 1,
	   "with the chain, and the request's edge");
	lock_wait_deadlock(wait_, &entry, &found);
	EQ_STR(due(0), "", "txn-semantics 17: nobody waits: nothing");
	sent[0] = '\0';
	park("b", 1, 2, 0);
	lock_wait_cancel(wait_, &tokens[1]);
	EQ_STR(sent, "+1>2-1>2", "txn-semantics 17: and told of waits that ended");
	end();
}

static void
count_view(void *arg, const LockWaitView *view)
{
	uint64_t *sum = arg;

	OK(bytes_eq(view->key, bytes_cstr("k")) &&
		   bytes_eq(view->resource_group_tag, bytes_cstr("tag")) &&
		   view->key_hash == fingerprint64(view->key) &&
		   view->wait_for_txn == 9 && view->since_us == 7,
	   "txn-semantics 17: GetLockWaitInfo sees all of it");
	*sum += view->txn;
}

static void
views(void)
{
	uint64_t sum = 0;

	begin();
	park("k", 1, 9, 7);
	park("k", 2, 9, 7);
	park("j", 5, 9, 7);
	release("j", 9, 10, 8);
	lock_wait_each(wait_, count_view, &sum);
	EQ_U64(sum, 3, "every waiter, none that is decided");
	end();
	lock_wait_free(NULL);
}

/* Random traffic: everybody gets exactly one answer, and nothing leaks. */
static void
random_traffic(void)
{
	uint64_t x = 99;
	bool waiting[64] = {false};
	bool sound = true;
	LockWaitEvent event;

	begin();
	for (int64_t now = 0; now < 3000 * MS; now += MS / 4)
	{
		uint64_t n;
		const char *key;

		x = x * 6364136223846793005u + 1442695040888963407u;
		n = 1 + (x >> 40) % 40;
		key = (x >> 20) % 3 == 0 ? "a" : "b";
		if (!waiting[n] && (x >> 30) % 4 != 0)
		{
			LockWaitRequest r = request_of(key, n, 50);

			r.allow_conflict = (x >> 50) % 3 == 0;
			r.is_shared = (x >> 52) % 5 == 0;
			r.blocker = lock_of(key, 41 + (x >> 54) % 5);
			if ((x >> 56) % 4 == 0)
				r.blocker = lock_of(key, 1 + (x >> 58) % 40);
			waiting[n] =
				lock_wait_park(wait_, &r, now, &event) == LOCK_WAIT_PARKED;
		}
		else if (waiting[n] && (x >> 32) % 16 == 0)
		{
			lock_wait_cancel(wait_, &tokens[n]);
			waiting[n] = false;
		}
		else if ((x >> 34) % 8 == 0)
			release(key, 50, 51, now);
		else if ((x >> 34) % 8 == 1)
		{
			LockInfo lock = lock_of(key, 1 + (x >> 58) % 40);

			lock_wait_acquired(wait_, &lock, now);
		}
		while (lock_wait_next(wait_, now, &event))
		{
			sound = sound && waiting[number(event.token)];
			waiting[number(event.token)] = false;
		}
		sound = sound && lock_wait_deadline(wait_) > now;
	}
	OK(sound, "each request that waits is answered once");
	while (lock_wait_next(wait_, INT64_MAX - 1, &event))
		waiting[number(event.token)] = false;
	for (size_t i = 0; i < 64; i++)
		sound = sound && !waiting[i];
	OK(sound && lock_wait_count(wait_) == 0, "and all are answered in the end");
	EQ_U64(deadlocks_count(lock_wait_deadlocks(wait_)), 0, "no edge is left");
	end();

	/* What is left at the end is freed, wherever it is. */
	begin();
	park("k", 1, 9, 0);
	park_force("k", 2, 9, 0);
	park("j", 3, 9, 0);
	release("k", 9, 10, 0);
	end();
}

int
main(void)
{
	timeouts();
	how_long_ago_the_lock_changed();
	normal_mode();
	later_wake_ups();
	force_mode();
	shared_waiters();
	leaving();
	too_many();
	deadlocks();
	no_detection();
	new_holders();
	blocked_by_members();
	another_node_leads();
	views();
	random_traffic();
	return unit_done();
}
