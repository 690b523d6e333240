/*
 * test_range_delete.c
 *	  Deleting a range in slices: every old row goes, every newer one stays.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/kv/range_delete.h"
#include "unit.h"

#define ROWS 100

/* Keys k00 ... k99 and the eras they were written in; -1: deleted. */
static int64_t eras[ROWS];
static Arena arena;

static void
rows_scan(RawReader *reader, const RawScan *scan,
		  bool (*emit)(void *arg, const RawPair *pair), void *arg)
{
	uint32_t left = scan->limit;

	(void) reader;
	for (int i = 0; i < ROWS && left > 0; i++)
	{
		char key[16];
		RawPair pair = {.era = eras[i]};

		snprintf(key, sizeof(key), "k%02d", i);
		pair.key = bytes_cstr(key);
		if (eras[i] < 0 || bytes_cmp(pair.key, scan->lower) < 0 ||
			(scan->upper.len > 0 && bytes_cmp(pair.key, scan->upper) >= 0))
			continue;
		if (!emit(arg, &pair))
			return;
		left--;
	}
}

static RawReader rows = {NULL, rows_scan, NULL};

static void
delete_rows(const RangeDeleteSlice *slice)
{
	for (uint32_t i = 0; i < slice->n_keys; i++)
		eras[(slice->keys[i].data[1] - '0') * 10 + slice->keys[i].data[2] -
			 '0'] = -1;
}

/* Run to the end; between slices a row before and one behind are rewritten. */
static int
run(RangeDelete *item, uint32_t max)
{
	int slices = 0;

	while (!item->done)
	{
		RangeDeleteSlice slice = {.item = item, .arena = &arena, .max = max};

		range_delete_look(&slice, &rows);
		delete_rows(&slice);
		item->next = slice.next;
		item->done = slice.done;
		slices++;
		eras[12] = item->era;
		eras[88] = item->era;
	}
	return slices;
}

static int
count(int from, int to)
{
	int n = 0;

	for (int i = from; i < to; i++)
		n += eras[i] >= 0;
	return n;
}

static void
whole_run(void)
{
	RangeDelete item = {.era = 3,
						.cf = RAW_CF_DEFAULT,
						.next = bytes_cstr("k10"),
						.upper = bytes_cstr("k90")};

	for (int i = 0; i < ROWS; i++)
		eras[i] = i % 3;
	EQ_U64(run(&item, 7), 12, "eighty rows take twelve slices of seven");
	EQ_U64(
		count(10, 90), 2,
		"txn-semantics 26.2 row 10: RawDeleteRange: all old rows of the range");
	OK(eras[12] == 3 && eras[88] == 3, "and none that was written since");
	EQ_U64(count(0, 10) + count(90, ROWS), 20, "and none outside");
	item.done = false;
	item.next = bytes_cstr("k10");
	(void) run(&item, 7);
	EQ_U64(count(10, 90), 2, "done again it changes nothing");
}

static void
covers(void)
{
	RangeDelete items[] = {
		{.era = 5, .cf = RAW_CF_DEFAULT, .next = bytes_cstr("b")},
		{.era = 6, .cf = RAW_CF_LOCK, .next = bytes_cstr("a"), .done = true},
	};

	OK(range_delete_covers(items, 2, RAW_CF_DEFAULT, bytes_cstr("c"), 4),
	   "an old row behind the cursor is as good as gone");
	OK(!range_delete_covers(items, 2, RAW_CF_DEFAULT, bytes_cstr("c"), 5),
	   "a newer one is not");
	OK(!range_delete_covers(items, 2, RAW_CF_DEFAULT, bytes_cstr("a"), 4),
	   "nor one before the cursor");
	OK(!range_delete_covers(items, 2, RAW_CF_WRITE, bytes_cstr("c"), 4),
	   "nor one of another family");
	OK(!range_delete_covers(items, 2, RAW_CF_LOCK, bytes_cstr("c"), 4),
	   "and a finished one covers nothing");
}

static void
replaces(void)
{
	RangeDelete old = {.era = 5,
					   .cf = RAW_CF_DEFAULT,
					   .next = bytes_cstr("d"),
					   .upper = bytes_cstr("k")};
	RangeDelete new = old;

	OK(!range_delete_replaces(&new, &old), "none takes its own place");
	new.era = 6;
	OK(range_delete_replaces(&new, &old), "a newer one of the range does");
	OK(!range_delete_replaces(&old, &new), "an older one does not");
	new.next = bytes_cstr("a");
	new.upper = bytes_empty();
	OK(range_delete_replaces(&new, &old), "nor does it matter what is beside");
	old.upper = bytes_empty();
	OK(range_delete_replaces(&new, &old), "without an end");
	new.upper = bytes_cstr("z");
	OK(!range_delete_replaces(&new, &old), "which none with an end replaces");
	old.upper = bytes_cstr("zz");
	OK(!range_delete_replaces(&new, &old), "nor one that ends before it");
	old.upper = bytes_cstr("k");
	new.next = bytes_cstr("e");
	OK(!range_delete_replaces(&new, &old), "nor one that begins behind it");
	new.next = bytes_cstr("d");
	new.cf = RAW_CF_LOCK;
	OK(!range_delete_replaces(&new, &old), "nor one of another family");
	new.cf = old.cf;
	new.done = true;
	OK(!range_delete_replaces(&new, &old), "nor one that is done");
}

int
main(void)
{
	arena_init(&arena);
	whole_run();
	covers();
	replaces();
	arena_free(&arena);
	return unit_done();
}
