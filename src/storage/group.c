/*
 * group.c
 *	  Rows of a group, that is of keys that share a full prefix, in order.
 */
#include "postgres.h"

#include "lib/binaryheap.h"
#include "utils/memutils.h"
#include "utils/palloc.h"

#include "storage/group.h"

#define GROUP_ROWS 1024

struct GroupPass
{
	const GroupScan *scan;
	bool cuts_lower; /* a bound lies within the group */
	bool cuts_upper;
	const GroupRow *after; /* only rows behind it count; NULL: all */
	int capacity;
	int64 seen;
	binaryheap *rows; /* the last in order on top */
};

/* Order in which rows of a group are emitted. */
static int
group_cmp(const GroupScan *scan, const GroupRow *a, const GroupRow *b)
{
	int c = scan->reverse ? bytes_cmp(b->rest, a->rest) :
							bytes_cmp(a->rest, b->rest);

	if (c != 0 || a->ts == b->ts)
		return c;
	return (a->ts < b->ts) == scan->newest ? 1 : -1;
}

/* binaryheap keeps the largest on top: here the one that is emitted last. */
static int
compare_rows(Datum a, Datum b, void *arg)
{
	return group_cmp((const GroupScan *) arg,
					 (const GroupRow *) DatumGetPointer(a),
					 (const GroupRow *) DatumGetPointer(b));
}

/* Is the row inside the bounds and not emitted yet? */
static bool
is_left(const GroupPass *pass, const GroupRow *row)
{
	const GroupScan *scan = pass->scan;

	if (pass->cuts_lower && bytes_cmp(row->rest, scan->lower.rest) < 0)
		return false;
	if (pass->cuts_upper && bytes_cmp(row->rest, scan->upper.rest) >= 0)
		return false;
	if (pass->after == NULL)
		return true;
	if (scan->newest && bytes_eq(row->rest, pass->after->rest))
		return false;
	return group_cmp(scan, row, pass->after) > 0;
}

/* Remember a row, dropping the last in order if there is no more room. */
void
group_offer(GroupPass *pass, const GroupRow *row)
{
	MemoryContext context = pass->scan->context;
	bool full = pass->rows->bh_size == pass->capacity;
	GroupRow *kept;

	if (!is_left(pass, row))
		return;
	pass->seen++;
	if (full)
	{
		kept = (GroupRow *) DatumGetPointer(binaryheap_first(pass->rows));
		if (group_cmp(pass->scan, row, kept) >= 0)
			return;
		if (kept->rest.data != NULL)
			pfree(unconstify(uint8 *, kept->rest.data));
	}
	else
		kept = MemoryContextAlloc(context, sizeof(GroupRow));
	*kept = *row;
	kept->rest = bytes_empty();
	if (row->rest.len > 0)
		kept->rest =
			bytes_make(memcpy(MemoryContextAlloc(context, row->rest.len),
							  row->rest.data, row->rest.len),
					   row->rest.len);
	if (full)
		binaryheap_replace_first(pass->rows, PointerGetDatum(kept));
	else
		binaryheap_add(pass->rows, PointerGetDatum(kept));
}

/* The rows of a pass in order; returns their number. */
static int
take_rows(GroupPass *pass, GroupRow **rows)
{
	int n = pass->rows->bh_size;

	for (int i = n; i > 0; i--)
		rows[i - 1] =
			(GroupRow *) DatumGetPointer(binaryheap_remove_first(pass->rows));
	return n;
}

static bool
emit_rows(const GroupScan *scan, GroupRow **rows, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (scan->newest && i > 0 && bytes_eq(rows[i]->rest, rows[i - 1]->rest))
			continue;
		if (!scan->emit(scan->arg, rows[i]))
			return false;
	}
	return true;
}

/* One pass; *last is its last row, whose rest lives in `rest`. */
static bool
run_pass(GroupPass *pass, GroupRow **rows, GroupRow *last, Bytes *rest)
{
	int n;

	pass->seen = 0;
	binaryheap_reset(pass->rows);
	if (!pass->scan->gather(pass->scan->arg, pass))
		return false;
	n = take_rows(pass, rows);
	if (!emit_rows(pass->scan, rows, n))
		return false;
	if (pass->seen == n)
	{
		pass->after = NULL;
		return true;
	}
	if (rest->data != NULL)
		pfree(unconstify(uint8 *, rest->data));
	*last = *rows[n - 1];
	*rest = bytes_make(palloc(Max(last->rest.len, 1)), last->rest.len);
	if (last->rest.len > 0)
		memcpy(unconstify(uint8 *, rest->data), last->rest.data,
			   last->rest.len);
	last->rest = *rest;
	pass->after = last;
	return true;
}

bool
group_scan_run(const GroupScan *scan, Bytes prefix)
{
	GroupRow **rows = palloc(GROUP_ROWS * sizeof(GroupRow *));
	GroupPass pass = {
		.scan = scan,
		.cuts_lower =
			scan->lower.rest.len > 0 && bytes_eq(scan->lower.prefix, prefix),
		.cuts_upper =
			scan->upper.rest.len > 0 && bytes_eq(scan->upper.prefix, prefix),
		.capacity = (int) Min(scan->limit, GROUP_ROWS),
	};
	Bytes rest = bytes_empty();
	GroupRow last;
	bool go_on;

	pass.rows = binaryheap_allocate(pass.capacity, compare_rows,
									unconstify(GroupScan *, scan));
	do
	{
		go_on = run_pass(&pass, rows, &last, &rest);
		MemoryContextReset(scan->context);
	} while (go_on && pass.after != NULL);
	binaryheap_free(pass.rows);
	if (rest.data != NULL)
		pfree(unconstify(uint8 *, rest.data));
	pfree(rows);
	return go_on;
}
