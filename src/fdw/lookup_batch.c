/*
 * lookup_batch.c
 *	  Rows of the other side of a lookup join, and the keys they look for.
 *
 * They lie one behind the other in memory that goes with the batch.  What an
 * argument of the key is of all rows is settled beforehand: mostly it is a
 * column of the other side, and no expression is evaluated.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/lookup_join.h"

/* Keys get memory in pieces, not each its own. */
#define KEY_ROOM ((Size) 4096)

/* What a column of the key is, of a row of the other side. */
typedef struct Argument
{
	int column;		  /* one of the row's, from 0 on; or NO_COLUMN */
	ExprState *state; /* then this */
	Oid type;
} Argument;

#define NO_COLUMN (-1)

struct LookupBatch
{
	MemoryContext context;
	const TableMap *map;
	TupleDesc desc; /* of the other side */
	Argument *arguments;
	bool has_expressions;
	bool has_references; /* columns that are no values by themselves */
	Datum *values;		 /* of all rows, one behind the other */
	bool *nulls;
	Bytes *keys;
	int n;
	Size empty; /* bytes allocated before the first row */
	uint8 *room;
	Size room_left;
};

/* The column that the expression is in all rows, or NO_COLUMN. */
static int
column_of(const Expr *expr, int n_outer)
{
	const Var *var;

	while (IsA(expr, RelabelType))
		expr = ((const RelabelType *) expr)->arg;
	var = (const Var *) expr;
	if (!IsA(expr, Var) || var->varattno < 1 || var->varattno > n_outer)
		return NO_COLUMN;
	return var->varattno - 1;
}

LookupBatch *
lookup_batch_new(const TableMap *map, PlanState *ps, TupleDesc desc,
				 List *arguments)
{
	LookupBatch *batch = palloc0(sizeof(LookupBatch));
	ListCell *cell;

	batch->context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw batch",
							  ALLOCSET_DEFAULT_SIZES);
	batch->map = map;
	batch->desc = desc;
	batch->arguments = palloc(sizeof(Argument) * list_length(arguments));
	foreach (cell, arguments)
	{
		Argument *argument = &batch->arguments[foreach_current_index(cell)];

		argument->column = column_of(lfirst(cell), desc->natts);
		argument->state = ExecInitExpr(lfirst(cell), ps);
		argument->type = getBaseType(exprType(lfirst(cell)));
		if (argument->column == NO_COLUMN)
			batch->has_expressions = true;
	}
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attbyval)
			batch->has_references = true;
	return batch;
}

MemoryContext
lookup_batch_context(const LookupBatch *batch)
{
	return batch->context;
}

/* Is every value of one type a value of the other, with the same bytes? */
static bool
is_part_of(Oid type, Oid other)
{
	return type == other || (type == INT4OID && other == INT8OID) ||
		(type == INT2OID && (other == INT4OID || other == INT8OID));
}

bool
lookup_batch_has_types(const LookupBatch *batch)
{
	for (int i = 0; i < batch->map->n_keys; i++)
		if (!is_part_of(batch->arguments[i].type, batch->map->keys[i].type))
			return false;
	return true;
}

void
lookup_batch_begin(LookupBatch *batch, int most)
{
	MemoryContext caller;
	Size n = (Size) most;
	Size n_outer = (Size) batch->desc->natts;

	MemoryContextReset(batch->context);
	caller = MemoryContextSwitchTo(batch->context);
	batch->n = 0;
	batch->room_left = 0;
	batch->keys = palloc(sizeof(Bytes) * n);
	batch->values = palloc(sizeof(Datum) * n * n_outer + 1);
	batch->nulls = palloc(sizeof(bool) * n * n_outer + 1);
	batch->empty = MemoryContextMemAllocated(batch->context, false);
	MemoryContextSwitchTo(caller);
}

void
lookup_batch_end(LookupBatch *batch)
{
	MemoryContextReset(batch->context);
	batch->n = 0;
}

Size
lookup_batch_bytes(const LookupBatch *batch)
{
	return MemoryContextMemAllocated(batch->context, false) - batch->empty;
}

/* ------------------------------------------------------------------- a row */

void
lookup_batch_expect(const LookupBatch *batch, int i)
{
	Size at = (Size) batch->desc->natts * (Size) i;

	__builtin_prefetch(batch->values + at);
	__builtin_prefetch(batch->nulls + at);
}

void
lookup_batch_row(const LookupBatch *batch, int i, TupleTableSlot *row)
{
	int n = batch->desc->natts;
	const Datum *values = batch->values + (Size) n * (Size) i;
	const bool *nulls = batch->nulls + (Size) n * (Size) i;

	/* Somebody may have made the row before one of its own memory. */
	if (TTS_SHOULDFREE(row))
		ExecClearTuple(row);
	for (int k = 0; k < n; k++)
	{
		row->tts_values[k] = values[k];
		row->tts_isnull[k] = nulls[k];
	}
	for (int k = n; k < row->tts_tupleDescriptor->natts; k++)
		row->tts_isnull[k] = true;
	if (TTS_EMPTY(row))
		ExecStoreVirtualTuple(row);
}

/* The columns of the next row, in the batch's memory. */
static void
keep_columns(LookupBatch *batch, TupleTableSlot *outer)
{
	int n = batch->desc->natts;
	Datum *values = batch->values + (Size) n * (Size) batch->n;
	bool *nulls = batch->nulls + (Size) n * (Size) batch->n;

	slot_getallattrs(outer);
	for (int k = 0; k < n; k++)
	{
		values[k] = outer->tts_values[k];
		nulls[k] = outer->tts_isnull[k];
	}
	if (!batch->has_references)
		return;
	for (int k = 0; k < n; k++)
	{
		Form_pg_attribute att = TupleDescAttr(batch->desc, k);
		MemoryContext caller;

		if (att->attbyval || nulls[k])
			continue;
		caller = MemoryContextSwitchTo(batch->context);
		values[k] = datumCopy(values[k], false, att->attlen);
		MemoryContextSwitchTo(caller);
	}
}

static uint8 *
key_room(LookupBatch *batch, Size len)
{
	uint8 *key;

	if (batch->room_left < len || batch->room_left == 0)
	{
		batch->room_left = Max(len, KEY_ROOM);
		batch->room = MemoryContextAlloc(batch->context, batch->room_left);
	}
	key = batch->room;
	batch->room += len;
	batch->room_left -= len;
	return key;
}

/* A part of the key, of the row that was kept last; false if it is NULL. */
static bool
key_part_of_row(const LookupBatch *batch, const Argument *argument,
				ExprContext *context, KeyPart *part)
{
	Size row = (Size) batch->desc->natts * (Size) batch->n;
	Datum value;
	bool null;

	if (argument->column != NO_COLUMN)
	{
		value = batch->values[row + (Size) argument->column];
		null = batch->nulls[row + (Size) argument->column];
	}
	else
		value = ExecEvalExprSwitchContext(argument->state, context, &null);
	if (null)
		return false;
	*part = (KeyPart){0};
	key_part_of_datum(argument->type, value, part);
	return true;
}

/* The key that the row names; without data if a part of it is NULL. */
static Bytes
key_of_row(LookupBatch *batch, ExprContext *context)
{
	const TableMap *map = batch->map;
	KeyPart parts[INDEX_MAX_KEYS];
	Bytes prefix =
		map->key_format == KEY_FORMAT_WHOLE ? bytes_empty() : map->prefix;
	Size len = prefix.len;
	uint8 *key;
	uint8 *p;

	for (int i = 0; i < map->n_keys; i++)
	{
		if (!key_part_of_row(batch, &batch->arguments[i], context, &parts[i]))
			return bytes_empty();
		len += key_part_len(map->keys[i].kind, &parts[i]);
	}
	p = key = key_room(batch, len);
	if (prefix.len > 0)
		memcpy(p, prefix.data, prefix.len);
	p += prefix.len;
	for (int i = 0; i < map->n_keys; i++)
		p = key_part_put(p, map->keys[i].kind, &parts[i]);
	return bytes_make(key, len);
}

void
lookup_batch_keep(LookupBatch *batch, TupleTableSlot *outer,
				  ExprContext *context, TupleTableSlot *row)
{
	MemoryContext caller;

	keep_columns(batch, outer);
	if (batch->has_expressions)
	{
		lookup_batch_row(batch, batch->n, row);
		context->ecxt_scantuple = row;
	}
	caller = MemoryContextSwitchTo(context->ecxt_per_tuple_memory);
	batch->keys[batch->n] = key_of_row(batch, context);
	MemoryContextSwitchTo(caller);
	batch->n++;
}

int
lookup_batch_n(const LookupBatch *batch)
{
	return batch->n;
}

const Bytes *
lookup_batch_keys(const LookupBatch *batch)
{
	return batch->keys;
}
