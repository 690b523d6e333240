/*
 * txn_scan.c
 *	  A range as the session's transaction sees it: pages from the tables with
 *	  the transaction's own writes laid over them.
 *
 * All pages are read at one timestamp, so the scan is of one snapshot although
 * nothing is held between pages.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sqlapi/txn_internal.h"

/* Pages grow, since many scans want only the first few pairs. */
#define FIRST_PAGE 32
#define LARGEST_PAGE 1024

struct TxnScan
{
	TxnSession *session;
	MemoryContext context;
	MemoryContext page_context;
	uint64 ts;
	bool reverse;
	bool key_only;
	bool exhausted; /* the tables have no more */
	uint32 limit;	/* of the next page */
	Bytes lower;	/* what is left in the tables */
	Bytes upper;
	TxnPage page;
	int next; /* of the page */

	/* What is left in the buffer, moved with every pair. */
	Bytes own_lower;
	Bytes own_upper;
};

TxnScan *
txn_scan_begin(TxnSession *session, Bytes lower, Bytes upper, bool reverse,
			   bool key_only)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "tikv transaction scan",
							  ALLOCSET_DEFAULT_SIZES);
	TxnScan *scan = MemoryContextAllocZero(context, sizeof(*scan));

	txn_begin_call(session);
	scan->session = session;
	scan->context = context;
	scan->page_context = AllocSetContextCreate(context, "tikv scan page",
											   ALLOCSET_DEFAULT_SIZES);
	scan->ts = txn_statement_ts(session);
	scan->reverse = reverse;
	scan->key_only = key_only;
	scan->limit = FIRST_PAGE;
	scan->lower = bound_copy(context, lower, false);
	scan->upper = bound_copy(context, upper, false);
	scan->own_lower = bound_copy(context, lower, false);
	scan->own_upper = bound_copy(context, upper, false);
	scan->exhausted = upper.len > 0 && bytes_cmp(lower, upper) >= 0;
	return scan;
}

void
txn_scan_end(TxnScan *scan)
{
	MemoryContextDelete(scan->context);
}

/* ------------------------------------------------------------- both sides */

/* Past a key that is handed out, or hidden: no own write comes at it again. */
static void
pass_own(TxnScan *scan, Bytes key)
{
	if (!scan->reverse && bytes_cmp(key, scan->own_lower) >= 0)
		bound_move(scan->context, &scan->own_lower, key, true);
	if (scan->reverse &&
		(scan->own_upper.len == 0 || bytes_cmp(key, scan->own_upper) < 0))
		bound_move(scan->context, &scan->own_upper, key, false);
}

static void
read_page(TxnScan *scan)
{
	MemoryContext old;

	if (scan->page.n > 0)
		pass_own(scan, scan->page.keys[scan->page.n - 1]);
	scan->page.n = 0;
	MemoryContextReset(scan->page_context);
	old = MemoryContextSwitchTo(scan->page_context);
	txn_begin_call(scan->session);
	txn_read_page(scan->session, scan->lower, scan->upper, scan->reverse,
				  scan->key_only, scan->limit, scan->ts, &scan->page);
	MemoryContextSwitchTo(old);
	scan->next = 0;
	scan->limit = Min(scan->limit * 2, LARGEST_PAGE);
	if (scan->page.last)
		scan->exhausted = true;
	else
		bound_move(scan->context, scan->reverse ? &scan->upper : &scan->lower,
				   scan->page.next, false);
}

/* The next pair of the tables; false at the end. */
static bool
peek_table(TxnScan *scan)
{
	while (scan->next >= scan->page.n)
	{
		if (scan->exhausted)
			return false;
		read_page(scan);
	}
	return true;
}

static bool
in_range(const TxnScan *scan, Bytes key)
{
	return bytes_cmp(key, scan->own_lower) >= 0 &&
		(scan->own_upper.len == 0 || bytes_cmp(key, scan->own_upper) < 0);
}

static const BufferEntry *
find_own(const TxnScan *scan)
{
	const MemBuffer *buffer = scan->session->buffer;

	return scan->reverse ? membuffer_before(buffer, scan->own_upper) :
						   membuffer_from(buffer, scan->own_lower);
}

/*
 * The next own write; NULL at the end.  A cursor may be read while its
 * transaction writes: what is written behind it is not for it.
 */
static const BufferEntry *
peek_own(TxnScan *scan)
{
	const BufferEntry *entry = find_own(scan);

	if (entry != NULL && scan->next > 0)
	{
		pass_own(scan, scan->page.keys[scan->next - 1]);
		entry = find_own(scan);
	}
	while (entry != NULL && entry->op == BUFFER_NONE)
		entry = scan->reverse ? entry->prev : membuffer_next(entry);
	return entry != NULL && in_range(scan, entry->key) ? entry : NULL;
}

bool
txn_scan_next(TxnScan *scan, Bytes *key, Bytes *value)
{
	for (;;)
	{
		bool in_table = peek_table(scan);
		const BufferEntry *own = peek_own(scan);
		int order = 0;

		if (!in_table && own == NULL)
			return false;
		if (in_table && own != NULL)
			order = bytes_cmp(own->key, scan->page.keys[scan->next]);
		if (scan->reverse)
			order = -order;
		if (own == NULL || (in_table && order > 0))
		{
			*key = scan->page.keys[scan->next];
			*value = scan->page.values[scan->next++];
			return true;
		}
		/* An own write, which hides what the tables have. */
		if (in_table && order == 0)
			scan->next++;
		pass_own(scan, own->key);
		if (own->op == BUFFER_DELETE)
			continue;
		*key = own->key;
		*value = scan->key_only ? bytes_empty() : own->value;
		return true;
	}
}
