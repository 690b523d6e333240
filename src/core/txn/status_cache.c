/*
 * status_cache.c
 *	  start_ts -> commit_ts of transactions this store saw commit lately.
 *
 * A ring keeps them in order of arrival, an index of open addressing finds
 * them: the oldest leaves when the ring is full, whatever its timestamps, or
 * the ring gets twice its size while that one is too young to leave.
 */
#include "core/txn/status_cache.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"

typedef struct CacheEntry
{
	uint64_t start_ts; /* 0: nothing, or it arrived again since */
	uint64_t commit_ts;
	int64_t arrived_us;
} CacheEntry;

struct TxnStatusCache
{
	CacheEntry *ring;
	size_t n_ring;
	size_t max; /* of n_ring */
	int64_t keep_us;
	size_t next;	 /* where the next arrival goes: the oldest */
	uint32_t *index; /* place in the ring + 1; 0: free */
	size_t mask;
};

/* False, and nothing is changed: there is no memory. */
static bool
make_room(TxnStatusCache *cache, size_t n)
{
	size_t n_index = 2;
	CacheEntry *ring = calloc(n, sizeof(CacheEntry));
	uint32_t *index;

	while (n_index < 2 * n)
		n_index *= 2;
	index = calloc(n_index, sizeof(uint32_t));
	if (ring == NULL || index == NULL)
	{
		free(ring);
		free(index);
		return false;
	}
	cache->ring = ring;
	cache->index = index;
	cache->n_ring = n;
	cache->mask = n_index - 1;
	return true;
}

TxnStatusCache *
status_cache_new(size_t n, size_t max, int64_t keep_us)
{
	TxnStatusCache *cache = calloc(1, sizeof(*cache));

	CHECK(n > 0 && n <= max && max < UINT32_MAX / 4);
	CHECK(cache != NULL);
	cache->max = max;
	cache->keep_us = keep_us;
	CHECK(make_room(cache, n));
	return cache;
}

void
status_cache_free(TxnStatusCache *cache)
{
	if (cache == NULL)
		return;
	free(cache->ring);
	free(cache->index);
	free(cache);
}

static size_t
home_of(const TxnStatusCache *cache, uint64_t start_ts)
{
	return (size_t) hash_mix64(start_ts, 0x9E3779B97F4A7C15u) & cache->mask;
}

/* The transaction's place in the index, or the free one that ends its run. */
static size_t
find(const TxnStatusCache *cache, uint64_t start_ts)
{
	size_t i = home_of(cache, start_ts);

	while (cache->index[i] != 0 &&
		   cache->ring[cache->index[i] - 1].start_ts != start_ts)
		i = (i + 1) & cache->mask;
	return i;
}

/* Take the entry at `hole` out, moving up what its absence would hide. */
static void
erase(TxnStatusCache *cache, size_t hole)
{
	size_t i = hole;

	cache->ring[cache->index[hole] - 1].start_ts = 0;
	for (;;)
	{
		size_t home;

		i = (i + 1) & cache->mask;
		if (cache->index[i] == 0)
			break;
		home = home_of(cache, cache->ring[cache->index[i] - 1].start_ts);
		/* Between its home and here lies the hole? */
		if (((i - home) & cache->mask) >= ((i - hole) & cache->mask))
		{
			cache->index[hole] = cache->index[i];
			hole = i;
		}
	}
	cache->index[hole] = 0;
}

/* The oldest first, as they are; behind them is room for as many again. */
static void
grow(TxnStatusCache *cache)
{
	CacheEntry *old = cache->ring;
	uint32_t *old_index = cache->index;
	size_t n = cache->n_ring;
	size_t first = cache->next;

	if (!make_room(cache, 2 * n < cache->max ? 2 * n : cache->max))
		return;
	for (size_t i = 0; i < n; i++)
	{
		CacheEntry *entry = &cache->ring[i];

		*entry = old[(first + i) % n];
		if (entry->start_ts != 0)
			cache->index[find(cache, entry->start_ts)] = (uint32_t) i + 1;
	}
	cache->next = n;
	free(old);
	free(old_index);
}

void
status_cache_put(TxnStatusCache *cache, uint64_t start_ts, uint64_t commit_ts,
				 int64_t now_us)
{
	CacheEntry *entry = &cache->ring[cache->next];
	size_t i;

	if (start_ts == 0 || commit_ts == 0)
		return;
	i = find(cache, start_ts);
	if (cache->index[i] != 0)
		erase(cache, i);
	if (entry->start_ts != 0 && cache->n_ring < cache->max &&
		now_us - entry->arrived_us < cache->keep_us)
		grow(cache);
	entry = &cache->ring[cache->next];
	if (entry->start_ts != 0)
		erase(cache, find(cache, entry->start_ts));
	entry->start_ts = start_ts;
	entry->commit_ts = commit_ts;
	entry->arrived_us = now_us;
	cache->index[find(cache, start_ts)] = (uint32_t) cache->next + 1;
	cache->next = (cache->next + 1) % cache->n_ring;
}

uint64_t
status_cache_get(const TxnStatusCache *cache, uint64_t start_ts)
{
	size_t i;

	if (start_ts == 0)
		return 0;
	i = find(cache, start_ts);
	return cache->index[i] == 0 ? 0 :
								  cache->ring[cache->index[i] - 1].commit_ts;
}
