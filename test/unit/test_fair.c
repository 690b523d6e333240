/*
 * test_fair.c
 *	  Queues whose sources take turns: order, shares, and that nothing is lost.
 */
#include "core/base/fair.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

typedef struct Item
{
	FairLink link; /* first */
	uint64_t source;
	int number;
} Item;

#define MAX_ITEMS 4096

static Item items[MAX_ITEMS];

static void
push(FairQueue *queue, int i, uint64_t source, size_t cost)
{
	items[i].source = source;
	items[i].number = i;
	fair_push(queue, source, &items[i].link, cost);
}

static int
pop(FairQueue *queue)
{
	FairLink *peeked = fair_peek(queue);
	Item *item = (Item *) fair_pop(queue);

	OK(peeked == &item->link, "what is seen is what comes");
	return item == NULL ? -1 : item->number;
}

static void
empty(void)
{
	FairQueue queue;

	fair_init(&queue, 4);
	OK((fair_pop(&queue) == NULL), "empty");
	OK((fair_peek(&queue) == NULL), "empty");
	fair_free(&queue);
}

static void
one_source_is_first_in_first_out(void)
{
	FairQueue queue;

	fair_init(&queue, 4);
	for (int i = 0; i < 100; i++)
		push(&queue, i, 7, (size_t) i % 9);
	for (int i = 0; i < 100; i++)
		EQ_U64(pop(&queue), i, "one source is first in first out");
	EQ_U64(queue.n, 0, "one source is first in first out");
	EQ_U64(queue.cost, 0, "one source is first in first out");
	EQ_U64(queue.n_sources, 0, "one source is first in first out");
	fair_free(&queue);
}

/* A thousand items of one source, then one of another: it waits a turn. */
static void
a_flood_delays_others_by_its_turn_only(void)
{
	FairQueue queue;
	int at = 0;

	fair_init(&queue, 16);
	for (int i = 0; i < 1000; i++)
		push(&queue, i, 1, 1);
	push(&queue, 1000, 2, 1);
	while (pop(&queue) != 1000)
		at++;
	EQ_U64(at, 16, "a flood delays others by its turn only");
	EQ_U64(queue.n, 1000 - 16, "a flood delays others by its turn only");
	fair_free(&queue);
}

/* By cost, not by number: large items of one, small ones of the other. */
static void
turns_are_counted_by_cost(void)
{
	FairQueue queue;
	size_t cost[3] = {0, 0, 0};

	fair_init(&queue, 1000);
	for (int i = 0; i < 100; i++)
		push(&queue, i, 1, 3000);
	for (int i = 100; i < 2100; i++)
		push(&queue, i, 2, 100);
	for (int i = 0; i < 600; i++)
	{
		Item *item = (Item *) fair_pop(&queue);

		cost[item->source] += item->link.cost;
	}
	/* Each had about half; the difference is an item and a turn. */
	OK((cost[1] + 4000 >= cost[2] && cost[2] + 4000 >= cost[1]),
	   "turns are counted by cost");
	OK((cost[1] > 20000), "turns are counted by cost");
	fair_free(&queue);
}

/* An item above the quantum comes out in the end, also when alone. */
static void
an_item_above_the_quantum_is_served(void)
{
	FairQueue queue;

	fair_init(&queue, 1);
	push(&queue, 0, 1, 1000);
	push(&queue, 1, 2, 0);
	EQ_U64(pop(&queue), 1, "an item above the quantum is served");
	EQ_U64(pop(&queue), 0, "an item above the quantum is served");
	fair_free(&queue);
}

static void
bounds_and_shares(void)
{
	FairQueue queue;
	int n = 0;

	fair_init(&queue, 16);
	/* One source alone gets half. */
	while (fair_admits(&queue, 1, 10, 100, 100000))
		push(&queue, n++, 1, 10);
	EQ_U64(n, 50, "bounds and shares");
	/* A second one then has its third. */
	while (fair_admits(&queue, 2, 10, 100, 100000))
		push(&queue, n++, 2, 10);
	EQ_U64(n, 50 + 33, "bounds and shares");
	/* Whoever comes new is let in, whatever the size of its first. */
	OK(fair_admits(&queue, 3, 90000, 100, 100000), "bounds and shares");
	/* A third one a quarter, but not what is kept for others. */
	while (fair_admits(&queue, 3, 10, 100, 100000))
		push(&queue, n++, 3, 10);
	EQ_U64(n, 100 - 100 / FAIR_RESERVE, "bounds and shares");
	OK(fair_admits(&queue, 4, 10, 100, 100000), "room for who comes new");
	OK(!fair_admits(&queue, 4, 10, 88, 100000), "but no more than all");
	OK(!fair_admits(&queue, 4, 10, 100, 885), "nor in cost");
	OK(!fair_admits(&queue, 4, 2000, 200, 1500), "however large it is");
	OK(fair_admits(&queue, 4, 10, 100, 890), "and not one less");
	fair_free(&queue);
}

/* Random pushes and pops against a count by source. */
static void
nothing_is_lost_or_reordered(void)
{
	FairQueue queue;
	int last[40];
	int pushed = 0;
	int popped = 0;
	unsigned int seed = 1;

	fair_init(&queue, 8);
	memset(last, -1, sizeof(last));
	while (popped < MAX_ITEMS)
	{
		if (pushed < MAX_ITEMS && rand_r(&seed) % 3 != 0)
		{
			push(&queue, pushed, (uint64_t) (rand_r(&seed) % 40),
				 (size_t) (rand_r(&seed) % 20));
			pushed++;
			continue;
		}
		Item *item = (Item *) fair_pop(&queue);

		OK((item == NULL) == (popped == pushed), "nothing is lost");
		if (item == NULL)
			continue;
		OK((item->number > last[item->source]), "nothing is lost or reordered");
		last[item->source] = item->number;
		popped++;
		EQ_U64(queue.n, pushed - popped, "nothing is lost or reordered");
	}
	EQ_U64(queue.n_sources, 0, "nothing is lost or reordered");
	fair_free(&queue);
}

int
main(void)
{
	empty();
	one_source_is_first_in_first_out();
	a_flood_delays_others_by_its_turn_only();
	turns_are_counted_by_cost();
	an_item_above_the_quantum_is_served();
	bounds_and_shares();
	nothing_is_lost_or_reordered();
	return unit_done();
}
