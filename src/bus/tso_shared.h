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

	/* The least timestamp to ask PD about; 0: none.  See tso_doubt. */
	pg_atomic_uint64 doubted;

	/* Where PD had not come when it was asked, and when it said so. */
	pg_atomic_uint64 denied;
	pg_atomic_uint64 denied_at_ms;
};

extern Size tso_shmem_size(void);

/* The leading PD gave out this timestamp just now. */
extern void tso_heard(uint64 ts);

/* What PD's time is by now, by what was heard of it; 0: nothing was. */
extern uint64 tso_heard_now_ms(void);

/*
 * How long ago PD was at this timestamp, rather too much than too little: by what
 * was heard of it, which does not go back when this node's time of day is set, and
 * by that, which knows first when PD's time has been set forth.
 */
extern int64 tso_age_ms(uint64 ts);

/*
 * A timestamp is far above all that is known of PD, whose time may have jumped
 * since: `tikv store` asks it.  False: that has been done, or PD leads here, and
 * PD has not come so far.
 */
extern bool tso_doubt(uint64 ts);

/* What to ask PD about now; 0: nothing.  Whoever doubts anew is asked for anew. */
extern uint64 tso_take_doubt(void);

/* PD was asked about this one and has not come near it. */
extern void tso_deny(uint64 ts);

extern void tso_shmem_init(TikvShmem *shmem, bool found);

#endif /* TIKV_BUS_TSO_SHARED_H */
