/*
 * cut.c
 *	  Splits at given keys, as PD orders them.
 */
#include "pd/core/cut.h"

#include <stdlib.h>

static int
compare(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

size_t
cut_sort(Bytes *keys, size_t n)
{
	size_t kept = 0;

	if (n > 0)
		qsort(keys, n, sizeof(Bytes), compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !bytes_eq(keys[kept - 1], keys[i]))
			keys[kept++] = keys[i];
	return kept;
}

size_t
cut_done(const RegionTree *tree, const Bytes *keys, size_t n, uint64_t *ids)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++)
	{
		const PdRegion *region = region_tree_find(tree, keys[i]);

		if (region != NULL && bytes_eq(region->meta.start_key, keys[i]))
			ids[done++] = region->meta.id;
	}
	return done;
}

static Order *
add_order(Order **orders, size_t n, size_t *room, Arena *arena)
{
	Order *more;

	if (n == *room)
	{
		*room = *room == 0 ? 16 : *room * 2;
		more = arena_alloc(arena, *room * sizeof(Order));
		if (n > 0)
			memcpy(more, *orders, n * sizeof(Order));
		*orders = more;
	}
	return &(*orders)[n];
}

static void
begin_order(Order *order, const PdRegion *region, const Bytes *keys)
{
	memset(order, 0, sizeof(*order));
	order->kind = ORDER_SPLIT;
	order->region_id = region->meta.id;
	order->epoch = region->meta.epoch;
	order->target = region->leader;
	order->keys = keys;
}

/*
 * The keys of a region follow each other, without the one that it begins at,
 * which is the first: so an order names a part of all.
 */
size_t
cut_orders(const RegionTree *tree, const Bytes *keys, size_t n, Arena *arena,
		   Order **orders)
{
	Order *order = NULL;
	size_t n_orders = 0;
	size_t room = 0;
	size_t bytes = 0;

	*orders = NULL;
	for (size_t i = 0; i < n; i++)
	{
		const PdRegion *region = region_tree_find(tree, keys[i]);

		if (region == NULL || bytes_eq(region->meta.start_key, keys[i]) ||
			region->leader.id == 0 || region_is_joint(&region->meta))
			continue;
		if (order == NULL || order->region_id != region->meta.id)
		{
			order = add_order(orders, n_orders++, &room, arena);
			begin_order(order, region, &keys[i]);
			bytes = 0;
		}
		bytes += keys[i].len;
		if (order->n_keys < CUT_ORDER_KEYS &&
			(order->n_keys == 0 || bytes <= CUT_ORDER_BYTES))
			order->n_keys++;
	}
	return n_orders;
}
