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

#include "access/sysattr.h"
#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
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

/* Rows lie in the order in which they came: fetch so many ahead. */
#define ROWS_AHEAD 8

/* Rows whose values are thrown away together, or as soon as they are large. */
#define ROWS_AT_ONCE 32
#define ROWS_BYTES ((Size) 64 << 10)

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
	bool *wanted;		 /* not all of those are looked at */
	bool wants_key;
	bool wants_value;
	Datum *values; /* a row of the table */
	bool *nulls;
	MemoryContext row; /* what they point to */
	int n_rows;		   /* in there */
	ExprState *match;

	LookupBatch *batch;
	SortedLookup *sorted; /* by key; those that can't be found come last */
	int *found;			  /* of rows, if they are handed out in order */
	int n_keys;			  /* that can be found, repeated ones as well */
	int n;
	int got; /* rows whose keys were got */
	int at;
	bool ordered;
	int first; /* rows of the first batch, and of the next one */
	int size;
	bool at_end;
	KvPage *page;
	Bytes *asked;	/* keys of one request, */
	int *asked_are; /* and where they are in the page */
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

/* Which columns of the join's rows anything looks at. */
static Bitmapset *
columns_looked_at(const CustomScan *scan)
{
	Bitmapset *columns = NULL;

	pull_varattnos((Node *) scan->scan.plan.targetlist, INDEX_VAR, &columns);
	pull_varattnos((Node *) scan->scan.plan.qual, INDEX_VAR, &columns);
	pull_varattnos(list_nth(scan->custom_exprs, LOOKUP_JOIN_QUALS), INDEX_VAR,
				   &columns);
	return columns;
}

/* Some columns are in the row only for EXPLAIN to name them. */
static void
take_columns(LookupState *state, const CustomScan *scan)
{
	const TableMap *map = state->map;
	List *columns = list_nth(scan->custom_private, LOOKUP_COLUMNS);
	Bitmapset *looked_at = columns_looked_at(scan);
	ListCell *cell;

	state->n_columns = list_length(columns);
	state->columns = palloc(sizeof(AttrNumber) * Max(state->n_columns, 1));
	state->wanted = palloc0(sizeof(bool) * Max(map->desc->natts, 1));
	state->values = palloc0(sizeof(Datum) * Max(map->desc->natts, 1));
	state->nulls = palloc0(sizeof(bool) * Max(map->desc->natts, 1));
	foreach (cell, columns)
	{
		AttrNumber attnum = (AttrNumber) lfirst_int(cell);
		int place = state->n_outer + foreach_current_index(cell) + 1;

		state->columns[foreach_current_index(cell)] = attnum;
		if (!bms_is_member(place - FirstLowInvalidHeapAttributeNumber,
						   looked_at))
			continue;
		state->wanted[attnum - 1] = true;
		if (table_map_key(map, attnum) >= 0)
			state->wants_key = true;
		else if (attnum != map->ttl)
			state->wants_value = true;
	}
}

/* Where rows are kept, and what their keys are got with. */
static void
make_room(LookupState *state, const CustomScan *scan, TupleDesc outer)
{
	state->batch =
		lookup_batch_new(state->map, &state->css.ss.ps, outer,
						 list_nth(scan->custom_exprs, LOOKUP_ARGUMENTS));
	/* A key made of other types may be none of the table's. */
	if (!lookup_batch_has_types(state->batch))
		state->wants_key = true;
	state->row = AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw row",
									   ALLOCSET_DEFAULT_SIZES);
	state->page = kv_page_new(CurrentMemoryContext);
	state->page->has_no_keys = true;
	state->page->wants_ttl =
		state->map->ttl != 0 && state->wanted[state->map->ttl - 1];
	state->asked = palloc(sizeof(Bytes) * LOOKUP_KEYS);
	state->asked_are = palloc(sizeof(int) * LOOKUP_KEYS);
}

static void
begin_lookup(CustomScanState *node, EState *estate, int eflags)
{
	LookupState *state = (LookupState *) node;
	CustomScan *scan = castNode(CustomScan, node->ss.ps.plan);
	Index table = table_index(scan);
	PlanState *outer =
		ExecInitNode(linitial(scan->custom_plans), estate, eflags);
	Oid user = linitial_oid(list_nth(scan->custom_private, LOOKUP_USER));
	Relation relation;

	node->custom_ps = list_make1(outer);
#if PG_VERSION_NUM >= 180000
	relation = ExecGetRangeTableRelation(estate, table, false);
#else
	relation = ExecGetRangeTableRelation(estate, table);
#endif
	state->map = table_map(relation);
	state->kv = kv_access(state->map->mode);
	state->codec = value_codec_new(state->map);
	state->user = OidIsValid(user) ? user : GetUserId();
	state->n_outer = intVal(list_nth(scan->custom_private, LOOKUP_OUTER));
	state->is_left = boolVal(list_nth(scan->custom_private, LOOKUP_LEFT));
	take_columns(state, scan);
	state->match = ExecInitQual(list_nth(scan->custom_exprs, LOOKUP_JOIN_QUALS),
								&state->css.ss.ps);
	make_room(state, scan, ExecGetResultType(outer));
	state->ordered = boolVal(list_nth(scan->custom_private, LOOKUP_ORDERED));
	state->first = intVal(list_nth(scan->custom_private, LOOKUP_FIRST));
	state->size = state->first;
}

/* ----------------------------------------------------------------- batches */

static void
gather_rows(LookupState *state)
{
	PlanState *outer = linitial(state->css.custom_ps);
	ExprContext *context = state->css.ss.ps.ps_ExprContext;

	lookup_batch_begin(state->batch, state->size);
	while (lookup_batch_n(state->batch) < state->size &&
		   lookup_batch_bytes(state->batch) < BATCH_BYTES)
	{
		TupleTableSlot *slot = ExecProcNode(outer);

		if (TupIsNull(slot))
		{
			state->at_end = true;
			break;
		}
		ResetExprContext(context);
		lookup_batch_keep(state->batch, slot, context,
						  state->css.ss.ss_ScanTupleSlot);
	}
	state->n = lookup_batch_n(state->batch);
	state->got = 0;
	state->at = 0;
}

/* Keys that are made with the prefix are the table's, others may be any. */
static bool
is_in_table(const LookupState *state, const KvRange *table, Bytes key)
{
	if (key.data == NULL || state->map->key_format != KEY_FORMAT_WHOLE)
		return key.data != NULL;
	return bytes_cmp(key, table->lower) >= 0 &&
		(table->upper.len == 0 || bytes_cmp(key, table->upper) < 0);
}

/* Rows that name a key of the table come first, in the order of their keys. */
static void
sort_lookups(LookupState *state)
{
	const Bytes *keys = lookup_batch_keys(state->batch);
	KvRange table = table_map_range(state->map);
	Size n = Max((Size) state->n, 1);
	int others = state->n;

	state->n_keys = 0;
	state->sorted = palloc(sizeof(SortedLookup) * n);
	if (state->ordered)
		state->found = palloc(sizeof(int) * n);
	for (int i = 0; i < state->n; i++)
	{
		if (is_in_table(state, &table, keys[i]))
			state->sorted[state->n_keys++].row = i;
		else
			state->sorted[--others] = (SortedLookup){0, i, NOT_FOUND};
	}
	lookup_sort(keys, state->sorted, state->n_keys, state->map->prefix.len);
}

/* Each key once; rows get the numbers of theirs. */
static int
ask_for(LookupState *state, SortedLookup *sorted, int n)
{
	const Bytes *keys = lookup_batch_keys(state->batch);
	Bytes *asked = state->asked;
	int n_asked = 0;

	for (int i = 0; i < n; i++)
	{
		Bytes key = keys[sorted[i].row];

		__builtin_prefetch(key.data);
		if (i + ROWS_AHEAD < n)
			__builtin_prefetch(&keys[sorted[i + ROWS_AHEAD].row]);
		if (i == 0 || sorted[i - 1].head != sorted[i].head ||
			!bytes_eq(asked[n_asked - 1], key))
			asked[n_asked++] = key;
		sorted[i].found = n_asked - 1;
	}
	return n_asked;
}

/* Get some of the keys that are asked for, behind the first `done`. */
static int
get_asked(LookupState *state, int done, int n_asked)
{
	KvPage *page = state->page;
	int before = page->n;
	int n = state->kv->batch_get(state->asked + done, n_asked - done, page,
								 &state->counters);

	for (int i = done; i < done + n; i++)
		state->asked_are[i] = NOT_FOUND;
	for (int i = before; i < page->n; i++)
	{
		page->pairs[i].asked += done;
		state->asked_are[page->pairs[i].asked] = i;
	}
	return done + n;
}

/*
 * Get the keys of n rows, or of the first of them if the page is full with
 * those: returns of how many.  What the page had is gone.
 */
static int
get_keys(LookupState *state, SortedLookup *sorted, int n)
{
	int n_asked = ask_for(state, sorted, n);
	int done = 0;
	int i;

	allow_keys(state->user, GRANT_READ, state->asked, n_asked);
	kv_page_clear(state->page);
	do
		done = get_asked(state, done, n_asked);
	while (state->ordered && done < n_asked);
	for (i = 0; i < n && sorted[i].found < done; i++)
		sorted[i].found = state->asked_are[sorted[i].found];
	return i;
}

/* In order, they are found by the row. */
static void
put_in_order(LookupState *state)
{
	for (int i = 0; i < state->n; i++)
		state->found[state->sorted[i].row] = state->sorted[i].found;
}

/* Make some more rows ready; those of no key need nothing. */
static void
get_some(LookupState *state)
{
	MemoryContext caller =
		MemoryContextSwitchTo(lookup_batch_context(state->batch));
	int n = Min(state->n_keys - state->got, LOOKUP_KEYS);

	if (n > 0)
		n = get_keys(state, state->sorted + state->got, n);
	state->got += n;
	if (state->ordered)
		put_in_order(state);
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
	gather_rows(state);
	caller = MemoryContextSwitchTo(lookup_batch_context(state->batch));
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

/* Memory for the values of a row; those of the one before are gone. */
static MemoryContext
row_memory(LookupState *state)
{
	if (++state->n_rows > ROWS_AT_ONCE ||
		MemoryContextMemAllocated(state->row, false) > ROWS_BYTES)
	{
		MemoryContextReset(state->row);
		state->n_rows = 1;
	}
	return state->row;
}

/* Decode a pair of the page; false if it is no row of the table. */
static bool
decode(LookupState *state, int found)
{
	const KvPage *page = state->page;
	Bytes key = state->asked[page->pairs[found].asked];
	Bytes value = kv_page_value(page, found);
	int64 expires_at = page->pairs[found].expires_at;

	if (state->wants_key)
		return pair_to_row(state->map, state->codec, key, value, expires_at,
						   state->wanted, state->wants_value, state->values,
						   state->nulls);
	memset(state->nulls, true, sizeof(bool) * state->map->desc->natts);
	rest_to_row(state->map, state->codec, key, value, expires_at, state->wanted,
				state->wants_value, state->values, state->nulls);
	return true;
}

/* Put what was found behind the other side's columns. */
static bool
set_inner(LookupState *state, TupleTableSlot *row, int found)
{
	MemoryContext caller = MemoryContextSwitchTo(row_memory(state));
	bool is_row = decode(state, found);

	MemoryContextSwitchTo(caller);
	for (int k = 0; is_row && k < state->n_columns; k++)
	{
		int a = state->columns[k] - 1;

		row->tts_values[state->n_outer + k] = state->values[a];
		row->tts_isnull[state->n_outer + k] = state->nulls[a];
	}
	return is_row;
}

static TupleTableSlot *
next_row(ScanState *node)
{
	LookupState *state = (LookupState *) node;
	TupleTableSlot *row = node->ss_ScanTupleSlot;
	ExprContext *context = node->ps.ps_ExprContext;

	for (;;)
	{
		int at;
		int i;
		int found;

		CHECK_FOR_INTERRUPTS();
		if (!has_row(state))
			return ExecClearTuple(row);
		at = state->at++;
		i = state->ordered ? at : state->sorted[at].row;
		found = state->ordered ? state->found[at] : state->sorted[at].found;
		if (at + ROWS_AHEAD < state->got && !state->ordered)
			lookup_batch_expect(state->batch,
								state->sorted[at + ROWS_AHEAD].row);
		if (found == NOT_FOUND && !state->is_left)
			continue;
		lookup_batch_row(state->batch, i, row);
		context->ecxt_scantuple = row;
		if (found != NOT_FOUND && set_inner(state, row, found) &&
			ExecQual(state->match, context))
			return row;
		if (!state->is_left)
			continue;
		lookup_batch_row(state->batch, i, row);
		return row;
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
	lookup_batch_end(state->batch);
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
