/*
 * pending.h
 *	  A key as it will be after what a command has listed so far.
 *
 * Commands read what was there before them.  Where one handles several
 * transactions on the same key (the members of a shared lock), the later ones
 * must see what the earlier ones did (txn-semantics 9).
 */
#ifndef TIKV_TXN_PENDING_H
#define TIKV_TXN_PENDING_H

#include "core/txn/effects.h"

typedef struct PendingReader
{
	MvccReader reader; /* get_lock and seek_write, of `key` alone */
	MvccReader *base;
	const TxnEffects *effects;
	size_t first; /* effects before this one are of other keys */
	Bytes key;
} PendingReader;

/* Over the effects on `key` that are listed from now on. */
extern void pending_init(PendingReader *pending, MvccReader *base,
						 const TxnEffects *effects, Bytes key);

#endif /* TIKV_TXN_PENDING_H */
