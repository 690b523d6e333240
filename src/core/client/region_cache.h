/*
 * region_cache.h
 *	  Which region holds a key, as far as the client remembers.
 *
 * The cache may be wrong: the store says so (a region error), and then the
 * entry goes.  Bounds are those of transactional keys, memcomparable.
 * Source: tikv/client-go internal/locate/region_cache.go.
 */
#ifndef TIKV_CLIENT_REGION_CACHE_H
#define TIKV_CLIENT_REGION_CACHE_H

#include "core/region/region.h"

typedef struct CachedRegion
{
	Region region; /* its keys belong to the cache */
	RegionPeer leader;
} CachedRegion;

typedef struct RegionCache
{
	CachedRegion *regions; /* by start key, without overlaps */
	size_t n;
	size_t room;
} RegionCache;

extern void region_cache_init(RegionCache *cache);
extern void region_cache_free(RegionCache *cache);

/* NULL if it must be asked for; valid until the cache changes. */
extern const CachedRegion *region_cache_find(const RegionCache *cache,
											 Bytes key);

/*
 * The same by a bound as regions have it, whatever the form of keys; below:
 * the region of what is just below it (empty: +infinity).
 */
extern const CachedRegion *region_cache_find_bound(const RegionCache *cache,
												   Bytes bound, bool below);

/* What overlaps with it goes, unless it is known to be newer. */
extern void region_cache_put(RegionCache *cache, const Region *region,
							 RegionPeer leader);

extern void region_cache_drop(RegionCache *cache, uint64_t region_id);

/* The leader is another one; 0: not known, so the region is asked for anew. */
extern void region_cache_set_leader(RegionCache *cache, uint64_t region_id,
									RegionPeer leader);

/* True if the user key lies within the (memcomparable) bounds. */
extern bool region_cache_holds(const Region *region, Bytes key);

#endif /* TIKV_CLIENT_REGION_CACHE_H */
