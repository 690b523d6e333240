/*
 * config.c
 *	  /config: settings in the shape of TiKV's.
 *
 * TiKV shows its whole configuration (tikv/tikv src/config/mod.rs, keys in
 * kebab case).  Of it, what has a counterpart here is shown with its value;
 * what has none is left out, for clients have defaults for what is missing
 * and would believe what is not.  All settings of our own are in "tikv-fdw".
 */
#include "postgres.h"

#include "bus/board.h"
#include "guc.h"
#include "miscadmin.h"
#include "status/status.h"
#include "utils/guc.h"

/* Of src/guc.c; `make lint` compares. */
static const char *const setting_names[] = {
	"tikv.addr",
	"tikv.advertise_addr",
	"tikv.allow_unsafe",
	"tikv.api_version",
	"tikv.bus_memory",
	"tikv.bus_slots",
	"tikv.database",
	"tikv.enable_ttl",
	"tikv.gc_life_time",
	"tikv.hibernate_regions",
	"tikv.in_memory_instance_size_limit",
	"tikv.in_memory_peer_size_limit",
	"tikv.in_memory_pessimistic_locks",
	"tikv.join",
	"tikv.keyspace_id",
	"tikv.lock_memory",
	"tikv.lock_wait_timeout",
	"tikv.lookup_join",
	"tikv.max_key_size",
	"tikv.max_leader_missing_duration",
	"tikv.max_pending_bytes",
	"tikv.max_pending_writes",
	"tikv.max_regions",
	"tikv.max_store_down_time",
	"tikv.memory_limit",
	"tikv.pd_addr",
	"tikv.pd_advertise_addr",
	"tikv.pd_endpoints",
	"tikv.pd_http_addr",
	"tikv.peer_addr",
	"tikv.peer_advertise_addr",
	"tikv.raft_log_gc_count_limit",
	"tikv.raft_log_gc_size_limit",
	"tikv.raft_log_gc_threshold",
	"tikv.readers",
	"tikv.region_split_keys",
	"tikv.region_split_size",
	"tikv.request_timeout",
	"tikv.reserve_space",
	"tikv.server_workers",
	"tikv.slow_log_threshold",
	"tikv.status_addr",
	"tikv.status_advertise_addr",
	"tikv.tls_allowed_cn",
	"tikv.tls_ca",
	"tikv.tls_cert",
	"tikv.tls_key",
	"tikv.turn_min_interval",
	"tikv.txn_memory",
	"tikv.txn_mode",
	"tikv.local_atomic",
};

static const char *
setting(const char *name)
{
	char *value = GetConfigOptionByName(name, NULL, true);

	return value == NULL ? "" : value;
}

static const char *
advertised(const char *advertise, const char *addr)
{
	return advertise[0] == '\0' ? addr : advertise;
}

/* As TiKV's ReadableDuration and ReadableSize read it. */
static const char *
milliseconds(StatusPage *page, int ms)
{
	return arena_printf(page->arena, "%dms", ms);
}

static const char *
kibibytes(StatusPage *page, int kb)
{
	return arena_printf(page->arena, "%dKiB", kb);
}

static void
put_server(JsonWriter *json)
{
	const TikvSettings *s = &tikv_fdw_settings;

	json_open(json, "server", '{');
	json_string(json, "addr", s->addr);
	json_string(json, "advertise-addr", advertised(s->advertise_addr, s->addr));
	json_string(json, "status-addr", s->status_addr);
	json_string(json, "advertise-status-addr",
				advertised(s->status_advertise_addr, s->status_addr));
	json_open(json, "labels", '{');
	json_close(json, '}');
	json_close(json, '}');
}

static void
put_storage(StatusPage *page, JsonWriter *json)
{
	const TikvSettings *s = &tikv_fdw_settings;

	json_open(json, "storage", '{');
	json_string(json, "data-dir", DataDir);
	json_uint(json, "api-version", (uint64) s->api_version);
	json_bool(json, "enable-ttl", s->api_version == 2 || s->enable_ttl);
	json_uint(json, "max-key-size", (uint64) s->max_key_size);
	json_string(json, "scheduler-pending-write-threshold",
				kibibytes(page, s->max_pending_kb));
	if (s->reserve_space_mb >= 0)
		json_string(json, "reserve-space",
					arena_printf(page->arena, "%dMiB", s->reserve_space_mb));
	json_close(json, '}');
}

static void
put_pd(StatusPage *page, JsonWriter *json)
{
	const TikvSettings *s = &tikv_fdw_settings;

	json_open(json, "pd", '{');
	json_open(json, "endpoints", '[');
	json_string(json, NULL,
				arena_printf(page->arena, "%s://%s",
							 s->tls_cert[0] != '\0' ? "https" : "http",
							 advertised(s->pd_advertise_addr, s->pd_addr)));
	json_close(json, ']');
	json_close(json, '}');
}

/* What tools that load much data read before they split (tikv/tikv names). */
static void
put_regions(StatusPage *page, JsonWriter *json)
{
	const TikvSettings *s = &tikv_fdw_settings;

	json_open(json, "coprocessor", '{');
	if (s->region_split_mb > 0)
		json_string(json, "region-split-size",
					arena_printf(page->arena, "%dMiB", s->region_split_mb));
	json_int(json, "region-split-keys", s->region_split_keys);
	json_close(json, '}');
	json_open(json, "raftstore", '{');
	json_int(json, "raft-log-gc-threshold", s->log_gc_threshold);
	json_bool(json, "hibernate-regions", s->hibernate_regions);
	json_close(json, '}');
}

static void
put_ours(JsonWriter *json)
{
	json_open(json, "tikv-fdw", '{');
	for (int i = 0; i < (int) lengthof(setting_names); i++)
		json_string(json, setting_names[i], setting(setting_names[i]));
	json_close(json, '}');
}

/* TiKV's switch for all settings, not only those of its own; all are here. */
static bool
full_is_good(StatusPage *page)
{
	const char *full = url_query(&page->url, "full");

	if (full == NULL || strcmp(full, "true") == 0 || strcmp(full, "false") == 0)
		return true;
	page_say(page, HTTP_BAD_REQUEST,
			 arena_printf(page->arena,
						  "full must be true or false, not \"%.64s\"", full));
	return false;
}

void
page_config(StatusPage *page)
{
	const TikvSettings *s = &tikv_fdw_settings;
	JsonWriter json;

	if (!full_is_good(page))
		return;

	json_init(&json, page->arena);
	json_open(&json, NULL, '{');
	if (s->slow_log_ms >= 0)
		json_string(&json, "slow-log-threshold",
					milliseconds(page, s->slow_log_ms));
	put_server(&json);
	put_storage(page, &json);
	put_pd(page, &json);
	put_regions(page, &json);
	json_open(&json, "pessimistic-txn", '{');
	json_bool(&json, "in-memory", s->in_memory_pessimistic_locks);
	json_string(&json, "in-memory-peer-size-limit",
				kibibytes(page, s->in_memory_peer_size_limit_kb));
	json_string(&json, "in-memory-instance-size-limit",
				kibibytes(page, s->in_memory_instance_size_limit_kb));
	json_close(&json, '}');
	put_ours(&json);
	json_close(&json, '}');
	page->type = TYPE_JSON;
	page->body = json_text(&json);
}
