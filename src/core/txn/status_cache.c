/*
 * status_cache.c
 *	  start_ts -> commit_ts of transactions this store saw commit lately.
 *
 * A ring keeps them in order of arrival, an index of open addressing finds
 * them: the oldest leaves when the ring is full, whatever its timestamps.
 */
#include "core/txn/status_cache.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"

typedef struct CacheEntry
{
	uint64_t start_ts; /* 0: nothing, or it arrived again since */
	uint64_t commit_ts;
} CacheEntry;

struct TxnStatusCache
{
	CacheEntry *ring;
	size_t n_ring;
	size_t next;	 /* where the next arrival goes */
	uint32_t *index; /* place in the ring + 1; 0: free */
	size_t mask;
};

TxnStatusCache *
status_cache_new(size_t n)
{
	TxnStatusCache *cache = calloc(1, sizeof(*cache));
	size_t n_index = 2;

	CHECK(n > 0 && n < UINT32_MAX / 4);
	while (n_index < 2 * n)
		n_index *= 2;
	CHECK(cache != NULL);
	cache->ring = calloc(n, sizeof(CacheEntry));
	cache->index = calloc(n_index, sizeof(uint32_t));
	CHECK(cache->ring != NULL && cache->index != NULL);
	cache->n_ring = n;
	cache->mask = n_index - 1;
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

void
status_cache_put(TxnStatusCache *cache, uint64_t start_ts, uint64_t commit_ts)
{
	CacheEntry *entry = &cache->ring[cache->next];
	size_t i;

	if (start_ts == 0 || commit_ts == 0)
		return;
	i = find(cache, start_ts);
	if (cache->index[i] != 0)
		erase(cache, i);
	if (entry->start_ts != 0)
		erase(cache, find(cache, entry->start_ts));
	entry->start_ts = start_ts;
	entry->commit_ts = commit_ts;
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
