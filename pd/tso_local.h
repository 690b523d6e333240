/*
 * tso_local.h
 *	  Timestamps for any process of this node, without asking anybody.
 *
 * While this node's `tikv pd` leads, it keeps a saved bound published in
 * shared memory, and whoever is attached allocates below it by
 * compare-and-swap.  Part of both libraries.
 */
#ifndef TIKV_PD_TSO_LOCAL_H
#define TIKV_PD_TSO_LOCAL_H

#include "bus/tso_shared.h"
#include "pd/core/tso.h"

/*
 * Take `count` timestamps; *last is the newest of them, the others are those
 * right before it.  False if the window is used up, nobody leads here, or the
 * count is 0 or too large: then ask `tikv pd` (METHOD_PD_TSO), which extends
 * the window.  Wakes it when the window runs low.
 */
extern bool tso_allocate(uint32 count, uint64 *last);

/* The same for `tikv pd` itself, which wants to know why not. */
extern TsoResult tso_take(uint32 count, uint64 *last);

/*
 * Leadership begins: nobody gets a timestamp until a bound and a lease are
 * given, nor who took one before.  Timestamps go on behind saved_ms and what
 * was ever taken here, by `ahead` more; returned is the last one before them.
 */
extern uint64 tso_begin(uint64 saved_ms, uint64 ahead);

/* The newest timestamp that was given out, or where leadership began. */
extern uint64 tso_newest(void);

/* Where it would begin now: not before any timestamp, with the same bound. */
extern uint64 tso_beginning(uint64 saved_ms);

/* Wall clock in milliseconds, as timestamps count it. */
extern uint64 tso_now_ms(void);

#endif /* TIKV_PD_TSO_LOCAL_H */
