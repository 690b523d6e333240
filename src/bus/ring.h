/*
 * ring.h
 *	  A bounded queue of slot numbers: the arithmetic, and nothing else.
 *
 * Positions only grow and wrap with the integer, so that full and empty are
 * told apart without a spare entry.  Whoever uses a ring from several
 * processes holds a lock around push and pop; ring_length may be asked
 * without one and is then a guess that was true a moment ago.
 */
#ifndef TIKV_BUS_RING_H
#define TIKV_BUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Ring
{
	volatile uint32_t head; /* of the next entry to pop */
	volatile uint32_t tail; /* of the next entry to push */
	uint32_t mask;			/* capacity - 1; the capacity is a power of two */
	uint32_t entries[];
} Ring;

/* The power of two that holds at least n entries; n is at most 2^31. */
static inline uint32_t
ring_capacity(uint32_t n)
{
	uint32_t capacity = 1;

	while (capacity < n)
		capacity <<= 1;
	return capacity;
}

/* Bytes of a ring for at least n entries. */
static inline size_t
ring_size(uint32_t n)
{
	return offsetof(Ring, entries) + sizeof(uint32_t) * ring_capacity(n);
}

static inline void
ring_init(Ring *ring, uint32_t n)
{
	ring->head = 0;
	ring->tail = 0;
	ring->mask = ring_capacity(n) - 1;
}

static inline uint32_t
ring_length(const Ring *ring)
{
	return ring->tail - ring->head;
}

/* False if the ring is full. */
static inline bool
ring_push(Ring *ring, uint32_t entry)
{
	if (ring_length(ring) > ring->mask)
		return false;
	ring->entries[ring->tail & ring->mask] = entry;
	ring->tail++;
	return true;
}

/* False if it is empty. */
static inline bool
ring_pop(Ring *ring, uint32_t *entry)
{
	if (ring_length(ring) == 0)
		return false;
	*entry = ring->entries[ring->head & ring->mask];
	ring->head++;
	return true;
}

#endif /* TIKV_BUS_RING_H */
