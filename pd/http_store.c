/*
 * http_store.c
 *	  HTTP: stores, their labels, their coming and going.
 */
#include "postgres.h"

#include "guc.h"
#include "pd/convert.h"
#include "pd/http_ask.h"
#include "service/service.h"

/* When a silent store is called so (raftstore-and-pd 23). */
#define DISCONNECTED_NS (INT64CONST(20) * 1000000000)

/* ---- stores ---- */

static const char *
state_name(const PdStore *store, int64 now_ns)
{
	if (store->state == STORE_OFFLINE)
		return "Offline";
	if (store->state == STORE_TOMBSTONE)
		return "Tombstone";
	if (now_ns - store->last_heartbeat <= DISCONNECTED_NS)
		return "Up";
	if (now_ns - store->last_heartbeat >
		(int64) tikv_fdw_settings.max_store_down_time_s * 1000000000)
		return "Down";
	return "Disconnected";
}

/* Fields that are empty are left out, as in metapb's JSON. */
static void
text_if_any(JsonWriter *json, const char *key, const char *value)
{
	if (value[0] != '\0')
		json_string(json, key, value);
}

static void
int_if_any(JsonWriter *json, const char *key, int64 value)
{
	if (value != 0)
		json_int(json, key, value);
}

static void
put_meta(HttpAsk *ask, const PdStore *store)
{
	JsonWriter *json = &ask->json;

	json_open(json, "store", '{');
	json_uint(json, "id", store->id);
	text_if_any(json, "address", store->address);
	int_if_any(json, "state", store->state);
	if (store->n_labels > 0)
	{
		json_open(json, "labels", '[');
		for (size_t i = 0; i < store->n_labels; i++)
		{
			json_open(json, NULL, '{');
			json_string(json, "key", store->labels[i].key);
			json_string(json, "value", store->labels[i].value);
			json_close(json, '}');
		}
		json_close(json, ']');
	}
	text_if_any(json, "version", store->version);
	text_if_any(json, "peer_address", store->peer_address);
	text_if_any(json, "status_address", store->status_address);
	text_if_any(json, "git_hash", store->git_hash);
	int_if_any(json, "start_timestamp", store->start_timestamp);
	text_if_any(json, "deploy_path", store->deploy_path);
	int_if_any(json, "last_heartbeat", store->last_heartbeat);
	if (store->physically_destroyed)
		json_bool(json, "physically_destroyed", true);
	int_if_any(json, "node_state", store->node_state);
	json_string(json, "state_name", state_name(store, ask->now_ns));
	json_close(json, '}');
}

static void
put_stats(HttpAsk *ask, const Pdpb__StoreStats *stats)
{
	JsonWriter *json = &ask->json;

	json_string(json, "capacity", http_size(stats->capacity, ask->arena));
	json_string(json, "available", http_size(stats->available, ask->arena));
	json_string(json, "used_size", http_size(stats->used_size, ask->arena));
	int_if_any(json, "slow_score", (int64) stats->slow_score);
	int_if_any(json, "sending_snap_count", stats->sending_snap_count);
	int_if_any(json, "receiving_snap_count", stats->receiving_snap_count);
	if (stats->is_busy)
		json_bool(json, "is_busy", true);
	if (stats->start_time > 0)
		json_string(json, "start_ts",
					http_time((int64) stats->start_time * 1000000000,
							  ask->arena));
}

static void
put_status(HttpAsk *ask, const PdStore *store)
{
	StoreLoad load = cluster_store_load(&ask->pd->state.cluster, store->id);
	Pdpb__StoreStats none = PDPB__STORE_STATS__INIT;
	const Pdpb__StoreStats *stats = NULL;
	JsonWriter *json = &ask->json;
	Arena arena; /* they may be long, and there are many stores */

	arena_init(&arena);
	if (store->stats.len > 0)
		stats = (const Pdpb__StoreStats *)
			service_unpack(&pdpb__store_stats__descriptor, store->stats,
						   &arena);
	/* The heartbeat that they came in may have been longer, and had more room. */
	if (stats == NULL)
		stats = &none;
	json_open(json, "status", '{');
	put_stats(ask, stats);
	json_uint(json, "leader_count", load.leaders);
	json_double(json, "leader_weight", 1);
	json_double(json, "leader_score", (double) load.leaders);
	json_uint(json, "leader_size", load.leader_size);
	json_uint(json, "region_count", load.regions);
	json_double(json, "region_weight", 1);
	json_double(json, "region_score", (double) load.region_size);
	json_uint(json, "region_size", load.region_size);
	int_if_any(json, "learner_count", (int64) load.learners);
	int_if_any(json, "pending_peer_count", (int64) load.pending);
	if (store->last_heartbeat > 0)
	{
		json_string(json, "last_heartbeat_ts",
					http_time(store->last_heartbeat, ask->arena));
		if (stats->start_time > 0)
			json_string(json, "uptime",
						http_duration(store->last_heartbeat / 1000000000 -
										  (int64) stats->start_time,
									  ask->arena));
	}
	json_close(json, '}');
	arena_free(&arena);
}

static void
put_store(HttpAsk *ask, const PdStore *store)
{
	json_open(&ask->json, NULL, '{');
	put_meta(ask, store);
	put_status(ask, store);
	json_close(&ask->json, '}');
}

static bool
is_among(const PdStore *store, unsigned int states)
{
	return store->state <= STORE_TOMBSTONE &&
		(states & 1u << store->state) != 0;
}

static void
get_stores(HttpAsk *ask)
{
	const Cluster *cluster = &ask->pd->state.cluster;
	unsigned int states;
	uint64 count = 0;

	if (!http_states(ask, &states))
		return;
	for (size_t i = 0; i < cluster->n_stores; i++)
		count += is_among(&cluster->stores[i]->store, states);
	json_open(&ask->json, NULL, '{');
	json_uint(&ask->json, "count", count);
	json_open(&ask->json, "stores", '[');
	for (size_t i = 0; i < cluster->n_stores; i++)
		if (is_among(&cluster->stores[i]->store, states))
			put_store(ask, &cluster->stores[i]->store);
	json_close(&ask->json, ']');
	json_close(&ask->json, '}');
}

static void
store_not_found(HttpAsk *ask, uint64 id)
{
	http_say(ask, HTTP_NOT_FOUND,
			 arena_printf(ask->arena,
						  "[PD:core:ErrStoreNotFound]store %llu "
						  "not found",
						  (unsigned long long) id));
}

static void
get_store(HttpAsk *ask)
{
	uint64_t id;
	const PdStore *store;

	if (!http_id(ask, 4, &id))
		return;
	store = cluster_store(&ask->pd->state.cluster, id);
	if (store == NULL)
		store_not_found(ask, id);
	else
		put_store(ask, store);
}

static void
delete_store(HttpAsk *ask)
{
	uint64_t id;
	bool force = url_query(&ask->url, "force") != NULL;

	if (!http_id(ask, 4, &id) ||
		(!force &&
		 http_failed(ask, pd_may_leave(ask->pd, id, 0, false, ask->arena))))
		return;
	if (!http_failed(ask,
					 cluster_offline_store(&ask->pd->state.cluster, id, force,
										   &ask->changes)))
		http_say(ask, HTTP_OK, "The store is set as Offline.");
}

static void
set_store_state(HttpAsk *ask)
{
	const char *state = url_query(&ask->url, "state");
	const Cluster *cluster = &ask->pd->state.cluster;
	PdError error;
	uint64_t id;

	if (!http_id(ask, 4, &id))
		return;
	if (state != NULL && strcmp(state, "Up") == 0)
		error = cluster_up_store(cluster, id, &ask->changes);
	else if (state != NULL && strcmp(state, "Offline") == 0)
	{
		error = pd_may_leave(ask->pd, id, 0, false, ask->arena);
		if (error.type == PD_OK)
			error = cluster_offline_store(cluster, id, false, &ask->changes);
	}
	else
	{
		(void) http_bad_value(ask, "state", url_query_bytes(&ask->url, "state"),
							  "Up or Offline");
		return;
	}
	if (!http_failed(ask, error))
		http_say(ask, HTTP_OK, "The store's state is updated.");
}

static void
set_store_label(HttpAsk *ask)
{
	const JsonValue *object;
	Pair *labels;
	size_t n;
	uint64_t id;

	if (!http_id(ask, 4, &id) || (object = http_object(ask)) == NULL)
		return;
	if (!http_pairs(ask, object, false, &labels, &n))
		http_say(ask, HTTP_BAD_REQUEST, "labels must be strings");
	else if (!http_failed(ask,
						  cluster_label_store(&ask->pd->state.cluster, id,
											  labels, n,
											  url_query(&ask->url, "force") !=
												  NULL,
											  &ask->changes)))
		http_say(ask, HTTP_OK, "The store's label is updated.");
}

static void
delete_store_label(HttpAsk *ask)
{
	const JsonValue *key = json_parse(ask->body, ask->arena);
	Pair label = {NULL, ""};
	uint64_t id;

	if (!http_id(ask, 4, &id))
		return;
	if (key == NULL || key->type != JSON_STRING)
	{
		http_say(ask, HTTP_BAD_REQUEST, "the body must be a label's key");
		return;
	}
	label.key = key->text;
	if (!http_failed(ask,
					 cluster_label_store(&ask->pd->state.cluster, id, &label, 1,
										 false, &ask->changes)))
		http_say(ask, HTTP_OK, "The store's label is deleted.");
}

static void
remove_tombstones(HttpAsk *ask)
{
	const Cluster *cluster = &ask->pd->state.cluster;

	for (size_t i = 0; i < cluster->n_stores; i++)
	{
		const PdStore *store = &cluster->stores[i]->store;
		PdRecord gone = {.kind = PD_RECORD_STORE, .removed = true};

		gone.number = store->id;
		if (store->state == STORE_TOMBSTONE &&
			cluster_store_load(cluster, store->id).regions == 0)
			pd_changes_add(&ask->changes, &gone);
	}
	http_say(ask, HTTP_OK, "Remove tombstone successfully.");
}

static void
get_labels(HttpAsk *ask)
{
	const Cluster *cluster = &ask->pd->state.cluster;
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '[');
	for (size_t i = 0; i < cluster->n_stores; i++)
		for (size_t k = 0; k < cluster->stores[i]->store.n_labels; k++)
		{
			json_open(json, NULL, '{');
			json_string(json, "key", cluster->stores[i]->store.labels[k].key);
			json_string(json, "value",
						cluster->stores[i]->store.labels[k].value);
			json_close(json, '}');
		}
	json_close(json, ']');
}

const HttpRoute http_store_routes[] = {
	{"GET", "v1/stores", true, get_stores},
	{"GET", "v1/store/{}", true, get_store},
	{"DELETE", "v1/store/{}", true, delete_store},
	{"POST", "v1/store/{}/state", true, set_store_state},
	{"POST", "v1/store/{}/label", true, set_store_label},
	{"DELETE", "v1/store/{}/label", true, delete_store_label},
	{"DELETE", "v1/stores/remove-tombstone", true, remove_tombstones},
	{"GET", "v1/labels", true, get_labels},
	{NULL, NULL, false, NULL},
};
