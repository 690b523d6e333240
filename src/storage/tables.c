/*
 * tables.c
 *	  Finding, locking and opening the extension's tables.
 *
 * The order of locks is fixed: raw, its indexes, its TOAST table and that
 * one's index, raft_state, its indexes.  Whoever replaces a file (VACUUM
 * FULL, REINDEX, DROP) starts with the table, too, so the order agrees.
 *
 * The index to read is chosen at every opening from what the relation has:
 * REINDEX CONCURRENTLY replaces raw_key by an index with another OID, and
 * while it runs rows must go into both.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#if PG_VERSION_NUM < 170000
#include "storage/sinvaladt.h"
#endif
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "storage/tables.h"

#define EXTENSION_NAME "tikv_fdw"
#define INTERNAL_SCHEMA "tikv_internal"

/* Why the last tables_open said TABLES_UNUSABLE; empty if it did not. */
static char unusable[256];

/* How tables_open was asked to lock. */
typedef struct OpenMode
{
	LOCKMODE lock;
	bool wait;
} OpenMode;

/*
 * True if the schema was made by the transaction that asks (or is gone).
 * Nothing is locked: whoever replaces the tables must not be waited for.
 */
static bool
is_uncommitted(Oid schema)
{
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	TransactionId creator;

	if (!HeapTupleIsValid(tuple))
		return true;
	creator = HeapTupleHeaderGetXmin(tuple->t_data);
	ReleaseSysCache(tuple);
	return TransactionIdIsCurrentTransactionId(creator);
}

bool
tables_resolve(TableOids *out)
{
	Oid schema;

	memset(out, 0, sizeof(*out));
	out->extension = get_extension_oid(EXTENSION_NAME, true);
	schema = get_namespace_oid(INTERNAL_SCHEMA, true);
	if (!OidIsValid(out->extension) || !OidIsValid(schema))
		return false;

	/* A schema of that name may be somebody else's. */
	if (getExtensionOfObject(NamespaceRelationId, schema) != out->extension)
		return false;
	out->raw = get_relname_relid("raw", schema);
	out->raw_index = get_relname_relid("raw_key", schema);
	out->raft_state = get_relname_relid("raft_state", schema);
	out->raft_state_index = get_relname_relid("raft_state_region", schema);
	out->region = get_relname_relid("region", schema);
	out->store_meta = get_relname_relid("store_meta", schema);
	if (!OidIsValid(out->raw) || !OidIsValid(out->raw_index) ||
		!OidIsValid(out->raft_state) || !OidIsValid(out->raft_state_index) ||
		!OidIsValid(out->region) || !OidIsValid(out->store_meta))
		return false;

	/* Nobody can serve tables that may yet be rolled back. */
	return !is_uncommitted(schema);
}

/*
 * All that tables_resolve reads; with these locks held it has nothing to wait
 * for.  The indexes count, too: REINDEX locks out their readers alone.
 */
static bool
lock_catalogs(void)
{
	static const Oid catalogs[] = {
		ExtensionRelationId,  ExtensionNameIndexId,	 ExtensionOidIndexId,
		DependRelationId,	  DependDependerIndexId, NamespaceRelationId,
		NamespaceNameIndexId, NamespaceOidIndexId,	 RelationRelationId,
		ClassNameNspIndexId,  ClassOidIndexId,
	};

	for (int i = 0; i < (int) lengthof(catalogs); i++)
	{
		if (!ConditionalLockRelationOid(catalogs[i], AccessShareLock))
			return false;
	}
	return true;
}

TablesAnswer
tables_resolve_nowait(TableOids *out)
{
	if (!lock_catalogs())
	{
		memset(out, 0, sizeof(*out));
		return TABLES_LOCKED;
	}
	return tables_resolve(out) ? TABLES_OK : TABLES_MISSING;
}

/* Lock one relation without opening it. */
static bool
lock_relation(Oid oid, OpenMode mode)
{
	if (!mode.wait)
		return ConditionalLockRelationOid(oid, mode.lock);
	LockRelationOid(oid, mode.lock);
	return true;
}

/*
 * Lock, then look whether it still exists: taking the lock let the
 * invalidations in.
 */
static TablesAnswer
open_relation(Oid oid, OpenMode mode, Relation *out)
{
	*out = NULL;
	if (!lock_relation(oid, mode))
		return TABLES_LOCKED;
	*out = try_relation_open(oid, NoLock);
	if (*out != NULL)
		return TABLES_OK;
	UnlockRelationOid(oid, mode.lock);
	return TABLES_MISSING;
}

/* The column of the table behind an index column. */
static AttrNumber
index_column(Relation index, int i)
{
	return index->rd_index->indkey.values[i];
}

static bool
same_columns(Relation index, const AttrNumber *columns, int n)
{
	if (index->rd_index->indnkeyatts != n)
		return false;
	for (int i = 0; i < n; i++)
	{
		if (index_column(index, i) != columns[i])
			return false;
	}
	return true;
}

/*
 * Whether the writers can keep this index: they enter rows by column only.
 * A superuser may have added anything.
 */
static bool
is_plain_btree(Relation index)
{
	return index->rd_rel->relam == BTREE_AM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL);
}

/* False, with `unusable` set, if the writers could not enter rows in it. */
static bool
keep_index(TableIndexes *indexes, Relation index)
{
	if (is_plain_btree(index) && indexes->n < TABLE_MAX_INDEXES)
	{
		indexes->rels[indexes->n++] = index;
		return true;
	}
	snprintf(
		unusable, sizeof(unusable),
		"index \"%s\" on a table of tikv_fdw cannot be maintained: drop it, tables in %s take no indexes of users",
		RelationGetRelationName(index), INTERNAL_SCHEMA);
	return false;
}

/*
 * Open the indexes of a table: the one to read, which is `hint` as long as
 * that is valid, and, if rows are to be written, all that are ready for rows.
 *
 * indcheckxmin is no matter here: it guards against HOT chains whose versions
 * differ in the indexed columns, and the key of a row never changes.
 */
static TablesAnswer
open_indexes(Relation heap, Oid hint, const AttrNumber *columns, int n,
			 OpenMode mode, bool write, Relation *read, TableIndexes *writable)
{
	List *oids = RelationGetIndexList(heap);
	TablesAnswer answer = TABLES_OK;
	ListCell *cell;

	*read = NULL;
	foreach (cell, oids)
	{
		Oid oid = lfirst_oid(cell);
		Relation index;
		bool readable;

		/* A reader opens the index it knows and no other. */
		if (!write && *read != NULL)
			break;
		if (!write && oid != hint && list_member_oid(oids, hint))
			continue;
		answer = open_relation(oid, mode, &index);
		if (answer != TABLES_OK)
			break;
		readable = index->rd_index->indisvalid &&
			(oid == hint || is_plain_btree(index)) &&
			same_columns(index, columns, n);
		if (readable && (*read == NULL || oid == hint))
			*read = index;
		if (write && index->rd_index->indisready)
		{
			if (keep_index(writable, index))
				continue;
			answer = TABLES_UNUSABLE;
		}
		if (*read != index)
			relation_close(index, NoLock);
		if (answer != TABLES_OK)
			break;
	}
	list_free(oids);
	if (answer == TABLES_OK && *read == NULL)
		return TABLES_MISSING;
	return answer;
}

/*
 * Lock the TOAST table and its index.  The access to a large value locks
 * them, too, but waits: with our locks already held it has nothing to wait
 * for.
 */
static TablesAnswer
lock_toast(Relation heap, OpenMode mode, OpenTables *out)
{
	Oid oid = heap->rd_rel->reltoastrelid;
	Relation toast;
	List *indexes;
	TablesAnswer answer;

	if (!OidIsValid(oid))
		return TABLES_OK;
	answer = open_relation(oid, mode, &toast);
	if (answer != TABLES_OK)
		return answer;
	out->raw_toast = oid;
	indexes = RelationGetIndexList(toast);
	relation_close(toast, NoLock);
	if (indexes != NIL)
	{
		if (lock_relation(linitial_oid(indexes), mode))
			out->raw_toast_index = linitial_oid(indexes);
		else
			answer = TABLES_LOCKED;
	}
	list_free(indexes);
	return answer;
}

static void
close_indexes(Relation read, TableIndexes *writable, LOCKMODE lock)
{
	for (int i = 0; i < writable->n; i++)
	{
		if (writable->rels[i] != read)
			relation_close(writable->rels[i], lock);
	}
	writable->n = 0;
	if (read != NULL)
		relation_close(read, lock);
}

/* Close what is open, in the opposite order. */
static void
close_tables(OpenTables *tables, LOCKMODE lock)
{
	close_indexes(tables->raft_state_index, &tables->raft_state_indexes, lock);
	if (tables->raft_state != NULL)
		relation_close(tables->raft_state, lock);
	if (lock != NoLock && OidIsValid(tables->raw_toast_index))
		UnlockRelationOid(tables->raw_toast_index, lock);
	if (lock != NoLock && OidIsValid(tables->raw_toast))
		UnlockRelationOid(tables->raw_toast, lock);
	close_indexes(tables->raw_index, &tables->raw_indexes, lock);
	if (tables->raw != NULL)
		relation_close(tables->raw, lock);
	memset(tables, 0, sizeof(*tables));
}

static TablesAnswer
open_raw(const TableOids *oids, OpenMode mode, bool write, OpenTables *out)
{
	static const AttrNumber columns[] = {3, 4}; /* cf, key */
	TablesAnswer answer = open_relation(oids->raw, mode, &out->raw);

	if (answer == TABLES_OK)
		answer = open_indexes(out->raw, oids->raw_index, columns, 2, mode,
							  write, &out->raw_index, &out->raw_indexes);
	if (answer == TABLES_OK && !mode.wait)
		answer = lock_toast(out->raw, mode, out);
	return answer;
}

static TablesAnswer
open_raft_state(const TableOids *oids, OpenMode mode, OpenTables *out)
{
	static const AttrNumber columns[] = {1}; /* region_id */
	TablesAnswer answer =
		open_relation(oids->raft_state, mode, &out->raft_state);

	if (answer == TABLES_OK)
		answer = open_indexes(out->raft_state, oids->raft_state_index, columns,
							  1, mode, true, &out->raft_state_index,
							  &out->raft_state_indexes);
	return answer;
}

TablesAnswer
tables_open(const TableOids *oids, bool write, bool wait, OpenTables *out)
{
	OpenMode mode = {write ? RowExclusiveLock : AccessShareLock, wait};
	TablesAnswer answer;

	memset(out, 0, sizeof(*out));
	if (write)
		unusable[0] = '\0';
	answer = open_raw(oids, mode, write, out);
	if (answer == TABLES_OK && write)
		answer = open_raft_state(oids, mode, out);
	if (answer != TABLES_OK)
		close_tables(out, mode.lock);
	return answer;
}

/*
 * A writer's rows are not to be met by VACUUM FULL or REINDEX before their
 * transaction is over, so its locks stay.
 */
void
tables_close(OpenTables *tables, bool write)
{
	close_tables(tables, write ? NoLock : AccessShareLock);
}

Relation
table_open_small(const char *name, TableIndexes *indexes)
{
	OpenMode mode = {indexes == NULL ? AccessShareLock : RowExclusiveLock,
					 false};
	Oid schema = get_namespace_oid(INTERNAL_SCHEMA, true);
	Oid oid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	TablesAnswer answer = TABLES_MISSING;
	Relation rel;
	List *oids;
	ListCell *cell;

	if (OidIsValid(oid))
		answer = open_relation(oid, mode, &rel);
	if (answer == TABLES_OK && indexes != NULL)
	{
		indexes->n = 0;
		oids = RelationGetIndexList(rel);
		foreach (cell, oids)
		{
			Relation index;

			answer = open_relation(lfirst_oid(cell), mode, &index);
			if (answer != TABLES_OK)
				break;
			if (!keep_index(indexes, index))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg_internal("%s", unusable)));
		}
		list_free(oids);
	}
	if (answer == TABLES_LOCKED)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s.%s is locked", INTERNAL_SCHEMA, name)));
	if (answer == TABLES_MISSING)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s.%s does not exist", INTERNAL_SCHEMA, name),
				 errhint("CREATE EXTENSION %s makes it.", EXTENSION_NAME)));
	return rel;
}

Relation
table_open_small_if_exists(const char *name)
{
	Oid schema = get_namespace_oid(INTERNAL_SCHEMA, true);

	if (!OidIsValid(schema) || !OidIsValid(get_relname_relid(name, schema)))
		return NULL;
	return table_open_small(name, NULL);
}

void
table_close_small(Relation rel, TableIndexes *indexes)
{
	if (indexes != NULL)
		close_indexes(NULL, indexes, NoLock);
	relation_close(rel, NoLock);
}

/* What one holder of a lock is: a process, or a prepared transaction. */
static void
describe_holder(VirtualTransactionId vxid, char *out, Size size)
{
#if PG_VERSION_NUM >= 170000
	PGPROC *proc = vxid.procNumber == INVALID_PROC_NUMBER ?
		NULL :
		ProcNumberGetProc(vxid.procNumber);
#else
	PGPROC *proc = vxid.backendId == InvalidBackendId ?
		NULL :
		BackendIdGetProc(vxid.backendId);
#endif
	int pid = proc == NULL ? 0 : proc->pid;

	if (pid == 0)
		snprintf(out, size, "a prepared transaction (pg_prepared_xacts)");
	else
		snprintf(out, size, "process %d (pg_stat_activity)", pid);
}

void
tables_describe_blocker(Oid relation, LOCKMODE mode, char *out, Size size)
{
	LOCKTAG tag;
	VirtualTransactionId *holders;
	int n;

	out[0] = '\0';
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
	holders = GetLockConflicts(&tag, mode, &n);
	if (n > 0)
		describe_holder(holders[0], out, size);
	if (n > 1)
	{
		Size len = strlen(out);

		snprintf(out + len, size - len, " and %d more", n - 1);
	}
}

/*
 * Whoever locks an index has locked its table, too.  The lock a writer needs
 * conflicts with all that a reader's does.
 */
static void
find_blocker(const TableOids *oids, char *out, Size size)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oids->raw));
	Oid toast = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
		ReleaseSysCache(tuple);
	}
	tables_describe_blocker(oids->raw, RowExclusiveLock, out, size);
	if (out[0] == '\0' && OidIsValid(toast))
		tables_describe_blocker(toast, RowExclusiveLock, out, size);
	if (out[0] == '\0')
		tables_describe_blocker(oids->raft_state, RowExclusiveLock, out, size);
}

void
tables_describe_blockers(const TableOids *oids, char *out, Size size)
{
	char holder[128];

	if (unusable[0] != '\0')
	{
		strlcpy(out, unusable,
				pg_mbcliplen(unusable, (int) strlen(unusable), (int) size - 1) +
					1);
		return;
	}
	find_blocker(oids, holder, sizeof(holder));
	if (holder[0] == '\0')
		strlcpy(out, "the tables were locked a moment ago", size);
	else
		snprintf(out, size, "the tables are locked by %s", holder);
}
