/*
 * allow.c
 *	  May the user of a table read or write these keys?  Per-prefix grants are
 *	  about stored keys; the wrapper's keys have no keyspace.
 */
#include "postgres.h"

#include "fdw/allow.h"
#include "sqlapi/sqlapi.h"

void
allow_keys(Oid user, GrantPrivilege privilege, const Bytes *keys, int n)
{
	Bytes *stored;

	if (n == 0 || grants_all(user, privilege))
		return;
	stored = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(Bytes));
	memcpy(stored, keys, n * sizeof(Bytes));
	sql_stored_keys(stored, n);
	grants_need_keys(user, privilege, stored, n);
	pfree(stored);
}

void
allow_range(Oid user, GrantPrivilege privilege, const KvRange *range)
{
	if (grants_all(user, privilege))
		return;
	grants_need_range(user, privilege, sql_stored_key(range->lower),
					  sql_stored_end(range->upper));
}
