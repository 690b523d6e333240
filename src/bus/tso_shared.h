/*
 * tso_shared.h
 *	  The timestamp oracle's state in shared memory.
 *
 * `tikv pd` saves a bound through its Raft group before it publishes it here;
 * any local process then allocates by compare-and-swap below that bound
 * (DESIGN 5).  The rules are pd/core/tso.c; this file only places the state.
 */
#ifndef TIKV_BUS_TSO_SHARED_H
#define TIKV_BUS_TSO_SHARED_H

#include "bus/shmem.h"

struct TsoShared
{
	pg_atomic_uint64 last;	   /* newest timestamp handed out (TiKV form) */
	pg_atomic_uint64 bound_ms; /* physical must stay below; 0: not leading */
	pg_atomic_uint64 lead_until_us; /* CLOCK_MONOTONIC_RAW end of leadership */
	pg_atomic_uint64 lead_epoch;	/* grows each time that it begins */

	/* How far the leading PD's time is from board_now_us(), as last heard. */
	pg_atomic_uint64 heard_offset_ms; /* 0: nothing was heard */
};

extern Size tso_shmem_size(void);

/* The leading PD gave out this timestamp just now. */
extern void tso_heard(uint64 ts);

/* What PD's time is by now, by what was heard of it; 0: nothing was. */
extern uint64 tso_heard_now_ms(void);

extern void tso_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_TSO_SHARED_H */
