/*
 * match.c
 *	  Which conditions of a query bound the keys that have to be read.
 *
 * A condition bounds a key column if it compares the column with something
 * that is known before the table is read: constants, parameters, columns of
 * tables that a join has read already.  As of an index, equalities of the first
 * columns count, then ranges of the next one.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "fdw/fdw.h"

/*
 * Several lists name so many keys, or ranges, at most; looking for them takes
 * some 60 ms, or two seconds.
 */
#define MOST_COMBINATIONS 65536.0

/* text ^@ text; Postgres has no macro for it. */
#define TEXT_STARTS_WITH_OP 3877

/* What match_clause works on. */
typedef struct Matching
{
	PlannerInfo *root;
	RelOptInfo *rel;
	const TableMap *map;
} Matching;

bool
key_is_ordered(const KeyColumn *column, Oid collation)
{
	if (column->type != TEXTOID && column->type != VARCHAROID)
		return true;
	if (!OidIsValid(collation))
		return false;
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

/* The key column that the expression is, or NULL. */
static const KeyColumn *
key_of_expr(const Matching *m, Node *expr, int *key)
{
	const Var *var;

	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	if (!IsA(expr, Var))
		return NULL;
	var = (const Var *) expr;
	if (var->varno != (int) m->rel->relid || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return NULL;
	*key = table_map_key(m->map, var->varattno);
	return *key < 0 ? NULL : &m->map->keys[*key];
}

static bool
has_exec_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	return expression_tree_walker(node, has_exec_param, context);
}

/*
 * Can it be evaluated before the table is read?  If all is read ahead, no
 * row of another table is known by then.
 */
static bool
is_known_before(const Matching *m, Node *expr)
{
	const RelPlan *plan = m->rel->fdw_private;

	if (plan->reads_ahead && has_exec_param(expr, NULL))
		return false;
	return !bms_is_member((int) m->rel->relid, pull_varnos(m->root, expr)) &&
		!contain_volatile_functions(expr) && !contain_subplans(expr);
}

/* Is the operator's other argument of a type with the same encoding? */
static bool
is_same_kind(const KeyColumn *column, Oid type)
{
	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return type == INT2OID || type == INT4OID || type == INT8OID;
		case TEXTOID:
		case VARCHAROID:
			return type == TEXTOID;
		default:
			return type == column->type;
	}
}

static bool
kind_of_strategy(int strategy, MatchKind *kind)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			*kind = MATCH_LESS;
			return true;
		case BTLessEqualStrategyNumber:
			*kind = MATCH_LESS_EQUAL;
			return true;
		case BTEqualStrategyNumber:
			*kind = MATCH_EQUAL;
			return true;
		case BTGreaterEqualStrategyNumber:
			*kind = MATCH_GREATER_EQUAL;
			return true;
		case BTGreaterStrategyNumber:
			*kind = MATCH_GREATER;
			return true;
		default:
			return false;
	}
}

/* What column OP argument says about the column's bytes. */
static bool
kind_of_operator(const KeyColumn *column, Oid op, Oid collation,
				 MatchKind *kind)
{
	TypeCacheEntry *type =
		lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY);
	Oid left;
	Oid right;

	op_input_types(op, &left, &right);
	if (!is_same_kind(column, right))
		return false;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	if (OidIsValid(type->btree_opf) &&
		kind_of_strategy(get_op_opfamily_strategy(op, type->btree_opf), kind))
		return *kind == MATCH_EQUAL || key_is_ordered(column, collation);

	/* ~<~ and its like compare bytes under every collation. */
	return kind_of_strategy(
		get_op_opfamily_strategy(op, TEXT_PATTERN_BTREE_FAM_OID), kind);
}

/* --------------------------------------------------------------- patterns */

/*
 * The text that everything LIKE the pattern begins with, and what follows it
 * in the pattern; empty if that is no pattern, which Postgres shall say.
 */
static Bytes
fixed_start(Bytes pattern, Bytes *rest)
{
	char *start = palloc(pattern.len + 1);
	size_t len = 0;
	size_t at = 0;

	while (at < pattern.len && pattern.data[at] != '%' &&
		   pattern.data[at] != '_')
	{
		if (pattern.data[at] == '\\' && ++at == pattern.len)
			return bytes_empty();
		start[len++] = (char) pattern.data[at++];
	}
	*rest = bytes_make(pattern.data + at, pattern.len - at);
	return bytes_make(start, len);
}

static bool
match_like(Node *argument, Match *match)
{
	const Const *constant = (const Const *) argument;
	struct varlena *pattern;
	Bytes start;
	Bytes rest = bytes_empty();

	if (!IsA(argument, Const) || constant->constisnull)
		return false;
	pattern = PG_DETOAST_DATUM_PACKED(constant->constvalue);
	start = fixed_start(bytes_make(VARDATA_ANY(pattern),
								   VARSIZE_ANY_EXHDR(pattern)),
						&rest);
	if (start.len == 0)
		return false;
	match->kind = rest.len == 0 ? MATCH_EQUAL : MATCH_START;
	match->exact = rest.len == 0 || bytes_eq(rest, bytes_cstr("%"));
	match->argument = (Expr *)
		makeConst(constant->consttype, -1, constant->constcollid, -1,
				  PointerGetDatum(cstring_to_text_with_len((const char *)
															   start.data,
														   (int) start.len)),
				  false, false);
	return true;
}

static bool
match_pattern(const KeyColumn *column, Oid op, Node *argument, Match *match)
{
	bool is_text = column->type == TEXTOID || column->type == VARCHAROID;

	if ((is_text && op == OID_TEXT_LIKE_OP) ||
		(column->type == BYTEAOID && op == OID_BYTEA_LIKE_OP))
		return match_like(argument, match);
	if (!is_text || op != TEXT_STARTS_WITH_OP)
		return false;
	match->kind = MATCH_START;
	return true;
}

/* ---------------------------------------------------------------- clauses */

static bool
match_operator(const Matching *m, OpExpr *op, Match *match)
{
	Oid opno = op->opno;
	const KeyColumn *column;

	if (list_length(op->args) != 2)
		return false;
	column = key_of_expr(m, linitial(op->args), &match->key);
	match->argument = lsecond(op->args);
	if (column == NULL)
	{
		column = key_of_expr(m, lsecond(op->args), &match->key);
		match->argument = linitial(op->args);
		opno = get_commutator(opno);
	}
	if (column == NULL || !OidIsValid(opno) ||
		!is_known_before(m, (Node *) match->argument))
		return false;
	return kind_of_operator(column, opno, op->inputcollid, &match->kind) ||
		match_pattern(column, opno, (Node *) match->argument, match);
}

static bool
match_array(const Matching *m, ScalarArrayOpExpr *op, Match *match)
{
	const KeyColumn *column = key_of_expr(m, linitial(op->args), &match->key);
	MatchKind kind;

	match->argument = lsecond(op->args);
	match->kind = MATCH_ANY;
	return column != NULL && op->useOr &&
		is_known_before(m, (Node *) match->argument) &&
		kind_of_operator(column, op->opno, op->inputcollid, &kind) &&
		kind == MATCH_EQUAL;
}

static bool
match_function(const Matching *m, FuncExpr *function, Match *match)
{
	if (function->funcid != F_STARTS_WITH)
		return false;
	match->kind = MATCH_START;
	match->argument = lsecond(function->args);
	return key_of_expr(m, linitial(function->args), &match->key) != NULL &&
		is_known_before(m, (Node *) match->argument);
}

/* A boolean column alone, or its negation. */
static bool
match_boolean(const Matching *m, Node *clause, Match *match)
{
	bool value = true;
	const KeyColumn *column;

	if (is_notclause(clause))
	{
		value = false;
		clause = (Node *) get_notclausearg(clause);
	}
	column = key_of_expr(m, clause, &match->key);
	if (column == NULL || column->type != BOOLOID)
		return false;
	match->kind = MATCH_EQUAL;
	match->argument = (Expr *) makeBoolConst(value, false);
	return true;
}

bool
match_clause(PlannerInfo *root, RelOptInfo *rel, const TableMap *map,
			 RestrictInfo *rinfo, Match *match)
{
	Matching m = {root, rel, map};
	Node *clause = (Node *) rinfo->clause;

	memset(match, 0, sizeof(*match));
	match->clause = rinfo;
	match->exact = true;
	if (rinfo->pseudoconstant)
		return false;
	if (IsA(clause, OpExpr))
		return match_operator(&m, (OpExpr *) clause, match);
	if (IsA(clause, ScalarArrayOpExpr))
		return match_array(&m, (ScalarArrayOpExpr *) clause, match);
	if (IsA(clause, FuncExpr))
		return match_function(&m, (FuncExpr *) clause, match);
	return match_boolean(&m, clause, match);
}

/* ---------------------------------------------------------- all of a scan */

/* Add the column's match of the kind; false if there is none. */
static bool
take_first(MatchedKeys *matched, List *found, int key, MatchKind kind)
{
	ListCell *cell;

	foreach (cell, found)
	{
		Match *match = lfirst(cell);

		if (match->key != key || match->kind != kind)
			continue;
		matched->matches = lappend(matched->matches, match);
		return true;
	}
	return false;
}

static void
take_ranges(MatchedKeys *matched, List *found, int key)
{
	ListCell *cell;

	foreach (cell, found)
	{
		Match *match = lfirst(cell);

		if (match->key == key && match->kind >= MATCH_LESS)
			matched->matches = lappend(matched->matches, match);
	}
}

static void
take_matches(MatchedKeys *matched, const TableMap *map, List *found)
{
	for (int key = 0; key < map->n_keys; key++)
	{
		if (take_first(matched, found, key, MATCH_EQUAL))
			matched->fixed[key] = true;
		else if (take_first(matched, found, key, MATCH_ANY))
			matched->has_any = true;
		else
		{
			take_ranges(matched, found, key);
			return;
		}
		matched->n_equal++;
	}
	matched->all_equal = true;
}

/* ------------------------------------------------- combinations of lists */

static double
list_length_of(PlannerInfo *root, const Match *match)
{
	double length = 1;

	if (match->kind != MATCH_ANY)
		return 1;
#if PG_VERSION_NUM >= 170000
	length = estimate_array_length(root, (Node *) match->argument);
#else
	(void) root;
	length = estimate_array_length((Node *) match->argument);
#endif
	return Max(length, 1);
}

double
match_combinations(PlannerInfo *root, const List *matches)
{
	double n = 1;
	ListCell *cell;

	foreach (cell, matches)
		n *= list_length_of(root, lfirst(cell));
	return n;
}

/* How many matches, from the first on, make few enough: one list at least. */
static int
affordable_matches(PlannerInfo *root, const List *matches)
{
	double n = 1;
	int used = 0;
	ListCell *cell;

	foreach (cell, matches)
	{
		double length = list_length_of(root, lfirst(cell));

		if (n > 1 && length > 1 && n * length > MOST_COMBINATIONS)
			break;
		n *= length;
		used++;
	}
	return used;
}

/* Keys of the table that the matches leave; 0 if it was never analyzed. */
static double
known_keys(const Matching *m, const List *matches)
{
	const RelPlan *plan = m->rel->fdw_private;
	List *clauses = NIL;
	ListCell *cell;

	if (plan->tuples <= 0)
		return 0;
	foreach (cell, matches)
		clauses = lappend(clauses, ((const Match *) lfirst(cell))->clause);
	return plan->tuples *
		clauselist_selectivity(m->root, clauses, 0, JOIN_INNER, NULL);
}

/*
 * A product of lists that is too large is cut: the ranges of its first lists
 * are read and the others checked, unless that is known to be more.  What is
 * locked is named: keys between would be locked, too.
 */
static void
bound_combinations(const Matching *m, MatchedKeys *matched)
{
	const RelPlan *plan = m->rel->fdw_private;
	int n = affordable_matches(m->root, matched->matches);
	double asked = match_combinations(m->root, matched->matches);
	List *kept;

	if (n == list_length(matched->matches) || plan->locks)
		return;
	if (!matched->all_equal)
		asked *= COST_REQUEST / COST_KEY;
	kept = list_truncate(list_copy(matched->matches), n);
	if (known_keys(m, kept) > asked)
		return;
	matched->matches = kept;
	matched->n_equal = n;
	matched->all_equal = false;
}

/* ------------------------------------------------------------ what is left */

/* Columns of a key are never NULL; min() and max() ask. */
static bool
is_always_true(const Matching *m, const RestrictInfo *clause)
{
	const NullTest *test = (const NullTest *) clause->clause;
	int key;

	return IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL &&
		!test->argisrow && key_of_expr(m, (Node *) test->arg, &key) != NULL;
}

static bool
is_settled(const MatchedKeys *matched, const RestrictInfo *clause)
{
	ListCell *cell;

	foreach (cell, matched->matches)
	{
		const Match *match = lfirst(cell);

		if (match->clause == clause)
			return match->exact;
	}
	return false;
}

MatchedKeys *
match_keys(PlannerInfo *root, RelOptInfo *rel, const TableMap *map,
		   List *clauses)
{
	Matching m = {root, rel, map};
	MatchedKeys *matched = palloc0(sizeof(MatchedKeys));
	List *found = NIL;
	ListCell *cell;

	matched->fixed = palloc0(sizeof(bool) * Max(map->n_keys, 1));
	foreach (cell, clauses)
	{
		Match *match = palloc(sizeof(Match));

		if (match_clause(root, rel, map, lfirst(cell), match))
			found = lappend(found, match);
	}
	take_matches(matched, map, found);
	bound_combinations(&m, matched);
	foreach (cell, clauses)
		if (!is_settled(matched, lfirst(cell)) &&
			!is_always_true(&m, lfirst(cell)))
			matched->others = lappend(matched->others, lfirst(cell));
	return matched;
}
