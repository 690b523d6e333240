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

enum
{
	PHASE_LOCKS,
	PHASE_WRITES,
	PHASE_VALUES,
	PHASE_DONE
};

typedef struct Deletion
{
	TxnEnv *env;
	DeleteRangeCommand *command;
	TxnAnswer *answer;
	Bytes last; /* the key that was looked at last, copied */
	size_t keys;
	bool cut;
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

/* Is there a lock, or a record, whose value this is? */
static bool
is_in_use(const TxnEnv *env, Bytes key, uint64_t start_ts)
{
	MvccReader *reader = env->reader;
	WriteAt at;
	uint64_t ts = UINT64_MAX;
	Lock lock;

	if (reader->get_lock(reader, key, env->arena, &lock) &&
		lock.start_ts == start_ts)
		return true;
	while (ts > start_ts &&
		   reader->seek_write(reader, key, ts, env->arena, &at))
	{
		if (at.write.start_ts == start_ts)
			return at.write.type == WRITE_TYPE_PUT;
		ts = at.commit_ts - 1;
	}
	return false;
}

static bool
delete_value(void *arg, Bytes key, uint64_t start_ts, Bytes value)
{
	Deletion *deletion = arg;

	(void) value;
	if (range_slice_is_full(deletion->env) || !enter(deletion, key))
		return cut(deletion, key);
	if (is_in_use(deletion->env, deletion->last, start_ts))
		return true;
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
