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

static Arena slices_arena;

/* As long as the command wants; at most `limit` slices, 0: all. */
static inline Slices
run_slices(Kit *kit, TxnCommand *command, size_t limit)
{
	Slices slices = {0};

	/* Of the command: errors and cursors live in it. */
	arena_reset(&slices_arena);
	do
	{
		kit_next(kit);
		kit->env.arena = &slices_arena;
		switch (command->kind)
		{
			case TXN_CMD_GC:
				txn_gc(&kit->env, &command->gc, &kit->answer);
				break;
			case TXN_CMD_DELETE_RANGE:
				txn_delete_range(&kit->env, &command->delete_range,
								 &kit->answer);
				break;
			case TXN_CMD_FLASHBACK_ROLLBACK_LOCKS:
				txn_flashback_rollback_locks(&kit->env, &command->flashback,
											 &kit->answer);
				break;
			default:
				CHECK(command->kind == TXN_CMD_FLASHBACK_WRITE);
				txn_flashback_write(&kit->env, &command->flashback,
									&kit->answer);
				break;
		}
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
