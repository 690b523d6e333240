/*
 * test_txn_delete_range.c
 *	  KvDeleteRange and UnsafeDestroyRange (txn-semantics 21).
 */
#include "txn_slices.h"

static Kit kit;

static void
fill(const char *key)
{
	PUT(key, 11, 10, "a");
	WRITE(key, 21, PUT, 20);
	VALUE(key, 20, "long");
	VALUE(key, 30, "of the lock");
	LONG_LOCK(key, 30);
}

static TxnCommand
range(const char *lower, const char *upper)
{
	TxnCommand command = {.kind = TXN_CMD_DELETE_RANGE,
						  .delete_range = {.range = {K(lower), K(upper)}}};

	return command;
}

static void
what_goes(void)
{
	TxnCommand command = range("b", "d");

	kit_init(&kit);
	fill("a");
	fill("b");
	fill("c");
	fill("d");
	EQ_U64(run_slices(&kit, &command, 0).n, 1, "a small range is one slice");
	KEY_IS("a", "P@30 | 21=P@20 11=P@10 v20 v30", "below the range");
	KEY_IS("b", "|",
		   "txn-semantics 21 row 3: lock, records and values, all versions");
	KEY_IS("c", "|", "txn-semantics 21 row 3: of every key");
	KEY_IS("d", "P@30 | 21=P@20 11=P@10 v20 v30",
		   "txn-semantics 21 row 3: the upper bound is exclusive");
	command = range("c", "");
	kit.env.region = (KeyRange){K("a"), K("d")};
	run_slices(&kit, &command, 0);
	KEY_IS("d", "P@30 | 21=P@20 11=P@10 v20 v30", "above the region");
	kit.env.region = (KeyRange){bytes_empty(), bytes_empty()};
	command = range("c", "");
	run_slices(&kit, &command, 0);
	KEY_IS("d", "|", "without an end");
	kit_free(&kit);
}

static void
notify_only(void)
{
	TxnCommand command = range("a", "z");

	kit_init(&kit);
	fill("b");
	command.delete_range.notify_only = true;
	run_slices(&kit, &command, 0);
	EQ_U64(kit.effects.n_modifies, 0,
		   "txn-semantics 21 row 3: notify_only deletes nothing");
	kit_free(&kit);
}

static void
destroy(void)
{
	TxnCommand command = range("b", "");

	kit_init(&kit);
	fill("b");
	command.delete_range.whole_bounds = true;
	run_slices(&kit, &command, 0);
	ERRORS_ARE("Abort", "txn-semantics 21 row 4: an empty end is refused");
	command = range("", "c");
	command.delete_range.whole_bounds = true;
	run_slices(&kit, &command, 0);
	ERRORS_ARE("Abort", "txn-semantics 21 row 4: so is an empty start");
	KEY_IS("b", "P@30 | 21=P@20 11=P@10 v20 v30", "nothing happened");
	command = range("b", "c");
	command.delete_range.whole_bounds = true;
	run_slices(&kit, &command, 0);
	ERRORS_ARE("", "txn-semantics 21 row 4: with both bounds");
	KEY_IS("b", "|", "txn-semantics 21 row 4: everything goes");
	kit_free(&kit);
}

/* Whether every record that wants a value in CF default has it. */
static bool
is_sound(void)
{
	for (size_t i = 0; i < kit.m.n_rows; i++)
	{
		const MemoryRow *row = &kit.m.rows[i];
		WriteRecord write;

		if (row->cf != TXN_CF_WRITE)
			continue;
		CHECK(write_decode(row->bytes, &write) == STATUS_OK);
		if (write.type == WRITE_TYPE_PUT && !write.has_short_value &&
			memory_find(&kit.m, TXN_CF_VALUE, row->key, write.start_ts) == NULL)
			return false;
	}
	return true;
}

static void
slices(void)
{
	bool sound = true;
	Slices done = {0};
	char name[32];

	kit_init(&kit);
	for (size_t limit = 1; limit < 12; limit++)
	{
		TxnCommand command = range("k", "l");

		for (int i = 0; i < 300; i++)
		{
			snprintf(name, sizeof(name), "k%06d", i);
			fill(name);
		}
		for (uint64_t ts = 1; ts <= 1000; ts++)
		{
			WRITE("khot", ts * 10, PUT, ts * 10 - 5);
			VALUE("khot", ts * 10 - 5, "long");
		}
		done = run_slices(&kit, &command, limit);
		sound = sound && is_sound();
		command = range("k", "l");
		run_slices(&kit, &command, 0);
		sound = sound && kit.m.n_rows == 0;
		kit_reset(&kit);
	}
	OK(sound,
	   "stopped anywhere, no record lacks its value; begun again, "
	   "everything goes");
	OK(done.n > 5 && done.most_modifies <= 2 * TXN_SLICE_KEYS,
	   "a slice is bounded");
	kit_free(&kit);
}

int
main(void)
{
	what_goes();
	notify_only();
	destroy();
	slices();
	return unit_done();
}
