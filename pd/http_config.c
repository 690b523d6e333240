/*
 * http_config.c
 *	  HTTP: settings as tikv/pd shows them.
 *
 * What this PD decides by is max-replicas and what put_schedule has as it is;
 * the other values are tikv/pd's defaults (raftstore-and-pd 25), by which
 * nothing is scheduled here.  Tools read them all, so they are shown, and
 * setting one that has no effect is refused instead of forgotten.
 */
#include "postgres.h"

#include "guc.h"
#include "pd/http_ask.h"

/* Values are JSON. */
typedef struct Setting
{
	const char *name;
	const char *value;
} Setting;

static const Setting schedule[] = {
	{"max-snapshot-count", "64"},
	{"max-pending-peer-count", "64"},
	{"max-merge-region-size", "54"},
	{"max-merge-region-keys", "0"},
	{"split-merge-interval", "\"1h0m0s\""},
	{"swtich-witness-interval", "\"1h0m0s\""},
	{"enable-one-way-merge", "\"false\""},
	{"enable-cross-table-merge", "\"true\""},
	{"patrol-region-interval", "\"10ms\""},
	{"max-store-preparing-time", "\"48h0m0s\""},
	{"leader-schedule-policy", "\"count\""},
	{"merge-schedule-limit", "8"},
	{"hot-region-schedule-limit", "4"},
	{"hot-region-cache-hits-threshold", "3"},
	{"store-limit", "{}"},
	{"tolerant-size-ratio", "0"},
	{"low-space-ratio", "0.8"},
	{"high-space-ratio", "0.7"},
	{"region-score-formula-version", "\"v2\""},
	{"scheduler-max-waiting-operator", "5"},
	{"enable-remove-down-replica", "\"true\""},
	{"enable-replace-offline-replica", "\"true\""},
	{"enable-make-up-replica", "\"true\""},
	{"enable-remove-extra-replica", "\"true\""},
	{"enable-location-replacement", "\"true\""},
	{"enable-debug-metrics", "\"false\""},
	{"enable-joint-consensus", "\"true\""},
	{"schedulers-v2", "[]"},
	{"schedulers-payload", "{}"},
	{"hot-regions-write-interval", "\"10m0s\""},
	{"hot-regions-reserved-days", "7"},
	{"enable-diagnostic", "\"true\""},
	{"enable-witness", "\"false\""},
	{"slow-store-evicting-affected-store-ratio-threshold", "0.3"},
	{"store-limit-version", "\"v1\""},
	{"halt-scheduling", "\"false\""},
};

static const Setting pd_server[] = {
	{"use-region-storage", "\"true\""},
	{"max-gap-reset-ts", "\"24h0m0s\""},
	{"key-type", "\"raw\""},
	{"runtime-services", "\"\""},
	{"metric-storage", "\"\""},
	{"dashboard-address", "\"none\""},
	{"flow-round-by-digit", "3"},
	{"min-resolved-ts-persistence-interval", "\"1s\""},
	{"server-memory-limit", "0"},
	{"enable-gogc-tuner", "\"false\""},
	{"block-safe-point-v1", "\"false\""},
};

static void
put_members(JsonWriter *json, const Setting *settings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_raw(json, settings[i].name, settings[i].value);
}

static void
put_pd_server(JsonWriter *json, const char *key)
{
	json_open(json, key, '{');
	put_members(json, pd_server, lengthof(pd_server));
	json_close(json, '}');
}

static void
put_schedule(HttpAsk *ask, const char *key)
{
	JsonWriter *json = &ask->json;

	json_open(json, key, '{');
	put_members(json, schedule, lengthof(schedule));
	json_string(json, "max-store-down-time",
				http_duration(tikv_fdw_settings.max_store_down_time_s,
							  ask->arena));
	json_uint(json, "leader-schedule-limit", SCHEDULE_LEADER_LIMIT);
	json_uint(json, "region-schedule-limit", SCHEDULE_REGION_LIMIT);
	json_uint(json, "replica-schedule-limit", SCHEDULE_REPLICA_LIMIT);
	json_close(json, '}');
}

static void
put_replication(HttpAsk *ask, const char *key, uint64 max_replicas)
{
	JsonWriter *json = &ask->json;

	json_open(json, key, '{');
	json_uint(json, "max-replicas", max_replicas);
	json_string(json, "location-labels", "");
	json_string(json, "strictly-match-label", "false");
	json_string(json, "enable-placement-rules", "true");
	json_string(json, "enable-placement-rules-cache", "false");
	json_string(json, "isolation-level", "");
	json_close(json, '}');
}

static uint64
max_replicas(const HttpAsk *ask)
{
	const Cluster *cluster = &ask->pd->state.cluster;

	return cluster->bootstrapped ? cluster->max_peer_count :
								   CLUSTER_MAX_REPLICAS;
}

static void
put_replication_mode(JsonWriter *json, const char *key)
{
	json_open(json, key, '{');
	json_string(json, "replication-mode", "majority");
	json_close(json, '}');
}

static void
put_config(HttpAsk *ask, uint64 replicas)
{
	const PdMember *member = &ask->pd->state.member;
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_string(json, "client-urls", member->client_url);
	json_string(json, "peer-urls", member->peer_url);
	json_string(json, "advertise-client-urls", member->client_url);
	json_string(json, "advertise-peer-urls", member->peer_url);
	json_string(json, "name", member->name);
	json_int(json, "lease", 5);
	json_string(json, "cluster-version",
				cluster_version(&ask->pd->state.cluster));
	put_schedule(ask, "schedule");
	put_replication(ask, "replication", replicas);
	put_pd_server(json, "pd-server");
	json_open(json, "label-property", '{');
	json_close(json, '}');
	put_replication_mode(json, "replication-mode");
	json_close(json, '}');
}

static void
get_config(HttpAsk *ask)
{
	put_config(ask, max_replicas(ask));
}

static void
get_default_config(HttpAsk *ask)
{
	put_config(ask, CLUSTER_MAX_REPLICAS);
}

static void
get_schedule(HttpAsk *ask)
{
	put_schedule(ask, NULL);
}

static void
get_pd_server(HttpAsk *ask)
{
	put_pd_server(&ask->json, NULL);
}

static void
get_replication(HttpAsk *ask)
{
	put_replication(ask, NULL, max_replicas(ask));
}

static void
get_cluster_version(HttpAsk *ask)
{
	json_string(&ask->json, NULL, cluster_version(&ask->pd->state.cluster));
}

static void
get_replication_mode(HttpAsk *ask)
{
	put_replication_mode(&ask->json, NULL);
}

static void
get_replication_status(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_string(&ask->json, "mode", "majority");
	json_close(&ask->json, '}');
}

static void
get_empty_object(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_close(&ask->json, '}');
}

/* Names as they are, or with the section before a dot. */
static bool
is_max_replicas(const char *name)
{
	return strcmp(name, "max-replicas") == 0 ||
		strcmp(name, "replication.max-replicas") == 0;
}

static void
set_config(HttpAsk *ask)
{
	const JsonValue *object = http_object(ask);
	uint64_t replicas;

	if (object == NULL ||
		!http_check_ttl(ask, object->n > 0 ? object->first->key : NULL))
		return;
	for (const JsonValue *item = object->first; item != NULL; item = item->next)
		if (!is_max_replicas(item->key))
		{
			http_say(ask, HTTP_BAD_REQUEST,
					 arena_printf(ask->arena,
								  "config item %s cannot be set: nothing here "
								  "is decided by it",
								  item->key));
			return;
		}
	if (object->n == 0)
		http_say(ask, HTTP_OK, "The input is empty.");
	else if (!json_get_uint(object, object->first->key, &replicas) ||
			 replicas > PG_UINT32_MAX)
		http_say(ask, HTTP_BAD_REQUEST, "max-replicas must be a number");
	else if (!http_failed(ask,
						  cluster_put_config(&ask->pd->state.cluster,
											 (uint32_t) replicas,
											 &ask->changes)))
		http_say(ask, HTTP_OK, "The config is updated.");
}

/* ---- placement: the one rule that max-replicas means ---- */

static void
put_rule(HttpAsk *ask)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_string(json, "group_id", "pd");
	json_string(json, "id", "default");
	json_string(json, "start_key", "");
	json_string(json, "end_key", "");
	json_string(json, "role", "voter");
	json_bool(json, "is_witness", false);
	json_uint(json, "count", max_replicas(ask));
	json_close(json, '}');
}

static void
get_rules(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '[');
	put_rule(ask);
	json_close(&ask->json, ']');
}

static bool
is_default_group(const HttpAsk *ask, int segment)
{
	const char *group = url_text(&ask->url, segment);

	return group != NULL && strcmp(group, "pd") == 0;
}

static void
get_rules_of_group(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '[');
	if (is_default_group(ask, 6))
		put_rule(ask);
	json_close(&ask->json, ']');
}

static void
get_rule(HttpAsk *ask)
{
	const char *id = url_text(&ask->url, 6);

	if (is_default_group(ask, 5) && id != NULL && strcmp(id, "default") == 0)
		put_rule(ask);
	else
		http_say(ask, HTTP_NOT_FOUND, "rule not found");
}

static void
put_bundle(HttpAsk *ask)
{
	JsonWriter *json = &ask->json;

	json_open(json, NULL, '{');
	json_string(json, "group_id", "pd");
	json_int(json, "group_index", 0);
	json_bool(json, "group_override", false);
	json_open(json, "rules", '[');
	put_rule(ask);
	json_close(json, ']');
	json_close(json, '}');
}

static void
get_bundles(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '[');
	put_bundle(ask);
	json_close(&ask->json, ']');
}

static void
get_bundle(HttpAsk *ask)
{
	if (is_default_group(ask, 5))
	{
		put_bundle(ask);
		return;
	}

	/* An unknown group is an empty one. */
	json_open(&ask->json, NULL, '{');
	json_string(&ask->json, "group_id", url_text(&ask->url, 5));
	json_int(&ask->json, "group_index", 0);
	json_bool(&ask->json, "group_override", false);
	json_null(&ask->json, "rules");
	json_close(&ask->json, '}');
}

static void
put_group(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '{');
	json_string(&ask->json, "id", "pd");
	json_close(&ask->json, '}');
}

static void
get_groups(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '[');
	put_group(ask);
	json_close(&ask->json, ']');
}

static void
get_group(HttpAsk *ask)
{
	if (is_default_group(ask, 5))
		put_group(ask);
	else
		http_say(ask, HTTP_NOT_FOUND, "rule group not found");
}

static void
get_label_rules(HttpAsk *ask)
{
	json_open(&ask->json, NULL, '[');
	json_close(&ask->json, ']');
}

static void
refuse_rules(HttpAsk *ask)
{
	http_say(ask, HTTP_NOT_IMPLEMENTED,
			 "placement rules and labels need several stores");
}

const HttpRoute http_config_routes[] = {
	{"GET", "v1/config", false, get_config},
	{"POST", "v1/config", true, set_config},
	{"GET", "v1/config/default", false, get_default_config},
	{"GET", "v1/config/schedule", false, get_schedule},
	{"POST", "v1/config/schedule", true, set_config},
	{"GET", "v1/config/pd-server", false, get_pd_server},
	{"GET", "v1/config/replicate", false, get_replication},
	{"POST", "v1/config/replicate", true, set_config},
	{"GET", "v1/config/label-property", false, get_empty_object},
	{"GET", "v1/config/cluster-version", false, get_cluster_version},
	{"GET", "v1/config/replication-mode", false, get_replication_mode},
	{"GET", "v1/replication_mode/status", true, get_replication_status},
	{"GET", "v1/config/rules", true, get_rules},
	{"POST", "v1/config/rules", true, refuse_rules},
	{"POST", "v1/config/rules/batch", true, refuse_rules},
	{"GET", "v1/config/rules/group/{}", true, get_rules_of_group},
	{"GET", "v1/config/rule/{}/{}", true, get_rule},
	{"POST", "v1/config/rule", true, refuse_rules},
	{"DELETE", "v1/config/rule/{}/{}", true, refuse_rules},
	{"GET", "v1/config/rule_groups", true, get_groups},
	{"GET", "v1/config/rule_group/{}", true, get_group},
	{"POST", "v1/config/rule_group", true, refuse_rules},
	{"GET", "v1/config/placement-rule", true, get_bundles},
	{"POST", "v1/config/placement-rule", true, refuse_rules},
	{"GET", "v1/config/placement-rule/{}", true, get_bundle},
	{"POST", "v1/config/placement-rule/{}", true, refuse_rules},
	{"GET", "v1/config/region-label/rules", true, get_label_rules},
	{"POST", "v1/config/region-label/rule", true, refuse_rules},
	{"PATCH", "v1/config/region-label/rules", true, refuse_rules},
	{NULL, NULL, false, NULL},
};
