/*
 * lookup_scan.c
 *	  Execution of joins that get the keys of a foreign table in batches.
 *
 * Rows of the other side are gathered and sorted by the keys that they look
 * for, since neighbours are found at once.  The joined rows are handed out in
 * that order, as soon as the keys of some are got; or, if the plan relies on
 * the order of the other side, in that one, when all of a smaller batch are.
 * Batches begin small if there may be a LIMIT above.
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "fdw/allow.h"
#include "fdw/lookup_join.h"

#define BATCH_GROWTH 4
#define NOT_FOUND (-1)

/* Of the rows of a batch, more or less, and of what they ask for in order. */
#define BATCH_BYTES ((Size) 8 << 20)
#define PAGE_BYTES ((Size) 2 << 20)

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
	Datum *outer_values; /* of all rows, one behind the other */
	bool *outer_nulls;
	SortedLookup *sorted; /* by key; those that can't be found come last */
	int n_keys;			  /* that can be found, repeated ones as well */
	int n;
	int got; /* rows whose keys were got */
	int at;
	bool ordered;
	int first; /* rows of the first batch, and of the next one */
	int size;
	bool at_end;
	KvPage *page;
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
	state->ordered = boolVal(list_nth(scan->custom_private, LOOKUP_ORDERED));
	state->first = intVal(list_nth(scan->custom_private, LOOKUP_FIRST));
	state->size = state->first;
}

/* ----------------------------------------------------------------- batches */

/* The row that expressions see, without the table's columns. */
static TupleTableSlot *
set_outer(LookupState *state, int i)
{
	TupleTableSlot *row = state->css.ss.ss_ScanTupleSlot;
	Size n = (Size) state->n_outer;

	ExecClearTuple(row);
	memcpy(row->tts_values, state->outer_values + n * i, sizeof(Datum) * n);
	memcpy(row->tts_isnull, state->outer_nulls + n * i, sizeof(bool) * n);
	memset(row->tts_isnull + n, true, sizeof(bool) * (Size) state->n_columns);
	ExecStoreVirtualTuple(row);
	state->css.ss.ps.ps_ExprContext->ecxt_scantuple = row;
	return row;
}

/* Keep a row of the other side, in the batch's memory. */
static void
keep_outer(LookupState *state, int i, TupleTableSlot *outer)
{
	Size n = (Size) state->n_outer;
	Datum *values = state->outer_values + n * i;
	bool *nulls = state->outer_nulls + n * i;

	slot_getallattrs(outer);
	memcpy(nulls, outer->tts_isnull, sizeof(bool) * n);
	for (Size k = 0; k < n; k++)
	{
		Form_pg_attribute att = TupleDescAttr(outer->tts_tupleDescriptor, k);

		values[k] = outer->tts_values[k];
		if (!att->attbyval && !nulls[k])
			values[k] = datumCopy(values[k], false, att->attlen);
	}
}

/* The key that a row names, in the batch's memory. */
static Bytes
key_of_row(LookupState *state, ExprContext *context)
{
	const TableMap *map = state->map;
	KeyPart parts[INDEX_MAX_KEYS];
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
		memset(&parts[i], 0, sizeof(KeyPart));
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

/* Room for the rows of the next batch. */
static void
make_batch(LookupState *state)
{
	Size n = (Size) state->size;
	Size n_outer = (Size) state->n_outer;

	MemoryContextReset(state->batch);
	state->n = 0;
	state->got = 0;
	state->at = 0;
	state->lookups = MemoryContextAlloc(state->batch, sizeof(Lookup) * n);
	state->outer_values =
		MemoryContextAlloc(state->batch, sizeof(Datum) * n * n_outer + 1);
	state->outer_nulls =
		MemoryContextAlloc(state->batch, sizeof(bool) * n * n_outer + 1);
}

static void
gather_rows(LookupState *state)
{
	PlanState *outer = linitial(state->css.custom_ps);
	ExprContext *context = state->css.ss.ps.ps_ExprContext;
	Size empty = MemoryContextMemAllocated(state->batch, false);

	while (state->n < state->size &&
		   MemoryContextMemAllocated(state->batch, false) - empty < BATCH_BYTES)
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
		caller = MemoryContextSwitchTo(state->batch);
		keep_outer(state, state->n, slot);
		(void) set_outer(state, state->n);
		MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
		lookup->key = key_of_row(state, context);
		MemoryContextSwitchTo(caller);
		lookup->found = NOT_FOUND;
		lookup->row = state->n++;
	}
}

/* Rows that name a key of the table come first, in the order of their keys. */
static void
sort_lookups(LookupState *state)
{
	KvRange table = table_map_range(state->map);
	int others = state->n;

	state->n_keys = 0;
	state->sorted = palloc(sizeof(SortedLookup) * Max((Size) state->n, 1));
	for (int i = 0; i < state->n; i++)
	{
		Lookup *lookup = &state->lookups[i];
		Bytes key = lookup->key;

		if (key.data != NULL && bytes_cmp(key, table.lower) >= 0 &&
			(table.upper.len == 0 || bytes_cmp(key, table.upper) < 0))
			state->sorted[state->n_keys++].lookup = lookup;
		else
			state->sorted[--others].lookup = lookup;
	}
	lookup_sort(state->sorted, state->n_keys, state->map->prefix.len);
}

/* Both are in the order of keys; what was not found is not in the page. */
static void
assign_found(const KvPage *page, const SortedLookup *sorted, int n)
{
	int at = 0;

	for (int i = 0; i < n; i++)
	{
		Lookup *lookup = sorted[i].lookup;

		/* The same key again, or the next one of the page. */
		if (at > 0 && bytes_eq(kv_page_key(page, at - 1), lookup->key))
			lookup->found = at - 1;
		else if (at < page->n && bytes_eq(kv_page_key(page, at), lookup->key))
			lookup->found = at++;
	}
}

/* How many rows ask for keys before this one. */
static int
rows_before(const SortedLookup *sorted, Bytes key)
{
	int n = 0;

	while (!bytes_eq(sorted[n].lookup->key, key))
		n++;
	return n;
}

/*
 * Get the keys of n rows, or of the first of them if the page is full with
 * those: returns of how many.  What the page had is gone.
 */
static int
get_keys(LookupState *state, const SortedLookup *sorted, int n)
{
	Bytes *keys = palloc(sizeof(Bytes) * (Size) n);
	int n_keys = 0;
	int done = 0;

	for (int i = 0; i < n; i++)
		if (n_keys == 0 || !bytes_eq(keys[n_keys - 1], sorted[i].lookup->key))
			keys[n_keys++] = sorted[i].lookup->key;
	allow_keys(state->user, GRANT_READ, keys, n_keys);
	kv_page_clear(state->page);
	do
		done += state->kv->batch_get(keys + done, n_keys - done, state->page,
									 &state->counters);
	while (state->ordered && done < n_keys);
	if (done < n_keys)
		n = rows_before(sorted, keys[done]);
	assign_found(state->page, sorted, n);
	pfree(keys);
	return n;
}

/* Make some more rows ready; those of no key need nothing. */
static void
get_some(LookupState *state)
{
	MemoryContext caller = MemoryContextSwitchTo(state->batch);
	int n = Min(state->n_keys - state->got, LOOKUP_KEYS);

	if (n > 0)
		n = get_keys(state, state->sorted + state->got, n);
	state->got += n;
	if (state->ordered || state->got == state->n_keys)
		state->got = state->n;
	MemoryContextSwitchTo(caller);
}

/* Of the next batch; in order, all that its rows ask for is in one page. */
static void
grow(LookupState *state)
{
	int most = LOOKUP_BATCH;

	if (state->ordered)
		most = (int) Min(PAGE_BYTES / Max(kv_page_pair_bytes(state->page), 1),
						 LOOKUP_KEYS);
	state->size = Max(Min(state->size * BATCH_GROWTH, most), 1);
}

/* False if there are no more rows. */
static bool
next_batch(LookupState *state)
{
	MemoryContext caller;

	if (state->at_end)
		return false;
	if (state->n > 0)
		grow(state);
	make_batch(state);
	gather_rows(state);
	caller = MemoryContextSwitchTo(state->batch);
	sort_lookups(state);
	MemoryContextSwitchTo(caller);
	return state->n > 0;
}

static bool
has_row(LookupState *state)
{
	if (state->at < state->got)
		return true;
	if (state->at == state->n && !next_batch(state))
		return false;
	get_some(state);
	return true;
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
		if (!has_row(state))
			return ExecClearTuple(node->ss_ScanTupleSlot);
		lookup = state->ordered ? &state->lookups[state->at] :
								  state->sorted[state->at].lookup;
		state->at++;
		if (lookup->found == NOT_FOUND && !state->is_left)
			continue;
		row = set_outer(state, lookup->row);
		if (lookup->found != NOT_FOUND &&
			set_inner(state, row, lookup->found) &&
			ExecQual(state->match, context))
			return row;
		if (state->is_left)
			return set_outer(state, lookup->row);
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
	state->n = state->got = state->at = 0;
	state->at_end = false;
	state->size = state->first;
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
