/*
 * overlay.h
 *	  What the commands of a turn have decided but not yet written.
 *
 * An MvccReader over another one: later commands of a turn see the effects of
 * earlier ones through it, and the turn writes each row once, however often
 * it was changed.  Keys, bytes and decoded records are borrowed from the
 * effects and must live as long as the turn.
 */
#ifndef TIKV_TXN_OVERLAY_H
#define TIKV_TXN_OVERLAY_H

#include "core/txn/effects.h"

/* A row that was changed; links are indexes + 1, 0 is the end. */
typedef struct TxnOverlayRow
{
	TxnModify modify; /* the newest */
	bool is_void;	  /* put and deleted again, and not in the base */
	uint32_t older;	  /* the key's next row, by descending ts */
} TxnOverlayRow;

/* A key of one column family. */
typedef struct TxnOverlayKey
{
	uint64_t hash;
	uint32_t turn;	 /* another than the overlay's: the entry is free */
	uint32_t newest; /* its first row */

	/* WRITE: the newest record of the base, once it was asked for */
	bool top_is_known;
	const WriteAt *top; /* NULL: there is none */
} TxnOverlayKey;

typedef struct TxnOverlay
{
	MvccReader reader; /* first: an overlay is a reader */
	MvccReader *base;
	Arena arena; /* what was read from the base, until the turn ends */

	/* Kept over turns, unless one was uncommonly large. */
	uint32_t turn;
	TxnOverlayKey *keys; /* open addressing, a power of two */
	size_t n_keys;
	size_t keys_room;
	TxnOverlayRow *rows; /* in order of first change */
	size_t n_rows;
	size_t rows_room;
	size_t n_live; /* rows that are not void */
} TxnOverlay;

extern void txn_overlay_init(TxnOverlay *overlay);

/* A new turn over this base. */
extern void txn_overlay_begin(TxnOverlay *overlay, MvccReader *base);
extern void txn_overlay_free(TxnOverlay *overlay);

/*
 * Take in what a command wants done.  The base is asked only where a row is
 * deleted that was put in the same turn.
 */
extern void txn_overlay_apply(TxnOverlay *overlay, const TxnEffects *effects);

/*
 * The rows to write, one per (cf, key, ts), in order of first change; NULL at
 * the end.  *at begins at 0.  A delete is of a row that the base has, or that
 * was deleted unseen: such a row may be missing.
 */
extern const TxnModify *txn_overlay_next(const TxnOverlay *overlay, size_t *at);

/* Nothing to write: the reader shows what the base shows, scans included. */
static inline bool
txn_overlay_is_empty(const TxnOverlay *overlay)
{
	return overlay->n_live == 0;
}

#endif /* TIKV_TXN_OVERLAY_H */
