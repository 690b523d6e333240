/*
 * test_split_check.c
 *	  Where a region is split: pieces of about the right size, at whole keys,
 *	  over several tables; and not at all when it is not large enough.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/region/split_check.h"
#include "unit.h"

static Arena arena;

static const SplitLimits limits = {.split_size = 64000,
								   .max_size = 96000,
								   .split_keys = 100000,
								   .max_keys = 150000,
								   .max_splits = 10};

static Bytes
key_of(int i)
{
	static char text[32];

	snprintf(text, sizeof(text), "k%08d", i);
	return bytes_cstr(text);
}

/* A table with keys from..to-1, each with so many rows of so many bytes. */
static void
add_table(SplitCheck *check, int from, int to, int rows, uint64_t bytes)
{
	split_check_next_table(check);
	for (int i = from; i < to; i++)
	{
		if (split_check_wants_key(check))
			split_check_begin(check, key_of(i));
		for (int k = 0; k < rows; k++)
			split_check_add(check, bytes, 1);
	}
}

static int
number_of(Bytes key)
{
	char text[32] = {0};

	memcpy(text, key.data + 1, key.len - 1);
	return atoi(text);
}

static void
test_size(void)
{
	SplitCheck check;
	Bytes *keys;
	int n;

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 950, 1, 100);
	EQ_U64(check.bytes, 95000, "all bytes count");
	EQ_U64(check.keys, 950, "all rows count");
	EQ_U64(split_check_keys(&check, bytes_empty(), &keys), 0,
		   "half a piece more stays whole");

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 1000, 1, 100);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, 1, "larger than that: two pieces");
	OK(n == 1 && number_of(keys[0]) >= 640 && number_of(keys[0]) <= 650,
	   "the first is a full one");

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 1400, 1, 100);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, 1, "what is left is not worth a piece of its own");

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 6400, 1, 100);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, 9, "ten pieces");
	for (int i = 0; i < n; i++)
		OK(number_of(keys[i]) >= 640 * (i + 1) &&
			   number_of(keys[i]) <= 650 * (i + 1),
		   "each of about the same size");
}

static void
test_bounds(void)
{
	SplitCheck check;
	Bytes *keys;
	int n;

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 20000, 1, 100);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, limits.max_splits, "as many keys as one command may have");

	/* one key with all the bytes: there is nowhere to split */
	split_check_init(&check, &limits, &arena);
	add_table(&check, 7, 8, 5000, 100);
	EQ_U64(check.n, 1, "a key's rows are in one bucket");
	EQ_U64(split_check_keys(&check, bytes_empty(), &keys), 0,
		   "a key is not cut in two");

	/* ... but behind it */
	split_check_init(&check, &limits, &arena);
	add_table(&check, 7, 8, 5000, 100);
	add_table(&check, 8, 900, 1, 100);
	n = split_check_keys(&check, key_of(7), &keys);
	EQ_U64(n, 1, "a piece may be one key");
	OK(n == 1 && number_of(keys[0]) == 8, "and the next begins behind it");

	split_check_init(&check, &limits, &arena);
	EQ_U64(split_check_keys(&check, bytes_empty(), &keys), 0, "no rows at all");
}

/* Two tables of which neither is large enough by itself. */
static void
test_tables(void)
{
	SplitCheck check;
	Bytes *keys;
	int n;

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 800, 1, 80);
	add_table(&check, 0, 800, 1, 80);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, 1, "both tables together are too large");
	OK(n == 1 && number_of(keys[0]) >= 390 && number_of(keys[0]) <= 420,
	   "the piece is full with rows of both");
}

static void
test_keys(void)
{
	SplitLimits few = limits;
	SplitCheck check;
	Bytes *keys;
	int n;

	few.split_keys = 100;
	few.max_keys = 150;
	split_check_init(&check, &few, &arena);
	add_table(&check, 0, 149, 1, 1);
	EQ_U64(split_check_keys(&check, bytes_empty(), &keys), 0, "few keys");
	split_check_init(&check, &few, &arena);
	add_table(&check, 0, 320, 1, 1);
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, 2, "too many keys, however small");
	OK(n == 2 && number_of(keys[0]) == 100, "a hundred each");
	few.split_size = 0;
	few.max_size = 0;
	split_check_init(&check, &few, &arena);
	add_table(&check, 0, 100, 1, 1000000);
	EQ_U64(split_check_keys(&check, bytes_empty(), &keys), 0,
		   "size does not count where it is not to");
}

/* More buckets than are kept: the pieces are still right, only less exact. */
static void
test_coarse(void)
{
	SplitCheck check;
	Bytes *keys;
	int n;

	split_check_init(&check, &limits, &arena);
	add_table(&check, 0, 100000, 1, 100);
	OK(check.n <= SPLIT_MAX_BUCKETS, "memory is bounded");
	EQ_U64(check.bytes, 10000000, "and nothing is forgotten");
	n = split_check_keys(&check, bytes_empty(), &keys);
	EQ_U64(n, limits.max_splits, "pieces");
	for (int i = 0; i < n; i++)
		OK(number_of(keys[i]) >= 640 * (i + 1) &&
			   number_of(keys[i]) <= 700 * (i + 1),
		   "of about the right size");
}

static void
test_due(void)
{
	OK(!split_is_due(&limits, 95999, 10, UINT64_MAX), "not large enough");
	OK(split_is_due(&limits, 96000, 10, 4000), "large, and has grown");
	OK(!split_is_due(&limits, 96000, 10, 3999), "large, looked at just now");
	OK(split_is_due(&limits, 1, 150000, 4000), "too many keys");
}

int
main(void)
{
	arena_init(&arena);
	test_size();
	test_bounds();
	test_tables();
	test_keys();
	test_coarse();
	test_due();
	arena_free(&arena);
	return unit_done();
}
