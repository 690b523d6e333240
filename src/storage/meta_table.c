/*
 * meta_table.c
 *	  Which store this is and which regions it has: read at start, written
 *	  when they change.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "storage/row.h"
#include "storage/small_table.h"
#include "storage/stored_key.h"
#include "storage/state_table.h"
#include "storage/uint_datum.h"

/* Columns of store_meta, from 1 on. */
enum
{
	META_CLUSTER_ID = 1,
	META_STORE_ID,
	META_API_VERSION,
	META_STORAGE_FORMAT,
	META_START_SEQ,
	META_MACHINE,
	META_DEVICE,
	META_INODE,
	META_TIMELINE,
	META_CLAIM_WORD,
	META_COLUMNS = META_CLAIM_WORD
};

/* Columns of region. */
enum
{
	REGION_ID = 1,
	REGION_PEER_ID,
	REGION_START_KEY,
	REGION_END_KEY,
	REGION_CONF_VER,
	REGION_VERSION,
	REGION_PEER_IDS,
	REGION_PEER_STORES,
	REGION_PEER_ROLES,
	REGION_FLASHBACK_START_TS,
	REGION_STATE,
	REGION_COLUMNS = REGION_STATE
};

bool
table_has_row(const char *name, RowWanted wanted, void *arg)
{
	Relation rel = table_open_small_if_exists(name);
	Datum *values = NULL;
	bool *isnull = NULL;
	SmallScan small;
	bool found = false;

	if (rel == NULL)
		return false;
	if (wanted != NULL)
	{
		values = palloc(RelationGetNumberOfAttributes(rel) * sizeof(Datum));
		isnull = palloc(RelationGetNumberOfAttributes(rel) * sizeof(bool));
	}
	small_scan_begin(&small, rel);
	while (!found && HeapTupleIsValid(small_scan_next(&small, values, isnull)))
		found = wanted == NULL || wanted(values, isnull, arg);
	small_scan_end(&small);
	table_close_small(rel, NULL);
	return found;
}

/* ---- store_meta ---- */

void
store_meta_load(StoreMeta *out)
{
	Relation rel = table_open_small("store_meta", NULL);
	Datum values[META_COLUMNS];
	bool isnull[META_COLUMNS];
	SmallScan small;

	memset(out, 0, sizeof(*out));
	small_scan_begin(&small, rel);
	if (HeapTupleIsValid(small_scan_next(&small, values, isnull)))
	{
		out->cluster_id = numeric_to_uint64(values[META_CLUSTER_ID - 1]);
		out->store_id = numeric_to_uint64(values[META_STORE_ID - 1]);
		out->api = (ApiVersion) DatumGetInt32(values[META_API_VERSION - 1]);
		out->storage_format = DatumGetInt32(values[META_STORAGE_FORMAT - 1]);
		out->start_seq = DatumGetInt64(values[META_START_SEQ - 1]);
		out->identity.machine = DatumGetInt64(values[META_MACHINE - 1]);
		out->identity.device = DatumGetInt64(values[META_DEVICE - 1]);
		out->identity.inode = DatumGetInt64(values[META_INODE - 1]);
		out->identity.timeline = DatumGetInt32(values[META_TIMELINE - 1]);
		out->claim_word = DatumGetInt64(values[META_CLAIM_WORD - 1]);
	}
	small_scan_end(&small);
	table_close_small(rel, NULL);
}

/* Where the one row is; invalid if there is none. */
static ItemPointerData
find_store_meta(Relation rel)
{
	ItemPointerData place;
	SmallScan small;
	HeapTuple tuple;

	ItemPointerSetInvalid(&place);
	small_scan_begin(&small, rel);
	tuple = small_scan_next(&small, NULL, NULL);
	if (HeapTupleIsValid(tuple))
		place = tuple->t_self;
	small_scan_end(&small);
	return place;
}

static void
save_meta(const StoreMeta *meta, bool must_exist)
{
	TableIndexes indexes;
	Relation rel = table_open_small("store_meta", &indexes);
	ItemPointerData place = find_store_meta(rel);
	Datum values[META_COLUMNS];

	if (must_exist && !ItemPointerIsValid(&place))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the store was reset while it started")));
	values[META_CLUSTER_ID - 1] = uint64_to_numeric(meta->cluster_id);
	values[META_STORE_ID - 1] = uint64_to_numeric(meta->store_id);
	values[META_API_VERSION - 1] = Int32GetDatum((int32) meta->api);
	values[META_STORAGE_FORMAT - 1] = Int32GetDatum(meta->storage_format);
	values[META_START_SEQ - 1] = Int64GetDatum(meta->start_seq);
	values[META_MACHINE - 1] = Int64GetDatum(meta->identity.machine);
	values[META_DEVICE - 1] = Int64GetDatum(meta->identity.device);
	values[META_INODE - 1] = Int64GetDatum(meta->identity.inode);
	values[META_TIMELINE - 1] = Int32GetDatum(meta->identity.timeline);
	values[META_CLAIM_WORD - 1] = Int64GetDatum(meta->claim_word);
	small_row_save(rel, &indexes, &place, values);
	table_close_small(rel, &indexes);
}

void
store_meta_save(const StoreMeta *meta)
{
	save_meta(meta, false);
}

void
store_meta_update(const StoreMeta *meta)
{
	save_meta(meta, true);
}

/* ---- region ---- */

static void
corrupt_region(uint64 region_id, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the descriptor of region " UINT64_FORMAT " is corrupt: %s",
					region_id, what)));
}

/* The elements of a one-dimensional array of n numbers without NULLs. */
static Datum *
peer_array(Datum array, Oid type, int expected, uint64 region_id, int *n)
{
	int16 len;
	bool byval;
	char align;
	Datum *elements;
	bool *nulls;

	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(array), type, len, byval, align,
					  &elements, &nulls, n);
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			corrupt_region(region_id, "a peer is NULL");
	}
	if (*n > REGION_MAX_PEERS)
		corrupt_region(region_id, "too many peers");
	if (expected >= 0 && *n != expected)
		corrupt_region(region_id, "the peers' columns differ in length");
	return elements;
}

static void
load_peers(const Datum *values, Region *region)
{
	int n;
	Datum *ids = peer_array(values[REGION_PEER_IDS - 1], INT8OID, -1,
							region->id, &region->n_peers);
	Datum *stores = peer_array(values[REGION_PEER_STORES - 1], INT8OID,
							   region->n_peers, region->id, &n);
	Datum *roles = peer_array(values[REGION_PEER_ROLES - 1], INT4OID,
							  region->n_peers, region->id, &n);

	for (int i = 0; i < region->n_peers; i++)
	{
		int32 role = DatumGetInt32(roles[i]);

		if (role < PEER_VOTER || role > PEER_DEMOTING_VOTER)
			corrupt_region(region->id, "a peer has an unknown role");
		region->peers[i].id = (uint64) DatumGetInt64(ids[i]);
		region->peers[i].store_id = (uint64) DatumGetInt64(stores[i]);
		region->peers[i].role = (PeerRole) role;
	}
}

static void
load_region(const Datum *values, Region *region)
{
	memset(region, 0, sizeof(*region));
	region->id = (uint64) DatumGetInt64(values[REGION_ID - 1]);
	region->start_key = row_copy_bytea(values[REGION_START_KEY - 1]);
	region->end_key = row_copy_bytea(values[REGION_END_KEY - 1]);
	region->epoch.conf_ver =
		(uint64) DatumGetInt64(values[REGION_CONF_VER - 1]);
	region->epoch.version = (uint64) DatumGetInt64(values[REGION_VERSION - 1]);
	region->flashback_start_ts =
		(uint64) DatumGetInt64(values[REGION_FLASHBACK_START_TS - 1]);
	load_peers(values, region);
}

static void
load_region_row(const Datum *values, void *item)
{
	RegionRow *row = item;
	int32 state = DatumGetInt32(values[REGION_STATE - 1]);

	load_region(values, &row->region);
	row->peer_id = (uint64) DatumGetInt64(values[REGION_PEER_ID - 1]);
	if (state < PEER_STATE_NORMAL || state > PEER_STATE_TOMBSTONE)
		corrupt_region(row->region.id, "its peer is in an unknown state");
	row->state = (PeerState) state;
}

static int
compare_regions(const void *a, const void *b)
{
	return bytes_cmp(((const RegionRow *) a)->region.start_key,
					 ((const RegionRow *) b)->region.start_key);
}

/* Regions come in the order of their keys. */
int
region_table_load(RegionRow **out)
{
	void *rows;
	int n =
		small_table_load("region", sizeof(RegionRow), load_region_row, &rows);

	*out = rows;
	qsort(*out, n, sizeof(RegionRow), compare_regions);
	return n;
}

static Datum
save_array(Datum *elements, int n, Oid type)
{
	int16 len;
	bool byval;
	char align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_array(elements, n, type, len, byval,
										   align));
}

static void
save_peers(const Region *region, Datum *values)
{
	Datum ids[REGION_MAX_PEERS];
	Datum stores[REGION_MAX_PEERS];
	Datum roles[REGION_MAX_PEERS];

	for (int i = 0; i < region->n_peers; i++)
	{
		ids[i] = uint64_to_int8(region->peers[i].id, "peer id");
		stores[i] = uint64_to_int8(region->peers[i].store_id, "store id");
		roles[i] = Int32GetDatum(region->peers[i].role);
	}
	values[REGION_PEER_IDS - 1] = save_array(ids, region->n_peers, INT8OID);
	values[REGION_PEER_STORES - 1] =
		save_array(stores, region->n_peers, INT8OID);
	values[REGION_PEER_ROLES - 1] = save_array(roles, region->n_peers, INT4OID);
}

void
region_table_save(const Region *region, uint64 peer_id, PeerState state)
{
	Datum values[REGION_COLUMNS];

	values[REGION_ID - 1] = uint64_to_int8(region->id, "region id");
	values[REGION_PEER_ID - 1] = uint64_to_int8(peer_id, "peer id");
	values[REGION_START_KEY - 1] = bytea_datum(region->start_key);
	values[REGION_END_KEY - 1] = bytea_datum(region->end_key);
	values[REGION_CONF_VER - 1] =
		uint64_to_int8(region->epoch.conf_ver, "conf_ver");
	values[REGION_VERSION - 1] =
		uint64_to_int8(region->epoch.version, "version");
	values[REGION_FLASHBACK_START_TS - 1] =
		uint64_to_int8(region->flashback_start_ts, "flashback_start_ts");
	save_peers(region, values);
	values[REGION_STATE - 1] = Int32GetDatum((int32) state);
	small_table_save("region", values);
}

void
region_table_remove(uint64 region_id)
{
	small_table_remove("region", uint64_to_int8(region_id, "region id"));
}
