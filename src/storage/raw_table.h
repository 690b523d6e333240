/*
 * raw_table.h
 *	  Raw keys in tikv_internal.raw: the core's RawReader over heap and btree,
 *	  and the writer of RawModify effects.  Direct table and index access.
 */
#ifndef TIKV_STORAGE_RAW_TABLE_H
#define TIKV_STORAGE_RAW_TABLE_H

#include "storage/tables.h"

#include "core/kv/raw.h"
#include "storage/block.h"
#include "utils/snapshot.h"

/*
 * A reader over open tables and one registered snapshot, allocated in
 * CurrentMemoryContext, which must outlive its scans.  Rows whose expires_at
 * is not 0 and <= now_s are absent; so are, if range_delete is open as well,
 * rows that a deletion of their range has yet to remove.  `emit` runs in the
 * context in which scan was called and must not use the reader.
 */
extern RawReader *raw_reader_open(const OpenTables *tables, Snapshot snapshot,
								  int64 now_s);
extern void raw_reader_close(RawReader *reader);

/*
 * The writer of one turn: finds the current row by the place cache or the
 * index under `snapshot`, then inserts, updates (HOT where possible) or
 * deletes it.  A key must be written at most once per writer (the turn folds
 * its effects).  raw_writer_published must be called after the commit: it
 * tells the place cache where the rows now are.
 *
 * The snapshot must be registered.  The writer lives in CurrentMemoryContext,
 * which must outlive the commit; if the transaction aborts, that context's
 * reset is all the writer needs.
 */
typedef struct RawWriter RawWriter;

/*
 * Told of every row that will expire, in which block it was put; at once, so
 * also in a transaction that then aborts.
 */
typedef void (*RawExpiryWatch)(void *arg, BlockNumber block, int64 expires_at);

extern void raw_writer_watch(RawWriter *writer, RawExpiryWatch watch,
							 void *arg);

extern RawWriter *raw_writer_open(const OpenTables *tables, Snapshot snapshot);
extern void raw_writer_apply(RawWriter *writer, const RawModify *modify);
extern void raw_writer_close(RawWriter *writer);	 /* before the commit */
extern void raw_writer_published(RawWriter *writer); /* after it; frees */

/*
 * Look through [first, first + n) blocks for rows that have expired; up to the
 * first block that ends with at least `max` of them.  Calls found for each,
 * with a key that is valid during the call.  Returns the blocks looked at, and
 * in *earliest the first expiry that is still to come in them (INT64_MAX: none
 * ever).  The snapshot must be registered.
 */
extern BlockNumber raw_table_expired(const OpenTables *tables,
									 Snapshot snapshot, BlockNumber first,
									 BlockNumber n, int64 now_s, int max,
									 void (*found)(void *arg, RawCf cf,
												   Bytes key),
									 void *arg, int64 *earliest);

/* The table's file: another one after a rewrite, with other blocks. */
extern Oid raw_table_file(const OpenTables *tables);
extern BlockNumber raw_table_blocks(const OpenTables *tables);

/*
 * Verify the table: keys unique, key/key_rest split at the right place,
 * index and heap agree.  Calls report for each defect (the first 1,000), with
 * a text that is valid during the call; returns their number.
 */
extern int64 raw_table_check(const OpenTables *tables, Snapshot snapshot,
							 void (*report)(void *arg, const char *defect),
							 void *arg);

#endif /* TIKV_STORAGE_RAW_TABLE_H */
