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
	LOOKUP_ORDERED	/* Boolean: in the order of the other side */
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

/* A row of the other side: the key it looks for, and where that was found. */
typedef struct Lookup
{
	Bytes key; /* NULL data: a part of it is NULL */
	int found; /* in the page */
	int row;
} Lookup;

/* ---- lookup_sort.c ---- */

typedef struct SortedLookup
{
	uint64 head; /* the sort's own */
	Lookup *lookup;
} SortedLookup;

/* By key; the first `skip` bytes are the same in all of them. */
extern void lookup_sort(SortedLookup *sorted, int n, Size skip);

/* ---- lookup_scan.c ---- */

extern const CustomScanMethods lookup_scan_methods;

#endif /* TIKV_FDW_LOOKUP_JOIN_H */
