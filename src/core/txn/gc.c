/*
 * gc.c
 *	  Garbage collection: versions that no reader at or above the safe point
 *	  can see (txn-semantics 25).
 *
 * Of each key the newest Put at or below the safe point stays, and nothing
 * older; with a Delete there, that goes too.  The walk begins at the safe
 * point, so what is newer costs nothing.  Locks are not looked at: those below
 * the safe point have been resolved before.
 * Source: tikv/tikv src/storage/txn/actions/gc.rs.
 */
#include "core/txn/range_slice.h"

typedef struct Gc
{
	TxnEnv *env;
	GcCommand *command;
	TxnAnswer *answer;
	size_t examined;
	size_t changed; /* keys */
} Gc;

static void
delete_version(TxnEnv *env, Bytes key, const WriteAt *at)
{
	effects_delete_write(env->effects, key, at->commit_ts);
	if (at->write.type == WRITE_TYPE_PUT && !at->write.has_short_value)
		effects_delete_value(env->effects, key, at->write.start_ts);
}

static bool
next_older(TxnEnv *env, Bytes key, WriteAt *at)
{
	return at->commit_ts > 0 &&
		env->reader->seek_write(env->reader, key, at->commit_ts - 1, env->arena,
								at);
}

/*
 * `at` is the newest record at or below the safe point.  False if the slice
 * was full before the key was done.
 */
static bool
collect_key(TxnEnv *env, Bytes key, WriteAt at)
{
	WriteAt kept;

	/* Locks and Rollbacks say nothing to readers. */
	while (!write_is_change(&at.write))
	{
		if (range_slice_is_full(env))
			return false;
		delete_version(env, key, &at);
		if (!next_older(env, key, &at))
			return true;
	}
	kept = at;
	while (next_older(env, key, &at))
	{
		if (range_slice_is_full(env))
			return false;
		delete_version(env, key, &at);
	}

	/* Only now: while anything older was there, it hid that. */
	if (kept.write.type == WRITE_TYPE_DELETE)
		delete_version(env, key, &kept);
	return true;
}

/* Whether the newest record is a Put, with nothing below it. */
static bool
is_clean(TxnEnv *env, Bytes key, const WriteAt *at)
{
	WriteAt older = *at;

	return at->write.type == WRITE_TYPE_PUT && !next_older(env, key, &older);
}

static bool
collect(void *arg, Bytes key, const WriteAt *at)
{
	Gc *gc = arg;
	TxnEnv *env = gc->env;

	if (gc->examined >= RANGE_SLICE_EXAMINED || gc->changed >= TXN_SLICE_KEYS ||
		range_slice_is_full(env))
	{
		gc->answer->more = true;
		gc->command->cursor = arena_copy(env->arena, key);
		return false;
	}
	gc->examined++;
	if (is_clean(env, key, at))
		return true;
	gc->changed++;
	key = arena_copy(env->effects->arena, key);
	if (collect_key(env, key, *at))
		return true;

	/* The rest of the key is for the next slice. */
	gc->answer->more = true;
	gc->command->cursor = arena_copy(env->arena, key);
	return false;
}

void
txn_gc(TxnEnv *env, GcCommand *command, TxnAnswer *answer)
{
	Gc gc = {.env = env, .command = command, .answer = answer};
	KeyRange range = range_slice(env, command->range, command->cursor);

	command->cursor = bytes_empty();
	env->reader->scan_writes(env->reader, &range, command->safe_point, false,
							 collect, &gc);
}
