/*
 * holding.h
 *	  Does a cluster of one node hold anything that somebody would miss?
 *
 * Looked at before a node gives its own cluster up to join another one
 * (pd/adopt.c).  Data are in the store's tables; here is what only the
 * Placement Driver knows.
 */
#ifndef TIKV_PD_CORE_HOLDING_H
#define TIKV_PD_CORE_HOLDING_H

#include "pd/core/state.h"

/* What it holds, in words; NULL: nothing but what a node makes by itself. */
extern const char *pd_state_holding(const PdState *state, int64_t now);

#endif /* TIKV_PD_CORE_HOLDING_H */
