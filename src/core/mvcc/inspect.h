/*
 * inspect.h
 *	  All that is stored of a key, for MvccGetByKey and MvccGetByStartTs
 *	  (txn-semantics 21), and of the keys of a range.
 *
 * For people who look for mistakes: no visibility, no isolation.
 */
#ifndef TIKV_MVCC_INSPECT_H
#define TIKV_MVCC_INSPECT_H

#include "core/mvcc/reader.h"

typedef struct MvccValue
{
	uint64_t start_ts;
	Bytes value;
} MvccValue;

typedef struct MvccInfo
{
	bool has_lock;
	Lock lock;		 /* of a shared lock its first member, as TiKV */
	WriteAt *writes; /* newest first */
	size_t n_writes;
	MvccValue *values; /* newest first */
	size_t n_values;
	bool too_large; /* more than max_bytes: what is listed is not all */
} MvccInfo;

/* Memory is the arena's, of which it may take max_bytes (0: any number). */
extern void mvcc_inspect_key(MvccReader *reader, Bytes key, size_t max_bytes,
							 Arena *arena, MvccInfo *info);

typedef struct MvccKeys
{
	Bytes *keys;
	size_t n;
	bool more; /* there may be others behind the last one */
} MvccKeys;

/*
 * The first keys of the range that have a lock or a Write record, in order and
 * each once: `page` of either kind at most, and at least as many as that if
 * there may be more.  page > 0.
 */
extern void mvcc_list_keys(MvccReader *reader, const KeyRange *range,
						   size_t page, Arena *arena, MvccKeys *keys);

/*
 * The first key of the range that has a Write record of the transaction;
 * false if none has.  Walks the whole range.
 */
extern bool mvcc_find_start_ts(MvccReader *reader, const KeyRange *range,
							   uint64_t start_ts, Arena *arena, Bytes *key);

#endif /* TIKV_MVCC_INSPECT_H */
