/*
 * bounds.c
 *	  From conditions and their values to keys and ranges.
 *
 * Equal columns make the beginnings of keys, one for each combination of the
 * values of lists; what follows bounds a range behind each.  Of each list the
 * parts are sorted and each is there once; no part is the beginning of another
 * of its kind, so that combinations, counted through like the digits of a
 * number, come out in the order of keys.  They are made as they are asked for:
 * short lists of several columns have products that no memory holds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/fdw.h"
#include "sqlapi/sqlapi.h"

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

/* What one equal column may be: encoded, in order, each once. */
typedef struct PartList
{
	Bytes *items;
	int n;
	int at; /* of the combination that comes next */
} PartList;

struct Bounds
{
	const TableMap *map;
	int n;
	BoundMatch *matches;
	int n_equal; /* of them, from the first on */

	PartList *lists; /* of the equal ones */
	KeyPart *parts;	 /* of each of the others */
	bool impossible; /* nothing can match */
	bool reverse;
	bool at_end;
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
	bounds->lists = palloc0(sizeof(PartList) * Max(list_length(matches), 1));
	bounds->parts = palloc0(sizeof(KeyPart) * Max(list_length(matches), 1));
	bounds->at_end = true;
	forboth(match, matches, argument, arguments)
	{
		BoundMatch *out = &bounds->matches[bounds->n++];

		describe_match(map, lfirst(match), lfirst(argument), parent, out);
		if (out->kind == MATCH_EQUAL || out->kind == MATCH_ANY)
			bounds->n_equal++;
	}
	return bounds;
}

/* ------------------------------------------------------------------- parts */

/* The start with a part behind it. */
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

static int
compare_parts(const void *a, const void *b)
{
	return bytes_cmp(*(const Bytes *) a, *(const Bytes *) b);
}

static void
sort_parts(PartList *list)
{
	int kept = 0;

	if (list->n < 2)
		return;
	qsort(list->items, list->n, sizeof(Bytes), compare_parts);
	for (int i = 1; i < list->n; i++)
		if (!bytes_eq(list->items[kept], list->items[i]))
			list->items[++kept] = list->items[i];
	list->n = kept + 1;
}

/* Whole keys may be named that are outside the table: they are not in it. */
static void
drop_outside(const TableMap *map, PartList *list)
{
	KvRange range = table_map_range(map);
	int kept = 0;

	for (int i = 0; i < list->n; i++)
		if (bytes_cmp(list->items[i], range.lower) >= 0 &&
			(range.upper.len == 0 ||
			 bytes_cmp(list->items[i], range.upper) < 0))
			list->items[kept++] = list->items[i];
	list->n = kept;
}

static void
take_list(const Bounds *bounds, const BoundMatch *match, ExprContext *context,
		  PartList *list)
{
	KeyPart *parts = match_parts(match, context, &list->n);

	list->items =
		MemoryContextAllocHuge(CurrentMemoryContext,
							   sizeof(Bytes) * Max((Size) list->n, 1));
	for (int i = 0; i < list->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		list->items[i] =
			append_part(bytes_empty(), match->column->kind, &parts[i]);
	}
	sort_parts(list);
	if (bounds->map->key_format == KEY_FORMAT_WHOLE)
		drop_outside(bounds->map, list);
}

/* ------------------------------------------------------------ combinations */

/* The beginning that comes next. */
static Bytes
next_start(const Bounds *bounds)
{
	bool whole = bounds->map->key_format == KEY_FORMAT_WHOLE;
	Bytes prefix =
		whole && bounds->n_equal > 0 ? bytes_empty() : bounds->map->prefix;
	Size len = prefix.len;
	uint8 *key;

	for (int i = 0; i < bounds->n_equal; i++)
		len += bounds->lists[i].items[bounds->lists[i].at].len;
	key = palloc(len + 1);
	len = prefix.len;
	if (len > 0)
		memcpy(key, prefix.data, len);
	for (int i = 0; i < bounds->n_equal; i++)
	{
		Bytes part = bounds->lists[i].items[bounds->lists[i].at];

		if (part.len > 0)
			memcpy(key + len, part.data, part.len);
		len += part.len;
	}
	return bytes_make(key, len);
}

static void
step(Bounds *bounds)
{
	for (int i = bounds->n_equal; i-- > 0;)
	{
		PartList *list = &bounds->lists[i];

		list->at += bounds->reverse ? -1 : 1;
		if (list->at >= 0 && list->at < list->n)
			return;
		list->at = bounds->reverse ? list->n - 1 : 0;
	}
	bounds->at_end = true;
}

static void
rewind_to(Bounds *bounds, bool reverse)
{
	bounds->reverse = reverse;
	bounds->at_end = bounds_count(bounds) == 0;
	for (int i = 0; i < bounds->n_equal; i++)
		bounds->lists[i].at = reverse ? bounds->lists[i].n - 1 : 0;
}

uint64
bounds_count(const Bounds *bounds)
{
	uint64 n = bounds->impossible ? 0 : 1;

	for (int i = 0; i < bounds->n_equal; i++)
	{
		if (bounds->lists[i].n == 0)
			return 0;
		if (pg_mul_u64_overflow(n, (uint64) bounds->lists[i].n, &n))
			n = PG_UINT64_MAX;
	}
	return n;
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

/* Of the range conditions, with bytes of their own; false if one is NULL. */
static bool
take_range_parts(Bounds *bounds, ExprContext *context)
{
	for (int i = bounds->n_equal; i < bounds->n; i++)
	{
		int n;
		KeyPart *part = match_parts(&bounds->matches[i], context, &n);

		if (n == 0)
			return false;
		bounds->parts[i] = *part;
		bounds->parts[i].bytes = bytes_copy(part->bytes);
	}
	return true;
}

static KvRange
range_behind(const Bounds *bounds, Bytes start)
{
	bool whole = bounds->map->key_format == KEY_FORMAT_WHOLE;
	KvRange range = {start, key_prefix_end(start, palloc(start.len + 1))};

	for (int i = bounds->n_equal; i < bounds->n; i++)
		narrow(&range, whole ? bytes_empty() : start, &bounds->matches[i],
			   &bounds->parts[i]);
	return range;
}

/* ------------------------------------------------------------------- users */

bool
bounds_are_keys(const Bounds *bounds)
{
	return bounds->n_equal == bounds->map->n_keys;
}

void
bounds_evaluate(Bounds *bounds, ExprContext *context, bool reverse)
{
	KvRange first;

	bounds->impossible = false;
	for (int i = 0; i < bounds->n_equal; i++)
		take_list(bounds, &bounds->matches[i], context, &bounds->lists[i]);
	bounds->impossible = !take_range_parts(bounds, context);
	rewind_to(bounds, false);
	if (bounds->at_end)
		return;
	if (!bounds_are_keys(bounds))
	{
		/* What is empty behind one beginning is so behind all. */
		first = range_behind(bounds, next_start(bounds));
		bounds->impossible = kv_range_is_empty(&first);
	}
	rewind_to(bounds, reverse);
}

int
bounds_next_keys(Bounds *bounds, Bytes *keys, int max)
{
	int n = 0;

	while (n < max && !bounds->at_end)
	{
		keys[n++] = next_start(bounds);
		step(bounds);
	}
	return n;
}

bool
bounds_next_range(Bounds *bounds, KvRange *range)
{
	while (!bounds->at_end)
	{
		CHECK_FOR_INTERRUPTS();
		*range = range_behind(bounds, next_start(bounds));
		step(bounds);
		if (!kv_range_is_empty(range))
			return true;
	}
	return false;
}
