/*
 * api_switch.c
 *	  The API version of the data, and whether the settings may change it.
 *
 * Keys and region bounds of one version mean something else in another, so a
 * store with data keeps the one it has, as in TiKV (tikv/tikv
 * src/server/node.rs, check_api_version).
 */
#include "postgres.h"

#include "access/xact.h"
#include "guc.h"
#include "storage/raft_log_table.h"
#include "storage/state_table.h"
#include "storage/txn_table.h"
#include "store/api_switch.h"
#include "utils/snapmgr.h"

/* Tables that hold what clients wrote; one that does not exist is empty. */
static const char *const data_tables[] = {"raw", "write", "value",
										  "lock_spill"};

ApiVersion
api_of_our_settings(void)
{
	return api_of_settings(tikv_fdw_settings.api_version,
						   tikv_fdw_settings.enable_ttl);
}

const char *
api_settings(ApiVersion api)
{
	switch (api)
	{
		case API_V1:
			return "tikv.api_version = 1, tikv.enable_ttl = off";
		case API_V1TTL:
			return "tikv.api_version = 1, tikv.enable_ttl = on";
		case API_V2:
			return "tikv.api_version = 2";
	}
	return "none that this library knows";
}

/* A table with data of clients, also with such that are not applied yet. */
static const char *
find_data(const Store *store)
{
	for (size_t i = 0; i < lengthof(data_tables); i++)
		if (table_has_row(data_tables[i], NULL, NULL))
			return data_tables[i];
	if (lock_pool_has_stored())
		return "lock_slot";
	for (int i = 0; i < store->n_peers; i++)
		if (log_table_goes_beyond(store->peers[i]->region.id,
								  store->peers[i]->saved.applied_index))
			return "raft_log";
	return NULL;
}

/*
 * Bounds of several regions were chosen for the old form of keys, and other
 * stores decode a region's entries by it.
 */
static bool
is_split_or_shared(const Store *store)
{
	const Region *region;

	if (store->n_peers != 1)
		return store->n_peers > 1;
	region = &store->peers[0]->region;
	return region->n_peers > 1 || region->start_key.len > 0 ||
		region->end_key.len > 0;
}

bool
api_switch(Store *store, char *reason, Size size)
{
	ApiVersion wanted = api_of_our_settings();
	const char *what;

	if (store->meta.api == wanted)
		return true;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	what = is_split_or_shared(store) ? "region" : find_data(store);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (what == NULL)
	{
		store->meta.api = wanted;
		return true;
	}
	snprintf(
		reason, size,
		"the data was written with %s, the settings are %s; set them back (table %s has rows)",
		api_settings(store->meta.api), api_settings(wanted), what);
	return false;
}
