/*
 * cluster_admin.c
 *	  Stores and settings of the cluster: what operators and watermarks need.
 */
#include <inttypes.h>

#include "pd/core/cluster.h"
#include "pd/core/utf8.h"

/* ---- how much a store has ---- */

StoreLoad
cluster_store_load(const Cluster *cluster, uint64_t store_id)
{
	StoreLoad load = {0};

	for (size_t i = 0; i < cluster->regions.n; i++)
	{
		const PdRegion *region = cluster->regions.by_key[i];

		if (region->leader.id != 0 && region->leader.store_id == store_id)
		{
			load.leaders++;
			load.leader_size += region->approximate_size;
		}
		for (int p = 0; p < region->meta.n_peers; p++)
			if (region->meta.peers[p].store_id == store_id)
			{
				load.regions++;
				load.region_size += region->approximate_size;
				load.learners += region->meta.peers[p].role == PEER_LEARNER;
			}
		for (size_t p = 0; p < region->n_pending; p++)
			load.pending += region->pending[p].store_id == store_id;
	}
	return load;
}

/* ---- how far all stores have resolved ---- */

static bool
leads_regions(const Cluster *cluster, uint64_t store_id)
{
	for (size_t i = 0; i < cluster->regions.n; i++)
		if (cluster->regions.by_key[i]->leader.store_id == store_id)
			return true;
	return false;
}

PdError
cluster_min_resolved_ts(Cluster *cluster, uint64_t store_id, uint64_t ts,
						Arena *arena, uint64_t *cluster_min)
{
	const PdStore *reporter = cluster_store(cluster, store_id);

	*cluster_min = UINT64_MAX;
	if (reporter == NULL)
		return pd_errorf(arena, PD_UNKNOWN, "store %" PRIu64 " not found",
						 store_id);
	if (reporter->state == STORE_TOMBSTONE)
		return pd_error(PD_STORE_TOMBSTONE, "store is tombstone");
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		PdStore *store = &cluster->stores[i]->store;

		if (store->id == store_id && ts > store->min_resolved_ts)
			store->min_resolved_ts = ts;
		if (store->state != STORE_TOMBSTONE &&
			store->min_resolved_ts < *cluster_min &&
			leads_regions(cluster, store->id))
			*cluster_min = store->min_resolved_ts;
	}
	return pd_ok();
}

/* ---- stores that come and go ---- */

static void
change_store(const PdStore *store, PdChanges *changes)
{
	PdStore *next = arena_alloc(changes->arena, sizeof(*next));
	PdRecord record = {.kind = PD_RECORD_STORE, .store = next};

	*next = *store;
	pd_changes_add(changes, &record);
}

static PdError
find_alive(const Cluster *cluster, uint64_t store_id, Arena *arena,
		   PdStore *out)
{
	const PdStore *store = cluster_store(cluster, store_id);

	if (store == NULL)
		return pd_errorf(arena, PD_ENTRY_NOT_FOUND,
						 "store %" PRIu64 " not found", store_id);
	if (store->state == STORE_TOMBSTONE)
		return pd_errorf(arena, PD_STORE_TOMBSTONE,
						 "store %" PRIu64 " has been removed", store_id);
	*out = *store;
	return pd_ok();
}

PdError
cluster_offline_store(const Cluster *cluster, uint64_t store_id,
					  bool physically_destroyed, PdChanges *changes)
{
	PdStore next;
	PdError error = find_alive(cluster, store_id, changes->arena, &next);
	unsigned int left = 0;

	if (error.type != PD_OK)
		return error;
	if (next.state == STORE_OFFLINE &&
		next.physically_destroyed == physically_destroyed)
		return pd_ok();
	for (size_t i = 0; i < cluster->n_stores; i++)
		left += cluster->stores[i]->store.state == STORE_UP &&
			cluster->stores[i]->store.id != store_id;

	/*
	 * tikv/pd wants max-replicas stores to stay.  Here regions make do with
	 * fewer (placement.h), so one store that takes them is enough; leaving.c
	 * says when that is no good.
	 */
	if (next.state == STORE_UP && left == 0)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "can not remove store %" PRIu64
						 " since the number of up stores would be %u while "
						 "need %u",
						 store_id, left, 1);
	next.state = STORE_OFFLINE;
	next.node_state = NODE_REMOVING;
	next.physically_destroyed = physically_destroyed;
	change_store(&next, changes);
	return pd_ok();
}

PdError
cluster_up_store(const Cluster *cluster, uint64_t store_id, PdChanges *changes)
{
	PdStore next;
	PdError error = find_alive(cluster, store_id, changes->arena, &next);

	if (error.type != PD_OK)
		return error;
	if (next.physically_destroyed)
		return pd_errorf(changes->arena, PD_UNKNOWN,
						 "store %" PRIu64 " has been physically destroyed",
						 store_id);
	if (next.state == STORE_UP)
		return pd_ok();
	next.state = STORE_UP;
	next.node_state = NODE_SERVING;
	change_store(&next, changes);
	return pd_ok();
}

static const Pair *
find_label(const Pair *labels, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(labels[i].key, key) == 0)
			return &labels[i];
	return NULL;
}

PdError
cluster_label_store(const Cluster *cluster, uint64_t store_id,
					const Pair *labels, size_t n_labels, bool replace,
					PdChanges *changes)
{
	PdStore next;
	PdError error = find_alive(cluster, store_id, changes->arena, &next);
	const Pair *old;
	size_t n_old;

	if (error.type != PD_OK)
		return error;
	old = next.labels;
	n_old = next.n_labels;
	if (n_labels > PD_MAX_PAIRS || n_old + n_labels > PD_MAX_PAIRS)
		return pd_error(PD_INVALID_VALUE, "too many store labels");
	for (size_t i = 0; i < n_labels; i++)
		if (labels[i].key[0] == '\0' || labels[i].value == NULL ||
			!utf8_valid(bytes_cstr(labels[i].key)) ||
			!utf8_valid(bytes_cstr(labels[i].value)))
			return pd_error(PD_INVALID_VALUE, "invalid store label");
	next.labels =
		arena_alloc(changes->arena, (n_old + n_labels) * sizeof(Pair));
	next.n_labels = 0;
	for (size_t i = 0; i < n_old && !replace; i++)
		if (find_label(labels, n_labels, old[i].key) == NULL)
			next.labels[next.n_labels++] = old[i];

	/* An empty value takes a label away. */
	for (size_t i = 0; i < n_labels; i++)
		if (labels[i].value[0] != '\0')
			next.labels[next.n_labels++] = labels[i];
	change_store(&next, changes);
	return pd_ok();
}

PdError
cluster_put_config(const Cluster *cluster, uint32_t max_peer_count,
				   PdChanges *changes)
{
	if (!cluster->bootstrapped)
		return pd_error(PD_NOT_BOOTSTRAPPED, "cluster is not bootstrapped");
	if (max_peer_count == 0 || max_peer_count > REGION_MAX_PEERS)
		return pd_errorf(changes->arena, PD_INVALID_VALUE,
						 "max_peer_count %u is not between 1 and %d",
						 max_peer_count, REGION_MAX_PEERS);
	if (max_peer_count != cluster->max_peer_count)
		pd_changes_number(changes, PD_RECORD_CLUSTER, max_peer_count);
	return pd_ok();
}
