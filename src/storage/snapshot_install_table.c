/*
 * snapshot_install_table.c
 *	  Rows of tikv_internal.snapshot_install, one per region whose snapshot is
 *	  being installed.
 *
 * There are a few at most, so they are found by reading the table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/row.h"
#include "storage/snapshot_table.h"

enum
{
	INSTALL_REGION = 1,
	INSTALL_INDEX,
	INSTALL_TERM,
	INSTALL_LOADING,
	INSTALL_OFFSET,
	INSTALL_COLUMNS = INSTALL_OFFSET
};

#define TABLE_NAME "snapshot_install"

static void
read_row(const Datum *values, SnapshotInstall *out)
{
	out->region_id = (uint64) DatumGetInt64(values[INSTALL_REGION - 1]);
	out->index = (uint64) DatumGetInt64(values[INSTALL_INDEX - 1]);
	out->term = (uint64) DatumGetInt64(values[INSTALL_TERM - 1]);
	out->loading = DatumGetBool(values[INSTALL_LOADING - 1]);
	out->offset = (uint64) DatumGetInt64(values[INSTALL_OFFSET - 1]);
}

int
snapshot_install_load(SnapshotInstall **out)
{
	Relation rel = table_open_small(TABLE_NAME, NULL);
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	Datum values[INSTALL_COLUMNS];
	bool isnull[INSTALL_COLUMNS];
	int room = 8;
	int n = 0;
	HeapTuple tuple;

	*out = palloc(room * sizeof(SnapshotInstall));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (n == room)
			*out = repalloc(*out, (room *= 2) * sizeof(SnapshotInstall));
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		read_row(values, &(*out)[n++]);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close_small(rel, NULL);
	return n;
}

/* Where the region's row is; invalid if there is none. */
static ItemPointerData
find_region(Relation rel, uint64 region_id)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	ItemPointerData place;
	HeapTuple tuple;
	bool isnull;

	ItemPointerSetInvalid(&place);
	while (!ItemPointerIsValid(&place) &&
		   HeapTupleIsValid(tuple = systable_getnext(scan)))
		if ((uint64) DatumGetInt64(heap_getattr(tuple, INSTALL_REGION,
												RelationGetDescr(rel),
												&isnull)) == region_id)
			place = tuple->t_self;
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	return place;
}

void
snapshot_install_save(const SnapshotInstall *install)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	ItemPointerData place = find_region(rel, install->region_id);
	Datum values[INSTALL_COLUMNS];
	bool isnull[INSTALL_COLUMNS] = {false};
	HeapTuple tuple;

	values[INSTALL_REGION - 1] = Int64GetDatum((int64) install->region_id);
	values[INSTALL_INDEX - 1] = Int64GetDatum((int64) install->index);
	values[INSTALL_TERM - 1] = Int64GetDatum((int64) install->term);
	values[INSTALL_LOADING - 1] = BoolGetDatum(install->loading);
	values[INSTALL_OFFSET - 1] = Int64GetDatum((int64) install->offset);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	if (ItemPointerIsValid(&place))
		row_update(rel, &indexes, &place, tuple, values, isnull);
	else
		row_insert(rel, &indexes, tuple, values, isnull);
	heap_freetuple(tuple);
	CommandCounterIncrement();
	table_close_small(rel, &indexes);
}

void
snapshot_install_remove(uint64 region_id)
{
	TableIndexes indexes;
	Relation rel = table_open_small(TABLE_NAME, &indexes);
	ItemPointerData place = find_region(rel, region_id);

	if (ItemPointerIsValid(&place))
	{
		row_delete(rel, &place);
		CommandCounterIncrement();
	}
	table_close_small(rel, &indexes);
}
