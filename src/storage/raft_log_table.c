/*
 * raft_log_table.c
 *	  The logs of groups with several peers: tikv_internal.raft_log.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "bus/versions.h"
#include "core/cmd/raft_codec.h"
#include "storage/raft_log_table.h"
#include "storage/row.h"
#include "storage/stored_key.h"
#include "storage/uint_datum.h"

/* Columns of raft_log, from 1 on. */
enum
{
	LOG_REGION_ID = 1,
	LOG_INDEX,
	LOG_TERM,
	LOG_ENTRY,
	LOG_COLUMNS = LOG_ENTRY
};

/* Rows are met in the order of their index, or in the opposite one. */
typedef struct LogScan
{
	IndexScanDesc scan;
	ScanDirection direction;
	TupleTableSlot *slot;
} LogScan;

/* Rows of [low, high). */
static void
log_scan_begin(LogScan *scan, const OpenTables *tables, Snapshot snapshot,
			   uint64 region_id, uint64 low, uint64 high,
			   ScanDirection direction)
{
	const OpenTable *log = &tables->raft_log;
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				uint64_to_int8(region_id, "region id"));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT8GE,
				uint64_to_int8(Min(low, PG_INT64_MAX), "log index"));
	ScanKeyInit(&keys[2], 2, BTLessStrategyNumber, F_INT8LT,
				uint64_to_int8(Min(high, PG_INT64_MAX), "log index"));
	scan->direction = direction;
	scan->slot = table_slot_create(log->heap, NULL);
	scan->scan = index_beginscan(log->heap, log->index, snapshot, 3, 0);
	index_rescan(scan->scan, keys, 3, NULL, 0);
}

static bool
log_scan_next(LogScan *scan)
{
	return index_getnext_slot(scan->scan, scan->direction, scan->slot);
}

static void
log_scan_end(LogScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
}

static uint64
number(const LogScan *scan, AttrNumber column)
{
	bool isnull;

	return (uint64) DatumGetInt64(slot_getattr(scan->slot, column, &isnull));
}

bool
log_table_last(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
			   uint64 *index, uint64 *term)
{
	LogScan scan;
	bool found;

	log_scan_begin(&scan, tables, snapshot, region_id, 0, PG_UINT64_MAX,
				   BackwardScanDirection);
	found = log_scan_next(&scan);
	if (found)
	{
		*index = number(&scan, LOG_INDEX);
		*term = number(&scan, LOG_TERM);
	}
	log_scan_end(&scan);
	return found;
}

typedef struct LogPlace
{
	uint64 region_id;
	uint64 index;
} LogPlace;

static bool
is_beyond(const Datum *values, const bool *isnull, void *arg)
{
	const LogPlace *place = arg;

	(void) isnull;
	return (uint64) DatumGetInt64(values[LOG_REGION_ID - 1]) ==
		place->region_id &&
		(uint64) DatumGetInt64(values[LOG_INDEX - 1]) > place->index;
}

bool
log_table_goes_beyond(uint64 region_id, uint64 index)
{
	LogPlace place = {region_id, index};

	return table_has_row("raft_log", is_beyond, &place);
}

/* Entries that are stored elsewhere are not fetched for it. */
uint64
log_table_bytes(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
				uint64 from)
{
	LogScan scan;
	uint64 bytes = 0;
	bool isnull;

	log_scan_begin(&scan, tables, snapshot, region_id, from, PG_UINT64_MAX,
				   ForwardScanDirection);
	while (log_scan_next(&scan))
		bytes +=
			toast_raw_datum_size(slot_getattr(scan.slot, LOG_ENTRY, &isnull)) -
			VARHDRSZ;
	log_scan_end(&scan);
	return bytes;
}

bool
log_table_term(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
			   uint64 index, uint64 *term)
{
	LogScan scan;
	bool found;

	log_scan_begin(&scan, tables, snapshot, region_id, index, index + 1,
				   ForwardScanDirection);
	found = log_scan_next(&scan);
	if (found)
		*term = number(&scan, LOG_TERM);
	log_scan_end(&scan);
	return found;
}

static void
corrupt(uint64 region_id, uint64 index)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("entry " UINT64_FORMAT " of region " UINT64_FORMAT
					" in the Raft log is corrupt",
					index, region_id)));
}

/* The row's entry, copied; returns its size. */
static size_t
read_entry(const LogScan *scan, uint64 region_id, uint64 index, Arena *arena,
		   RaftEntry *out)
{
	bool isnull;
	Datum datum = slot_getattr(scan->slot, LOG_ENTRY, &isnull);
	bytea *entry = DatumGetByteaPP(datum);
	Bytes bytes = bytes_make(VARDATA_ANY(entry), VARSIZE_ANY_EXHDR(entry));

	bytes = arena_copy(arena, bytes);
	if ((Pointer) entry != DatumGetPointer(datum))
		pfree(entry);
	if (raft_entry_decode(bytes, out) != STATUS_OK || out->index != index ||
		out->term != number(scan, LOG_TERM))
		corrupt(region_id, index);
	return bytes.len;
}

int
log_table_read(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
			   uint64 low, uint64 high, size_t max_bytes, Arena *arena,
			   RaftEntry **out)
{
	uint64 most = Min(high - low, 4096);
	RaftEntry *entries = arena_alloc(arena, most * sizeof(RaftEntry));
	size_t bytes = 0;
	LogScan scan;
	int n = 0;

	log_scan_begin(&scan, tables, snapshot, region_id, low, high,
				   ForwardScanDirection);
	while ((uint64) n < most && log_scan_next(&scan) &&
		   number(&scan, LOG_INDEX) == low + (uint64) n)
	{
		bytes +=
			read_entry(&scan, region_id, low + (uint64) n, arena, &entries[n]);
		if (n > 0 && bytes > max_bytes)
			break;
		n++;
	}
	log_scan_end(&scan);
	*out = entries;
	return n;
}

static void
append_one(const OpenTable *log, uint64 region_id, const RaftEntry *entry,
		   Bytes bytes)
{
	Datum datum = bytea_datum(bytes);
	Datum values[LOG_COLUMNS];
	bool isnull[LOG_COLUMNS] = {false};
	HeapTuple tuple;

	values[LOG_REGION_ID - 1] = uint64_to_int8(region_id, "region id");
	values[LOG_INDEX - 1] = uint64_to_int8(entry->index, "log index");
	values[LOG_TERM - 1] = uint64_to_int8(entry->term, "term");
	values[LOG_ENTRY - 1] = datum;
	tuple = heap_form_tuple(RelationGetDescr(log->heap), values, isnull);
	row_insert(log->heap, &log->indexes, tuple, values, isnull);
	heap_freetuple(tuple);
	pfree(DatumGetPointer(datum));
}

void
log_table_append(const OpenTables *tables, uint64 region_id,
				 const RaftEntry *entries, int n)
{
	Arena arena;

	arena_init(&arena);
	PG_TRY();
	{
		for (int i = 0; i < n; i++)
		{
			append_one(&tables->raft_log, region_id, &entries[i],
					   raft_entry_encode(&entries[i], &arena));
			arena_reset(&arena);
		}
	}
	PG_FINALLY();
	{
		arena_free(&arena);
	}
	PG_END_TRY();
}

int
log_table_delete(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
				 uint64 from, uint64 to, int max)
{
	int room = Min(max, 1024);
	ItemPointerData *tids = palloc((Size) room * sizeof(ItemPointerData));
	LogScan scan;
	int n = 0;

	if (from < to)
	{
		log_scan_begin(&scan, tables, snapshot, region_id, from, to,
					   ForwardScanDirection);
		while (n < max && log_scan_next(&scan))
		{
			if (n == room)
			{
				room = Min(max, 2 * room);
				tids =
					repalloc_huge(tids, (Size) room * sizeof(ItemPointerData));
			}
			tids[n++] = scan.slot->tts_tid;
		}
		log_scan_end(&scan);
	}
	for (int i = 0; i < n; i++)
		row_delete(tables->raft_log.heap, &tids[i]);
	pfree(tids);
	return n;
}
