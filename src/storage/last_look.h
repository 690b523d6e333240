/*
 * last_look.h
 *	  The key of a transaction's table that was looked at last: where a row is
 *	  that cannot be read.
 *
 * An error that a damaged page raises does not say which key it was about.
 * Who wants to know begins before it looks, and asks when that has failed.
 */
#ifndef TIKV_STORAGE_LAST_LOOK_H
#define TIKV_STORAGE_LAST_LOOK_H

#include "postgres.h"

#include "core/base/bytes.h"

extern bool last_look_is_on;

extern void last_look_begin(void);

/* The key stays known until the next begin. */
extern void last_look_end(void);

/* Empty: none was looked at. */
extern Bytes last_look_key(void);

extern void last_look_keep(Bytes key);

static inline void
last_look_note(Bytes key)
{
	if (last_look_is_on)
		last_look_keep(key);
}

#endif /* TIKV_STORAGE_LAST_LOOK_H */
