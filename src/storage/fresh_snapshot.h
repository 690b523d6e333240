/*
 * fresh_snapshot.h
 *	  What is committed by now, whatever the statement's snapshot is.
 */
#ifndef TIKV_STORAGE_FRESH_SNAPSHOT_H
#define TIKV_STORAGE_FRESH_SNAPSHOT_H

#include "utils/snapshot.h"

/* Registered; also while workers run parts of the statement. */
extern Snapshot fresh_snapshot(void);

#endif /* TIKV_STORAGE_FRESH_SNAPSHOT_H */
