/*
 * index_run.h
 *	  Index entries of rows that are inserted together.
 */
#ifndef TIKV_STORAGE_INDEX_RUN_H
#define TIKV_STORAGE_INDEX_RUN_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/rel.h"

/*
 * Can the entries of many rows go into this index by runs?  Else they are
 * inserted one by one.
 */
extern bool index_takes_runs(Relation index);

/*
 * Insert the entries of the rows in n slots, each of which has its row's place.
 * values and isnull are those of the rows, by column of the table, one row
 * behind the other.  Rows may come in any order; what pays is that neighbours
 * ascend.
 */
extern void index_insert_runs(Relation heap, Relation index,
							  TupleTableSlot **slots, int n,
							  const Datum *values, const bool *isnull);

/* The columns of an entry out of those of its row. */
extern void index_columns(Relation index, const Datum *values,
						  const bool *isnull, Datum *index_values,
						  bool *index_isnull);

#endif /* TIKV_STORAGE_INDEX_RUN_H */
