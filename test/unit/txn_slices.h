/*
 * txn_slices.h
 *	  Commands over ranges, slice by slice, on a Kit (txn_kit.h).
 *
 * Each slice's effects are applied before the next one runs, as by a driver.
 */
#ifndef TIKV_TEST_TXN_SLICES_H
#define TIKV_TEST_TXN_SLICES_H

#include "txn_kit.h"

typedef struct Slices
{
	size_t n;
	size_t most_modifies; /* of one slice */
	size_t most_bytes;
	bool failed;
	bool one_pc; /* in any of them */
} Slices;

static Arena slices_arena; /* of one slice: the turn's */
static Arena command_arena;

/* As long as the command wants; at most `limit` slices, 0: all. */
static inline Slices
run_slices(Kit *kit, TxnCommand *command, size_t limit)
{
	Slices slices = {0};

	arena_reset(&command_arena);
	do
	{
		/* Nothing of a slice outlives it, but what the command keeps. */
		arena_free(&slices_arena);
		arena_init(&slices_arena);
		kit_next(kit);
		kit->env.arena = &slices_arena;
		txn_execute(&kit->env, command, &kit->answer);
		if (kit->answer.more)
			txn_command_keep(command, &command_arena);
		kit_apply(kit);
		slices.n++;
		slices.failed = kit->answer.n_errors > 0;
		slices.one_pc = slices.one_pc || kit->effects.one_pc;
		if (kit->effects.n_modifies > slices.most_modifies)
			slices.most_modifies = kit->effects.n_modifies;
		if (kit->effects.bytes > slices.most_bytes)
			slices.most_bytes = kit->effects.bytes;
		CHECK(slices.n < 10000);
	} while (kit->answer.more && slices.n != limit);
	kit->env.arena = &kit->arena;
	return slices;
}

#endif /* TIKV_TEST_TXN_SLICES_H */
