/*
 * txn_world.h
 *	  The world of test_txn_fuzz.c: transactions, what must hold of rows, how
 *	  requests run, and how a lock that is met is resolved.
 */
#ifndef TIKV_TEST_TXN_WORLD_H
#define TIKV_TEST_TXN_WORLD_H

#include "txn_kit.h"
#include "dice.h"

#define N_KEYS 4
#define MAX_TXNS 64
#define N_ACTIVE 4
#define MAX_REQUESTS 4096
#define MAX_READS 512
#define STEPS 500
#define LONG_VALUE 300
#define CHECK_RECORDS_EVERY 16

typedef enum TxnState
{
	STATE_LOCKING,
	STATE_PREWRITING,
	STATE_COMMITTING,
	STATE_FINISHED
} TxnState;

typedef enum Fate
{
	FATE_OPEN, /* the client does not know */
	FATE_COMMITTED,
	FATE_ABORTED
} Fate;

typedef struct Txn
{
	uint64_t start_ts;
	uint64_t commit_ts;
	uint64_t for_update_ts;
	bool pessimistic;
	bool async;
	bool one_pc;
	bool split; /* prewrites the primary in a request of its own */
	size_t n_keys;
	Bytes keys[N_KEYS]; /* the first is the primary */
	Mutation mutations[N_KEYS];
	bool shared[N_KEYS];
	bool forced[N_KEYS];		/* locks in spite of conflicts */
	uint64_t locked_at[N_KEYS]; /* for_update_ts of the lock */
	PessimisticAction actions[N_KEYS];
	TxnState state;
	size_t next;
	Fate fate;
} Txn;

typedef struct Read
{
	Bytes key;
	uint64_t ts;
	uint64_t seen; /* commit_ts of the newest change, or 0 */
} Read;

static Kit kit;
static Arena world; /* of a seed: what requests refer to */
static uint64_t clock_ts;
static Bytes all_keys[N_KEYS];
static Txn txns[MAX_TXNS];
static size_t n_txns;
static TxnCommand requests[MAX_REQUESTS];
static size_t n_requests;
static Read reads[MAX_READS];
static size_t n_reads;
static uint64_t resolve_at; /* when a reader meets the lock, else 0 */
static bool verbose;
static uint64_t suspect; /* the transaction that is looked at */
static uint64_t n_commands;
static const char *broken; /* the invariant that did not hold */

static uint64_t
tso(void)
{
	/* Often the next one: computed timestamps then meet allocated ones. */
	return clock_ts += chance(70) ? 1 : MS(1);
}

/* ------------------------------------------------------------ invariants */

static void
expect(bool holds, const char *what)
{
	if (holds || broken != NULL)
		return;
	broken = what;
	printf("# not so: %s (transaction of %" PRIu64 ")\n", what, suspect);
}

static bool
is_marked(Bytes key, uint64_t ts, Arena *arena)
{
	WriteAt at;

	return memory_seek_write(&kit.m.reader, key, ts, arena, &at) &&
		at.commit_ts == ts && at.write.has_overlapped_rollback &&
		at.write.start_ts != ts;
}

/* The transaction's commit on a key, or 0; *rolled_back by either sign. */
static uint64_t
find_commit(Bytes key, uint64_t start_ts, bool *rolled_back)
{
	uint64_t ts = UINT64_MAX;
	uint64_t commit_ts = 0;
	Arena arena;
	WriteAt at;

	arena_init(&arena);
	*rolled_back = is_marked(key, start_ts, &arena);
	while (memory_seek_write(&kit.m.reader, key, ts, &arena, &at))
	{
		if (at.write.start_ts == start_ts)
		{
			if (at.write.type == WRITE_TYPE_ROLLBACK)
				*rolled_back = true;
			else
			{
				expect(commit_ts == 0, "a transaction commits a key once");
				commit_ts = at.commit_ts;
			}
		}
		ts = at.commit_ts - 1;
	}
	arena_free(&arena);
	return commit_ts;
}

static void
check_container(const Lock *lock)
{
	expect(lock->n_members > 0, "a shared lock has members");
	for (size_t i = 0; i < lock->n_members; i++)
		for (size_t j = 0; j < i; j++)
			expect(lock->members[i].start_ts != lock->members[j].start_ts,
				   "a transaction is a member once");
}

static void
check_lock(Bytes key)
{
	Arena arena;
	Lock lock;
	bool rolled_back;

	arena_init(&arena);
	if (memory_get_lock(&kit.m.reader, key, &arena, &lock))
	{
		if (lock.type == LOCK_TYPE_SHARED)
			check_container(&lock);
		else if (lock.type != LOCK_TYPE_PESSIMISTIC)
			expect(find_commit(key, lock.start_ts, &rolled_back) == 0,
				   "a commit takes its lock away");
	}
	arena_free(&arena);
}

/* A Put keeps its value. */
static void
check_values(Bytes key)
{
	uint64_t ts = UINT64_MAX;
	Arena arena;
	WriteAt at;
	Bytes value;

	arena_init(&arena);
	while (memory_seek_write(&kit.m.reader, key, ts, &arena, &at))
	{
		if (at.write.type == WRITE_TYPE_PUT)
			expect(mvcc_load_value(&kit.m.reader, key, &at.write, &arena,
								   &value),
				   "a committed value stays");
		ts = at.commit_ts - 1;
	}
	arena_free(&arena);
}

/*
 * The unprotected Rollback that a client's own abort leaves may be covered by
 * another's commit (txn-semantics 10.2); a prewrite that arrives once more
 * then finds nothing in its way.
 */
static bool
may_revive(const Txn *txn)
{
	bool covered = false;
	Arena arena;
	WriteAt at;

	arena_init(&arena);
	for (size_t i = 0; i < txn->n_keys; i++)
		if (memory_seek_write(&kit.m.reader, txn->keys[i], txn->start_ts,
							  &arena, &at) &&
			at.commit_ts == txn->start_ts && at.write.start_ts != txn->start_ts)
			covered = true;
	arena_free(&arena);
	return covered;
}

static void
check_txn(const Txn *txn)
{
	suspect = txn->start_ts;
	for (size_t i = 0; i < txn->n_keys; i++)
	{
		bool rolled_back;
		uint64_t commit_ts =
			find_commit(txn->keys[i], txn->start_ts, &rolled_back);

		expect(commit_ts == 0 || !rolled_back,
			   "no key is both committed and rolled back");
		expect(commit_ts == 0 || txn->commit_ts == 0 ||
				   txn->fate != FATE_COMMITTED || commit_ts == txn->commit_ts,
			   "a commit is where the client was told");
		expect(commit_ts == 0 || txn->fate != FATE_ABORTED || may_revive(txn),
			   "what was aborted does not commit");
	}
}

/* Records last, so that most checks of them can wait. */
static void
check_all(bool records)
{
	for (size_t i = 0; i < N_KEYS; i++)
	{
		check_lock(all_keys[i]);
		if (records)
			check_values(all_keys[i]);
	}
	for (size_t i = 0; records && i < n_txns; i++)
		check_txn(&txns[i]);
	expect(kit.m.n_guards == 0, "guards end with their turn");
}

/* --------------------------------------------------------------- requests */

static void
execute(TxnCommand *c)
{
	switch (c->kind)
	{
		case TXN_CMD_PREWRITE:
			txn_prewrite(&kit.env, &c->prewrite, &kit.answer);
			break;
		case TXN_CMD_COMMIT:
			txn_commit(&kit.env, &c->commit, &kit.answer);
			break;
		case TXN_CMD_BATCH_ROLLBACK:
			txn_batch_rollback(&kit.env, &c->batch_rollback, &kit.answer);
			break;
		case TXN_CMD_CLEANUP:
			txn_cleanup(&kit.env, &c->cleanup, &kit.answer);
			break;
		case TXN_CMD_CHECK_TXN_STATUS:
			txn_check_txn_status(&kit.env, &c->check_txn_status, &kit.answer);
			break;
		case TXN_CMD_CHECK_SECONDARY_LOCKS:
			txn_check_secondary_locks(&kit.env, &c->check_secondary_locks,
									  &kit.answer);
			break;
		case TXN_CMD_RESOLVE_LOCK:
			txn_resolve_lock(&kit.env, &c->resolve_lock, &kit.answer);
			break;
		case TXN_CMD_TXN_HEART_BEAT:
			txn_heart_beat(&kit.env, &c->txn_heart_beat, &kit.answer);
			break;
		case TXN_CMD_PESSIMISTIC_LOCK:
			txn_pessimistic_lock(&kit.env, &c->pessimistic_lock, &kit.answer);
			break;
		case TXN_CMD_PESSIMISTIC_ROLLBACK:
			txn_pessimistic_rollback(&kit.env, &c->pessimistic_rollback,
									 &kit.answer);
			break;
		default:
			CHECK(false);
	}
}

/* With the third argument: what happened, for whoever looks for a seed. */
static void
trace(const TxnCommand *c)
{
	static const char *const names[] =
		{[TXN_CMD_PREWRITE] = "prewrite",
		 [TXN_CMD_COMMIT] = "commit",
		 [TXN_CMD_BATCH_ROLLBACK] = "batch_rollback",
		 [TXN_CMD_CLEANUP] = "cleanup",
		 [TXN_CMD_CHECK_TXN_STATUS] = "check_txn_status",
		 [TXN_CMD_CHECK_SECONDARY_LOCKS] = "check_secondary_locks",
		 [TXN_CMD_RESOLVE_LOCK] = "resolve_lock",
		 [TXN_CMD_TXN_HEART_BEAT] = "heart_beat",
		 [TXN_CMD_PESSIMISTIC_LOCK] = "pessimistic_lock",
		 [TXN_CMD_PESSIMISTIC_ROLLBACK] = "pessimistic_rollback"};
	uint64_t start_ts = c->kind == TXN_CMD_PREWRITE ? c->prewrite.start_ts :
		c->kind == TXN_CMD_COMMIT					? c->commit.start_ts :
		c->kind == TXN_CMD_BATCH_ROLLBACK ? c->batch_rollback.start_ts :
		c->kind == TXN_CMD_CLEANUP		  ? c->cleanup.start_ts :
		c->kind == TXN_CMD_CHECK_TXN_STATUS ?
									 c->check_txn_status.lock_ts :
		c->kind == TXN_CMD_CHECK_SECONDARY_LOCKS ?
									 c->check_secondary_locks.start_ts :
		c->kind == TXN_CMD_RESOLVE_LOCK		? c->resolve_lock.txns->start_ts :
		c->kind == TXN_CMD_TXN_HEART_BEAT	? c->txn_heart_beat.start_ts :
		c->kind == TXN_CMD_PESSIMISTIC_LOCK ? c->pessimistic_lock.start_ts :
											  c->pessimistic_rollback.start_ts;

	printf("# %" PRIu64 ": %s of %" PRIu64 ": %s", clock_ts, names[c->kind],
		   start_ts, kit_errors(&kit));
	printf(" [action %d commit %" PRIu64 " min %" PRIu64 "]\n",
		   kit.answer.action, kit.answer.commit_ts, kit.answer.min_commit_ts);
	for (size_t i = 0; i < N_KEYS; i++)
		printf("#\t%.*s %s\n", 1, all_keys[i].data,
			   kit_key(&kit, (const char *) all_keys[i].data));
}

/* A turn with one command. */
static void
run(const TxnCommand *request)
{
	TxnCommand c = *request;

	kit_next(&kit);
	execute(&c);
	kit_apply(&kit);
	if (verbose)
		trace(&c);
	for (size_t i = 0; i < kit.effects.n_guards; i++)
		kit.m.cm.retract(&kit.m.cm, kit.effects.guards[i].key,
						 kit.effects.guards[i].start_ts);
	CHECK(!kit.answer.more);
	check_all(++n_commands % CHECK_RECORDS_EVERY == 0);
}

/* Send it, and keep it: the network may deliver it again. */
static void
send(TxnCommand c)
{
	if (n_requests < MAX_REQUESTS)
		requests[n_requests++] = c;
	run(&c);
}

static TxnErrorKind
error_kind(void)
{
	return kit.answer.n_errors == 0 ? TXN_OK : kit.answer.errors[0].kind;
}

/* ---------------------------------------------------------- resolving locks */

static const Txn *
find_txn(uint64_t start_ts)
{
	for (size_t i = 0; i < n_txns; i++)
		if (txns[i].start_ts == start_ts)
			return &txns[i];
	return NULL;
}

static void
resolve_to(const Txn *txn, const Bytes *keys, size_t n_keys, uint64_t commit_ts)
{
	TxnStatusOf *status = arena_alloc(&world, sizeof(*status));
	TxnCommand c = {.kind = TXN_CMD_RESOLVE_LOCK};

	status->start_ts = txn->start_ts;
	status->commit_ts = commit_ts;
	c.resolve_lock.txns = status;
	c.resolve_lock.n_txns = 1;
	if (chance(70))
	{
		c.resolve_lock.keys = keys;
		c.resolve_lock.n_keys = n_keys;
	}
	send(c);
	expect(error_kind() == TXN_OK, "a lock whose fate is known resolves");
}

static void
give_back(const Txn *txn, const Bytes *keys, size_t n_keys,
		  uint64_t for_update_ts)
{
	TxnCommand c = {.kind = TXN_CMD_PESSIMISTIC_ROLLBACK};

	c.pessimistic_rollback.keys = keys;
	c.pessimistic_rollback.n_keys = n_keys;
	c.pessimistic_rollback.start_ts = txn->start_ts;
	c.pessimistic_rollback.for_update_ts = for_update_ts;
	send(c);
	expect(error_kind() == TXN_OK, "pessimistic rollback has no errors");
}

static void
check_status(const Txn *txn, bool pessimistic, bool force_sync, bool expired)
{
	TxnCommand c = {.kind = TXN_CMD_CHECK_TXN_STATUS};

	c.check_txn_status.primary_key = txn->keys[0];
	c.check_txn_status.lock_ts = txn->start_ts;
	c.check_txn_status.caller_start_ts = resolve_at;
	c.check_txn_status.current_ts = tso();
	c.check_txn_status.rollback_if_not_exist = expired;
	c.check_txn_status.force_sync_commit = force_sync;
	c.check_txn_status.resolving_pessimistic_lock = pessimistic;
	c.check_txn_status.verify_is_primary = true;
	send(c);
}

/* The primary is async and has expired: its secondaries decide. */
static void
resolve_async(const Txn *txn, uint64_t min_commit_ts)
{
	TxnCommand c = {.kind = TXN_CMD_CHECK_SECONDARY_LOCKS};
	uint64_t commit_ts = min_commit_ts;

	c.check_secondary_locks.keys = txn->keys + 1;
	c.check_secondary_locks.n_keys = txn->n_keys - 1;
	c.check_secondary_locks.start_ts = txn->start_ts;
	if (txn->n_keys > 1)
	{
		send(c);
		if (kit.answer.n_locks == 0)
			commit_ts = kit.answer.commit_ts;
		for (size_t i = 0; i < kit.answer.n_locks; i++)
		{
			const Lock *lock = &kit.answer.locks[i].lock;

			if (!lock->use_async_commit)
			{
				check_status(txn, false, true, true);
				if (kit.answer.has_lock || kit.answer.n_errors > 0)
					return;
				commit_ts = kit.answer.commit_ts;
				break;
			}
			if (lock->min_commit_ts > commit_ts)
				commit_ts = lock->min_commit_ts;
		}
	}
	resolve_to(txn, txn->keys, txn->n_keys, commit_ts);
}

static bool
has_expired(const Lock *lock)
{
	return txn_lock_expiry(lock) < txn_physical(clock_ts);
}

/* As client-go's lock resolver; `lock` is plain, maybe a member. */
static void
resolve_plain(Bytes key, const Lock *lock)
{
	const Txn *txn = find_txn(lock->start_ts);
	Bytes *keys = arena_alloc(&world, sizeof(Bytes));
	bool pessimistic = lock->type == LOCK_TYPE_PESSIMISTIC;
	uint64_t for_update_ts = lock->for_update_ts;

	CHECK(txn != NULL);
	keys[0] = key;
	check_status(txn, pessimistic, false, has_expired(lock));
	/* Another transaction shares what was the primary: a leftover. */
	if (kit.answer.n_errors > 0 &&
		!(pessimistic && error_kind() == TXN_PRIMARY_MISMATCH))
		return;
	if (kit.answer.has_lock)
	{
		Lock primary = kit.answer.lock.lock;

		if (primary.use_async_commit && has_expired(&primary))
			resolve_async(txn, primary.min_commit_ts);
	}
	else if (pessimistic)
		give_back(txn, keys, 1, for_update_ts);
	else
		resolve_to(txn, keys, 1, kit.answer.commit_ts);
}

static void
resolve_lock(Bytes key, const Lock *lock)
{
	Arena arena;
	Lock copy;

	/* The lock may lie in memory that the next command gives back. */
	arena_init(&arena);
	lock_copy(lock, &arena, &copy);
	key = arena_copy(&world, key);
	if (copy.type != LOCK_TYPE_SHARED)
		resolve_plain(key, &copy);
	for (size_t i = 0; i < copy.n_members; i++)
		resolve_plain(key, &copy.members[i]);
	arena_free(&arena);
}

static void
resolve_key(Bytes key)
{
	Arena arena;
	Lock lock;

	arena_init(&arena);
	if (memory_get_lock(&kit.m.reader, key, &arena, &lock))
		resolve_lock(key, &lock);
	arena_free(&arena);
}

#endif /* TIKV_TEST_TXN_WORLD_H */
