/*
 * group_lock.c
 *	  PD's tables are locked without waiting for anybody.
 */
#include "postgres.h"

#include <signal.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "pd/group_lock.h"
#include "storage/tables.h"

#define SCHEMA "tikv_internal"
#define ROW_TABLE "pd_raft_state"
#define RECORDS_TABLE "pd_kv"
#define LOG_TABLE "pd_raft_log"
#define LOCK_PATIENCE "100ms"

static Oid
table_oid(const char *name)
{
	Oid schema = get_namespace_oid(SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/*
 * Into pd->reason: who has locked `what` of the schema.  Rows are locked under
 * RowShareLock or more, which `conflicting` then has to name.
 */
static void
explain_lock(Pd *pd, const char *what, Oid table, LOCKMODE conflicting)
{
	char holder[128] = "";

	if (OidIsValid(table))
		tables_describe_blocker(table, conflicting, holder, sizeof(holder));
	snprintf(pd->reason, sizeof(pd->reason),
			 "changes are refused: %s was locked by %s", what,
			 holder[0] == '\0' ? "somebody a moment ago" : holder);
}

bool
group_lock_tables(Pd *pd)
{
	static const char *const names[] = {ROW_TABLE, RECORDS_TABLE, LOG_TABLE};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		Oid oid = table_oid(names[i]);

		if (OidIsValid(oid) &&
			ConditionalLockRelationOid(oid, RowExclusiveLock))
			continue;
		explain_lock(pd, names[i], oid, RowExclusiveLock);
		return false;
	}
	return true;
}

bool
group_lock_row(Pd *pd, bool exists)
{
	if (SPI_execute("SELECT FROM tikv_internal.pd_raft_state"
					" FOR NO KEY UPDATE SKIP LOCKED",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not lock tikv_internal.pd_raft_state");
	if (!exists || SPI_processed == 1)
		return true;
	explain_lock(pd, "a row of " ROW_TABLE, table_oid(ROW_TABLE),
				 ExclusiveLock);
	return false;
}

bool
group_lock_records(Pd *pd, const ProposalItem *items, size_t n)
{
	static const char *const query =
		"WITH locked AS (SELECT key FROM tikv_internal.pd_kv"
		" WHERE key = ANY ($1) FOR UPDATE SKIP LOCKED)"
		" SELECT FROM tikv_internal.pd_kv WHERE key = ANY ($1)"
		" AND key NOT IN (SELECT key FROM locked)";
	Oid types[] = {TEXTARRAYOID};
	Datum *keys = palloc(n * sizeof(Datum));
	Datum values[1];

	for (size_t i = 0; i < n; i++)
	{
		Bytes key = items[i].key;

		keys[i] =
			PointerGetDatum(cstring_to_text_with_len((const char *) key.data,
													 (int) key.len));
	}
	values[0] = PointerGetDatum(construct_array(keys, (int) n, TEXTOID, -1,
												false, TYPALIGN_INT));
	if (SPI_execute_with_args(query, 1, types, values, NULL, false, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not lock tikv_internal.pd_kv");
	if (SPI_processed == 0)
		return true;
	explain_lock(pd, "a row of " RECORDS_TABLE, table_oid(RECORDS_TABLE),
				 ExclusiveLock);
	return false;
}

void
group_limit_patience(void)
{
	pqsignal(SIGINT, StatementCancelHandler);
	(void) set_config_option("lock_timeout", LOCK_PATIENCE, PGC_SUSET,
							 PGC_S_OVERRIDE, GUC_ACTION_LOCAL, true, 0, false);
}

/* A signal that is still on its way is nobody's. */
void
group_end_patience(void)
{
	pqsignal(SIGINT, SIG_IGN);
	QueryCancelPending = false;
}
