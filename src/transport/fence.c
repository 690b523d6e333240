/*
 * fence.c
 *	  The newest start of each node that was heard of.
 */
#include "transport/fence.h"

#include <stdlib.h>

#include "core/base/check.h"

void
fence_free(Fence *fence)
{
	free(fence->entries);
	memset(fence, 0, sizeof(*fence));
}

static FenceEntry *
find(const Fence *fence, uint64_t id)
{
	for (size_t i = 0; i < fence->n; i++)
		if (fence->entries[i].id == id)
			return &fence->entries[i];
	return NULL;
}

FenceAnswer
fence_check(Fence *fence, uint64_t id, uint64_t start)
{
	FenceEntry *e = find(fence, id);

	if (e != NULL && start == e->start)
		return FENCE_SAME;
	if (e != NULL && FENCE_SEQ(start) <= FENCE_SEQ(e->start))
		return FENCE_OLD;
	if (e != NULL)
	{
		e->start = start;
		return FENCE_NEWER;
	}
	if (fence->n == FENCE_NODES)
		return FENCE_FULL;
	if (fence->n == fence->cap)
	{
		fence->cap = fence->cap == 0 ? 16 : 2 * fence->cap;
		fence->entries =
			realloc(fence->entries, fence->cap * sizeof(*fence->entries));
		CHECK(fence->entries != NULL);
	}
	fence->entries[fence->n++] = (FenceEntry){id, start};
	return FENCE_SAME;
}

uint64_t
fence_seen(const Fence *fence, uint64_t id)
{
	FenceEntry *e = find(fence, id);

	return e == NULL ? 0 : e->start;
}

void
fence_forget(Fence *fence, uint64_t id)
{
	FenceEntry *e = find(fence, id);

	if (e != NULL)
		*e = fence->entries[--fence->n];
}

bool
envelope_number(Bytes text, uint64_t *out)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 20)
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		uint64_t digit = (uint64_t) (text.data[i] - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}
