/*
 * later.h
 *	  Memory that is given back when nobody can look at it any more.
 *
 * Commands that are decided over each other share bytes: the answer to one may
 * show a key or a value that is in the memory of a request before it. While such
 * answers are sent nothing of them is freed.
 */
#ifndef TIKV_CORE_BASE_LATER_H
#define TIKV_CORE_BASE_LATER_H

/* What is freed from now on waits for later_run; again is the same as once. */
extern void later_hold(void);

/* Free what has waited, and let nothing wait any more. */
extern void later_run(void);

/* Have something freed: at once, if nothing is held. */
extern void later_free(void (*free_it)(void *thing), void *thing);

#endif /* TIKV_CORE_BASE_LATER_H */
