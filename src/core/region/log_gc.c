/*
 * log_gc.c
 *	  How much of its log a leader gives up.
 */
#include "core/region/log_gc.h"

#include <stdbool.h>

/* A log of so few entries is not worth a command. */
#define MIN_ENTRIES 3

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool
is_over_limit(const LogGcLimits *limits, const LogGcState *state)
{
	return state->bytes >= limits->bytes ||
		(state->applied > state->truncated &&
		 state->applied - state->truncated > limits->count);
}

/* 0: nothing. */
static uint64_t
wanted(const LogGcLimits *limits, LogGcState *state)
{
	uint64_t first = state->truncated + 1;
	uint64_t last = state->last;
	uint64_t half = first + (last - first) / 2;

	if (last < first)
		return 0;
	if (is_over_limit(limits, state))
		return state->replicated > half ? state->replicated : half;
	if (state->replicated < first || last - first < MIN_ENTRIES)
		return 0;
	if (state->replicated - first < limits->threshold &&
		state->skipped < limits->max_skips)
	{
		state->skipped++;
		return 0;
	}
	return state->replicated;
}

/*
 * One entry less than wanted, as TiKV does; never one that is not applied or
 * not flushed here.
 */
uint64_t
log_gc_index(const LogGcLimits *limits, LogGcState *state)
{
	uint64_t to = wanted(limits, state);

	to = least(least(to, state->applied), state->persisted);
	return to > state->truncated + 1 ? to - 1 : 0;
}

uint64_t
log_gc_bytes_left(const LogGcState *state, uint64_t truncated)
{
	uint64_t all = state->last - state->truncated;
	uint64_t left = state->last > truncated ? state->last - truncated : 0;

	if (truncated <= state->truncated || all == 0)
		return state->bytes;
	return (uint64_t) ((double) state->bytes * (double) left / (double) all);
}
