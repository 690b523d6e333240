/*
 * range_delete.c
 *	  Deletions of ranges that take many turns.
 */
#include "core/kv/range_delete.h"

static bool
in_range(const RangeDelete *item, RawCf cf, Bytes key)
{
	return item->cf == cf && bytes_cmp(key, item->next) >= 0 &&
		(item->upper.len == 0 || bytes_cmp(key, item->upper) < 0);
}

bool
range_delete_covers(const RangeDelete *items, int n, RawCf cf, Bytes key,
					int64_t era)
{
	for (int i = 0; i < n; i++)
		if (!items[i].done && era < items[i].era &&
			in_range(&items[i], cf, key))
			return true;
	return false;
}

bool
range_delete_replaces(const RangeDelete *newer, const RangeDelete *older)
{
	return newer->cf == older->cf && newer->era > older->era && !newer->done &&
		bytes_cmp(newer->next, older->next) <= 0 &&
		(newer->upper.len == 0 ||
		 (older->upper.len > 0 && bytes_cmp(older->upper, newer->upper) <= 0));
}

/* The least key behind this one. */
static Bytes
key_after(Bytes key, Arena *arena)
{
	uint8_t *after = arena_alloc(arena, key.len + 1);

	if (key.len > 0)
		memcpy(after, key.data, key.len);
	after[key.len] = 0;
	return bytes_make(after, key.len + 1);
}

static bool
look_at_row(void *arg, const RawPair *pair)
{
	RangeDeleteSlice *slice = arg;

	slice->looked++;
	if (pair->era < slice->item->era)
		slice->keys[slice->n_keys++] = arena_copy(slice->arena, pair->key);
	if (slice->looked < slice->max)
		return true;
	slice->next = key_after(pair->key, slice->arena);
	return false;
}

void
range_delete_look(RangeDeleteSlice *slice, RawReader *reader)
{
	const RangeDelete *item = slice->item;
	RawScan scan = {.cf = item->cf,
					.lower = item->next,
					.upper = item->upper,
					.key_only = true,
					.limit = slice->max};

	slice->keys = arena_alloc(slice->arena, slice->max * sizeof(Bytes));
	slice->n_keys = 0;
	slice->looked = 0;
	slice->next = item->next;
	reader->scan(reader, &scan, look_at_row, slice);
	slice->done = slice->looked < slice->max;
}
