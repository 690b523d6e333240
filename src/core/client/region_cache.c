/*
 * region_cache.c
 *	  Which region holds a key, as far as the client remembers.
 */
#include "core/client/region_cache.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/codec/memcomparable.h"

void
region_cache_init(RegionCache *cache)
{
	memset(cache, 0, sizeof(*cache));
}

static void
free_region(CachedRegion *cached)
{
	free((void *) (uintptr_t) cached->region.start_key.data);
	free((void *) (uintptr_t) cached->region.end_key.data);
}

void
region_cache_free(RegionCache *cache)
{
	for (size_t i = 0; i < cache->n; i++)
		free_region(&cache->regions[i]);
	free(cache->regions);
	memset(cache, 0, sizeof(*cache));
}

static Bytes
copy(Bytes b)
{
	uint8_t *data = malloc(b.len + 1);

	CHECK(data != NULL);
	if (b.len > 0)
		memcpy(data, b.data, b.len);
	return bytes_make(data, b.len);
}

bool
region_cache_holds(const Region *region, Bytes key)
{
	return (region->start_key.len == 0 ||
			memcomparable_cmp(key, region->start_key) >= 0) &&
		(region->end_key.len == 0 ||
		 memcomparable_cmp(key, region->end_key) < 0);
}

const CachedRegion *
region_cache_find(const RegionCache *cache, Bytes key)
{
	size_t low = 0;
	size_t high = cache->n;

	/* The last one that starts at or before the key. */
	while (low < high)
	{
		size_t mid = (low + high) / 2;
		Bytes start = cache->regions[mid].region.start_key;

		if (start.len == 0 || memcomparable_cmp(key, start) >= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || !region_cache_holds(&cache->regions[low - 1].region, key))
		return NULL;
	return &cache->regions[low - 1];
}

/* Is the bound, or what is just below it, within the region? */
static bool
holds_bound(const Region *region, Bytes bound, bool below)
{
	if (!below)
		return region_contains(region, bound);
	if (bound.len == 0)
		return region->end_key.len == 0;
	return bytes_cmp(region->start_key, bound) < 0 &&
		(region->end_key.len == 0 || bytes_cmp(bound, region->end_key) <= 0);
}

const CachedRegion *
region_cache_find_bound(const RegionCache *cache, Bytes bound, bool below)
{
	size_t low = 0;
	size_t high = cache->n;

	/* The last one that starts at or before the bound; below: before it. */
	while (low < high)
	{
		size_t mid = (low + high) / 2;
		int order = below && bound.len == 0 ?
			-1 :
			bytes_cmp(cache->regions[mid].region.start_key, bound);

		if (below ? order < 0 : order <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || !holds_bound(&cache->regions[low - 1].region, bound, below))
		return NULL;
	return &cache->regions[low - 1];
}

static void
remove_at(RegionCache *cache, size_t i)
{
	free_region(&cache->regions[i]);
	memmove(&cache->regions[i], &cache->regions[i + 1],
			(cache->n - i - 1) * sizeof(*cache->regions));
	cache->n--;
}

static bool
overlap(const Region *a, const Region *b)
{
	return (a->end_key.len == 0 || bytes_cmp(b->start_key, a->end_key) < 0) &&
		(b->end_key.len == 0 || bytes_cmp(a->start_key, b->end_key) < 0);
}

static bool
is_newer(const Region *a, const Region *b)
{
	return a->epoch.version > b->epoch.version ||
		(a->epoch.version == b->epoch.version &&
		 a->epoch.conf_ver > b->epoch.conf_ver);
}

void
region_cache_put(RegionCache *cache, const Region *region, RegionPeer leader)
{
	size_t at = 0;
	CachedRegion *cached;

	for (size_t i = 0; i < cache->n; i++)
		if (overlap(&cache->regions[i].region, region) &&
			is_newer(&cache->regions[i].region, region))
			return;
	for (size_t i = cache->n; i-- > 0;)
		if (overlap(&cache->regions[i].region, region) ||
			cache->regions[i].region.id == region->id)
			remove_at(cache, i);
	if (cache->n == cache->room)
	{
		cache->room = cache->room == 0 ? 8 : cache->room * 2;
		cache->regions =
			realloc(cache->regions, cache->room * sizeof(*cache->regions));
		CHECK(cache->regions != NULL);
	}
	while (at < cache->n &&
		   bytes_cmp(cache->regions[at].region.start_key, region->start_key) <
			   0)
		at++;
	memmove(&cache->regions[at + 1], &cache->regions[at],
			(cache->n - at) * sizeof(*cache->regions));
	cache->n++;
	cached = &cache->regions[at];
	cached->region = *region;
	cached->region.start_key = copy(region->start_key);
	cached->region.end_key = copy(region->end_key);
	cached->leader = leader;
}

void
region_cache_drop(RegionCache *cache, uint64_t region_id)
{
	for (size_t i = 0; i < cache->n; i++)
		if (cache->regions[i].region.id == region_id)
		{
			remove_at(cache, i);
			return;
		}
}

void
region_cache_set_leader(RegionCache *cache, uint64_t region_id,
						RegionPeer leader)
{
	if (leader.id == 0)
	{
		region_cache_drop(cache, region_id);
		return;
	}
	for (size_t i = 0; i < cache->n; i++)
		if (cache->regions[i].region.id == region_id)
			cache->regions[i].leader = leader;
}
