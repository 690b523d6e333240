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
	EQ_U64(run_slices(&kit, &command, 0).n, 2,
		   "a small range is two slices: values go when the rest is gone");
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

static bool
lock_has_value(const MemoryRow *row)
{
	Arena arena;
	Lock lock;
	bool has;

	arena_init(&arena);
	CHECK(lock_decode(row->bytes, &arena, &lock) == STATUS_OK);
	has = lock.type != LOCK_TYPE_PUT || lock.has_short_value ||
		memory_find(&kit.m, TXN_CF_VALUE, row->key, lock.start_ts) != NULL;
	arena_free(&arena);
	return has;
}

/* Whether every lock and record that wants a value in CF default has it. */
static bool
is_sound(void)
{
	for (size_t i = 0; i < kit.m.n_rows; i++)
	{
		const MemoryRow *row = &kit.m.rows[i];
		WriteRecord write;

		if (row->cf == TXN_CF_LOCK && !lock_has_value(row))
			return false;
		if (row->cf != TXN_CF_WRITE)
			continue;
		CHECK(write_decode(row->bytes, &write) == STATUS_OK);
		if (write.type == WRITE_TYPE_PUT && !write.has_short_value &&
			memory_find(&kit.m, TXN_CF_VALUE, row->key, write.start_ts) == NULL)
			return false;
	}
	return true;
}

/* k000000, k000001 ... */
static void
fill_many(int n)
{
	char name[32];

	for (int i = 0; i < n; i++)
	{
		snprintf(name, sizeof(name), "k%06d", i);
		fill(name);
	}
}

static void
slices(void)
{
	bool sound = true;
	Slices done = {0};

	kit_init(&kit);
	for (size_t limit = 1; limit < 12; limit++)
	{
		TxnCommand command = range("k", "l");

		fill_many(300);
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

/* Go on with a command that was left after some slices. */
static void
run_rest(TxnCommand *command)
{
	static uint8_t cursor[64];
	DeleteRangeCommand *deletion = &command->delete_range;

	CHECK(deletion->cursor.len <= sizeof(cursor));
	if (deletion->cursor.len > 0)
		memcpy(cursor, deletion->cursor.data, deletion->cursor.len);
	deletion->cursor = bytes_make(cursor, deletion->cursor.len);
	run_slices(&kit, command, 0);
}

/* Others commit and lock keys between the slices. */
static void
meanwhile(void)
{
	const char *keys[] = {"k000000", "k000150", "k000299"};
	bool sound = true;
	bool left = true;

	kit_init(&kit);
	for (size_t limit = 1; limit < 12; limit++)
	{
		TxnCommand command = range("k", "l");

		fill_many(300);
		run_slices(&kit, &command, limit);
		for (size_t i = 0; i < 3; i++)
		{
			VALUE(keys[i], 40, "of a record");
			WRITE(keys[i], 41, PUT, 40);
			PUT(keys[i], 43, 42, "short");
			VALUE(keys[i], 50, "of a lock");
			LONG_LOCK(keys[i], 50);
		}
		run_rest(&command);
		sound = sound && is_sound();
		left = left &&
			memory_find(&kit.m, TXN_CF_VALUE, K("k000000"), 20) == NULL &&
			memory_find(&kit.m, TXN_CF_VALUE, K("k000299"), 30) == NULL;
		kit_reset(&kit);
	}
	OK(sound, "what is written between slices keeps its value");
	OK(left, "and nothing of what was there before");
	kit_free(&kit);
}

#define HOT_VERSIONS 1000

static size_t seeks;
static bool (*seek_of_memory)(MvccReader *, Bytes, uint64_t, Arena *,
							  WriteAt *);

static bool
count_seek(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
		   WriteAt *out)
{
	seeks++;
	return seek_of_memory(reader, key, ts, arena, out);
}

/* A key that is written all the time while the range is deleted. */
static void
hot_key(void)
{
	TxnCommand command = range("k", "l");

	kit_init(&kit);
	fill("k");
	run_slices(&kit, &command, 1);
	for (uint64_t i = 0; i < HOT_VERSIONS; i++)
	{
		VALUE("k", 100 + 2 * i, "of a record");
		WRITE("k", 101 + 2 * i, PUT, 100 + 2 * i);
	}
	seek_of_memory = kit.env.reader->seek_write;
	kit.env.reader->seek_write = count_seek;
	run_rest(&command);
	OK(is_sound(), "a key with many new versions keeps their values");
	OK(memory_find(&kit.m, TXN_CF_VALUE, K("k"), 20) == NULL,
	   "and not those of before");
	OK(seeks >= HOT_VERSIONS && seeks <= 2 * HOT_VERSIONS,
	   "its versions are looked at once");
	kit_free(&kit);
}

int
main(void)
{
	what_goes();
	notify_only();
	destroy();
	slices();
	meanwhile();
	hot_key();
	return unit_done();
}
