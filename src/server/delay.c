/*
 * delay.c
 *	  Moments at which something is due: a binary heap.
 *
 * Only BatchCommands' Empty command waits here, so it is bounded by
 * EMPTY_MAX.
 */
#include "server/delay.h"

#include <stdlib.h>

#include "core/base/check.h"

typedef struct Delayed
{
	int64_t due_us;
	void *item;
} Delayed;

static Delayed *heap;
static size_t n_heap;
static size_t cap_heap;

static void
swap(size_t a, size_t b)
{
	Delayed t = heap[a];

	heap[a] = heap[b];
	heap[b] = t;
}

void
delay_add(int64_t due_us, void *item)
{
	size_t i = n_heap++;

	if (n_heap > cap_heap)
	{
		cap_heap = cap_heap == 0 ? 16 : 2 * cap_heap;
		heap = realloc(heap, cap_heap * sizeof(*heap));
		CHECK(heap != NULL);
	}
	heap[i] = (Delayed){due_us, item};
	while (i > 0 && heap[(i - 1) / 2].due_us > heap[i].due_us)
	{
		swap(i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

int64_t
delay_next(void)
{
	return n_heap == 0 ? INT64_MAX : heap[0].due_us;
}

void *
delay_take(void)
{
	void *item;
	size_t i = 0;

	CHECK(n_heap > 0);
	item = heap[0].item;
	heap[0] = heap[--n_heap];
	for (;;)
	{
		size_t least = i;

		for (size_t c = 2 * i + 1; c <= 2 * i + 2; c++)
			if (c < n_heap && heap[c].due_us < heap[least].due_us)
				least = c;
		if (least == i)
			return item;
		swap(i, least);
		i = least;
	}
}
