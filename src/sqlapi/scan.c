/*
 * scan.c
 *	  tikv_scan: a range of keys, page by page.
 *
 * Between pages nothing is held, neither snapshot nor lock, so a caller that
 * takes its time (a cursor, a LIMIT in the select list) delays nobody.  Each
 * page is read over a snapshot of its own, as each page of a TiKV client's
 * scan is, and lies within one region.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_scan);

#define PAGE_KEYS 256
#define PAGE_BYTES ((Size) 1 << 20)

typedef struct KeyScan
{
	/* What is left of the range, [lower, upper); in the calls' context. */
	Bytes lower;
	Bytes upper; /* empty: +infinity */
	int64 left;	 /* of the caller's limit */
	bool reverse;
	bool key_only;
	bool exhausted; /* no page after this one */

	MemoryContext page; /* the pairs below, and the round */
	Datum keys[PAGE_KEYS];
	Datum values[PAGE_KEYS];
	int n;
	int next;
	Size bytes;
	bool full; /* the page ended, not the range */
} KeyScan;

/* ---------------------------------------------------------------- the page */

static bool
keep_pair(void *arg, const RawPair *pair)
{
	KeyScan *scan = arg;
	MemoryContext old = MemoryContextSwitchTo(scan->page);

	scan->keys[scan->n] = bytea_datum(pair->key);
	if (!scan->key_only)
		scan->values[scan->n] = bytea_datum(pair->value);
	MemoryContextSwitchTo(old);
	scan->n++;
	scan->bytes += pair->key.len + pair->value.len;
	scan->full = scan->n == PAGE_KEYS || scan->bytes >= PAGE_BYTES;
	return !scan->full;
}

/* The part of the range that lies in the region. */
static RawScan
cut_to_region(const KeyScan *scan, const Region *region)
{
	RawScan cut = {0};

	cut.cf = RAW_CF_DEFAULT;
	cut.lower = scan->lower;
	cut.upper = scan->upper;
	cut.reverse = scan->reverse;
	cut.key_only = scan->key_only;
	cut.limit = (uint32) Min(scan->left, PAGE_KEYS);
	sql_cut_to_region(&cut.lower, &cut.upper, region);
	return cut;
}

/* Go on after the last key of the page, or in the next region. */
static void
advance(KeyScan *scan, const Region *region, MemoryContext lasting)
{
	MemoryContext old = MemoryContextSwitchTo(lasting);
	Bytes last =
		scan->n == 0 ? bytes_empty() : bytea_bytes(scan->keys[scan->n - 1]);
	Bytes next =
		sql_plain_bound(scan->reverse ? region->start_key : region->end_key);

	scan->left -= scan->n;
	if (scan->left == 0)
		scan->exhausted = true;
	else if (scan->full && scan->reverse)
	{
		bound_move(lasting, &scan->upper, last, false);

		/* Nothing is below the empty key, and an empty bound is infinity. */
		scan->exhausted = last.len == 0;
	}
	else if (scan->full)
		bound_move(lasting, &scan->lower, last, true);
	else if (next.len == 0)
		scan->exhausted = true;
	else if (scan->reverse)
		bound_move(lasting, &scan->upper, next, false);
	else
		bound_move(lasting, &scan->lower, next, false);
	MemoryContextSwitchTo(old);
}

static bool
range_is_empty(const KeyScan *scan)
{
	return scan->upper.len > 0 && bytes_cmp(scan->lower, scan->upper) >= 0;
}

static void
read_page(KeyScan *scan, MemoryContext lasting)
{
	MemoryContext old;
	SqlRound round;
	RawScan cut;

	MemoryContextReset(scan->page);
	scan->n = scan->next = 0;
	scan->bytes = 0;
	scan->full = false;
	old = MemoryContextSwitchTo(scan->page);
	sql_round_begin(&round, scan->reverse ? &scan->upper : &scan->lower, 1,
					scan->reverse);
	cut = cut_to_region(scan, &round.seen[0]->region);
	round.reader->scan(round.reader, &cut, keep_pair, scan);
	advance(scan, &round.seen[0]->region, lasting);
	sql_round_end(&round);
	MemoryContextSwitchTo(old);
}

/* Read pages until one holds something; false at the end. */
static bool
next_page(KeyScan *scan, MemoryContext lasting)
{
	while (!scan->exhausted && !range_is_empty(scan))
	{
		CHECK_FOR_INTERRUPTS();
		read_page(scan, lasting);
		if (scan->n > 0)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------- the function */

static Bytes
bound_argument(FunctionCallInfo fcinfo, int argument, bool is_end)
{
	Bytes bound = bytes_empty();

	if (!PG_ARGISNULL(argument))
		bound = bytea_bytes(PG_GETARG_DATUM(argument));
	bound = is_end ? sql_stored_end(bound) : sql_stored_key(bound);
	check_key_length(bound);
	return bytes_copy(bound);
}

static KeyScan *
scan_begin(FunctionCallInfo fcinfo, MemoryContext lasting)
{
	KeyScan *scan = palloc0(sizeof(KeyScan));

	PreventCommandIfParallelMode("tikv_scan()");
	scan->lower = bound_argument(fcinfo, 0, false);
	scan->upper = bound_argument(fcinfo, 1, true);
	grants_need_range(GetUserId(), GRANT_READ, scan->lower, scan->upper);
	scan->left = limit_argument(fcinfo);
	scan->reverse = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	scan->key_only = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	scan->exhausted = scan->left == 0;
	scan->page = AllocSetContextCreate(lasting, "tikv_scan page",
									   ALLOCSET_DEFAULT_SIZES);
	return scan;
}

static Datum
scan_row(KeyScan *scan, TupleDesc desc)
{
	Datum values[2];
	bool nulls[2] = {false, scan->key_only};

	values[0] = bytea_datum(sql_user_key(bytea_bytes(scan->keys[scan->next])));
	values[1] = scan->key_only ? (Datum) 0 : scan->values[scan->next];
	scan->next++;
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

Datum
tikv_scan(PG_FUNCTION_ARGS)
{
	FuncCallContext *calls;
	KeyScan *scan;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc desc;

		calls = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(calls->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "tikv_scan must return rows");
		calls->tuple_desc = BlessTupleDesc(desc);
		calls->user_fctx = scan_begin(fcinfo, calls->multi_call_memory_ctx);
		MemoryContextSwitchTo(old);
	}
	calls = SRF_PERCALL_SETUP();
	scan = calls->user_fctx;
	if (scan->next < scan->n || next_page(scan, calls->multi_call_memory_ctx))
		SRF_RETURN_NEXT(calls, scan_row(scan, calls->tuple_desc));
	SRF_RETURN_DONE(calls);
}
