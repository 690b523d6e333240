/*
 * reconnect.h
 *	  How long to leave a node alone that could not be reached.
 */
#ifndef TIKV_TRANSPORT_RECONNECT_H
#define TIKV_TRANSPORT_RECONNECT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Reconnect
{
	int failures; /* in a row */
	uint64_t seed;
	int64_t until_us; /* 0: may be tried */
} Reconnect;

extern void reconnect_init(Reconnect *b, uint64_t seed);

/* It failed: not before a moment from now on. */
extern void reconnect_failed(Reconnect *b, int64_t now_us);

/* It worked for a while. */
extern void reconnect_worked(Reconnect *b);

extern bool reconnect_is_over(const Reconnect *b, int64_t now_us);

#endif /* TIKV_TRANSPORT_RECONNECT_H */
