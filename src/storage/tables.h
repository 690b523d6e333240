/*
 * tables.h
 *	  The extension's tables: finding, locking and opening them.
 *
 * A worker never waits for a relation lock: tables_open takes them
 * conditionally, in one order, per turn or per read, and says who is in the
 * way (DROP EXTENSION, VACUUM FULL, REINDEX).  Only OIDs are kept between
 * turns; the extension's OID tells whether they are still the same tables.
 */
#ifndef TIKV_STORAGE_TABLES_H
#define TIKV_STORAGE_TABLES_H

#include "postgres.h"

#include "storage/lockdefs.h"
#include "utils/relcache.h"

typedef struct TableOids
{
	Oid extension; /* pg_extension.oid of tikv_fdw */
	Oid raw;
	Oid raw_index;
	Oid raft_state;
	Oid raft_state_index;
	Oid raft_log;
	Oid raft_log_index;
	Oid write;
	Oid write_index;
	Oid value;
	Oid value_index;
	Oid lock_slot;
	Oid lock_spill;
	Oid lock_spill_index;
	/* The small ones. */
	Oid region;
	Oid store_meta;
	Oid range_delete;
	Oid snapshot_install;
	Oid leftover;
} TableOids;

typedef enum TablesAnswer
{
	TABLES_OK,
	TABLES_MISSING, /* the extension is not (any more) installed */
	TABLES_LOCKED,	/* somebody holds a conflicting lock */
	TABLES_UNUSABLE /* a writer cannot keep an index that a user added */
} TablesAnswer;

/*
 * Look the tables up by name in the catalogs.  Needs a transaction.  Returns
 * false if the extension is not installed (committed) in this database; an
 * extension created by the asking transaction itself does not count.
 */
extern bool tables_resolve(TableOids *out);

/*
 * After a look that found nothing: a sentence if the extension is installed
 * with another version than the library's, else NULL.  Until the next call.
 */
extern const char *tables_wrong_version(const TableOids *oids);

/*
 * The same for a worker, which waits for nobody: TABLES_LOCKED if a catalog
 * that must be read is locked, and nothing is known then.  The catalogs stay
 * locked for reading until the transaction ends.
 */
extern TablesAnswer tables_resolve_nowait(TableOids *out);

/* Is this relation one of them? */
extern bool tables_include(const TableOids *oids, Oid relation);

/* Ours, and what a REINDEX CONCURRENTLY adds or leaves behind. */
#define TABLE_MAX_INDEXES 8

/* Open indexes of a table that every new row version must be entered in. */
typedef struct TableIndexes
{
	int n;
	Relation rels[TABLE_MAX_INDEXES];
} TableIndexes;

typedef struct OpenTable
{
	Relation heap;		  /* NULL unless opened */
	Relation index;		  /* to read by; NULL for lock_slot, which has none */
	TableIndexes indexes; /* written to; empty unless opened for writing */
	/* Locked ahead, so that a value never waits; invalid with `wait`. */
	Oid toast;
	Oid toast_index;
} OpenTable;

typedef struct OpenTables
{
	OpenTable raw;
	OpenTable raft_state; /* writers only */
	OpenTable raft_log;
	OpenTable write;
	OpenTable value;
	OpenTable lock_slot;
	OpenTable lock_spill;
	OpenTable range_delete; /* readers only */
} OpenTables;

/* What to open; a reader's round pays for each table. */
#define TABLES_RAW 0x1
#define TABLES_TXN 0x2	   /* write, value; a writer gets the locks', too */
#define TABLES_SPILL 0x4   /* lock_spill */
#define TABLES_SLOTS 0x8   /* lock_slot */
#define TABLES_LOG 0x10	   /* raft_log */
#define TABLES_RANGES 0x20 /* range_delete, for raw_reader_open */

/*
 * Open for reading (AccessShareLock) or writing (RowExclusiveLock; raft_state
 * always with it).  With `wait` an ordinary lock wait (SQL backends); without
 * it TABLES_LOCKED at once, with nothing held.  TABLES_UNUSABLE is for writers
 * alone.  tables_close gives a reader's locks back; a writer's stay until its
 * transaction ends, as they must.
 */
extern TablesAnswer tables_open(const TableOids *oids, int what, bool write,
								bool wait, OpenTables *out);
extern void tables_close(OpenTables *tables, bool write);

/*
 * Lock the small tables that a group's turn may write to, without waiting:
 * TABLES_OK or TABLES_LOCKED.  A turn that has these locks is not refused by
 * table_open_small later on, where it could not be undone any more.  They stay
 * until the transaction ends, those of a refusal as well.
 */
extern TablesAnswer tables_lock_small(const TableOids *oids);

/*
 * Open one of the small tables by name, for reading or, with `indexes`, for
 * writing.  The lock is tried, not waited for, and held until the transaction
 * ends.  Raises ERRCODE_LOCK_NOT_AVAILABLE or ERRCODE_UNDEFINED_TABLE.
 */
extern Relation table_open_small(const char *name, TableIndexes *indexes);
/* NULL if there is no such table; for reading. */
extern Relation table_open_small_if_exists(const char *name);
extern void table_close_small(Relation rel, TableIndexes *indexes);

/* The unique index on the first column of an open table; InvalidOid: none. */
extern Oid table_id_index(Relation rel);

/*
 * Has a table of ours, by its name, any row that is committed, and is wanted
 * (NULL: all are)?  All rows are looked at.  False if there is no such table.
 * Raises as table_open_small.
 */
typedef bool (*RowWanted)(const Datum *values, const bool *isnull, void *arg);
extern bool table_has_row(const char *name, RowWanted wanted, void *arg);

/*
 * Who holds a lock on a relation that conflicts with `mode`, without what it
 * is doing there: the text goes to clients and to tikv_status(), whose readers
 * may not see other sessions' statements.  Empty if there is nobody.
 */
extern void tables_describe_blocker(Oid relation, LOCKMODE mode, char *out,
									Size size);

/*
 * A sentence about what kept tables_open(write) from its last success, or
 * tables_lock_small: the index that made it TABLES_UNUSABLE, or who holds the
 * locks.  Never empty.
 */
extern void tables_describe_blockers(const TableOids *oids, char *out,
									 Size size);

#endif /* TIKV_STORAGE_TABLES_H */
