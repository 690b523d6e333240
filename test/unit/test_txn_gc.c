/*
 * test_txn_gc.c
 *	  Garbage collection of versions (txn-semantics 25).
 */
#include "core/mvcc/read.h"
#include "txn_slices.h"

static Kit kit;

static Slices
gc(uint64_t safe_point)
{
	TxnCommand command = {.kind = TXN_CMD_GC, .gc = {.safe_point = safe_point}};

	return run_slices(&kit, &command, 0);
}

static void
what_is_newer_stays(void)
{
	kit_init(&kit);
	PUT("k", 31, 30, "c");
	PUT("k", 41, 40, "d");
	ROLLBACK("k", 50, false);
	EQ_U64(gc(30).most_modifies, 0, "nothing to do");
	KEY_IS("k", "| 50=R@50 41=P@40 31=P@30",
		   "txn-semantics 25 row 1: newer than the safe point stays");
	gc(31);
	KEY_IS("k", "| 50=R@50 41=P@40 31=P@30",
		   "txn-semantics 25 row 3: the first Put below it stays");
	gc(45);
	KEY_IS("k", "| 50=R@50 41=P@40", "txn-semantics 25 row 3: nothing older");
	gc(1000);
	KEY_IS("k", "| 41=P@40", "txn-semantics 25 row 2: a Rollback at the top");
	kit_free(&kit);
}

static void
locks_and_rollbacks(void)
{
	kit_init(&kit);
	PUT("k", 11, 10, "a");
	ROLLBACK("k", 20, true);
	WRITE("k", 31, LOCK, 30);
	ROLLBACK("k", 40, false);
	gc(35);
	KEY_IS("k", "| 40=R@40 11=P@10",
		   "txn-semantics 25 row 2: Locks and Rollbacks go, protected ones "
		   "too; txn-semantics 28 row 15");
	ROLLBACK("l", 20, true);
	WRITE("l", 31, LOCK, 30);
	gc(50);
	KEY_IS("l", "|", "txn-semantics 25 row 2: a key may vanish by that");
	kit_free(&kit);
}

static void
deletes(void)
{
	kit_init(&kit);
	PUT("k", 11, 10, "a");
	WRITE("k", 21, DELETE, 20);
	WRITE("k", 31, LOCK, 30);
	PUT("k", 41, 40, "b");
	gc(20);
	KEY_IS("k", "| 41=P@40 31=L@30 21=D@20 11=P@10", "nothing yet");
	gc(35);
	KEY_IS("k", "| 41=P@40",
		   "txn-semantics 25 row 4: a Delete goes with all that is older; "
		   "txn-semantics 28 row 15");
	WRITE("k", 51, DELETE, 50);
	gc(51);
	KEY_IS("k", "|", "txn-semantics 25 row 4: and the key with it");
	kit_free(&kit);
}

static void
values(void)
{
	kit_init(&kit);
	WRITE("k", 11, PUT, 10);
	VALUE("k", 10, "long");
	WRITE("k", 21, PUT, 20);
	VALUE("k", 20, "long");
	PUT("k", 31, 30, "short");
	WRITE("k", 41, PUT, 40);
	VALUE("k", 40, "long");
	VALUE("k", 50, "of a lock");
	LONG_LOCK("k", 50);
	gc(35);
	KEY_IS("k", "P@50 | 41=P@40 31=P@30 v40 v50",
		   "txn-semantics 25 row 5: values go with their records; locks and "
		   "their values are not touched");
	gc(45);
	KEY_IS("k", "P@50 | 41=P@40 v40 v50", "the kept Put keeps its value");
	kit_free(&kit);
}

static void
ranges(void)
{
	TxnCommand command = {.kind = TXN_CMD_GC,
						  .gc = {.safe_point = 100, .range = {K("b"), K("d")}}};
	static const char *const keys[] = {"a", "b", "c", "d", "e"};

	kit_init(&kit);
	for (size_t i = 0; i < 5; i++)
		WRITE(keys[i], 21, DELETE, 20);
	kit.env.region = (KeyRange){K("c"), K("e")};
	run_slices(&kit, &command, 0);
	KEY_IS("b", "| 21=D@20", "below the region");
	KEY_IS("c", "|", "in range and region");
	KEY_IS("d", "| 21=D@20", "above the range");
	kit.env.region = (KeyRange){K("x"), K("z")};
	command.gc.cursor = bytes_empty();
	run_slices(&kit, &command, 0);
	KEY_IS("b", "| 21=D@20", "nothing in common with the region");
	kit_free(&kit);
}

/* One key with many versions, and many keys with a few each. */
static void
slices(void)
{
	char name[32];
	Slices done;

	kit_init(&kit);
	for (uint64_t ts = 1; ts <= 2000; ts++)
		PUT("hot", ts * 10, ts * 10 - 5, "v");
	WRITE("hot", 20010, DELETE, 20005);
	done = gc(20010);
	KEY_IS("hot", "|", "txn-semantics 25 row 4: over many slices too");
	OK(done.n > 3 && done.most_modifies <= 2 * TXN_SLICE_KEYS + 1,
	   "a slice is bounded on a single key");
	for (int i = 0; i < 1500; i++)
	{
		snprintf(name, sizeof(name), "key%06d", i);
		PUT(name, 10, 9, "a");
		PUT(name, 20, 19, "b");
	}
	done = gc(30);
	OK(done.n >= 1500 / TXN_SLICE_KEYS && done.most_modifies <= TXN_SLICE_KEYS,
	   "a slice is bounded in keys");
	KEY_IS("key000000", "| 20=P@19", "the first");
	KEY_IS("key001499", "| 20=P@19", "the last");
	EQ_U64(kit.m.n_rows, 1500, "and all between");
	EQ_U64(gc(30).n, 2, "looking alone has a bound as well");
	kit_free(&kit);
}

/* Long keys fill a slice by their bytes. */
static void
slices_by_bytes(void)
{
	static char name[8200];
	Slices done;

	kit_init(&kit);
	memset(name, 'k', 8000);
	for (uint64_t ts = 1; ts <= 20; ts++)
		PUT(name, ts * 10, ts * 10 - 5, "v");
	done = gc(1000);
	OK(done.n >= 4 && done.most_bytes <= TXN_SLICE_BYTES + 8000,
	   "a slice is bounded in bytes");
	EQ_U64(kit.m.n_rows, 1, "one version is left");
	kit_free(&kit);
}

/* What a reader sees of a key at ts. */
static void
read_at(uint64_t ts, char *out, size_t size)
{
	ReadContext context = {.ts = ts};
	ReadResult r;
	Arena arena;

	arena_init(&arena);
	mvcc_get(&kit.m.reader, &context, K("k"), NULL, &arena, &r);
	if (r.outcome == READ_FOUND)
		snprintf(out, size, "%.*s", (int) r.value.len, r.value.data);
	else
		snprintf(out, size, "outcome %d", (int) r.outcome);
	arena_free(&arena);
}

/* Readers at and above the safe point see what they saw. */
static void
readers_notice_nothing(void)
{
	uint64_t x = 7;
	bool same = true;

	for (int round = 0; round < 300; round++)
	{
		char before[64][16];
		char after[16];
		uint64_t safe_point;

		kit_init(&kit);
		for (uint64_t ts = 2; ts < 60; ts += 2)
		{
			char value[8];

			x = x * 6364136223846793005u + 1442695040888963407u;
			snprintf(value, sizeof(value), "v%d", (int) ts);
			if (x >> 60 < 4)
				PUT("k", ts, ts - 1, value);
			else if (x >> 60 < 6)
				WRITE("k", ts, DELETE, ts - 1);
			else if (x >> 60 < 8)
				WRITE("k", ts, LOCK, ts - 1);
			else if (x >> 60 < 11)
				ROLLBACK("k", ts, x >> 59 & 1);
		}
		safe_point = 1 + (x >> 20) % 60;
		for (uint64_t ts = safe_point; ts < 64; ts++)
			read_at(ts, before[ts], sizeof(before[ts]));
		gc(safe_point);
		for (uint64_t ts = safe_point; ts < 64; ts++)
		{
			read_at(ts, after, sizeof(after));
			same = same && strcmp(before[ts], after) == 0;
		}
		kit_free(&kit);
	}
	OK(same,
	   "txn-semantics 25: reads at and above the safe point are the same");
}

int
main(void)
{
	what_is_newer_stays();
	locks_and_rollbacks();
	deletes();
	values();
	ranges();
	slices();
	slices_by_bytes();
	readers_notice_nothing();
	return unit_done();
}
