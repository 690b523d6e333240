/*
 * raw_sweep.c
 *	  Finds rows that have expired, block by block.
 *
 * The table is read in the order of its blocks, which needs no index (one on
 * the expiry would cost every write of such a key its HOT update), through a
 * ring of buffers, so that it does not push out what others read.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/raw_row.h"

typedef struct Sweep
{
	Relation heap;
	Snapshot snapshot;
	BufferAccessStrategy strategy;
	int64 now_s;
	int64 earliest;
	HeapTuple expired[MaxHeapTuplesPerPage]; /* of one block, copies */
	int n_expired;
	MemoryContext block; /* reset for every block */
} Sweep;

static void
look_at_row(Sweep *sweep, HeapTuple tuple)
{
	bool isnull;
	int64 expires_at =
		DatumGetInt64(heap_getattr(tuple, RAW_EXPIRES_AT,
								   RelationGetDescr(sweep->heap), &isnull));

	if (expires_at == 0)
		return;
	if (expiry_passed(expires_at, sweep->now_s))
		sweep->expired[sweep->n_expired++] = heap_copytuple(tuple);
	else
		sweep->earliest = Min(sweep->earliest, expires_at);
}

/* The lock on a page is held for moments: rows are copied, not handled. */
static void
look_at_block(Sweep *sweep, BlockNumber number)
{
	Buffer buffer = ReadBufferExtended(sweep->heap, MAIN_FORKNUM, number,
									   RBM_NORMAL, sweep->strategy);
	Page page;

	heap_page_prune_opt(sweep->heap, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page);
		 i++)
	{
		ItemId item = PageGetItemId(page, i);
		HeapTupleData tuple;

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		tuple.t_tableOid = RelationGetRelid(sweep->heap);
		ItemPointerSet(&tuple.t_self, number, i);
		if (HeapTupleSatisfiesVisibility(&tuple, sweep->snapshot, buffer))
			look_at_row(sweep, &tuple);
	}
	UnlockReleaseBuffer(buffer);
}

/* Put the key of a row together and hand it out. */
static void
report_row(Sweep *sweep, HeapTuple tuple, TupleTableSlot *slot,
		   void (*found)(void *arg, RawCf cf, Bytes key), void *arg)
{
	Bytes prefix;
	Bytes rest;
	uint8 *key;

	ExecStoreHeapTuple(tuple, slot, false);
	prefix = raw_row_prefix(slot);
	rest = raw_row_rest(slot, sweep->block);
	key = palloc(prefix.len + rest.len + 1);
	if (prefix.len > 0)
		memcpy(key, prefix.data, prefix.len);
	if (rest.len > 0)
		memcpy(key + prefix.len, rest.data, rest.len);
	found(arg, raw_row_cf(slot), bytes_make(key, prefix.len + rest.len));
	ExecClearTuple(slot);
}

BlockNumber
raw_table_expired(const OpenTables *tables, Snapshot snapshot,
				  BlockNumber first, BlockNumber n, int64 now_s, int max,
				  void (*found)(void *arg, RawCf cf, Bytes key), void *arg,
				  int64 *earliest)
{
	Sweep *sweep = palloc0(sizeof(Sweep));
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(tables->raw.heap),
								 &TTSOpsHeapTuple);
	BlockNumber end = Min(first + n, raw_table_blocks(tables));
	BlockNumber at = first;
	MemoryContext caller;

	sweep->heap = tables->raw.heap;
	sweep->snapshot = snapshot;
	sweep->strategy = GetAccessStrategy(BAS_BULKREAD);
	sweep->now_s = now_s;
	sweep->earliest = PG_INT64_MAX;
	sweep->block = AllocSetContextCreate(CurrentMemoryContext, "raw sweep",
										 ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(sweep->block);
	for (int total = 0; at < end && total < max; at++)
	{
		CHECK_FOR_INTERRUPTS();
		sweep->n_expired = 0;
		look_at_block(sweep, at);
		for (int i = 0; i < sweep->n_expired; i++)
			report_row(sweep, sweep->expired[i], slot, found, arg);
		total += sweep->n_expired;
		MemoryContextReset(sweep->block);
	}
	MemoryContextSwitchTo(caller);
	*earliest = sweep->earliest;
	MemoryContextDelete(sweep->block);
	FreeAccessStrategy(sweep->strategy);
	ExecDropSingleTupleTableSlot(slot);
	pfree(sweep);
	return at - first;
}

Oid
raw_table_file(const OpenTables *tables)
{
#if PG_VERSION_NUM >= 160000
	return tables->raw.heap->rd_locator.relNumber;
#else
	return tables->raw.heap->rd_node.relNode;
#endif
}

BlockNumber
raw_table_blocks(const OpenTables *tables)
{
	return RelationGetNumberOfBlocks(tables->raw.heap);
}
