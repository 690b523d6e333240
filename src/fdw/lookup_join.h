/*
 * lookup_join.h
 *	  A join that gets the keys of a foreign table in batches: between its
 *	  planning and its execution.
 */
#ifndef TIKV_FDW_LOOKUP_JOIN_H
#define TIKV_FDW_LOOKUP_JOIN_H

#include "fdw/fdw.h"
#include "nodes/extensible.h"

/* custom_private of the plan, a list of these. */
enum LookupPrivate
{
	LOOKUP_TABLE,	/* Integer: which of the plan's custom_relids */
	LOOKUP_OUTER,	/* Integer: columns of the other side */
	LOOKUP_COLUMNS, /* int list: those of the table, behind them in a row */
	LOOKUP_LEFT,	/* Boolean: rows without a match are kept */
	LOOKUP_FIRST,	/* Integer: rows of the first batch */
	LOOKUP_ORDERED, /* Boolean: in the order of the other side */
	LOOKUP_USER		/* Oid list of one: whose rights count; 0: the session's */
};

/* custom_exprs of the plan, each a list of expressions. */
enum LookupExprs
{
	LOOKUP_ARGUMENTS,  /* the values of the key columns */
	LOOKUP_JOIN_QUALS, /* of a left join, what makes a match */
	LOOKUP_CONDITION   /* for EXPLAIN */
};

/* Rows of a first batch, if not all may be wanted. */
#define LOOKUP_FIRST_BATCH 64

/* Most keys of one request. */
#define LOOKUP_KEYS 1024

/* Most rows of one batch: the more, the more of them are neighbours. */
#define LOOKUP_BATCH 16384

/* ---- lookup_batch.c ---- */

/* Rows of the other side, and the keys that they look for. */
typedef struct LookupBatch LookupBatch;

/* `arguments` are the expressions of the key's columns, over the join's rows. */
extern LookupBatch *lookup_batch_new(const TableMap *map, PlanState *ps,
									 TupleDesc desc, List *arguments);

/* Are the values that keys are made of those of the table's own types? */
extern bool lookup_batch_has_types(const LookupBatch *batch);

/* Begin anew with room for so many rows; end: keep none. */
extern void lookup_batch_begin(LookupBatch *batch, int most);
extern void lookup_batch_end(LookupBatch *batch);

/* Memory that goes with the rows, and how much they have taken. */
extern MemoryContext lookup_batch_context(const LookupBatch *batch);
extern Size lookup_batch_bytes(const LookupBatch *batch);

/*
 * Keep a row and its key; `row` is a slot for rows of the join, for the
 * arguments that are computed.
 */
extern void lookup_batch_keep(LookupBatch *batch, TupleTableSlot *outer,
							  ExprContext *context, TupleTableSlot *row);

/* How many rows, and their keys: NULL data if a part of one is NULL. */
extern int lookup_batch_n(const LookupBatch *batch);
extern const Bytes *lookup_batch_keys(const LookupBatch *batch);

/* The row will be asked for soon. */
extern void lookup_batch_expect(const LookupBatch *batch, int i);

/* A row of the join whose columns of the table are NULL. */
extern void lookup_batch_row(const LookupBatch *batch, int i,
							 TupleTableSlot *row);

/* ---- lookup_sort.c ---- */

typedef struct SortedLookup
{
	uint64 head; /* of the key; equal keys have equal heads */
	int row;	 /* of the batch */
	int found;	 /* the caller's */
} SortedLookup;

/* By key; the first `skip` bytes are the same in all of them. */
extern void lookup_sort(const Bytes *keys, SortedLookup *sorted, int n,
						Size skip);

/* ---- lookup_scan.c ---- */

extern const CustomScanMethods lookup_scan_methods;

#endif /* TIKV_FDW_LOOKUP_JOIN_H */
