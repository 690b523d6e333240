/*
 * plan.c
 *	  Planning of scans: sizes, paths with their costs and orders, the plan.
 *
 * Keys come in the order of the key columns, so every path has that order or
 * its reverse for nothing.  A path that is given values by a join reads the
 * keys that they bound, once per row of the other side.
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "fdw/fdw.h"

#define KEYS_PER_REQUEST 1024

/* What is assumed of a table that was never analyzed. */
#define UNKNOWN_PAGES 10

/* ------------------------------------------------------------------- sizes */

/* Does the scan need more than the key and its expiry? */
static bool
needs_value(const TableMap *map, Bitmapset *columns)
{
	int member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber attnum =
			(AttrNumber) (member + FirstLowInvalidHeapAttributeNumber);

		if (attnum == 0)
			return true;
		if (attnum > 0 && attnum != map->ttl && table_map_key(map, attnum) < 0)
			return true;
	}
	return false;
}

static void
clauses_columns(List *clauses, Index relid, Bitmapset **columns)
{
	ListCell *cell;

	foreach (cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		pull_varattnos((Node *) rinfo->clause, relid, columns);
	}
}

/* Keys that equalities of all columns can name; -1 if they do not. */
static double
named_keys(PlannerInfo *root, const MatchedKeys *matched)
{
	return matched->all_equal ? match_combinations(root, matched->matches) : -1;
}

/* Will the rows be written, or does the query say FOR UPDATE or SHARE? */
static bool
wants_locks(PlannerInfo *root, const RelOptInfo *baserel)
{
	PlanRowMark *mark = get_plan_rowmark(root->rowMarks, baserel->relid);

	return bms_is_member((int) baserel->relid, root->all_result_relids) ||
		(mark != NULL && mark->strength != LCS_NONE);
}

void
tikvGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
					  Oid foreigntableid)
{
	RelPlan *plan = palloc0(sizeof(RelPlan));
	Relation relation = table_open(foreigntableid, NoLock);
	MatchedKeys *matched;
	double keys;

	plan->map = table_map(relation);
	plan->map->desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	table_close(relation, NoLock);
	plan->reads_ahead = reads_itself(root, baserel, plan->map);
	plan->locks = wants_locks(root, baserel);
	plan->tuples = baserel->tuples;
	baserel->fdw_private = plan;
	matched = match_keys(root, baserel, plan->map, baserel->baserestrictinfo);
	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid,
				   &plan->columns);
	clauses_columns(matched->others, baserel->relid, &plan->columns);
	plan->key_only = !needs_value(plan->map, plan->columns);
	if (baserel->tuples < 0)
	{
		baserel->pages = UNKNOWN_PAGES;
		baserel->tuples = (double) UNKNOWN_PAGES * BLCKSZ /
			(baserel->reltarget->width + MAXALIGN(SizeofHeapTupleHeader));
	}
	set_baserel_size_estimates(root, baserel);
	keys = named_keys(root, matched);
	if (keys >= 0)
		baserel->rows = clamp_row_est(Min(baserel->rows, keys));
}

/* ------------------------------------------------------------------- costs */

typedef struct ScanCost
{
	Cost startup;
	Cost total;
} ScanCost;

/* Of reading the keys that match and checking the rest. */
static ScanCost
cost_scan(PlannerInfo *root, RelOptInfo *baserel, const MatchedKeys *matched,
		  double rows)
{
	ScanCost cost;
	double keys = named_keys(root, matched);
	double ranges = 1;
	double requests;
	List *bounding = NIL;
	ListCell *cell;

	if (keys < 0)
	{
		ranges = match_combinations(root, matched->matches);
		foreach (cell, matched->matches)
			bounding = lappend(bounding, ((Match *) lfirst(cell))->clause);
		keys = clamp_row_est(baserel->tuples *
							 clauselist_selectivity(root, bounding, 0,
													JOIN_INNER, NULL));
	}
	keys = Max(keys, rows);
	requests = Max(ceil(keys / KEYS_PER_REQUEST), ranges);
	cost.startup = COST_REQUEST + baserel->baserestrictcost.startup +
		baserel->reltarget->cost.startup;
	cost.total = cost.startup + (requests - 1) * COST_REQUEST +
		keys *
			(COST_KEY + cpu_tuple_cost + baserel->baserestrictcost.per_tuple) +
		rows * baserel->reltarget->cost.per_tuple;
	return cost;
}

/* ------------------------------------------------------------------ orders */

/* The key column as ORDER BY has it. */
static Expr *
column_expr(const RelOptInfo *baserel, const TableMap *map,
			const KeyColumn *column, Oid collation)
{
	Form_pg_attribute att = TupleDescAttr(map->desc, column->attnum - 1);
	Var *var = makeVar((int) baserel->relid, column->attnum, att->atttypid,
					   att->atttypmod, att->attcollation, 0);
	Oid type = column->type == VARCHAROID ? TEXTOID : column->type;

	if (att->atttypid == type && att->attcollation == collation)
		return (Expr *) var;
	return (Expr *) makeRelabelType((Expr *) var, type, -1, collation,
									COERCE_IMPLICIT_CAST);
}

static List *
column_pathkey(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map,
			   const KeyColumn *column, Oid collation, bool reverse)
{
	TypeCacheEntry *type =
		lookup_type_cache(column->type, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	Oid op = reverse ? type->gt_opr : type->lt_opr;
	Expr *expr = column_expr(baserel, map, column, collation);

#if PG_VERSION_NUM >= 160000
	return build_expression_pathkey(root, expr, op, baserel->relids, false);
#else
	return build_expression_pathkey(root, expr, NULL, op, baserel->relids,
									false);
#endif
}

/* The order of the keys, as far as the query knows it. */
static List *
key_pathkeys(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map,
			 const MatchedKeys *matched, bool reverse)
{
	List *pathkeys = NIL;

	for (int i = 0; i < map->n_keys; i++)
	{
		const KeyColumn *column = &map->keys[i];
		List *pathkey = NIL;

		if (matched->fixed[i])
			continue;
		if (key_is_ordered(column, column->collation))
			pathkey = column_pathkey(root, baserel, map, column,
									 column->collation, reverse);
		else
			pathkey = column_pathkey(root, baserel, map, column,
									 C_COLLATION_OID, reverse);
		if (pathkey == NIL)
			break;
		pathkeys = list_concat(pathkeys, pathkey);
	}
	return pathkeys;
}

/* ------------------------------------------------------------------- paths */

static void
add_scan_path(PlannerInfo *root, RelOptInfo *baserel,
			  const MatchedKeys *matched, double rows, List *pathkeys,
			  bool reverse, Relids required_outer)
{
	ScanCost cost = cost_scan(root, baserel, matched, rows);
	List *private = list_make1(makeBoolean(reverse));
	ForeignPath *path;

#if PG_VERSION_NUM >= 180000
	path = create_foreignscan_path(root, baserel, NULL, rows, 0, cost.startup,
								   cost.total, pathkeys, required_outer, NULL,
								   NIL, private);
#elif PG_VERSION_NUM >= 170000
	path = create_foreignscan_path(root, baserel, NULL, rows, cost.startup,
								   cost.total, pathkeys, required_outer, NULL,
								   NIL, private);
#else
	path = create_foreignscan_path(root, baserel, NULL, rows, cost.startup,
								   cost.total, pathkeys, required_outer, NULL,
								   private);
#endif
	add_path(baserel, (Path *) path);
}

static void
add_plain_paths(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map)
{
	MatchedKeys *matched =
		match_keys(root, baserel, map, baserel->baserestrictinfo);
	List *forward = key_pathkeys(root, baserel, map, matched, false);
	List *backward = key_pathkeys(root, baserel, map, matched, true);

	add_scan_path(root, baserel, matched, baserel->rows,
				  truncate_useless_pathkeys(root, baserel, forward), false,
				  baserel->lateral_relids);
	backward = truncate_useless_pathkeys(root, baserel, backward);
	if (backward != NIL)
		add_scan_path(root, baserel, matched, baserel->rows, backward, true,
					  baserel->lateral_relids);
}

typedef struct KeyMember
{
	RelOptInfo *rel;
	AttrNumber attnum;
} KeyMember;

/* Is a member of an equivalence class the key column? */
static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
			  EquivalenceMember *em, void *arg)
{
	const KeyMember *key = arg;
	Node *expr = (Node *) em->em_expr;

	(void) root;
	(void) rel;
	(void) ec;
	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	return IsA(expr, Var) && ((Var *) expr)->varno == (int) key->rel->relid &&
		((Var *) expr)->varattno == key->attnum;
}

/* Clauses of joins that could bound the key columns. */
static List *
join_clauses(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map)
{
	List *clauses = NIL;
	ListCell *cell;

	foreach (cell, baserel->joininfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);

		if (join_clause_is_movable_to(rinfo, baserel))
			clauses = lappend(clauses, rinfo);
	}
	if (!baserel->has_eclass_joins)
		return clauses;
	for (int i = 0; i < map->n_keys; i++)
	{
		KeyMember member = {baserel, map->keys[i].attnum};

		clauses = list_concat(clauses,
							  generate_implied_equalities_for_column(
								  root, baserel, is_key_member, &member,
								  baserel->lateral_referencers));
	}
	return clauses;
}

/* Remember a set of tables, once. */
static List *
add_outer(List *outers, Relids outer)
{
	ListCell *cell;

	foreach (cell, outers)
		if (bms_equal(lfirst(cell), outer))
			return outers;
	return lappend(outers, outer);
}

/* The sets of tables whose columns could bound keys, and all of them. */
static List *
useful_outers(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map)
{
	List *clauses = join_clauses(root, baserel, map);
	List *outers = NIL;
	Relids all = NULL;
	ListCell *cell;

	foreach (cell, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, cell);
		Match match;
		Relids outer;

		if (!match_clause(root, baserel, map, rinfo, &match))
			continue;
		outer = bms_union(rinfo->clause_relids, baserel->lateral_relids);
		outer = bms_del_member(outer, (int) baserel->relid);
		if (bms_is_empty(outer))
			continue;
		outers = add_outer(outers, outer);
		all = bms_add_members(all, outer);
	}
	return all == NULL ? NIL : add_outer(outers, all);
}

/* Does the join bound what the query alone does not? */
static bool
is_better_bound(const MatchedKeys *matched, const MatchedKeys *alone)
{
	return matched->n_equal > alone->n_equal ||
		list_length(matched->matches) > list_length(alone->matches);
}

static void
add_join_paths(PlannerInfo *root, RelOptInfo *baserel, const TableMap *map)
{
	MatchedKeys *alone =
		match_keys(root, baserel, map, baserel->baserestrictinfo);
	ListCell *cell;

	foreach (cell, useful_outers(root, baserel, map))
	{
		Relids outer = lfirst(cell);
		ParamPathInfo *ppi = get_baserel_parampathinfo(root, baserel, outer);
		List *clauses =
			list_concat_copy(baserel->baserestrictinfo, ppi->ppi_clauses);
		MatchedKeys *matched = match_keys(root, baserel, map, clauses);

		if (is_better_bound(matched, alone))
			add_scan_path(root, baserel, matched, ppi->ppi_rows, NIL, false,
						  outer);
	}
}

void
tikvGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	const RelPlan *plan = baserel->fdw_private;

	(void) foreigntableid;
	add_plain_paths(root, baserel, plan->map);
	if (!plan->reads_ahead)
		add_join_paths(root, baserel, plan->map);
}

/* -------------------------------------------------------------------- plan */

List *
plan_matches(const MatchedKeys *matched, List **arguments)
{
	List *matches = NIL;
	ListCell *cell;

	*arguments = NIL;
	foreach (cell, matched->matches)
	{
		const Match *match = lfirst(cell);

		matches =
			lappend(matches, list_make2_int(match->key, (int) match->kind));
		*arguments = lappend(*arguments, match->argument);
	}
	return matches;
}

/* All columns, if the whole row is wanted. */
List *
plan_columns(const TableMap *map, Bitmapset *columns)
{
	bool all = bms_is_member(-FirstLowInvalidHeapAttributeNumber, columns);
	List *wanted = NIL;

	for (AttrNumber a = 1; a <= map->desc->natts; a++)
		if (!TupleDescAttr(map->desc, a - 1)->attisdropped &&
			(all ||
			 bms_is_member(a - FirstLowInvalidHeapAttributeNumber, columns)))
			wanted = lappend_int(wanted, a);
	return wanted;
}

/* How many rows the query wants, if it takes them as they come; 0 unknown. */
static int
wanted_rows(PlannerInfo *root, RelOptInfo *baserel, const MatchedKeys *matched)
{
	if (root->limit_tuples < 1 || root->limit_tuples > INT_MAX ||
		matched->others != NIL ||
		!bms_equal(root->all_baserels, baserel->relids))
		return 0;
	return (int) root->limit_tuples;
}

/* Locks of others: SKIP LOCKED would need an answer for each key. */
static bool
wants_no_wait(PlannerInfo *root, const RelOptInfo *baserel, const TableMap *map)
{
	PlanRowMark *mark = get_plan_rowmark(root->rowMarks, baserel->relid);

	if (mark == NULL || mark->strength == LCS_NONE)
		return false;
	if (mark->waitPolicy == LockWaitSkip && map->mode == KV_TXN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("SKIP LOCKED is not supported for foreign tables"),
				 errdetail("Foreign table \"%s\" is of mode txn.",
						   get_rel_name(map->relid))));
	return mark->waitPolicy == LockWaitError;
}

ForeignScan *
tikvGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
				   ForeignPath *best_path, List *tlist, List *scan_clauses,
				   Plan *outer_plan)
{
	const RelPlan *plan = baserel->fdw_private;
	MatchedKeys *matched = match_keys(root, baserel, plan->map, scan_clauses);
	Bitmapset *columns = NULL;
	List *settled = NIL;
	List *arguments;
	List *matches;
	List *private;
	ListCell *cell;

	(void) foreigntableid;
	foreach (cell, matched->matches)
	{
		const Match *match = lfirst(cell);

		settled = lappend(settled, match->clause->clause);
	}
	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid,
				   &columns);
	clauses_columns(matched->others, baserel->relid, &columns);
	matches = plan_matches(matched, &arguments);
	private = list_make5(matches, plan_columns(plan->map, columns),
						 linitial(best_path->fdw_private),
						 makeInteger(wanted_rows(root, baserel, matched)),
						 makeBoolean(plan->locks));
	private =
		lappend(private, makeBoolean(wants_no_wait(root, baserel, plan->map)));
	return make_foreignscan(tlist,
							extract_actual_clauses(matched->others, false),
							baserel->relid, arguments,
							lappend(private, makeBoolean(plan->reads_ahead)),
							NIL, settled, outer_plan);
}
