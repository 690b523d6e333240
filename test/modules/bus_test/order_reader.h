/*
 * order_reader.h
 *	  A read at a timestamp as the server's processes take it (src/read), with
 *	  the test's log for tables.
 *
 * A file of its own, since what src/read includes of Postgres does not go
 * together with core/txn/env.h.
 */
#ifndef TIKV_BUS_TEST_ORDER_READER_H
#define TIKV_BUS_TEST_ORDER_READER_H

#include "postgres.h"

#include "core/base/arena.h"
#include "core/mvcc/reader.h"

typedef enum ReadEnd
{
	READ_MET_GUARD,
	READ_MET_LOCK,
	READ_MET_SPILLED,
	READ_MET_NOTHING,
	READ_REFUSED, /* the tables were locked */
	READ_ENDS
} ReadEnd;

/* What stands for a server's tables. */
typedef struct OrderTables
{
	/* Called wherever another process may come between two steps. */
	void (*pause)(void);

	/* Has somebody locked them? */
	bool (*locked)(void);

	/* The number of a snapshot of what is committed by now. */
	uint32 (*snapshot)(void);

	/* The lock of lock_spill that a snapshot has on the key. */
	bool (*spilled)(uint32 snapshot, Bytes key, Lock *lock);
} OrderTables;

typedef struct OrderRead
{
	uint64 ts;
	Bytes key;
	Bytes next; /* scans end here; empty: nowhere */
	bool scan;	/* instead of a get */
	bool reverse;
} OrderRead;

/* What the read was stopped by, and the snapshot that it read under. */
extern ReadEnd order_read(const OrderTables *tables, const OrderRead *read,
						  Arena *arena, uint32 *snapshot);

/* A look at the locks when the snapshot is taken already; does not return. */
extern void order_read_late(const OrderTables *tables, const OrderRead *read,
							Arena *arena);

#endif /* TIKV_BUS_TEST_ORDER_READER_H */
