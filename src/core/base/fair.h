/*
 * fair.h
 *	  A queue whose sources take turns.
 *
 * Items of one source come out in the order in which they went in; between
 * sources it is a round robin by cost (deficit round robin), so that a source
 * with ten thousand items delays another's first by its share of a round and
 * no more.  Items are the owner's: each has a FairLink in it.
 */
#ifndef TIKV_BASE_FAIR_H
#define TIKV_BASE_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FairLink
{
	struct FairLink *next;
	size_t cost;
} FairLink;

typedef struct FairSource FairSource;

#define FAIR_BUCKETS 256

/* This part of a bound is for sources that have nothing in the queue. */
#define FAIR_RESERVE 8

typedef struct FairQueue
{
	size_t quantum; /* cost that a source may spend when it is its turn */
	size_t n;		/* items */
	size_t cost;	/* of all of them */
	size_t n_sources;
	FairSource *current; /* of the ring of those that have items; or NULL */
	FairSource *free;	 /* for the next new one */
	FairSource *buckets[FAIR_BUCKETS];
} FairQueue;

extern void fair_init(FairQueue *queue, size_t quantum);

/* Give the queue's own memory back; the items are the caller's. */
extern void fair_free(FairQueue *queue);

extern void fair_push(FairQueue *queue, uint64_t source, FairLink *link,
					  size_t cost);

/* NULL if the queue is empty. */
extern FairLink *fair_pop(FairQueue *queue);

/* What fair_pop would return. */
extern FairLink *fair_peek(FairQueue *queue);

/*
 * May a source add this much to a queue that is to hold at most limit_n items
 * and limit_cost?  Up to half of a limit everyone may; beyond it a source
 * that has its share of it, counting one source more than there are, may not;
 * and the last eighth is for those that have nothing there.  So one that floods
 * leaves half to the others, and many leave room for who comes new.
 */
extern bool fair_admits(const FairQueue *queue, uint64_t source, size_t cost,
						size_t limit_n, size_t limit_cost);

#endif /* TIKV_BASE_FAIR_H */
