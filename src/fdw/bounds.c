/*
 * bounds.c
 *	  From conditions and their values to keys and ranges.
 *
 * Equal columns make the beginnings of keys, one for each combination of the
 * values of lists; what follows bounds a range behind each.  Beginnings are
 * sorted and each is there once, so keys come out in order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/fdw.h"

typedef struct BoundMatch
{
	const KeyColumn *column;
	MatchKind kind;
	ExprState *argument;
	Oid type; /* of the argument, or of its elements */
	int16 element_len;
	bool element_by_value;
	char element_align;
} BoundMatch;

struct Bounds
{
	const TableMap *map;
	int n;
	BoundMatch *matches;
	int n_equal; /* of them, from the first on */
};

static void
describe_match(const TableMap *map, List *match, Expr *argument,
			   PlanState *parent, BoundMatch *out)
{
	Oid type = getBaseType(exprType((Node *) argument));

	out->column = &map->keys[linitial_int(match)];
	out->kind = (MatchKind) lsecond_int(match);
	out->argument = ExecInitExpr(argument, parent);
	out->type = type;
	if (out->kind != MATCH_ANY)
		return;
	out->type = getBaseType(get_element_type(type));
	get_typlenbyvalalign(out->type, &out->element_len, &out->element_by_value,
						 &out->element_align);
}

Bounds *
bounds_new(const TableMap *map, List *matches, List *arguments,
		   PlanState *parent)
{
	Bounds *bounds = palloc0(sizeof(Bounds));
	ListCell *match;
	ListCell *argument;

	bounds->map = map;
	bounds->matches =
		palloc0(sizeof(BoundMatch) * Max(list_length(matches), 1));
	forboth(match, matches, argument, arguments)
	{
		BoundMatch *out = &bounds->matches[bounds->n++];

		describe_match(map, lfirst(match), lfirst(argument), parent, out);
		if (out->kind == MATCH_EQUAL || out->kind == MATCH_ANY)
			bounds->n_equal++;
	}
	return bounds;
}

/* -------------------------------------------------------------- beginnings */

/* Beginnings of keys, in no order. */
typedef struct Starts
{
	Bytes *items;
	int n;
} Starts;

/* The start with a part behind it; `room` bytes are left unused. */
static Bytes
append_part(Bytes start, KeyKind kind, const KeyPart *part)
{
	Size len = start.len + key_part_len(kind, part);
	uint8 *key = palloc(len + 1);

	if (start.len > 0)
		memcpy(key, start.data, start.len);
	(void) key_part_put(key + start.len, kind, part);
	return bytes_make(key, len);
}

/* The parts that the column may be, of one match. */
static KeyPart *
match_parts(const BoundMatch *match, ExprContext *context, int *n)
{
	bool null;
	Datum value = ExecEvalExpr(match->argument, context, &null);
	KeyPart *parts;
	Datum *elements;
	bool *nulls;
	int n_elements;

	*n = 0;
	if (null)
		return NULL;
	if (match->kind != MATCH_ANY)
	{
		parts = palloc0(sizeof(KeyPart));
		key_part_of_datum(match->type, value, parts);
		*n = 1;
		return parts;
	}
	deconstruct_array(DatumGetArrayTypeP(value), match->type,
					  match->element_len, match->element_by_value,
					  match->element_align, &elements, &nulls, &n_elements);
	parts = palloc0(sizeof(KeyPart) * Max(n_elements, 1));
	for (int i = 0; i < n_elements; i++)
		if (!nulls[i])
			key_part_of_datum(match->type, elements[i], &parts[(*n)++]);
	return parts;
}

static Starts
append_parts(const Starts *starts, const BoundMatch *match, const TableMap *map,
			 ExprContext *context)
{
	int n_parts;
	KeyPart *parts = match_parts(match, context, &n_parts);
	bool whole = map->key_format == KEY_FORMAT_WHOLE;
	Starts longer = {NULL, 0};

	longer.items =
		MemoryContextAllocHuge(CurrentMemoryContext,
							   sizeof(Bytes) *
								   Max((Size) starts->n * n_parts, 1));
	for (int i = 0; i < starts->n; i++)
		for (int k = 0; k < n_parts; k++)
		{
			CHECK_FOR_INTERRUPTS();
			longer.items[longer.n++] =
				append_part(whole ? bytes_empty() : starts->items[i],
							match->column->kind, &parts[k]);
		}
	return longer;
}

static int
compare_starts(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

static void
sort_starts(Starts *starts)
{
	int kept = 0;

	if (starts->n < 2)
		return;
	qsort(starts->items, starts->n, sizeof(Bytes), compare_starts);
	for (int i = 1; i < starts->n; i++)
		if (!bytes_eq(starts->items[kept], starts->items[i]))
			starts->items[++kept] = starts->items[i];
	starts->n = kept + 1;
}

/* ------------------------------------------------------------------ ranges */

/* What begins with the key and what follows it; of KEY_REST the key alone. */
static Bytes
behind(Bytes key, KeyKind kind)
{
	uint8 *end = palloc(key.len + 1);

	if (kind != KEY_REST)
		return key_prefix_end(key, end);
	if (key.len > 0)
		memcpy(end, key.data, key.len);
	end[key.len] = 0;
	return bytes_make(end, key.len + 1);
}

static void
raise_lower(KvRange *range, Bytes lower)
{
	if (bytes_cmp(lower, range->lower) > 0)
		range->lower = lower;
}

/* An empty upper bound of a range is no bound, of a condition neither. */
static void
lower_upper(KvRange *range, Bytes upper)
{
	if (upper.len > 0 &&
		(range->upper.len == 0 || bytes_cmp(upper, range->upper) < 0))
		range->upper = upper;
}

/* All byte strings that begin with a text lie from it on to its end. */
static void
narrow_to_start(KvRange *range, Bytes start, KeyKind kind, const KeyPart *part)
{
	KeyPart end = {0};

	end.bytes = key_prefix_end(part->bytes, palloc(part->bytes.len + 1));
	raise_lower(range, append_part(start, kind, part));
	if (end.bytes.len > 0)
		lower_upper(range, append_part(start, kind, &end));
}

static void
narrow(KvRange *range, Bytes start, const BoundMatch *match,
	   const KeyPart *part)
{
	KeyKind kind = match->column->kind;
	Bytes key = append_part(start, kind, part);

	switch (match->kind)
	{
		case MATCH_LESS:
			/* Below the first key of all, which is empty, there is none. */
			if (key.len == 0)
				range->upper = range->lower = bytes_make("", 1);
			lower_upper(range, key);
			break;
		case MATCH_LESS_EQUAL:
			lower_upper(range, behind(key, kind));
			break;
		case MATCH_GREATER_EQUAL:
			raise_lower(range, key);
			break;
		case MATCH_GREATER:
			key = behind(key, kind);
			if (key.len == 0)
				range->upper = range->lower = bytes_make("", 1);
			raise_lower(range, key);
			break;
		case MATCH_START:
			narrow_to_start(range, start, kind, part);
			break;
		case MATCH_EQUAL:
		case MATCH_ANY:
			break;
	}
}

/* The parts that the range conditions name; false if one is NULL. */
static bool
range_parts(const Bounds *bounds, ExprContext *context, KeyPart *parts)
{
	for (int i = bounds->n_equal; i < bounds->n; i++)
	{
		int n;
		KeyPart *part = match_parts(&bounds->matches[i], context, &n);

		if (n == 0)
			return false;
		parts[i] = *part;
	}
	return true;
}

static void
make_ranges(const Bounds *bounds, const Starts *starts, ExprContext *context,
			BoundsResult *result)
{
	KeyPart *parts = palloc0(sizeof(KeyPart) * Max(bounds->n, 1));
	bool whole = bounds->map->key_format == KEY_FORMAT_WHOLE;

	if (!range_parts(bounds, context, parts))
		return;
	result->ranges =
		MemoryContextAllocHuge(CurrentMemoryContext,
							   sizeof(KvRange) * Max(starts->n, 1));
	for (int i = 0; i < starts->n; i++)
	{
		Bytes start = starts->items[i];
		KvRange *range = &result->ranges[result->n_ranges];

		range->lower = start;
		range->upper = key_prefix_end(start, palloc(start.len + 1));
		for (int k = bounds->n_equal; k < bounds->n; k++)
			narrow(range, whole ? bytes_empty() : start, &bounds->matches[k],
				   &parts[k]);
		if (!kv_range_is_empty(range))
			result->n_ranges++;
	}
}

/* Whole keys may be named that are outside the table: they are not in it. */
static void
drop_outside(const TableMap *map, Starts *starts)
{
	KvRange range = table_map_range(map);
	int kept = 0;

	for (int i = 0; i < starts->n; i++)
		if (bytes_cmp(starts->items[i], range.lower) >= 0 &&
			(range.upper.len == 0 ||
			 bytes_cmp(starts->items[i], range.upper) < 0))
			starts->items[kept++] = starts->items[i];
	starts->n = kept;
}

void
bounds_evaluate(Bounds *bounds, ExprContext *context, BoundsResult *result)
{
	const TableMap *map = bounds->map;
	Bytes prefix = map->prefix;
	Starts starts = {&prefix, 1};

	memset(result, 0, sizeof(*result));
	for (int i = 0; i < bounds->n_equal && starts.n > 0; i++)
		starts = append_parts(&starts, &bounds->matches[i], map, context);
	sort_starts(&starts);
	if (bounds->n_equal < map->n_keys)
	{
		make_ranges(bounds, &starts, context, result);
		return;
	}
	if (map->key_format == KEY_FORMAT_WHOLE)
		drop_outside(map, &starts);
	result->keys = starts.items;
	result->n_keys = starts.n;
}
