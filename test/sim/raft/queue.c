/*
 * queue.c
 *	  The order of events, and the only source of chance.
 */
#include "sim.h"

uint64_t
sim_rand(Sim *sim, uint64_t n)
{
	uint64_t z = sim->rng += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % n;
}

bool
sim_chance(Sim *sim, double p)
{
	return (double) sim_rand(sim, 1000000) < p * 1000000.0;
}

static bool
before(const Event *a, const Event *b)
{
	return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

void
sim_push(Sim *sim, Event e)
{
	int i = sim->n_heap;

	if (sim->n_heap == sim->cap_heap)
	{
		sim->cap_heap = sim->cap_heap == 0 ? 256 : sim->cap_heap * 2;
		sim->heap = realloc(sim->heap, (size_t) sim->cap_heap * sizeof(Event));
		CHECK(sim->heap != NULL);
	}
	e.seq = sim->seq++;
	sim->n_heap++;
	while (i > 0 && before(&e, &sim->heap[(i - 1) / 2]))
	{
		sim->heap[i] = sim->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	sim->heap[i] = e;
}

bool
sim_pop(Sim *sim, Event *out)
{
	Event last;
	int i = 0;

	if (sim->n_heap == 0)
		return false;
	*out = sim->heap[0];
	last = sim->heap[--sim->n_heap];
	for (;;)
	{
		int child = 2 * i + 1;

		if (child >= sim->n_heap)
			break;
		if (child + 1 < sim->n_heap &&
			before(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!before(&sim->heap[child], &last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return true;
}

void
sim_queue_free(Sim *sim)
{
	for (int i = 0; i < sim->n_heap; i++)
		if (sim->heap[i].packet != NULL)
			packet_free(sim->heap[i].packet);
	free(sim->heap);
	sim->heap = NULL;
	sim->n_heap = sim->cap_heap = 0;
}
