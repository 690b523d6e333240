/*
 * analyze.c
 *	  ANALYZE: a sample of the rows, and how many there are.
 *
 * All keys are read: what is behind a prefix can't be counted otherwise.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "fdw/allow.h"
#include "fdw/fdw.h"

typedef struct Sampling
{
	TableMap *map;
	ValueCodec *codec;
	HeapTuple *rows;
	int wanted;
	int n;
	double seen;
	double to_skip; /* before the next row that replaces another */
	ReservoirStateData reservoir;
	MemoryContext row;
	bool *columns;
} Sampling;

/* Where the row goes in the sample; -1: nowhere. */
static int
choose_place(Sampling *sampling)
{
	sampling->seen++;
	if (sampling->n < sampling->wanted)
		return sampling->n++;
	if (sampling->to_skip < 0)
		sampling->to_skip =
			reservoir_get_next_S(&sampling->reservoir, sampling->seen - 1,
								 sampling->wanted);
	if (sampling->to_skip-- > 0)
		return -1;
	return (int) (sampling->wanted *
				  sampler_random_fract(&sampling->reservoir.randstate));
}

static void
sample_pair(Sampling *sampling, const KvPage *page, int i)
{
	int natts = sampling->map->desc->natts;
	MemoryContext caller = MemoryContextSwitchTo(sampling->row);
	Datum *values = palloc0(sizeof(Datum) * Max(natts, 1));
	bool *nulls = palloc(sizeof(bool) * Max(natts, 1));
	bool is_row =
		pair_to_row(sampling->map, sampling->codec, kv_page_key(page, i),
					kv_page_value(page, i), page->pairs[i].expires_at,
					sampling->columns, true, values, nulls);
	int place;

	MemoryContextSwitchTo(caller);
	place = is_row ? choose_place(sampling) : -1;
	if (place >= 0)
	{
		if (place < sampling->n && sampling->rows[place] != NULL)
			heap_freetuple(sampling->rows[place]);
		sampling->rows[place] =
			heap_form_tuple(sampling->map->desc, values, nulls);
	}
	MemoryContextReset(sampling->row);
}

static void
delay_point(void)
{
#if PG_VERSION_NUM >= 180000
	vacuum_delay_point(true);
#else
	vacuum_delay_point();
#endif
}

static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int wanted,
			   double *total, double *dead)
{
	Sampling sampling = {0};
	KvCounters counters = {0};
	KvPage *page = kv_page_new(CurrentMemoryContext);
	KvRange range;
	KvCursor *cursor;
	const KvAccess *kv;

	sampling.map = table_map(relation);
	sampling.codec = value_codec_new(sampling.map);
	sampling.rows = rows;
	sampling.wanted = wanted;
	sampling.to_skip = -1;
	memset(rows, 0, sizeof(HeapTuple) * wanted);
	reservoir_init_selection_state(&sampling.reservoir, wanted);
	sampling.row =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw sample",
							  ALLOCSET_DEFAULT_SIZES);
	sampling.columns = palloc(sizeof(bool) * sampling.map->desc->natts);
	memset(sampling.columns, true, sizeof(bool) * sampling.map->desc->natts);
	kv = kv_access(sampling.map->mode);
	range = table_map_range(sampling.map);
	cursor = kv->open(&range, false, false);
	while (kv->fetch(cursor, sampling.map->fetch_size, page, &counters))
	{
		delay_point();
		for (int i = 0; i < page->n; i++)
			sample_pair(&sampling, page, i);
		kv_page_clear(page);
	}
	kv->close(cursor);
	*total = sampling.seen;
	*dead = 0;
	ereport(
		elevel,
		(errmsg("\"%s\": foreign table contains %.0f rows; %d rows in sample",
				RelationGetRelationName(relation), sampling.seen, sampling.n)));
	return sampling.n;
}

/* As many pages as keys and values would fill. */
static BlockNumber
count_pages(const TableMap *map)
{
	const KvAccess *kv = kv_access(map->mode);
	KvRange range = table_map_range(map);
	KvCursor *cursor = kv->open(&range, false, false);
	KvPage *page = kv_page_new(CurrentMemoryContext);
	KvCounters counters = {0};
	uint64 bytes = 0;

	while (kv->fetch(cursor, map->fetch_size, page, &counters))
	{
		delay_point();
		bytes += page->used;
		kv_page_clear(page);
	}
	kv->close(cursor);
	return (BlockNumber) Min(bytes / BLCKSZ + 1, MaxBlockNumber);
}

bool
tikvAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
						BlockNumber *totalpages)
{
	TableMap *map = table_map(relation);
	KvRange range = table_map_range(map);

	allow_range(GetUserId(), GRANT_READ, &range);
	*func = acquire_sample;
	*totalpages = count_pages(map);
	return true;
}
