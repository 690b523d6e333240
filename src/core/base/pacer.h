/*
 * pacer.h
 *	  How often a turn may take a transaction id.
 *
 * Each writing turn uses one xid, and Postgres has two thousand million of
 * them between freezes.  A token bucket lets a burst through at once and
 * holds sustained load to one turn per interval; what waits meanwhile makes
 * the next turn's batch bigger.  Pure: time is an argument.
 */
#ifndef TIKV_BASE_PACER_H
#define TIKV_BASE_PACER_H

#include <stdint.h>

/* How many turns may run ahead of the pace after an idle time. */
#define PACER_BURST 2000

typedef struct Pacer
{
	int64_t next_us; /* when the bucket would be full again */
} Pacer;

/* Microseconds until a writing turn may start; 0: now. */
extern int64_t pacer_wait_us(const Pacer *pacer, int64_t now_us,
							 int64_t interval_us);

/* A writing turn started. */
extern void pacer_spend(Pacer *pacer, int64_t now_us, int64_t interval_us);

#endif /* TIKV_BASE_PACER_H */
