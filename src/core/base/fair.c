/*
 * fair.c
 *	  A queue whose sources take turns.
 */
#include "core/base/fair.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

struct FairSource
{
	uint64_t id;
	FairLink *first;
	FairLink **tail;
	size_t n;
	size_t cost;
	size_t credit;	  /* what is left of its turn */
	FairSource *next; /* of the ring */
	FairSource *prev;
	FairSource *chain; /* of the bucket, or of the free list */
};

void
fair_init(FairQueue *queue, size_t quantum)
{
	memset(queue, 0, sizeof(*queue));
	queue->quantum = quantum;
}

static void
free_chain(FairSource *source)
{
	while (source != NULL)
	{
		FairSource *next = source->chain;

		free(source);
		source = next;
	}
}

void
fair_free(FairQueue *queue)
{
	for (int i = 0; i < FAIR_BUCKETS; i++)
		free_chain(queue->buckets[i]);
	free_chain(queue->free);
	fair_init(queue, queue->quantum);
}

static size_t
bucket_of(uint64_t id)
{
	return (size_t) ((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) % FAIR_BUCKETS;
}

static FairSource *
find(const FairQueue *queue, uint64_t id)
{
	FairSource *source = queue->buckets[bucket_of(id)];

	while (source != NULL && source->id != id)
		source = source->chain;
	return source;
}

/* At the end of the round: just before the one whose turn it is. */
static void
join_ring(FairQueue *queue, FairSource *source)
{
	FairSource *at = queue->current;

	if (at == NULL)
	{
		source->next = source->prev = source;
		queue->current = source;
		return;
	}
	source->next = at;
	source->prev = at->prev;
	at->prev->next = source;
	at->prev = source;
}

static FairSource *
add_source(FairQueue *queue, uint64_t id)
{
	FairSource *source = queue->free;
	size_t bucket = bucket_of(id);

	if (source != NULL)
		queue->free = source->chain;
	else
		source = malloc(sizeof(*source));
	CHECK(source != NULL);
	memset(source, 0, sizeof(*source));
	source->id = id;
	source->tail = &source->first;
	source->credit = queue->quantum;
	source->chain = queue->buckets[bucket];
	queue->buckets[bucket] = source;
	join_ring(queue, source);
	queue->n_sources++;
	return source;
}

static void
remove_source(FairQueue *queue, FairSource *source)
{
	FairSource **at = &queue->buckets[bucket_of(source->id)];

	while (*at != source)
		at = &(*at)->chain;
	*at = source->chain;
	if (source->next == source)
		queue->current = NULL;
	else
	{
		source->prev->next = source->next;
		source->next->prev = source->prev;
		if (queue->current == source)
			queue->current = source->next;
	}
	source->chain = queue->free;
	queue->free = source;
	queue->n_sources--;
}

void
fair_push(FairQueue *queue, uint64_t id, FairLink *link, size_t cost)
{
	FairSource *source = find(queue, id);

	if (source == NULL)
		source = add_source(queue, id);
	link->next = NULL;
	link->cost = cost;
	*source->tail = link;
	source->tail = &link->next;
	source->n++;
	source->cost += cost;
	queue->n++;
	queue->cost += cost;
}

/*
 * Whose turn is it?  Who cannot pay for its next item leaves the turn to the
 * others and has more to spend the next time; so it comes to an end.
 */
static FairSource *
turn(FairQueue *queue)
{
	FairSource *source = queue->current;

	if (source == NULL)
		return NULL;
	while (source->credit < source->first->cost)
	{
		source->credit += queue->quantum;
		source = source->next;
	}
	queue->current = source;
	return source;
}

FairLink *
fair_peek(FairQueue *queue)
{
	FairSource *source = turn(queue);

	return source == NULL ? NULL : source->first;
}

FairLink *
fair_pop(FairQueue *queue)
{
	FairSource *source = turn(queue);
	FairLink *link;

	if (source == NULL)
		return NULL;
	link = source->first;
	source->first = link->next;
	if (source->first == NULL)
		source->tail = &source->first;
	source->credit -= link->cost;
	source->n--;
	source->cost -= link->cost;
	queue->n--;
	queue->cost -= link->cost;
	if (source->n == 0)
		remove_source(queue, source);
	return link;
}

/* Is a source with `has` of what `all` together have within its share? */
static bool
within_share(size_t has, size_t all, size_t limit, size_t n_sources)
{
	return all <= limit / 2 || has <= limit / (n_sources + 1);
}

bool
fair_admits(const FairQueue *queue, uint64_t id, size_t cost, size_t limit_n,
			size_t limit_cost)
{
	const FairSource *source = find(queue, id);
	size_t sources = queue->n_sources;

	if (queue->n >= limit_n || cost > limit_cost ||
		queue->cost > limit_cost - cost)
		return false;
	/* Who has nothing there has a share, however large the item. */
	if (source == NULL)
		return true;
	if (queue->n >= limit_n - limit_n / FAIR_RESERVE ||
		queue->cost + cost > limit_cost - limit_cost / FAIR_RESERVE)
		return false;
	return within_share(source->n + 1, queue->n + 1, limit_n, sources) &&
		within_share(source->cost + cost, queue->cost + cost, limit_cost,
					 sources);
}
