/*
 * group.c
 *	  Rows of a group, that is of keys that share a full prefix, in order.
 */
#include "postgres.h"

#include "lib/binaryheap.h"
#include "utils/palloc.h"

#include "storage/group.h"

struct GroupPass
{
	MemoryContext context;
	GroupOrder order;
	const GroupRow *after;
	int capacity;
	int64 seen;
	binaryheap *rows; /* the last in order on top */
};

/* Order in which rows of a group are emitted. */
static int
group_cmp(GroupOrder order, const GroupRow *a, const GroupRow *b)
{
	int c = order.reverse ? bytes_cmp(b->rest, a->rest) :
							bytes_cmp(a->rest, b->rest);

	if (c != 0 || a->ts == b->ts)
		return c;
	return (a->ts < b->ts) == order.newest_first ? 1 : -1;
}

/* binaryheap keeps the largest on top: here the one that is emitted last. */
static int
compare_rows(Datum a, Datum b, void *arg)
{
	return group_cmp(((const GroupPass *) arg)->order,
					 (const GroupRow *) DatumGetPointer(a),
					 (const GroupRow *) DatumGetPointer(b));
}

GroupPass *
group_pass_begin(int capacity, GroupOrder order, const GroupRow *after)
{
	GroupPass *pass = palloc(sizeof(GroupPass));

	pass->context = CurrentMemoryContext;
	pass->order = order;
	pass->after = after;
	pass->capacity = capacity;
	pass->seen = 0;
	pass->rows = binaryheap_allocate(capacity, compare_rows, pass);
	return pass;
}

static bool
is_behind(const GroupPass *pass, const GroupRow *row)
{
	if (pass->after == NULL)
		return true;
	if (pass->order.newest_first && bytes_eq(row->rest, pass->after->rest))
		return false;
	return group_cmp(pass->order, row, pass->after) > 0;
}

/* Remember a row, dropping the last in order if there is no more room. */
void
group_pass_offer(GroupPass *pass, const GroupRow *row)
{
	bool full = pass->rows->bh_size == pass->capacity;
	GroupRow *kept;

	if (!is_behind(pass, row))
		return;
	pass->seen++;
	if (full)
	{
		kept = (GroupRow *) DatumGetPointer(binaryheap_first(pass->rows));
		if (group_cmp(pass->order, row, kept) >= 0)
			return;
		if (kept->rest.data != NULL)
			pfree(unconstify(uint8 *, kept->rest.data));
	}
	else
		kept = MemoryContextAlloc(pass->context, sizeof(GroupRow));
	*kept = *row;
	kept->rest = bytes_empty();
	if (row->rest.len > 0)
		kept->rest =
			bytes_make(memcpy(MemoryContextAlloc(pass->context, row->rest.len),
							  row->rest.data, row->rest.len),
					   row->rest.len);
	if (full)
		binaryheap_replace_first(pass->rows, PointerGetDatum(kept));
	else
		binaryheap_add(pass->rows, PointerGetDatum(kept));
}

int
group_pass_end(GroupPass *pass, GroupRow **rows, bool *more)
{
	int n = pass->rows->bh_size;

	for (int i = n; i > 0; i--)
		rows[i - 1] =
			(GroupRow *) DatumGetPointer(binaryheap_remove_first(pass->rows));
	*more = pass->seen > n;
	return n;
}
