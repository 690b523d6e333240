/*
 * snapshot_file.h
 *	  The file in which a region's data goes to another store.
 *
 * Blocks of records, each with its own checksum, so that a file is written
 * and applied piece by piece and a piece can be verified without the others:
 * HEAD, then BASE blocks with the rows of the region, RANGE blocks and TAIL
 * blocks with what has changed while those were read, then END.  Every key is
 * at most once in all BASE blocks and at most once in all TAIL blocks.
 * docs/storage-format.md has the bytes.
 *
 * What is read comes from the network: any bytes may come.
 */
#ifndef TIKV_SNAPSHOT_FILE_H
#define TIKV_SNAPSHOT_FILE_H

#include "core/base/status.h"
#include "core/codec/number.h"
#include "core/kv/api_version.h"
#include "core/kv/raw.h"
#include "core/region/region.h"

#define SNAPSHOT_FORMAT 1

/* A block ends with the record that makes it so long. */
#define SNAPSHOT_BLOCK_BYTES ((size_t) 64 * 1024)

/* No block is longer; an entry has 8 MiB at most. */
#define SNAPSHOT_BLOCK_MAX ((size_t) 20 * 1024 * 1024)

#define SNAPSHOT_BLOCK_HEADER 20

typedef enum SnapshotBlockKind
{
	SNAPSHOT_HEAD = 1,
	SNAPSHOT_BASE = 2,
	SNAPSHOT_RANGE = 3, /* one record: delete what BASE has of this range */
	SNAPSHOT_TAIL = 4,
	SNAPSHOT_END = 5
} SnapshotBlockKind;

typedef enum SnapshotOp
{
	SNAPSHOT_RAW_PUT = 1, /* cf, key, number: expires_at, bytes: value */
	SNAPSHOT_RAW_DELETE = 2,
	SNAPSHOT_RAW_RANGE = 3, /* cf, [key, bytes); empty bytes: +infinity */
	SNAPSHOT_WRITE_PUT = 4, /* key, number: commit_ts, bytes: record */
	SNAPSHOT_WRITE_DELETE = 5,
	SNAPSHOT_VALUE_PUT = 6, /* key, number: start_ts, bytes: value */
	SNAPSHOT_VALUE_DELETE = 7,
	SNAPSHOT_LOCK_PUT = 8, /* key, bytes: record */
	SNAPSHOT_LOCK_DELETE = 9
} SnapshotOp;

#define SNAPSHOT_OP_MAX SNAPSHOT_LOCK_DELETE

/* One row, or one change of a row; keys are user keys (DESIGN 2). */
typedef struct SnapshotRecord
{
	SnapshotOp op;
	RawCf cf; /* of raw keys */
	Bytes key;
	uint64_t number;
	Bytes bytes;
} SnapshotRecord;

/* Whose data it is. */
typedef struct SnapshotHead
{
	uint64_t region_id;
	RegionEpoch epoch;
	ApiVersion api;
	Bytes start_key; /* bounds of the region, borrowed */
	Bytes end_key;
} SnapshotHead;

/* ---- writing ---- */

typedef struct SnapshotWriter
{
	bool (*write)(void *arg, Bytes bytes); /* false: it failed */
	void *arg;
	bool failed; /* a write has; nothing is written any more */
	uint8_t *block;
	size_t len; /* with the header */
	size_t room;
	SnapshotBlockKind kind;
	uint32_t n_records; /* in the block */
	uint64_t size;		/* of the file so far */
	uint32_t checksum;	/* of all its bytes */
	uint64_t records;	/* of all blocks */
} SnapshotWriter;

extern void snapshot_writer_init(SnapshotWriter *w,
								 bool (*write)(void *arg, Bytes bytes),
								 void *arg);
extern void snapshot_writer_free(SnapshotWriter *w);

extern void snapshot_write_head(SnapshotWriter *w, const SnapshotHead *head);
extern void snapshot_write(SnapshotWriter *w, SnapshotBlockKind kind,
						   const SnapshotRecord *record);

/* What is not written yet, and the end.  False if anything failed. */
extern bool snapshot_write_end(SnapshotWriter *w);

/* ---- reading ---- */

typedef struct SnapshotBlock
{
	SnapshotBlockKind kind;
	uint32_t n_records;
	Bytes payload; /* borrowed */
	size_t size;   /* with its header: where the next one begins */
} SnapshotBlock;

typedef enum SnapshotRead
{
	SNAPSHOT_READ_OK,
	SNAPSHOT_READ_MORE, /* more bytes are needed: *need in all */
	SNAPSHOT_READ_BAD
} SnapshotRead;

/* The block that these bytes begin with. */
extern SnapshotRead snapshot_read_block(Bytes bytes, SnapshotBlock *out,
										size_t *need);

/* INVALID also for another format; bounds are borrowed from the block. */
extern Status snapshot_read_head(const SnapshotBlock *block,
								 SnapshotHead *out) MUST_CHECK;

/* Number of records in all blocks, as the writer counted. */
extern Status snapshot_read_end(const SnapshotBlock *block,
								uint64_t *records) MUST_CHECK;

/* Walks the records of a block. */
typedef struct SnapshotCursor
{
	NumberReader in;
	uint32_t left;
	bool bad;
} SnapshotCursor;

extern SnapshotCursor snapshot_records(const SnapshotBlock *block);

/* False at the end, or if what follows is no record: then `bad`. */
extern bool snapshot_next(SnapshotCursor *cursor, SnapshotRecord *out);

#endif /* TIKV_SNAPSHOT_FILE_H */
