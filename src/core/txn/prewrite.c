/*
 * prewrite.c
 *	  KvPrewrite and KvFlush: the request, and what its keys add up to
 *	  (txn-semantics 8.1, 8.7, 20).
 *
 * Source: tikv/tikv src/storage/txn/commands/{prewrite,flush}.rs.
 */
#include "core/txn/prewrite.h"

#include <stdlib.h>

#include "core/codec/memcomparable.h"
#include "core/txn/status_cache.h"

/* More keys than this are worth one look at their whole range. */
#define RANGE_CHECK_MIN_MUTATIONS 12

/* Locks that one answer lists: who asks again meets the others. */
#define MAX_MET_LOCKS 1024

typedef struct Expected
{
	bool is_given;
	uint64_t for_update_ts;
} Expected;

typedef struct PrewriteRun
{
	Prewrite request;
	TxnAnswer *answer;
	const Mutation **mutations; /* in the order of their turn */
	size_t n_mutations;
	const Expected *expected; /* NULL: none is given */
	uint64_t min_commit_ts;	  /* the greatest of the keys', 0 in 2PC */
	bool is_committed;		  /* by an earlier attempt */
	bool has_failed;		  /* at once, whatever was collected */
	TxnError assertion_failure;
} PrewriteRun;

static void
fail(PrewriteRun *run, TxnErrorKind kind, const char *text)
{
	TxnError *error = txn_add_error(run->request.env, run->answer, kind);

	error->start_ts = run->request.command->start_ts;
	error->text = text;
}

/* ------------------------------------------------------- before the keys */

static bool
op_is_known(MutationOp op)
{
	switch (op)
	{
		case MUTATION_PUT:
		case MUTATION_DELETE:
		case MUTATION_LOCK:
		case MUTATION_INSERT:
		case MUTATION_CHECK_NOT_EXISTS:
		case MUTATION_SHARED_LOCK:
			return true;
		default:
			return false;
	}
}

static bool
check_mutations(PrewriteRun *run)
{
	size_t limit = run->request.env->max_key_size;

	for (size_t i = 0; i < run->n_mutations; i++)
	{
		const Mutation *mutation = run->mutations[i];
		size_t size = memcomparable_len(mutation->key.len);
		TxnError *error;

		if (!op_is_known(mutation->op))
		{
			fail(run, TXN_ABORT, "mutation that cannot be prewritten");
			return false;
		}
		if (limit == 0 || size <= limit)
			continue;
		error = txn_add_error(run->request.env, run->answer, TXN_KEY_TOO_LARGE);
		error->key = mutation->key;
		error->existing_start_ts = size;
		error->commit_ts = limit;
		return false;
	}
	return true;
}

/* Which for_update_ts the pessimistic locks must have (by index). */
static bool
take_constraints(PrewriteRun *run)
{
	const PrewriteCommand *command = run->request.command;
	Expected *expected;

	if (!run->request.is_pessimistic || command->n_constraints == 0)
		return true;
	expected = arena_zalloc(run->request.env->arena,
							run->n_mutations * sizeof(Expected));
	for (size_t i = 0; i < command->n_constraints; i++)
	{
		uint32_t index = command->constraints[i].index;

		if (index >= run->n_mutations)
		{
			fail(run, TXN_ABORT,
				 "for_update_ts constraint on a mutation that is not there");
			return false;
		}
		expected[index].is_given = true;
		expected[index].for_update_ts =
			command->constraints[i].expected_for_update_ts;
	}
	run->expected = expected;
	return true;
}

static int
cmp_mutations(const void *a, const void *b)
{
	const Mutation *x = *(const Mutation *const *) a;
	const Mutation *y = *(const Mutation *const *) b;
	int c = bytes_cmp(x->key, y->key);

	/* They lie in one array: equal keys keep their order. */
	return c != 0 ? c : (x > y) - (x < y);
}

/* Many keys where nothing was ever written need not be looked at singly. */
static void
check_range(PrewriteRun *run)
{
	TxnEnv *env = run->request.env;
	size_t n = run->n_mutations;
	KeyRange range;
	Bytes last;
	uint8_t *upper;

	if (run->request.is_pessimistic || run->request.generation > 0 ||
		n <= RANGE_CHECK_MIN_MUTATIONS)
		return;
	qsort(run->mutations, n, sizeof(run->mutations[0]), cmp_mutations);
	last = run->mutations[n - 1]->key;
	upper = arena_zalloc(env->arena, last.len + 1);
	if (last.len > 0)
		memcpy(upper, last.data, last.len);
	range.lower = run->mutations[0]->key;
	range.upper = bytes_make(upper, last.len + 1);
	if (!mvcc_has_writes(env->reader, &range))
		run->request.skip_constraint_check = true;
}

static void
begin(PrewriteRun *run, TxnEnv *env, const PrewriteCommand *command,
	  bool is_flush, TxnAnswer *answer)
{
	Prewrite *request = &run->request;

	memset(run, 0, sizeof(*run));
	request->env = env;
	request->command = command;
	request->is_pessimistic = !is_flush && command->for_update_ts != 0;
	request->is_retry = env->is_retry_request;
	request->skip_constraint_check = command->skip_constraint_check;
	request->txn_size = command->txn_size;
	request->min_commit_ts = command->min_commit_ts;
	request->use_async_commit = command->use_async_commit;
	request->try_one_pc = command->try_one_pc;
	run->answer = answer;
	run->n_mutations = command->n_mutations;
	/* Mutations beyond the list of actions do not count. */
	if (request->is_pessimistic && command->n_actions < run->n_mutations)
		run->n_mutations = command->n_actions;
	run->mutations =
		arena_alloc(env->arena, run->n_mutations * sizeof(run->mutations[0]));
	for (size_t i = 0; i < run->n_mutations; i++)
		run->mutations[i] = &command->mutations[i];
	if (request->try_one_pc)
		request->one_pc_locks =
			arena_alloc(env->arena, run->n_mutations * sizeof(OnePcLock));
}

/* ----------------------------------------------------- adding keys up */

static void
retract_guards(PrewriteRun *run)
{
	TxnEnv *env = run->request.env;

	for (size_t i = 0; i < env->effects->n_guards; i++)
		env->cm->retract(env->cm, env->effects->guards[i].key,
						 env->effects->guards[i].start_ts);
	env->effects->n_guards = 0;
}

/* This request is one of 2PC from here on; what it collected becomes locks. */
static void
fall_back(PrewriteRun *run)
{
	Prewrite *request = &run->request;

	for (size_t i = 0; i < request->n_one_pc_locks; i++)
	{
		OnePcLock *one_pc = &request->one_pc_locks[i];

		one_pc->lock.use_one_pc = false;
		effects_put_lock(request->env->effects, one_pc->key, &one_pc->lock);
	}
	request->n_one_pc_locks = 0;
	request->use_async_commit = false;
	request->try_one_pc = false;
	run->min_commit_ts = 0;
	retract_guards(run);
}

/*
 * An error that the commit of this very transaction may have caused: if the
 * key is committed, the whole request is a late repetition and succeeds.
 */
static bool
was_committed(PrewriteRun *run, Bytes key)
{
	TxnEnv *env = run->request.env;
	CommitRecord record;

	mvcc_commit_record(env->reader, key, run->request.command->start_ts,
					   env->arena, &record);
	if (!commit_record_is_commit(&record))
		return false;
	run->is_committed = true;
	run->min_commit_ts = record.at.commit_ts;
	return true;
}

/* What a key's error does to the request; false: it ends here. */
static bool
take_error(PrewriteRun *run, const TxnError *error, Bytes key)
{
	TxnEnv *env = run->request.env;

	switch (error->kind)
	{
		case TXN_WRITE_CONFLICT:
			if (error->conflict_commit_ts > error->start_ts &&
				was_committed(run, key))
				return false;
			break;
		case TXN_PESSIMISTIC_LOCK_NOT_FOUND:
			if (was_committed(run, key))
				return false;
			break;
		case TXN_COMMIT_TS_TOO_LARGE:
			if (was_committed(run, key))
				return false;
			fall_back(run);
			return true;
		case TXN_KEY_IS_LOCKED:
			if (was_committed(run, key))
				return false;
			*txn_add_error(env, run->answer, error->kind) = *error;
			return true;
		case TXN_ASSERTION_FAILED:
			/* Other errors say more about the cause. */
			if (run->assertion_failure.kind == TXN_OK)
				run->assertion_failure = *error;
			return true;
		case TXN_GENERATION_OUT_OF_ORDER:
			return true;
		default:
			break;
	}
	run->has_failed = true;
	run->answer->n_errors = 0;
	*txn_add_error(env, run->answer, error->kind) = *error;
	return false;
}

/*
 * Locks that were met are the answer, even if there may be others: who has
 * resolved them comes again.
 */
static bool
may_go_on(PrewriteRun *run)
{
	TxnAnswer more = {0};

	if (run->answer->n_errors < MAX_MET_LOCKS &&
		txn_may_go_on(run->request.env, &more))
		return true;
	run->has_failed = true;
	if (run->answer->n_errors == 0)
		(void) txn_may_go_on(run->request.env, run->answer);
	return false;
}

/* False: the request is decided, and ends here. */
static bool
run_key(PrewriteRun *run, size_t i)
{
	Prewrite *request = &run->request;
	TxnError error;
	PrewriteKey key;
	uint64_t min_commit_ts = 0;

	memset(&key, 0, sizeof(key));
	key.request = request;
	key.mutation = run->mutations[i];
	key.error = &error;
	if (request->is_pessimistic)
		key.action = request->command->actions[i];
	if (run->expected != NULL)
	{
		key.has_expected = run->expected[i].is_given;
		key.expected_for_update_ts = run->expected[i].for_update_ts;
	}
	if (!prewrite_key(&key, &min_commit_ts))
		return take_error(run, &error, key.mutation->key);
	if (!prewrite_needs_min_commit_ts(request))
		return true;
	if (min_commit_ts == 0)
		/* An earlier attempt fell back at this key. */
		fall_back(run);
	else if (min_commit_ts > run->min_commit_ts)
		run->min_commit_ts = min_commit_ts;
	return true;
}

/* ---------------------------------------------------------- the outcome */

static void
commit_one_pc(PrewriteRun *run)
{
	Prewrite *request = &run->request;
	TxnEffects *effects = request->env->effects;
	uint64_t commit_ts = run->min_commit_ts;

	for (size_t i = 0; i < request->n_one_pc_locks; i++)
	{
		const OnePcLock *one_pc = &request->one_pc_locks[i];
		const Lock *lock = &one_pc->lock;
		WriteRecord write = {
			.type = write_type_of_lock(lock->type),
			.start_ts = lock->start_ts,
			.has_short_value = lock->has_short_value,
			.short_value = lock->short_value,
			.last_change = lock->last_change,
			.txn_source = lock->txn_source,
		};

		effects_put_write(effects, one_pc->key, commit_ts, &write);
		if (!one_pc->replaces_lock)
			continue;
		effects_delete_lock(effects, one_pc->key);
		effects_note_released(effects, one_pc->key, lock->start_ts, commit_ts,
							  true);
	}
	effects->one_pc = true;
}

/*
 * Clients sort their keys, so this is decided by one look at them; it may say
 * so without need.
 */
static bool
names_keys_twice(const PrewriteRun *run)
{
	for (size_t i = 1; i < run->n_mutations; i++)
		if (bytes_cmp(run->mutations[i - 1]->key, run->mutations[i]->key) >= 0)
			return run->request.env->effects->n_modifies > 0;
	return false;
}

static void
drop_effects(PrewriteRun *run)
{
	effects_clear(run->request.env->effects);
	retract_guards(run);
}

static void
finish(PrewriteRun *run)
{
	Prewrite *request = &run->request;
	TxnAnswer *answer = run->answer;

	if (run->is_committed)
	{
		answer->n_errors = 0;
		drop_effects(run);
	}
	else if (run->assertion_failure.kind != TXN_OK && !run->has_failed)
	{
		answer->n_errors = 0;
		*txn_add_error(request->env, answer, TXN_ASSERTION_FAILED) =
			run->assertion_failure;
	}
	if (answer->n_errors > 0)
	{
		drop_effects(run);
		return;
	}
	if (request->use_async_commit)
		answer->min_commit_ts = run->min_commit_ts;
	if (request->try_one_pc && run->min_commit_ts != 0 && !run->is_committed)
		commit_one_pc(run);
	if (names_keys_twice(run))
		effects_drop_orphans(request->env->effects, request->env->arena);
	if (!request->try_one_pc || run->min_commit_ts == 0)
		return;
	answer->one_pc_commit_ts = run->min_commit_ts;
	effects_know(request->env->effects, request->command->start_ts,
				 run->min_commit_ts);
}

static void
run_keys(PrewriteRun *run)
{
	for (size_t i = 0; i < run->n_mutations; i++)
		if (!may_go_on(run) || !run_key(run, i))
			break;
	finish(run);
}

void
txn_prewrite(TxnEnv *env, const PrewriteCommand *command, TxnAnswer *answer)
{
	PrewriteRun run;

	begin(&run, env, command, false, answer);
	if (!check_mutations(&run) || !take_constraints(&run))
		return;
	/*
	 * A prewrite of a transaction known to be committed is a repetition,
	 * whether or not its sender knows.
	 */
	if (run.request.is_pessimistic && env->status_cache != NULL &&
		status_cache_get(env->status_cache, command->start_ts) != 0)
		run.request.is_retry = true;
	check_range(&run);
	if (prewrite_needs_min_commit_ts(&run.request) && !env->max_ts_synced)
	{
		fail(&run, TXN_MAX_TS_NOT_SYNCED, NULL);
		return;
	}
	run_keys(&run);
}

void
txn_flush(TxnEnv *env, const PrewriteCommand *command, TxnAnswer *answer)
{
	PrewriteRun run;
	Prewrite *request = &run.request;

	begin(&run, env, command, true, answer);
	if (command->generation == 0)
	{
		fail(&run, TXN_ABORT, "the generation of a flush is greater than 0");
		return;
	}
	request->generation = command->generation;
	request->skip_constraint_check = false;
	request->use_async_commit = false;
	request->try_one_pc = false;
	/* Not known yet: large, so that nobody resolves it as a small one. */
	request->txn_size = UINT64_MAX;
	/* Not 0, so that readers may push it. */
	request->min_commit_ts = command->start_ts + 1;
	if (check_mutations(&run))
		run_keys(&run);
}
