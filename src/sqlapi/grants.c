/*
 * grants.c
 *	  Per-prefix grants: the table, this session's copy of it, and the checks.
 *
 * The copy is thrown away by an invalidation of the table's relcache entry,
 * which tikv_grant and tikv_revoke send with their commit; so a session sees a
 * change at its next statement, as it does of any GRANT.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "core/row/key_codec.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "sqlapi/grants.h"
#include "sqlapi/sqlapi.h"
#include "storage/fresh_snapshot.h"
#include "storage/stored_key.h"

PG_FUNCTION_INFO_V1(tikv_grant);
PG_FUNCTION_INFO_V1(tikv_revoke);

#define GRANT_TABLE "prefix_grant"

/* Columns of the table. */
enum
{
	GRANT_ROLE = 1,
	GRANT_PREFIX,
	GRANT_PRIVILEGES,
	GRANT_COLUMNS = GRANT_PRIVILEGES
};

typedef struct PrefixGrant
{
	Oid role;
	Bytes prefix;
	int privileges;
} PrefixGrant;

static MemoryContext cache_context;
static PrefixGrant *cache;
static int n_cached;
static bool cache_valid;
static Oid cache_relid;

/* ---------------------------------------------------------------- the copy */

static void
on_relcache_change(Datum arg, Oid relation)
{
	(void) arg;
	if (!OidIsValid(relation) || relation == cache_relid)
		cache_valid = false;
}

static Oid
grant_table(bool missing_ok)
{
	Oid schema = get_namespace_oid("tikv_internal", missing_ok);
	Oid relid = OidIsValid(schema) ? get_relname_relid(GRANT_TABLE, schema) :
									 InvalidOid;

	if (!OidIsValid(relid) && !missing_ok)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the table of grants is missing"),
			 errhint("Is the extension tikv_fdw installed in this database?")));
	return relid;
}

static PrefixGrant
read_grant(Relation table, HeapTuple tuple)
{
	Datum values[GRANT_COLUMNS];
	bool nulls[GRANT_COLUMNS];
	PrefixGrant grant;

	heap_deform_tuple(tuple, RelationGetDescr(table), values, nulls);
	grant.role = DatumGetObjectId(values[GRANT_ROLE - 1]);
	grant.prefix = bytea_bytes(values[GRANT_PREFIX - 1]);
	grant.privileges = DatumGetInt32(values[GRANT_PRIVILEGES - 1]);
	return grant;
}

static void
keep_grant(const PrefixGrant *grant, int *max)
{
	MemoryContext caller = MemoryContextSwitchTo(cache_context);
	PrefixGrant *kept;
	uint8 *prefix = palloc(grant->prefix.len + 1);

	if (n_cached == *max)
	{
		*max *= 2;
		cache = repalloc(cache, *max * sizeof(PrefixGrant));
	}
	kept = &cache[n_cached++];
	*kept = *grant;
	if (grant->prefix.len > 0)
		memcpy(prefix, grant->prefix.data, grant->prefix.len);
	kept->prefix = bytes_make(prefix, grant->prefix.len);
	MemoryContextSwitchTo(caller);
}

static void
read_table(Relation table)
{
	Snapshot snapshot = fresh_snapshot();
	SysScanDesc scan =
		systable_beginscan(table, InvalidOid, false, snapshot, 0, NULL);
	int max = 8;
	HeapTuple tuple;

	cache = MemoryContextAlloc(cache_context, max * sizeof(PrefixGrant));
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		PrefixGrant grant = read_grant(table, tuple);

		keep_grant(&grant, &max);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
}

/* An invalidation that comes meanwhile makes the copy invalid again. */
static void
need_cache(void)
{
	Relation table;

	if (cache_valid)
		return;
	if (cache_context == NULL)
	{
		CacheRegisterRelcacheCallback(on_relcache_change, (Datum) 0);
		cache_context =
			AllocSetContextCreate(CacheMemoryContext, "tikv_fdw grants",
								  ALLOCSET_SMALL_SIZES);
	}
	MemoryContextReset(cache_context);
	n_cached = 0;
	cache_relid = grant_table(true);
	if (!OidIsValid(cache_relid))
		return;
	table = table_open(cache_relid, AccessShareLock);
	cache_valid = true;
	PG_TRY();
	{
		read_table(table);
	}
	PG_CATCH();
	{
		cache_valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	table_close(table, AccessShareLock);
}

/* -------------------------------------------------------------- the checks */

bool
grants_all(Oid user, GrantPrivilege privilege)
{
	Oid role;

	if (superuser_arg(user))
		return true;
	role = get_role_oid(privilege == GRANT_READ ? "tikv_read" : "tikv_write",
						true);
	return OidIsValid(role) && has_privs_of_role(user, role);
}

/*
 * In API V2 stored keys begin with their mode, raw or of transactions: a grant
 * is for both.  What is left of the end of all keyspaces is empty, the end.
 */
static Bytes
without_mode(Bytes stored)
{
	if (sql_api() != API_V2 || stored.len == 0)
		return stored;
	return bytes_make(stored.data + 1, stored.len - 1);
}

static bool
is_inside(Bytes prefix, Bytes lower, Bytes upper, bool is_range)
{
	uint8 *room;
	Bytes end;
	bool inside;

	lower = without_mode(lower);
	upper = without_mode(upper);
	if (lower.len < prefix.len ||
		(prefix.len > 0 && memcmp(lower.data, prefix.data, prefix.len) != 0))
		return false;
	if (!is_range)
		return true;
	room = palloc(prefix.len + 1);
	end = key_prefix_end(prefix, room);
	inside = end.len == 0 || (upper.len > 0 && bytes_cmp(upper, end) <= 0);
	pfree(room);
	return inside;
}

static bool
is_granted(Oid user, GrantPrivilege privilege, Bytes lower, Bytes upper,
		   bool is_range)
{
	for (int i = 0; i < n_cached; i++)
		if ((cache[i].privileges & privilege) != 0 &&
			is_inside(cache[i].prefix, lower, upper, is_range) &&
			has_privs_of_role(user, cache[i].role))
			return true;
	return false;
}

static void
refuse(Oid user, GrantPrivilege privilege, Bytes lower, Bytes upper,
	   bool is_range)
{
	char *keys = key_text(sql_user_key(lower));

	if (is_range)
		keys = psprintf("keys of [%s, %s)", keys,
						upper.len == 0 ? "infinity" :
										 key_text(sql_user_key(upper)));
	else
		keys = psprintf("key %s", keys);
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("permission denied for %s", keys),
		 errdetail("Role \"%s\" may not %s there.",
				   GetUserNameFromId(user, true),
				   privilege == GRANT_READ ? "read" : "write"),
		 errhint(
			 "tikv_grant() gives rights on a prefix, the roles tikv_read and tikv_write on every key.")));
}

void
grants_need_keys(Oid user, GrantPrivilege privilege, const Bytes *keys, int n)
{
	if (n == 0 || grants_all(user, privilege))
		return;
	need_cache();
	for (int i = 0; i < n; i++)
		if (!is_granted(user, privilege, keys[i], bytes_empty(), false))
			refuse(user, privilege, keys[i], bytes_empty(), false);
}

void
grants_need_range(Oid user, GrantPrivilege privilege, Bytes lower, Bytes upper)
{
	if (grants_all(user, privilege))
		return;
	need_cache();
	if (!is_granted(user, privilege, lower, upper, true))
		refuse(user, privilege, lower, upper, true);
}

/* ---------------------------------------------------- changes of the table */

/* A list such as 'read, write', or 'all'. */
static int
parse_privileges(char *text)
{
	List *names;
	ListCell *cell;
	int privileges = 0;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		names = list_make1(text);
	foreach (cell, names)
	{
		const char *name = lfirst(cell);

		if (strcmp(name, "read") == 0)
			privileges |= GRANT_READ;
		else if (strcmp(name, "write") == 0)
			privileges |= GRANT_WRITE;
		else if (strcmp(name, "all") == 0)
			privileges |= GRANT_READ | GRANT_WRITE;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized privilege: \"%s\"", name),
					 errhint("Privileges are read, write and all.")));
	}
	return privileges;
}

/* The row of the role and prefix, copied; NULL if there is none. */
static HeapTuple
find_row(Relation table, Oid role, Bytes prefix, int *privileges,
		 bool *has_others)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan =
		systable_beginscan(table, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple found = NULL;
	HeapTuple tuple;

	*privileges = 0;
	*has_others = false;
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		PrefixGrant grant = read_grant(table, tuple);

		if (grant.role != role)
			continue;
		if (!bytes_eq(grant.prefix, prefix))
		{
			*has_others = true;
			continue;
		}
		found = heap_copytuple(tuple);
		*privileges = grant.privileges;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

static void
write_row(Relation table, HeapTuple old, Oid role, Bytes prefix, int privileges)
{
	Datum values[GRANT_COLUMNS];
	bool nulls[GRANT_COLUMNS] = {false};
	HeapTuple tuple;

	values[GRANT_ROLE - 1] = ObjectIdGetDatum(role);
	values[GRANT_PREFIX - 1] = bytea_datum(prefix);
	values[GRANT_PRIVILEGES - 1] = Int32GetDatum(privileges);
	tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
	if (old != NULL)
		simple_heap_delete(table, &old->t_self);
	if (privileges != 0)
		simple_heap_insert(table, tuple);
	CommandCounterIncrement();
}

/*
 * EXECUTE on the functions comes with the role tikv_user.  It is granted as the
 * superuser that made it, so that tikv_admin need not be able to.
 */
static void
set_membership(Oid role, bool member)
{
	Oid caller;
	int context;
	char *name = GetUserNameFromId(role, false);
	char *command =
		psprintf(member ? "GRANT tikv_user TO %s" : "REVOKE tikv_user FROM %s",
				 quote_identifier(name));

	GetUserIdAndSecContext(&caller, &context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   context | SECURITY_LOCAL_USERID_CHANGE);
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute(command, false, 0) != SPI_OK_UTILITY ||
		SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not run \"%s\"", command);
	SetUserIdAndSecContext(caller, context);
}

/* Add or take away privileges. */
static void
change_grant(FunctionCallInfo fcinfo, bool give)
{
	Oid role = get_role_oid(NameStr(*PG_GETARG_NAME(0)), false);
	Bytes prefix =
		without_mode(sql_stored_key(bytea_bytes(PG_GETARG_DATUM(1))));
	int change = parse_privileges(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	Relation table = table_open(grant_table(false), ShareRowExclusiveLock);
	bool has_others;
	int before;
	int after;
	HeapTuple old;

	check_key_length(prefix);
	old = find_row(table, role, prefix, &before, &has_others);
	after = give ? before | change : before & ~change;
	if (after != before)
	{
		write_row(table, old, role, prefix, after);
		CacheInvalidateRelcache(table);
	}
	table_close(table, NoLock);
	if (give || (after == 0 && before != 0 && !has_others))
		set_membership(role, give);
}

Datum
tikv_grant(PG_FUNCTION_ARGS)
{
	change_grant(fcinfo, true);
	PG_RETURN_VOID();
}

Datum
tikv_revoke(PG_FUNCTION_ARGS)
{
	change_grant(fcinfo, false);
	PG_RETURN_VOID();
}
