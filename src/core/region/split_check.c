/*
 * split_check.c
 *	  How large a region is, and where it is to be split.
 */
#include "core/region/split_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

/* Buckets of a piece: its size is met to within so much of it. */
#define BUCKETS_PER_PIECE 64

/* Of a piece, that must be written anew before the next look. */
#define DIFF_PART 16

static uint64_t
part_of(uint64_t whole)
{
	return whole / BUCKETS_PER_PIECE > 0 ? whole / BUCKETS_PER_PIECE : 1;
}

void
split_check_init(SplitCheck *check, const SplitLimits *limits, Arena *arena)
{
	memset(check, 0, sizeof(*check));
	check->arena = arena;
	check->limits = *limits;
	check->bucket_bytes =
		limits->split_size > 0 ? part_of(limits->split_size) : UINT64_MAX;
	check->bucket_keys = part_of(limits->split_keys);
	check->room = 64;
	check->buckets =
		arena_alloc(arena, (size_t) check->room * sizeof(SplitBucket));
}

void
split_check_next_table(SplitCheck *check)
{
	check->open = false;
}

bool
split_check_wants_key(const SplitCheck *check)
{
	const SplitBucket *last;

	if (!check->open)
		return true;
	last = &check->buckets[check->n - 1];
	return last->bytes >= check->bucket_bytes ||
		last->keys >= check->bucket_keys;
}

/* Neighbours become one; the pair of two tables is not wrong, only coarse. */
static void
coarsen(SplitCheck *check)
{
	int n = 0;

	for (int i = 0; i < check->n; i += 2)
	{
		SplitBucket *to = &check->buckets[n++];

		*to = check->buckets[i];
		if (i + 1 == check->n)
			break;
		if (bytes_cmp(check->buckets[i + 1].from, to->from) < 0)
			to->from = check->buckets[i + 1].from;
		to->bytes += check->buckets[i + 1].bytes;
		to->keys += check->buckets[i + 1].keys;
	}
	check->n = n;
	if (check->bucket_bytes < UINT64_MAX / 2)
		check->bucket_bytes *= 2;
	check->bucket_keys *= 2;
}

static void
make_room(SplitCheck *check)
{
	SplitBucket *grown;
	size_t bytes = (size_t) check->n * sizeof(SplitBucket);

	if (check->n == SPLIT_MAX_BUCKETS)
		coarsen(check);
	if (check->n < check->room)
		return;
	check->room *= 2;
	grown =
		arena_alloc(check->arena, (size_t) check->room * sizeof(SplitBucket));
	memcpy(grown, check->buckets, bytes);
	check->buckets = grown;
}

void
split_check_begin(SplitCheck *check, Bytes bound)
{
	make_room(check);
	check->buckets[check->n++] =
		(SplitBucket){.from = arena_copy(check->arena, bound)};
	check->open = true;
}

void
split_check_add(SplitCheck *check, uint64_t bytes, uint64_t keys)
{
	SplitBucket *last = &check->buckets[check->n - 1];

	CHECK(check->open);
	last->bytes += bytes;
	last->keys += keys;
	check->bytes += bytes;
	check->keys += keys;
}

static int
by_key(const void *a, const void *b)
{
	return bytes_cmp(((const SplitBucket *) a)->from,
					 ((const SplitBucket *) b)->from);
}

static bool
is_too_large(const SplitLimits *limits, uint64_t bytes, uint64_t keys)
{
	return (limits->split_size > 0 && bytes >= limits->max_size) ||
		keys >= limits->max_keys;
}

static bool
is_full(const SplitLimits *limits, const SplitBucket *piece)
{
	return (limits->split_size > 0 && piece->bytes >= limits->split_size) ||
		piece->keys >= limits->split_keys;
}

/* What is left behind the last key, together with the piece before it. */
static bool
last_is_small(const SplitLimits *limits, const SplitBucket *last,
			  const SplitBucket *before)
{
	return !is_too_large(limits, last->bytes + before->bytes,
						 last->keys + before->keys);
}

int
split_check_keys(SplitCheck *check, Bytes start_key, Bytes **keys)
{
	const SplitLimits *limits = &check->limits;
	SplitBucket piece = {.from = start_key};
	SplitBucket before = {0};
	int n = 0;

	*keys = arena_alloc(check->arena,
						(size_t) (limits->max_splits + 1) * sizeof(Bytes));
	if (!is_too_large(limits, check->bytes, check->keys))
		return 0;
	qsort(check->buckets, (size_t) check->n, sizeof(SplitBucket), by_key);
	for (int i = 0; i < check->n && n <= limits->max_splits; i++)
	{
		const SplitBucket *bucket = &check->buckets[i];

		if (is_full(limits, &piece) && bytes_cmp(bucket->from, piece.from) > 0)
		{
			(*keys)[n++] = bucket->from;
			before = piece;
			piece = (SplitBucket){.from = bucket->from};
		}
		piece.bytes += bucket->bytes;
		piece.keys += bucket->keys;
	}
	if (n > limits->max_splits)
		return limits->max_splits; /* there is more to come */
	if (n > 0 && last_is_small(limits, &piece, &before))
		n--;
	return n;
}

bool
split_is_due(const SplitLimits *limits, uint64_t bytes, uint64_t keys,
			 uint64_t grown)
{
	if (!is_too_large(limits, bytes, keys))
		return false;
	return limits->split_size == 0 || grown >= limits->split_size / DIFF_PART;
}
