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
	LOOKUP_LEFT		/* Boolean: rows without a match are kept */
};

/* custom_exprs of the plan, each a list of expressions. */
enum LookupExprs
{
	LOOKUP_ARGUMENTS,  /* the values of the key columns */
	LOOKUP_JOIN_QUALS, /* of a left join, what makes a match */
	LOOKUP_CONDITION   /* for EXPLAIN */
};

/* Most rows of one batch. */
#define LOOKUP_BATCH 1024

extern const CustomScanMethods lookup_scan_methods;

#endif /* TIKV_FDW_LOOKUP_JOIN_H */
