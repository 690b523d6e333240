/*
 * region_tree.c
 *	  The regions that the Placement Driver knows, by start key and by id.
 */
#include "pd/core/region_tree.h"

#include <stdlib.h>

#include "core/base/check.h"

void
region_tree_init(RegionTree *tree)
{
	memset(tree, 0, sizeof(*tree));
}

void
region_tree_free(RegionTree *tree)
{
	for (size_t i = 0; i < tree->n; i++)
	{
		free(tree->by_key[i]->buckets);
		free(tree->by_key[i]);
	}
	free(tree->by_key);
	free(tree->by_id);
	region_tree_init(tree);
}

/* Does a range that ends at `end` (empty: +infinity) reach beyond `key`? */
static bool
ends_after(Bytes end, Bytes key)
{
	return end.len == 0 || bytes_cmp(key, end) < 0;
}

/* The first position whose region ends after the key. */
static size_t
seek_key(const RegionTree *tree, Bytes key)
{
	size_t lo = 0;
	size_t hi = tree->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (ends_after(tree->by_key[mid]->meta.end_key, key))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* The first position whose id is not less. */
static size_t
seek_id(const RegionTree *tree, uint64_t id)
{
	size_t lo = 0;
	size_t hi = tree->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (tree->by_id[mid]->meta.id >= id)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

const PdRegion *
region_tree_get(const RegionTree *tree, uint64_t id)
{
	size_t at = seek_id(tree, id);

	if (at < tree->n && tree->by_id[at]->meta.id == id)
		return tree->by_id[at];
	return NULL;
}

const PdRegion *
region_tree_find(const RegionTree *tree, Bytes key)
{
	size_t at = seek_key(tree, key);

	if (at < tree->n && region_contains(&tree->by_key[at]->meta, key))
		return tree->by_key[at];
	return NULL;
}

const PdRegion *
region_tree_prev(const RegionTree *tree, Bytes key)
{
	size_t at = seek_key(tree, key);
	const PdRegion *prev;

	if (at == 0 || at >= tree->n ||
		!region_contains(&tree->by_key[at]->meta, key))
		return NULL;
	prev = tree->by_key[at - 1];
	if (!bytes_eq(prev->meta.end_key, tree->by_key[at]->meta.start_key))
		return NULL;
	return prev;
}

/* The first position whose region starts at or behind the end of a range. */
static size_t
seek_end(const RegionTree *tree, size_t from, Bytes end)
{
	size_t lo = from;
	size_t hi = tree->n;

	while (lo < hi)
	{
		size_t mid = lo + (hi - lo) / 2;

		if (ends_after(end, tree->by_key[mid]->meta.start_key))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t
region_tree_overlaps(const RegionTree *tree, Bytes start, Bytes end,
					 size_t *first)
{
	*first = seek_key(tree, start);
	return seek_end(tree, *first, end) - *first;
}

/* One block holds the struct, its lists and its keys. */
static PdRegion *
region_copy(const PdRegion *from)
{
	size_t down = from->n_down * sizeof(DownPeer);
	size_t pending = from->n_pending * sizeof(RegionPeer);
	size_t keys = from->meta.start_key.len + from->meta.end_key.len;
	PdRegion *to = malloc(sizeof(PdRegion) + down + pending + keys);
	uint8_t *at;

	CHECK(to != NULL);
	*to = *from;
	to->down = (DownPeer *) (to + 1);
	to->pending = (RegionPeer *) (to->down + from->n_down);
	if (down > 0)
		memcpy(to->down, from->down, down);
	if (pending > 0)
		memcpy(to->pending, from->pending, pending);

	at = (uint8_t *) (to->pending + from->n_pending);
	if (from->meta.start_key.len > 0)
		memcpy(at, from->meta.start_key.data, from->meta.start_key.len);
	to->meta.start_key = bytes_make(at, from->meta.start_key.len);
	at += from->meta.start_key.len;
	if (from->meta.end_key.len > 0)
		memcpy(at, from->meta.end_key.data, from->meta.end_key.len);
	to->meta.end_key = bytes_make(at, from->meta.end_key.len);
	return to;
}

static void
array_close(PdRegion **array, size_t n, size_t at)
{
	memmove(array + at, array + at + 1, (n - at - 1) * sizeof(*array));
}

static void
array_open(PdRegion **array, size_t n, size_t at, PdRegion *region)
{
	memmove(array + at + 1, array + at, (n - at) * sizeof(*array));
	array[at] = region;
}

static void
drop_buckets(RegionTree *tree, PdRegion *region)
{
	if (region->buckets == NULL)
		return;
	tree->bucket_bytes -= region->buckets->bytes;
	free(region->buckets);
	region->buckets = NULL;
}

static void
remove_at(RegionTree *tree, size_t key_at)
{
	PdRegion *region = tree->by_key[key_at];
	size_t id_at = seek_id(tree, region->meta.id);

	CHECK(tree->by_id[id_at] == region);
	array_close(tree->by_key, tree->n, key_at);
	array_close(tree->by_id, tree->n, id_at);
	tree->n--;
	drop_buckets(tree, region);
	free(region);
}

void
region_tree_remove(RegionTree *tree, uint64_t id)
{
	const PdRegion *region = region_tree_get(tree, id);
	size_t at;

	if (region == NULL)
		return;
	at = seek_key(tree, region->meta.start_key);
	CHECK(at < tree->n && tree->by_key[at] == region);
	remove_at(tree, at);
}

static void
reserve_one(RegionTree *tree)
{
	size_t size = tree->size == 0 ? 16 : tree->size * 2;

	if (tree->n < tree->size)
		return;
	tree->by_key = realloc(tree->by_key, size * sizeof(PdRegion *));
	tree->by_id = realloc(tree->by_id, size * sizeof(PdRegion *));
	CHECK(tree->by_key != NULL && tree->by_id != NULL);
	tree->size = size;
}

/* What is known of the region that comes, if its range is what it was. */
static PdBuckets *
take_buckets(RegionTree *tree, const PdRegion *next)
{
	size_t at = seek_id(tree, next->meta.id);
	PdRegion *old;
	PdBuckets *buckets;

	if (at == tree->n || tree->by_id[at]->meta.id != next->meta.id)
		return NULL;
	old = tree->by_id[at];
	if (!bytes_eq(old->meta.start_key, next->meta.start_key) ||
		!bytes_eq(old->meta.end_key, next->meta.end_key))
		return NULL;
	buckets = old->buckets;
	old->buckets = NULL;
	return buckets;
}

static size_t
block_bytes(const PdBuckets *buckets)
{
	size_t bytes = sizeof(PdBuckets) + buckets->n_keys * sizeof(Bytes);

	for (size_t i = 0; i < buckets->n_keys; i++)
		bytes += buckets->keys[i].len;
	return bytes;
}

/* One block holds the struct, the list and the keys. */
static PdBuckets *
buckets_copy(const PdBuckets *from, size_t bytes)
{
	PdBuckets *to = malloc(bytes);
	uint8_t *at;

	CHECK(to != NULL);
	to->bytes = bytes;
	to->version = from->version;
	to->n_keys = from->n_keys;
	to->keys = (Bytes *) (to + 1);
	at = (uint8_t *) (to->keys + to->n_keys);
	for (size_t i = 0; i < from->n_keys; i++)
	{
		if (from->keys[i].len > 0)
			memcpy(at, from->keys[i].data, from->keys[i].len);
		to->keys[i] = bytes_make(at, from->keys[i].len);
		at += from->keys[i].len;
	}
	return to;
}

bool
region_tree_set_buckets(RegionTree *tree, uint64_t id, const PdBuckets *buckets,
						size_t most)
{
	size_t at = seek_id(tree, id);
	size_t bytes = block_bytes(buckets);
	PdRegion *region;

	if (at == tree->n || tree->by_id[at]->meta.id != id)
		return false;
	region = tree->by_id[at];
	if (region->buckets != NULL && region->buckets->version >= buckets->version)
		return true;
	drop_buckets(tree, region);
	if (bytes > most || tree->bucket_bytes > most - bytes)
		return true;
	region->buckets = buckets_copy(buckets, bytes);
	tree->bucket_bytes += bytes;
	return true;
}

void
region_tree_put(RegionTree *tree, const PdRegion *region)
{
	PdRegion *copy = region_copy(region);
	size_t first;
	size_t n;

	copy->buckets = take_buckets(tree, copy);
	region_tree_remove(tree, copy->meta.id);
	n = region_tree_overlaps(tree, copy->meta.start_key, copy->meta.end_key,
							 &first);
	while (n-- > 0)
		remove_at(tree, first);

	reserve_one(tree);
	array_open(tree->by_key, tree->n, first, copy);
	array_open(tree->by_id, tree->n, seek_id(tree, copy->meta.id), copy);
	tree->n++;
}

/*
 * Do n regions in order, cut at a limit or not, leave no hole in the range?
 */
static bool
covers(const PdRegion *const *regions, size_t n, PdKeyRange range, bool cut)
{
	Bytes next = range.start;

	for (size_t i = 0; i < n; i++)
	{
		if (bytes_cmp(regions[i]->meta.start_key, next) > 0)
			return false;
		next = regions[i]->meta.end_key;
		if (next.len == 0)
			return true;
	}
	if (cut)
		return true;
	return range.end.len > 0 && bytes_cmp(next, range.end) >= 0;
}

size_t
region_tree_scan(const RegionTree *tree, PdKeyRange range, size_t limit,
				 Arena *arena, const PdRegion ***out, bool *complete)
{
	size_t first;
	size_t n = region_tree_overlaps(tree, range.start, range.end, &first);
	bool cut = limit > 0 && n >= limit;
	const PdRegion **found;

	if (cut)
		n = limit;
	found = arena_alloc(arena, n * sizeof(*found));
	for (size_t i = 0; i < n; i++)
		found[i] = tree->by_key[first + i];
	*complete = covers(found, n, range, cut);
	*out = found;
	return n;
}

static Status
check_ranges(const PdKeyRange *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (ranges[i].end.len > 0 &&
			bytes_cmp(ranges[i].start, ranges[i].end) > 0)
			return STATUS_INVALID;
		if (i > 0 && ends_after(ranges[i - 1].end, ranges[i].start))
			return STATUS_INVALID;
	}
	return STATUS_OK;
}

Status
region_tree_batch_scan(const RegionTree *tree, const PdKeyRange *ranges,
					   size_t n_ranges, size_t limit, Arena *arena,
					   const PdRegion ***out, size_t *n_out, bool *complete)
{
	size_t n = 0;
	size_t room = limit > 0 && limit < tree->n ? limit : tree->n;
	const PdRegion **found = arena_alloc(arena, room * sizeof(*found));

	*complete = true;
	*out = found;
	*n_out = 0;
	if (check_ranges(ranges, n_ranges) != STATUS_OK)
		return STATUS_INVALID;

	for (size_t r = 0; r < n_ranges; r++)
	{
		size_t first;
		size_t here =
			region_tree_overlaps(tree, ranges[r].start, ranges[r].end, &first);
		const PdRegion *const *regions =
			(const PdRegion *const *) tree->by_key + first;
		size_t skip = n > 0 && here > 0 && found[n - 1] == regions[0];
		bool cut = limit > 0 && n + here - skip >= limit;
		size_t take = cut ? limit - n : here - skip;

		if (!covers(regions, skip + take, ranges[r], cut))
			*complete = false;
		for (size_t i = 0; i < take; i++)
			found[n++] = regions[skip + i];
		if (cut)
			break;
	}
	*n_out = n;
	return STATUS_OK;
}
