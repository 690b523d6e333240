/*
 * check_state.c
 *	  The part of tikv_check() about the store's small tables: ident, regions,
 *	  Raft positions.
 */
#include "postgres.h"

#include "sqlapi/sqlapi.h"
#include "storage/state_table.h"

/* Where defects go. */
typedef struct Report
{
	DefectReport report;
	void *arg;
} Report;

static void put_defect_of(const Report *report, const char *format, ...)
	pg_attribute_printf(2, 3);

static void
put_defect_of(const Report *report, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report->report(report->arg, text);
}

static void
check_ident(const Report *report)
{
	StoreMeta meta;
	BoardStore store;

	store_meta_load(&meta);
	board_store(&store);
	if (meta.storage_format != STORAGE_FORMAT)
		put_defect_of(report, "store_meta: storage format %d is not %d",
					  meta.storage_format, STORAGE_FORMAT);
	if (store.store_id != 0 && meta.api != store.api)
		put_defect_of(report, "store_meta: API %s, but %s is served",
					  api_name((int) meta.api), api_name((int) store.api));
	if (store.store_id != 0 &&
		(meta.store_id != store.store_id ||
		 meta.cluster_id != store.cluster_id))
		put_defect_of(
			report,
			"store_meta: store %llu of cluster %llu, but store %llu of cluster %llu serves",
			(unsigned long long) meta.store_id,
			(unsigned long long) meta.cluster_id,
			(unsigned long long) store.store_id,
			(unsigned long long) store.cluster_id);
}

/*
 * The board is looked at before the tables: it is written after the commit,
 * so it can't be ahead of what is read after it.
 */
static void
check_progress(const Report *report, uint64 region_id)
{
	BoardRegion board;
	GroupState state;
	bool on_board = board_find(region_id, &board);

	if (!group_state_load(region_id, &state))
	{
		put_defect_of(report, "region %llu has no row in raft_state",
					  (unsigned long long) region_id);
		return;
	}
	if (state.applied_index > state.commit_index ||
		state.truncated_index > state.applied_index)
		put_defect_of(
			report,
			"region %llu: truncated %llu, applied %llu, committed %llu are not in order",
			(unsigned long long) region_id,
			(unsigned long long) state.truncated_index,
			(unsigned long long) state.applied_index,
			(unsigned long long) state.commit_index);
	if (on_board && board.applied_index > state.applied_index)
		put_defect_of(
			report, "region %llu: the board says applied %llu, the table %llu",
			(unsigned long long) region_id,
			(unsigned long long) board.applied_index,
			(unsigned long long) state.applied_index);
}

static int
by_start_key(const void *a, const void *b)
{
	return bytes_cmp(((const RegionRow *) a)->region.start_key,
					 ((const RegionRow *) b)->region.start_key);
}

/* Regions in key order: none empty, none reaching into the next. */
static void
check_bounds(const Report *report, const RegionRow *rows, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Region *region = &rows[i].region;
		bool endless = region->end_key.len == 0;

		if (!endless && bytes_cmp(region->start_key, region->end_key) >= 0)
			put_defect_of(report, "region %llu is empty",
						  (unsigned long long) region->id);
		if (i + 1 < n &&
			(endless ||
			 bytes_cmp(region->end_key, rows[i + 1].region.start_key) > 0))
			put_defect_of(report, "regions %llu and %llu overlap",
						  (unsigned long long) region->id,
						  (unsigned long long) rows[i + 1].region.id);
	}
}

/* Only regions whose data are here: no tombstones, nobody who waits for them. */
static int
keep_living(RegionRow *rows, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (rows[i].state == PEER_STATE_NORMAL && rows[i].region.n_peers > 0)
			rows[kept++] = rows[i];
	return kept;
}

static void
check_regions(const Report *report)
{
	RegionRow *rows;
	int n = region_table_load(&rows);

	n = keep_living(rows, n);
	qsort(rows, n, sizeof(RegionRow), by_start_key);
	check_bounds(report, rows, n);
	for (int i = 0; i < n; i++)
		check_progress(report, rows[i].region.id);
}

void
check_state(DefectReport defect, void *arg)
{
	Report report = {defect, arg};

	check_ident(&report);
	check_regions(&report);
}
