/*
 * resolve.c
 *	  What a client does about the locks of others, after client-go's
 *	  LockResolver (tikv/client-go txnkv/txnlock/lock_resolver.go).
 */
#include "sim.h"

typedef struct Fate
{
	bool is_known; /* else: try again later */
	bool mismatch; /* the lock names a wrong primary */
	bool alive;
	uint64_t ttl_ms;
	uint64_t commit_ts; /* not alive: 0 is rolled back */
	TxnStatusAction action;
	bool has_primary_lock;
	Lock primary_lock;
} Fate;

static bool
is_expired(uint64_t start_ts, uint64_t ttl_ms)
{
	return (start_ts >> 18) + ttl_ms < (uint64_t) (sim->now / MS);
}

/* The answer of one CheckTxnStatus; false if there was none that counts. */
static bool
ask_once(Client *c, const TxnCommand *command, Fate *status, bool *missing)
{
	const CheckTxnStatusCommand *check = &command->check_txn_status;
	const TxnAnswer *answer =
		client_must_call(c, command, region_of(check->primary_key));

	*missing = false;
	if (answer == NULL)
		return false;
	if (answer->n_errors > 0)
	{
		*missing = answer->errors[0].kind == TXN_TXN_NOT_FOUND;
		status->mismatch = answer->errors[0].kind == TXN_PRIMARY_MISMATCH;
		if (!*missing && !status->mismatch)
			sim_fail("CheckTxnStatus answers error %d",
					 (int) answer->errors[0].kind);
		return true;
	}
	status->is_known = true;
	status->alive = answer->lock_ttl_ms > 0;
	status->ttl_ms = answer->lock_ttl_ms;
	status->commit_ts = answer->commit_ts;
	status->action = answer->action;
	status->has_primary_lock = answer->has_lock;
	if (answer->has_lock)
		lock_copy(&answer->lock.lock, &sim->arena, &status->primary_lock);
	return true;
}

static Fate
ask_fate(Client *c, const LockInfo *info, uint64_t caller_ts, bool force_sync,
		 bool as_expired)
{
	const Lock *lock = &info->lock;
	TxnCommand command = {.kind = TXN_CMD_CHECK_TXN_STATUS};
	CheckTxnStatusCommand *check = &command.check_txn_status;
	Fate status = {0};

	check->primary_key = lock->primary;
	check->lock_ts = lock->start_ts;
	check->caller_start_ts = caller_ts;
	check->force_sync_commit = force_sync;
	check->resolving_pessimistic_lock = lock->type == LOCK_TYPE_PESSIMISTIC;
	check->verify_is_primary = true;
	check->rollback_if_not_exist = as_expired;
	for (int tries = 0; tries < 30; tries++)
	{
		bool missing;

		/* A lock that is told with ttl 0 is to be ended at once. */
		check->current_ts =
			info->ttl_ms == 0 || as_expired ? UINT64_MAX : sim_tso();
		if (!ask_once(c, &command, &status, &missing) || !missing)
			return status;
		if (is_expired(lock->start_ts, info->ttl_ms))
			check->rollback_if_not_exist = true;
		else if (lock->type == LOCK_TYPE_PESSIMISTIC)
		{
			status.is_known = status.alive = true;
			status.ttl_ms = info->ttl_ms;
			return status;
		}
		else
			client_sleep(c, (int64_t) sim_rand(15 * MS));
	}
	return status;
}

/* ----------------------------------------------------- ending the locks */

/* A request may arrive when its sender is gone: it keeps nothing of his. */
static const Bytes *
keep_keys(const Bytes *keys, size_t n)
{
	Bytes *copy = sim_alloc(n * sizeof(Bytes));

	memcpy(copy, keys, n * sizeof(Bytes));
	return copy;
}

static void
end_pessimistic_lock(Client *c, const LockInfo *info)
{
	TxnCommand command = {.kind = TXN_CMD_PESSIMISTIC_ROLLBACK};
	PessimisticRollbackCommand *rollback = &command.pessimistic_rollback;

	rollback->keys = keep_keys(&info->key, 1);
	rollback->n_keys = 1;
	rollback->start_ts = info->lock.start_ts;
	rollback->for_update_ts =
		info->lock.for_update_ts == 0 ? UINT64_MAX : info->lock.for_update_ts;
	client_must_call(c, &command, region_of(info->key));
}

/* Commit or roll back locks whose transaction's fate is known. */
static void
end_locks(Client *c, const Bytes *keys, size_t n, uint64_t start_ts,
		  uint64_t commit_ts, bool lite)
{
	TxnStatusOf *txn = sim_alloc(sizeof(*txn));
	TxnCommand command = {.kind = TXN_CMD_RESOLVE_LOCK};
	const TxnAnswer *answer;

	txn->start_ts = start_ts;
	txn->commit_ts = commit_ts;
	command.resolve_lock.txns = txn;
	command.resolve_lock.n_txns = 1;
	if (lite)
	{
		command.resolve_lock.keys = keep_keys(keys, n);
		command.resolve_lock.n_keys = n;
	}
	answer = client_must_call(c, &command, region_of(keys[0]));
	if (answer != NULL && answer->n_errors > 0 && start_ts > sim->safe_point)
		sim_fail("resolving %" PRIu64 " as %" PRIu64 " answers error %d",
				 start_ts, commit_ts, (int) answer->errors[0].kind);
	sim->n_resolved += n;
}

/* ---------------------------------------------------------- async commit */

typedef struct Recovery
{
	uint64_t start_ts;
	uint64_t commit_ts;
	bool missing; /* a lock is: the fate is decided */
	bool is_async;
} Recovery;

static void
add_answer(Recovery *recovery, const TxnAnswer *answer, size_t expected)
{
	if (answer->n_locks < expected)
	{
		if (!recovery->missing)
		{
			if (answer->commit_ts != 0 &&
				answer->commit_ts < recovery->commit_ts)
				sim_fail("%" PRIu64 " committed at %" PRIu64
						 ", below its min_commit_ts %" PRIu64,
						 recovery->start_ts, answer->commit_ts,
						 recovery->commit_ts);
			recovery->commit_ts = answer->commit_ts;
		}
		if (recovery->commit_ts != answer->commit_ts)
			sim_fail("secondaries of %" PRIu64 " say %" PRIu64 " and %" PRIu64,
					 recovery->start_ts, recovery->commit_ts,
					 answer->commit_ts);
		recovery->missing = true;
		return;
	}
	for (size_t i = 0; i < answer->n_locks; i++)
	{
		const Lock *lock = &answer->locks[i].lock;

		recovery->is_async = recovery->is_async && lock->use_async_commit;
		if (!recovery->missing && lock->min_commit_ts > recovery->commit_ts)
			recovery->commit_ts = lock->min_commit_ts;
	}
}

/* The fate of an async-commit transaction; false if it is not to be known. */
static bool
recover(Client *c, const Lock *primary, Recovery *recovery)
{
	recovery->start_ts = primary->start_ts;
	recovery->commit_ts = primary->min_commit_ts;
	recovery->missing = false;
	recovery->is_async = true;
	for (int region = 0; region < 2; region++)
	{
		TxnCommand command = {.kind = TXN_CMD_CHECK_SECONDARY_LOCKS};
		Bytes *keys = sim_alloc(SIM_MAX_WRITES * sizeof(Bytes));
		size_t n = 0;
		const TxnAnswer *answer;

		for (size_t i = 0; i < primary->n_secondaries; i++)
			if (region_of(primary->secondaries[i]) == region)
				keys[n++] = primary->secondaries[i];
		if (n == 0)
			continue;
		command.check_secondary_locks.keys = keys;
		command.check_secondary_locks.n_keys = n;
		command.check_secondary_locks.start_ts = primary->start_ts;
		answer = client_must_call(c, &command, region);
		if (answer == NULL || answer->n_errors > 0)
			return false;
		/* As if it had taken no longer than versions are kept. */
		if (primary->start_ts <= sim->deleted_up_to)
			return false;
		add_answer(recovery, answer, n);
		if (!recovery->is_async)
			return true;
	}
	return true;
}

/* All locks of an async-commit transaction, by what its secondaries said. */
static void
end_async(Client *c, const Lock *primary, const Recovery *recovery)
{
	for (int region = 0; region < 2; region++)
	{
		Bytes *keys = sim_alloc((SIM_MAX_WRITES + 1) * sizeof(Bytes));
		size_t n = 0;

		if (region_of(primary->primary) == region)
			keys[n++] = primary->primary;
		for (size_t i = 0; i < primary->n_secondaries; i++)
			if (region_of(primary->secondaries[i]) == region)
				keys[n++] = primary->secondaries[i];
		if (n > 0)
			end_locks(c, keys, n, primary->start_ts, recovery->commit_ts, true);
	}
}

static bool
wants_recovery(const Fate *status)
{
	return status->has_primary_lock && status->primary_lock.use_async_commit;
}

/* ---------------------------------------------------------------- reads */

static bool
has(const uint64_t *list, size_t n, uint64_t ts)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == ts)
			return true;
	return false;
}

static void
add_to(uint64_t *list, size_t *n, uint64_t ts)
{
	if (!has(list, *n, ts) && *n < 64)
		list[(*n)++] = ts;
}

/* The reader may go on: past what comes later, through what came before. */
static void
note_for_read(LockLists *lists, uint64_t start_ts, uint64_t commit_ts,
			  uint64_t caller_ts)
{
	if (lists == NULL)
		return;
	if (commit_ts == 0 || commit_ts > caller_ts)
		add_to(lists->resolved, &lists->n_resolved, start_ts);
	else
		add_to(lists->committed, &lists->n_committed, start_ts);
}

/* ------------------------------------------------------------ all of it */

static bool
resolve(Client *c, const LockInfo *info, uint64_t caller_ts, bool as_expired,
		LockLists *lists)
{
	const Lock *lock = &info->lock;
	Fate status = ask_fate(c, info, caller_ts, false, as_expired);
	Recovery recovery;

	if (status.mismatch)
	{
		if (lock->type == LOCK_TYPE_PESSIMISTIC)
			end_pessimistic_lock(c, info);
		return lock->type == LOCK_TYPE_PESSIMISTIC;
	}
	if (status.is_known && wants_recovery(&status) &&
		(as_expired || is_expired(lock->start_ts, status.ttl_ms)))
	{
		if (!recover(c, &status.primary_lock, &recovery))
			return false;
		if (recovery.is_async)
		{
			end_async(c, &status.primary_lock, &recovery);
			note_for_read(lists, lock->start_ts, recovery.commit_ts, caller_ts);
			return true;
		}
		status = ask_fate(c, info, caller_ts, true, as_expired);
	}
	if (!status.is_known)
		return false;
	if (status.alive)
	{
		if (lists == NULL || status.action != ACTION_MIN_COMMIT_TS_PUSHED)
			return false;
		add_to(lists->resolved, &lists->n_resolved, lock->start_ts);
		return true;
	}
	if (lock->type == LOCK_TYPE_PESSIMISTIC)
	{
		end_pessimistic_lock(c, info);
		return true;
	}
	note_for_read(lists, lock->start_ts, status.commit_ts, caller_ts);
	/* A reader that knows enough may leave the lock to others. */
	if (lists == NULL || sim_chance(0.7))
		end_locks(c, &info->key, 1, lock->start_ts, status.commit_ts,
				  sim_chance(0.7));
	return true;
}

bool
resolve_lock(Client *c, const LockInfo *info, uint64_t caller_ts,
			 LockLists *lists)
{
	return resolve(c, info, caller_ts, false, lists);
}

/* Every lock with start_ts <= max_ts; false if that could not be done. */
static bool
resolve_up_to(Client *c, uint64_t max_ts, int region)
{
	for (int tries = 0; tries < 20; tries++)
	{
		TxnCommand command = {.kind = TXN_CMD_SCAN_LOCK};
		const TxnAnswer *answer;
		LockInfo *infos;
		size_t n;

		command.scan_lock.max_ts = max_ts;
		command.scan_lock.range = region_range(region);
		answer = client_must_call(c, &command, region);
		if (answer == NULL)
			return false;
		if (answer->n_errors > 0)
		{
			client_sleep(c, (int64_t) sim_rand(3 * MS));
			continue;
		}
		n = answer->n_locks;
		if (n == 0)
			return true;
		infos = sim_alloc(n * sizeof(*infos));
		for (size_t i = 0; i < n; i++)
		{
			infos[i] = answer->locks[i];
			lock_copy(&answer->locks[i].lock, &sim->arena, &infos[i].lock);
			infos[i].key = arena_copy(&sim->arena, answer->locks[i].key);
		}
		for (size_t i = 0; i < n; i++)
			resolve(c, &infos[i], 0, true, NULL);
	}
	return false;
}

void
resolve_everything(Client *c)
{
	/* Nothing that is under way comes after it. */
	client_sleep(c, 2 * RPC_LIFE_US);
	for (int region = 0; region < 2; region++)
		while (!resolve_up_to(c, sim_tso(), region))
			client_sleep(c, 10 * MS);
}

void
resolve_regions(Client *c, const SimTxn *txn)
{
	for (int region = 0; region < 2; region++)
	{
		Bytes lower = region == 0 ? sim->keys[0] : bytes_cstr(SIM_REGION_1);

		end_locks(c, &lower, 1, txn->start_ts, txn->commit_ts, false);
	}
}

/* ------------------------------------------------------------- collector */

/*
 * Up to where versions may go: below everything that is under way, late
 * requests of transactions that have ended included.
 */
static uint64_t
deletion_point(uint64_t safe_point)
{
	uint64_t ts = safe_point;

	for (size_t i = 0; i < sim->n_txns; i++)
	{
		const SimTxn *txn = sim->txns[i];

		if (txn->start_ts <= ts &&
			(txn->active || txn->ended_us + 2 * RPC_LIFE_US > sim->now))
			ts = txn->start_ts - 1;
	}
	return ts;
}

/*
 * Usually the safe point respects who is active.  It need not: then reads
 * below it are refused, and commits have to land above it all the same.
 */
void
collect_garbage(Client *c)
{
	uint64_t safe_point = sim_tso();
	uint64_t deletable;

	if (sim_chance(0.7))
		safe_point = deletion_point(safe_point);
	if (safe_point <= sim->safe_point)
		return;
	/* By now: a prewrite may come behind the scan of its region's locks. */
	deletable = deletion_point(safe_point);
	for (int region = 0; region < 2; region++)
		if (!resolve_up_to(c, safe_point, region))
			return;
	if (safe_point <= sim->safe_point)
		return;
	sim_trace("safe point %" PRIu64, safe_point);
	sim->safe_point = safe_point;
	for (int region = 0; region < 2; region++)
	{
		TxnCommand command = {.kind = TXN_CMD_GC};

		client_may_die(c);
		command.gc.safe_point = deletable;
		if (command.gc.safe_point > sim->deleted_up_to)
			sim->deleted_up_to = command.gc.safe_point;
		command.gc.range = region_range(region);
		client_must_call(c, &command, region);
	}
	sim->n_collections++;
}
