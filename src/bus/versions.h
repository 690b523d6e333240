/*
 * versions.h
 *	  What several files call as Postgres 15 does, and later versions otherwise.
 */
#ifndef TIKV_BUS_VERSIONS_H
#define TIKV_BUS_VERSIONS_H

#include "postgres.h"

#include "access/genam.h"

#if PG_VERSION_NUM >= 170000
#define ShmemVariableCache TransamVariables

/* Postgres has no use for it any more; clients know it. */
#define ERRCODE_SNAPSHOT_TOO_OLD MAKE_SQLSTATE('7', '2', '0', '0', '0')
#endif

#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))

/* Between the snapshot and the keys are counters, for EXPLAIN. */
#define index_beginscan(heap, index, snapshot, keys, orders) \
	index_beginscan(heap, index, snapshot, NULL, keys, orders)
#endif

#endif /* TIKV_BUS_VERSIONS_H */
