/*
 * http_stats.c
 *	  HTTP: sums over the regions of a range.
 */
#include "postgres.h"

#include "pd/http_ask.h"

typedef struct Sums
{
	uint64 empty;
	uint64 size;
	uint64 keys;
} Sums;

/* One number for each store that is not a tombstone. */
static void
put_by_store(HttpAsk *ask, const char *key, const PdRegion **regions, size_t n,
			 bool leaders, uint64 (*value)(const PdRegion *))
{
	const Cluster *cluster = &ask->pd->state.cluster;

	json_open(&ask->json, key, '{');
	for (size_t s = 0; s < cluster->n_stores; s++)
	{
		uint64 id = cluster->stores[s]->store.id;
		uint64 sum = 0;
		bool any = false;

		for (size_t i = 0; i < n; i++)
			if (leaders ? regions[i]->leader.store_id == id :
						  http_has_peer_on(regions[i], ask, id))
			{
				any = true;
				sum += value(regions[i]);
			}
		if (any)
			json_uint(&ask->json,
					  arena_printf(ask->arena, "%llu", (unsigned long long) id),
					  sum);
	}
	json_close(&ask->json, '}');
}

static uint64
one(const PdRegion *region)
{
	(void) region;
	return 1;
}

static uint64
size_of(const PdRegion *region)
{
	return region->approximate_size;
}

static uint64
keys_of(const PdRegion *region)
{
	return region->approximate_keys;
}

static void
get_region_stats(HttpAsk *ask)
{
	PdKeyRange range = {url_query_bytes(&ask->url, "start_key"),
						url_query_bytes(&ask->url, "end_key")};
	const PdRegion **regions;
	Sums sums = {0};
	bool complete;
	size_t n = region_tree_scan(&ask->pd->state.cluster.regions, range, 0,
								ask->arena, &regions, &complete);

	for (size_t i = 0; i < n; i++)
	{
		sums.empty += http_region_is_empty(regions[i], ask, 0);
		sums.size += regions[i]->approximate_size;
		sums.keys += regions[i]->approximate_keys;
	}
	json_open(&ask->json, NULL, '{');
	json_uint(&ask->json, "count", n);
	json_uint(&ask->json, "empty_count", sums.empty);
	json_uint(&ask->json, "storage_size", sums.size);
	json_uint(&ask->json, "storage_keys", sums.keys);
	put_by_store(ask, "store_leader_count", regions, n, true, one);
	put_by_store(ask, "store_peer_count", regions, n, false, one);
	put_by_store(ask, "store_leader_size", regions, n, true, size_of);
	put_by_store(ask, "store_leader_keys", regions, n, true, keys_of);
	put_by_store(ask, "store_peer_size", regions, n, false, size_of);
	put_by_store(ask, "store_peer_keys", regions, n, false, keys_of);
	json_close(&ask->json, '}');
}

const HttpRoute http_stats_routes[] = {
	{"GET", "v1/stats/region", true, get_region_stats},
	{NULL, NULL, false, NULL},
};
