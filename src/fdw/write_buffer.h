/*
 * write_buffer.h
 *	  Updates and deletes of a statement, gathered into few requests.
 *
 * Rows whose key changes are kept until the end: written at once they would be
 * met again by the scan that feeds the statement, and `SET id = id + 1` would
 * meet rows that are still to move.
 */
#ifndef TIKV_FDW_WRITE_BUFFER_H
#define TIKV_FDW_WRITE_BUFFER_H

#include "fdw/fdw.h"

typedef struct WriteBuffer WriteBuffer;

/* In CurrentMemoryContext.  What it gets is copied. */
extern WriteBuffer *write_buffer_new(const TableMap *map, const KvAccess *kv,
									 KvCounters *counters);

extern void write_buffer_put(WriteBuffer *buffer, const KvWrite *write);
extern void write_buffer_delete(WriteBuffer *buffer, Bytes key);

/* The row leaves its old key; the new one must not exist. */
extern void write_buffer_move(WriteBuffer *buffer, Bytes from,
							  const KvWrite *write);

/* Send puts and deletes; at the end the moves, too. */
extern void write_buffer_flush(WriteBuffer *buffer);
extern void write_buffer_end(WriteBuffer *buffer);

#endif /* TIKV_FDW_WRITE_BUFFER_H */
