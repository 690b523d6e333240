/*
 * reader.h
 *	  The three column families of transactions, as commands and reads see
 *	  them.
 *
 * Keys are user keys (DESIGN 2): not memcomparable, without a timestamp.
 * Behind it stand heap tables and the shared lock table, a turn's overlay
 * over them, or a test's arrays.  Stored bytes that do not decode are the
 * implementation's to report: it must not return from such a call.
 */
#ifndef TIKV_MVCC_READER_H
#define TIKV_MVCC_READER_H

#include "core/codec/lock.h"
#include "core/codec/write.h"

/* [lower, upper); an empty upper is +infinity. */
typedef struct KeyRange
{
	Bytes lower;
	Bytes upper;
} KeyRange;

/* A record of CF write with its place. */
typedef struct WriteAt
{
	uint64_t commit_ts;
	WriteRecord write;
} WriteAt;

typedef struct MvccReader MvccReader;

struct MvccReader
{
	/*
	 * The lock on a key, for commands: in-memory pessimistic locks included
	 * (LoadLock of txn-semantics 7).  The copy lives in the arena.
	 */
	bool (*get_lock)(MvccReader *reader, Bytes key, Arena *arena, Lock *lock);

	/*
	 * The newest record of the key with commit_ts <= ts.  Walking down (ts =
	 * the last answer's commit_ts - 1) is cheap.  Bytes live in the arena.
	 */
	bool (*seek_write)(MvccReader *reader, Bytes key, uint64_t ts, Arena *arena,
					   WriteAt *out);

	/* The long value that a transaction wrote to the key (CF default). */
	bool (*get_value)(MvccReader *reader, Bytes key, uint64_t start_ts,
					  Arena *arena, Bytes *value);

	/*
	 * Locks with start_ts <= max_ts of a range in key order, until emit
	 * answers false.  In-memory pessimistic ones only with `memory`.  The
	 * lock is valid during the call; emit may use the reader.
	 */
	void (*scan_locks)(MvccReader *reader, const KeyRange *range,
					   uint64_t max_ts, bool memory,
					   bool (*emit)(void *arg, Bytes key, const Lock *lock),
					   void *arg);

	/*
	 * For each key of a range, in order or in descending order, its newest
	 * record with commit_ts <= ts, whatever its type; keys without one are
	 * passed over.  Stops when emit answers false.  Key and record are valid
	 * during the call; emit may use seek_write, get_value and get_lock.
	 */
	void (*scan_writes)(MvccReader *reader, const KeyRange *range, uint64_t ts,
						bool reverse,
						bool (*emit)(void *arg, Bytes key, const WriteAt *at),
						void *arg);

	/*
	 * Rows of CF default in (key, start_ts) order.  As above; for MVCC
	 * inspection and range deletion.
	 */
	void (*scan_values)(MvccReader *reader, const KeyRange *range,
						bool (*emit)(void *arg, Bytes key, uint64_t start_ts,
									 Bytes value),
						void *arg);

	/*
	 * Whether CF write may hold any record of a range.  NULL where scan_writes
	 * answers it; overlays, which cannot scan, have one.
	 */
	bool (*has_writes)(MvccReader *reader, const KeyRange *range);

	/*
	 * Whoever reads may set it, for scan_writes: asked now and then while records
	 * are passed over, none of which is emitted; false ends the scan as emit does.
	 * NULL: it goes on.
	 */
	bool (*goes_on)(void *arg);
	void *goes_on_arg;
};

#endif /* TIKV_MVCC_READER_H */
