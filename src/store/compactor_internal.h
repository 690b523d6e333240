/*
 * compactor_internal.h
 *	  What the compactor*.c files share: a slice goes from one to the other.
 */
#ifndef TIKV_STORE_COMPACTOR_INTERNAL_H
#define TIKV_STORE_COMPACTOR_INTERNAL_H

#include "store/store.h"

/* Between two looks whether a table is worth it, and twice that, and so on. */
#define CHECK_US INT64CONST(60000000)
#define MAX_CHECK_US INT64CONST(3600000000)

/* One of the tables that may be compacted. */
typedef struct TableKind
{
	const char *name;
	int what;	 /* TABLES_ flag */
	Size opened; /* in OpenTables */
	Size oid;	 /* in TableOids */
} TableKind;

typedef struct Slice
{
	Store *store;
	const TableKind *kind;
	CompactedTable *table;
	int64 begun_us;
	OpenTables tables;
	const OpenTable *opened;
	Relation heap;
	Oid oid;
	Snapshot snapshot;
	RoomMark *mark; /* NULL: none */
	HeapMove move;
} Slice;

/* ---- compactor.c: slices ---- */

extern Oid compactor_table_oid(const Slice *slice);

/* Without waiting for the disk: turns that follow flush what they answer. */
extern void compactor_commit(void);

/* The next slice is due when this one's time is paid for. */
extern void compactor_rest(Slice *slice);

/* A HeapSample's `enough`: of a slice. */
extern bool compactor_is_long_enough(void *arg);

/* ---- compactor_move.c: is it worth it, and the rows ---- */

extern void compactor_check(Slice *slice);
extern void compactor_begin_move(Slice *slice, BlockNumber blocks);
extern void compactor_move(Slice *slice);

/*
 * Does somebody hold a snapshot of ten seconds ago or more?  `unknown`, if that
 * was not asked for so long that it shows in ten seconds only.
 */
extern bool compactor_snapshot_is_old(Compactor *compactor, Relation heap,
									  bool unknown);

/* ---- compactor_cut.c: the end ---- */

extern void compactor_begin_look(CompactedTable *table, BlockNumber blocks);
extern void compactor_look(Slice *slice);

/* Of a slice that has nothing open. */
extern void compactor_cut(Slice *slice);

#endif /* TIKV_STORE_COMPACTOR_INTERNAL_H */
