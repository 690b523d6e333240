/*
 * overlay.h
 *	  What a turn has decided but not yet written: the newest effect per key.
 *
 * Commands of one turn see earlier ones through it, and the turn writes each
 * key once however often it was changed.  Keys and values are borrowed: they
 * belong to the requests, which outlive the turn.
 */
#ifndef TIKV_KV_OVERLAY_H
#define TIKV_KV_OVERLAY_H

#include "core/kv/raw.h"

typedef struct OverlayEntry
{
	uint64_t hash;
	uint32_t modify; /* index + 1 into modifies; 0: free */
} OverlayEntry;

typedef struct Overlay
{
	Arena arena;
	OverlayEntry *entries; /* open addressing, a power of two */
	size_t n_entries;
	RawModify *modifies; /* in order of first change */
	size_t n_modifies;
	size_t room;
} Overlay;

extern void overlay_init(Overlay *overlay);
extern void overlay_reset(Overlay *overlay);
extern void overlay_free(Overlay *overlay);

/* The newest effect on the key replaces an older one. */
extern void overlay_apply(Overlay *overlay, const RawModify *modify);

/* The pending effect on a key, or NULL. */
extern const RawModify *overlay_find(const Overlay *overlay, RawCf cf,
									 Bytes key);

#endif /* TIKV_KV_OVERLAY_H */
