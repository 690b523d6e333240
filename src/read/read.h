/*
 * read.h
 *	  The read path, shared by the store, the server workers and SQL backends.
 *
 * Whoever got a request answers it (DESIGN 4).  A round serves any number of
 * requests over one fresh snapshot:
 *
 *		read_round_look		per request: board, region check, lease
 *		txn_look			per request at a timestamp: the locks
 *		read_round_begin	locks, snapshot, reader; then the board again
 *		read_round_valid	per request: what it saw still holds
 *		... reads through read_round_reader ...
 *		read_round_end
 *
 * The second look comes after the snapshot was taken and before a row is
 * read: the snapshot cannot change any more, so a lease that is good then
 * covers all that will be read through it.
 */
#ifndef TIKV_READ_READ_H
#define TIKV_READ_READ_H

#include "postgres.h"

#include "bus/board.h"
#include "storage/raw_table.h"
#include "storage/txn_table.h"

typedef struct ReadRound ReadRound;

/* What a round reads; opening tables costs, so it says so beforehand. */
#define READ_RAW 0x1
#define READ_TXN 0x2

/*
 * In CurrentMemoryContext, which must outlive the round.  More may be wanted
 * until read_round_begin.
 */
extern ReadRound *read_round_new(int wanted);
extern void read_round_want(ReadRound *round, int wanted);

/*
 * May a request with this context read here?  On success *seen is the board's
 * entry as this round sees it, valid until read_round_end.  Else *error says
 * what to answer; it borrows from the round.  READ_INDEX_NOT_READY: it may if
 * the store finds an index for it (replica_read, or no lease).
 */
extern bool read_round_look(ReadRound *round, const RequestContext *context,
							const BoardRegion **seen, RegionError *error);

/*
 * A client that knows the region from before it was split is told of the
 * pieces, too, as far as this store has them (raftstore-and-pd 2).  In
 * CurrentMemoryContext.
 */
extern void read_add_siblings(const RequestContext *context,
							  RegionError *error);

/*
 * Needs a transaction.  Locks the tables (waiting only if `wait`), takes a
 * fresh registered snapshot in every isolation level, opens the reader and
 * looks at the board again.
 */
extern TablesAnswer read_round_begin(ReadRound *round, const TableOids *oids,
									 bool wait);

/*
 * True if what read_round_look saw still held after the snapshot; `indexed` is
 * the context's.
 */
extern bool read_round_valid(const ReadRound *round, const BoardRegion *seen,
							 bool indexed);

/* Is the snapshot taken?  It is too late for looks at the locks then. */
extern bool read_round_begun(const ReadRound *round);

/* Of what was wanted. */
extern RawReader *read_round_reader(ReadRound *round);
extern MvccReader *read_round_mvcc(ReadRound *round);

/* Locks may lie in lock_spill: ask txn_look_spilled. */
extern bool read_round_spilled(const ReadRound *round);

/* Releases snapshot and table locks.  After an error the abort does it. */
extern void read_round_end(ReadRound *round);

#endif /* TIKV_READ_READ_H */
