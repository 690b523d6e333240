/*
 * explain.c
 *	  What EXPLAIN shows of a foreign table: which conditions bound the keys,
 *	  in VERBOSE the keys and ranges themselves, in ANALYZE what was asked for.
 */
#include "postgres.h"

#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/ruleutils.h"

#include "fdw/fdw.h"
#include "sqlapi/sqlapi.h"
#include "fdw/scan_state.h"

#define SHOWN_RANGES 5

/* The conditions that bound the keys, as SQL. */
static void
explain_conditions(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	List *context;
	char *text;

	if (plan->fdw_recheck_quals == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
	text =
		deparse_expression((Node *) make_ands_explicit(plan->fdw_recheck_quals),
						   context, list_length(es->rtable) > 1 || es->verbose,
						   false);
	ExplainPropertyText("Key Cond", text, es);
}

static bool
is_constant(List *arguments)
{
	ListCell *cell;

	foreach (cell, arguments)
		if (!IsA(lfirst(cell), Const))
			return false;
	return true;
}

static char *
range_text(const KvRange *range)
{
	return psprintf("[%s, %s)", key_text(range->lower),
					range->upper.len == 0 ? "infinity" :
											key_text(range->upper));
}

/* The first keys or ranges, and how many there are. */
static void
explain_bounds(Bounds *bounds, ExplainState *es)
{
	List *shown = NIL;
	bool keys = bounds_are_keys(bounds);
	uint64 n = bounds_count(bounds);
	Bytes key;
	KvRange range;

	for (int i = 0; i < SHOWN_RANGES; i++)
	{
		if (keys && bounds_next_keys(bounds, &key, 1) > 0)
			shown = lappend(shown, key_text(key));
		else if (!keys && bounds_next_range(bounds, &range))
			shown = lappend(shown, range_text(&range));
	}
	if (n > SHOWN_RANGES)
		shown =
			lappend(shown,
					psprintf("and " UINT64_FORMAT " more", n - SHOWN_RANGES));
	if (n == 0)
		shown = list_make1("none");
	ExplainPropertyList(keys && n > 0 ? "Keys" : "Ranges", shown, es);
}

static const char *
access_text(const ForeignScan *plan, const TikvScan *scan)
{
	List *matches = list_nth(plan->fdw_private, SCAN_MATCHES);
	int n_equal = 0;
	bool any = false;
	ListCell *cell;

	foreach (cell, matches)
	{
		int kind = lsecond_int((List *) lfirst(cell));

		n_equal += kind == MATCH_EQUAL || kind == MATCH_ANY;
		any = any || kind == MATCH_ANY;
	}
	if (n_equal == scan->map->n_keys)
		return any ? "batch get" : "get";
	return scan->reverse ? "reverse scan" : "scan";
}

static void
explain_scan_state(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	TikvScan *scan = node->fdw_state;

	ExplainPropertyText("Access",
						psprintf("%s%s%s", access_text(plan, scan),
								 scan->wants_value ? "" : ", keys only",
								 scan->locks ? ", locks" : ""),
						es);
	explain_conditions(node, es);
	if (scan->limit > 0)
		ExplainPropertyInteger("Limit", NULL, scan->limit, es);
	if (!es->verbose || !is_constant(plan->fdw_exprs))
		return;
	bounds_evaluate(scan->bounds, node->ss.ps.ps_ExprContext, false);
	explain_bounds(scan->bounds, es);
}

void
explain_counters(const KvCounters *counters, ExplainState *es)
{
	if (!es->analyze)
		return;
	ExplainPropertyUInteger("Requests", NULL, counters->requests, es);
	if (counters->keys_read > 0 || counters->keys_written == 0)
		ExplainPropertyUInteger("Keys Read", NULL, counters->keys_read, es);
	if (counters->keys_written > 0)
		ExplainPropertyUInteger("Keys Written", NULL, counters->keys_written,
								es);
	ExplainPropertyUInteger("Retries", NULL, counters->retries, es);
}

void
tikvExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	const KvCounters *counters = scan_counters(node);

	if (counters == NULL)
		return;
	explain_scan_state(node, es);
	explain_counters(counters, es);
}

void
tikvExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
						 List *fdw_private, int subplan_index, ExplainState *es)
{
	const KvCounters *counters = modify_counters(rinfo);

	(void) mtstate;
	(void) fdw_private;
	(void) subplan_index;
	if (rinfo->ri_BatchSize > 1)
		ExplainPropertyInteger("Batch Size", NULL, rinfo->ri_BatchSize, es);
	if (counters != NULL)
		explain_counters(counters, es);
}
