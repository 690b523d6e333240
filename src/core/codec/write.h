/*
 * write.h
 *	  The Write record of CF write, as TiKV encodes it.
 *
 * Source: tikv/tikv components/txn_types/src/write.rs; txn-semantics 4.
 */
#ifndef TIKV_CODEC_WRITE_H
#define TIKV_CODEC_WRITE_H

#include "core/codec/lock.h"

typedef enum WriteType
{
	WRITE_TYPE_PUT = 'P',
	WRITE_TYPE_DELETE = 'D',
	WRITE_TYPE_LOCK = 'L',
	WRITE_TYPE_ROLLBACK = 'R'
} WriteType;

/* The record; where it lies (key, commit_ts) is said beside it. */
typedef struct WriteRecord
{
	WriteType type;
	uint64_t start_ts;
	bool has_short_value;
	Bytes short_value;
	bool has_overlapped_rollback;
	bool has_gc_fence; /* present even when 0 */
	uint64_t gc_fence;
	LastChange last_change;
	uint64_t txn_source;
} WriteRecord;

extern Bytes write_encode(const WriteRecord *write, Arena *arena);

/* The short value is borrowed.  STATUS_CORRUPT if it is no such record. */
extern Status write_decode(Bytes bytes, WriteRecord *write) MUST_CHECK;

/* A Rollback that no later rollback may collapse. */
extern bool write_is_protected(const WriteRecord *write);

/* The Rollback record of a transaction, protected or not. */
extern WriteRecord write_rollback(uint64_t start_ts, bool is_protected);

/* Put or Delete: a change of data. */
static inline bool
write_is_change(const WriteRecord *write)
{
	return write->type == WRITE_TYPE_PUT || write->type == WRITE_TYPE_DELETE;
}

/* The kind of record that committing a lock of this type makes. */
extern WriteType write_type_of_lock(LockType type);

#endif /* TIKV_CODEC_WRITE_H */
