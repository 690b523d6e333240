/*
 * tables.c
 *	  Finding, locking and opening the extension's tables.
 *
 * The order of locks is fixed: table by table as in table_defs, and of each
 * the table, its indexes, its TOAST table and that one's index.  Whoever
 * replaces a file (VACUUM FULL, REINDEX, DROP) starts with the table, too, so
 * the order agrees.
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
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "storage/tables.h"

#define EXTENSION_NAME "tikv_fdw"
#define INTERNAL_SCHEMA "tikv_internal"

/* Of the SQL objects that this library works with. */
#define OUR_VERSION CppAsString2(TIKV_EXTENSION_VERSION)

/* A table, where what belongs to it is, and who needs it. */
typedef struct TableDef
{
	const char *name;
	const char *index; /* its name; NULL: none */
	AttrNumber columns[2];
	int n_columns;
	Size oid;	 /* in TableOids; the index's follows, if there is one */
	Size open;	 /* in OpenTables */
	int readers; /* TABLES_ flags, any of them */
	int writers; /* the same for who writes; -1: all */
} TableDef;

#define TABLE_AT(name) offsetof(TableOids, name), offsetof(OpenTables, name)

static const TableDef table_defs[] = {
	{"raw", "raw_key", {3, 4}, 2, TABLE_AT(raw), TABLES_RAW, TABLES_RAW},
	{"raft_state", "raft_state_region", {1}, 1, TABLE_AT(raft_state), 0, -1},
	{"raft_log",
	 "raft_log_key",
	 {1, 2},
	 2,
	 TABLE_AT(raft_log),
	 TABLES_LOG,
	 TABLES_LOG},
	{"write", "write_key", {2, 1}, 2, TABLE_AT(write), TABLES_TXN, TABLES_TXN},
	{"value", "value_key", {2, 1}, 2, TABLE_AT(value), TABLES_TXN, TABLES_TXN},
	{"lock_slot",
	 NULL,
	 {0},
	 0,
	 TABLE_AT(lock_slot),
	 TABLES_SLOTS,
	 TABLES_SLOTS | TABLES_TXN},
	{"lock_spill",
	 "lock_spill_key",
	 {2, 1},
	 2,
	 TABLE_AT(lock_spill),
	 TABLES_SPILL,
	 TABLES_SPILL | TABLES_TXN},
	{"range_delete", NULL, {0}, 0, TABLE_AT(range_delete), TABLES_RANGES, 0},
};

/* A table that is opened by its name where it is needed. */
typedef struct SmallDef
{
	const char *name;
	Size oid;	   /* in TableOids */
	bool in_turns; /* groups' turns write to it */
} SmallDef;

static const SmallDef small_defs[] = {
	{"region", offsetof(TableOids, region), true},
	{"store_meta", offsetof(TableOids, store_meta), false},
	{"range_delete", offsetof(TableOids, range_delete), true},
	{"snapshot_install", offsetof(TableOids, snapshot_install), true},
	{"leftover", offsetof(TableOids, leftover), true},
};

static Oid
small_oid(const SmallDef *def, const TableOids *oids)
{
	return *(const Oid *) ((const char *) oids + def->oid);
}

static Oid
def_oid(const TableDef *def, const TableOids *oids)
{
	return *(const Oid *) ((const char *) oids + def->oid);
}

static Oid
def_index_oid(const TableDef *def, const TableOids *oids)
{
	if (def->index == NULL)
		return InvalidOid;
	return *(const Oid *) ((const char *) oids + def->oid + sizeof(Oid));
}

static OpenTable *
def_open(const TableDef *def, OpenTables *tables)
{
	return (OpenTable *) ((char *) tables + def->open);
}

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

/* The version of the objects in this database, as the catalogs have it. */
static void
installed_version(Oid extension, char *out, Size size)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	out[0] = '\0';
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum version = heap_getattr(tuple, Anum_pg_extension_extversion,
									 RelationGetDescr(rel), &isnull);

		strlcpy(out, TextDatumGetCString(version), size);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

const char *
tables_wrong_version(const TableOids *oids)
{
	static char text[160];
	char version[32];

	if (!OidIsValid(oids->extension) || OidIsValid(oids->store_meta))
		return NULL;
	installed_version(oids->extension, version, sizeof(version));
	snprintf(text, sizeof(text),
			 "the extension is of version %s and the library of " OUR_VERSION
			 ": run ALTER EXTENSION tikv_fdw UPDATE",
			 version);
	return text;
}

static bool
resolve_table(const TableDef *def, Oid schema, TableOids *out)
{
	Oid *oid = (Oid *) ((char *) out + def->oid);

	oid[0] = get_relname_relid(def->name, schema);
	if (!OidIsValid(oid[0]) || def->index == NULL)
		return OidIsValid(oid[0]);
	oid[1] = get_relname_relid(def->index, schema);
	return OidIsValid(oid[1]);
}

static bool
resolve_small(const SmallDef *def, Oid schema, TableOids *out)
{
	Oid *oid = (Oid *) ((char *) out + def->oid);

	*oid = get_relname_relid(def->name, schema);
	return OidIsValid(*oid);
}

bool
tables_resolve(TableOids *out)
{
	Oid schema;

	Oid extension = get_extension_oid(EXTENSION_NAME, true);
	char version[32];

	memset(out, 0, sizeof(*out));
	schema = get_namespace_oid(INTERNAL_SCHEMA, true);
	if (!OidIsValid(extension) || !OidIsValid(schema))
		return false;

	/* A schema of that name may be somebody else's. */
	if (getExtensionOfObject(NamespaceRelationId, schema) != extension)
		return false;
	out->extension = extension;
	installed_version(extension, version, sizeof(version));
	if (strcmp(version, OUR_VERSION) != 0)
		return false;
	for (int i = 0; i < (int) lengthof(table_defs); i++)
		if (!resolve_table(&table_defs[i], schema, out))
			return false;
	for (int i = 0; i < (int) lengthof(small_defs); i++)
		if (!resolve_small(&small_defs[i], schema, out))
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

bool
tables_include(const TableOids *oids, Oid relation)
{
	for (int i = 0; i < (int) lengthof(table_defs); i++)
		if (relation == def_oid(&table_defs[i], oids) ||
			relation == def_index_oid(&table_defs[i], oids))
			return true;
	return false;
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
open_indexes(const TableDef *def, Oid hint, OpenMode mode, bool write,
			 OpenTable *out)
{
	List *oids = RelationGetIndexList(out->heap);
	TablesAnswer answer = TABLES_OK;
	ListCell *cell;

	foreach (cell, oids)
	{
		Oid oid = lfirst_oid(cell);
		Relation index;
		bool readable;

		/* A reader opens the index it knows and no other. */
		if (!write && (out->index != NULL || def->index == NULL))
			break;
		if (!write && oid != hint && list_member_oid(oids, hint))
			continue;
		answer = open_relation(oid, mode, &index);
		if (answer != TABLES_OK)
			break;
		readable = def->index != NULL && index->rd_index->indisvalid &&
			(oid == hint || is_plain_btree(index)) &&
			same_columns(index, def->columns, def->n_columns);
		if (readable && (out->index == NULL || oid == hint))
			out->index = index;
		if (write && index->rd_index->indisready)
		{
			if (keep_index(&out->indexes, index))
				continue;
			answer = TABLES_UNUSABLE;
		}
		if (out->index != index)
			relation_close(index, NoLock);
		if (answer != TABLES_OK)
			break;
	}
	list_free(oids);
	if (answer == TABLES_OK && out->index == NULL && def->index != NULL)
		return TABLES_MISSING;
	return answer;
}

/*
 * Lock the TOAST table and its index.  The access to a large value locks
 * them, too, but waits: with our locks already held it has nothing to wait
 * for.
 */
static TablesAnswer
lock_toast(OpenMode mode, OpenTable *out)
{
	Oid oid = out->heap->rd_rel->reltoastrelid;
	Relation toast;
	List *indexes;
	TablesAnswer answer;

	if (!OidIsValid(oid))
		return TABLES_OK;
	answer = open_relation(oid, mode, &toast);
	if (answer != TABLES_OK)
		return answer;
	out->toast = oid;
	indexes = RelationGetIndexList(toast);
	relation_close(toast, NoLock);
	if (indexes != NIL)
	{
		if (lock_relation(linitial_oid(indexes), mode))
			out->toast_index = linitial_oid(indexes);
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

static void
close_table(OpenTable *table, LOCKMODE lock)
{
	if (lock != NoLock && OidIsValid(table->toast_index))
		UnlockRelationOid(table->toast_index, lock);
	if (lock != NoLock && OidIsValid(table->toast))
		UnlockRelationOid(table->toast, lock);
	close_indexes(table->index, &table->indexes, lock);
	if (table->heap != NULL)
		relation_close(table->heap, lock);
}

/* Close what is open, in the opposite order. */
static void
close_tables(OpenTables *tables, LOCKMODE lock)
{
	for (int i = lengthof(table_defs); i > 0; i--)
		close_table(def_open(&table_defs[i - 1], tables), lock);
	memset(tables, 0, sizeof(*tables));
}

static TablesAnswer
open_table(const TableDef *def, const TableOids *oids, OpenMode mode,
		   bool write, OpenTable *out)
{
	TablesAnswer answer = open_relation(def_oid(def, oids), mode, &out->heap);

	if (answer == TABLES_OK)
		answer = open_indexes(def, def_index_oid(def, oids), mode, write, out);

	/* The one that was known has been replaced and is there as yet, for others. */
	if (answer == TABLES_MISSING && out->heap != NULL && !write)
		answer = open_indexes(def, InvalidOid, mode, write, out);
	if (answer == TABLES_OK && !mode.wait)
		answer = lock_toast(mode, out);
	return answer;
}

TablesAnswer
tables_open(const TableOids *oids, int what, bool write, bool wait,
			OpenTables *out)
{
	OpenMode mode = {write ? RowExclusiveLock : AccessShareLock, wait};
	TablesAnswer answer = TABLES_OK;

	memset(out, 0, sizeof(*out));
	if (write)
		unusable[0] = '\0';
	for (int i = 0; i < (int) lengthof(table_defs) && answer == TABLES_OK; i++)
	{
		const TableDef *def = &table_defs[i];

		if ((what & (write ? def->writers : def->readers)) != 0)
			answer = open_table(def, oids, mode, write, def_open(def, out));
	}
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

/*
 * The tables alone: whoever locks an index or a TOAST table has locked its
 * table first, but for commands that name it, which nobody has a reason for.
 */
TablesAnswer
tables_lock_small(const TableOids *oids)
{
	unusable[0] = '\0';
	for (int i = 0; i < (int) lengthof(small_defs); i++)
		if (small_defs[i].in_turns &&
			!ConditionalLockRelationOid(small_oid(&small_defs[i], oids),
										RowExclusiveLock))
			return TABLES_LOCKED;
	return TABLES_OK;
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
			if (!index->rd_index->indisready)
				relation_close(index, NoLock);
			else if (!keep_index(indexes, index))
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

static bool
is_id_index(Oid oid)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
	Form_pg_index index;
	bool answer;

	if (!HeapTupleIsValid(tuple))
		return false;
	index = (Form_pg_index) GETSTRUCT(tuple);
	answer = index->indisunique && index->indisvalid && index->indnatts == 1 &&
		index->indkey.values[0] == 1 && !index->indcheckxmin;
	ReleaseSysCache(tuple);
	return answer;
}

Oid
table_id_index(Relation rel)
{
	List *oids = RelationGetIndexList(rel);
	Oid found = InvalidOid;
	ListCell *cell;

	foreach (cell, oids)
		if (!OidIsValid(found) && is_id_index(lfirst_oid(cell)))
			found = lfirst_oid(cell);
	list_free(oids);
	return found;
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
find_table_blocker(Oid oid, char *out, Size size)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	Oid toast = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
		ReleaseSysCache(tuple);
	}
	tables_describe_blocker(oid, RowExclusiveLock, out, size);
	if (out[0] == '\0' && OidIsValid(toast))
		tables_describe_blocker(toast, RowExclusiveLock, out, size);
}

static void
find_blocker(const TableOids *oids, char *out, Size size)
{
	out[0] = '\0';
	for (int i = 0; i < (int) lengthof(table_defs) && out[0] == '\0'; i++)
		find_table_blocker(def_oid(&table_defs[i], oids), out, size);
	for (int i = 0; i < (int) lengthof(small_defs) && out[0] == '\0'; i++)
		if (small_defs[i].in_turns)
			find_table_blocker(small_oid(&small_defs[i], oids), out, size);
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
