/*
 * test_ring.c
 *	  The bus's ring: order, bounds, and positions that wrap.
 */
#include <stdlib.h>

#include "bus/ring.h"
#include "unit.h"

static Ring *
new_ring(uint32_t n)
{
	Ring *ring = malloc(ring_size(n));

	ring_init(ring, n);
	return ring;
}

static void
test_capacity(void)
{
	EQ_U64(ring_capacity(1), 1, "one entry");
	EQ_U64(ring_capacity(2), 2, "a power of two is kept");
	EQ_U64(ring_capacity(3), 4, "else the next one");
	EQ_U64(ring_capacity(1000), 1024, "also for more");
}

static void
test_bounds(void)
{
	Ring *ring = new_ring(3);
	uint32_t entry;

	OK(!ring_pop(ring, &entry), "a new ring is empty");
	for (uint32_t i = 0; i < 4; i++)
		OK(ring_push(ring, 10 + i), "room up to the capacity");
	OK(!ring_push(ring, 99), "and no further");
	EQ_U64(ring_length(ring), 4, "the refused entry is not counted");
	for (uint32_t i = 0; i < 4; i++)
	{
		OK(ring_pop(ring, &entry), "an entry");
		EQ_U64(entry, 10 + i, "in the order of the pushes");
	}
	OK(!ring_pop(ring, &entry), "empty again");
	free(ring);
}

/* Start just below the end of uint32 and go past it. */
static void
test_wrap(void)
{
	Ring *ring = new_ring(4);
	uint32_t entry = 0;
	bool good = true;

	ring->head = ring->tail = UINT32_MAX - 5;
	for (uint32_t i = 0; i < 20; i++)
	{
		good = good && ring_push(ring, i) && ring_push(ring, i + 100);
		good = good && ring_length(ring) == 2;
		good = good && ring_pop(ring, &entry) && entry == i;
		good = good && ring_pop(ring, &entry) && entry == i + 100;
	}
	OK(good, "order and length survive the wrap of the positions");
	ring->head = ring->tail = UINT32_MAX - 1;
	for (uint32_t i = 0; i < 4; i++)
		OK(ring_push(ring, i), "room across the wrap");
	OK(!ring_push(ring, 4), "full across the wrap");
	free(ring);
}

static void
test_single(void)
{
	Ring *ring = new_ring(1);
	uint32_t entry = 0;

	OK(ring_push(ring, 7), "a ring of one takes one");
	OK(!ring_push(ring, 8), "and no second");
	OK(ring_pop(ring, &entry) && entry == 7, "and gives it back");
	free(ring);
}

int
main(void)
{
	test_capacity();
	test_bounds();
	test_wrap();
	test_single();
	return unit_done();
}
