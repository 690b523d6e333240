/*
 * heap.h
 *	  A priority queue of nodes that their owners embed.
 *
 * A binary heap; a node knows its place, so that it can leave from the middle.
 */
#ifndef TIKV_BASE_HEAP_H
#define TIKV_BASE_HEAP_H

#include <stdbool.h>
#include <stdlib.h>

#include "core/base/check.h"

typedef struct HeapNode
{
	size_t place; /* counted from 1; 0: in no heap */
} HeapNode;

typedef struct Heap
{
	HeapNode **nodes;
	size_t n;
	size_t room;
	bool (*before)(const HeapNode *a, const HeapNode *b);
} Heap;

static inline HeapNode *
heap_first(const Heap *heap)
{
	return heap->n == 0 ? NULL : heap->nodes[0];
}

static inline void
heap_put(Heap *heap, size_t place, HeapNode *node)
{
	heap->nodes[place - 1] = node;
	node->place = place;
}

static inline void
heap_up(Heap *heap, HeapNode *node)
{
	size_t place = node->place;

	while (place > 1 && heap->before(node, heap->nodes[place / 2 - 1]))
	{
		heap_put(heap, place, heap->nodes[place / 2 - 1]);
		place /= 2;
	}
	heap_put(heap, place, node);
}

static inline void
heap_down(Heap *heap, HeapNode *node)
{
	size_t place = node->place;

	while (place * 2 <= heap->n)
	{
		size_t child = place * 2;

		if (child < heap->n &&
			heap->before(heap->nodes[child], heap->nodes[child - 1]))
			child++;
		if (!heap->before(heap->nodes[child - 1], node))
			break;
		heap_put(heap, place, heap->nodes[child - 1]);
		place = child;
	}
	heap_put(heap, place, node);
}

static inline void
heap_push(Heap *heap, HeapNode *node)
{
	if (heap->n == heap->room)
	{
		heap->room = heap->room == 0 ? 4 : heap->room * 2;
		heap->nodes = realloc(heap->nodes, heap->room * sizeof(HeapNode *));
		CHECK(heap->nodes != NULL);
	}
	heap_put(heap, ++heap->n, node);
	heap_up(heap, node);
}

/* A node that is in no heap is left alone. */
static inline void
heap_remove(Heap *heap, HeapNode *node)
{
	size_t place = node->place;
	HeapNode *last;

	if (place == 0)
		return;
	node->place = 0;
	last = heap->nodes[--heap->n];
	if (last == node)
		return;
	heap_put(heap, place, last);
	heap_up(heap, last);
	heap_down(heap, last);
}

#endif /* TIKV_BASE_HEAP_H */
