/*
 * visible.h
 *	  What gets and scans share: from a lock or a record to a result.
 *
 * Internal to core/mvcc.  The result has been zeroed and has its key.
 */
#ifndef TIKV_MVCC_VISIBLE_H
#define TIKV_MVCC_VISIBLE_H

#include "core/mvcc/read.h"

/* The answer that a lock with a verdict other than IGNORED makes. */
extern void mvcc_read_lock(MvccReader *reader, const MetLock *met,
						   bool key_only, Arena *arena, ReadResult *result);

/* The answer from the newest record at or below mvcc_look_from(). */
extern void mvcc_read_from(MvccReader *reader, const ReadContext *context,
						   Bytes key, const WriteAt *from, bool key_only,
						   Arena *arena, ReadResult *result);

/* The timestamp from which the search for a version starts. */
extern uint64_t mvcc_look_from(const ReadContext *context);

#endif /* TIKV_MVCC_VISIBLE_H */
