/*
 * scan.c
 *	  Execution of scans: keys that are got, or ranges that are read page by
 *	  page.
 *
 * Pages begin small and grow, so a query that stops early has not read much
 * and one that does not is not held up by requests.  Nothing is held between
 * pages, neither snapshot nor lock.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/allow.h"
#include "sqlapi/sqlapi.h"
#include "fdw/fdw.h"
#include "fdw/scan_state.h"

#define FIRST_PAGE 64
#define PAGE_GROWTH 4

/* ------------------------------------------------------------------- begin */

static void
take_columns(TikvScan *scan, List *columns)
{
	const TableMap *map = scan->map;
	ListCell *cell;

	scan->wanted = palloc0(sizeof(bool) * Max(map->desc->natts, 1));
	foreach (cell, columns)
	{
		AttrNumber attnum = (AttrNumber) lfirst_int(cell);

		scan->wanted[attnum - 1] = true;
		if (attnum != map->ttl && table_map_key(map, attnum) < 0)
			scan->wants_value = true;
	}
}

TikvScan *
scan_state_new(Relation relation, List *private, List *arguments,
			   PlanState *parent, Oid user)
{
	TikvScan *scan = palloc0(sizeof(TikvScan));

	scan->map = table_map(relation);
	scan->kv = kv_access(scan->map->mode);
	scan->user = user;
	take_columns(scan, list_nth(private, SCAN_COLUMNS));
	scan->reverse = boolVal(list_nth(private, SCAN_REVERSE));
	scan->limit = intVal(list_nth(private, SCAN_LIMIT));
	scan->codec = value_codec_new(scan->map);
	scan->bounds = bounds_new(scan->map, list_nth(private, SCAN_MATCHES),
							  arguments, parent);
	scan->context = CurrentMemoryContext;
	scan->bound_context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw bounds",
							  ALLOCSET_SMALL_SIZES);
	scan->piece = AllocSetContextCreate(CurrentMemoryContext, "tikv_fdw keys",
										ALLOCSET_SMALL_SIZES);
	scan->page = kv_page_new(scan->context);
	scan->page->wants_ttl =
		scan->map->ttl != 0 && scan->wanted[scan->map->ttl - 1];
	scan->locks =
		boolVal(list_nth(private, SCAN_LOCKS)) && scan->kv->lock != NULL;
	scan->no_wait = boolVal(list_nth(private, SCAN_NO_WAIT));
	if (scan->locks)
	{
		scan->other = kv_page_new(scan->context);
		scan->other->wants_ttl = scan->page->wants_ttl;
	}
	return scan;
}

/* Scans that read ahead, of all statements under way. */
static dlist_head readers = DLIST_STATIC_INIT(readers);

static void
forget_reader(void *arg)
{
	TikvScan *scan = arg;

	dlist_delete(&scan->reader);
}

static void
remember_reader(TikvScan *scan, ForeignScanState *node)
{
	scan->reads_ahead = true;
	scan->node = node;
	dlist_push_tail(&readers, &scan->reader);
	scan->callback.func = forget_reader;
	scan->callback.arg = scan;
	MemoryContextRegisterResetCallback(scan->context, &scan->callback);
}

void
tikvBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	TikvScan *scan;
	Oid user;

#if PG_VERSION_NUM >= 160000
	user = plan->checkAsUser;
#else
	user = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state)->checkAsUser;
#endif
	scan = scan_state_new(node->ss.ss_currentRelation, plan->fdw_private,
						  plan->fdw_exprs, &node->ss.ps,
						  OidIsValid(user) ? user : GetUserId());
	node->fdw_state = scan;
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 &&
		boolVal(list_nth(plan->fdw_private, SCAN_AHEAD)))
		remember_reader(scan, node);
}

/* ------------------------------------------------------------------- pages */

static void
evaluate_bounds(TikvScan *scan, ExprContext *context)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->bound_context);

	bounds_evaluate(scan->bounds, context, scan->reverse);
	MemoryContextSwitchTo(caller);
	scan->bounds_known = true;
	scan->page_size = scan->limit > 0 ?
		Min(scan->limit, scan->map->fetch_size) :
		Min(FIRST_PAGE, scan->map->fetch_size);
}

/* Forget the keys that were made. */
static void
drop_piece(TikvScan *scan)
{
	MemoryContextReset(scan->piece);
	scan->keys = NULL;
	scan->n_keys = 0;
	scan->next_key = 0;
}

/* Make as many keys as one page can have; false if there are none. */
static bool
make_keys(TikvScan *scan)
{
	int max =
		(int) Min(bounds_count(scan->bounds), (uint64) scan->map->fetch_size);
	MemoryContext caller;

	drop_piece(scan);
	if (max == 0)
		return false;
	caller = MemoryContextSwitchTo(scan->piece);
	scan->keys = palloc(sizeof(Bytes) * max);
	scan->n_keys = bounds_next_keys(scan->bounds, scan->keys, max);
	MemoryContextSwitchTo(caller);
	allow_keys(scan->user, GRANT_READ, scan->keys, scan->n_keys);
	return scan->n_keys > 0;
}

static bool
get_keys(TikvScan *scan)
{
	while (scan->next_key < scan->n_keys || make_keys(scan))
	{
		scan->next_key += scan->kv->batch_get(scan->keys + scan->next_key,
											  scan->n_keys - scan->next_key,
											  scan->page, &scan->counters);
		if (scan->page->n > 0)
			return true;
	}
	return false;
}

/* False if there is none. */
static bool
open_next_range(TikvScan *scan)
{
	MemoryContext caller;
	KvRange range;
	bool found;

	drop_piece(scan);
	caller = MemoryContextSwitchTo(scan->piece);
	found = bounds_next_range(scan->bounds, &range);
	MemoryContextSwitchTo(scan->context);
	if (found)
	{
		allow_range(scan->user, GRANT_READ, &range);
		scan->cursor =
			scan->kv->open(&range, scan->reverse, !scan->wants_value);
	}
	MemoryContextSwitchTo(caller);
	return found;
}

static void
close_cursor(TikvScan *scan)
{
	if (scan->cursor == NULL)
		return;
	scan->kv->close(scan->cursor);
	scan->cursor = NULL;
}

static bool
read_ranges(TikvScan *scan)
{
	while (scan->cursor != NULL || open_next_range(scan))
	{
		if (scan->kv->fetch(scan->cursor, scan->page_size, scan->page,
							&scan->counters))
		{
			scan->page_size =
				Min(scan->page_size * PAGE_GROWTH, scan->map->fetch_size);
			return true;
		}
		close_cursor(scan);
	}
	return false;
}

static bool
next_page(TikvScan *scan)
{
	kv_page_clear(scan->page);
	return bounds_are_keys(scan->bounds) ? get_keys(scan) : read_ranges(scan);
}

/*
 * The rows as they are when nobody else can write them any more: conditions
 * are checked on these.  May leave none.
 */
static void
lock_page(TikvScan *scan)
{
	KvPage *locked = scan->other;
	int n = scan->page->n;
	Bytes *keys = palloc(sizeof(Bytes) * n);

	for (int i = 0; i < n; i++)
		keys[i] = kv_page_key(scan->page, i);
	kv_page_clear(locked);
	allow_keys(scan->user, GRANT_WRITE, keys, n);
	scan->kv->lock(keys, n, scan->no_wait, locked, &scan->counters);
	pfree(keys);
	scan->other = scan->page;
	scan->page = locked;
}

/* The next pair is scan->page's scan->at; false at the end. */
static bool
next_pair(TikvScan *scan, ExprContext *context)
{
	if (++scan->at < scan->page->n)
		return true;
	if (!scan->bounds_known)
		evaluate_bounds(scan, context);
	scan->at = 0;
	while (next_page(scan))
	{
		if (scan->locks)
			lock_page(scan);
		if (scan->page->n > 0)
			return true;
	}
	return false;
}

/* -------------------------------------------------------------------- rows */

static void
refuse_key(const TableMap *map, Bytes key)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
		 errmsg("key %s is no key of the foreign table", key_text(key)),
		 errdetail(
			 "What follows the prefix %s is not what its %d key columns are encoded as.",
			 key_text(map->prefix), map->n_keys),
		 errhint(
			 "Choose a prefix that other data do not have, or on_error 'null' to leave such keys out.")));
}

void
rest_to_row(const TableMap *map, ValueCodec *codec, Bytes key, Bytes value,
			int64 expires_at, const bool *wanted, bool wants_value,
			Datum *values, bool *nulls)
{
	if (map->ttl != 0 && wanted[map->ttl - 1])
		ttl_to_column(map, expires_at, values, nulls);
	if (wants_value)
		value_to_columns(codec, key, value, wanted, values, nulls);
}

bool
pair_to_row(const TableMap *map, ValueCodec *codec, Bytes key, Bytes value,
			int64 expires_at, const bool *wanted, bool wants_value,
			Datum *values, bool *nulls)
{
	memset(nulls, true, sizeof(bool) * map->desc->natts);
	if (!key_to_values(map, key, wanted, values, nulls))
	{
		if (!map->null_on_error)
			refuse_key(map, key);
		return false;
	}
	rest_to_row(map, codec, key, value, expires_at, wanted, wants_value, values,
				nulls);
	return true;
}

/* The next row, in a slot; false at the end. */
static bool
next_row(TikvScan *scan, ExprContext *context, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	while (next_pair(scan, context))
	{
		KvPage *page = scan->page;

		if (!pair_to_row(scan->map, scan->codec, kv_page_key(page, scan->at),
						 kv_page_value(page, scan->at),
						 page->pairs[scan->at].expires_at, scan->wanted,
						 scan->wants_value, slot->tts_values, slot->tts_isnull))
			continue;
		ExecStoreVirtualTuple(slot);
		return true;
	}
	return false;
}

static void
read_ahead(TikvScan *scan, ExprContext *context, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->context);
	MemoryContext row = AllocSetContextCreate(scan->context, "tikv_fdw row",
											  ALLOCSET_DEFAULT_SIZES);

	scan->rows = tuplestore_begin_heap(false, false, work_mem);
	if (scan->row == NULL)
		scan->row =
			MakeSingleTupleTableSlot(scan->map->desc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(row);
	while (next_row(scan, context, slot))
	{
		tuplestore_puttupleslot(scan->rows, slot);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(row);
}

void
scans_read_ahead(const EState *estate)
{
	dlist_iter iter;

	dlist_foreach (iter, &readers)
	{
		TikvScan *scan = dlist_container(TikvScan, reader, iter.cur);
		PlanState *ps = &scan->node->ss.ps;

		if (ps->state == estate && scan->rows == NULL)
			read_ahead(scan, ps->ps_ExprContext,
					   scan->node->ss.ss_ScanTupleSlot);
	}
}

/* The next of the rows that were read ahead. */
static TupleTableSlot *
next_stored_row(TikvScan *scan, TupleTableSlot *slot)
{
	Size n = (Size) scan->map->desc->natts;

	ExecClearTuple(slot);
	if (!tuplestore_gettupleslot(scan->rows, true, false, scan->row))
		return slot;
	slot_getallattrs(scan->row);
	memcpy(slot->tts_values, scan->row->tts_values, sizeof(Datum) * n);
	memcpy(slot->tts_isnull, scan->row->tts_isnull, sizeof(bool) * n);
	return ExecStoreVirtualTuple(slot);
}

TupleTableSlot *
tikvIterateForeignScan(ForeignScanState *node)
{
	TikvScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!scan->reads_ahead)
	{
		(void) next_row(scan, node->ss.ps.ps_ExprContext, slot);
		return slot;
	}
	if (scan->rows == NULL)
		read_ahead(scan, node->ss.ps.ps_ExprContext, slot);
	return next_stored_row(scan, slot);
}

/* -------------------------------------------------------------- the others */

void
scan_state_restart(TikvScan *scan)
{
	close_cursor(scan);
	if (scan->rows != NULL)
		tuplestore_end(scan->rows);
	scan->rows = NULL;
	kv_page_clear(scan->page);
	scan->at = 0;
	drop_piece(scan);
	MemoryContextReset(scan->bound_context);
	scan->bounds_known = false;
}

/* What was read ahead does not depend on what has changed. */
void
tikvReScanForeignScan(ForeignScanState *node)
{
	TikvScan *scan = node->fdw_state;

	if (scan->rows != NULL)
		tuplestore_rescan(scan->rows);
	else
		scan_state_restart(scan);
}

void
tikvEndForeignScan(ForeignScanState *node)
{
	TikvScan *scan = node->fdw_state;

	if (scan == NULL)
		return;
	scan_state_restart(scan);
	if (scan->row != NULL)
		ExecDropSingleTupleTableSlot(scan->row);
}

const KvCounters *
scan_counters(ForeignScanState *node)
{
	const TikvScan *scan = node->fdw_state;

	return scan == NULL ? NULL : &scan->counters;
}
