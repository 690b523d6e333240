/*
 * table_check.h
 *	  Verifies a table of keys: heap and index agree, keys are split at the
 *	  right place and unique.  For tikv_check().
 */
#ifndef TIKV_STORAGE_TABLE_CHECK_H
#define TIKV_STORAGE_TABLE_CHECK_H

#include "storage/tables.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "core/base/bytes.h"
#include "executor/tuptable.h"
#include "utils/snapshot.h"
#include "utils/tuplesort.h"

/* Where defects go; the first 1,000 are told, the others counted. */
typedef struct CheckReport
{
	void (*report)(void *arg, const char *defect);
	void *arg;
	int64 defects;
	const char *table; /* before the text; empty for the raw table */
} CheckReport;

extern void check_defect(CheckReport *report, const char *fmt, ...)
	pg_attribute_printf(2, 3);

/* An address as one number, and how a text names it. */
extern int64 check_row_number(const ItemPointerData *tid);
#define CHECK_ROW "row (%u,%u): "
#define CHECK_ROW_ARGS(row) (uint32)((row) >> 16), (uint32) ((row) &0xffff)

/* What orders and identifies a row: (major, key, minor). */
typedef struct RowOrder
{
	int major;
	Bytes prefix; /* of the key */
	int64 minor;
} RowOrder;

typedef struct TableCheck TableCheck;

struct TableCheck
{
	CheckReport *report;
	const OpenTable *table;
	Snapshot snapshot;
	AttrNumber key_rest; /* column of the table */
	RowOrder (*row_order)(TupleTableSlot *slot);
	RowOrder (*entry_order)(IndexScanDesc scan);

	/* What else there is to verify of a row; may allocate in the context. */
	void (*check_row)(TableCheck *check, TupleTableSlot *slot, Bytes rest);
	void *arg;

	/* of table_check_run */
	MemoryContext row; /* reset for every row */
	Tuplesortstate *heap_tids;
	Tuplesortstate *index_tids;
	Tuplesortstate *long_keys;
};

extern void table_check_run(TableCheck *check);

#endif /* TIKV_STORAGE_TABLE_CHECK_H */
