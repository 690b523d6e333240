/*
 * insert_queue.h
 *	  Rows of an INSERT or COPY on their way to the store, a batch ahead of the
 *	  statement.
 */
#ifndef TIKV_FDW_INSERT_QUEUE_H
#define TIKV_FDW_INSERT_QUEUE_H

#include "bus/versions.h"
#include "fdw/fdw.h"

typedef struct InsertQueue InsertQueue;

/* In CurrentMemoryContext; kv->ahead_new must be there. */
extern InsertQueue *insert_queue_new(const TableMap *map, const KvAccess *kv,
									 KvCounters *counters);

/* Throws if a row of an earlier batch met its key.  The write is copied. */
extern void insert_queue_add(InsertQueue *queue, const KvWrite *write);

/* All rows are durable, or it throws. */
extern void insert_queue_end(InsertQueue *queue);

/* ---- shared with inserts that are not queued ---- */

/* Flag all but the first of writes with the same key; the number of others. */
extern int insert_flag_repeated(const KvWrite *writes, int n, bool *repeated);

extern void insert_refuse(const TableMap *map, Bytes key)
	pg_attribute_noreturn();

#endif /* TIKV_FDW_INSERT_QUEUE_H */
