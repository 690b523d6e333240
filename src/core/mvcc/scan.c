/*
 * scan.c
 *	  The visible pairs of a range, merged with the locks that were met.
 *
 * Source: tikv/tikv src/storage/mvcc/reader/scanner, src/storage/txn/store.rs
 * (Scanner::scan); txn-semantics 23.4.
 */
#include "core/mvcc/visible.h"

typedef struct ScanState
{
	MvccReader *reader;
	const ReadContext *context;
	const MvccScan *scan;
	const MetLock *met; /* the next one, ... */
	const MetLock *met_end;
	Arena *arena;
	bool (*emit)(void *arg, const ReadResult *result);
	void *arg;
	uint32_t counted; /* pairs against the limit */
	uint32_t to_skip; /* visible rows until the next sample */
	bool done;
} ScanState;

/* Hand out one answer, unless it is nothing or sampled away. */
static void
give(ScanState *state, const ReadResult *result)
{
	if (result->outcome == READ_NOT_FOUND)
		return;
	if (result->outcome == READ_FOUND && state->to_skip > 0)
	{
		state->to_skip--;
		return;
	}
	if (result->outcome == READ_FOUND && state->scan->sample_step > 1)
		state->to_skip = state->scan->sample_step - 1;
	if (!state->emit(state->arg, result))
		state->done = true;
	if (result->outcome != READ_FOUND && result->outcome != READ_LOCKED)
		state->done = true;
	else if (++state->counted >= state->scan->limit)
		state->done = true;
}

static void
begin_result(ReadResult *result, Bytes key)
{
	memset(result, 0, sizeof(*result));
	result->key = key;
}

static void
give_met(ScanState *state, const MetLock *met)
{
	ReadResult result;

	begin_result(&result, met->key);
	mvcc_read_lock(state->reader, met, state->scan->key_only, state->arena,
				   &result);
	give(state, &result);
	arena_reset(state->arena);
}

/* Whether the next lock met lies before the key in the scan's order, or on it */
static int
next_met_cmp(const ScanState *state, Bytes key)
{
	int c = bytes_cmp(state->met->key, key);

	return state->scan->reverse ? -c : c;
}

static bool
give_record(void *arg, Bytes key, const WriteAt *at)
{
	ScanState *state = arg;
	ReadResult result;

	while (state->met != state->met_end && !state->done)
	{
		const MetLock *met = state->met;
		int c;

		if (met->verdict == LOCK_IGNORED)
		{
			state->met++;
			continue;
		}
		c = next_met_cmp(state, key);
		if (c > 0)
			break;
		state->met++;
		give_met(state, met);
		if (c == 0)
			return !state->done;
	}
	if (state->done)
		return false;
	begin_result(&result, key);
	mvcc_read_from(state->reader, state->context, key, at,
				   state->scan->key_only, state->arena, &result);
	give(state, &result);
	arena_reset(state->arena);
	return !state->done;
}

uint32_t
mvcc_scan(MvccReader *reader, const ReadContext *context, const MvccScan *scan,
		  const MetLock *met, size_t n_met, Arena *arena,
		  bool (*emit)(void *arg, const ReadResult *result), void *arg)
{
	ScanState state = {.reader = reader,
					   .context = context,
					   .scan = scan,
					   .met = met,
					   .met_end = n_met == 0 ? met : met + n_met,
					   .arena = arena,
					   .emit = emit,
					   .arg = arg};

	if (scan->limit == 0)
		return 0;
	reader->scan_writes(reader, &scan->range, mvcc_look_from(context),
						scan->reverse, give_record, &state);
	for (; state.met != state.met_end && !state.done; state.met++)
		if (state.met->verdict != LOCK_IGNORED)
			give_met(&state, state.met);
	return state.counted;
}
