/*
 * adopt.h
 *	  A node that made a cluster of its own and is told to join another one.
 */
#ifndef TIKV_PD_ADOPT_H
#define TIKV_PD_ADOPT_H

#include "pd/pd.h"

typedef enum AdoptAnswer
{
	ADOPT_DONE,	   /* nothing of it is left, and the store starts again */
	ADOPT_REFUSED, /* it is not empty */
	ADOPT_LATER	   /* somebody is in the way of a lock */
} AdoptAnswer;

/* Forget the node's own cluster if it is empty; else *holds is what it holds. */
extern AdoptAnswer adopt_forget_own(const PdState *state, const char **holds);

#endif /* TIKV_PD_ADOPT_H */
