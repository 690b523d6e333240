/*
 * buffered_get.h
 *	  KvBufferBatchGet: a pipelined transaction reads what it has flushed.
 *
 * A read, but of locks: its driver raises max_ts and looks at the memory
 * locks of the keys as for any read at start_ts.
 */
#ifndef TIKV_TXN_BUFFERED_GET_H
#define TIKV_TXN_BUFFERED_GET_H

#include "core/mvcc/reader.h"

typedef struct BufferedPair
{
	Bytes key;
	Bytes value; /* empty: deleted, or an empty value */
} BufferedPair;

/*
 * Sorts the keys in place; fills `pairs` (room for n) in key order, each key
 * once, and answers how many there are.  Keys that the transaction has not
 * flushed are left out.  Stops when keys and values have more than max_bytes
 * (0: any number), which the caller does not answer.
 */
extern size_t txn_buffer_batch_get(MvccReader *reader, Bytes *keys, size_t n,
								   uint64_t start_ts, size_t max_bytes,
								   Arena *arena, BufferedPair *pairs);

#endif /* TIKV_TXN_BUFFERED_GET_H */
