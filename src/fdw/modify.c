/*
 * modify.c
 *	  INSERT, UPDATE, DELETE and COPY.
 *
 * An insert of a key that exists is refused by the store, so two sessions
 * never both succeed.  Updates and deletes are gathered (write_buffer.c), since
 * every write is a commit of the store.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/allow.h"
#include "fdw/fdw.h"
#include "fdw/insert_queue.h"
#include "fdw/write_buffer.h"

typedef struct ModifyState
{
	TableMap *map;
	const KvAccess *kv;
	ValueCodec *codec;
	Oid user;
	bool do_nothing;
	AttrNumber *old_keys; /* junk columns of the old key's parts */
	AttrNumber old_row;	  /* of the whole row, for RETURNING; 0: none */
	WriteBuffer *buffer;
	bool gathers; /* may what is written wait until the end? */
	bool inserts_only;
	bool has_written;	/* at least tried */
	InsertQueue *queue; /* of inserts that may, too; NULL: they may not */
	MemoryContext row;
	KvCounters counters;
} ModifyState;

/* ---------------------------------------------------------------- planning */

/*
 * The name of the junk column with a part of the old key.  Partitions share it
 * if the columns are the same in all that Postgres compares.
 */
static char *
old_key_name(const TableMap *map, int i)
{
	Form_pg_attribute att = TupleDescAttr(map->desc, map->keys[i].attnum - 1);

	return psprintf("tikv_key_%d_%d_%u_%d_%u", i + 1, att->attnum,
					att->atttypid, att->atttypmod, att->attcollation);
}

/* The row is known by its key. */
void
tikvAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
							RangeTblEntry *target_rte, Relation target_relation)
{
	TableMap *map = table_map(target_relation);

	(void) target_rte;
	for (int i = 0; i < map->n_keys; i++)
	{
		Form_pg_attribute att =
			TupleDescAttr(map->desc, map->keys[i].attnum - 1);
		Var *var = makeVar((int) rtindex, map->keys[i].attnum, att->atttypid,
						   att->atttypmod, att->attcollation, 0);

		add_row_identity_var(root, var, rtindex, old_key_name(map, i));
	}

	/* What RETURNING shows of a row that is deleted, named as Postgres does
	 * where it wants it; updates have it anyway. */
	if (root->parse->commandType == CMD_DELETE &&
		root->parse->returningList != NIL)
		add_row_identity_var(root,
							 makeVar((int) rtindex, InvalidAttrNumber,
									 RECORDOID, -1, InvalidOid, 0),
							 rtindex, "wholerow");
}

static void
check_conflict_action(OnConflictAction action)
{
	if (action != ONCONFLICT_NONE && action != ONCONFLICT_NOTHING)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "ON CONFLICT DO UPDATE is not supported for foreign tables")));
}

List *
tikvPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
					  Index resultRelation, int subplan_index)
{
	(void) root;
	(void) resultRelation;
	(void) subplan_index;
	check_conflict_action(plan->onConflictAction);
	return list_make1(makeBoolean(plan->onConflictAction ==
								  ONCONFLICT_NOTHING));
}

int
tikvIsForeignRelUpdatable(Relation rel)
{
	return table_map(rel)->updatable ?
		(1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE) :
		0;
}

/* ------------------------------------------------------------------- begin */

/* Who is it that writes: the caller, or the owner of a view. */
static Oid
writing_user(EState *estate, ResultRelInfo *rinfo)
{
	Index index = rinfo->ri_RangeTableIndex;
	Oid user = InvalidOid;

	if (index == 0 && rinfo->ri_RootResultRelInfo != NULL)
		index = rinfo->ri_RootResultRelInfo->ri_RangeTableIndex;
#if PG_VERSION_NUM >= 160000
	(void) estate;
	user = index == 0 ? InvalidOid : ExecGetResultRelCheckAsUser(rinfo, estate);
#else
	if (index != 0)
		user = exec_rt_fetch(index, estate)->checkAsUser;
#endif
	return OidIsValid(user) ? user : GetUserId();
}

/* Who looks behind a row would read what has not been written yet. */
static bool
is_looked_at(const ResultRelInfo *rinfo, CmdType operation)
{
	return rinfo != NULL && triggers_look_behind(rinfo->ri_TrigDesc, operation);
}

static bool
has_insert_triggers(const ResultRelInfo *rinfo)
{
	const TriggerDesc *triggers = rinfo == NULL ? NULL : rinfo->ri_TrigDesc;

	return triggers != NULL &&
		(triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
		 triggers->trig_insert_after_statement);
}

static ModifyState *
modify_begin(const ModifyTableState *mtstate, ResultRelInfo *rinfo,
			 bool do_nothing)
{
	EState *estate = mtstate->ps.state;
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	ModifyState *state = palloc0(sizeof(ModifyState));

	state->map = table_map(rinfo->ri_RelationDesc);
	state->kv = kv_access(state->map->mode);
	state->codec = value_codec_new(state->map);
	state->user = writing_user(estate, rinfo);
	state->do_nothing = do_nothing;
	state->inserts_only = mtstate->operation == CMD_INSERT;
	state->buffer = write_buffer_new(state->map, state->kv, &state->counters);
	state->gathers = !is_looked_at(rinfo, mtstate->operation) &&
		!is_looked_at(rinfo->ri_RootResultRelInfo, mtstate->operation);
	state->row = AllocSetContextCreate(estate->es_query_cxt, "tikv_fdw row",
									   ALLOCSET_DEFAULT_SIZES);
	rinfo->ri_FdwState = state;
	MemoryContextSwitchTo(caller);
	return state;
}

static void
find_old_keys(ModifyState *state, List *targetlist)
{
	state->old_keys = palloc(sizeof(AttrNumber) * state->map->n_keys);
	for (int i = 0; i < state->map->n_keys; i++)
	{
		state->old_keys[i] =
			ExecFindJunkAttributeInTlist(targetlist,
										 old_key_name(state->map, i));
		if (!AttributeNumberIsValid(state->old_keys[i]))
			elog(ERROR, "could not find junk column of key part %d", i + 1);
	}
	state->old_row = ExecFindJunkAttributeInTlist(targetlist, "wholerow");
}

void
tikvBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
					   List *fdw_private, int subplan_index, int eflags)
{
	ModifyState *state;

	(void) subplan_index;
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	state = modify_begin(mtstate, rinfo, boolVal(linitial(fdw_private)));
	if (mtstate->operation == CMD_UPDATE || mtstate->operation == CMD_DELETE)
		find_old_keys(state, outerPlanState(mtstate)->plan->targetlist);
}

/* COPY, and rows that are routed to a partition. */
void
tikvBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	OnConflictAction action =
		plan == NULL ? ONCONFLICT_NONE : plan->onConflictAction;

	check_conflict_action(action);
	if (rinfo->ri_FdwState != NULL)
		return;
	(void) modify_begin(mtstate, rinfo, action == ONCONFLICT_NOTHING);
}

/* -------------------------------------------------------------------- rows */

/* Memory for one call, kept until the next: the answer may lie in it. */
static MemoryContext
row_begin_context(ModifyState *state)
{
	MemoryContextReset(state->row);
	return MemoryContextSwitchTo(state->row);
}

static KvWrite
write_of_slot(ModifyState *state, TupleTableSlot *slot, Bytes old)
{
	KvWrite write;

	slot_getallattrs(slot);
	write.key = key_of_values(state->map, slot->tts_values, slot->tts_isnull);
	write.value =
		value_of_columns(state->codec, old, slot->tts_values, slot->tts_isnull);
	write.ttl_s = ttl_of_column(state->map, slot->tts_values, slot->tts_isnull);
	return write;
}

static Bytes
old_key(ModifyState *state, TupleTableSlot *plan_slot)
{
	const TableMap *map = state->map;
	Datum *values = palloc0(sizeof(Datum) * map->desc->natts);
	bool *nulls = palloc0(sizeof(bool) * map->desc->natts);

	for (int i = 0; i < map->n_keys; i++)
	{
		int a = map->keys[i].attnum - 1;

		values[a] =
			ExecGetJunkAttribute(plan_slot, state->old_keys[i], &nulls[a]);
	}
	return key_of_values(map, values, nulls);
}

/* ------------------------------------------------------------------ inserts */

/* Insert all; which were not since their key exists, is flagged. */
static void
insert_writes(ModifyState *state, const KvWrite *writes, int n, bool *existed)
{
	KvWrite *distinct = palloc(sizeof(KvWrite) * n);
	bool *met = palloc(sizeof(bool) * n);
	int n_distinct = 0;
	int n_repeated = insert_flag_repeated(writes, n, existed);

	for (int i = 0; i < n; i++)
	{
		allow_keys(state->user, GRANT_WRITE, &writes[i].key, 1);
		if (existed[i] && !state->do_nothing)
			insert_refuse(state->map, writes[i].key);
		if (!existed[i])
			distinct[n_distinct++] = writes[i];
	}
	Assert(n_distinct == n - n_repeated);
	(void) n_repeated;
	(void) state->kv->insert(distinct, n_distinct, !state->do_nothing, met,
							 &state->counters);
	n_distinct = 0;
	for (int i = 0; i < n; i++)
	{
		if (existed[i])
			continue;
		existed[i] = met[n_distinct++];
		if (existed[i] && !state->do_nothing)
			insert_refuse(state->map, writes[i].key);
	}
}

/*
 * May a row that is inserted be known to exist a little later?  Nobody must ask
 * for it before the statement ends, or want to know which rows existed.
 */
static bool
may_queue(const ModifyState *state, const ResultRelInfo *rinfo)
{
	return state->inserts_only && !state->do_nothing &&
		state->kv->ahead_new != NULL && state->map->batch_size > 1 &&
		rinfo->ri_projectReturning == NULL &&
		rinfo->ri_WithCheckOptions == NIL && !has_insert_triggers(rinfo) &&
		!has_insert_triggers(rinfo->ri_RootResultRelInfo);
}

/* Only now: what a statement returns or checks is told after its begin. */
static void
first_write(ModifyState *state, const EState *estate,
			const ResultRelInfo *rinfo)
{
	MemoryContext caller;

	if (state->has_written)
		return;
	scans_read_ahead(estate);
	state->has_written = true;
	caller = MemoryContextSwitchTo(estate->es_query_cxt);
	if (may_queue(state, rinfo))
		state->queue =
			insert_queue_new(state->map, state->kv, &state->counters);
	MemoryContextSwitchTo(caller);
}

/* All are taken for inserted: who comes here does not ask which are. */
static TupleTableSlot **
queue_rows(ModifyState *state, TupleTableSlot **slots, int n)
{
	for (int i = 0; i < n; i++)
	{
		MemoryContext caller = row_begin_context(state);
		KvWrite write = write_of_slot(state, slots[i], bytes_empty());

		allow_keys(state->user, GRANT_WRITE, &write.key, 1);
		insert_queue_add(state->queue, &write);
		MemoryContextSwitchTo(caller);
	}
	return slots;
}

TupleTableSlot **
tikvExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo,
						   TupleTableSlot **slots, TupleTableSlot **plan_slots,
						   int *n_slots)
{
	ModifyState *state = rinfo->ri_FdwState;
	MemoryContext caller;
	KvWrite *writes;
	bool *existed;
	TupleTableSlot **inserted;
	int n = 0;

	(void) plan_slots;
	first_write(state, estate, rinfo);
	if (state->queue != NULL)
		return queue_rows(state, slots, *n_slots);
	caller = row_begin_context(state);
	writes = palloc(sizeof(KvWrite) * *n_slots);
	existed = palloc(sizeof(bool) * *n_slots);
	inserted = palloc(sizeof(TupleTableSlot *) * *n_slots);
	for (int i = 0; i < *n_slots; i++)
		writes[i] = write_of_slot(state, slots[i], bytes_empty());
	write_buffer_flush(state->buffer);
	insert_writes(state, writes, *n_slots, existed);
	for (int i = 0; i < *n_slots; i++)
		if (!existed[i])
			inserted[n++] = slots[i];
	*n_slots = n;
	MemoryContextSwitchTo(caller);
	return inserted;
}

TupleTableSlot *
tikvExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
					  TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	int n = 1;

	(void) tikvExecForeignBatchInsert(estate, rinfo, &slot, &plan_slot, &n);
	return n == 1 ? slot : NULL;
}

/* One by one if something must happen between two rows. */
int
tikvGetForeignModifyBatchSize(ResultRelInfo *rinfo)
{
	const ModifyState *state = rinfo->ri_FdwState;
	const TriggerDesc *triggers = rinfo->ri_TrigDesc;

	if (rinfo->ri_projectReturning != NULL ||
		rinfo->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (triggers->trig_insert_before_row || triggers->trig_insert_after_row)))
		return 1;
	return state != NULL ? state->map->batch_size :
						   table_map(rinfo->ri_RelationDesc)->batch_size;
}

/* ------------------------------------------------------ updates, deletes */

/* What the key holds now; empty if it is gone. */
static Bytes
stored_value(ModifyState *state, Bytes key)
{
	KvPage *page;

	if (state->map->value_format != VALUE_FORMAT_JSONB)
		return bytes_empty();
	page = kv_page_new(CurrentMemoryContext);
	(void) state->kv->batch_get(&key, 1, page, &state->counters);
	return page->n == 0 ? bytes_empty() : kv_page_value(page, 0);
}

TupleTableSlot *
tikvExecForeignUpdate(EState *estate, ResultRelInfo *rinfo,
					  TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	ModifyState *state = rinfo->ri_FdwState;
	MemoryContext caller = row_begin_context(state);
	Bytes before = old_key(state, plan_slot);
	KvWrite write = write_of_slot(state, slot, stored_value(state, before));

	first_write(state, estate, rinfo);
	allow_keys(state->user, GRANT_WRITE, &before, 1);
	allow_keys(state->user, GRANT_WRITE, &write.key, 1);
	if (bytes_eq(before, write.key))
		write_buffer_put(state->buffer, &write);
	else
		write_buffer_move(state->buffer, before, &write);
	if (!state->gathers)
		write_buffer_end(state->buffer);
	MemoryContextSwitchTo(caller);
	return slot;
}

/* The row that was deleted, as the scan read it. */
static void
fill_deleted(ModifyState *state, TupleTableSlot *slot,
			 TupleTableSlot *plan_slot)
{
	HeapTupleData tuple = {0};
	bool null;
	Datum row = ExecGetJunkAttribute(plan_slot, state->old_row, &null);

	if (null)
		elog(ERROR, "wholerow is NULL");
	tuple.t_data = DatumGetHeapTupleHeader(row);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ExecClearTuple(slot);
	heap_deform_tuple(&tuple, slot->tts_tupleDescriptor, slot->tts_values,
					  slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

TupleTableSlot *
tikvExecForeignDelete(EState *estate, ResultRelInfo *rinfo,
					  TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	ModifyState *state = rinfo->ri_FdwState;
	MemoryContext caller = row_begin_context(state);
	Bytes key = old_key(state, plan_slot);

	first_write(state, estate, rinfo);
	allow_keys(state->user, GRANT_WRITE, &key, 1);
	write_buffer_delete(state->buffer, key);
	if (!state->gathers)
		write_buffer_end(state->buffer);
	MemoryContextSwitchTo(caller);
	if (state->old_row != 0 && rinfo->ri_projectReturning != NULL)
		fill_deleted(state, slot, plan_slot);
	return slot;
}

/* --------------------------------------------------------------------- end */

/* All that waits is written. */
static void
finish_writes(const ModifyState *state)
{
	if (state->queue != NULL)
		insert_queue_end(state->queue);
	write_buffer_end(state->buffer);
}

void
tikvEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	ModifyState *state = rinfo->ri_FdwState;

	(void) estate;
	if (state != NULL)
		finish_writes(state);
}

/* For EXPLAIN, which asks when the plan has run: all is written first. */
const KvCounters *
modify_counters(const ResultRelInfo *rinfo)
{
	const ModifyState *state = rinfo->ri_FdwState;

	if (state == NULL)
		return NULL;
	finish_writes(state);
	return &state->counters;
}
