/*
 * lookup_sort.c
 *	  Rows of a lookup join in the order of the keys that they look for.
 *
 * All keys of a table begin alike, and what comes next mostly tells them
 * apart: eight bytes of it, as a number, are sorted by digits, without a
 * comparison.  Only what they leave undecided is compared as a whole.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "fdw/lookup_join.h"

/* So many are worth a count of their digits. */
#define RADIX_MIN 128
#define DIGITS 8
#define DIGIT_VALUES 256

static uint64
head_of_key(Bytes key, Size skip)
{
	uint8 bytes[sizeof(uint64)] = {0};
	uint64 head;

	if (key.len >= skip + sizeof(head))
		memcpy(&head, key.data + skip, sizeof(head));
	else
	{
		if (key.len > skip)
			memcpy(bytes, key.data + skip, key.len - skip);
		memcpy(&head, bytes, sizeof(head));
	}
	return pg_ntoh64(head);
}

static int
compare_keys(const void *a, const void *b, void *arg)
{
	const SortedLookup *x = a;
	const SortedLookup *y = b;
	const Bytes *keys = arg;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return bytes_cmp(keys[x->row], keys[y->row]);
}

static void
sort_by_comparison(const Bytes *keys, SortedLookup *sorted, int n)
{
	qsort_arg(sorted, n, sizeof(SortedLookup), compare_keys,
			  unconstify(Bytes *, keys));
}

static bool
is_ordered(const SortedLookup *sorted, int n)
{
	for (int i = 1; i < n; i++)
		if (sorted[i - 1].head > sorted[i].head)
			return false;
	return true;
}

static int
digit_of(uint64 head, int digit)
{
	return (int) (head >> digit * 8 & (DIGIT_VALUES - 1));
}

/* Move all by one digit. */
static void
move_by_digit(const SortedLookup *from, SortedLookup *to, int n, int digit)
{
	uint32 places[DIGIT_VALUES] = {0};
	uint32 place = 0;

	for (int i = 0; i < n; i++)
		places[digit_of(from[i].head, digit)]++;
	for (int value = 0; value < DIGIT_VALUES; value++)
	{
		uint32 count = places[value];

		places[value] = place;
		place += count;
	}
	for (int i = 0; i < n; i++)
		to[places[digit_of(from[i].head, digit)]++] = from[i];
}

/* Where the bits are 1, heads differ. */
static uint64
differing_bits(const SortedLookup *sorted, int n)
{
	uint64 bits = 0;

	for (int i = 1; i < n; i++)
		bits |= sorted[i].head ^ sorted[0].head;
	return bits;
}

/* By the lowest digit first; one that all have in common moves none. */
static void
sort_by_digits(SortedLookup *sorted, int n)
{
	uint64 differing = differing_bits(sorted, n);
	SortedLookup *from = sorted;
	SortedLookup *to = palloc(sizeof(SortedLookup) * (Size) n);
	SortedLookup *spare = to;

	for (int digit = 0; digit < DIGITS; digit++)
	{
		SortedLookup *done = to;

		if (digit_of(differing, digit) == 0)
			continue;
		move_by_digit(from, to, n, digit);
		to = from;
		from = done;
	}
	if (from != sorted)
		memcpy(sorted, from, sizeof(SortedLookup) * (Size) n);
	pfree(spare);
}

/* Those with the same head by the whole key. */
static void
sort_equal_heads(const Bytes *keys, SortedLookup *sorted, int n)
{
	int from = 0;

	for (int i = 1; i <= n; i++)
	{
		if (i < n && sorted[i].head == sorted[from].head)
			continue;
		if (i - from > 1)
			sort_by_comparison(keys, sorted + from, i - from);
		from = i;
	}
}

void
lookup_sort(const Bytes *keys, SortedLookup *sorted, int n, Size skip)
{
	for (int i = 0; i < n; i++)
		sorted[i].head = head_of_key(keys[sorted[i].row], skip);
	if (n < RADIX_MIN)
	{
		sort_by_comparison(keys, sorted, n);
		return;
	}
	if (!is_ordered(sorted, n))
		sort_by_digits(sorted, n);
	sort_equal_heads(keys, sorted, n);
}
