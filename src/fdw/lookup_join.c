/*
 * lookup_join.c
 *	  Planning of joins that get the keys of a foreign table in batches.
 *
 * A nested loop asks for one key per row of the other side.  If that side
 * names every column of the key, its rows can be gathered and their keys got
 * with one request.  Postgres lets a wrapper plan joins only within one
 * server, so this comes in by the planner's hook, as a custom scan.
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"

#include "fdw/lookup_join.h"
#include "guc.h"

static set_join_pathlist_hook_type previous_hook;

/* What is being looked at. */
typedef struct LookupJoin
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outer;
	RelOptInfo *inner;
	JoinType type;
	JoinPathExtraData *extra;
	MatchedKeys *matched;
} LookupJoin;

/* custom_private of the path. */
enum
{
	PATH_INNER,
	PATH_TYPE,
	PATH_CLAUSES
};

/* ------------------------------------------------------------ is it one? */

/*
 * A statement that writes meets rows twice, or has to look at them again.  What
 * the parser knows of marks counts, too: the WITH queries are planned before the
 * statement's own are.
 */
static bool
only_reads(PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
		if (root->parse->commandType != CMD_SELECT ||
			root->parse->hasModifyingCTE || root->parse->rowMarks != NIL ||
			root->rowMarks != NIL)
			return false;
	return true;
}

static bool
is_our_table(const RelOptInfo *rel)
{
	return rel->reloptkind == RELOPT_BASEREL && rel->fdwroutine != NULL &&
		rel->fdwroutine->GetForeignPlan == tikvGetForeignPlan &&
		bms_is_empty(rel->lateral_relids);
}

/*
 * From Postgres 16 on, the columns of a side that may be NULL by the join are
 * not those of the table.
 */
static bool
is_our_type(JoinType type)
{
#if PG_VERSION_NUM >= 160000
	return type == JOIN_INNER;
#else
	return type == JOIN_INNER || type == JOIN_LEFT;
#endif
}

/*
 * Expressions of a subquery around the table are computed above the join, from
 * its columns; where nothing matches they are NULL, whatever they say of NULLs.
 */
static bool
has_expressions(const RelOptInfo *inner)
{
	ListCell *cell;

	foreach (cell, inner->reltarget->exprs)
		if (IsA(lfirst(cell), PlaceHolderVar))
			return true;
	return false;
}

/* Such conditions are checked by a node above, which joins as scans do not get. */
static bool
has_conditions_of_no_row(List *clauses)
{
	ListCell *cell;

	foreach (cell, clauses)
		if (lfirst_node(RestrictInfo, cell)->pseudoconstant)
			return true;
	return false;
}

/* A condition that says what matches; others are checked afterwards. */
static bool
makes_match(const LookupJoin *join, const RestrictInfo *clause)
{
	return join->type == JOIN_INNER ||
		!RINFO_IS_PUSHED_DOWN(clause, join->joinrel->relids);
}

static bool
match_join(LookupJoin *join)
{
	const RelPlan *plan = join->inner->fdw_private;
	List *clauses = list_copy(join->inner->baserestrictinfo);
	Relids outer = NULL;
	ListCell *cell;

	foreach (cell, join->extra->restrictlist)
		if (makes_match(join, lfirst_node(RestrictInfo, cell)))
			clauses = lappend(clauses, lfirst(cell));
	join->matched = match_keys(join->root, join->inner, plan->map, clauses);
	if (!join->matched->all_equal || join->matched->has_any)
		return false;
	foreach (cell, join->matched->matches)
	{
		const Match *match = lfirst(cell);

		outer =
			bms_union(outer, pull_varnos(join->root, (Node *) match->argument));
	}
	return bms_overlap(outer, join->outer->relids);
}

/* Columns of the table that the join hands on or checks. */
static Bitmapset *
inner_columns(const RelOptInfo *joinrel, const RelOptInfo *inner, List *clauses)
{
	Bitmapset *columns = NULL;
	ListCell *cell;

	pull_varattnos((Node *) joinrel->reltarget->exprs, inner->relid, &columns);
	foreach (cell, clauses)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   inner->relid, &columns);
	return columns;
}

/* Only columns: no row as a whole, no tableoid. */
static bool
has_plain_columns(Bitmapset *columns)
{
	return bms_next_member(columns, -1) == -2 ||
		bms_next_member(columns, -1) > -FirstLowInvalidHeapAttributeNumber;
}

/* --------------------------------------------------------------- the paths */

static Plan *plan_lookup(PlannerInfo *root, RelOptInfo *rel,
						 CustomPath *best_path, List *tlist, List *clauses,
						 List *custom_plans);

static const CustomPathMethods path_methods = {
	.CustomName = "TikvLookupJoin",
	.PlanCustomPath = plan_lookup,
};

static void
set_cost(const LookupJoin *join, Path *path, const Path *outer, List *clauses)
{
	double batches = ceil(Max(outer->rows, 1) / LOOKUP_KEYS);
	QualCost quals;

	cost_qual_eval(&quals, clauses, join->root);
	path->rows = join->joinrel->rows;
	path->startup_cost = outer->startup_cost + COST_REQUEST + quals.startup +
		join->joinrel->reltarget->cost.startup;
	path->total_cost = outer->total_cost + quals.startup +
		join->joinrel->reltarget->cost.startup + batches * COST_REQUEST +
		outer->rows * (COST_KEY + 2 * cpu_tuple_cost + quals.per_tuple) +
		path->rows *
			(cpu_tuple_cost + join->joinrel->reltarget->cost.per_tuple);
}

static void
add_lookup_path(const LookupJoin *join, Path *outer, List *clauses)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = join->joinrel;
	path->path.pathtarget = join->joinrel->reltarget;
	path->path.pathkeys = build_join_pathkeys(join->root, join->joinrel,
											  join->type, outer->pathkeys);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(outer);
	path->custom_private =
		list_make3(join->inner, makeInteger((int) join->type),
				   list_copy(join->extra->restrictlist));
	path->methods = &path_methods;
	set_cost(join, &path->path, outer, clauses);
	add_path(join->joinrel, &path->path);
}

static void
add_lookup_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
				 RelOptInfo *inner, JoinType type, JoinPathExtraData *extra)
{
	LookupJoin join = {root, joinrel, outer, inner, type, extra, NULL};
	List *clauses;
	ListCell *cell;

	if (previous_hook != NULL)
		previous_hook(root, joinrel, outer, inner, type, extra);
	if (!tikv_fdw_settings.lookup_join || !is_our_table(inner) ||
		!is_our_type(type) || !bms_is_empty(joinrel->lateral_relids) ||
		!only_reads(root) || (type == JOIN_LEFT && has_expressions(inner)) ||
		!match_join(&join))
		return;
	clauses = list_concat_copy(inner->baserestrictinfo, extra->restrictlist);
	if (has_conditions_of_no_row(clauses) ||
		!has_plain_columns(inner_columns(joinrel, inner, clauses)))
		return;
	foreach (cell, outer->pathlist)
	{
		Path *path = lfirst(cell);

		if (path->param_info == NULL)
			add_lookup_path(&join, path, clauses);
	}
}

/* ---------------------------------------------------------------- the plan */

/* The row that expressions see: the other side's columns, then the table's. */
static List *
row_columns(const Plan *outer, const TableMap *map, Index relid, List *columns)
{
	List *row = NIL;
	ListCell *cell;

	foreach (cell, outer->targetlist)
		row = lappend(row,
					  makeTargetEntry(copyObject(lfirst_node(TargetEntry, cell)
													 ->expr),
									  (AttrNumber) (list_length(row) + 1), NULL,
									  false));
	foreach (cell, columns)
	{
		AttrNumber attnum = (AttrNumber) lfirst_int(cell);
		Form_pg_attribute att = TupleDescAttr(map->desc, attnum - 1);
		Var *var = makeVar((int) relid, attnum, att->atttypid, att->atttypmod,
						   att->attcollation, 0);

		row = lappend(row,
					  makeTargetEntry((Expr *) var,
									  (AttrNumber) (list_length(row) + 1), NULL,
									  false));
	}
	return row;
}

/* The place of the table among the tables of the join. */
static int
place_among(Relids relids, Index relid)
{
	int place = 0;
	int member = -1;

	while ((member = bms_next_member(relids, member)) >= 0 &&
		   member != (int) relid)
		place++;
	return place;
}

/* What must be checked besides the key, of a match and of the whole row. */
static void
split_quals(const LookupJoin *join, List *restrictlist, List **match_quals,
			List **row_quals)
{
	ListCell *cell;

	*match_quals = NIL;
	*row_quals = NIL;
	foreach (cell, join->matched->others)
		*match_quals = lappend(*match_quals, lfirst(cell));
	foreach (cell, restrictlist)
		if (!makes_match(join, lfirst_node(RestrictInfo, cell)))
			*row_quals = lappend(*row_quals, lfirst(cell));
	if (join->type == JOIN_INNER)
	{
		*row_quals = list_concat(*row_quals, *match_quals);
		*match_quals = NIL;
	}
	*match_quals = extract_actual_clauses(*match_quals, false);
	*row_quals = extract_actual_clauses(*row_quals, false);
}

static List *
matched_clauses(const MatchedKeys *matched)
{
	List *clauses = NIL;
	ListCell *cell;

	foreach (cell, matched->matches)
		clauses =
			lappend(clauses, ((const Match *) lfirst(cell))->clause->clause);
	return clauses;
}

/*
 * All rows that are expected, unless few of the joined ones may be asked for.
 * Those that come in the order of the other side are kept until then.
 */
static int
first_batch(const PlannerInfo *root, const Plan *outer, bool ordered)
{
	double rows = root->tuple_fraction == 0 && !ordered ? outer->plan_rows : 0;

	return (int) Min(Max(rows, LOOKUP_FIRST_BATCH), LOOKUP_BATCH);
}

static Plan *
plan_lookup(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
			List *tlist, List *clauses, List *custom_plans)
{
	List *private = best_path->custom_private;
	JoinPathExtraData extra = {.restrictlist = list_nth(private, PATH_CLAUSES)};
	LookupJoin join = {.root = root,
					   .joinrel = rel,
					   .inner = list_nth(private, PATH_INNER),
					   .type = (JoinType) intVal(list_nth(private, PATH_TYPE)),
					   .extra = &extra};
	const RelPlan *plan = join.inner->fdw_private;
	Plan *outer = linitial(custom_plans);
	bool ordered = best_path->path.pathkeys != NIL;
	CustomScan *scan = makeNode(CustomScan);
	List *columns;
	List *arguments;
	List *match_quals;
	List *row_quals;

	(void) clauses;
	join.outer = ((Path *) linitial(best_path->custom_paths))->parent;
	(void) match_join(&join);
	(void) plan_matches(join.matched, &arguments);
	split_quals(&join, extra.restrictlist, &match_quals, &row_quals);
	columns =
		plan_columns(plan->map,
					 inner_columns(rel, join.inner,
								   list_concat_copy(join.inner
														->baserestrictinfo,
													extra.restrictlist)));
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = row_quals;
	scan->scan.scanrelid = 0;
	scan->flags = best_path->flags;
	scan->custom_plans = custom_plans;
	scan->custom_exprs =
		list_make3(arguments, match_quals, matched_clauses(join.matched));
	scan->custom_scan_tlist =
		row_columns(outer, plan->map, join.inner->relid, columns);
	scan->custom_private =
		list_make5(makeInteger(place_among(rel->relids, join.inner->relid)),
				   makeInteger(list_length(outer->targetlist)), columns,
				   makeBoolean(join.type == JOIN_LEFT),
				   makeInteger(first_batch(root, outer, ordered)));
	scan->custom_private = lappend(scan->custom_private, makeBoolean(ordered));
	scan->custom_private =
		lappend(scan->custom_private, list_make1_oid(join.inner->userid));
	scan->methods = &lookup_scan_methods;
	return &scan->scan.plan;
}

void
lookup_join_install(void)
{
	RegisterCustomScanMethods(&lookup_scan_methods);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_lookup_paths;
}
