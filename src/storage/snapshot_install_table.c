/*
 * snapshot_install_table.c
 *	  Rows of tikv_internal.snapshot_install, one per region whose snapshot is
 *	  being installed.
 */
#include "postgres.h"

#include "storage/small_table.h"
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
read_row(const Datum *values, void *item)
{
	SnapshotInstall *out = item;

	out->region_id = (uint64) DatumGetInt64(values[INSTALL_REGION - 1]);
	out->index = (uint64) DatumGetInt64(values[INSTALL_INDEX - 1]);
	out->term = (uint64) DatumGetInt64(values[INSTALL_TERM - 1]);
	out->loading = DatumGetBool(values[INSTALL_LOADING - 1]);
	out->offset = (uint64) DatumGetInt64(values[INSTALL_OFFSET - 1]);
}

int
snapshot_install_load(SnapshotInstall **out)
{
	void *rows;
	int n =
		small_table_load(TABLE_NAME, sizeof(SnapshotInstall), read_row, &rows);

	*out = rows;
	return n;
}

void
snapshot_install_save(const SnapshotInstall *install)
{
	Datum values[INSTALL_COLUMNS];

	values[INSTALL_REGION - 1] = Int64GetDatum((int64) install->region_id);
	values[INSTALL_INDEX - 1] = Int64GetDatum((int64) install->index);
	values[INSTALL_TERM - 1] = Int64GetDatum((int64) install->term);
	values[INSTALL_LOADING - 1] = BoolGetDatum(install->loading);
	values[INSTALL_OFFSET - 1] = Int64GetDatum((int64) install->offset);
	small_table_save(TABLE_NAME, values);
}

void
snapshot_install_remove(uint64 region_id)
{
	small_table_remove(TABLE_NAME, Int64GetDatum((int64) region_id));
}
