/*
 * delay.h
 *	  Moments at which something is due, earliest first.
 */
#ifndef TIKV_SERVER_DELAY_H
#define TIKV_SERVER_DELAY_H

#include "core/base/bytes.h"

/* Remember an item until a moment of CLOCK_MONOTONIC. */
extern void delay_add(int64_t due_us, void *item);

/* The earliest moment; INT64_MAX if nothing waits. */
extern int64_t delay_next(void);

/* Take the earliest item; only if one waits. */
extern void *delay_take(void);

#endif /* TIKV_SERVER_DELAY_H */
