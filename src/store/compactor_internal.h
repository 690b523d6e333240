/*
 * compactor_internal.h
 *	  What the compactor*.c files share: a slice goes from one to the other.
 */
#ifndef TIKV_STORE_COMPACTOR_INTERNAL_H
#define TIKV_STORE_COMPACTOR_INTERNAL_H

#include "store/store.h"

/*
 * Until a table is first looked at, between two looks whether it is worth it,
 * and twice that, and so on.  A snapshot that is older than OLD_US keeps what
 * is moved from being cleaned up; whether VACUUM was there is looked at again
 * after VACUUM_LOOK_US.
 */
#ifdef TIKV_FAILPOINTS /* tests do not wait for long */
#define FIRST_CHECK_US INT64CONST(2000000)
#define CHECK_US INT64CONST(2000000)
#define MAX_CHECK_US INT64CONST(8000000)
#define OLD_US INT64CONST(3000000)
#define OLD_REST_US INT64CONST(1000000)
#define VACUUM_LOOK_US INT64CONST(500000)
#else
#define FIRST_CHECK_US INT64CONST(10000000)
#define CHECK_US INT64CONST(60000000)
#define MAX_CHECK_US INT64CONST(3600000000)
#define OLD_US INT64CONST(10000000)
#define OLD_REST_US INT64CONST(5000000)
#define VACUUM_LOOK_US INT64CONST(5000000)
#endif

/* A rebuilding of an index that could not begin is tried again. */
#define REINDEX_LOOK_US INT64CONST(5000000)

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
 * Does somebody hold a snapshot of ten seconds (OLD_US) ago or more?
 * `unknown`, if that was not asked for so long that it shows in ten more only.
 */
extern bool compactor_snapshot_is_old(Compactor *compactor, Relation heap,
									  bool unknown);

/* ---- compactor_cut.c: the end ---- */

extern void compactor_begin_look(CompactedTable *table, BlockNumber blocks);
extern void compactor_look(Slice *slice);

/* Of a slice that has nothing open. */
extern void compactor_cut(Slice *slice);

#endif /* TIKV_STORE_COMPACTOR_INTERNAL_H */
