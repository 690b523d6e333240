/*
 * http_cluster.c
 *	  HTTP: members, health, safe points.
 */
#include "postgres.h"

#include "pd/http_ask.h"

/* ---- members ---- */

static void
put_urls(JsonWriter *json, const char *key, const char *url)
{
	json_open(json, key, '[');
	json_string(json, NULL, url);
	json_close(json, ']');
}

static void
put_member(HttpAsk *ask, const char *key, const PdMember *member)
{
	JsonWriter *json = &ask->json;

	json_open(json, key, '{');
	json_string(json, "name", member->name);
	json_uint(json, "member_id", member->id);
	put_urls(json, "peer_urls", member->peer_url);
	put_urls(json, "client_urls", member->client_url);
	json_string(json, "deploy_path", "");
	json_string(json, "binary_version", member->version);
	json_string(json, "git_hash", "");
	json_close(json, '}');
}

static void
get_members(HttpAsk *ask)
{
	const Members *members = &ask->pd->state.members;
	const PdMember *leader = pd_leader(ask->pd);
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_open(json, "header", '{');
	json_uint(json, "cluster_id", ask->pd->state.cluster_id);
	json_close(json, '}');
	json_open(json, "members", '[');
	for (size_t i = 0; i < members->n; i++)
		put_member(ask, NULL, &members->items[i]->member);
	json_close(json, ']');
	if (leader != NULL)
	{
		put_member(ask, "leader", leader);
		put_member(ask, "etcd_leader", leader);
	}
	json_close(json, '}');
}

static void
get_leader(HttpAsk *ask)
{
	const PdMember *leader = pd_leader(ask->pd);

	if (leader == NULL)
		http_say(ask, HTTP_UNAVAILABLE, "no leader");
	else
		put_member(ask, NULL, leader);
}

static const PdMember *
member_by_name(const Members *members, const char *name)
{
	for (size_t i = 0; name != NULL && i < members->n; i++)
		if (strcmp(members->items[i]->member.name, name) == 0)
			return &members->items[i]->member;
	return NULL;
}

static bool
is_healthy(const RaftStatus *status, uint64 id)
{
	if (id == status->id)
		return true;
	for (int i = 0; i < status->n_peers; i++)
		if (status->peers[i].id == id)
			return status->peers[i].heard;
	return false;
}

/* Nobody is served meanwhile, so not to one that is gone. */
static void
hand_over(HttpAsk *ask, uint64 id)
{
	RaftStatus status;

	raft_status(ask->pd->raft, &status);
	if (is_healthy(&status, id) &&
		raft_transfer_leader(ask->pd->raft, id) == STATUS_OK)
		http_say(ask, HTTP_OK, "The transfer command is submitted.");
	else
		http_say(ask, HTTP_INTERNAL, "that member cannot be the leader now");
}

static void
transfer_leader(HttpAsk *ask)
{
	const PdMember *member =
		member_by_name(&ask->pd->state.members, url_text(&ask->url, 5));

	if (member == NULL)
		http_say(ask, HTTP_NOT_FOUND, "member not found");
	else
		hand_over(ask, member->id);
}

/* To any voter but this one that answers. */
static void
resign_leader(HttpAsk *ask)
{
	const RaftIdSet *voters = &ask->pd->saved.conf.voters;
	RaftStatus status;

	raft_status(ask->pd->raft, &status);
	for (int i = 0; i < voters->n; i++)
		if (voters->id[i] != status.id && is_healthy(&status, voters->id[i]))
		{
			hand_over(ask, voters->id[i]);
			return;
		}
	http_say(ask, HTTP_INTERNAL,
			 voters->n > 1 ? "no other member can be the leader: none answers" :
							 "no other member can be the leader: there is one");
}

static void
delete_member(HttpAsk *ask, const PdMember *member)
{
	bool force;

	if (!http_switch(ask, "force", &force))
		return;
	if (member == NULL)
		http_say(ask, HTTP_NOT_FOUND, "member not found");
	else if (!force &&
			 http_failed(ask,
						 pd_may_leave(ask->pd, 0, member->id, false,
									  ask->arena)))
		return;
	else if (!http_failed(ask,
						  pd_member_leaves(&ask->pd->state, member->id,
										   &ask->changes)))
		http_say(ask, HTTP_OK, "removed");
}

static void
delete_member_by_name(HttpAsk *ask)
{
	delete_member(ask,
				  member_by_name(&ask->pd->state.members,
								 url_text(&ask->url, 5)));
}

static void
delete_member_by_id(HttpAsk *ask)
{
	uint64_t id;

	if (http_id(ask, 5, &id))
		delete_member(ask, members_find(&ask->pd->state.members, id));
}

static void
get_health(HttpAsk *ask)
{
	const Members *members = &ask->pd->state.members;
	JsonWriter *json = &ask->json;
	RaftStatus status;

	raft_status(ask->pd->raft, &status);
	json_open(json, NULL, '[');
	for (size_t i = 0; i < members->n; i++)
	{
		const PdMember *member = &members->items[i]->member;

		json_open(json, NULL, '{');
		json_string(json, "name", member->name);
		json_uint(json, "member_id", member->id);
		put_urls(json, "client_urls", member->client_url);
		json_bool(json, "health", is_healthy(&status, member->id));
		json_close(json, '}');
	}
	json_close(json, ']');
}

/* An empty body says it all. */
static void
get_ping(HttpAsk *ask)
{
	(void) ask;
}

static void
get_version(HttpAsk *ask)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_string(json, "version", "v" PD_VERSION);
	json_string(json, "build_time", "");
	json_string(json, "hash", "");
	json_string(json, "branch", "");
	json_close(json, '}');
}

static void
get_status(HttpAsk *ask)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_string(json, "build_ts", "");
	json_string(json, "version", "v" PD_VERSION);
	json_string(json, "git_hash", "");
	json_int(json, "start_timestamp", ask->pd->start_time);
	json_string(json, "kernel_type", "Classic");
	json_close(json, '}');
}

/* ---- the cluster ---- */

static void
get_cluster(HttpAsk *ask)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_uint(json, "id", ask->pd->state.cluster_id);
	json_uint(json, "max_peer_count", ask->pd->state.cluster.max_peer_count);
	json_close(json, '}');
}

static void
get_cluster_status(HttpAsk *ask)
{
	const Cluster *cluster = &ask->pd->state.cluster;
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	if (cluster->bootstrapped)
		json_string(json, "raft_bootstrap_time",
					http_time(cluster->bootstrap_time, ask->arena));
	json_bool(json, "is_initialized", cluster->bootstrapped);
	json_string(json, "replication_status", "");
	json_close(json, '}');
}

/* ---- safe points and watermarks ---- */

static void
put_service(JsonWriter *json, const char *id, int64 expires_at, uint64 ts)
{
	json_open(json, NULL, '{');
	json_string(json, "service_id", id);
	json_int(json, "expired_at", expires_at);
	json_uint(json, "safe_point", ts);
	json_close(json, '}');
}

/* The GC worker's own is the txn safe point (tikv/pd service_gc_safepoint.go). */
static void
get_gc_safe_points(HttpAsk *ask)
{
	const GcState *gc = &ask->pd->state.gc;
	JsonWriter *json = &ask->json;
	uint64 lowest = gc->txn_safe_point;

	json_open(json, NULL, '{');
	json_open(json, "service_gc_safe_points", '[');
	for (size_t i = 0; i < gc->barriers.n; i++)
	{
		const GcBarrier *barrier = &gc->barriers.items[i];

		if (gc_barrier_ttl(barrier, ask->now) <= 0)
			continue;
		put_service(json, barrier->id, barrier->expires_at, barrier->ts);
		lowest = Min(lowest, barrier->ts);
	}
	put_service(json, GC_WORKER_ID, GC_NEVER, gc->txn_safe_point);
	json_close(json, ']');
	if (lowest != 0)
		json_uint(json, "min_service_gc_safe_point", lowest);
	json_uint(json, "gc_safe_point", gc->gc_safe_point);
	json_close(json, '}');
}

/* The GC worker's is shown and is no barrier: as in tikv/pd it stays. */
static void
delete_gc_safe_point(HttpAsk *ask)
{
	const char *id = url_text(&ask->url, 5);
	const GcBarrier *deleted;

	if (id == NULL)
		http_say(ask, HTTP_BAD_REQUEST, "invalid service id");
	else if (strcmp(id, GC_WORKER_ID) == 0 ||
			 !http_failed(ask,
						  gc_delete_barrier(&ask->pd->state.gc,
											PD_RECORD_GC_BARRIER, id,
											&ask->changes, &deleted)))
		http_say(ask, HTTP_OK, "Delete service GC safepoint successfully.");
}

static void
begin_resolved(HttpAsk *ask, uint64 ts)
{
	json_open(&ask->json, NULL, '{');
	json_bool(&ask->json, "is_real_time", true);
	json_uint(&ask->json, "min_resolved_ts", ts);
	json_string(&ask->json, "persist_interval", "1s");
}

/* Is it named?  ids NULL: all are. */
static bool
in_scope(const uint64_t *ids, size_t n, uint64 id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return ids == NULL;
}

/* ids NULL: of all stores. */
static void
put_resolved(HttpAsk *ask, const uint64_t *ids, size_t n)
{
	const Cluster *cluster = &ask->pd->state.cluster;

	json_open(&ask->json, "stores_min_resolved_ts", '{');
	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;

		if (in_scope(ids, n, store->id))
			json_uint(&ask->json,
					  arena_printf(ask->arena, "%llu",
								   (unsigned long long) store->id),
					  store->min_resolved_ts);
	}
	json_close(&ask->json, '}');
}

static uint64
lowest_resolved(const Cluster *cluster, const uint64_t *ids, size_t n)
{
	uint64 lowest = PG_UINT64_MAX;

	for (size_t i = 0; i < cluster->n_stores; i++)
		if (in_scope(ids, n, cluster->stores[i]->store.id))
			lowest = Min(lowest, cluster->stores[i]->store.min_resolved_ts);
	return lowest;
}

/* Scope "cluster", ids with commas between them, or none. */
static void
get_min_resolved_ts(HttpAsk *ask)
{
	Bytes scope = url_query_bytes(&ask->url, "scope");
	bool all = bytes_eq(scope, bytes_cstr("cluster"));
	uint64_t *ids = NULL;
	size_t n = 0;

	if (scope.len > 0 && !all && !http_id_list(ask, "scope", scope, &ids, &n))
		return;
	begin_resolved(ask,
				   ids != NULL ?
					   lowest_resolved(&ask->pd->state.cluster, ids, n) :
					   ask->pd->state.min_resolved_ts);
	if (scope.len > 0)
		put_resolved(ask, ids, n);
	else
		json_null(&ask->json, "stores_min_resolved_ts");
	json_close(&ask->json, '}');
}

static void
get_store_min_resolved_ts(HttpAsk *ask)
{
	const PdStore *store;
	uint64_t id;

	if (!http_id(ask, 4, &id))
		return;
	store = cluster_store(&ask->pd->state.cluster, id);
	begin_resolved(ask, store == NULL ? 0 : store->min_resolved_ts);
	json_null(&ask->json, "stores_min_resolved_ts");
	json_close(&ask->json, '}');
}

/* ---- what is not kept ---- */

static void
get_empty_object(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_close(&ask->json, '}');
}

/* As if stores had limits. */
static void
get_limits(HttpAsk *ask)
{
	bool tombstones;

	if (http_switch(ask, "include_tombstone", &tombstones))
		get_empty_object(ask);
}

static void
get_snapshot_recovering(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_bool(&ask->json, "marked", false);
	json_close(&ask->json, '}');
}

static void
get_hot_regions(HttpAsk *ask)
{
	if (!http_check_ids(ask, "store_id"))
		return;
	json_open(&ask->json, NULL, '{');
	json_open(&ask->json, "as_peer", '{');
	json_close(&ask->json, '}');
	json_open(&ask->json, "as_leader", '{');
	json_close(&ask->json, '}');
	json_close(&ask->json, '}');
}

const HttpRoute http_member_routes[] = {
	{"GET", "v1/members", false, get_members},
	{"GET", "v1/leader", false, get_leader},
	{"GET", "v1/ping", false, get_ping},
	{"GET", "v1/version", false, get_version},
	{"GET", "v1/status", false, get_status},
	{NULL, NULL, false, NULL},
};

const HttpRoute http_cluster_routes[] = {
	{"DELETE", "v1/members/name/{}", false, delete_member_by_name},
	{"DELETE", "v1/members/id/{}", false, delete_member_by_id},
	{"POST", "v1/leader/resign", false, resign_leader},
	{"POST", "v1/leader/transfer/{}", false, transfer_leader},
	{"GET", "v1/health", false, get_health},
	{"GET", "v2/ready", false, get_ping},
	{"GET", "v1/cluster", false, get_cluster},
	{"GET", "v1/cluster/status", false, get_cluster_status},
	{"GET", "v1/stores/limit", true, get_limits},
	{"GET", "v1/gc/safepoint", false, get_gc_safe_points},
	{"DELETE", "v1/gc/safepoint/{}", false, delete_gc_safe_point},
	{"GET", "v1/min-resolved-ts", true, get_min_resolved_ts},
	{"GET", "v1/min-resolved-ts/{}", true, get_store_min_resolved_ts},
	{"GET", "v1/hotspot/regions/read", true, get_hot_regions},
	{"GET", "v1/hotspot/regions/write", true, get_hot_regions},
	{"GET", "v1/hotspot/stores", true, get_empty_object},
	{"GET", "v1/admin/cluster/markers/snapshot-recovering", false,
	 get_snapshot_recovering},
	{NULL, NULL, false, NULL},
};
