/*
 * delete_range.c
 *	  KvDeleteRange and UnsafeDestroyRange: everything of a range goes,
 *	  whatever its versions (txn-semantics 21).
 *
 * TiKV deletes the three column families at once; here it takes many turns,
 * each of which may be the last before a crash, and a repetition is harmless.
 * Locks go first and values last, so that no record is without its value; and
 * of a transaction that came behind the first of these, the value stays.
 * Source: tikv/tikv src/storage/mod.rs (delete_range), src/server/gc_worker/
 * gc_worker.rs (unsafe_destroy_range).
 */
#include "core/txn/range_slice.h"

#include <stdlib.h>

enum
{
	PHASE_LOCKS,
	PHASE_WRITES,
	PHASE_VALUES,
	PHASE_DONE
};

/* Of one key: who has locked it or written it, and may need its value. */
typedef struct Uses
{
	uint64_t *start_ts; /* in order */
	size_t n;
	size_t room;
} Uses;

typedef struct Deletion
{
	TxnEnv *env;
	DeleteRangeCommand *command;
	TxnAnswer *answer;
	Bytes last; /* the key that was looked at last, copied */
	size_t keys;
	bool cut;
	Uses uses; /* of `last`, where values are deleted */
} Deletion;

/*
 * Enter a key; false if that is for the next slice.  The same key again is
 * not copied again.
 */
static bool
enter(Deletion *deletion, Bytes key)
{
	if (deletion->keys > 0 && bytes_eq(deletion->last, key))
		return true;
	if (deletion->keys >= TXN_SLICE_KEYS)
		return false;
	deletion->last = arena_copy(deletion->env->effects->arena, key);
	deletion->keys++;
	return true;
}

/* End the slice; the next one begins with this key. */
static bool
cut(Deletion *deletion, Bytes key)
{
	deletion->cut = true;
	deletion->command->cursor = arena_copy(deletion->env->arena, key);
	return false;
}

static bool
delete_lock(void *arg, Bytes key, const Lock *lock)
{
	Deletion *deletion = arg;

	(void) lock;
	if (range_slice_is_full(deletion->env) || !enter(deletion, key))
		return cut(deletion, key);
	effects_delete_lock(deletion->env->effects, deletion->last);
	return true;
}

static bool
delete_writes(void *arg, Bytes key, const WriteAt *at)
{
	Deletion *deletion = arg;
	TxnEnv *env = deletion->env;
	MvccReader *reader = env->reader;
	WriteAt record = *at;

	if (!enter(deletion, key))
		return cut(deletion, key);
	do
	{
		if (range_slice_is_full(env))
			return cut(deletion, key);
		effects_delete_write(env->effects, deletion->last, record.commit_ts);
	} while (record.commit_ts > 0 &&
			 reader->seek_write(reader, deletion->last, record.commit_ts - 1,
								env->arena, &record));
	return true;
}

static void
note_use(Deletion *deletion, uint64_t start_ts)
{
	Uses *uses = &deletion->uses;
	uint64_t *more;

	if (uses->n == uses->room)
	{
		uses->room = uses->room == 0 ? 16 : uses->room * 2;
		more = arena_alloc(deletion->env->arena, uses->room * sizeof(uint64_t));
		if (uses->n > 0)
			memcpy(more, uses->start_ts, uses->n * sizeof(uint64_t));
		uses->start_ts = more;
	}
	uses->start_ts[uses->n++] = start_ts;
}

static int
compare_ts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

/* The key's locks and records, looked at once for all of its values. */
static void
find_uses(Deletion *deletion)
{
	const TxnEnv *env = deletion->env;
	MvccReader *reader = env->reader;
	Bytes key = deletion->last;
	uint64_t ts = UINT64_MAX;
	WriteAt at;
	Lock lock;

	deletion->uses.n = 0;
	if (reader->get_lock(reader, key, env->arena, &lock))
		note_use(deletion, lock.start_ts);
	while (reader->seek_write(reader, key, ts, env->arena, &at))
	{
		if (at.write.type == WRITE_TYPE_PUT)
			note_use(deletion, at.write.start_ts);
		if (at.commit_ts == 0)
			break;
		ts = at.commit_ts - 1;
	}
	if (deletion->uses.n > 0)
		qsort(deletion->uses.start_ts, deletion->uses.n, sizeof(uint64_t),
			  compare_ts);
}

/* Is there a lock, or a record, whose value this is? */
static bool
is_in_use(const Deletion *deletion, uint64_t start_ts)
{
	const Uses *uses = &deletion->uses;

	return uses->n > 0 &&
		bsearch(&start_ts, uses->start_ts, uses->n, sizeof(uint64_t),
				compare_ts) != NULL;
}

static bool
delete_value(void *arg, Bytes key, uint64_t start_ts, Bytes value)
{
	Deletion *deletion = arg;
	bool again = deletion->keys > 0 && bytes_eq(deletion->last, key);

	(void) value;
	if (range_slice_is_full(deletion->env) || !enter(deletion, key))
		return cut(deletion, key);
	if (!again)
		find_uses(deletion);
	if (!is_in_use(deletion, start_ts))
		effects_delete_value(deletion->env->effects, deletion->last, start_ts);
	return true;
}

static void
run_phase(Deletion *deletion, const KeyRange *range)
{
	MvccReader *reader = deletion->env->reader;

	switch (deletion->command->phase)
	{
		case PHASE_LOCKS:
			reader->scan_locks(reader, range, UINT64_MAX, true, delete_lock,
							   deletion);
			break;
		case PHASE_WRITES:
			reader->scan_writes(reader, range, UINT64_MAX, false, delete_writes,
								deletion);
			break;
		default:
			reader->scan_values(reader, range, delete_value, deletion);
			break;
	}
}

void
txn_delete_range(TxnEnv *env, DeleteRangeCommand *command, TxnAnswer *answer)
{
	Deletion deletion = {.env = env, .command = command, .answer = answer};

	if (command->whole_bounds &&
		(command->range.lower.len == 0 || command->range.upper.len == 0))
	{
		/* TiKV ends its process here. */
		txn_add_error(env, answer, TXN_ABORT)->text =
			"a range to destroy needs both bounds";
		return;
	}
	if (command->notify_only)
		return;

	/*
	 * Go on to the next phase in the same slice while there is room; but what
	 * uses values is seen when the slice before has taken away what it could.
	 */
	while (command->phase < PHASE_DONE && !deletion.cut)
	{
		if (command->phase == PHASE_VALUES && env->effects->n_modifies > 0)
		{
			deletion.cut = true;
			break;
		}
		KeyRange range = range_slice(env, command->range, command->cursor);

		command->cursor = bytes_empty();
		deletion.keys = 0;
		run_phase(&deletion, &range);
		if (!deletion.cut)
			command->phase++;
	}
	answer->more = deletion.cut;
}
