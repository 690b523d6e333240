/*
 * row.c
 *	  Rows by address: fetch a remembered one, write a new version.
 *
 * The heap is used below the table access method interface, as the catalogs
 * use it: no slots are formed for what is written, and a conflict is an error
 * rather than a thing to follow.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "bus/failpoints.h"
#include "storage/index_run.h"
#include "storage/low_rooms.h"
#include "storage/row.h"

bool
row_find_item(Relation heap, Buffer buffer, const ItemPointerData *tid,
			  HeapTuple tuple)
{
	Page page = BufferGetPage(buffer);
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	ItemId item;

	if (offset < FirstOffsetNumber || offset > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return false;
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(heap);
	tuple->t_self = *tid;
	return true;
}

/* A version of a row: where it is, and who made it (invalid: anybody). */
typedef struct Version
{
	ItemPointerData tid;
	TransactionId xmin;
} Version;

/* The version that replaced this one; false if none is known. */
static bool
find_successor(HeapTuple tuple, Version *next)
{
	HeapTupleHeader header = tuple->t_data;

	if ((header->t_infomask & HEAP_XMAX_INVALID) != 0 ||
		ItemPointerEquals(&tuple->t_self, &header->t_ctid) ||
		HeapTupleHeaderIndicatesMovedPartitions(header) ||
		HeapTupleHeaderIsOnlyLocked(header))
		return false;
	next->tid = header->t_ctid;
	next->xmin = HeapTupleHeaderGetUpdateXid(header);
	return true;
}

/* Fetch one version; if it is invisible, *next is its successor, if any. */
static RowFetch
fetch_version(Relation heap, BlockNumber *nblocks, Version *version,
			  Snapshot snapshot, bool prune, TupleTableSlot *slot,
			  Version *next)
{
	HeapTuple tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(&version->tid);
	Buffer buffer;
	RowFetch result = ROW_ABSENT;

	ItemPointerSetInvalid(&next->tid);
	/* Tables only grow while we hold a lock on them. */
	if (block >= *nblocks)
	{
		*nblocks = RelationGetNumberOfBlocks(heap);
		if (block >= *nblocks)
			return ROW_ABSENT;
	}
	buffer = ReadBuffer(heap, block);
	if (prune)
		heap_page_prune_opt(heap, buffer);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
#if PG_VERSION_NUM < 170000
	TestForOldSnapshot(snapshot, heap, BufferGetPage(buffer));
#endif
	/* A place freed and used again holds a row made by somebody else. */
	if (row_find_item(heap, buffer, &version->tid, tuple) &&
		(!TransactionIdIsValid(version->xmin) ||
		 version->xmin == HeapTupleHeaderGetXmin(tuple->t_data)))
		result = HeapTupleSatisfiesVisibility(tuple, snapshot, buffer) ?
			ROW_FOUND :
			ROW_INVISIBLE;
	if (result == ROW_INVISIBLE && !find_successor(tuple, next))
		ItemPointerSetInvalid(&next->tid);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (result == ROW_FOUND)
		ExecStorePinnedBufferHeapTuple(tuple, slot, buffer);
	else
		ReleaseBuffer(buffer);
	return result;
}

RowFetch
row_fetch(Relation heap, BlockNumber *nblocks, const ItemPointerData *tid,
		  int follow, Snapshot snapshot, bool prune, TupleTableSlot *slot)
{
	Version version = {*tid, InvalidTransactionId};
	Version next;
	RowFetch first;
	RowFetch result;

	ExecClearTuple(slot);
	first = result =
		fetch_version(heap, nblocks, &version, snapshot, prune, slot, &next);
	while (result == ROW_INVISIBLE && follow-- > 0 &&
		   ItemPointerIsValid(&next.tid))
	{
		version = next;
		result = fetch_version(heap, nblocks, &version, snapshot, prune, slot,
							   &next);
	}
	return result == ROW_FOUND ? ROW_FOUND : first;
}

/*
 * Enter a row into an index.  `unchanged` says that the entry only follows
 * its row to another page: the btree then looks for dead duplicates before it
 * splits a page.  Nor is such an entry checked for uniqueness, which it cannot
 * break, while the check walks all dead versions that an old snapshot keeps.
 */
static void
enter_index(Relation heap, Relation index, ItemPointer tid, const Datum *values,
			const bool *isnull, bool unchanged)
{
	Datum index_values[INDEX_MAX_KEYS];
	bool index_isnull[INDEX_MAX_KEYS];

	index_columns(index, values, isnull, index_values, index_isnull);

	/* btree does not look at an IndexInfo, so none is built. */
	(void) index_insert(index, index_values, index_isnull, tid, heap,
						index->rd_index->indisunique && !unchanged ?
							UNIQUE_CHECK_YES :
							UNIQUE_CHECK_NO,
						unchanged, NULL);
}

static void
enter_row(Relation heap, const TableIndexes *indexes, ItemPointer tid,
		  const Datum *values, const bool *isnull, bool unchanged)
{
	for (int i = 0; i < indexes->n; i++)
		enter_index(heap, indexes->rels[i], tid, values, isnull, unchanged);
}

/* Say why a row could not be written, and end the transaction. */
static void
refuse_row(Relation heap, TM_Result result)
{
	switch (result)
	{
		case TM_Ok:
			return;
		case TM_BeingModified:
		case TM_WouldBlock:
			ereport(
				ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg(
					 "a row of table \"%s\" is locked by another transaction",
					 RelationGetRelationName(heap)),
				 errhint(
					 "Tables of tikv_fdw must not be locked or written by users.")));
			break;
		case TM_SelfModified:
			elog(ERROR, "a row of table \"%s\" was written twice in one turn",
				 RelationGetRelationName(heap));
			break;
		default:
			elog(ERROR, "a row of table \"%s\" was changed by another writer",
				 RelationGetRelationName(heap));
	}
}

/* The table may have to grow. */
static void
before_insert(void)
{
	FAILPOINT_DISK_FULL("storage_extend");
}

void
row_insert(Relation heap, const TableIndexes *indexes, HeapTuple tuple,
		   const Datum *values, const bool *isnull)
{
	before_insert();
	(void) low_rooms_aim(heap, tuple->t_len);
	heap_insert(heap, tuple, GetCurrentCommandId(true), 0, NULL);
	enter_row(heap, indexes, &tuple->t_self, values, isnull, false);
}

static Size
slot_length(void *arg, int i)
{
	TupleTableSlot **slots = arg;

	return ((HeapTupleTableSlot *) slots[i])->tuple->t_len;
}

void
row_insert_many(Relation heap, const TableIndexes *indexes,
				TupleTableSlot **slots, int n, const Datum *values,
				const bool *isnull)
{
	int columns = RelationGetNumberOfAttributes(heap);

	before_insert();
	for (int done = 0, some; done < n; done += some)
	{
		some = low_rooms_aim_many(heap, n - done, slot_length, slots + done);
		heap_multi_insert(heap, slots + done, some, GetCurrentCommandId(true),
						  0, NULL);
	}
	for (int i = 0; i < indexes->n; i++)
	{
		Relation index = indexes->rels[i];

		if (index_takes_runs(index))
			index_insert_runs(heap, index, slots, n, values, isnull);
		else
			for (int row = 0; row < n; row++)
				enter_index(heap, index, &slots[row]->tts_tid,
							values + row * columns, isnull + row * columns,
							false);
	}
}

void
row_update(Relation heap, const TableIndexes *indexes, ItemPointer otid,
		   HeapTuple tuple, const Datum *values, const bool *isnull)
{
	TM_FailureData failure;
	LockTupleMode lockmode;
	TM_Result result;
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes entries;
#endif

	low_rooms_aim_update(heap, otid, tuple->t_len);
#if PG_VERSION_NUM >= 160000
	result = heap_update(heap, otid, tuple, GetCurrentCommandId(true),
						 InvalidSnapshot, false, &failure, &lockmode, &entries);
#else
	result = heap_update(heap, otid, tuple, GetCurrentCommandId(true),
						 InvalidSnapshot, false, &failure, &lockmode);
#endif
	refuse_row(heap, result);
	if (!HeapTupleIsHeapOnly(tuple))
		enter_row(heap, indexes, &tuple->t_self, values, isnull, true);
}

void
row_delete(Relation heap, ItemPointer tid)
{
	TM_FailureData failure;

	refuse_row(heap,
			   heap_delete(heap, tid, GetCurrentCommandId(true),
						   InvalidSnapshot, false, &failure, false));
}

bool
row_move(Relation heap, const TableIndexes *indexes, ItemPointer otid,
		 HeapTuple tuple, const Datum *values, const bool *isnull)
{
	TM_FailureData failure;

	if (heap_delete(heap, otid, GetCurrentCommandId(true), InvalidSnapshot,
					false, &failure, false) != TM_Ok)
		return false;
	heap_insert(heap, tuple, GetCurrentCommandId(true), 0, NULL);
	enter_row(heap, indexes, &tuple->t_self, values, isnull, true);
	return true;
}

Bytes
row_copy_bytea(Datum datum)
{
	bytea *copy = DatumGetByteaPCopy(datum);

	return bytes_make(VARDATA(copy), VARSIZE(copy) - VARHDRSZ);
}
