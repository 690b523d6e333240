/*
 * lookup.h
 *	  What the commands ask of a key's history (txn-semantics 7).
 *
 * Pure questions over an MvccReader; nothing here changes anything.
 * Source: tikv/tikv src/storage/mvcc/reader/reader.rs, src/storage/txn/
 * actions/{common,check_data_constraint}.rs.
 */
#ifndef TIKV_MVCC_LOOKUP_H
#define TIKV_MVCC_LOOKUP_H

#include "core/base/status.h"
#include "core/mvcc/reader.h"

/* How a transaction ended on a key: CommitRecord of txn-semantics 7. */
typedef enum CommitRecordKind
{
	COMMIT_RECORD_NONE,				  /* nothing of it; see overlapped */
	COMMIT_RECORD_SINGLE,			  /* its own record: commit or rollback */
	COMMIT_RECORD_OVERLAPPED_ROLLBACK /* rolled back, flag R on another's */
} CommitRecordKind;

typedef struct CommitRecord
{
	CommitRecordKind kind;
	WriteAt at;			 /* SINGLE: the record; NONE: the overlapped one */
	bool has_overlapped; /* NONE: another's record lies at our start_ts */
	uint64_t fence;		 /* ... newer Put/Delete above it, 0 none */
} CommitRecord;

extern void mvcc_commit_record(MvccReader *reader, Bytes key, uint64_t start_ts,
							   Arena *arena, CommitRecord *out);

/* SINGLE and not a Rollback. */
extern bool commit_record_is_commit(const CommitRecord *record);

/* SINGLE Rollback, or OVERLAPPED_ROLLBACK. */
extern bool commit_record_is_rollback(const CommitRecord *record);

/* A fence that turns the record into garbage for readers at `limit`. */
static inline bool
write_is_fenced(const WriteRecord *write, uint64_t limit)
{
	return write->has_gc_fence && write->gc_fence != 0 &&
		write->gc_fence <= limit;
}

/*
 * The Put that is visible at ts (GetWrite); false if there is none.  Records
 * whose fence is <= fence_limit count as garbage.
 */
extern bool mvcc_get_put(MvccReader *reader, Bytes key, uint64_t ts,
						 uint64_t fence_limit, Arena *arena, WriteAt *out);

/*
 * The same, starting from a record already loaded (`from` is the newest with
 * commit_ts <= the timestamp of interest).
 */
extern bool mvcc_get_put_from(MvccReader *reader, Bytes key,
							  const WriteAt *from, uint64_t fence_limit,
							  Arena *arena, WriteAt *out);

/* The newest Put or Delete at or below `from`; false if there is none. */
extern bool mvcc_last_change_record(MvccReader *reader, Bytes key,
									const WriteAt *from, Arena *arena,
									WriteAt *out);

/* NextLastChange: what a new record above `newest` says of the change below. */
extern LastChange mvcc_next_last_change(MvccReader *reader, Bytes key,
										const WriteAt *newest, Arena *arena);

/* last_change of a key without any record. */
extern LastChange last_change_none(void);

/*
 * DataConstraint for a key that should not exist, over its newest record: true
 * with the Put in *put if it does exist.
 */
extern bool mvcc_existing_put(MvccReader *reader, Bytes key,
							  const WriteAt *newest, Arena *arena,
							  WriteAt *put);

/* The same without the Put. */
extern bool mvcc_key_exists(MvccReader *reader, Bytes key,
							const WriteAt *newest, Arena *arena);

/* Whether CF write may hold any record, of whatever type, of a range. */
extern bool mvcc_has_writes(MvccReader *reader, const KeyRange *range);

/*
 * The value of a Put: its short value, or the row in CF default.  False if
 * that row is missing, which is a sign of corruption (DefaultNotFound).
 */
extern bool mvcc_load_value(MvccReader *reader, Bytes key,
							const WriteRecord *put, Arena *arena,
							Bytes *value) MUST_CHECK;

#endif /* TIKV_MVCC_LOOKUP_H */
