/*
 * lookup_scan.c
 *	  Execution of joins that get the keys of a foreign table in batches.
 *
 * Rows of the other side are gathered, their keys got with one request, and
 * the joined rows handed out in the order of the other side.  Batches begin
 * small, for a LIMIT above.
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "fdw/allow.h"
#include "fdw/lookup_join.h"

#define FIRST_BATCH 64
#define BATCH_GROWTH 4
#define NOT_FOUND (-1)

/* A row of the other side, and where what it looks for is in the page. */
typedef struct Lookup
{
	MinimalTuple row;
	Bytes key; /* NULL data: a part of it is NULL */
	int found;
} Lookup;

typedef struct LookupState
{
	CustomScanState css;
	TableMap *map;
	const KvAccess *kv;
	ValueCodec *codec;
	Oid user;
	bool is_left;

	int n_outer;
	int n_columns;
	AttrNumber *columns; /* of the table, in the order of the row */
	bool *wanted;
	bool wants_value;
	Datum *values; /* a row of the table */
	bool *nulls;

	ExprState **arguments; /* of the key columns */
	Oid *types;
	ExprState *match;

	MemoryContext batch;
	Lookup *lookups;
	int n;
	int at;
	int size; /* of the next batch */
	bool at_end;
	KvPage *page;
	TupleTableSlot *outer_slot;
	KvCounters counters;
} LookupState;

/* ------------------------------------------------------------------- begin */

static Node *create_state(CustomScan *scan);

const CustomScanMethods lookup_scan_methods = {
	.CustomName = "TikvLookupJoin",
	.CreateCustomScanState = create_state,
};

/* The table's place in the range table of the whole statement. */
static Index
table_index(const CustomScan *scan)
{
	int place = intVal(list_nth(scan->custom_private, LOOKUP_TABLE));
	int member = -1;

	while ((member = bms_next_member(scan->custom_relids, member)) >= 0 &&
		   place > 0)
		place--;
	return (Index) member;
}

static void
take_columns(LookupState *state, List *columns)
{
	ListCell *cell;

	state->n_columns = list_length(columns);
	state->columns = palloc(sizeof(AttrNumber) * Max(state->n_columns, 1));
	state->wanted = palloc0(sizeof(bool) * Max(state->map->desc->natts, 1));
	state->values = palloc0(sizeof(Datum) * Max(state->map->desc->natts, 1));
	state->nulls = palloc0(sizeof(bool) * Max(state->map->desc->natts, 1));
	foreach (cell, columns)
	{
		AttrNumber attnum = (AttrNumber) lfirst_int(cell);

		state->columns[foreach_current_index(cell)] = attnum;
		state->wanted[attnum - 1] = true;
		if (attnum != state->map->ttl && table_map_key(state->map, attnum) < 0)
			state->wants_value = true;
	}
}

static void
take_arguments(LookupState *state, List *arguments, List *match_quals)
{
	ListCell *cell;

	state->arguments = palloc(sizeof(ExprState *) * list_length(arguments));
	state->types = palloc(sizeof(Oid) * list_length(arguments));
	foreach (cell, arguments)
	{
		int i = foreach_current_index(cell);

		state->arguments[i] = ExecInitExpr(lfirst(cell), &state->css.ss.ps);
		state->types[i] = getBaseType(exprType(lfirst(cell)));
	}
	state->match = ExecInitQual(match_quals, &state->css.ss.ps);
}

static void
begin_lookup(CustomScanState *node, EState *estate, int eflags)
{
	LookupState *state = (LookupState *) node;
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
	Index table = table_index(scan);
	PlanState *outer =
		ExecInitNode(linitial(scan->custom_plans), estate, eflags);
	Oid user = exec_rt_fetch(table, estate)->checkAsUser;

	node->custom_ps = list_make1(outer);
	state->map = table_map(ExecGetRangeTableRelation(estate, table));
	state->kv = kv_access(state->map->mode);
	state->codec = value_codec_new(state->map);
	state->user = OidIsValid(user) ? user : GetUserId();
	state->n_outer = intVal(list_nth(scan->custom_private, LOOKUP_OUTER));
	state->is_left = boolVal(list_nth(scan->custom_private, LOOKUP_LEFT));
	take_columns(state, list_nth(scan->custom_private, LOOKUP_COLUMNS));
	take_arguments(state, list_nth(scan->custom_exprs, LOOKUP_ARGUMENTS),
				   list_nth(scan->custom_exprs, LOOKUP_JOIN_QUALS));
	state->batch = AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw batch",
										 ALLOCSET_DEFAULT_SIZES);
	state->page = kv_page_new(CurrentMemoryContext);
	state->page->wants_ttl =
		state->map->ttl != 0 && state->wanted[state->map->ttl - 1];
	state->size = FIRST_BATCH;
	state->outer_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outer),
											   &TTSOpsMinimalTuple);
}

/* ----------------------------------------------------------------- batches */

/* The row that expressions see, without the table's columns. */
static TupleTableSlot *
set_outer(LookupState *state, TupleTableSlot *outer)
{
	TupleTableSlot *row = state->css.ss.ss_ScanTupleSlot;

	slot_getallattrs(outer);
	ExecClearTuple(row);
	memcpy(row->tts_values, outer->tts_values,
		   sizeof(Datum) * (Size) state->n_outer);
	memcpy(row->tts_isnull, outer->tts_isnull,
		   sizeof(bool) * (Size) state->n_outer);
	memset(row->tts_isnull + state->n_outer, true,
		   sizeof(bool) * (Size) state->n_columns);
	ExecStoreVirtualTuple(row);
	state->css.ss.ps.ps_ExprContext->ecxt_scantuple = row;
	return row;
}

/* The key that a row names, in the batch's memory. */
static Bytes
key_of_row(LookupState *state, ExprContext *context)
{
	const TableMap *map = state->map;
	KeyPart parts[INDEX_MAX_KEYS] = {{0}};
	Bytes prefix =
		map->key_format == KEY_FORMAT_WHOLE ? bytes_empty() : map->prefix;
	Size len = prefix.len;
	uint8 *key;
	uint8 *p;

	for (int i = 0; i < map->n_keys; i++)
	{
		bool null;
		Datum value =
			ExecEvalExprSwitchContext(state->arguments[i], context, &null);

		if (null)
			return bytes_empty();
		key_part_of_datum(state->types[i], value, &parts[i]);
		len += key_part_len(map->keys[i].kind, &parts[i]);
	}
	p = key = MemoryContextAlloc(state->batch, len + 1);
	if (prefix.len > 0)
		memcpy(p, prefix.data, prefix.len);
	p += prefix.len;
	for (int i = 0; i < map->n_keys; i++)
		p = key_part_put(p, map->keys[i].kind, &parts[i]);
	return bytes_make(key, len);
}

static void
gather_rows(LookupState *state)
{
	PlanState *outer = linitial(state->css.custom_ps);
	ExprContext *context = state->css.ss.ps.ps_ExprContext;

	state->lookups =
		MemoryContextAlloc(state->batch, sizeof(Lookup) * state->size);
	while (state->n < state->size)
	{
		TupleTableSlot *slot = ExecProcNode(outer);
		Lookup *lookup = &state->lookups[state->n];
		MemoryContext caller;

		if (TupIsNull(slot))
		{
			state->at_end = true;
			break;
		}
		ResetExprContext(context);
		(void) set_outer(state, slot);
		caller = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
		lookup->key = key_of_row(state, context);
		MemoryContextSwitchTo(state->batch);
		lookup->row = ExecCopySlotMinimalTuple(slot);
		MemoryContextSwitchTo(caller);
		lookup->found = NOT_FOUND;
		state->n++;
	}
}

static int
compare_lookups(const void *a, const void *b)
{
	return bytes_cmp((*(Lookup *const *) a)->key, (*(Lookup *const *) b)->key);
}

/* Rows that name a key of the table, in the order of their keys. */
static int
sort_lookups(LookupState *state, Lookup **sorted)
{
	KvRange table = table_map_range(state->map);
	int n = 0;

	for (int i = 0; i < state->n; i++)
	{
		Bytes key = state->lookups[i].key;

		if (key.data != NULL && bytes_cmp(key, table.lower) >= 0 &&
			(table.upper.len == 0 || bytes_cmp(key, table.upper) < 0))
			sorted[n++] = &state->lookups[i];
	}
	qsort(sorted, n, sizeof(Lookup *), compare_lookups);
	return n;
}

/* Both are in the order of keys; what was not found is not in the page. */
static void
assign_found(const KvPage *page, Lookup **sorted, int n)
{
	int at = 0;

	for (int i = 0; i < n; i++)
	{
		while (at < page->n &&
			   bytes_cmp(kv_page_key(page, at), sorted[i]->key) < 0)
			at++;
		if (at < page->n && bytes_eq(kv_page_key(page, at), sorted[i]->key))
			sorted[i]->found = at;
	}
}

static void
get_batch(LookupState *state)
{
	MemoryContext caller = MemoryContextSwitchTo(state->batch);
	Lookup **sorted = palloc(sizeof(Lookup *) * Max(state->n, 1));
	Bytes *keys = palloc(sizeof(Bytes) * Max(state->n, 1));
	int n = sort_lookups(state, sorted);
	int n_keys = 0;

	for (int i = 0; i < n; i++)
		if (n_keys == 0 || !bytes_eq(keys[n_keys - 1], sorted[i]->key))
			keys[n_keys++] = sorted[i]->key;
	allow_keys(state->user, GRANT_READ, keys, n_keys);
	kv_page_clear(state->page);
	state->kv->batch_get(keys, n_keys, state->page, &state->counters);
	assign_found(state->page, sorted, n);
	MemoryContextSwitchTo(caller);
}

/* False if there are no more rows. */
static bool
next_batch(LookupState *state)
{
	if (state->at_end)
		return false;
	MemoryContextReset(state->batch);
	state->n = 0;
	state->at = 0;
	gather_rows(state);
	state->size = Min(state->size * BATCH_GROWTH, LOOKUP_BATCH);
	get_batch(state);
	return state->n > 0;
}

/* -------------------------------------------------------------------- rows */

/* Put what was found behind the other side's columns. */
static bool
set_inner(LookupState *state, TupleTableSlot *row, int found)
{
	const KvPage *page = state->page;
	ExprContext *context = state->css.ss.ps.ps_ExprContext;
	MemoryContext caller =
		MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
	bool is_row =
		pair_to_row(state->map, state->codec, kv_page_key(page, found),
					kv_page_value(page, found), page->pairs[found].expires_at,
					state->wanted, state->wants_value, state->values,
					state->nulls);

	MemoryContextSwitchTo(caller);
	for (int i = 0; is_row && i < state->n_columns; i++)
	{
		int a = state->columns[i] - 1;

		row->tts_values[state->n_outer + i] = state->values[a];
		row->tts_isnull[state->n_outer + i] = state->nulls[a];
	}
	return is_row;
}

static TupleTableSlot *
next_row(ScanState *node)
{
	LookupState *state = (LookupState *) node;
	ExprContext *context = node->ps.ps_ExprContext;

	for (;;)
	{
		const Lookup *lookup;
		TupleTableSlot *row;

		CHECK_FOR_INTERRUPTS();
		if (state->at == state->n && !next_batch(state))
			return ExecClearTuple(node->ss_ScanTupleSlot);
		lookup = &state->lookups[state->at++];
		if (lookup->found == NOT_FOUND && !state->is_left)
			continue;
		ExecStoreMinimalTuple(lookup->row, state->outer_slot, false);
		row = set_outer(state, state->outer_slot);
		if (lookup->found != NOT_FOUND &&
			set_inner(state, row, lookup->found) &&
			ExecQual(state->match, context))
			return row;
		if (state->is_left)
			return set_outer(state, state->outer_slot);
	}
}

/* Plans with row marks have no such joins. */
static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	(void) node;
	(void) slot;
	return true;
}

static TupleTableSlot *
exec_lookup(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

/* --------------------------------------------------------------------- end */

static void
end_lookup(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;
	PlanState *outer = linitial(node->custom_ps);

	if (node->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(outer, node->ss.ps.chgParam);
	if (outer->chgParam == NULL)
		ExecReScan(outer);
	ExecScanReScan(&node->ss);
	MemoryContextReset(state->batch);
	state->lookups = NULL;
	state->n = state->at = 0;
	state->at_end = false;
	state->size = FIRST_BATCH;
}

static void
explain_lookup(CustomScanState *node, List *ancestors, ExplainState *es)
{
	const LookupState *state = (const LookupState *) node;
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
	List *context =
		set_deparse_context_plan(es->deparse_cxt, (Plan *) scan, ancestors);
	List *quals = list_nth(scan->custom_exprs, LOOKUP_JOIN_QUALS);

	ExplainPropertyText("Join Type", state->is_left ? "Left" : "Inner", es);
	ExplainPropertyText("Lookup", get_rel_name(state->map->relid), es);
	ExplainPropertyText("Key Cond",
						deparse_expression((Node *) make_ands_explicit(
											   list_nth(scan->custom_exprs,
														LOOKUP_CONDITION)),
										   context, true, false),
						es);
	if (quals != NIL)
		ExplainPropertyText("Join Filter",
							deparse_expression((Node *)
												   make_ands_explicit(quals),
											   context, true, false),
							es);
	explain_counters(&state->counters, es);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "TikvLookupJoin",
	.BeginCustomScan = begin_lookup,
	.ExecCustomScan = exec_lookup,
	.EndCustomScan = end_lookup,
	.ReScanCustomScan = rescan_lookup,
	.ExplainCustomScan = explain_lookup,
};

static Node *
create_state(CustomScan *scan)
{
	LookupState *state = palloc0(sizeof(LookupState));

	(void) scan;
	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}
