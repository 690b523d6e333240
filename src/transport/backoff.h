/*
 * backoff.h
 *	  How long to leave a node alone that could not be reached.
 */
#ifndef TIKV_TRANSPORT_BACKOFF_H
#define TIKV_TRANSPORT_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Backoff
{
	int failures; /* in a row */
	uint64_t seed;
	int64_t until_us; /* 0: may be tried */
} Backoff;

extern void backoff_init(Backoff *b, uint64_t seed);

/* It failed: not before a moment from now on. */
extern void backoff_failed(Backoff *b, int64_t now_us);

/* It worked for a while. */
extern void backoff_worked(Backoff *b);

extern bool backoff_is_over(const Backoff *b, int64_t now_us);

#endif /* TIKV_TRANSPORT_BACKOFF_H */
