/*
 * committer.c
 *	  The commit of a transaction over whatever regions its keys are in: in
 *	  one phase, asynchronously, or in two.
 *
 * Source: tikv/client-go txnkv/transaction/{2pc,prewrite,commit}.go.
 */
#include "core/client/client.h"

#include <math.h>

#include "core/base/check.h"

/* client-go's defaultLockTTL, ManagedLockTTL and ttlFactor. */
#define LOCK_TTL_MIN_MS 3000
#define LOCK_TTL_MAX_MS 20000
#define LOCK_TTL_FACTOR 6000.0
#define SMALL_TXN ((size_t) 16 * 1024)

/* ---------------------------------------------------------------- the plan */

static MutationOp
op_of(const BufferEntry *entry)
{
	bool unchecked = entry->must_not_exist && !entry->locked;

	switch (entry->op)
	{
		case BUFFER_PUT:
			return unchecked ? MUTATION_INSERT : MUTATION_PUT;
		case BUFFER_DELETE:
			/* Inserted and deleted again: it must not have existed before. */
			return unchecked ? MUTATION_CHECK_NOT_EXISTS : MUTATION_DELETE;
		case BUFFER_NONE:
			break;
	}
	return MUTATION_LOCK;
}

/*
 * A lock that was taken is checked for; a key without one is checked for
 * versions that came since.
 */
static PessimisticAction
action_of(const BufferEntry *entry)
{
	return entry->locked ? DO_PESSIMISTIC_CHECK : DO_CONSTRAINT_CHECK;
}

/* The first key that leaves a lock; the others are committed after it. */
static void
choose_primary(Committer *committer)
{
	for (size_t i = 0; i < committer->n && committer->primary.len == 0; i++)
		if (committer->mutations[i].op != MUTATION_CHECK_NOT_EXISTS)
			committer->primary = committer->mutations[i].key;
}

void
committer_plan(Committer *committer, const MemBuffer *buffer, Arena *arena)
{
	size_t room = membuffer_n(buffer);
	size_t n = 0;

	committer->mutations = arena_alloc(arena, room * sizeof(Mutation));
	committer->actions = arena_alloc(arena, room * sizeof(PessimisticAction));
	committer->keys = arena_alloc(arena, room * sizeof(Bytes));
	committer->bytes = 0;
	for (const BufferEntry *entry = membuffer_from(buffer, bytes_empty());
		 entry != NULL; entry = membuffer_next(entry))
	{
		Mutation *mutation = &committer->mutations[n];

		if (!membuffer_counts(entry))
			continue;
		memset(mutation, 0, sizeof(*mutation));
		mutation->op = op_of(entry);
		/* No pessimistic prewrite takes it; a lock checks no less. */
		if (mutation->op == MUTATION_CHECK_NOT_EXISTS &&
			committer->for_update_ts != 0)
			mutation->op = MUTATION_LOCK;
		mutation->key = entry->key;
		if (entry->op == BUFFER_PUT)
			mutation->value = entry->value;
		committer->actions[n] = action_of(entry);
		committer->keys[n] = entry->key;
		committer->bytes += mutation->key.len + mutation->value.len;
		n++;
	}
	committer->n = n;
	choose_primary(committer);
}

/* --------------------------------------------------------------- prewrite */

static uint64_t
ttl_of(const Committer *committer)
{
	double mib = (double) committer->bytes / (1024.0 * 1024.0);
	double ms = LOCK_TTL_FACTOR * sqrt(mib);

	if (committer->lock_ttl_ms != 0)
		return committer->lock_ttl_ms + committer->age_ms;
	if (committer->bytes < SMALL_TXN || ms < LOCK_TTL_MIN_MS)
		ms = LOCK_TTL_MIN_MS;
	if (ms > LOCK_TTL_MAX_MS)
		ms = LOCK_TTL_MAX_MS;
	return (uint64_t) ms + committer->age_ms;
}

static bool
async_fits(const Committer *committer)
{
	size_t bytes = 0;

	for (size_t i = 0; i < committer->n; i++)
		bytes += committer->keys[i].len;
	return committer->n <= ASYNC_COMMIT_MAX_KEYS &&
		bytes <= ASYNC_COMMIT_MAX_BYTES;
}

/* The keys other than the primary. */
static Bytes *
secondaries_of(const Committer *committer, Arena *arena, size_t *n)
{
	Bytes *out = arena_alloc(arena, committer->n * sizeof(Bytes));

	*n = 0;
	for (size_t i = 0; i < committer->n; i++)
		if (!bytes_eq(committer->keys[i], committer->primary))
			out[(*n)++] = committer->keys[i];
	return out;
}

static bool
leaves_locks(const Committer *committer)
{
	return committer->primary.len > 0 ||
		(committer->n > 0 &&
		 committer->mutations[0].op != MUTATION_CHECK_NOT_EXISTS);
}

static void
fill_prewrite(const Committer *committer, uint64_t floor_ts, Arena *arena,
			  PrewriteCommand *prewrite)
{
	uint64_t min_ts = committer->for_update_ts > committer->start_ts ?
		committer->for_update_ts :
		committer->start_ts;

	memset(prewrite, 0, sizeof(*prewrite));
	prewrite->mutations = committer->mutations;
	prewrite->n_mutations = committer->n;
	prewrite->primary = committer->primary;
	prewrite->start_ts = committer->start_ts;
	prewrite->lock_ttl_ms = ttl_of(committer);
	prewrite->txn_size = committer->n;
	prewrite->for_update_ts = committer->for_update_ts;
	prewrite->min_commit_ts = (floor_ts > min_ts ? floor_ts : min_ts) + 1;
	prewrite->try_one_pc = committer->try_one_pc && leaves_locks(committer);
	prewrite->use_async_commit = committer->try_async &&
		leaves_locks(committer) && async_fits(committer);
	if (prewrite->use_async_commit)
		prewrite->secondaries =
			secondaries_of(committer, arena, &prewrite->n_secondaries);
	if (committer->for_update_ts != 0)
	{
		prewrite->actions = committer->actions;
		prewrite->n_actions = committer->n;
	}
}

bool
committer_whole(const Committer *committer, uint64_t floor_ts, Arena *arena,
				PrewriteCommand *prewrite)
{
	if (!leaves_locks(committer))
		return false;
	fill_prewrite(committer, floor_ts, arena, prewrite);
	prewrite->try_one_pc = true;
	prewrite->use_async_commit = false;
	prewrite->n_secondaries = 0;
	return true;
}

bool
committer_clear_locks(Client *client, Backoff *backoff, Arena *arena,
					  ClientResult *result)
{
	const TxnAnswer *answer = &result->answer;
	bool alive = false;
	int64_t ms;

	for (size_t i = 0; i < answer->n_errors; i++)
	{
		ClientResolve resolve;

		if (answer->errors[i].kind != TXN_KEY_IS_LOCKED)
			continue;
		client_resolve(client, &answer->errors[i].lock, 0, backoff, arena,
					   &resolve);
		if (resolve.outcome == RESOLVE_FAILED)
		{
			*result = resolve.result;
			return false;
		}
		alive |= resolve.outcome != RESOLVE_GONE;
	}
	return !alive ||
		(backoff_next(backoff, BACKOFF_TXN_LOCK, &ms) &&
		 client->io->sleep(client->io, ms));
}

static bool
met_locks(const ClientResult *result)
{
	return result->outcome == CLIENT_REFUSED &&
		result->error.kind == TXN_KEY_IS_LOCKED;
}

/*
 * An outcome that is not known matters where a prewrite may have committed the
 * transaction: elsewhere its locks are rolled back.
 */
static void
settle_prewrite(const PrewriteCommand *prewrite, ClientResult *result)
{
	if (result->outcome == CLIENT_UNKNOWN && !prewrite->try_one_pc &&
		!prewrite->use_async_commit)
		result->outcome = CLIENT_GAVE_UP;
}

static void
prewrite_all(Client *client, const PrewriteCommand *prewrite, Arena *arena,
			 ClientResult *result)
{
	TxnCommand command = {.kind = TXN_CMD_PREWRITE, .prewrite = *prewrite};
	Backoff backoff;

	backoff_init(&backoff, BACKOFF_PREWRITE_MS, client->random++);
	for (;;)
	{
		ClientResult locked;

		client_run(client, &command, &backoff, arena, result);
		if (!met_locks(result))
			break;
		locked = *result;
		if (!committer_clear_locks(client, &backoff, arena, result))
		{
			/* What stands in the way is what to tell of. */
			if (met_locks(result))
				*result = locked;
			break;
		}
	}
	settle_prewrite(prewrite, result);
}

/* ------------------------------------------------------------------ commit */

static void
fill_commit(const Committer *committer, const Bytes *keys, size_t n,
			TxnCommand *command)
{
	memset(command, 0, sizeof(*command));
	command->kind = TXN_CMD_COMMIT;
	command->commit.keys = keys;
	command->commit.n_keys = n;
	command->commit.start_ts = committer->start_ts;
	command->commit.commit_ts = committer->commit_ts;
}

/* Readers were promised that it commits later: take a later timestamp. */
static bool
is_too_early(const ClientResult *result)
{
	return result->outcome == CLIENT_REFUSED &&
		result->error.kind == TXN_COMMIT_TS_EXPIRED;
}

static void
commit_primary(Client *client, Committer *committer, Arena *arena,
			   ClientResult *result)
{
	Backoff backoff;

	backoff_init(&backoff, BACKOFF_COMMIT_MS, client->random++);
	do
	{
		TxnCommand command;

		memset(result, 0, sizeof(*result));
		result->outcome = CLIENT_GAVE_UP;
		if (!client->io->timestamp(client->io, &committer->commit_ts))
			return;
		fill_commit(committer, &committer->primary, 1, &command);
		client_run(client, &command, &backoff, arena, result);
	} while (is_too_early(result));
}

/*
 * No async commit may be below a timestamp that somebody has seen since
 * (tikv/tikv#8589): so the floor is a fresh one.
 */
static bool
take_floor(Client *client, const Committer *committer, uint64_t *floor_ts)
{
	*floor_ts = 0;
	return (!committer->try_one_pc && !committer->try_async) ||
		client->io->timestamp(client->io, floor_ts);
}

void
committer_run(Client *client, Committer *committer, Arena *arena,
			  ClientResult *result)
{
	PrewriteCommand prewrite;
	uint64_t floor_ts;

	memset(result, 0, sizeof(*result));
	committer->kind = COMMIT_NONE;
	if (committer->n == 0)
		return;
	if (!take_floor(client, committer, &floor_ts))
	{
		result->outcome = CLIENT_GAVE_UP;
		return;
	}
	/* Nothing but checks: some key has to be named as the primary. */
	if (!leaves_locks(committer))
		committer->primary = committer->keys[0];
	fill_prewrite(committer, floor_ts, arena, &prewrite);
	if (committer->mutations[0].op == MUTATION_CHECK_NOT_EXISTS &&
		bytes_eq(committer->primary, committer->keys[0]))
		prewrite.try_one_pc = prewrite.use_async_commit = false;
	prewrite_all(client, &prewrite, arena, result);
	if (result->outcome != CLIENT_OK)
		return;
	if (prewrite.try_one_pc && result->one_request && !result->fell_back)
	{
		committer->kind = COMMIT_ONE_PC;
		committer->commit_ts = result->answer.one_pc_commit_ts;
	}
	else if (prewrite.use_async_commit && !result->fell_back)
	{
		committer->kind = COMMIT_ASYNC;
		committer->commit_ts = result->answer.min_commit_ts;
	}
	else if (committer->mutations[0].op == MUTATION_CHECK_NOT_EXISTS &&
			 bytes_eq(committer->primary, committer->keys[0]))
		committer->kind = COMMIT_NONE;
	else
	{
		committer->kind = COMMIT_TWO_PHASE;
		commit_primary(client, committer, arena, result);
	}
}

/* ------------------------------------------------------------ what is left */

void
committer_finish(Client *client, const Committer *committer, Arena *arena)
{
	ClientResult result;
	TxnCommand command;
	Backoff backoff;

	if (committer->kind != COMMIT_ASYNC && committer->kind != COMMIT_TWO_PHASE)
		return;
	if (committer->kind == COMMIT_TWO_PHASE && committer->n == 1)
		return;
	backoff_init(&backoff, BACKOFF_COMMIT_MS, client->random++);
	fill_commit(committer, committer->keys, committer->n, &command);
	client_run(client, &command, &backoff, arena, &result);
}

void
committer_undo(Client *client, const Committer *committer, Arena *arena)
{
	TxnCommand command = {.kind = TXN_CMD_BATCH_ROLLBACK};
	ClientResult result;
	Backoff backoff;

	if (committer->n == 0)
		return;
	backoff_init(&backoff, BACKOFF_CLEANUP_MS, client->random++);
	command.batch_rollback.keys = committer->keys;
	command.batch_rollback.n_keys = committer->n;
	command.batch_rollback.start_ts = committer->start_ts;
	client_run(client, &command, &backoff, arena, &result);
}
