/*
 * prewrite_check.c
 *	  What a key's history says to a prewrite: constraints, assertions, and
 *	  whether a lost pessimistic lock may be made up (txn-semantics 8.3-8.5).
 *
 * Source: tikv/tikv src/storage/txn/actions/prewrite.rs.
 */
#include "core/base/check.h"
#include "core/txn/prewrite.h"

/* The record that constraints were checked against. */
typedef struct PrevWrite
{
	bool is_loaded;
	bool exists;
	WriteAt at;
} PrevWrite;

static bool
seek(PrewriteKey *key, uint64_t ts, WriteAt *at)
{
	TxnEnv *env = key->request->env;

	return env->reader->seek_write(env->reader, key->mutation->key, ts,
								   env->arena, at);
}

static bool
skips_constraint_check(const PrewriteKey *key)
{
	const Prewrite *request = key->request;

	if (!request->is_pessimistic)
		return request->skip_constraint_check;
	switch (key->action)
	{
		case DO_PESSIMISTIC_CHECK:
			return true;
		case DO_CONSTRAINT_CHECK:
			return false;
		default:
			/* Another key's lock guards this one, but not from a repetition. */
			return !request->is_retry;
	}
}

/* Put and Delete are changes themselves; only a Lock has to point to one. */
static void
take_last_change(PrewriteKey *key, const WriteAt *newest)
{
	TxnEnv *env = key->request->env;

	if (key->mutation->op != MUTATION_LOCK &&
		key->mutation->op != MUTATION_SHARED_LOCK)
		return;
	key->last_change = newest == NULL ?
		last_change_none() :
		mvcc_next_last_change(env->reader, key->mutation->key, newest,
							  env->arena);
}

static bool
fail_conflict(PrewriteKey *key, const WriteAt *at, ConflictReason reason)
{
	prewrite_fail(key, TXN_WRITE_CONFLICT, NULL);
	key->error->primary = key->request->command->primary;
	key->error->conflict_ts = at->write.start_ts;
	key->error->conflict_commit_ts = at->commit_ts;
	key->error->reason = reason;
	return false;
}

static bool
check_not_exists(PrewriteKey *key, const WriteAt *at)
{
	TxnEnv *env = key->request->env;
	WriteAt put;

	if (!prewrite_should_not_exist(key) ||
		!mvcc_existing_put(env->reader, key->mutation->key, at, env->arena,
						   &put))
		return true;
	prewrite_fail(key, TXN_ALREADY_EXIST, NULL);
	key->error->existing_start_ts = put.write.start_ts;
	return false;
}

/* One record of the walk down; *ignore: the next older one decides. */
static bool
check_record(PrewriteKey *key, const WriteAt *at, bool *ignore)
{
	const PrewriteCommand *command = key->request->command;
	uint64_t start_ts = command->start_ts;

	*ignore = false;
	if (at->commit_ts == start_ts &&
		(at->write.type == WRITE_TYPE_ROLLBACK ||
		 at->write.has_overlapped_rollback))
		return fail_conflict(key, at, CONFLICT_SELF_ROLLED_BACK);
	if (!key->request->is_pessimistic)
		return at->commit_ts <= start_ts ||
			fail_conflict(key, at, CONFLICT_OPTIMISTIC);
	if (key->action == DO_CONSTRAINT_CHECK && at->commit_ts > start_ts)
		return fail_conflict(key, at, CONFLICT_LAZY_UNIQUENESS_CHECK);
	if (at->commit_ts <= command->for_update_ts)
		return true;
	/* A newer Rollback may come in beside the lock that guards this key. */
	*ignore = at->write.type == WRITE_TYPE_ROLLBACK;
	return *ignore ||
		prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
					  "NonLockKeyConflict");
}

static bool
check_constraints(PrewriteKey *key, PrevWrite *prev)
{
	uint64_t ts = UINT64_MAX;
	WriteAt at;

	prev->is_loaded = true;
	prev->exists = false;
	while (seek(key, ts, &at))
	{
		bool ignore;

		if (ts == UINT64_MAX)
			take_last_change(key, &at);
		if (!check_record(key, &at, &ignore))
			return false;
		if (!ignore)
		{
			prev->exists = true;
			prev->at = at;
			return check_not_exists(key, &at);
		}
		ts = at.commit_ts - 1;
	}
	if (ts == UINT64_MAX)
		take_last_change(key, NULL);
	return true;
}

/* ------------------------------------------------------------ assertions */

/* Does the key hold a Put?  *at is the record that says so, if any. */
static bool
find_previous(PrewriteKey *key, const PrevWrite *prev, bool *has_record,
			  WriteAt *at)
{
	TxnEnv *env = key->request->env;
	WriteAt from = prev->at;
	bool exists = prev->exists;

	*has_record = false;
	if (!prev->is_loaded)
		exists = seek(key, UINT64_MAX, &from);
	if (!exists || write_is_fenced(&from.write, UINT64_MAX))
		return false;
	if (prev->is_loaded && from.write.type == WRITE_TYPE_DELETE)
	{
		*has_record = true;
		*at = from;
		return false;
	}
	*has_record = mvcc_get_put_from(env->reader, key->mutation->key, &from,
									UINT64_MAX, env->arena, at);
	return *has_record;
}

static bool
check_assertion(PrewriteKey *key, const PrevWrite *prev)
{
	AssertionLevel level = key->request->command->assertion_level;
	Assertion assertion = key->mutation->assertion;
	PrevWrite again;
	bool has_record;
	WriteAt at;

	if ((assertion != ASSERTION_EXIST && assertion != ASSERTION_NOT_EXIST) ||
		level == ASSERTION_LEVEL_OFF ||
		(level != ASSERTION_LEVEL_STRICT && !prev->is_loaded))
		return true;
	if (find_previous(key, prev, &has_record, &at) ==
		(assertion == ASSERTION_EXIST))
		return true;
	/* A rollback or a conflict that was not looked for may be the cause. */
	if (skips_constraint_check(key) && !check_constraints(key, &again))
		return false;
	prewrite_fail(key, TXN_ASSERTION_FAILED, NULL);
	key->error->assertion = assertion;
	if (has_record)
	{
		key->error->existing_start_ts = at.write.start_ts;
		key->error->existing_commit_ts = at.commit_ts;
	}
	return false;
}

bool
prewrite_check(PrewriteKey *key)
{
	PrevWrite prev = {.is_loaded = false};

	if (!skips_constraint_check(key) && !check_constraints(key, &prev))
		return false;
	/*
	 * Amending has asserted already.  A key that is flushed again was asserted
	 * at its first flush; its later assertions are about the transaction's own
	 * writes.
	 */
	if (key->is_amended || key->lock_state == PREWRITE_OWN_LOCK)
		return true;
	return check_assertion(key, &prev);
}

bool
prewrite_amend(PrewriteKey *key)
{
	PrevWrite prev = {.is_loaded = true};

	/* A flush has no pessimistic action. */
	CHECK(key->request->generation == 0);
	prev.exists = seek(key, UINT64_MAX, &prev.at);
	/*
	 * The lock's for_update_ts is not known, but it was not below start_ts:
	 * what was committed before that is what the lock was taken over.
	 */
	if (prev.exists && prev.at.commit_ts >= key->request->command->start_ts)
		return prewrite_fail(key, TXN_PESSIMISTIC_LOCK_NOT_FOUND,
							 "LockMissingAmendFail");
	take_last_change(key, prev.exists ? &prev.at : NULL);
	key->is_amended = true;
	return check_assertion(key, &prev);
}
