/*
 * state_test.c
 *	  The small tables called from SQL; see storage_test.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/snapmgr.h"

#include "storage/state_table.h"
#include "storage_test.h"

PG_FUNCTION_INFO_V1(storage_test_meta);
PG_FUNCTION_INFO_V1(storage_test_region);
PG_FUNCTION_INFO_V1(storage_test_group);

/* storage_test_meta(): save and load the ident with extreme numbers */
Datum
storage_test_meta(PG_FUNCTION_ARGS)
{
	StoreMeta saved = {
		PG_UINT64_MAX,	4, API_V2,
		STORAGE_FORMAT, 7, {PG_INT64_MIN, 2, PG_INT64_MAX, 3},
	};
	StoreMeta loaded;

	(void) fcinfo;
	for (int i = 0; i < 3; i++)
	{
		saved.start_seq++;
		store_meta_save(&saved);
	}
	store_meta_load(&loaded);
	PG_RETURN_BOOL(loaded.cluster_id == saved.cluster_id &&
				   loaded.store_id == saved.store_id &&
				   loaded.api == saved.api &&
				   loaded.storage_format == saved.storage_format &&
				   loaded.start_seq == saved.start_seq &&
				   memcmp(&loaded.identity, &saved.identity,
						  sizeof(DataIdentity)) == 0);
}

/* storage_test_region(id int8, start bytea, end bytea, peers int4) */
Datum
storage_test_region(PG_FUNCTION_ARGS)
{
	Region region = {
		.id = (uint64) PG_GETARG_INT64(0),
		.start_key = storage_test_arg(PG_GETARG_BYTEA_PP(1)),
		.end_key = storage_test_arg(PG_GETARG_BYTEA_PP(2)),
		.epoch = {3, 9},
		.flashback_start_ts = (uint64) PG_GETARG_INT64(0),
		.n_peers = PG_GETARG_INT32(3),
	};
	Region *all;
	int n;
	bool same = false;

	for (int i = 0; i < region.n_peers; i++)
		region.peers[i] =
			(RegionPeer){100 + (uint64) i, 1 + (uint64) i, (PeerRole) (i % 4)};
	region_table_save(&region, region.peers[0].id);
	n = region_table_load(&all);
	for (int i = 0; i < n; i++)
	{
		if (all[i].id != region.id)
			continue;
		same = all[i].flashback_start_ts == region.flashback_start_ts &&
			bytes_eq(all[i].start_key, region.start_key) &&
			bytes_eq(all[i].end_key, region.end_key) &&
			all[i].epoch.conf_ver == 3 && all[i].epoch.version == 9 &&
			all[i].n_peers == region.n_peers &&
			memcmp(all[i].peers, region.peers,
				   (size_t) region.n_peers * sizeof(RegionPeer)) == 0;
	}
	PG_RETURN_BOOL(same);
}

static void
update_group(GroupState *state)
{
	OpenTables tables;
	Snapshot snapshot;

	storage_test_tables(true, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	group_state_update(&tables, snapshot, state);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
}

/*
 * storage_test_group(id int8, applied int8, wrong_place bool): insert the
 * group if it is new, else load it, lose its place if asked, and update it.
 * Returns the applied index that is then stored.
 */
Datum
storage_test_group(PG_FUNCTION_ARGS)
{
	uint64 id = (uint64) PG_GETARG_INT64(0);
	GroupState state = {.region_id = id};

	if (!group_state_load(id, &state))
		group_state_insert(&state);
	state.applied_index = (uint64) PG_GETARG_INT64(1);
	if (PG_GETARG_BOOL(2))
		ItemPointerSet(&state.place, 100000, 1);
	update_group(&state);
	CommandCounterIncrement();
	memset(&state, 0, sizeof(state));
	if (!group_state_load(id, &state))
		elog(ERROR, "the group is gone");
	PG_RETURN_INT64((int64) state.applied_index);
}
