/*
 * scan_state.h
 *	  A scan under way; for scan.c and what shows it.
 */
#ifndef TIKV_FDW_SCAN_STATE_H
#define TIKV_FDW_SCAN_STATE_H

#include "fdw/fdw.h"
#include "lib/ilist.h"
#include "nodes/execnodes.h"
#include "utils/tuplestore.h"

typedef struct TikvScan
{
	TableMap *map;
	const KvAccess *kv;
	Oid user; /* whose rights count */
	ValueCodec *codec;
	bool *wanted; /* per column */
	bool wants_value;
	bool reverse;
	bool locks; /* before a row is handed out, its key is locked */
	bool no_wait;
	int limit; /* rows wanted, 0 unknown */

	Bounds *bounds;
	MemoryContext context;		 /* lasts as long as the scan */
	MemoryContext bound_context; /* of the bounds, until the next rescan */
	bool bounds_known;
	MemoryContext piece; /* of the keys or the range that are read now */
	Bytes *keys;
	int n_keys;
	int next_key;
	KvCursor *cursor;
	int page_size;

	KvPage *page;
	KvPage *other; /* what a page is after its keys were locked */
	int at;		   /* the current pair of the page */
	KvCounters counters;

	/*
	 * The statement writes keys of this table meanwhile: all rows are read
	 * before the first is written, or it might meet its own.
	 */
	bool reads_ahead;
	dlist_node reader; /* of those that do */
	ForeignScanState *node;
	MemoryContextCallback callback;
	Tuplestorestate *rows; /* NULL: not read yet */
	TupleTableSlot *row;
} TikvScan;

extern TikvScan *scan_state_new(Relation relation, List *private,
								List *arguments, PlanState *parent, Oid user);
extern void scan_state_restart(TikvScan *scan);

#endif /* TIKV_FDW_SCAN_STATE_H */
