/*
 * state_test.c
 *	  The small tables called from SQL; see storage_test.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "storage/raft_log_table.h"
#include "storage/state_table.h"
#include "storage_test.h"

PG_FUNCTION_INFO_V1(storage_test_meta);
PG_FUNCTION_INFO_V1(storage_test_region);
PG_FUNCTION_INFO_V1(storage_test_group);
PG_FUNCTION_INFO_V1(storage_test_log);
PG_FUNCTION_INFO_V1(storage_test_log_bytes);
PG_FUNCTION_INFO_V1(storage_test_log_compact);

/* storage_test_meta(): save and load the ident with extreme numbers */
Datum
storage_test_meta(PG_FUNCTION_ARGS)
{
	StoreMeta saved = {
		PG_UINT64_MAX,	4, API_V2,
		STORAGE_FORMAT, 7, {PG_INT64_MIN, 2, PG_INT64_MAX, 3},
		PG_INT64_MIN,
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
				   loaded.claim_word == saved.claim_word &&
				   loaded.identity.machine == saved.identity.machine &&
				   loaded.identity.device == saved.identity.device &&
				   loaded.identity.inode == saved.identity.inode &&
				   loaded.identity.timeline == saved.identity.timeline);
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
	RegionRow *all;
	int n;
	bool same = false;

	for (int i = 0; i < region.n_peers; i++)
		region.peers[i] =
			(RegionPeer){100 + (uint64) i, 1 + (uint64) i, (PeerRole) (i % 4)};
	region_table_save(&region, region.peers[0].id, PEER_STATE_APPLYING);
	n = region_table_load(&all);
	for (int i = 0; i < n; i++)
	{
		const Region *found = &all[i].region;

		if (found->id != region.id)
			continue;
		same = found->flashback_start_ts == region.flashback_start_ts &&
			bytes_eq(found->start_key, region.start_key) &&
			bytes_eq(found->end_key, region.end_key) &&
			found->epoch.conf_ver == 3 && found->epoch.version == 9 &&
			found->n_peers == region.n_peers &&
			memcmp(found->peers, region.peers,
				   (size_t) region.n_peers * sizeof(RegionPeer)) == 0 &&
			all[i].state == PEER_STATE_APPLYING &&
			all[i].peer_id == region.peers[0].id;
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

/* ------------------------------------------------------------- raft_log */

#define LOG_REGION 77

static bool
same_entry(const RaftEntry *entry, uint64 index, uint64 term, size_t len)
{
	if (entry->index != index || entry->term != term || entry->data.len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (entry->data.data[i] != (uint8) (index + i))
			return false;
	return true;
}

static void
append_entries(const OpenTables *tables, uint64 first, int n, uint64 term,
			   size_t len)
{
	for (int i = 0; i < n; i++)
	{
		uint8 *data = palloc(len + 1);
		RaftEntry entry = {.term = term,
						   .index = first + (uint64) i,
						   .data = bytes_make(data, len)};

		for (size_t k = 0; k < len; k++)
			data[k] = (uint8) (entry.index + k);
		log_table_append(tables, LOG_REGION, &entry, 1);
		pfree(data);
	}
	CommandCounterIncrement();
}

/*
 * storage_test_log(first int8, n int4, term int8, len int4): replace the log
 * from `first` on by n entries of that size, read all of it back in pieces,
 * and return index and term of its end.
 */
Datum
storage_test_log(PG_FUNCTION_ARGS)
{
	uint64 first = (uint64) PG_GETARG_INT64(0);
	int n = PG_GETARG_INT32(1);
	uint64 term = (uint64) PG_GETARG_INT64(2);
	size_t len = (size_t) PG_GETARG_INT32(3);
	uint64 last = 0;
	uint64 last_term = 0;
	uint64 at;
	OpenTables tables;
	Snapshot snapshot;
	RaftEntry *entries;
	Arena arena;

	storage_test_open_tables(TABLES_LOG, true, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	while (log_table_delete(&tables, snapshot, LOG_REGION, first, PG_UINT64_MAX,
							3) == 3)
	{
		UnregisterSnapshot(snapshot);
		CommandCounterIncrement();
		snapshot = RegisterSnapshot(GetLatestSnapshot());
	}
	CommandCounterIncrement();
	append_entries(&tables, first, n, term, len);
	UnregisterSnapshot(snapshot);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	arena_init(&arena);
	(void) log_table_last(&tables, snapshot, LOG_REGION, &last, &last_term);
	for (at = first; at <= last;)
	{
		int got = log_table_read(&tables, snapshot, LOG_REGION, at, last + 1,
								 len * 2, &arena, &entries);

		if (got == 0)
			elog(ERROR, "entry " UINT64_FORMAT " is missing", at);
		for (int i = 0; i < got; i++, at++)
			if (!same_entry(&entries[i], at, term, len))
				elog(ERROR, "entry " UINT64_FORMAT " is another one", at);
	}
	if (n > 0 &&
		(!log_table_term(&tables, snapshot, LOG_REGION, first, &at) ||
		 at != term))
		elog(ERROR, "the term of the first entry is wrong");
	if (log_table_term(&tables, snapshot, LOG_REGION, last + 1, &at))
		elog(ERROR, "there is an entry behind the last");
	arena_free(&arena);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT "/" UINT64_FORMAT,
											  last, last_term)));
}

/* storage_test_log_bytes(from int8): how large the log is from there on */
Datum
storage_test_log_bytes(PG_FUNCTION_ARGS)
{
	OpenTables tables;
	Snapshot snapshot;
	uint64 bytes;

	storage_test_open_tables(TABLES_LOG, false, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bytes = log_table_bytes(&tables, snapshot, LOG_REGION,
							(uint64) PG_GETARG_INT64(0));
	UnregisterSnapshot(snapshot);
	tables_close(&tables, false);
	PG_RETURN_INT64((int64) bytes);
}

/* storage_test_log_compact(to int8): delete the log before an index. */
Datum
storage_test_log_compact(PG_FUNCTION_ARGS)
{
	OpenTables tables;
	Snapshot snapshot;
	int n;

	storage_test_open_tables(TABLES_LOG, true, false, &tables);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	n = log_table_delete(&tables, snapshot, LOG_REGION, 0,
						 (uint64) PG_GETARG_INT64(0), 1000000);
	UnregisterSnapshot(snapshot);
	tables_close(&tables, true);
	PG_RETURN_INT32(n);
}
