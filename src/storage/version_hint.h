/*
 * version_hint.h
 *	  What the single writer knows of the newest versions of keys in `write`:
 *	  key -> (timestamp, TID), in the memory of its process.
 *
 * An entry promises that the key has no version above its timestamp, so a
 * row of that timestamp is the newest one, found without the index, and a
 * row above it is new.  The promise holds because every row of `write` comes
 * from version_put in the process that enabled the hints, which raises the
 * entry before the row can be seen by anybody; deletions break no promise.
 * Keys that a backend writes by a grant have no entry from before it is told
 * so until its transaction has ended (version_hints_except).
 * The TID is only where the row was: whoever uses it looks whether the row
 * is visible, of that key and of that timestamp.
 *
 * Other processes have no hints and ask the index.  Private to this folder,
 * but for version_hints_enable (txn_table.h).
 */
#ifndef TIKV_STORAGE_VERSION_HINT_H
#define TIKV_STORAGE_VERSION_HINT_H

#include "postgres.h"

#include "core/base/bytes.h"
#include "storage/itemptr.h"

typedef struct VersionHint
{
	uint64 hash; /* 0: nothing is known */
	uint64 ts;	 /* of the newest version; 0: there is none */
	ItemPointerData tid;
} VersionHint;

/* May this table's rows be looked for in the hints?  A new table voids them. */
extern bool version_hints_cover(Oid table);

/* NULL if nothing is known of the key. */
extern const VersionHint *version_hint_find(Bytes key);

/* Rows written so far: what an older snapshot shows must not be noted. */
extern uint64 version_hints_epoch(void);

/* A search of the whole index at this epoch found this (0: no row). */
extern void version_hint_note(Bytes key, uint64 ts, const ItemPointerData *tid,
							  uint64 epoch);

/* A row is being written. */
extern void version_hint_written(Bytes key, uint64 ts,
								 const ItemPointerData *tid);

#endif /* TIKV_STORAGE_VERSION_HINT_H */
