/*
 * snapshot_changes.h
 *	  What a region's log changed while its rows were being read.
 *
 * A region is read in pieces, each under a snapshot of its own, so that no
 * old snapshot of Postgres is held.  Piece i shows the state at the applied
 * index of its moment, a_i.  Entries change rows blindly (put, delete, delete
 * a range), so the state at the last index, a_n, is that of the pieces with
 * all entries from a_1 to a_n carried out once more: for every row the last
 * entry that touches it decides, and a row that none touches is the same in
 * all pieces.  This collects those entries and folds them to one change per
 * row.
 *
 * Only a change of the region's range would break this: then it says so, and
 * the reading begins again.
 */
#ifndef TIKV_SNAPSHOT_CHANGES_H
#define TIKV_SNAPSHOT_CHANGES_H

#include "core/cmd/command.h"
#include "core/snapshot/snapshot_file.h"

typedef struct SnapshotChanges SnapshotChanges;

/* The region is copied, as it was when the reading began. */
extern SnapshotChanges *snapshot_changes_new(const Region *region,
											 ApiVersion api, size_t max_bytes);
extern void snapshot_changes_free(SnapshotChanges *changes);

/*
 * The next applied entry.  UNAVAILABLE: the region was split, begin again;
 * BUSY: more than max_bytes have changed; CORRUPT: it does not decode.
 */
extern Status snapshot_changes_add(SnapshotChanges *changes,
								   const RaftEntry *entry) MUST_CHECK;

/* The first piece shows the state at this index: entries behind it count. */
extern void snapshot_changes_begin(SnapshotChanges *changes, uint64_t index);

/* Entries whose index is this or less were added, or do not count. */
extern uint64_t snapshot_changes_index(const SnapshotChanges *changes);

/* First ranges, then rows. */
extern void snapshot_changes_write(const SnapshotChanges *changes,
								   SnapshotWriter *w);

#endif /* TIKV_SNAPSHOT_CHANGES_H */
