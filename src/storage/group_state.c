/*
 * group_state.c
 *	  How far each Raft group has come: tikv_internal.raft_state.
 *
 * One row per group, rewritten by every turn that writes.  It is updated in
 * place (HOT) and found by its remembered TID, so that a writing turn pays
 * neither an index lookup nor an index entry for it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "bus/versions.h"
#include "storage/row.h"
#include "storage/small_table.h"
#include "storage/state_table.h"
#include "storage/uint_datum.h"

/* Columns of raft_state, from 1 on. */
enum
{
	STATE_REGION_ID = 1,
	STATE_TERM,
	STATE_VOTE,
	STATE_COMMIT_INDEX,
	STATE_APPLIED_INDEX,
	STATE_APPLIED_TERM,
	STATE_TRUNCATED_INDEX,
	STATE_TRUNCATED_TERM,
	STATE_APPROXIMATE_SIZE,
	STATE_APPROXIMATE_KEYS,
	STATE_COLUMNS = STATE_APPROXIMATE_KEYS
};

static uint64
column(TupleTableSlot *slot, AttrNumber number)
{
	bool isnull;
	Datum value = slot_getattr(slot, number, &isnull);

	Assert(!isnull);
	return (uint64) DatumGetInt64(value);
}

static HeapTuple
form_row(Relation rel, const GroupState *state, Datum *values, bool *isnull)
{
	memset(isnull, 0, STATE_COLUMNS * sizeof(bool));
	values[STATE_REGION_ID - 1] = uint64_to_int8(state->region_id, "region id");
	values[STATE_TERM - 1] = uint64_to_int8(state->term, "term");
	values[STATE_VOTE - 1] = uint64_to_int8(state->vote, "vote");
	values[STATE_COMMIT_INDEX - 1] =
		uint64_to_int8(state->commit_index, "commit index");
	values[STATE_APPLIED_INDEX - 1] =
		uint64_to_int8(state->applied_index, "applied index");
	values[STATE_APPLIED_TERM - 1] =
		uint64_to_int8(state->applied_term, "applied term");
	values[STATE_TRUNCATED_INDEX - 1] =
		uint64_to_int8(state->truncated_index, "truncated index");
	values[STATE_TRUNCATED_TERM - 1] =
		uint64_to_int8(state->truncated_term, "truncated term");
	values[STATE_APPROXIMATE_SIZE - 1] = Int64GetDatum(state->approximate_size);
	values[STATE_APPROXIMATE_KEYS - 1] = Int64GetDatum(state->approximate_keys);
	return heap_form_tuple(RelationGetDescr(rel), values, isnull);
}

static void
read_row(TupleTableSlot *slot, GroupState *out)
{
	out->region_id = column(slot, STATE_REGION_ID);
	out->term = column(slot, STATE_TERM);
	out->vote = column(slot, STATE_VOTE);
	out->commit_index = column(slot, STATE_COMMIT_INDEX);
	out->applied_index = column(slot, STATE_APPLIED_INDEX);
	out->applied_term = column(slot, STATE_APPLIED_TERM);
	out->truncated_index = column(slot, STATE_TRUNCATED_INDEX);
	out->truncated_term = column(slot, STATE_TRUNCATED_TERM);
	out->approximate_size = (int64) column(slot, STATE_APPROXIMATE_SIZE);
	out->approximate_keys = (int64) column(slot, STATE_APPROXIMATE_KEYS);
	out->place = slot->tts_tid;
}

/* A group's row as it is committed now. */
bool
group_state_load(uint64 region_id, GroupState *out)
{
	Relation rel = table_open_small("raft_state", NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	SmallScan small;
	HeapTuple tuple;
	bool found;

	small_scan_begin_id(&small, rel, uint64_to_int8(region_id, "region id"));
	tuple = small_scan_next(&small, NULL, NULL);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		ExecForceStoreHeapTuple(tuple, slot, false);
		read_row(slot, out);
		out->place = tuple->t_self;
	}
	small_scan_end(&small);
	ExecDropSingleTupleTableSlot(slot);
	table_close_small(rel, NULL);
	return found;
}

/* The new row's place is in state->place. */
void
group_state_insert(GroupState *state)
{
	TableIndexes indexes;
	Relation rel = table_open_small("raft_state", &indexes);
	Datum values[STATE_COLUMNS];
	bool isnull[STATE_COLUMNS];
	HeapTuple tuple = form_row(rel, state, values, isnull);

	row_insert(rel, &indexes, tuple, values, isnull);
	state->place = tuple->t_self;
	heap_freetuple(tuple);
	CommandCounterIncrement();
	table_close_small(rel, &indexes);
}

void
group_state_remove(uint64 region_id)
{
	small_table_remove("raft_state", uint64_to_int8(region_id, "region id"));
}

/* The remembered row may have been moved by VACUUM FULL: ask the index. */
static bool
find_by_index(const OpenTables *tables, Snapshot snapshot, uint64 region_id,
			  TupleTableSlot *slot)
{
	ScanKeyData key;
	IndexScanDesc scan;
	bool found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				uint64_to_int8(region_id, "region id"));
	scan = index_beginscan(tables->raft_state.heap, tables->raft_state.index,
						   snapshot, 1, 0);
	index_rescan(scan, &key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	return found;
}

static void
find_current(const OpenTables *tables, Snapshot snapshot, GroupState *state)
{
	TupleTableSlot *slot = table_slot_create(tables->raft_state.heap, NULL);
	BlockNumber nblocks = 0;
	bool found;

	found = ItemPointerIsValid(&state->place) &&
		row_fetch(tables->raft_state.heap, &nblocks, &state->place, 0, snapshot,
				  true, slot) == ROW_FOUND &&
		column(slot, STATE_REGION_ID) == state->region_id;
	if (!found)
		found = find_by_index(tables, snapshot, state->region_id, slot);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("region " UINT64_FORMAT " has no Raft state",
						state->region_id)));
	state->place = slot->tts_tid;
	ExecDropSingleTupleTableSlot(slot);
}

void
group_state_update(const OpenTables *tables, Snapshot snapshot,
				   GroupState *state)
{
	Datum values[STATE_COLUMNS];
	bool isnull[STATE_COLUMNS];
	HeapTuple tuple;

	find_current(tables, snapshot, state);
	tuple = form_row(tables->raft_state.heap, state, values, isnull);
	row_update(tables->raft_state.heap, &tables->raft_state.indexes,
			   &state->place, tuple, values, isnull);
	state->place = tuple->t_self;
	heap_freetuple(tuple);
}
