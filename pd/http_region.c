/*
 * http_region.c
 *	  HTTP: regions, by id, by key, by store, and how many there are.
 */
#include "postgres.h"

#include "pd/core/placement.h"
#include "pd/http_ask.h"

/* What tikv/pd gives at a time (pkg/utils/apiutil, handler.AdjustLimit). */
#define DEFAULT_LIMIT 16
#define MAX_LIMIT 10240

static const RegionTree *
tree_of(const HttpAsk *ask)
{
	return &ask->pd->state.cluster.regions;
}

/* ---- one region ---- */

static const char *
role_name(PeerRole role)
{
	static const char *const names[] = {"Voter", "Learner", "IncomingVoter",
										"DemotingVoter"};

	return (int) role < (int) lengthof(names) ? names[role] : "Voter";
}

static void
put_peer(JsonWriter *json, const char *key, const RegionPeer *peer)
{
	json_open(json, key, '{');
	if (peer->id != 0)
	{
		json_uint(json, "id", peer->id);
		json_uint(json, "store_id", peer->store_id);
		if (peer->role != PEER_VOTER)
			json_int(json, "role", peer->role);
	}
	json_string(json, "role_name", role_name(peer->role));
	if (peer->role == PEER_LEARNER)
		json_bool(json, "is_learner", true);
	json_close(json, '}');
}

static void
put_down_peers(JsonWriter *json, const PdRegion *region)
{
	json_open(json, "down_peers", '[');
	for (size_t i = 0; i < region->n_down; i++)
	{
		json_open(json, NULL, '{');
		json_uint(json, "down_seconds", region->down[i].down_seconds);
		put_peer(json, "peer", &region->down[i].peer);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void
put_buckets(JsonWriter *json, const PdBuckets *buckets)
{
	json_open(json, "buckets", '[');
	for (size_t i = 0; i < buckets->n_keys; i++)
		json_hex(json, NULL, buckets->keys[i]);
	json_close(json, ']');
	json_uint(json, "bucket_version", buckets->version);
}

static void
put_region(JsonWriter *json, const PdRegion *region)
{
	const Region *meta = &region->meta;

	json_open(json, NULL, '{');
	json_uint(json, "id", meta->id);
	json_hex(json, "start_key", meta->start_key);
	json_hex(json, "end_key", meta->end_key);
	json_open(json, "epoch", '{');
	json_uint(json, "conf_ver", meta->epoch.conf_ver);
	json_uint(json, "version", meta->epoch.version);
	json_close(json, '}');
	json_open(json, "peers", '[');
	for (int i = 0; i < meta->n_peers; i++)
		put_peer(json, NULL, &meta->peers[i]);
	json_close(json, ']');
	put_peer(json, "leader", &region->leader);
	if (region->n_down > 0)
		put_down_peers(json, region);
	if (region->n_pending > 0)
	{
		json_open(json, "pending_peers", '[');
		for (size_t i = 0; i < region->n_pending; i++)
			put_peer(json, NULL, &region->pending[i]);
		json_close(json, ']');
	}
	json_uint(json, "cpu_usage", region->cpu_usage);
	json_uint(json, "written_bytes", region->bytes_written);
	json_uint(json, "read_bytes", region->bytes_read);
	json_uint(json, "written_keys", region->keys_written);
	json_uint(json, "read_keys", region->keys_read);
	json_uint(json, "approximate_size", region->approximate_size);
	json_uint(json, "approximate_keys", region->approximate_keys);
	json_uint(json, "approximate_kv_size", 0);
	json_uint(json, "approximate_columnar_kv_size", 0);
	if (region->buckets != NULL)
		put_buckets(json, region->buckets);
	json_close(json, '}');
}

/* null for what is not there, with status 200. */
static void
answer_region(HttpAsk *ask, const PdRegion *region)
{
	if (region != NULL)
		put_region(&ask->json, region);
	else
		json_null(&ask->json, NULL);
}

static void
get_region_by_id(HttpAsk *ask)
{
	uint64_t id;

	if (http_id(ask, 5, &id))
		answer_region(ask, region_tree_get(tree_of(ask), id));
}

static bool
unhex(HttpAsk *ask, Bytes key, Bytes *out)
{
	return url_unhex(key, ask->arena, out) ||
		http_bad_value(ask, "the key", key, "hexadecimal");
}

/* Keys come as they are, or in hexadecimal with format=hex. */
static bool
read_key(HttpAsk *ask, Bytes key, Bytes *out)
{
	const char *format = url_query(&ask->url, "format");

	*out = key;
	return format == NULL || strcmp(format, "hex") != 0 || unhex(ask, key, out);
}

static void
get_region_by_key(HttpAsk *ask)
{
	Bytes key;

	/* Clients escape this segment as a query: "+" is a space. */
	if (!url_unescape(ask->url.segments[5], true, ask->arena, &key))
		key = ask->url.segments[5];
	if (read_key(ask, key, &key))
		answer_region(ask, region_tree_find(tree_of(ask), key));
}

/* ---- several ---- */

static void
put_regions(HttpAsk *ask, const PdRegion *const *regions, size_t n)
{
	json_open(&ask->json, NULL, '{');
	json_uint(&ask->json, "count", n);
	json_open(&ask->json, "regions", '[');
	for (size_t i = 0; i < n; i++)
		put_region(&ask->json, regions[i]);
	json_close(&ask->json, ']');
	json_close(&ask->json, '}');
}

static void
get_regions(HttpAsk *ask)
{
	put_regions(ask, (const PdRegion *const *) tree_of(ask)->by_key,
				tree_of(ask)->n);
}

static void
get_region_count(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_uint(&ask->json, "count", tree_of(ask)->n);
	json_open(&ask->json, "regions", '[');
	json_close(&ask->json, ']');
	json_close(&ask->json, '}');
}

static void
scan_regions(HttpAsk *ask)
{
	PdKeyRange range;
	const PdRegion **regions;
	bool complete;
	size_t limit;
	size_t n;

	if (!http_limit(ask, DEFAULT_LIMIT, MAX_LIMIT, &limit) ||
		!read_key(ask, url_query_bytes(&ask->url, "key"), &range.start) ||
		!read_key(ask, url_query_bytes(&ask->url, "end_key"), &range.end))
		return;
	n = region_tree_scan(tree_of(ask), range, limit, ask->arena, &regions,
						 &complete);
	put_regions(ask, regions, n);
}

/* Those for which a test holds, in order of their keys. */
static void
put_matching(HttpAsk *ask,
			 bool (*test)(const PdRegion *, const HttpAsk *, uint64),
			 uint64 arg)
{
	const RegionTree *tree = tree_of(ask);
	const PdRegion **found = arena_alloc(ask->arena, tree->n * sizeof(*found));
	size_t n = 0;

	for (size_t i = 0; i < tree->n; i++)
		if (test(tree->by_key[i], ask, arg))
			found[n++] = tree->by_key[i];
	put_regions(ask, found, n);
}

bool
http_has_peer_on(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) ask;
	for (int i = 0; i < region->meta.n_peers; i++)
		if (region->meta.peers[i].store_id == store_id)
			return true;
	return false;
}

static bool
is_led_by(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) ask;
	return region->leader.store_id == store_id;
}

static bool
has_follower_on(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) ask;
	for (int i = 0; i < region->meta.n_peers; i++)
		if (region->meta.peers[i].store_id == store_id)
			return region->meta.peers[i].role != PEER_LEARNER &&
				region->leader.store_id != store_id;
	return false;
}

static bool
has_learner_on(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) ask;
	for (int i = 0; i < region->meta.n_peers; i++)
		if (region->meta.peers[i].store_id == store_id)
			return region->meta.peers[i].role == PEER_LEARNER;
	return false;
}

static bool
is_pending_on(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) ask;
	for (size_t i = 0; i < region->n_pending; i++)
		if (region->pending[i].store_id == store_id)
			return true;
	return false;
}

/* There are no witnesses. */
static bool
never(const PdRegion *region, const HttpAsk *ask, uint64 store_id)
{
	(void) region;
	(void) ask;
	(void) store_id;
	return false;
}

typedef struct Check
{
	const char *name;
	bool (*test)(const PdRegion *, const HttpAsk *, uint64);
} Check;

/* tikv/pd pkg/core/region.go, SubTreeRegionType. */
static const Check roles[] = {{"all", http_has_peer_on},
							  {"leader", is_led_by},
							  {"follower", has_follower_on},
							  {"learner", has_learner_on},
							  {"pending", is_pending_on},
							  {"witness", never}};

static void
get_store_regions(HttpAsk *ask)
{
	Bytes type = url_query_bytes(&ask->url, "type");
	uint64_t id;

	if (!http_id(ask, 5, &id))
		return;
	if (type.len == 0)
		type = bytes_cstr("all");
	for (int i = 0; i < (int) lengthof(roles); i++)
		if (bytes_eq(type, bytes_cstr(roles[i].name)))
		{
			put_matching(ask, roles[i].test, id);
			return;
		}
	(void) http_bad_value(ask, "type", type,
						  "all, leader, follower, learner, pending or witness");
}

static int
count_voters(const PdRegion *region)
{
	int n = 0;

	for (int i = 0; i < region->meta.n_peers; i++)
		n += region->meta.peers[i].role != PEER_LEARNER;
	return n;
}

/* As many as max-replicas: of an even number one is a learner (placement.h). */
static int
wanted_peers(const HttpAsk *ask, int *voters)
{
	uint32 most = ask->pd->state.cluster.max_peer_count;
	int learners;

	placement_count(most, most, voters, &learners);
	return *voters + learners;
}

/* Learners count (tikv/pd pkg/statistics/region_collection.go). */
static bool
misses_peers(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	int voters;

	(void) arg;
	return region->meta.n_peers < wanted_peers(ask, &voters);
}

static bool
has_extra_peers(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	int voters;

	(void) arg;
	return region->meta.n_peers > wanted_peers(ask, &voters);
}

static bool
is_replicated(const PdRegion *region, const HttpAsk *ask)
{
	int voters;

	return region->meta.n_peers >= wanted_peers(ask, &voters) &&
		count_voters(region) >= voters;
}

static bool
has_pending_peers(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	(void) ask;
	(void) arg;
	return region->n_pending > 0;
}

static bool
has_down_peers(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	(void) ask;
	(void) arg;
	return region->n_down > 0;
}

static bool
has_learners(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	(void) ask;
	(void) arg;
	return count_voters(region) < region->meta.n_peers;
}

/* At most 1 MiB (tikv/pd pkg/core, EmptyRegionApproximateSize). */
bool
http_region_is_empty(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	(void) ask;
	(void) arg;
	return region->approximate_size <= 1;
}

static bool
has_offline_peers(const PdRegion *region, const HttpAsk *ask, uint64 arg)
{
	(void) arg;
	for (int i = 0; i < region->meta.n_peers; i++)
	{
		const PdStore *store = cluster_store(&ask->pd->state.cluster,
											 region->meta.peers[i].store_id);

		if (store != NULL && store->state == STORE_OFFLINE)
			return true;
	}
	return false;
}

static const Check checks[] = {{"miss-peer", misses_peers},
							   {"extra-peer", has_extra_peers},
							   {"pending-peer", has_pending_peers},
							   {"down-peer", has_down_peers},
							   {"learner-peer", has_learners},
							   {"empty-region", http_region_is_empty},
							   {"offline-peer", has_offline_peers}};

static void
check_regions(HttpAsk *ask)
{
	const char *name = url_text(&ask->url, 5);

	for (int i = 0; name != NULL && i < (int) lengthof(checks); i++)
		if (strcmp(checks[i].name, name) == 0)
		{
			put_matching(ask, checks[i].test, 0);
			return;
		}
	http_say(ask, HTTP_NOT_FOUND, HTTP_NO_SUCH_PAGE);
}

static void
get_siblings(HttpAsk *ask)
{
	const RegionTree *tree = tree_of(ask);
	const PdRegion *found[2];
	const PdRegion *region;
	uint64_t id;
	size_t n = 0;

	if (!http_id(ask, 5, &id))
		return;
	region = region_tree_get(tree, id);
	if (region == NULL)
	{
		http_say(ask, HTTP_NOT_FOUND,
				 arena_printf(ask->arena, "region %llu not found",
							  (unsigned long long) id));
		return;
	}
	found[n] = region_tree_prev(tree, region->meta.start_key);
	n += found[n] != NULL;
	if (region->meta.end_key.len > 0)
	{
		found[n] = region_tree_find(tree, region->meta.end_key);
		n += found[n] != NULL;
	}
	put_regions(ask, found, n);
}

/* Pairs of keys between which no region is known. */
static void
get_holes(HttpAsk *ask)
{
	const RegionTree *tree = tree_of(ask);
	Bytes next = bytes_empty();
	bool open = true; /* is there anything behind next? */

	json_open(&ask->json, NULL, '[');
	for (size_t i = 0; i < tree->n; i++)
	{
		const Region *meta = &tree->by_key[i]->meta;

		if (bytes_cmp(next, meta->start_key) < 0)
		{
			json_open(&ask->json, NULL, '[');
			json_hex(&ask->json, NULL, next);
			json_hex(&ask->json, NULL, meta->start_key);
			json_close(&ask->json, ']');
		}
		next = meta->end_key;
		open = next.len > 0;
	}
	if (open)
	{
		json_open(&ask->json, NULL, '[');
		json_hex(&ask->json, NULL, next);
		json_hex(&ask->json, NULL, bytes_empty());
		json_close(&ask->json, ']');
	}
	json_close(&ask->json, ']');
}

/* ---- the first by some measure ---- */

typedef enum Measure
{
	BY_WRITTEN,
	BY_READ,
	BY_CONF_VER,
	BY_VERSION,
	BY_SIZE,
	BY_KEYS,
	BY_CPU
} Measure;

static const char *const measures[] = {"writeflow", "readflow", "confver",
									   "version",	"size",		"keys",
									   "cpu"};

static uint64
measure(const PdRegion *region, Measure by)
{
	switch (by)
	{
		case BY_WRITTEN:
			return region->bytes_written;
		case BY_READ:
			return region->bytes_read;
		case BY_CONF_VER:
			return region->meta.epoch.conf_ver;
		case BY_VERSION:
			return region->meta.epoch.version;
		case BY_SIZE:
			return region->approximate_size;
		case BY_KEYS:
			return region->approximate_keys;
		default:
			return region->cpu_usage;
	}
}

static int
compare_measure(const void *a, const void *b, void *arg)
{
	Measure by = *(const Measure *) arg;
	uint64 x = measure(*(const PdRegion *const *) a, by);
	uint64 y = measure(*(const PdRegion *const *) b, by);

	return (x < y) - (x > y);
}

static void
get_top_regions(HttpAsk *ask)
{
	const RegionTree *tree = tree_of(ask);
	const char *name = url_text(&ask->url, 4);
	const PdRegion **sorted;
	Measure by = BY_WRITTEN;
	size_t limit;

	if (!http_limit(ask, DEFAULT_LIMIT, MAX_LIMIT, &limit))
		return;
	for (int i = 0; i < (int) lengthof(measures); i++)
		if (strcmp(measures[i], name) == 0)
			by = (Measure) i;
	sorted = arena_alloc(ask->arena, tree->n * sizeof(*sorted));
	if (tree->n > 0)
		memcpy(sorted, tree->by_key, tree->n * sizeof(*sorted));
	qsort_arg(sorted, tree->n, sizeof(*sorted), compare_measure, &by);
	put_regions(ask, sorted, Min(limit, tree->n));
}

/* ---- of a range ---- */

/* Of a range, or of all; keys are always in hexadecimal. */
static void
get_replicated(HttpAsk *ask)
{
	Bytes start = url_query_bytes(&ask->url, "startKey");
	Bytes end = url_query_bytes(&ask->url, "endKey");
	const PdRegion **regions;
	bool missing = false;
	PdKeyRange range;
	bool complete;
	size_t n;

	if (!unhex(ask, start, &range.start) || !unhex(ask, end, &range.end))
		return;
	n = region_tree_scan(tree_of(ask), range, 0, ask->arena, &regions,
						 &complete);
	for (size_t i = 0; i < n; i++)
		missing = missing || !is_replicated(regions[i], ask);
	json_string(&ask->json, NULL, missing ? "INPROGRESS" : "REPLICATED");
}

const HttpRoute http_region_routes[] = {
	{"GET", "v1/region/id/{}", true, get_region_by_id},
	{"GET", "v1/region/key/{}", true, get_region_by_key},
	{"GET", "v1/regions", true, get_regions},
	{"GET", "v1/regions/count", true, get_region_count},
	{"GET", "v1/regions/key", true, scan_regions},
	{"GET", "v1/regions/store/{}", true, get_store_regions},
	{"GET", "v1/regions/check/{}", true, check_regions},
	{"GET", "v1/regions/sibling/{}", true, get_siblings},
	{"GET", "v1/regions/range-holes", true, get_holes},
	{"GET", "v1/regions/replicated", true, get_replicated},
	{"GET", "v1/regions/writeflow", true, get_top_regions},
	{"GET", "v1/regions/readflow", true, get_top_regions},
	{"GET", "v1/regions/confver", true, get_top_regions},
	{"GET", "v1/regions/version", true, get_top_regions},
	{"GET", "v1/regions/size", true, get_top_regions},
	{"GET", "v1/regions/keys", true, get_top_regions},
	{"GET", "v1/regions/cpu", true, get_top_regions},
	{NULL, NULL, false, NULL},
};
