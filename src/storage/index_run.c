/*
 * index_run.c
 *	  Index entries of rows that are inserted together.
 *
 * Postgres descends from the root for every entry, and compares it with a
 * dozen others on the way.  Rows that are inserted in the order of their keys
 * mostly go into one leaf, each behind the other: so a leaf that was found is
 * kept while the next entry belongs there, too, and three comparisons say so.
 *
 * What is done here is only what the btree does when an entry fits: it is added
 * to the page, and logged as the btree logs it (XLOG_BTREE_INSERT_LEAF), so
 * recovery and standbys see nothing new.  Whatever else may be needed is left
 * to the btree itself: to make room, to split, to take posting lists apart.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/nbtxlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

#include "storage/index_run.h"

typedef struct Run
{
	Relation heap;
	Relation index;
	BTScanInsert key;  /* of the entry at hand */
	Buffer leaf;	   /* locked; invalid: none is known */
	OffsetNumber last; /* of the entry before in the leaf; invalid: none is */
} Run;

void
index_columns(Relation index, const Datum *values, const bool *isnull,
			  Datum *index_values, bool *index_isnull)
{
	Form_pg_index form = index->rd_index;

	for (int k = 0; k < form->indnatts; k++)
	{
		AttrNumber column = form->indkey.values[k];

		index_values[k] = values[column - 1];
		index_isnull[k] = isnull[column - 1];
	}
}

/* Whether a unique one has the key must be looked up from its first version. */
bool
index_takes_runs(Relation index)
{
	return index->rd_rel->relam == BTREE_AM_OID &&
		!index->rd_index->indisunique;
}

/* ---------------------------------------------------------------- the leaf */

static void
leave_leaf(Run *run)
{
	if (BufferIsValid(run->leaf))
		_bt_relbuf(run->index, run->leaf);
	run->leaf = InvalidBuffer;
	run->last = InvalidOffsetNumber;
}

/* The only leaf where the entry may be: heap TIDs are part of what is sought. */
static void
find_leaf(Run *run)
{
	BTStack path;

	leave_leaf(run);
#if PG_VERSION_NUM >= 170000
	path = _bt_search(run->index, run->heap, run->key, &run->leaf, BT_WRITE);
#elif PG_VERSION_NUM >= 160000
	path =
		_bt_search(run->index, run->heap, run->key, &run->leaf, BT_WRITE, NULL);
#else
	path = _bt_search(run->index, run->key, &run->leaf, BT_WRITE, NULL);
#endif
	_bt_freestack(path);
	CheckForSerializableConflictIn(run->index, NULL,
								   BufferGetBlockNumber(run->leaf));
}

/* Is the entry below the end of the leaf, and is there room as it is? */
static bool
leaf_takes(const Run *run, Size size)
{
	Page page = BufferGetPage(run->leaf);
	BTPageOpaque opaque = (BTPageOpaque) PageGetSpecialPointer(page);

	return P_ISLEAF(opaque) && !P_IGNORE(opaque) &&
		!P_INCOMPLETE_SPLIT(opaque) && PageGetFreeSpace(page) >= size &&
		(P_RIGHTMOST(opaque) ||
		 _bt_compare(run->index, run->key, page, P_HIKEY) <= 0);
}

/* The place in a leaf that was searched for, or invalid. */
static OffsetNumber
place_by_search(const Run *run, IndexTuple entry, Size size)
{
	BTInsertStateData state = {
		.itup = entry,
		.itemsz = size,
		.itup_key = run->key,
		.buf = run->leaf,
	};
	OffsetNumber place = _bt_binsrch_insert(run->index, &state);

	/* Amid a posting list: that must be taken apart. */
	return state.postingoff == 0 ? place : InvalidOffsetNumber;
}

/* The place behind the entry before, if it is this one's, or invalid. */
static OffsetNumber
place_behind_last(const Run *run)
{
	Page page = BufferGetPage(run->leaf);
	OffsetNumber place = OffsetNumberNext(run->last);

	if (_bt_compare(run->index, run->key, page, run->last) > 0 &&
		(place > PageGetMaxOffsetNumber(page) ||
		 _bt_compare(run->index, run->key, page, place) < 0))
		return place;
	return InvalidOffsetNumber;
}

static void
add_entry(Run *run, IndexTuple entry, Size size, OffsetNumber place)
{
	Page page = BufferGetPage(run->leaf);

	START_CRIT_SECTION();
	if (PageAddItem(page, (Item) entry, size, place, false, false) ==
		InvalidOffsetNumber)
		elog(PANIC, "could not add an entry to a page of index \"%s\"",
			 RelationGetRelationName(run->index));
	MarkBufferDirty(run->leaf);
	if (RelationNeedsWAL(run->index))
	{
		xl_btree_insert record = {.offnum = place};
		XLogRecPtr end;

		XLogBeginInsert();
		XLogRegisterData((char *) &record, SizeOfBtreeInsert);
		XLogRegisterBuffer(0, run->leaf, REGBUF_STANDARD);
		XLogRegisterBufData(0, (char *) entry, IndexTupleSize(entry));
		end = XLogInsert(RM_BTREE_ID, XLOG_BTREE_INSERT_LEAF);
		PageSetLSN(page, end);
	}
	END_CRIT_SECTION();
	run->last = place;
}

/* False: not into this leaf, or not so simply. */
static bool
add_to_leaf(Run *run, IndexTuple entry)
{
	Size size = MAXALIGN(IndexTupleSize(entry));
	OffsetNumber place;

	if (!BufferIsValid(run->leaf) || !leaf_takes(run, size))
		return false;
	if (OffsetNumberIsValid(run->last))
		place = place_behind_last(run);
	else
		place = place_by_search(run, entry, size);
	if (!OffsetNumberIsValid(place))
		return false;
	add_entry(run, entry, size, place);
	return true;
}

/* ----------------------------------------------------------------- the run */

/*
 * The first entry's key, which the others change.  None of them has a NULL,
 * which the key would not forget.
 */
static void
set_key(Run *run, IndexTuple entry, const Datum *values)
{
	if (run->key == NULL)
		run->key = _bt_mkscankey(run->index, entry);
	for (int k = 0; k < run->key->keysz; k++)
		run->key->scankeys[k].sk_argument = values[k];
	run->key->scantid = &entry->t_tid;
}

/* False: it is left to the btree, which may have to refuse it. */
static bool
add_entry_simply(Run *run, IndexTuple entry, const Datum *values)
{
	if (IndexTupleHasNulls(entry) || IndexTupleSize(entry) > BLCKSZ / 4)
		return false;
	set_key(run, entry, values);
	/* An index of long ago is not in the order of heap TIDs. */
	if (!run->key->heapkeyspace)
		return false;
	if (add_to_leaf(run, entry))
		return true;
	find_leaf(run);
	return add_to_leaf(run, entry);
}

static void
insert_entry(Run *run, ItemPointer tid, Datum *values, bool *isnull)
{
	IndexTuple entry =
		index_form_tuple(RelationGetDescr(run->index), values, isnull);

	entry->t_tid = *tid;
	if (add_entry_simply(run, entry, values))
		return;
	leave_leaf(run);
	(void) index_insert(run->index, values, isnull, tid, run->heap,
						UNIQUE_CHECK_NO, false, NULL);
}

void
index_insert_runs(Relation heap, Relation index, TupleTableSlot **slots, int n,
				  const Datum *values, const bool *isnull)
{
	int columns = RelationGetNumberOfAttributes(heap);
	Run run = {.heap = heap, .index = index, .leaf = InvalidBuffer};
	Datum index_values[INDEX_MAX_KEYS];
	bool index_isnull[INDEX_MAX_KEYS];

	Assert(index_takes_runs(index));
	for (int i = 0; i < n; i++)
	{
		index_columns(index, values + i * columns, isnull + i * columns,
					  index_values, index_isnull);
		insert_entry(&run, &slots[i]->tts_tid, index_values, index_isnull);
	}
	leave_leaf(&run);
}
