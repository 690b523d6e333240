/*
 * cluster.c
 *	  Stores and regions of the cluster: bootstrap, registration, heartbeats.
 */
#include "pd/core/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "pd/core/utf8.h"

void
cluster_init(Cluster *cluster)
{
	memset(cluster, 0, sizeof(*cluster));
	region_tree_init(&cluster->regions);
}

static void
store_free(StoreItem *item)
{
	free((void *) item->store.stats.data);
	arena_free(&item->arena);
	free(item);
}

void
cluster_free(Cluster *cluster)
{
	for (size_t i = 0; i < cluster->n_stores; i++)
		store_free(cluster->stores[i]);
	free(cluster->stores);
	region_tree_free(&cluster->regions);
	cluster_init(cluster);
}

/* ---- stores ---- */

static size_t
seek_store(const Cluster *cluster, uint64_t id)
{
	size_t at = 0;

	while (at < cluster->n_stores && cluster->stores[at]->store.id < id)
		at++;
	return at;
}

static StoreItem *
find_store(const Cluster *cluster, uint64_t id)
{
	size_t at = seek_store(cluster, id);

	if (at < cluster->n_stores && cluster->stores[at]->store.id == id)
		return cluster->stores[at];
	return NULL;
}

const PdStore *
cluster_store(const Cluster *cluster, uint64_t id)
{
	StoreItem *item = find_store(cluster, id);

	return item == NULL ? NULL : &item->store;
}

static StoreItem *
store_copy(const PdStore *from)
{
	StoreItem *item = malloc(sizeof(StoreItem));
	Arena *arena = &item->arena;
	PdStore *to = &item->store;

	CHECK(item != NULL);
	arena_init(arena);
	*to = *from;
	to->address = arena_strdup(arena, from->address);
	to->peer_address = arena_strdup(arena, from->peer_address);
	to->status_address = arena_strdup(arena, from->status_address);
	to->version = arena_strdup(arena, from->version);
	to->git_hash = arena_strdup(arena, from->git_hash);
	to->deploy_path = arena_strdup(arena, from->deploy_path);
	to->labels = arena_alloc(arena, from->n_labels * sizeof(Pair));
	for (size_t i = 0; i < from->n_labels; i++)
	{
		to->labels[i].key = arena_strdup(arena, from->labels[i].key);
		to->labels[i].value = arena_strdup(arena, from->labels[i].value);
	}
	to->stats = bytes_empty();
	to->last_heartbeat = 0;
	to->heard_us = 0;
	to->min_resolved_ts = 0;
	return item;
}

static void
put_store(Cluster *cluster, const PdStore *store)
{
	StoreItem *item = store_copy(store);
	size_t at = seek_store(cluster, store->id);

	if (at < cluster->n_stores && cluster->stores[at]->store.id == store->id)
	{
		/* What heartbeats told stays. */
		item->store.stats = cluster->stores[at]->store.stats;
		item->store.last_heartbeat = cluster->stores[at]->store.last_heartbeat;
		item->store.heard_us = cluster->stores[at]->store.heard_us;
		item->store.min_resolved_ts =
			cluster->stores[at]->store.min_resolved_ts;
		cluster->stores[at]->store.stats = bytes_empty();
		store_free(cluster->stores[at]);
		cluster->stores[at] = item;
		return;
	}
	if (cluster->n_stores == cluster->size)
	{
		cluster->size = cluster->size == 0 ? 8 : cluster->size * 2;
		cluster->stores =
			realloc(cluster->stores, cluster->size * sizeof(StoreItem *));
		CHECK(cluster->stores != NULL);
	}
	memmove(cluster->stores + at + 1, cluster->stores + at,
			(cluster->n_stores - at) * sizeof(StoreItem *));
	cluster->stores[at] = item;
	cluster->n_stores++;
}

static void
remove_store(Cluster *cluster, uint64_t id)
{
	size_t at = seek_store(cluster, id);

	if (at == cluster->n_stores || cluster->stores[at]->store.id != id)
		return;
	store_free(cluster->stores[at]);
	memmove(cluster->stores + at, cluster->stores + at + 1,
			(cluster->n_stores - at - 1) * sizeof(StoreItem *));
	cluster->n_stores--;
}

/* ---- records ---- */

static void
apply_region(Cluster *cluster, const PdRecord *record)
{
	if (record->removed)
		region_tree_remove(&cluster->regions, record->number);
	else
		region_tree_put(&cluster->regions, record->region);
}

bool
cluster_apply(Cluster *cluster, const PdRecord *record)
{
	switch (record->kind)
	{
		case PD_RECORD_CLUSTER:
			cluster->bootstrapped = true;
			cluster->max_peer_count = (uint32_t) record->number;
			return true;
		case PD_RECORD_BOOTSTRAP_TIME:
			cluster->bootstrap_time = (int64_t) record->number;
			return true;
		case PD_RECORD_STORE:
			if (record->removed)
				remove_store(cluster, record->number);
			else
				put_store(cluster, record->store);
			return true;
		case PD_RECORD_REGION:
			apply_region(cluster, record);
			return true;
		default:
			return false;
	}
}

/* ---- versions ---- */

typedef struct Version
{
	unsigned int part[3];
} Version;

/* "v8.5.1-rc", "8.5.1", "" (as old as can be). */
static bool
parse_version(const char *text, Version *out)
{
	int used = 0;

	memset(out, 0, sizeof(*out));
	if (text[0] == '\0')
		return true;
	if (text[0] == 'v')
		text++;
	if (sscanf(text, "%9u.%9u.%9u%n", &out->part[0], &out->part[1],
			   &out->part[2], &used) != 3)
		return false;
	return text[used] == '\0' || text[used] == '-' || text[used] == '+';
}

static int
compare_versions(const Version *a, const Version *b)
{
	for (int i = 0; i < 3; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	return 0;
}

const char *
cluster_version(const Cluster *cluster)
{
	const char *lowest = NULL;
	Version low = {{0, 0, 0}};

	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;
		Version version;

		if (store->state == STORE_TOMBSTONE || store->version[0] == '\0' ||
			!parse_version(store->version, &version))
			continue;
		if (lowest == NULL || compare_versions(&version, &low) < 0)
		{
			lowest = store->version;
			low = version;
		}
	}
	if (lowest == NULL)
		return CLUSTER_VERSION;
	return lowest[0] == 'v' ? lowest + 1 : lowest;
}

/* What a store tells of itself is text, and not too much of it. */
static PdError
check_texts(const PdStore *store)
{
	const char *const texts[] = {store->address,		store->peer_address,
								 store->status_address, store->version,
								 store->git_hash,		store->deploy_path};
	bool valid = true;

	if (store->n_labels > PD_MAX_PAIRS)
		return pd_error(PD_INVALID_VALUE, "too many store labels");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		valid = valid && utf8_valid(bytes_cstr(texts[i]));
	for (size_t i = 0; i < store->n_labels; i++)
		valid = valid && utf8_valid(bytes_cstr(store->labels[i].key)) &&
			utf8_valid(bytes_cstr(store->labels[i].value));
	if (!valid)
		return pd_error(PD_INVALID_VALUE,
						"the store's description is not valid UTF-8");
	return pd_ok();
}

/*
 * A store may join if it is newer than the cluster, or differs from it in the
 * patch level alone (tikv/pd pkg/versioninfo/versioninfo.go).
 */
static PdError
check_version(const Cluster *cluster, const PdStore *store, Arena *arena)
{
	Version mine;
	Version theirs;

	if (!parse_version(store->version, &theirs))
		return pd_errorf(arena, PD_UNKNOWN,
						 "invalid put store %" PRIu64 ", version \"%s\"",
						 store->id, store->version);
	if (cluster->n_stores == 0 || store->version[0] == '\0' ||
		!parse_version(cluster_version(cluster), &mine))
		return pd_ok();
	if (compare_versions(&theirs, &mine) >= 0 ||
		(theirs.part[0] == mine.part[0] && theirs.part[1] == mine.part[1]))
		return pd_ok();
	return pd_errorf(arena, PD_UNKNOWN,
					 "version should compatible with version  %s, got %s",
					 cluster_version(cluster), store->version);
}

/* ---- bootstrap ---- */

static PdError
check_first_region(uint64_t cluster_id, const PdStore *store,
				   const Region *region, Arena *arena)
{
	if (region->start_key.len > 0 || region->end_key.len > 0)
		return pd_errorf(arena, PD_UNKNOWN,
						 "invalid first region key range, must all be empty "
						 "for bootstrap %" PRIu64,
						 cluster_id);
	if (region->id == 0)
		return pd_error(PD_UNKNOWN, "invalid zero region id");
	if (region->n_peers != 1)
		return pd_errorf(arena, PD_UNKNOWN,
						 "invalid first region peer count %d, must be 1 for "
						 "bootstrap %" PRIu64,
						 region->n_peers, cluster_id);
	if (region->peers[0].store_id != store->id)
		return pd_errorf(arena, PD_UNKNOWN,
						 "invalid peer store id %" PRIu64 " != %" PRIu64
						 " for bootstrap %" PRIu64,
						 region->peers[0].store_id, store->id, cluster_id);
	if (region->peers[0].id == 0)
		return pd_error(PD_UNKNOWN, "invalid zero peer id");
	return pd_ok();
}

static void
change_store(PdChanges *changes, const PdStore *store)
{
	PdRecord record = {.kind = PD_RECORD_STORE, .store = store};

	pd_changes_add(changes, &record);
}

static void
change_region(PdChanges *changes, const PdRegion *region)
{
	PdRecord record = {.kind = PD_RECORD_REGION, .region = region};

	pd_changes_add(changes, &record);
}

PdError
cluster_bootstrap(const Cluster *cluster, uint64_t cluster_id,
				  const PdStore *store, const Region *region, int64_t now_ns,
				  PdChanges *changes)
{
	PdError error;
	PdStore *first;
	PdRegion *info;

	if (cluster->bootstrapped)
		return pd_error(PD_ALREADY_BOOTSTRAPPED,
						"cluster is already bootstrapped");
	if (store->id == 0)
		return pd_error(PD_UNKNOWN, "invalid zero store id");
	error = check_texts(store);
	if (error.type == PD_OK)
		error = check_first_region(cluster_id, store, region, changes->arena);
	if (error.type == PD_OK)
		error = check_version(cluster, store, changes->arena);
	if (error.type != PD_OK)
		return error;

	first = arena_alloc(changes->arena, sizeof(*first));
	*first = *store;
	first->state = STORE_UP;
	first->node_state = NODE_SERVING;
	info = arena_zalloc(changes->arena, sizeof(*info));
	info->meta = *region;
	pd_changes_number(changes, PD_RECORD_CLUSTER, CLUSTER_MAX_REPLICAS);
	pd_changes_number(changes, PD_RECORD_BOOTSTRAP_TIME, (uint64_t) now_ns);
	change_store(changes, first);
	change_region(changes, info);
	return pd_ok();
}

/* ---- registration ---- */

static bool
address_taken(const char *address, const PdStore *by)
{
	return address[0] != '\0' &&
		(strcmp(address, by->address) == 0 ||
		 strcmp(address, by->peer_address) == 0);
}

static PdError
check_addresses(const Cluster *cluster, const PdStore *store, Arena *arena)
{
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *other = &cluster->stores[i]->store;

		if (other->id == store->id || other->state == STORE_TOMBSTONE ||
			other->physically_destroyed)
			continue;
		if (address_taken(store->address, other))
			return pd_errorf(arena, PD_UNKNOWN,
							 "duplicated store address: %s, already "
							 "registered by store %" PRIu64,
							 store->address, other->id);
		if (address_taken(store->peer_address, other))
			return pd_errorf(arena, PD_UNKNOWN,
							 "duplicated store peer address: %s, already "
							 "registered by store %" PRIu64,
							 store->peer_address, other->id);
	}
	return pd_ok();
}

/* Labels not named keep their value; an empty value removes a label. */
static void
merge_labels(const PdStore *old, const PdStore *told, PdStore *out,
			 Arena *arena)
{
	out->labels =
		arena_alloc(arena, (old->n_labels + told->n_labels) * sizeof(Pair));
	out->n_labels = 0;
	for (size_t i = 0; i < old->n_labels; i++)
	{
		bool named = false;

		for (size_t j = 0; j < told->n_labels && !named; j++)
			named = strcmp(old->labels[i].key, told->labels[j].key) == 0;
		if (!named)
			out->labels[out->n_labels++] = old->labels[i];
	}
	for (size_t j = 0; j < told->n_labels; j++)
		if (told->labels[j].value[0] != '\0')
			out->labels[out->n_labels++] = told->labels[j];
}

static bool
same_store(const PdStore *a, const PdStore *b)
{
	if (strcmp(a->address, b->address) != 0 ||
		strcmp(a->peer_address, b->peer_address) != 0 ||
		strcmp(a->status_address, b->status_address) != 0 ||
		strcmp(a->version, b->version) != 0 ||
		strcmp(a->git_hash, b->git_hash) != 0 ||
		strcmp(a->deploy_path, b->deploy_path) != 0 ||
		a->start_timestamp != b->start_timestamp || a->state != b->state ||
		a->node_state != b->node_state || a->n_labels != b->n_labels)
		return false;
	for (size_t i = 0; i < a->n_labels; i++)
		if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
			strcmp(a->labels[i].value, b->labels[i].value) != 0)
			return false;
	return true;
}

static PdError
check_put_store(const Cluster *cluster, const PdStore *store, Arena *arena)
{
	PdError error;

	if (!cluster->bootstrapped)
		return pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	if (store->id == 0)
		return pd_error(PD_UNKNOWN, "invalid put store: zero store id");
	if (cluster->n_stores >= CLUSTER_MAX_STORES &&
		cluster_store(cluster, store->id) == NULL)
		return pd_errorf(arena, PD_UNKNOWN,
						 "invalid put store %" PRIu64
						 ": the cluster has %d stores, and takes no more",
						 store->id, CLUSTER_MAX_STORES);
	error = check_texts(store);
	if (error.type == PD_OK)
		error = check_version(cluster, store, arena);
	if (error.type == PD_OK)
		error = check_addresses(cluster, store, arena);
	return error;
}

PdError
cluster_put_store(const Cluster *cluster, const PdStore *store,
				  PdChanges *changes)
{
	const PdStore *old = cluster_store(cluster, store->id);
	PdError error;
	PdStore *next;

	if (old != NULL && old->state == STORE_TOMBSTONE)
		return pd_error(PD_STORE_TOMBSTONE, "store is tombstone");
	error = check_put_store(cluster, store, changes->arena);
	if (error.type != PD_OK)
		return error;

	next = arena_alloc(changes->arena, sizeof(*next));
	*next = *store;
	next->state = old == NULL ? STORE_UP : old->state;
	next->node_state = old == NULL ? NODE_SERVING : old->node_state;
	next->physically_destroyed = old != NULL && old->physically_destroyed;
	if (old != NULL)
	{
		merge_labels(old, store, next, changes->arena);
		if (next->n_labels > PD_MAX_PAIRS)
			return pd_error(PD_INVALID_VALUE, "too many store labels");
		if (same_store(old, next))
			return pd_ok();
	}
	change_store(changes, next);
	return pd_ok();
}

/* ---- heartbeats ---- */

PdError
cluster_store_heartbeat(Cluster *cluster, uint64_t store_id, Bytes stats,
						int64_t now_ns, Arena *arena)
{
	StoreItem *item = find_store(cluster, store_id);
	uint8_t *copy;

	if (!cluster->bootstrapped)
		return pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	if (item == NULL)
		return pd_errorf(arena, PD_UNKNOWN, "store %" PRIu64 " not found",
						 store_id);
	if (item->store.state == STORE_TOMBSTONE)
		return pd_error(PD_STORE_TOMBSTONE, "store is tombstone");

	copy = malloc(stats.len + 1);
	CHECK(copy != NULL);
	if (stats.len > 0)
		memcpy(copy, stats.data, stats.len);
	free((void *) item->store.stats.data);
	item->store.stats = bytes_make(copy, stats.len);
	item->store.last_heartbeat = now_ns;
	return pd_ok();
}

void
cluster_heard_store(Cluster *cluster, uint64_t store_id, int64_t now_us)
{
	StoreItem *item = find_store(cluster, store_id);

	if (item != NULL)
		item->store.heard_us = now_us;
}

static PdError
stale(Arena *arena, const Region *region, const Region *origin)
{
	return pd_errorf(arena, PD_UNKNOWN,
					 "region is stale: region %" PRIu64 " epoch %" PRIu64
					 ".%" PRIu64 ", origin %" PRIu64 " epoch %" PRIu64
					 ".%" PRIu64,
					 region->id, region->epoch.conf_ver, region->epoch.version,
					 origin->id, origin->epoch.conf_ver, origin->epoch.version);
}

/* Sources: tikv/pd pkg/core/region.go (check), server/grpc_service.go. */
static PdError
check_region(const Cluster *cluster, const PdRegion *region, Arena *arena)
{
	const RegionTree *tree = &cluster->regions;
	const PdRegion *origin = region_tree_get(tree, region->meta.id);
	size_t first;
	size_t n = region_tree_overlaps(tree, region->meta.start_key,
									region->meta.end_key, &first);

	for (size_t i = 0; i < n; i++)
	{
		const Region *other = &tree->by_key[first + i]->meta;

		if (region->meta.epoch.version < other->epoch.version)
			return stale(arena, &region->meta, other);
	}
	if (origin == NULL)
		return pd_ok();
	if ((region->term > 0 && region->term < origin->term) ||
		region->meta.epoch.version < origin->meta.epoch.version ||
		region->meta.epoch.conf_ver < origin->meta.epoch.conf_ver)
		return stale(arena, &region->meta, &origin->meta);
	return pd_ok();
}

static bool
same_meta(const Region *a, const Region *b)
{
	if (a->epoch.conf_ver != b->epoch.conf_ver ||
		a->epoch.version != b->epoch.version || a->n_peers != b->n_peers ||
		!bytes_eq(a->start_key, b->start_key) ||
		!bytes_eq(a->end_key, b->end_key))
		return false;
	for (int i = 0; i < a->n_peers; i++)
		if (a->peers[i].id != b->peers[i].id ||
			a->peers[i].store_id != b->peers[i].store_id ||
			a->peers[i].role != b->peers[i].role)
			return false;
	return true;
}

PdError
cluster_region_heartbeat(const Cluster *cluster, const PdRegion *region,
						 PdChanges *changes)
{
	const RegionTree *tree = &cluster->regions;
	const PdRegion *origin = region_tree_get(tree, region->meta.id);
	PdError error;
	size_t first;
	size_t n;

	if (!cluster->bootstrapped)
		return pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	if (region->leader.id == 0)
		return pd_error(PD_UNKNOWN, "invalid request leader");
	if (region->meta.id == 0)
		return pd_error(PD_UNKNOWN, "invalid request region");
	if (region->meta.n_peers == 0)
		return pd_error(PD_UNKNOWN, "invalid region, zero region peer count");
	if (region->meta.end_key.len > 0 &&
		bytes_cmp(region->meta.start_key, region->meta.end_key) >= 0)
		return pd_error(PD_UNKNOWN, "invalid region, empty key range");
	error = check_region(cluster, region, changes->arena);
	if (error.type != PD_OK)
		return error;
	if (origin != NULL && same_meta(&origin->meta, &region->meta))
		return pd_ok();

	n = region_tree_overlaps(tree, region->meta.start_key, region->meta.end_key,
							 &first);
	for (size_t i = 0; i < n; i++)
	{
		PdRecord gone = {.kind = PD_RECORD_REGION, .removed = true};

		gone.number = tree->by_key[first + i]->meta.id;
		if (gone.number != region->meta.id)
			pd_changes_add(changes, &gone);
	}
	change_region(changes, region);
	return pd_ok();
}

void
cluster_note_region(Cluster *cluster, const PdRegion *region)
{
	PdRegion next = *region;
	const PdRegion *origin =
		region_tree_get(&cluster->regions, region->meta.id);

	/* A heartbeat without a term does not take the known one away. */
	if (next.term == 0 && origin != NULL)
		next.term = origin->term;
	region_tree_put(&cluster->regions, &next);
}

PdError
cluster_check_split(const Cluster *cluster, const Region *region, Arena *arena)
{
	const PdRegion *origin = region_tree_get(&cluster->regions, region->id);

	if (!cluster->bootstrapped)
		return pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	if (origin == NULL)
		return pd_errorf(arena, PD_UNKNOWN, "region %" PRIu64 " not found",
						 region->id);
	if (region->epoch.version < origin->meta.epoch.version ||
		region->epoch.conf_ver < origin->meta.epoch.conf_ver)
		return stale(arena, region, &origin->meta);
	return pd_ok();
}
