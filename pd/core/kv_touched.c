/*
 * kv_touched.c
 *	  What a list of steps puts and deletes: see kv_touched.h.
 *
 * Thousands of steps may be held against thousands of ranges, so these are kept
 * in order: of those that begin at or before a key the one that ends last tells.
 */
#include "pd/core/kv_touched.h"

#include <stdlib.h>

#define FIRST_ROOM 16

void
kv_touched_init(KvTouched *touched, Arena *arena)
{
	memset(touched, 0, sizeof(*touched));
	touched->arena = arena;
}

/* Room for one more. */
static void *
grown(Arena *arena, void *old, size_t n, size_t *room, size_t size)
{
	void *items;

	if (n < *room)
		return old;
	*room = n == 0 ? FIRST_ROOM : 2 * n;
	items = arena_alloc(arena, *room * size);
	if (n > 0)
		memcpy(items, old, n * size);
	return items;
}

/* ---- deletions ---- */

void
kv_touch_delete(KvTouched *touched, KvRange range)
{
	touched->deletes =
		grown(touched->arena, touched->deletes, touched->n_deletes,
			  &touched->room_deletes, sizeof(KvTouchedRange));
	touched->deletes[touched->n_deletes++] = (KvTouchedRange){.range = range};
	touched->in_order = false;
}

static int
compare_ranges(const void *a, const void *b)
{
	const KvTouchedRange *x = a;
	const KvTouchedRange *y = b;

	return bytes_cmp(x->range.key, y->range.key);
}

static bool
has_no_end(KvRange range)
{
	return range.end.len == 1 && range.end.data[0] == 0;
}

/* Does it end behind the other one?  One key ends with it. */
static bool
ends_later(KvRange range, KvRange other)
{
	if (has_no_end(range) || has_no_end(other))
		return !has_no_end(other);
	if (range.end.len == 0)
		return bytes_cmp(range.key,
						 other.end.len == 0 ? other.key : other.end) >= 0;
	if (other.end.len == 0)
		return bytes_cmp(range.end, other.key) > 0;
	return bytes_cmp(range.end, other.end) > 0;
}

static void
put_in_order(KvTouched *touched)
{
	KvTouchedRange *all = touched->deletes;

	qsort(all, touched->n_deletes, sizeof(*all), compare_ranges);
	for (size_t i = 0; i < touched->n_deletes; i++)
		all[i].reach = i == 0 || ends_later(all[i].range, all[i - 1].reach) ?
			all[i].range :
			all[i - 1].reach;
	touched->in_order = true;
}

static bool
is_deleted(KvTouched *touched, Bytes key)
{
	size_t low = 0;
	size_t high = touched->n_deletes;

	if (high == 0)
		return false;
	if (!touched->in_order)
		put_in_order(touched);
	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (bytes_cmp(touched->deletes[middle].range.key, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && kv_range_has(touched->deletes[low - 1].reach, key);
}

/* ---- puts ---- */

bool
kv_touch_put(KvTouched *touched, Bytes key, size_t step)
{
	if (is_deleted(touched, key))
		return false;
	touched->puts = grown(touched->arena, touched->puts, touched->n_puts,
						  &touched->room_puts, sizeof(KvTouchedPut));
	touched->puts[touched->n_puts++] = (KvTouchedPut){key, step};
	return true;
}

static bool
touch_puts(KvTouched *touched, const KvTouched *inside, size_t step)
{
	for (size_t i = 0; i < inside->n_puts; i++)
		if (!kv_touch_put(touched, inside->puts[i].key, step))
			return false;
	return true;
}

static void
touch_deletes(KvTouched *touched, const KvTouched *inside)
{
	for (size_t i = 0; i < inside->n_deletes; i++)
		kv_touch_delete(touched, inside->deletes[i].range);
}

bool
kv_touch_inside(KvTouched *touched, const KvTouched *success,
				const KvTouched *failure, size_t step)
{
	if (!touch_puts(touched, success, step) ||
		!touch_puts(touched, failure, step))
		return false;
	touch_deletes(touched, success);
	touch_deletes(touched, failure);
	return true;
}

static int
compare_puts(const void *a, const void *b)
{
	const KvTouchedPut *x = a;
	const KvTouchedPut *y = b;
	int by_key = bytes_cmp(x->key, y->key);

	return by_key != 0 ? by_key : (x->step > y->step) - (x->step < y->step);
}

/* Both lists of a step may have put a key: once is enough from here on. */
bool
kv_touched_once(KvTouched *touched)
{
	KvTouchedPut *puts = touched->puts;
	size_t n = 0;

	if (touched->n_puts == 0)
		return true;
	qsort(puts, touched->n_puts, sizeof(*puts), compare_puts);
	for (size_t i = 0; i < touched->n_puts; i++)
	{
		if (n > 0 && bytes_eq(puts[i].key, puts[n - 1].key))
		{
			if (puts[i].step != puts[n - 1].step)
				return false;
			continue;
		}
		puts[n++] = puts[i];
	}
	touched->n_puts = n;
	return true;
}
